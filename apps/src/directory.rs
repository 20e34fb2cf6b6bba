//! What a front end knows of applications: in memory, never older than about a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::connection::Revision;
use crate::usage::{Allowance, Counters, Tally, day_of, now};
use crate::{Application, Applications, AppsError, Place, Quota};

/// How often the database is asked what has changed. One of PostgreSQL also tells by itself.
const POLL: Duration = Duration::from_millis(500);
/// Between attempts to reach a database that is away: grows from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// How long a start waits for the first look at the database.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How long an end may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// The channel on which PostgreSQL tells of changes.
const CHANNEL: &str = "imgflo_applications";
/// What is said after this time of an application whose images under way use its quota up.
const SPOKEN_FOR: Duration = Duration::from_secs(5);

/// How it stands with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Standing {
    /// The database has not been reached yet: nobody is known.
    Unknown,
    /// SQLite's file is not there yet: there are no applications.
    None,
    /// The directory is that of the database.
    Current {
        /// Applications, enabled or not.
        applications: usize,
    },
    /// The database is away: what was known last stays in force.
    Stale {
        /// Applications, enabled or not.
        applications: usize,
        /// For how long, seconds.
        seconds: u64,
        /// Totals of usage that wait to be written.
        unwritten: usize,
    },
}

/// Why an application may have nothing made. What is stored it may have all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its quota is 0.
    CachedOnly,
    /// Its quota is used up.
    UsedUp(Allowance),
    /// The images that it has under way are expected to use its quota up.
    SpokenFor {
        /// What is left without them.
        allowance: Allowance,
        /// When to ask again.
        retry: Duration,
    },
}

/// All applications, by key; and what is counted.
///
/// **Usage** is shared by all front ends of a database. Each knows its own exactly and that of the
/// others as of the last second; images under way count for what the application's images of today
/// count for on average (1 megapixel before the first). So a quota is overrun, at worst, by what is
/// under way at *other* front ends plus one second of their results, and by how much the images
/// under way here are larger than the average. Usage that cannot be written is kept, today's and
/// yesterday's; it is lost if the process ends before the database is back.
#[derive(Debug)]
pub struct Directory {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
struct Shared {
    applications: Applications,
    /// Names this process in the table of usage.
    process: String,
    known: RwLock<Known>,
    counters: Mutex<Counters>,
    /// Wakes the task that follows the database.
    wake: Notify,
}

#[derive(Debug)]
struct Known {
    by_key: HashMap<String, Arc<Application>>,
    /// Which state of the database this is; none before the first.
    revision: Option<Revision>,
    /// False: SQLite's file is not there (yet).
    exists: bool,
    /// Since when the database is away.
    away: Option<Instant>,
}

impl Directory {
    /// Follows a database. Waits some seconds for the first look at it; if it is away, it goes on
    /// trying, and nobody is known until then. SQLite's file may be missing: then there are no
    /// applications until somebody makes it.
    ///
    /// # Errors
    /// [`AppsError::Random`].
    pub async fn start(place: Place) -> Result<Self, AppsError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        let shared = Arc::new(Shared {
            applications: Applications::new(place),
            process: hex::encode(id),
            known: RwLock::new(Known { by_key: HashMap::new(), revision: None, exists: true, away: None }),
            counters: Mutex::new(Counters::default()),
            wake: Notify::new(),
        });
        let first = tokio::time::timeout(FIRST_LOOK, shared.look()).await;
        shared.note(first.unwrap_or(Err(AppsError::Timeout(FIRST_LOOK))));
        let mut tasks = vec![tokio::spawn(Arc::clone(&shared).follow()).abort_handle()];
        if matches!(shared.applications.place(), Place::Postgres(_)) {
            tasks.push(tokio::spawn(Arc::clone(&shared).listen()).abort_handle());
        }
        Ok(Directory { shared, tasks })
    }

    /// The application with a key.
    pub fn find(&self, key: &str) -> Option<Arc<Application>> {
        self.shared.known().by_key.get(key).cloned()
    }

    /// True when it is known that there is no application at all.
    pub fn is_empty(&self) -> bool {
        let known = self.shared.known();
        known.by_key.is_empty() && (known.revision.is_some() || !known.exists)
    }

    /// How it stands with the database.
    pub fn standing(&self) -> Standing {
        let unwritten = self.shared.counters().waiting();
        let known = self.shared.known();
        let applications = known.by_key.len();
        match known.away {
            _ if !known.exists => Standing::None,
            _ if known.revision.is_none() => Standing::Unknown,
            None => Standing::Current { applications },
            Some(since) => Standing::Stale { applications, seconds: since.elapsed().as_secs(), unwritten },
        }
    }

    /// What an application had made today.
    pub fn used(&self, key: &str) -> Tally {
        self.shared.counters().used(key, now())
    }

    /// What is left of an application's quota; none if it has no limit.
    pub fn allowance(&self, application: &Application) -> Option<Allowance> {
        self.shared.counters().allowance(&application.key, application.quota, now())
    }

    /// Whether an application may have one more image made.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, application: &Application) -> Result<Reservation, Refusal> {
        if application.quota == Quota::Megapixels(0) {
            return Err(Refusal::CachedOnly);
        }
        let (key, now) = (&application.key, now());
        let mut counters = self.shared.counters();
        if let Some(allowance) = counters.allowance(key, application.quota, now) {
            if allowance.remaining == 0 {
                return Err(Refusal::UsedUp(allowance));
            }
            if counters.is_spoken_for(key, &allowance) {
                return Err(Refusal::SpokenFor { allowance, retry: SPOKEN_FOR.min(allowance.reset) });
            }
        }
        let expected = counters.reserve(key, now);
        Ok(Reservation { shared: Arc::clone(&self.shared), key: key.clone(), expected })
    }

    /// Writes what is not written yet, and takes leave of the database.
    pub async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        let farewell = async {
            if let Err(error) = self.shared.write().await {
                tracing::warn!(%error, "the usage of applications could not be written");
            }
            self.shared.applications.close().await;
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("the usage of applications could not be written: the database does not answer");
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// One image that an application may have made. It ends with the image, or when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    key: String,
    expected: u64,
}

impl Reservation {
    /// The image is made: counts its pixels.
    pub fn settle(self, pixels: u64) {
        self.shared.counters().record(&self.key, pixels, now());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.counters().release(&self.key, self.expected);
    }
}

impl Shared {
    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the database for ever.
    async fn follow(self: Arc<Self>) {
        let mut pause = RETRY.0;
        let mut merged = None;
        loop {
            // Whoever listens hears of changes sooner.
            let _ = tokio::time::timeout(pause, self.wake.notified()).await;
            let looked = self.look().await;
            pause = match &looked {
                Ok(()) => POLL,
                Err(_) => RETRY.1.min(pause * 2),
            };
            let today = day_of(now());
            if looked.is_ok() && merged != Some(today) {
                merged = Some(today);
                // Another process may be at it; then there is nothing to do.
                if let Err(error) = self.applications.merge_usage(today.saturating_sub(1)).await {
                    tracing::debug!(%error, "the usage of past days is left as it is");
                }
            }
            self.note(looked);
        }
    }

    /// Writes what was counted here, and reads what has changed.
    async fn look(&self) -> Result<(), AppsError> {
        self.write().await?;
        let revision = self.applications.revision().await?;
        if self.known().revision != Some(revision) {
            let list = self.applications.list().await?;
            let by_key = list.into_iter().map(|application| (application.key.clone(), Arc::new(application))).collect();
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.by_key = by_key;
            known.revision = Some(revision);
        }
        let day = day_of(now());
        let others = self.applications.usage_of_others(day, &self.process).await?;
        self.counters().heard(day, others, now());
        Ok(())
    }

    async fn write(&self) -> Result<(), AppsError> {
        let totals = self.counters().unwritten();
        self.applications.record_usage(&self.process, &totals).await?;
        self.counters().written(&totals);
        Ok(())
    }

    /// Notes how a look at the database ended; says so once.
    fn note(&self, looked: Result<(), AppsError>) {
        let place = self.applications.place();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(()) => {
                if known.away.take().is_some() || !known.exists {
                    tracing::info!(database = %place, "the database of applications is there");
                }
                known.exists = true;
            }
            // Nobody has made it yet.
            Err(AppsError::Missing(_)) if known.revision.is_none() => known.exists = false,
            Err(error) => {
                if known.away.is_none() {
                    tracing::warn!(database = %place, %error, "the database of applications is away: what was known last stays in force");
                    known.away = Some(Instant::now());
                }
                known.exists = true;
            }
        }
    }

    /// Has PostgreSQL tell of changes. Without that, they are seen at the next look.
    async fn listen(self: Arc<Self>) {
        let Place::Postgres(options) = self.applications.place() else { return };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.as_ref().clone());
        loop {
            if let Err(error) = self.hear(&pool).await {
                tracing::debug!(%error, "PostgreSQL does not tell of changes");
            }
            tokio::time::sleep(RETRY.1).await;
        }
    }

    async fn hear(&self, pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            listener.recv().await?;
            self.wake.notify_one();
        }
    }
}
