//! What S3 says when it fails, as errors that tell what to look at.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::CacheError;

/// As much of a text from the other side as is told, bytes.
const MOST: usize = 300;

/// HTTP status of the answer behind an error.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// An error of ours.
pub(super) fn error(action: &'static str, key: &str, bucket: &str, reason: &str) -> CacheError {
    CacheError::Unreachable {
        what: "S3",
        reason: format!("cannot {action} '{key}' in the bucket '{bucket}': {reason}"),
    }
}

/// What an error of the SDK means.
pub(super) fn meaning<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    error: &SdkError<E>,
) -> String {
    let Some(response) = error.raw_response() else {
        return match error {
            SdkError::TimeoutError(_) => "it does not answer in time".to_owned(),
            other => {
                let causes = chain(other);
                let hint = if causes.contains("credential") { "; see AWS_ACCESS_KEY_ID" } else { "" };
                format!("{}{hint}", some(&causes))
            }
        };
    };
    let status = response.status().as_u16();
    let said = match error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        other => chain(other),
    };
    let hint = match (status, error.code()) {
        (_, Some("NoSuchBucket")) => "; see IMGFLO_S3_BUCKET".to_owned(),
        (401 | 403, _) => "; see the credentials (AWS_ACCESS_KEY_ID) and the policy of the bucket \
            (s3:GetObject, s3:PutObject, s3:ListBucket)"
            .to_owned(),
        (301 | 307 | 400, _) => match response.headers().get("x-amz-bucket-region") {
            Some(region) => format!("; the bucket is in the region {region}: see IMGFLO_S3_REGION"),
            None => String::new(),
        },
        _ => String::new(),
    };
    let space = if said.is_empty() { "" } else { " " };
    format!("status {status}{space}{}{hint}", some(&said))
}

/// As much of a text as is told.
fn some(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST)]
}

/// An error with all its causes, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        // On one line: the log has one for each event.
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if !said.last().is_some_and(|last| last.ends_with(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}
