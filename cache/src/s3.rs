//! A store in a bucket of S3, or of a server that speaks its protocol.
//!
//! A blob is the object `<prefix>/<key>`, with its media type and `Cache-Control`, so that a bucket
//! that is public, or a CDN before it, serves it as the front end would. An object appears whole or
//! not at all: S3 promises that of each single upload.

mod failure;
mod options;
mod read;
mod spool;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::media_type::media_type;
use crate::{Address, Blob, CacheError, Store, Stored, key};

use failure::{meaning, status};
pub use options::{Delivery, S3Limits, S3Options};
use spool::Spool;

/// Header of blobs, unless [`S3Store::with_cache_control`] says otherwise: what a key names never changes.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// First and longest pause between attempts, and the pause before what another writer does is looked at.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// By how much the lifetime that we tell of a presigned address is shorter than its own, at most.
const MARGIN: Duration = Duration::from_secs(60);
/// Region of a server that has none, and where Amazon tells which is the right one.
const NO_REGION: &str = "us-east-1";
/// Largest object of a single upload, bytes.
const LARGEST: u64 = 5 << 30;

/// Blobs in a bucket. Clones share the connections.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    options: Arc<S3Options>,
    limits: S3Limits,
    spool: Arc<Spool>,
    /// Where public objects are found, ending before the folder.
    public: Option<String>,
    /// The server knows `If-None-Match` of uploads, as far as we know.
    conditions: Arc<AtomicBool>,
    cache_control: fn(&str) -> &'static str,
}

impl S3Store {
    /// A store in a bucket that exists. Asks the network for nothing.
    ///
    /// # Errors
    /// [`CacheError::BadSetting`].
    pub async fn open(options: S3Options) -> Result<S3Store, CacheError> {
        Self::open_as(options, None).await
    }

    /// As [`S3Store::open`], with an access key and its secret instead of those that the SDK finds.
    ///
    /// # Errors
    /// [`CacheError::BadSetting`].
    pub async fn open_with(options: S3Options, access_key: &str, secret: &str) -> Result<S3Store, CacheError> {
        Self::open_as(options, Some(Credentials::new(access_key, secret, None, None, "given"))).await
    }

    async fn open_as(options: S3Options, credentials: Option<Credentials>) -> Result<S3Store, CacheError> {
        options.check()?;
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        // Not asked of the machine, which would be the network.
        let region = RegionProviderChain::first_try(options.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(NO_REGION);
        let shared = aws_config::defaults(BehaviorVersion::latest()).http_client(http).region(region).load().await;
        // Checksums beyond what the protocol asks for are refused by many servers that are not Amazon's.
        let mut config = Builder::from(&shared)
            .force_path_style(options.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &options.endpoint {
            config = config.endpoint_url(endpoint);
        }
        if let Some(credentials) = credentials {
            config = config.credentials_provider(credentials);
        }
        let public = match &options.delivery {
            Delivery::Public(base) => Some(base.trim_end_matches('/').to_owned()),
            Delivery::Bucket => Some(address_of_bucket(&options.bucket, config.clone()).await?),
            Delivery::Stream | Delivery::Presigned(_) => None,
        };
        Ok(S3Store {
            client: Client::from_conf(config.build()),
            options: Arc::new(options),
            limits: S3Limits::default(),
            spool: Arc::default(),
            public,
            conditions: Arc::new(AtomicBool::new(true)),
            cache_control: |_| CACHE_CONTROL,
        })
    }

    /// The same store with other limits than the usual ones.
    #[must_use]
    pub fn with_limits(mut self, limits: S3Limits) -> S3Store {
        self.limits = limits;
        self
    }

    /// Returns this store with the header `Cache-Control` that `of` gives for a blob's key.
    #[must_use]
    pub fn with_cache_control(mut self, of: fn(&str) -> &'static str) -> S3Store {
        self.cache_control = of;
        self
    }

    /// Returns this store with a folder for large results while they are read, of so many bytes together; without one
    /// they are held in memory. A reader waits while there is no room for its result.
    #[must_use]
    pub fn with_spool(mut self, folder: PathBuf, bytes: u64) -> S3Store {
        self.spool = Arc::new(Spool::new(Some(folder), bytes));
        self
    }

    fn object(&self, key: &str) -> String {
        if self.options.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.options.prefix) }
    }

    /// How long an attempt and all of them may take.
    fn limited(&self, attempt: Duration, all: Duration) -> Builder {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt).operation_timeout(all);
        let attempts = RetryConfig::standard()
            .with_max_attempts(self.limits.attempts)
            .with_initial_backoff(PAUSES.0)
            .with_max_backoff(PAUSES.1);
        Builder::new().timeout_config(timeouts.build()).retry_config(attempts)
    }

    fn failed(&self, action: &'static str, key: &str, reason: &str) -> CacheError {
        failure::error(action, key, &self.options.bucket, reason)
    }

    /// Returns the blob that is there under a key.
    async fn look(&self, key: &str) -> Result<Option<Found>, CacheError> {
        key::check(key)?;
        let head = self.client.head_object().bucket(&self.options.bucket).key(self.object(key));
        let limits = self.limited(self.limits.look / 2, self.limits.look);
        match head.customize().config_override(limits).send().await {
            Ok(answer) if answer.content_length == Some(0) => Ok(Some(Found::Empty)),
            Ok(_) => Ok(Some(Found::Blob)),
            Err(error) if status(&error) == Some(404) && !no_bucket(&error) => Ok(None),
            Err(error) => Err(self.failed("look up", key, &meaning(&error))),
        }
    }

    /// Stores, where `new` only if the key is not stored yet.
    async fn write(&self, key: &str, bytes: Bytes, new: bool) -> Result<(), SdkError<PutObjectError>> {
        let put = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.object(key))
            .content_type(media_type(&bytes, key))
            .cache_control((self.cache_control)(key))
            .metadata(read::DIGEST, read::spelled(&Sha256::digest(&bytes)))
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .set_if_none_match(new.then(|| "*".to_owned()))
            .body(ByteStream::from(bytes));
        let limits = self.limited(self.limits.transfer / 2, self.limits.transfer);
        put.customize().config_override(limits).send().await.map(|_| ())
    }

    /// An address that is signed until a while from now. The same for a quarter of its lifetime, so that clients and
    /// what is between us and them can keep what they got from it.
    async fn presigned(&self, key: &str, lifetime: Duration) -> Result<Address, CacheError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Duration::from_secs(now.as_secs() - now.as_secs() % (lifetime.as_secs() / 4).max(1));
        let config = PresigningConfig::builder().start_time(UNIX_EPOCH + start).expires_in(lifetime).build();
        let config = config.map_err(|error| CacheError::BadSetting(format!("the lifetime of addresses: {error}")))?;
        let get = self.client.get_object().bucket(&self.options.bucket).key(self.object(key));
        let signed = get.presigned(config).await.map_err(|error| self.failed("sign", key, &meaning(&error)))?;
        let left = (start + lifetime).saturating_sub(now);
        let lifetime = Some(left.saturating_sub(MARGIN.min(lifetime / 10)));
        Ok(Address { url: signed.uri().to_owned(), lifetime })
    }
}

/// Blob under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Blob,
    /// An object that something emptied.
    Empty,
}

fn no_bucket<E: aws_sdk_s3::error::ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error, SdkError::ServiceError(context) if context.err().code() == Some("NoSuchBucket"))
}

/// Where the objects of a bucket are, as the SDK builds it for regions, partitions and endpoints of all sorts.
async fn address_of_bucket(bucket: &str, config: Builder) -> Result<String, CacheError> {
    let nobody = Credentials::new("nobody", "nothing", None, None, "none");
    let config = config.credentials_provider(nobody).disable_s3_express_session_auth(true).build();
    let hour = PresigningConfig::expires_in(Duration::from_secs(3600));
    let hour = hour.map_err(|error| CacheError::BadSetting(error.to_string()))?;
    let signed = Client::from_conf(config).get_object().bucket(bucket).key("key").presigned(hour).await;
    let signed =
        signed.map_err(|error| CacheError::BadSetting(format!("the bucket '{bucket}': {}", meaning(&error))))?;
    let base = signed.uri().split('?').next().and_then(|url| url.strip_suffix("/key"));
    let base = base.ok_or_else(|| CacheError::BadSetting(format!("the bucket '{bucket}' has no public address")))?;
    Ok(base.to_owned())
}

#[async_trait]
impl Store for S3Store {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.look(key).await? == Some(Found::Blob))
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        key::check(key)?;
        self.in_time(key, self.read(key)).await
    }

    async fn open(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        key::check(key)?;
        self.in_time(key, self.read_open(key)).await
    }

    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        key::check(key)?;
        if let Some(base) = &self.public {
            let url = format!("{base}/{}", self.object(key));
            return Ok(Some(Address { url, lifetime: None }));
        }
        match self.options.delivery {
            Delivery::Presigned(lifetime) => self.presigned(key, lifetime).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        key::check(key)?;
        let size = bytes.len() as u64;
        if size > LARGEST {
            return Err(CacheError::TooLarge { bytes: size, limit: LARGEST });
        }
        if bytes.is_empty() {
            return Err(CacheError::Empty(key.to_owned()));
        }
        // Saves sending it; and is all there is to keep what is stored where a server knows no conditions.
        let replace = replace
            || match self.look(key).await? {
                Some(Found::Blob) => return Ok(()),
                found => found == Some(Found::Empty),
            };
        let known = self.conditions.load(Ordering::Relaxed);
        let mut new = !replace && known;
        for attempt in 1.. {
            let Err(error) = self.write(key, bytes.clone(), new).await else {
                if known && !new && !replace {
                    tracing::debug!("the S3 server knows no conditional uploads");
                    self.conditions.store(false, Ordering::Relaxed);
                }
                return Ok(());
            };
            match status(&error) {
                // Somebody was faster; equal keys hold equal blobs.
                Some(412) if new => return Ok(()),
                // Somebody is at it.
                Some(409) if new && attempt < self.limits.attempts => {
                    tokio::time::sleep(PAUSES.0).await;
                    if self.contains(key).await? {
                        return Ok(());
                    }
                }
                Some(400 | 501) if new => new = false,
                _ => return Err(self.failed("store", key, &meaning(&error))),
            }
        }
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        key::check(key)?;
        let delete = self.client.delete_object().bucket(&self.options.bucket).key(self.object(key));
        let limits = self.limited(self.limits.look / 2, self.limits.look);
        match delete.customize().config_override(limits).send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) && !no_bucket(&error) => Ok(()),
            Err(error) => Err(self.failed("remove", key, &meaning(&error))),
        }
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("options", &self.options).finish_non_exhaustive()
    }
}
