//! Where the database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::AppsError;

/// Where the database is. Shown without password.
#[derive(Clone)]
pub enum Place {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A server of PostgreSQL.
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// Reads `postgres://...`, `postgresql://...`, `sqlite://path`, `sqlite:path` or a plain path.
    ///
    /// # Errors
    /// [`AppsError::Address`] for another scheme, a malformed address, or a database in memory,
    /// which no other process could see.
    pub fn parse(address: &str) -> Result<Self, AppsError> {
        let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        match scheme.as_str() {
            "postgres" | "postgresql" => match PgConnectOptions::from_str(address) {
                Ok(options) => Ok(Place::Postgres(Box::new(quiet(options)))),
                // The error tells the part that is wrong, never the whole address.
                Err(error) => Err(AppsError::Address(format!("the address of PostgreSQL is not right: {error}"))),
            },
            "sqlite" | "" => {
                let path = address.strip_prefix("sqlite:").unwrap_or(address);
                let path = path.strip_prefix("//").filter(|_| scheme == "sqlite").unwrap_or(path);
                if path.is_empty() || path == ":memory:" || path.contains('?') {
                    let text = "SQLite needs the path of a file and takes no parameters";
                    return Err(AppsError::Address(text.into()));
                }
                Ok(Place::Sqlite(path.into()))
            }
            other => Err(AppsError::Address(format!("'{other}://' is no kind of database that is known here"))),
        }
    }
}

/// The directory asks twice a second: not a matter for the log.
fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("imgflo").disable_statement_logging()
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(path) => write!(to, "{}", path.display()),
            Place::Postgres(options) => {
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(to, "PostgreSQL at {}, database {database}", socket.display()),
                    None => write!(to, "postgres://{}:{}/{database}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password must not get into a log by way of `{:?}`.
        write!(to, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, shown) in [
            ("data/imgflo.db", "data/imgflo.db"),
            ("sqlite:data/imgflo.db", "data/imgflo.db"),
            ("sqlite://data/imgflo.db", "data/imgflo.db"),
            ("sqlite:///var/imgflo.db", "/var/imgflo.db"),
            ("/var/imgflo.db", "/var/imgflo.db"),
            ("postgres://me:hush@db.example:5433/apps", "postgres://db.example:5433/apps"),
            ("postgresql://me:hush@db.example/apps?sslmode=require", "postgres://db.example:5432/apps"),
            ("POSTGRES://me@db.example", "postgres://db.example:5432/me"),
        ] {
            let place = Place::parse(address).unwrap();
            assert_eq!(place.to_string(), shown, "{address}");
            assert!(!format!("{place:?}").contains("hush"), "{place:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for address in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://a.db?mode=memory",
            "mysql://me:hush@db.example/apps",
            "postgres://me:hush@db.example:port/apps",
            "postgres://me:hush@db.example/apps?sslmode=perhaps",
        ] {
            let error = Place::parse(address).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
