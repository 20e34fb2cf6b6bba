//! `/graph/...`: an image, by what is to be done to which picture.
//!
//! A redirect to a result may be kept for an hour: the result itself never changes, but the graph
//! or the picture behind the address may.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use imgflo_job::request::{self, Request};
use imgflo_job::{Category, Job, JobData, JobError, Urgency, message};
use serde_json::json;
use tokio::time::Instant;

use crate::front::{Front, SharedFront};
use crate::respond::Problem;
use crate::stored::STORE_TIMEOUT;

/// How long a redirect may be kept: long enough to spare a page's every view the question.
const REDIRECT: &str = "public, max-age=3600";

/// `GET` and `HEAD /graph/...`: a redirect to the result, once there is one.
pub(crate) async fn get(State(front): State<SharedFront>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let arrival = Instant::now();
    let request = read(&front, &uri)?;
    if request.debug {
        return Ok(to_page(&request, &uri));
    }
    let resolved = front.resolve(&request, uri.path(), &headers)?;
    let data = resolved.data();
    if !data.no_cache && is_stored(&front, &data.cachekey).await {
        return redirect(&front, StatusCode::MOVED_PERMANENTLY, data, None);
    }
    let deadline_at = message::now() + front.limits().urgent_deadline.as_millis() as u64;
    let waiter = front.flights().wait_for(&data.cachekey, data.no_cache, || {
        let job = Job::new(Urgency::Urgent, resolved.job_data(), Some(deadline_at));
        tracing::info!(job = %job.id, graph = %data.graph, key = %data.cachekey, "an urgent job");
        job
    });
    let url = waiter.outcome(arrival + front.limits().urgent_deadline).await?;
    redirect(&front, StatusCode::MOVED_PERMANENTLY, data, url)
}

/// `POST /graph/...`: has the result made when there is time, and says where it will be.
pub(crate) async fn post(State(front): State<SharedFront>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let request = read(&front, &uri)?;
    let resolved = front.resolve(&request, uri.path(), &headers)?;
    let data = resolved.data();
    if !data.no_cache && is_stored(&front, &data.cachekey).await {
        return redirect(&front, StatusCode::MOVED_PERMANENTLY, data, None);
    }
    front
        .flights()
        .order(&data.cachekey, data.no_cache, || {
            let job = Job::new(Urgency::Background, resolved.job_data(), None);
            tracing::info!(job = %job.id, graph = %data.graph, key = %data.cachekey, "a background job");
            job
        })
        .await?;
    redirect(&front, StatusCode::ACCEPTED, data, None)
}

fn read(front: &Front, uri: &Uri) -> Result<Request, JobError> {
    let path = uri.path().strip_prefix("/graph/").unwrap_or_default();
    request::parse(path, uri.query(), front.limits())
}

/// Looks the key up. A store that cannot say counts as not having it: the worker will find out.
async fn is_stored(front: &Front, key: &str) -> bool {
    match tokio::time::timeout(STORE_TIMEOUT, front.store().contains(key)).await {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => {
            tracing::warn!(%error, key, "the store could not be asked");
            false
        }
        Err(_) => {
            tracing::warn!(key, "the store does not answer");
            false
        }
    }
}

/// The page for a request, at the original's address.
fn to_page(request: &Request, uri: &Uri) -> Response {
    let path = uri.path().strip_prefix("/graph/").unwrap_or_default();
    let place = match &request.token {
        Some(_) => format!("/debug/graph/{path}/{}", request.query),
        None => format!("/debug/graph//{}/{}", request.graphspec, request.query),
    };
    // Both parts come from an address that was parsed, so they fit a header.
    let location = HeaderValue::from_str(&place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::FOUND, [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response()
}

/// Points to the result; `url` as a result message gives it.
fn redirect(front: &Front, status: StatusCode, data: &JobData, url: Option<String>) -> Result<Response, Problem> {
    let place = match url {
        Some(url) if !url.starts_with("./") => url,
        _ => front.address_of(&data.cachekey),
    };
    let location = HeaderValue::from_str(&place)
        .map_err(|error| JobError::new(Category::Internal, format!("the result's address {place:?}: {error}")))?;
    let mut response = if status == StatusCode::ACCEPTED {
        let body = json!({ "status": "accepted", "key": data.cachekey, "location": place });
        (status, [(CONTENT_TYPE, "application/json")], Body::from(body.to_string())).into_response()
    } else {
        status.into_response()
    };
    let keep = if status == StatusCode::ACCEPTED || data.no_cache { "no-store" } else { REDIRECT };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
