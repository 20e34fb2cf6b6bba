//! `/graph/...`: an image, by what is to be done to which picture.
//!
//! A redirect to a result may be kept for an hour: the result itself never changes, but the graph
//! or the picture behind the address may. One to WebP in place of AVIF may be kept for a minute.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request as AxumRequest, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Uri};
use imgflo_cache::Address;
use imgflo_job::key::{self, Keeping};
use imgflo_job::request::{self, Request};
use imgflo_job::{Category, Job, JobData, JobError, Urgency, message};
use serde_json::json;
use tokio::time::Instant;

use crate::around::within;
use crate::asked::Asked;
use crate::flight::{Commission, Wanted};
use crate::front::{Front, SharedFront};
use crate::respond::Problem;
use crate::stored::STORE_TIMEOUT;
use crate::{never, quota};

/// A redirect, and how long it may be kept.
struct Redirect {
    status: StatusCode,
    keep: &'static str,
    /// The same, in seconds.
    seconds: u64,
}

/// To what was asked for: kept long enough to spare a page's every view the question.
const LASTING: Redirect =
    Redirect { status: StatusCode::MOVED_PERMANENTLY, keep: "public, max-age=3600", seconds: 3600 };
/// To what does until that is made: kept about as long as that takes.
const FOR_NOW: Redirect = Redirect { status: StatusCode::FOUND, keep: "public, max-age=60", seconds: 60 };

/// `GET` and `HEAD /graph/...`: a redirect to the result, once there is one.
pub(crate) async fn get(State(front): State<SharedFront>, asked: AxumRequest) -> Result<Response, Problem> {
    let arrival = Instant::now();
    let Parts { uri, headers, .. } = asked.into_parts().0;
    let asked = match front.remembered(&uri, &headers).await? {
        Some(asked) => asked,
        None => {
            let request = read(&front, &uri)?;
            if request.debug {
                return Ok(to_page(&request, &uri));
            }
            front.resolve(request, &uri, &headers).await?
        }
    };
    let answer = match asked.instead() {
        Some(instead) => wait_for_either(&front, &asked, instead, arrival).await,
        None => wait(&front, &asked, arrival, &LASTING).await,
    };
    Ok(with_quota(&front, &asked, answer))
}

/// What is slow to make is made when there is time; until then, and where it cannot be made, the
/// client is led to a result of another type.
async fn wait_for_either(front: &Front, asked: &Asked, instead: &Asked, arrival: Instant) -> Result<Response, Problem> {
    if front.urgent_avif() {
        match wait(front, asked, arrival, &LASTING).await {
            Err(problem) if problem.is_about_type() => {}
            answer => return answer,
        }
        return wait(front, instead, arrival, &FOR_NOW).await;
    }
    if let Some(key) = stored(front, asked.data()).await {
        return redirect(front, asked, &key, &LASTING).await;
    }
    let answer = wait(front, instead, arrival, &FOR_NOW).await?;
    // Only now, so that it is not in the way of what the client waits for.
    if let Err(problem) = order(front, asked, arrival, &LASTING).await {
        tracing::debug!(key = asked.data().cachekey, ?problem, "not ordered");
    }
    Ok(answer)
}

async fn wait(front: &Front, asked: &Asked, arrival: Instant, how: &Redirect) -> Result<Response, Problem> {
    let data = asked.data();
    if let Some(key) = stored(front, data).await {
        return redirect(front, asked, &key, how).await;
    }
    let reservation = front.access().admit(data.apikey.as_deref())?;
    let limit = front.limits().urgent_deadline;
    let deadline_at = message::now() + limit.as_millis() as u64;
    let waiter = front.flights().wait_for(wanted(data, arrival), deadline_at, || Commission {
        job: Job::new(Urgency::Urgent, asked.job_data(), Some(deadline_at)),
        reservation,
    });
    let key = waiter.outcome(arrival + limit, front.out_of_time()).await?;
    // What a message says is not believed: where workers have another store by mistake, or a stranger sent it, clients
    // would keep redirects to nothing for an hour.
    if let Some(strays) = front.strays()
        && !strays.find(front.store(), &key).await
    {
        return Err(JobError::new(Category::Unavailable, "the result was reported, and it is not in the store").into());
    }
    redirect(front, asked, &key, how).await
}

/// `POST /graph/...`: has the result made when there is time, and says where it will be.
pub(crate) async fn post(State(front): State<SharedFront>, asked: AxumRequest) -> Result<Response, Problem> {
    let arrival = Instant::now();
    let Parts { uri, headers, .. } = asked.into_parts().0;
    let asked = match front.remembered(&uri, &headers).await? {
        Some(asked) => asked,
        None => front.resolve(read(&front, &uri)?, &uri, &headers).await?,
    };
    can_succeed(&front, &asked).await?;
    let answer = match (order(&front, &asked, arrival, &LASTING).await, asked.instead()) {
        (Err(problem), Some(instead)) if problem.is_about_type() => order(&front, instead, arrival, &FOR_NOW).await,
        (answer, _) => answer,
    };
    Ok(with_quota(&front, &asked, answer))
}

/// Refuses what can never succeed, unless it is stored.
async fn can_succeed(front: &SharedFront, asked: &Arc<Asked>) -> Result<(), Problem> {
    if stored(front, asked.data()).await.is_some() {
        return Ok(());
    }
    let (limits, asked) = (front.limits().clone(), Arc::clone(asked));
    // Of AVIF that is too large there is WebP.
    let check = move || never::check(asked.instead().unwrap_or(&asked).data(), asked.library(), &limits);
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|error| JobError::new(Category::Internal, format!("planning a request: {error}")))??;
    Ok(())
}

async fn order(front: &Front, asked: &Asked, arrival: Instant, how: &Redirect) -> Result<Response, Problem> {
    let data = asked.data();
    if let Some(key) = stored(front, data).await {
        return redirect(front, asked, &key, how).await;
    }
    let reservation = front.access().admit(data.apikey.as_deref())?;
    let job = || Commission { job: Job::new(Urgency::Background, asked.job_data(), None), reservation };
    front.flights().order(wanted(data, arrival), job).await?;
    Ok(accepted(asked))
}

/// The answer, with what is left of the quota of who asked.
fn with_quota(front: &Front, asked: &Asked, answer: Result<Response, Problem>) -> Response {
    let mut answer = answer.into_response();
    if let Some(allowance) = front.access().allowance(asked.data().apikey.as_deref()) {
        quota::tell(&allowance, answer.headers_mut());
    }
    answer
}

fn read(front: &Front, uri: &Uri) -> Result<Request, JobError> {
    let path = uri.path().strip_prefix("/graph/").unwrap_or_default();
    request::parse(path, uri.query(), front.limits())
}

/// What to wait for, after the store was asked for it in vain.
fn wanted(data: &JobData, looked_up: Instant) -> Wanted<'_> {
    Wanted { cache_key: &data.cachekey, no_cache: data.no_cache, looked_up }
}

/// The key under which the result of a request is stored; `None` if it is not, or a stored one does not do.
async fn stored(front: &Front, data: &JobData) -> Option<String> {
    if data.no_cache {
        return None;
    }
    if is_stored(front, &data.cachekey).await {
        return Some(data.cachekey.clone());
    }
    let private = key::private(&data.cachekey)?;
    is_stored(front, &private).await.then_some(private)
}

/// Looks a key up. A store that cannot say counts as not having it: the worker will find out.
async fn is_stored(front: &Front, key: &str) -> bool {
    match within(STORE_TIMEOUT, front.store().contains(key)).await {
        Some(Ok(stored)) => stored,
        Some(Err(error)) => {
            tracing::warn!(%error, key, "the store could not be asked");
            false
        }
        None => {
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

/// Points to the result that is stored under `key`.
async fn redirect(front: &Front, asked: &Asked, key: &str, how: &Redirect) -> Result<Response, Problem> {
    let data = asked.data();
    let private = Keeping::of(key) == Keeping::Private;
    let mut keep = Cow::Borrowed(match private {
        _ if data.no_cache => "no-store",
        true => Keeping::Private.cache_control(),
        false => how.keep,
    });
    let location = match address(front, key).await {
        None if key == data.cachekey => asked.place().clone(),
        None => header(&front.address_of(key))?,
        Some(Address { url, lifetime }) => {
            if let Some(lifetime) = lifetime.filter(|_| !data.no_cache && !private) {
                keep = kept_for(lifetime, how.seconds);
            }
            header(&url)?
        }
    };
    let keep = match keep {
        Cow::Borrowed(keep) => HeaderValue::from_static(keep),
        Cow::Owned(keep) => HeaderValue::from_str(&keep).unwrap_or(HeaderValue::from_static("no-store")),
    };
    let mut response = how.status.into_response();
    response.headers_mut().insert(CACHE_CONTROL, keep);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// The address of a result as a header.
fn header(url: &str) -> Result<HeaderValue, JobError> {
    HeaderValue::from_str(url)
        .map_err(|error| JobError::new(Category::Internal, format!("the result's address {url:?}: {error}")))
}

/// Where a client gets a result without us. If the store cannot say, the client gets it from us.
async fn address(front: &Front, key: &str) -> Option<Address> {
    match within(STORE_TIMEOUT, front.store().address(key)).await {
        Some(Ok(address)) => address,
        Some(Err(error)) => {
            tracing::warn!(%error, key, "the store gives no address");
            None
        }
        None => {
            tracing::warn!(key, "the store does not answer");
            None
        }
    }
}

/// How long a redirect to an address may be kept that is good for some time only: so long that there
/// is still time to follow it. `longest`: seconds.
fn kept_for(lifetime: Duration, longest: u64) -> Cow<'static, str> {
    match (lifetime * 9 / 10).as_secs().min(longest) {
        0 => Cow::Borrowed("no-store"),
        seconds => Cow::Owned(format!("public, max-age={seconds}")),
    }
}

/// Says where the result will be.
fn accepted(asked: &Asked) -> Response {
    let place = asked.place();
    let body = json!({
        "status": "accepted",
        "key": asked.data().cachekey,
        "location": place.to_str().unwrap_or_default(),
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (LOCATION, place.clone()),
    ];
    (StatusCode::ACCEPTED, headers, Body::from(body.to_string())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_not_kept_longer_than_what_it_leads_to() {
        let kept = |seconds| kept_for(Duration::from_secs(seconds), LASTING.seconds).into_owned();
        assert_eq!(kept(100), "public, max-age=90");
        assert_eq!(kept(1_000_000), "public, max-age=3600");
        assert_eq!(kept(1), "no-store");
        assert_eq!(kept(0), "no-store");
    }
}
