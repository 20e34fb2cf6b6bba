//! Files of pictures that editors look at: each is made once, however many of them ask for it.
//!
//! Pictures of one place (a *lane*: a process, in one size and format) are made one after another, so that editors who
//! look at the same place while it is edited get the same pictures, and each has all cores.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use imgflo_runtime::Control;
use imgflo_runtime::ops::Cancel;
use lru::LruCache;
use tokio::sync::{Semaphore, watch};

use crate::lock::lock;
use crate::refused::{Refused, internal};

/// Finished files that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(32).unwrap();
/// Largest file that is kept, bytes.
const LARGEST_KEPT: usize = 1 << 20;
/// Interval at which a paused rendering looks whether it is cancelled.
const LOOKS: Duration = Duration::from_millis(10);

/// A file, or why there is none.
pub(crate) type Outcome = Result<Bytes, Refused>;
type Making = BoxFuture<'static, Outcome>;

/// A file that is wanted.
pub(crate) struct Wanted {
    /// Tells the file from all others.
    pub key: String,
    /// The place that it is a picture of.
    pub lane: String,
    /// Exact pictures pause for drafts.
    pub draft: bool,
    /// Time it may take.
    pub limit: Duration,
}

/// A file that somebody waits for.
struct Begun {
    lane: String,
    /// Gone when nobody waits any more.
    making: WeakShared<Making>,
    /// Closed when the work has ended.
    ended: watch::Receiver<()>,
}

/// Makes files, and keeps those that were made last.
pub(crate) struct Pictures {
    drafts: Arc<Semaphore>,
    exact: Arc<Semaphore>,
    drafting: Arc<Drafting>,
    kept: Mutex<LruCache<String, Bytes>>,
    begun: Mutex<HashMap<String, Begun>>,
}

impl Pictures {
    /// One that makes as many drafts at a time as there are threads, and one exact picture.
    pub fn new(threads: usize) -> Self {
        Pictures {
            drafts: Arc::new(Semaphore::new(threads.max(1))),
            exact: Arc::new(Semaphore::new(1)),
            drafting: Arc::default(),
            kept: Mutex::new(LruCache::new(KEPT)),
            begun: Mutex::default(),
        }
    }

    /// Returns a file that is kept, being made, or made by `make` now. When another of its lane is being made, waits
    /// for the end of that and returns `None`: by then a newer file may be wanted. The work is cancelled when the last
    /// who waits for it leaves.
    pub async fn get(
        &self,
        wanted: Wanted,
        make: impl FnOnce(&Control) -> Outcome + Send + 'static,
    ) -> Option<Outcome> {
        let found = {
            let mut begun = lock(&self.begun);
            if let Some(bytes) = lock(&self.kept).get(&wanted.key) {
                return Some(Ok(bytes.clone()));
            }
            let making = begun.get(&wanted.key).and_then(|begun| begun.making.upgrade());
            let ends = |begun: &Begun| begun.ended.has_changed().is_err();
            begun.retain(|_, begun| begun.making.upgrade().is_some());
            let other = begun.values().find(|begun| begun.lane == wanted.lane && !ends(begun));
            match (making, other) {
                (Some(making), _) => Ok(making),
                (None, Some(other)) => Err(other.ended.clone()),
                (None, None) => {
                    let (making, ended) = self.begin(&wanted, make);
                    if let Some(weak) = making.downgrade() {
                        begun.insert(wanted.key.clone(), Begun { lane: wanted.lane.clone(), making: weak, ended });
                    }
                    Ok(making)
                }
            }
        };
        match found {
            Ok(making) => {
                let outcome = making.clone().await;
                // Kept before it is let go of, so that nobody makes it again in between.
                if let Ok(bytes) = &outcome
                    && bytes.len() <= LARGEST_KEPT
                {
                    lock(&self.kept).put(wanted.key, bytes.clone());
                }
                Some(outcome)
            }
            Err(mut ended) => {
                // An error says that it has ended.
                let _ = ended.changed().await;
                None
            }
        }
    }

    fn begin(
        &self,
        wanted: &Wanted,
        make: impl FnOnce(&Control) -> Outcome + Send + 'static,
    ) -> (Shared<Making>, watch::Receiver<()>) {
        let (ending, ended) = watch::channel(());
        let cancel = Cancel::with_deadline(Instant::now() + wanted.limit);
        let stop = Stop(cancel.clone());
        let draft = wanted.draft;
        let turns = Arc::clone(if draft { &self.drafts } else { &self.exact });
        let drafting = Arc::clone(&self.drafting);
        let making = async move {
            // Both go with the last who waits.
            let (_ending, _stop) = (ending, stop);
            let turn = turns.acquire_owned().await.map_err(|error| internal(&error.to_string()))?;
            let work = tokio::task::spawn_blocking(move || {
                // It ends with the work, not with those who wait for it.
                let _turn = turn;
                if draft {
                    let _drafting = drafting.begin();
                    return make(&Control { cancel, progress: None });
                }
                let pausing = cancel.clone();
                make(&Control { cancel, progress: Some(Arc::new(move |_| drafting.pause(&pausing))) })
            });
            work.await.unwrap_or_else(|error| Err(internal(&error.to_string())))
        };
        (making.boxed().shared(), ended)
    }
}

/// Stops work when it is dropped.
struct Stop(Cancel);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts the drafts that are being made.
#[derive(Debug, Default)]
struct Drafting {
    count: Mutex<usize>,
    none: Condvar,
}

impl Drafting {
    fn begin(&self) -> Drafted<'_> {
        *lock(&self.count) += 1;
        Drafted(self)
    }

    /// Holds the calling thread while drafts are being made.
    fn pause(&self, cancel: &Cancel) {
        let mut count = lock(&self.count);
        while *count > 0 && cancel.check().is_ok() {
            count = self.none.wait_timeout(count, LOOKS).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A draft that is being made.
struct Drafted<'d>(&'d Drafting);

impl Drop for Drafted<'_> {
    fn drop(&mut self) {
        *lock(&self.0.count) -= 1;
        self.0.none.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn wanted(key: &str, lane: &str, draft: bool) -> Wanted {
        Wanted { key: key.into(), lane: lane.into(), draft, limit: Duration::from_secs(60) }
    }

    /// Work that says it has begun, and ends when it is cancelled or told to.
    fn work(
        begun: &mpsc::Sender<()>,
        end: mpsc::Receiver<()>,
        answer: &'static [u8],
    ) -> impl FnOnce(&Control) -> Outcome + Send + 'static {
        let begun = begun.clone();
        move |control| {
            begun.send(()).expect("somebody listens");
            loop {
                match end.recv_timeout(Duration::from_millis(1)) {
                    Err(mpsc::RecvTimeoutError::Timeout) if control.cancel.check().is_ok() => {}
                    Err(mpsc::RecvTimeoutError::Timeout) => return Err(internal("cancelled")),
                    _ => return Ok(Bytes::from_static(answer)),
                }
            }
        }
    }

    /// Waits until so many wait for the only file that is being made.
    async fn until_joined(pictures: &Pictures, waiters: usize) {
        // Each has two handles; one is for counting.
        let count = || lock(&pictures.begun).values().find_map(|begun| begun.making.upgrade()?.strong_count());
        while count() != Some(2 * waiters + 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn equal_pictures_are_made_once() {
        let pictures = Arc::new(Pictures::new(4));
        let made = Arc::new(AtomicUsize::new(0));
        let ask = |lane: &'static str| {
            let (pictures, made) = (Arc::clone(&pictures), Arc::clone(&made));
            tokio::spawn(async move {
                let work = move |_: &Control| {
                    made.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                    Ok(Bytes::from_static(b"file"))
                };
                pictures.get(wanted("key", lane, true), work).await
            })
        };
        let answers = futures::future::join_all(["here", "here", "there"].map(ask)).await;
        for answer in answers {
            assert_eq!(
                answer.expect("no panic").expect("not told to ask again").ok(),
                Some(Bytes::from_static(b"file"))
            );
        }
        assert!(ask("here").await.expect("no panic").is_some_and(|answer| answer.is_ok()), "it is kept");
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_stops_when_the_last_who_waits_leaves() {
        let pictures = Arc::new(Pictures::new(1));
        let (begun, begins) = mpsc::channel();
        let (_end, ends) = mpsc::channel();
        let (ended, cancelled) = mpsc::channel();
        let inner = work(&begun, ends, b"");
        let make = move |control: &Control| {
            let outcome = inner(control);
            ended.send(outcome.is_err()).expect("somebody listens");
            outcome
        };
        let [first, second] = {
            let asked = Arc::clone(&pictures);
            let first = tokio::spawn(async move { asked.get(wanted("key", "lane", false), make).await });
            begins.recv().expect("it begins");
            let asked = Arc::clone(&pictures);
            let second = tokio::spawn(async move { asked.get(wanted("key", "lane", false), |_| unreachable!()).await });
            [first, second]
        };
        until_joined(&pictures, 2).await;
        first.abort();
        assert!(cancelled.recv_timeout(Duration::from_millis(50)).is_err(), "the other waits for it");
        second.abort();
        assert!(tokio::task::spawn_blocking(move || cancelled.recv()).await.unwrap().expect("it ends"), "cancelled");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_makes_one_after_another() {
        let pictures = Arc::new(Pictures::new(4));
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let make = work(&begun, ends, b"old");
        let asked = Arc::clone(&pictures);
        let old = tokio::spawn(async move { asked.get(wanted("old", "lane", true), make).await });
        begins.recv().expect("it begins");
        let mut new = std::pin::pin!(pictures.get(wanted("new", "lane", true), |_| unreachable!()));
        assert!(futures::poll!(new.as_mut()).is_pending());
        let elsewhere = pictures.get(wanted("other", "elsewhere", true), |_| Ok(Bytes::from_static(b"other")));
        assert!(elsewhere.await.is_some(), "another lane does not wait");
        assert!(futures::poll!(new.as_mut()).is_pending());
        end.send(()).expect("it waits");
        assert!(old.await.unwrap().is_some_and(|outcome| outcome.is_ok()));
        assert!(new.await.is_none(), "by now another may be wanted");
        let new = pictures.get(wanted("new", "lane", true), |_| Ok(Bytes::from_static(b"new")));
        assert_eq!(new.await.expect("the lane is free").ok(), Some(Bytes::from_static(b"new")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_exact_picture_pauses_for_drafts() {
        let pictures = Arc::new(Pictures::new(4));
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let draft = work(&begun, ends, b"draft");
        let asked = Arc::clone(&pictures);
        let draft = tokio::spawn(async move { asked.get(wanted("draft", "draft", true), draft).await });
        begins.recv().expect("it begins");
        let (tile, tiles) = mpsc::channel();
        let exact = move |control: &Control| {
            tile.send("begun").expect("somebody listens");
            control.progress.as_ref().expect("it is watched")(0.5);
            tile.send("goes on").expect("somebody listens");
            Ok(Bytes::new())
        };
        let asked = Arc::clone(&pictures);
        let exact = tokio::spawn(async move { asked.get(wanted("exact", "exact", false), exact).await });
        assert_eq!(tiles.recv(), Ok("begun"));
        assert!(tiles.recv_timeout(Duration::from_millis(50)).is_err(), "it pauses");
        end.send(()).expect("it waits");
        assert!(draft.await.unwrap().is_some());
        assert!(exact.await.unwrap().is_some());
        assert_eq!(tiles.recv(), Ok("goes on"));
    }
}
