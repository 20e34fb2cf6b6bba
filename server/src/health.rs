//! `/healthz` and `/readyz`: for whoever watches over this process.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use imgflo_apps::Standing;
use imgflo_cache::CacheError;
use imgflo_msgflo::Link;
use serde_json::json;

use crate::around::within;
use crate::front::SharedFront;
use crate::respond;
use crate::stored::STORE_TIMEOUT;
use crate::strays::{self, Strays};

/// `GET /healthz`: the process answers. Depends on nothing.
pub(crate) async fn healthz() -> Response {
    ([(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain")], "ok\n").into_response()
}

/// `GET /readyz`: whether requests can be served, with the reasons if not. What leaves a part of
/// them to be served is a warning only: stored results do not need the queue, and a front end that is
/// taken out of service serves nobody.
pub(crate) async fn readyz(State(front): State<SharedFront>) -> Response {
    let mut reasons = Vec::new();
    let mut warnings: Vec<Cow<'static, str>> = Vec::new();
    match tokio::time::timeout(STORE_TIMEOUT, front.store().check()).await {
        Ok(Ok(())) => {}
        // The log tells the folder.
        Ok(Err(CacheError::ReadOnly(error))) => warnings.push(Cow::Owned(format!(
            "the data folder takes no results ({}): only stored results are served",
            error.kind()
        ))),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the store");
            reasons.push("the store of results fails");
        }
        Err(_) => reasons.push("the store of results does not answer"),
    }
    if front.is_stopping() {
        reasons.push("the server stops");
    }
    if !front.queue().is_connected() {
        reasons.push("no results come: the connection to the queue is closed");
    }
    let link = front.queue().link();
    match link {
        Link::Up => {
            let faults = front.queue().faults().into_iter();
            warnings
                .extend(faults.map(|fault| Cow::Owned(format!("a part of the network at the broker fails: {fault}"))));
        }
        Link::Blocked => warnings.push("the broker takes no jobs: only stored results are served".into()),
        Link::Down => warnings.push("the broker is away: only stored results are served".into()),
    }
    warnings.extend(front.queue().warnings().into_iter().map(Cow::Owned));
    let applications = front.access().standing();
    if front.access().knows_nobody() {
        reasons.push("the database of applications was not reached yet: nobody can be let in");
    } else if matches!(applications, Some(Standing::Unknown | Standing::Stale { .. })) {
        warnings.push("the database of applications is away: what was known last stays in force".into());
    }
    let traffic = front.flights().traffic();
    // Who hears no results cannot tell.
    let listens = !front.queue().is_deaf();
    if listens && link == Link::Up && traffic.unanswered_for.is_some_and(|time| time > front.limits().urgent_deadline) {
        // Work may be slow, and stored images need none.
        warnings.push("an urgent job is past its deadline, and no result has come since it began".into());
    }
    if link == Link::Up && within(STORE_TIMEOUT, front.flights().is_staffed()).await == Some(false) {
        warnings.push("no worker is connected to the broker: only stored results are served".into());
    }
    if front.strays().is_some_and(Strays::are_there) {
        warnings.push(strays::REASON.into());
    }
    let listing = front.listing();
    if listing.len() == 0 {
        reasons.push("there are no graphs");
    }
    let mut report = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "warnings": warnings,
        "link": match link {
            Link::Up => "up",
            Link::Blocked => "blocked",
            Link::Down => "down",
        },
        "graphs": listing.len(),
        "faults": listing.faults(),
        "jobs": { "urgent": traffic.urgent, "background": traffic.background },
    });
    // One process alone gets no messages of others.
    if front.strays().is_some() {
        report["messages"] = json!(if front.queue().refuses_strangers() { "signed" } else { "unsigned" });
    }
    if let Some(standing) = applications {
        report["applications"] = json!(standing);
    }
    for (name, tell) in front.reports() {
        report[*name] = tell();
    }
    if !reasons.is_empty() {
        return respond::not_ready(&report);
    }
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    (headers, Body::from(report.to_string())).into_response()
}
