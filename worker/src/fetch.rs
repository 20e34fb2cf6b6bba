//! The bytes behind an http or https URL: bounded in time, size, redirects and type, and only from guarded addresses.
//!
//! Fetches share connections and memory by host (`fetch/share.rs`), so that a slow host leaves enough to the others.

pub mod guard;
pub mod recognise;
pub mod resolve;

mod answer;
mod body;
mod connect;
mod failure;
mod negative;
mod share;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use imgflo_job::{Category, JobError, Limits, Urgency};
use ipnet::IpNet;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use self::answer::Coding;
use self::body::{Body, Limited, OverLimit};
use self::connect::Connections;
use self::guard::{Guard, Refusal};
use self::negative::Negative;
use self::resolve::Lookup;
use self::share::{Part, Share};

/// Slowest origin that is waited for, bytes a second, averaged over each `IMGFLO_FIRST_BYTE_TIMEOUT`.
pub const MIN_SPEED: u64 = 10 * 1024;

/// First byte of a gzip stream, with which no picture begins.
const GZIP_STARTS_WITH: u8 = 0x1f;

/// Bytes after which the type is judged, so that what is no image is not downloaded.
const JUDGED_AFTER: usize = 1024;

/// Whom to fetch from, and as whom.
#[derive(Clone, Debug, Default)]
pub struct FetchSettings {
    /// Address ranges that are fetched from though they are not public.
    pub allow_addresses: Vec<IpNet>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

/// What may come.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Most bytes, after decompression.
    pub max_bytes: u64,
    /// The setting behind `max_bytes`.
    pub setting: &'static str,
    /// True when anything will do, false when it must be an image of a supported type.
    pub any_type: bool,
    /// An urgent fetch is refused when its host has its share of [`Limits::max_fetches`]; a background one waits.
    pub urgency: Urgency,
    /// True when a negative answer that is remembered does not do.
    pub anew: bool,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body, decompressed.
    pub bytes: Bytes,
    /// What the origin called it.
    pub media_type: Option<String>,
    /// True when only the client may keep what is made of it: the origin answered with `no-store` or `private`.
    pub private: bool,
}

/// Fetches inputs. Connections are kept for the next fetch from the same host.
pub struct Fetcher {
    guard: Arc<Guard>,
    connections: Connections,
    limits: Limits,
    /// Fetches at a time.
    places: Arc<Share>,
    /// Bytes of inputs that are fetched, or wait to be used.
    memory: Arc<Share>,
    negative: Negative,
}

impl Fetcher {
    /// A fetcher that asks the system for addresses.
    pub fn new(settings: FetchSettings, limits: Limits) -> Self {
        Self::with_lookup(settings, limits, resolve::system())
    }

    /// A fetcher with a name service of its own.
    pub fn with_lookup(settings: FetchSettings, limits: Limits, lookup: Lookup) -> Self {
        let FetchSettings { allow_addresses, user_agent } = settings;
        let guard = Arc::new(Guard::new(allow_addresses));
        Fetcher {
            connections: Connections::new(Arc::clone(&guard), lookup, user_agent, &limits),
            guard,
            places: Share::new(limits.max_fetches),
            memory: Share::new(limits.max_fetch_bytes),
            negative: Negative::new(limits.negative_lifetime),
            limits,
        }
    }

    /// Fetches `url`. Stops when dropped.
    ///
    /// # Errors
    /// [`Category::InvalidParameter`]: no http or https URL. [`Category::Forbidden`]: an address that the guard
    /// refuses. [`Category::NotFound`], [`Category::OriginBusy`], [`Category::OriginFailed`],
    /// [`Category::OriginTimeout`]: the origin's answer, or its fault. [`Category::TooLarge`],
    /// [`Category::UnsupportedType`], [`Category::BrokenInput`] (empty): what came is not what is wanted.
    /// [`Category::Overloaded`]: too much is fetched at the moment, from this host or altogether.
    pub async fn fetch(&self, url: &str, wanted: Wanted) -> Result<Fetched, JobError> {
        let url = Url::parse(url).map_err(|error| {
            JobError::new(Category::InvalidParameter, format!("input: '{}' is no URL: {error}", failure::short(url)))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("input: {}: URLs are not fetched; use http: or https:", url.scheme());
            return Err(JobError::new(Category::InvalidParameter, message));
        }
        let asked = url.to_string();
        if !wanted.anew
            && let Some(error) = self.negative.get(&asked)
            // What is no picture may still be handed on as it is.
            && !(wanted.any_type && error.category == Category::UnsupportedType)
        {
            return Err(error);
        }
        let host = failure::site(&url);
        let mut state = Underway { _place: self.place(&url, wanted.urgency).await?, short_of_memory: false };
        let limit = self.limits.fetch_timeout;
        let fetched = match timeout(limit, self.follow(url, wanted, &mut state)).await {
            Ok(fetched) => fetched,
            Err(_) if state.short_of_memory => Err(failure::no_memory(&host, self.memory.limit())),
            Err(_) => Err(failure::late(&host, "did not deliver all", limit, "IMGFLO_FETCH_TIMEOUT")),
        };
        if let Err(error) = &fetched {
            self.negative.put(&asked, error);
        }
        fetched
    }

    /// A place among all fetches.
    async fn place(&self, url: &Url, urgency: Urgency) -> Result<Part, JobError> {
        let host = url.host_str().unwrap_or_default();
        let mut place = self.places.part(host);
        match urgency {
            Urgency::Urgent if place.try_grow(1) => Ok(place),
            Urgency::Urgent => Err(failure::no_place(host, self.places.limit())),
            Urgency::Background => {
                place.grow(1).await;
                Ok(place)
            }
        }
    }

    /// Follows redirects, each checked like the first URL.
    async fn follow(&self, mut url: Url, wanted: Wanted, state: &mut Underway) -> Result<Fetched, JobError> {
        let mut visited = HashSet::new();
        loop {
            url.set_fragment(None);
            let response = self.request(&url).await?;
            let status = response.status();
            if !is_redirect(status) {
                return self.receive(response, &url, wanted, state).await;
            }
            let next = redirected(&url, &response)?;
            if next.host() != url.host() {
                state._place = self.place(&next, wanted.urgency).await?;
            }
            visited.insert(std::mem::replace(&mut url, next));
            let site = failure::site(&url);
            if visited.contains(&url) {
                let message = format!("{site} redirects in a circle");
                return Err(JobError::new(Category::OriginFailed, message));
            }
            if visited.len() as u64 > self.limits.max_redirects {
                return Err(failure::over_redirects(&site, self.limits.max_redirects));
            }
        }
    }

    /// Asks for one URL, until the head of the answer is there.
    async fn request(&self, url: &Url) -> Result<Response, JobError> {
        let site = failure::site(url);
        // A literal address does not pass through the resolver.
        match url.host() {
            Some(Host::Ipv4(address)) => self.admit(address.into())?,
            Some(Host::Ipv6(address)) => self.admit(address.into())?,
            Some(Host::Domain(_)) => {}
            None => return Err(JobError::new(Category::InvalidParameter, "input: the URL names no host")),
        }
        self.connections.get(url, &site).await
    }

    fn admit(&self, address: std::net::IpAddr) -> Result<(), JobError> {
        self.guard
            .check(address)
            .map_err(|refusal: Refusal| JobError::new(Category::Forbidden, format!("input: {refusal}")))
    }

    /// Takes the body as far as it is wanted.
    async fn receive(
        &self,
        mut response: Response,
        url: &Url,
        wanted: Wanted,
        state: &mut Underway,
    ) -> Result<Fetched, JobError> {
        let site = failure::site(url);
        answer::check(&response, &site)?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let private = answer::is_private(response.headers());
        let Coding { gzip, mut unknown } = answer::coding(response.headers());
        let announced = response.content_length().unwrap_or(0);
        let over = |bytes| JobError::over("input bytes", bytes, wanted.max_bytes, wanted.setting);
        if announced > wanted.max_bytes {
            return Err(over(announced));
        }
        let mut limited = Some(Limited::new(wanted.max_bytes, self.memory.part(url.host_str().unwrap_or_default())));
        let mut body = None;
        let window = self.limits.first_byte_timeout;
        let mut speed = Speed::new(window);
        // What has a strange coding is taken for what its bytes are.
        let mut judged = wanted.any_type && unknown.is_none();
        loop {
            let chunk = match timeout(window, response.chunk()).await {
                Ok(Ok(Some(chunk))) if chunk.is_empty() => continue,
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(failure::of(&error, &site, self.limits.connect_timeout)),
                Err(_) => return Err(failure::late(&site, "sent nothing more", window, "IMGFLO_FIRST_BYTE_TIMEOUT")),
            };
            let Some(chunk) = chunk else { break };
            if let Some(limited) = limited.take() {
                let packed = gzip && chunk[0] == GZIP_STARTS_WITH;
                if gzip && !packed {
                    // A picture all the same, perhaps.
                    (judged, unknown) = (false, Some("gzip".into()));
                }
                let mut begun = match packed {
                    true => Body::Gzip(Box::new(MultiGzDecoder::new(limited))),
                    false => Body::Plain(limited),
                };
                if judged {
                    begun.expect(announced);
                }
                body = Some(begun);
            }
            let Some(body) = &mut body else { break };
            body.push(&chunk).map_err(|error| unreadable(&error, &site, over))?;
            if body.uncounted() > 0 && !body.try_count() {
                state.short_of_memory = true;
                body.count().await;
                state.short_of_memory = false;
                // The origin had to wait, too.
                speed = Speed::new(window);
            }
            if !judged && body.bytes().len() >= JUDGED_AFTER {
                recognise(body.bytes(), media_type.as_deref(), unknown.as_deref(), &site)?;
                judged = true;
                body.expect(announced);
            }
            if !speed.keeps_up(chunk.len() as u64) {
                return Err(failure::slow(&site, MIN_SPEED));
            }
        }
        let bytes = match body {
            Some(body) => body.finish().map_err(|error| unreadable(&error, &site, over))?,
            None => Bytes::new(),
        };
        if bytes.is_empty() {
            return Err(JobError::new(Category::BrokenInput, format!("{site} answered with an empty body")));
        }
        if !judged {
            recognise(&bytes, media_type.as_deref(), unknown.as_deref(), &site)?;
        }
        Ok(Fetched { bytes, media_type, private })
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("guard", &self.guard).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// What a fetch holds, and waits for.
struct Underway {
    /// Held until the fetch ends.
    _place: Part,
    /// True while it waits for memory.
    short_of_memory: bool,
}

/// True if the bytes of an answer are a picture. `coding`: what the origin said of them that they are not.
fn recognise(bytes: &[u8], media_type: Option<&str>, coding: Option<&str>, site: &str) -> Result<(), JobError> {
    match (recognise::supported(bytes, media_type), coding) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(coding)) => Err(failure::unknown_coding(site, coding)),
        (Err(error), None) => Err(error),
    }
}

/// A body that does not fit, or whose coding is broken.
fn unreadable(error: &std::io::Error, site: &str, over: impl Fn(u64) -> JobError) -> JobError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(OverLimit(bytes)) => over(*bytes),
        None => JobError::new(Category::OriginFailed, format!("{site} sent a body that cannot be unpacked: {error}")),
    }
}

/// Where a redirect leads.
fn redirected(url: &Url, response: &Response) -> Result<Url, JobError> {
    let failed = |what: String| JobError::new(Category::OriginFailed, format!("{} {what}", failure::site(url)));
    let Some(location) = response.headers().get(LOCATION) else {
        return Err(failed(format!("answered with status {} but no location", response.status())));
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    let next = url
        .join(&location)
        .map_err(|error| failed(format!("redirects to '{}', which is no URL: {error}", failure::short(&location))))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(failed(format!("redirects to a {}: URL; only http: and https: are followed", next.scheme())));
    }
    if !next.username().is_empty() || next.password().is_some() {
        let message = "redirects to an address with a user name or password, which an input must not have";
        return Err(JobError { category: Category::Forbidden, ..failed(message.into()) });
    }
    Ok(next)
}

/// Watches that bytes do not merely drip.
struct Speed {
    window: Duration,
    since: Instant,
    bytes: u64,
}

impl Speed {
    fn new(window: Duration) -> Self {
        Speed { window, since: Instant::now(), bytes: 0 }
    }

    fn keeps_up(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        let passed = self.since.elapsed();
        if passed < self.window {
            return true;
        }
        let enough = self.bytes as f64 >= MIN_SPEED as f64 * passed.as_secs_f64();
        *self = Speed::new(self.window);
        enough
    }
}
