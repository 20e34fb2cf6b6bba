//! The bytes behind an http or https URL: bounded in time, size, redirects and type, and only from guarded addresses.

pub mod guard;
pub mod recognise;
pub mod resolve;

mod failure;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use imgflo_job::{Category, JobError, Limits};
use ipnet::IpNet;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use self::guard::{Guard, Refusal};
use self::resolve::{GuardedResolver, Lookup};

/// Slowest origin that is waited for, bytes a second, averaged over each `IMGFLO_FIRST_BYTE_TIMEOUT`.
pub const MIN_SPEED: u64 = 10 * 1024;

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
}

/// What came.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body, decompressed.
    pub bytes: Bytes,
    /// What the origin called it.
    pub media_type: Option<String>,
}

/// Fetches inputs. Connections are kept for the next fetch from the same host.
pub struct Fetcher {
    guard: Arc<Guard>,
    lookup: Lookup,
    user_agent: String,
    limits: Limits,
    client: OnceLock<Result<Client, String>>,
}

impl Fetcher {
    /// A fetcher that asks the system for addresses.
    pub fn new(settings: FetchSettings, limits: Limits) -> Self {
        Self::with_lookup(settings, limits, resolve::system())
    }

    /// A fetcher with a name service of its own.
    pub fn with_lookup(settings: FetchSettings, limits: Limits, lookup: Lookup) -> Self {
        let FetchSettings { allow_addresses, user_agent } = settings;
        Fetcher { guard: Arc::new(Guard::new(allow_addresses)), lookup, user_agent, limits, client: OnceLock::new() }
    }

    /// Fetches `url`. Stops when dropped.
    ///
    /// # Errors
    /// [`Category::InvalidParameter`]: no http or https URL. [`Category::Forbidden`]: an address that the guard
    /// refuses. [`Category::OriginFailed`], [`Category::OriginTimeout`]: the origin's fault. [`Category::TooLarge`],
    /// [`Category::UnsupportedType`], [`Category::BrokenInput`] (empty): what came is not what is wanted.
    pub async fn fetch(&self, url: &str, wanted: Wanted) -> Result<Fetched, JobError> {
        let url = Url::parse(url).map_err(|error| {
            JobError::new(Category::InvalidParameter, format!("input: '{}' is no URL: {error}", failure::short(url)))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("input: {}: URLs are not fetched; use http: or https:", url.scheme());
            return Err(JobError::new(Category::InvalidParameter, message));
        }
        let host = failure::site(&url);
        timeout(self.limits.fetch_timeout, self.follow(url, wanted)).await.unwrap_or_else(|_| {
            Err(failure::late(&host, "did not deliver all", self.limits.fetch_timeout, "IMGFLO_FETCH_TIMEOUT"))
        })
    }

    /// Follows redirects, each checked like the first URL.
    async fn follow(&self, mut url: Url, wanted: Wanted) -> Result<Fetched, JobError> {
        let mut visited = HashSet::new();
        loop {
            url.set_fragment(None);
            let response = self.request(&url).await?;
            let status = response.status();
            if !is_redirect(status) {
                return self.receive(response, &url, wanted).await;
            }
            let next = redirected(&url, &response)?;
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
        let limit = self.limits.connect_timeout + self.limits.first_byte_timeout;
        match timeout(limit, self.client()?.get(url.clone()).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure::of(&error, &site, self.limits.connect_timeout)),
            Err(_) => {
                let limit = self.limits.first_byte_timeout;
                Err(failure::late(&site, "did not answer", limit, "IMGFLO_FIRST_BYTE_TIMEOUT"))
            }
        }
    }

    fn admit(&self, address: std::net::IpAddr) -> Result<(), JobError> {
        self.guard
            .check(address)
            .map_err(|refusal: Refusal| JobError::new(Category::Forbidden, format!("input: {refusal}")))
    }

    /// Takes the body as far as it is wanted.
    async fn receive(&self, mut response: Response, url: &Url, wanted: Wanted) -> Result<Fetched, JobError> {
        let site = failure::site(url);
        let status = response.status();
        if status != StatusCode::OK {
            let message = format!("{site} answered with status {status}; only 200 OK counts");
            return Err(JobError::new(Category::OriginFailed, message).with("origin_status", status.as_u16()));
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(encoding) = header(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            let message = format!(
                "{site} answered with content encoding '{}', which nobody asked for",
                failure::short(&encoding)
            );
            return Err(JobError::new(Category::OriginFailed, message));
        }
        let media_type = header(CONTENT_TYPE);
        let announced = response.content_length().unwrap_or(0);
        let over = |bytes| JobError::over("input bytes", bytes, wanted.max_bytes, wanted.setting);
        if announced > wanted.max_bytes {
            return Err(over(announced));
        }
        let window = self.limits.first_byte_timeout;
        let mut speed = Speed::new(window);
        // Of one that may be what it is, all that it announces is reserved, so that nothing is copied while it grows. Of
        // what does not come, no page is touched; what cannot be had at once may still come to fit.
        let reserve = |body: &mut Vec<u8>| {
            let more = usize::try_from(announced).unwrap_or(usize::MAX).saturating_sub(body.len());
            let _ = body.try_reserve_exact(more);
        };
        let (mut body, mut judged) = (Vec::new(), wanted.any_type);
        if judged {
            reserve(&mut body);
        }
        loop {
            let chunk = match timeout(window, response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(failure::of(&error, &site, self.limits.connect_timeout)),
                Err(_) => return Err(failure::late(&site, "sent nothing more", window, "IMGFLO_FIRST_BYTE_TIMEOUT")),
            };
            let Some(chunk) = chunk else { break };
            if (body.len() + chunk.len()) as u64 > wanted.max_bytes {
                return Err(over((body.len() + chunk.len()) as u64));
            }
            body.extend_from_slice(&chunk);
            if !judged && body.len() >= JUDGED_AFTER {
                recognise::supported(&body, media_type.as_deref())?;
                judged = true;
                reserve(&mut body);
            }
            if !speed.keeps_up(chunk.len() as u64) {
                return Err(failure::slow(&site, MIN_SPEED));
            }
        }
        if body.is_empty() {
            return Err(JobError::new(Category::BrokenInput, format!("{site} answered with an empty body")));
        }
        if !judged {
            recognise::supported(&body, media_type.as_deref())?;
        }
        Ok(Fetched { bytes: body.into(), media_type })
    }

    /// The client, made when first needed: it reads the system's certificates.
    fn client(&self) -> Result<&Client, JobError> {
        let client = self.client.get_or_init(|| {
            // Already installed by the program or another worker: as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let build = |builder: reqwest::ClientBuilder| {
                let resolver = GuardedResolver { guard: Arc::clone(&self.guard), lookup: Arc::clone(&self.lookup) };
                builder
                    .user_agent(&self.user_agent)
                    .dns_resolver(resolver)
                    .redirect(redirect::Policy::none())
                    .no_proxy()
                    .referer(false)
                    .connect_timeout(self.limits.connect_timeout)
                    .pool_idle_timeout(Duration::from_secs(30))
                    .pool_max_idle_per_host(4)
                    .build()
            };
            build(Client::builder()).or_else(|error| {
                tracing::warn!(%error, "no certificate authorities on this system; using those of Mozilla, built in");
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().flat_map(|root| Certificate::from_der(root));
                build(Client::builder().tls_certs_only(roots))
            }).map_err(|error| {
                tracing::error!(%error, "no HTTP client for inputs");
                error.to_string()
            })
        });
        client.as_ref().map_err(|_| JobError::new(Category::Internal, "inputs cannot be fetched at the moment"))
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("guard", &self.guard)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
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
