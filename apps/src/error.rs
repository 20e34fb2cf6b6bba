//! What can go wrong with applications.

use std::path::PathBuf;
use std::time::Duration;

/// Why something about applications failed. No text holds a secret or a password.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The database's address is of no use.
    #[error("{0}; the database is a file, sqlite:///path/to/file or postgres://user:password@host/database")]
    Address(String),
    /// There is no such file.
    #[error("there is no database {}; `imgflo apps add` makes it", .0.display())]
    Missing(PathBuf),
    /// No application has this key.
    #[error("there is no application with the key '{0}'")]
    Unknown(String),
    /// An application cannot be like this.
    #[error("{what} '{given}': {wanted}")]
    Invalid {
        /// Which property.
        what: &'static str,
        /// Its value.
        given: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The file could not be made.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The database does not answer in time.
    #[error("the database does not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The database cannot be reached, or refuses.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be made, or are not as this version knows them.
    #[error("the tables of the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}
