//! Connections to origins: made through the guard, kept for the next request, and made anew if a kept one is closed.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use imgflo_job::{Category, JobError, Limits};
use lru::LruCache;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};
use tokio::time::{Instant, timeout};
use url::Url;

use super::failure;
use super::guard::Guard;
use super::resolve::{GuardedResolver, Lookup};

/// For how long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(30);
/// Connections that are kept of a host.
const KEPT_PER_HOST: usize = 4;
/// Origins of which it is remembered that a connection may be kept.
const ORIGINS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// A client, made when first needed: it reads the system's certificates.
type Made = OnceLock<Result<Client, String>>;

pub(super) struct Connections {
    guard: Arc<Guard>,
    lookup: Lookup,
    user_agent: String,
    connect_timeout: Duration,
    first_byte_timeout: Duration,
    fetch_timeout: Duration,
    keeping: Made,
    /// Keeps no connection, so each of its requests has a new one.
    fresh: Made,
    /// When origins last answered.
    answered: Mutex<LruCache<String, Instant>>,
}

impl Connections {
    pub(super) fn new(guard: Arc<Guard>, lookup: Lookup, user_agent: String, limits: &Limits) -> Self {
        Connections {
            guard,
            lookup,
            user_agent,
            connect_timeout: limits.connect_timeout,
            first_byte_timeout: limits.first_byte_timeout,
            fetch_timeout: limits.fetch_timeout,
            keeping: Made::new(),
            fresh: Made::new(),
            answered: Mutex::new(LruCache::new(ORIGINS)),
        }
    }

    /// Asks for one URL, until the head of the answer is there. A request on a kept connection that the origin closes is
    /// made once more, on a new one (RFC 9112, 9.3.1).
    pub(super) async fn get(&self, url: &Url, site: &str) -> Result<Response, JobError> {
        let origin = url.origin().ascii_serialization();
        let mut answer = self.ask(self.client(&self.keeping, KEPT_PER_HOST)?, url).await;
        if matches!(&answer, Ok(Err(error)) if failure::is_closed(error)) && self.may_be_kept(&origin) {
            tracing::debug!(site, "a kept connection was closed; asking again on a new one");
            answer = self.ask(self.client(&self.fresh, 0)?, url).await;
        }
        match answer {
            Ok(Ok(response)) => {
                self.answered().put(origin, Instant::now());
                Ok(response)
            }
            Ok(Err(error)) => Err(failure::of(&error, site, self.connect_timeout)),
            Err(_) => Err(failure::late(site, "did not answer", self.first_byte_timeout, "IMGFLO_FIRST_BYTE_TIMEOUT")),
        }
    }

    async fn ask(
        &self,
        client: &Client,
        url: &Url,
    ) -> Result<Result<Response, reqwest::Error>, tokio::time::error::Elapsed> {
        timeout(
            self.connect_timeout + self.first_byte_timeout,
            client.get(url.clone()).header(ACCEPT_ENCODING, "gzip").send(),
        )
        .await
    }

    /// True if a connection to this origin may have been kept.
    fn may_be_kept(&self, origin: &str) -> bool {
        self.answered().get(origin).is_some_and(|at| at.elapsed() < self.fetch_timeout + KEPT)
    }

    fn answered(&self) -> std::sync::MutexGuard<'_, LruCache<String, Instant>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client<'a>(&self, made: &'a Made, kept_per_host: usize) -> Result<&'a Client, JobError> {
        let client = made.get_or_init(|| {
            // Already installed by the program or another worker: as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let build = |builder: ClientBuilder| {
                let resolver = GuardedResolver { guard: Arc::clone(&self.guard), lookup: Arc::clone(&self.lookup) };
                builder
                    .user_agent(&self.user_agent)
                    .dns_resolver(resolver)
                    .redirect(redirect::Policy::none())
                    .no_proxy()
                    .referer(false)
                    .connect_timeout(self.connect_timeout)
                    .pool_idle_timeout(KEPT)
                    .pool_max_idle_per_host(kept_per_host)
                    // As browsers do.
                    .http1_allow_obsolete_multiline_headers_in_responses(true)
                    .http1_allow_spaces_after_header_name_in_responses(true)
                    .http1_ignore_invalid_headers_in_responses(true)
                    .http1_max_headers(failure::MAX_HEADERS)
                    .build()
            };
            build(Client::builder())
                .or_else(|error| {
                    tracing::warn!(%error, "no certificate authorities on this system; using those of Mozilla, built in");
                    let roots =
                        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().flat_map(|root| Certificate::from_der(root));
                    build(Client::builder().tls_certs_only(roots))
                })
                .map_err(|error| {
                    tracing::error!(%error, "no HTTP client for inputs");
                    error.to_string()
                })
        });
        client.as_ref().map_err(|_| JobError::new(Category::Internal, "inputs cannot be fetched at the moment"))
    }
}
