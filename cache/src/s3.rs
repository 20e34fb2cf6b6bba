//! A store in a bucket of S3, or of a server that speaks its protocol.
//!
//! A blob is the object `<prefix>/<key>`, with its media type and `Cache-Control`, so that a bucket
//! that is public, or a CDN before it, serves it as the front end would.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;

use crate::media_type::media_type;
use crate::{Address, Blob, CacheError, Store, key};

/// What a key names never changes.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";
/// How long connecting, one attempt, and all attempts of one operation may take.
const CONNECT: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(20);
/// Attempts of one operation. Workers try again themselves, with longer waits.
const ATTEMPTS: u32 = 2;
/// By how much the lifetime that we tell of a presigned address is shorter than its own.
const MARGIN: Duration = Duration::from_secs(60);
/// Region of a server that has none.
const NO_REGION: &str = "us-east-1";

/// How clients get results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// From the front end.
    Stream,
    /// From this address, which has the key added: a public bucket, or a CDN before it.
    Public(String),
    /// From the bucket, by an address that is signed for so long.
    Presigned(Duration),
}

/// Which bucket, and where. Credentials are found as the AWS SDK finds them: `AWS_ACCESS_KEY_ID`
/// and `AWS_SECRET_ACCESS_KEY`, profiles, and the metadata services of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Options {
    /// Name of the bucket.
    pub bucket: String,
    /// Folder in it, without slashes at the ends.
    pub prefix: String,
    /// Another server than Amazon's: `http://minio:9000`.
    pub endpoint: Option<String>,
    /// Region; none: `AWS_REGION`, or what the machine tells.
    pub region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// How clients get results.
    pub delivery: Delivery,
}

/// Blobs in a bucket. Clones share the connections.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    options: S3Options,
}

impl S3Store {
    /// A store in a bucket that exists. Asks the network for nothing, unless the region is told by
    /// the machine only.
    pub async fn open(options: S3Options) -> S3Store {
        Self::open_as(options, None).await
    }

    /// As [`S3Store::open`], with an access key and its secret instead of those that the SDK finds.
    pub async fn open_with(options: S3Options, access_key: &str, secret: &str) -> S3Store {
        Self::open_as(options, Some(Credentials::new(access_key, secret, None, None, "given"))).await
    }

    async fn open_as(options: S3Options, credentials: Option<Credentials>) -> S3Store {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let region = RegionProviderChain::first_try(options.region.clone().map(Region::new));
        let region = match &options.endpoint {
            Some(_) => region.or_else(std::env::var("AWS_REGION").ok().map(Region::new)).or_else(NO_REGION),
            None => region.or_default_provider(),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(region)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .load()
            .await;
        // Checksums beyond what the protocol asks for are refused by many servers that are not Amazon's.
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(options.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        config.set_endpoint_url(options.endpoint.clone());
        if let Some(credentials) = credentials {
            config = config.credentials_provider(credentials);
        }
        S3Store { client: Client::from_conf(config.build()), options }
    }

    fn object(&self, key: &str) -> String {
        if self.options.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.options.prefix) }
    }

    async fn write(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        let mut put = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.object(key))
            .content_type(media_type(&bytes, key))
            .cache_control(CACHE_CONTROL)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .body(ByteStream::from(bytes));
        if !replace {
            put = put.if_none_match("*");
        }
        match put.send().await {
            Ok(_) => Ok(()),
            // It is there already, and stays as it is.
            Err(error) if !replace && status(&error) == Some(412) => Ok(()),
            Err(error) => Err(failed("store", key, &error)),
        }
    }
}

/// HTTP status of the answer behind an error.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// An error of S3 as one of ours.
fn failed<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    action: &'static str,
    key: &str,
    error: &SdkError<E>,
) -> CacheError {
    let said = match error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            let text = [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            let status = context.raw().status().as_u16();
            let hint = match (status, error.code()) {
                (_, Some("NoSuchBucket")) => "; see IMGFLO_S3_BUCKET",
                (401 | 403, _) => "; see the credentials (AWS_ACCESS_KEY_ID) and the policy of the bucket",
                _ => "",
            };
            format!("status {status} {text}{hint}")
        }
        SdkError::TimeoutError(_) => "it does not answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => chain(error),
            None => chain(error),
        },
        other => chain(other),
    };
    CacheError::Unreachable { what: "S3", reason: format!("{action} '{key}': {said}") }
}

/// An error with all its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[async_trait]
impl Store for S3Store {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        key::check(key)?;
        let head = self.client.head_object().bucket(&self.options.bucket).key(self.object(key));
        match head.send().await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(failed("look up", key, &error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        key::check(key)?;
        let get = self.client.get_object().bucket(&self.options.bucket).key(self.object(key));
        let answer = match get.send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(failed("read", key, &error)),
        };
        let stored_at = answer.last_modified.and_then(|time| SystemTime::try_from(time).ok());
        let expected = answer.content_length;
        let bytes = answer.body.collect().await.map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes);
        let cut = |reason: String| CacheError::Unreachable { what: "S3", reason: format!("read '{key}': {reason}") };
        let bytes = bytes.map_err(|error| cut(chain(&error)))?;
        if expected.is_some_and(|length| u64::try_from(length) != Ok(bytes.len() as u64)) {
            return Err(cut("it sent less than it announced".into()));
        }
        Ok(Some(Blob { bytes, stored_at: stored_at.unwrap_or_else(SystemTime::now) }))
    }

    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        key::check(key)?;
        match &self.options.delivery {
            Delivery::Stream => Ok(None),
            Delivery::Public(base) => {
                let url = format!("{}/{}", base.trim_end_matches('/'), self.object(key));
                Ok(Some(Address { url, lifetime: None }))
            }
            Delivery::Presigned(lifetime) => {
                let config = PresigningConfig::expires_in(*lifetime)
                    .map_err(|error| CacheError::BadSetting(format!("the lifetime of addresses: {error}")))?;
                let get = self.client.get_object().bucket(&self.options.bucket).key(self.object(key));
                let signed = get.presigned(config).await.map_err(|error| failed("sign", key, &error))?;
                let lifetime = Some(lifetime.saturating_sub(MARGIN));
                Ok(Some(Address { url: signed.uri().to_owned(), lifetime }))
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        key::check(key)?;
        match self.write(key, bytes.clone(), replace).await {
            // A server that knows no conditions: writing the same again does no harm.
            Err(CacheError::Unreachable { reason, .. }) if !replace && reason.contains("status 501") => {
                self.write(key, bytes, true).await
            }
            written => written,
        }
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("options", &self.options).finish_non_exhaustive()
    }
}
