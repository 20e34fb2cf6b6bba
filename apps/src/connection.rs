//! A connection to the database: opening it, bringing its tables up to date, and all SQL.
//!
//! The statements are the same for SQLite and PostgreSQL but for the spelling of times.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqlSafeStr as _, SqlStr, SqliteConnection,
};

use crate::application::{Application, NewApplication, PreviousSecret, Quota, Rights};
use crate::usage::{Tally, Total};
use crate::{AppsError, Place};

/// How long another process may keep SQLite's file to itself before we give up.
const BUSY: Duration = Duration::from_secs(5);
/// Between attempts to switch a new file to the write-ahead log, for which SQLite does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Where migrations are noted: beside those of other programs in the same database.
const MIGRATIONS: &str = "imgflo_migrations";

/// Connections that this process has had.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The columns of a [`Row`]; `TIME(x)` and `NOW` are spelled by [`Connection::sql`].
const COLUMNS: &str = "\"key\", secret, label, owner_email, CAST(processing_quota AS BIGINT), enabled, quota_counted, \
                       admin, allow_unsigned, allow_md5, previous_secret, previous_until, TIME(created_at), \
                       TIME(updated_at)";

type Row = (
    String,
    String,
    String,
    String,
    i64,
    bool,
    bool,
    bool,
    bool,
    bool,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// A change of an application.
pub(crate) enum Change<'a> {
    Enabled(bool),
    Quota(Quota),
    Rights(Rights),
    /// A new secret, and until when the present one stays good (ms since 1970); none: not at all.
    Secret(&'a str, Option<u64>),
}

/// A state of the applications: which connection says so, and a number that grows with every change.
pub(crate) type Revision = (u64, i64);

/// A connection, and which of this process it is. Numbers of two databases say nothing of each other.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    /// Device and number of SQLite's file.
    file: Option<(u64, u64)>,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs the same statement on whichever database it is.
macro_rules! on {
    ($connection:expr, $it:ident => $work:expr) => {
        match $connection {
            Link::Sqlite($it) => $work,
            Link::Postgres($it) => $work,
        }
    };
}

impl Connection {
    /// Connects and brings the tables up to date. `create`: makes SQLite's file, and the folder it
    /// is in, if there is none.
    ///
    /// # Errors
    /// [`AppsError`].
    pub(crate) async fn open(place: &Place, create: bool) -> Result<Self, AppsError> {
        let link = match place {
            Place::Sqlite(path) => {
                if create {
                    make_file(path).map_err(|error| AppsError::File { path: path.clone(), error })?;
                } else if !path.exists() {
                    return Err(AppsError::Missing(path.clone()));
                }
                let mut connection = open_sqlite(path).await?;
                // With the one lock that SQLite has: of several processes that start at once, the
                // others find the work done.
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                sqlite_migrations().run_direct(None, &mut *transaction, false).await?;
                transaction.commit().await?;
                Link::Sqlite(connection)
            }
            Place::Postgres(options) => {
                let mut connection = options.connect().await?;
                postgres_migrations().run_direct(None, &mut connection, false).await?;
                Link::Postgres(connection)
            }
        };
        Ok(Connection { id: COUNT.fetch_add(1, Ordering::Relaxed), file: identity(place), link })
    }

    /// False when SQLite's file is not the one that was opened: somebody took it away or put another
    /// in its place, of which SQLite would take no notice.
    pub(crate) fn is_of(&self, place: &Place) -> bool {
        self.file == identity(place)
    }

    /// A statement in the spelling of this database.
    fn sql(&self, statement: &str) -> SqlStr {
        let (now, time) = match self.link {
            // As the original's library writes times: ms since 1970, or a text made by SQLite itself.
            Link::Sqlite(_) => (
                "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
                "CASE typeof(#) WHEN 'text' THEN CAST(strftime('%s', #) AS INTEGER) * 1000 ELSE CAST(# AS INTEGER) END",
            ),
            Link::Postgres(_) => ("now()", "CAST(EXTRACT(EPOCH FROM #) * 1000 AS BIGINT)"),
        };
        let mut sql = statement.replace("COLUMNS", COLUMNS).replace("NOW", now);
        for column in ["created_at", "updated_at"] {
            sql = sql.replace(&format!("TIME({column})"), &time.replace('#', column));
        }
        // Made of constants only; values are bound.
        AssertSqlSafe(sql).into_sql_str()
    }

    pub(crate) async fn insert(
        &mut self,
        new: &NewApplication,
        key: &str,
        secret: &str,
    ) -> Result<Application, sqlx::Error> {
        let sql = self.sql(
            "INSERT INTO applications (\"key\", secret, label, owner_email, processing_quota, enabled, quota_counted, \
             admin, allow_unsigned, allow_md5, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, TRUE, $6, $7, $8, $9, NOW, NOW) RETURNING COLUMNS",
        );
        let (quota, counted) = new.quota.columns();
        let row: Row = on!(&mut self.link, it => {
            sqlx::query_as(sql)
                .bind(key)
                .bind(secret)
                .bind(&new.label)
                .bind(&new.email)
                .bind(quota)
                .bind(counted)
                .bind(new.rights.admin)
                .bind(new.rights.allow_unsigned)
                .bind(new.rights.allow_md5)
                .fetch_one(it)
                .await?
        });
        Ok(application(row))
    }

    /// All applications, in the order in which they were added.
    pub(crate) async fn list(&mut self) -> Result<Vec<Application>, sqlx::Error> {
        let sql = self.sql("SELECT COLUMNS FROM applications ORDER BY created_at, \"key\"");
        let rows: Vec<Row> = on!(&mut self.link, it => sqlx::query_as(sql).fetch_all(it).await?);
        Ok(rows.into_iter().map(application).collect())
    }

    pub(crate) async fn get(&mut self, key: &str) -> Result<Option<Application>, sqlx::Error> {
        let sql = self.sql("SELECT COLUMNS FROM applications WHERE \"key\" = $1");
        let row: Option<Row> = on!(&mut self.link, it => sqlx::query_as(sql).bind(key).fetch_optional(it).await?);
        Ok(row.map(application))
    }

    /// None if there is no such application.
    pub(crate) async fn change(&mut self, key: &str, change: &Change<'_>) -> Result<Option<Application>, sqlx::Error> {
        let set = match change {
            Change::Enabled(_) => "enabled = $2",
            Change::Quota(_) => "processing_quota = $2, quota_counted = $3",
            Change::Rights(_) => "admin = $2, allow_unsigned = $3, allow_md5 = $4",
            // On the right side of the sign, `secret` is still the present one.
            Change::Secret(..) => {
                "secret = $2, previous_until = $3, \
                 previous_secret = CASE WHEN CAST($3 AS BIGINT) IS NULL THEN NULL ELSE secret END"
            }
        };
        let sql =
            self.sql(&format!("UPDATE applications SET {set}, updated_at = NOW WHERE \"key\" = $1 RETURNING COLUMNS"));
        let row: Option<Row> = on!(&mut self.link, it => {
            let query = sqlx::query_as(sql).bind(key);
            let query = match change {
                Change::Enabled(enabled) => query.bind(*enabled),
                Change::Quota(quota) => {
                    let (quota, counted) = quota.columns();
                    query.bind(quota).bind(counted)
                }
                Change::Rights(rights) => {
                    query.bind(rights.admin).bind(rights.allow_unsigned).bind(rights.allow_md5)
                }
                Change::Secret(secret, until) => query.bind(*secret).bind(until.map(to_signed)),
            };
            query.fetch_optional(it).await?
        });
        Ok(row.map(application))
    }

    /// Which state of the applications this is.
    pub(crate) async fn revision(&mut self) -> Result<Revision, sqlx::Error> {
        let sql = "SELECT revision FROM application_revision";
        let number = on!(&mut self.link, it => sqlx::query_scalar(sql).fetch_one(it).await?);
        Ok((self.id, number))
    }

    /// What the applications had made on a day, as far as processes other than `process` say.
    pub(crate) async fn usage(&mut self, day: u32, process: &str) -> Result<Vec<(String, Tally)>, sqlx::Error> {
        let sql = "SELECT \"key\", CAST(SUM(pixels) AS BIGINT), CAST(SUM(images) AS BIGINT) FROM application_usage \
                   WHERE day = $1 AND process <> $2 GROUP BY \"key\"";
        let rows: Vec<(String, i64, i64)> =
            on!(&mut self.link, it => sqlx::query_as(sql).bind(to_day(day)).bind(process).fetch_all(it).await?);
        let tally = |pixels, images| Tally { pixels: to_unsigned(pixels), images: to_unsigned(images) };
        Ok(rows.into_iter().map(|(key, pixels, images)| (key, tally(pixels, images))).collect())
    }

    /// Sets what a process counted. Written twice, it is the same.
    pub(crate) async fn write_usage(&mut self, process: &str, totals: &[Total]) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO application_usage (day, \"key\", process, pixels, images) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (day, \"key\", process) DO UPDATE SET pixels = excluded.pixels, \
                   images = excluded.images";
        let begin = self.begin();
        on!(&mut self.link, it => {
            let mut transaction = it.begin_with(begin).await?;
            for total in totals {
                sqlx::query(sql)
                    .bind(to_day(total.day))
                    .bind(&total.key)
                    .bind(process)
                    .bind(to_signed(total.tally.pixels))
                    .bind(to_signed(total.tally.images))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        })
    }

    /// Makes one row of those that several processes wrote, for each application and day before
    /// `day`, so that restarts do not fill the table.
    pub(crate) async fn merge_usage(&mut self, day: u32) -> Result<(), sqlx::Error> {
        let merge = "INSERT INTO application_usage (day, \"key\", process, pixels, images) \
                     SELECT day, \"key\", '', SUM(pixels), SUM(images) FROM application_usage \
                     WHERE day < $1 AND process <> '' GROUP BY day, \"key\" \
                     ON CONFLICT (day, \"key\", process) DO UPDATE SET \
                     pixels = application_usage.pixels + excluded.pixels, \
                     images = application_usage.images + excluded.images";
        let remove = "DELETE FROM application_usage WHERE day < $1 AND process <> ''";
        let begin = match self.link {
            Link::Sqlite(_) => "BEGIN IMMEDIATE",
            // Of two processes that do this at once, one is refused: nothing is added up twice.
            Link::Postgres(_) => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        on!(&mut self.link, it => {
            let mut transaction = it.begin_with(begin).await?;
            for sql in [merge, remove] {
                sqlx::query(sql).bind(to_day(day)).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }

    /// How a transaction that writes begins. In SQLite one that becomes a writer half way cannot
    /// wait for others.
    fn begin(&self) -> &'static str {
        match self.link {
            Link::Sqlite(_) => "BEGIN IMMEDIATE",
            Link::Postgres(_) => "BEGIN",
        }
    }

    /// Takes leave of the server.
    pub(crate) async fn close(self) {
        // One that is gone already needs no leave.
        let _ = on!(self.link, it => it.close().await);
    }
}

fn identity(place: &Place) -> Option<(u64, u64)> {
    match place {
        Place::Sqlite(path) => std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino())),
        Place::Postgres(_) => None,
    }
}

async fn open_sqlite(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal).busy_timeout(BUSY);
    let options = options.disable_statement_logging();
    let mut attempts = BUSY.as_millis() / BUSY_PAUSE.as_millis();
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(error)) if attempts > 0 && error.message().contains("database is locked") => {
                attempts -= 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Secrets are in it: it is nobody's business but the owner's. SQLite gives its other files the same
/// rights.
fn make_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn sqlite_migrations() -> Migrator {
    migrations([
        include_str!("../migrations/sqlite/1_applications.sql"),
        include_str!("../migrations/sqlite/2_rights_and_usage.sql"),
    ])
}

fn postgres_migrations() -> Migrator {
    migrations([
        include_str!("../migrations/postgres/1_applications.sql"),
        include_str!("../migrations/postgres/2_rights_and_usage.sql"),
    ])
}

fn migrations([applications, rights_and_usage]: [&'static str; 2]) -> Migrator {
    let step = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        step(1, "applications", applications),
        step(2, "rights and usage", rights_and_usage),
    ]);
    migrator.dangerous_set_table_name(MIGRATIONS);
    migrator
}

fn application(row: Row) -> Application {
    let (
        key,
        secret,
        label,
        email,
        quota,
        enabled,
        counted,
        admin,
        allow_unsigned,
        allow_md5,
        old,
        until,
        created,
        updated,
    ) = row;
    let previous = old.zip(until).map(|(secret, until)| PreviousSecret { secret, until: to_unsigned(until) });
    Application {
        key,
        secret,
        previous,
        label,
        email,
        quota: Quota::from_columns(quota, counted),
        enabled,
        rights: Rights { admin, allow_unsigned, allow_md5 },
        created_at: created.map(to_unsigned),
        updated_at: updated.map(to_unsigned),
    }
}

/// SQL knows signed numbers only. None of ours comes near the limit.
fn to_signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn to_day(day: u32) -> i32 {
    i32::try_from(day).unwrap_or(i32::MAX)
}
