//! The database of applications, for whoever changes it.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::application::{self, Application, NewApplication, Quota, Rights};
use crate::connection::{Change, Connection, Revision};
use crate::usage::{Tally, Total, day_of, now};
use crate::{AppsError, Place};

/// How long the secret before a rotation stays good, if nobody says otherwise: pages that were
/// signed with it go on working until they are made anew.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 3600);

/// How long connecting may take, and everything else: longer than SQLite waits for other processes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// The database of applications. It connects when it is first needed, and again after a failure.
#[derive(Debug)]
pub struct Applications {
    place: Place,
    connection: Mutex<Option<Connection>>,
}

/// The connection while it is in use. What is not given back is closed: after a failure, or when
/// whoever uses it is stopped half way, nobody knows what state it is in.
struct Lease<'a> {
    place: MutexGuard<'a, Option<Connection>>,
    connection: Connection,
}

impl Lease<'_> {
    fn give_back(mut self) {
        *self.place = Some(self.connection);
    }
}

impl Applications {
    /// Of a database that is there; for SQLite: a file that is there.
    ///
    /// # Errors
    /// [`AppsError`]: the address is wrong, the database is missing or away, or its tables could not
    /// be brought up to date.
    pub async fn open(place: Place) -> Result<Self, AppsError> {
        let applications = Applications::new(place);
        applications.lease().await?.give_back();
        Ok(applications)
    }

    /// The same, but SQLite's file, and the folder it is in, are made if they are missing.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn create(place: Place) -> Result<Self, AppsError> {
        let connection = connect(&place, true).await?;
        Ok(Applications { place, connection: Mutex::new(Some(connection)) })
    }

    /// Connects to nothing yet.
    pub(crate) fn new(place: Place) -> Self {
        Applications { place, connection: Mutex::new(None) }
    }

    /// Where the database is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Adds an application, with a key and a secret of its own.
    ///
    /// # Errors
    /// [`AppsError::Invalid`] for a label or an address that is none, and what any database gives.
    pub async fn add(&self, new: &NewApplication) -> Result<Application, AppsError> {
        new.check()?;
        let (key, secret) = (application::new_key()?, application::new_secret()?);
        let mut lease = self.lease().await?;
        let added = within(lease.connection.insert(new, &key, &secret)).await?;
        lease.give_back();
        Ok(added)
    }

    /// All applications, in the order in which they were added.
    ///
    /// # Errors
    /// What any database gives.
    pub async fn list(&self) -> Result<Vec<Application>, AppsError> {
        let mut lease = self.lease().await?;
        let list = within(lease.connection.list()).await?;
        lease.give_back();
        Ok(list)
    }

    /// The application with a key.
    ///
    /// # Errors
    /// [`AppsError::Unknown`] if there is none, and what any database gives.
    pub async fn get(&self, key: &str) -> Result<Application, AppsError> {
        let mut lease = self.lease().await?;
        let found = within(lease.connection.get(key)).await?;
        lease.give_back();
        found.ok_or_else(|| AppsError::Unknown(key.into()))
    }

    /// Disables an application, which then gets nothing, or enables it again.
    ///
    /// # Errors
    /// As [`Applications::get`].
    pub async fn set_enabled(&self, key: &str, enabled: bool) -> Result<Application, AppsError> {
        self.change(key, Change::Enabled(enabled)).await
    }

    /// Sets how much an application may have made in a day. What it had made today counts.
    ///
    /// # Errors
    /// As [`Applications::get`].
    pub async fn set_quota(&self, key: &str, quota: Quota) -> Result<Application, AppsError> {
        self.change(key, Change::Quota(quota)).await
    }

    /// Sets what else an application may.
    ///
    /// # Errors
    /// As [`Applications::get`].
    pub async fn set_rights(&self, key: &str, rights: Rights) -> Result<Application, AppsError> {
        self.change(key, Change::Rights(rights)).await
    }

    /// Gives an application a new secret. The present one stays good for `grace`
    /// ([`DEFAULT_GRACE`]; 0: not at all), the one before it does not.
    ///
    /// # Errors
    /// As [`Applications::get`], and [`AppsError::Random`].
    pub async fn rotate(&self, key: &str, grace: Duration) -> Result<Application, AppsError> {
        let secret = application::new_secret()?;
        let until = (!grace.is_zero()).then(|| now() + grace.as_millis() as u64);
        self.change(key, Change::Secret(&secret, until)).await
    }

    /// Notes what a process had made on certain days, in total: written twice, it is the same.
    /// `process` names the process, 1 to 64 characters, and no other must have that name.
    ///
    /// # Errors
    /// What any database gives.
    pub async fn record_usage(&self, process: &str, totals: &[Total]) -> Result<(), AppsError> {
        if totals.is_empty() {
            return Ok(());
        }
        let mut lease = self.lease().await?;
        within(lease.connection.write_usage(process, totals)).await?;
        lease.give_back();
        Ok(())
    }

    /// What each application had made today (UTC), those that had something made.
    ///
    /// # Errors
    /// What any database gives.
    pub async fn usage_today(&self) -> Result<Vec<(String, Tally)>, AppsError> {
        self.usage_of_others(day_of(now()), "-").await
    }

    /// What each application had made on a day in all processes but one.
    pub(crate) async fn usage_of_others(&self, day: u32, process: &str) -> Result<Vec<(String, Tally)>, AppsError> {
        let mut lease = self.lease().await?;
        let usage = within(lease.connection.usage(day, process)).await?;
        lease.give_back();
        Ok(usage)
    }

    /// Which state of the applications the database holds.
    pub(crate) async fn revision(&self) -> Result<Revision, AppsError> {
        let mut lease = self.lease().await?;
        let revision = within(lease.connection.revision()).await?;
        lease.give_back();
        Ok(revision)
    }

    /// Makes one row of each application and day before `day`.
    pub(crate) async fn merge_usage(&self, day: u32) -> Result<(), AppsError> {
        let mut lease = self.lease().await?;
        within(lease.connection.merge_usage(day)).await?;
        lease.give_back();
        Ok(())
    }

    /// Takes leave of the database.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            connection.close().await;
        }
    }

    async fn change(&self, key: &str, change: Change<'_>) -> Result<Application, AppsError> {
        let mut lease = self.lease().await?;
        let changed = within(lease.connection.change(key, &change)).await?;
        lease.give_back();
        changed.ok_or_else(|| AppsError::Unknown(key.into()))
    }

    async fn lease(&self) -> Result<Lease<'_>, AppsError> {
        let mut place = self.connection.lock().await;
        let connection = match place.take() {
            Some(connection) if connection.is_of(&self.place) => connection,
            _ => connect(&self.place, false).await?,
        };
        Ok(Lease { place, connection })
    }
}

async fn connect(place: &Place, create: bool) -> Result<Connection, AppsError> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, Connection::open(place, create));
    connecting.await.unwrap_or(Err(AppsError::Timeout(CONNECT_TIMEOUT)))
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, AppsError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(AppsError::Timeout(ANSWER_TIMEOUT)),
    }
}
