//! Which bucket, where, and how long its answers may take.

use std::time::Duration;

use url::Url;

use crate::CacheError;

/// Shortest and longest lifetime of a presigned address; the longest is that of the protocol.
const PRESIGNED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(7 * 24 * 60 * 60));

/// How clients get results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// From the front end.
    Stream,
    /// From this address, which has prefix and key added: a public bucket, or a CDN before it.
    Public(String),
    /// From the bucket by its own address, which anybody may read.
    Bucket,
    /// From the bucket, by an address that is signed for so long: 1 minute to 7 days. One that is signed with
    /// credentials that end sooner (of a role) ends with them.
    Presigned(Duration),
}

/// Which bucket, and where. Credentials are found as the AWS SDK finds them: `AWS_ACCESS_KEY_ID`
/// and `AWS_SECRET_ACCESS_KEY`, profiles, and the metadata services of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Options {
    /// Name of the bucket, or ARN of an access point to one.
    pub bucket: String,
    /// Folder in it, without slashes at the ends.
    pub prefix: String,
    /// Another server than Amazon's: `http://minio:9000`.
    pub endpoint: Option<String>,
    /// Region; none: `AWS_REGION`, the profile's, or `us-east-1`.
    pub region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// How clients get results.
    pub delivery: Delivery,
}

impl S3Options {
    /// # Errors
    /// [`CacheError::BadSetting`] of the first that cannot be used. No address is in it: it may hold a password.
    pub(super) fn check(&self) -> Result<(), CacheError> {
        let bad = |reason: String| Err(CacheError::BadSetting(reason));
        let arn = self.bucket.starts_with("arn:");
        let in_bucket =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (arn && matches!(c, ':' | '/'));
        if self.bucket.is_empty() || self.bucket.len() > 255 || !self.bucket.chars().all(in_bucket) {
            return bad(format!("'{}' is no name of a bucket: 1 to 255 of A-Z a-z 0-9 . - _", self.bucket));
        }
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        let parts = self.prefix.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !self.prefix.is_empty() && (parts || self.prefix.len() > 500 || !self.prefix.chars().all(in_prefix)) {
            let prefix: String = self.prefix.chars().take(500).collect();
            return bad(format!("'{prefix}' is no folder of a bucket: up to 500 of A-Z a-z 0-9 . - _ / are expected"));
        }
        if self.endpoint.as_deref().is_some_and(|endpoint| !is_address(endpoint)) {
            return bad("the address of the S3 server is none: http://host:9000 or https://host is expected".into());
        }
        match &self.delivery {
            Delivery::Public(base) if !is_address(base) => {
                bad("the public address of the bucket is none: https://host/folder is expected".into())
            }
            Delivery::Presigned(lifetime) if *lifetime < PRESIGNED.0 || *lifetime > PRESIGNED.1 => {
                let [least, most] = [PRESIGNED.0, PRESIGNED.1].map(|lifetime| lifetime.as_secs());
                bad(format!("addresses cannot be signed for {} s: {least} to {most} s", lifetime.as_secs()))
            }
            _ => Ok(()),
        }
    }
}

/// An address that something can be added to. Credentials do not belong there.
fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// How long a bucket may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3Limits {
    /// To tell whether it has a blob, and to begin to send one. An attempt may take half of it.
    pub look: Duration,
    /// To send or take a blob. An attempt to send one may take half of it.
    pub transfer: Duration,
    /// Most attempts of one operation.
    pub attempts: u32,
}

impl Default for S3Limits {
    fn default() -> Self {
        // Clients wait for looks; a front end gives a store 5 s.
        S3Limits { look: Duration::from_secs(4), transfer: Duration::from_secs(60), attempts: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> S3Options {
        S3Options {
            bucket: "results".into(),
            prefix: "p".into(),
            endpoint: None,
            region: None,
            path_style: false,
            delivery: Delivery::Stream,
        }
    }

    #[test]
    fn usual_settings_are_taken() {
        let endpoints = [None, Some("http://minio:9000".to_owned()), Some("https://s3.example.org/a".to_owned())];
        for endpoint in endpoints {
            S3Options { endpoint, ..good() }.check().unwrap();
        }
        for prefix in ["", "p", "a/b-c_d/1.0"] {
            S3Options { prefix: prefix.into(), ..good() }.check().unwrap();
        }
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/results";
        for bucket in ["a.b", "Old_Bucket", arn] {
            S3Options { bucket: bucket.into(), ..good() }.check().unwrap();
        }
        let cdn = Delivery::Public("https://cdn.example.org/".into());
        for delivery in [Delivery::Bucket, cdn, Delivery::Presigned(Duration::from_secs(60))] {
            S3Options { delivery, ..good() }.check().unwrap();
        }
    }

    #[test]
    fn others_are_told_without_passwords() {
        let mut bad = Vec::new();
        for bucket in ["", "a/b", "a b", "../a", "ä", &"a".repeat(256)] {
            bad.push(S3Options { bucket: bucket.into(), ..good() });
        }
        for prefix in ["/p", "p/", "a//b", "../p", "a/./b", "ä", "a b", &"a".repeat(501)] {
            bad.push(S3Options { prefix: prefix.into(), ..good() });
        }
        for address in ["", "minio:9000", "ftp://minio", "http://", "http://me:hush@minio", "https://minio/?hush"] {
            bad.push(S3Options { endpoint: Some(address.into()), ..good() });
            bad.push(S3Options { delivery: Delivery::Public(address.into()), ..good() });
        }
        for seconds in [0, 59, 7 * 86400 + 1] {
            bad.push(S3Options { delivery: Delivery::Presigned(Duration::from_secs(seconds)), ..good() });
        }
        for options in bad {
            let error = options.check().expect_err(&format!("{options:?}"));
            assert!(matches!(error, CacheError::BadSetting(_)), "{options:?}");
            let text = error.to_string();
            assert!(!text.contains("hush") && text.len() < 700, "{text}");
        }
    }
}
