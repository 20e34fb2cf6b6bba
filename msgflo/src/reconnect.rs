//! When a broker that is away is tried again.

use std::fmt::Display;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The waits between attempts, without an end: 0.1 s to 10 s, with jitter, so that many clients
/// of one broker do not come back all at once.
fn waits() -> impl Iterator<Item = Duration> {
    let waits = ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times();
    waits.build().map(|wait| wait.min(LONGEST_WAIT))
}

/// Connects to the broker at `place`, as often as it takes.
pub(crate) async fn again<T, E: Display, C: Future<Output = Result<T, E>>>(place: &str, connect: impl Fn() -> C) -> T {
    for wait in waits() {
        tokio::time::sleep(wait).await;
        match connect().await {
            Ok(connected) => return connected,
            Err(error) => {
                let again_in = wait.as_millis() as u64;
                tracing::warn!(broker = place, %error, again_in, "the broker is still not reachable");
            }
        }
    }
    // The waits have no end.
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_go_on() {
        let waits: Vec<Duration> = waits().take(50).collect();
        assert!((FIRST_WAIT..=2 * FIRST_WAIT).contains(&waits[0]), "{:?}", waits[0]);
        assert!(waits[9..].iter().all(|wait| *wait == LONGEST_WAIT), "{waits:?}");
        assert_eq!(waits.len(), 50);
    }
}
