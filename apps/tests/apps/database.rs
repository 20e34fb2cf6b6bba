//! A database for one test.

use std::time::{Duration, Instant};

use imgflo_apps::{Applications, NewApplication, Place, Quota, Rights};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

/// A database that nobody else uses.
pub enum Database {
    /// A file in a folder that goes with the test.
    Sqlite(TempDir),
    /// The address of a schema that goes before the next test of that name.
    Postgres(String),
}

/// Runs an async test on both kinds of database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::database::Database::sqlite()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::database::Database::postgres(stringify!($name)).await).await;
            })+
        }
    };
}

/// The server that the tests use.
pub fn server() -> String {
    std::env::var("IMGFLO_TEST_POSTGRES").expect("run scripts/test, or start the services with scripts/services")
}

impl Database {
    pub fn sqlite() -> Self {
        Database::Sqlite(tempfile::tempdir().unwrap())
    }

    /// `test`: names the test.
    pub async fn postgres(test: &str) -> Self {
        let server = server();
        let schema = format!("imgflo_test_{test}");
        let mut connection = PgConnection::connect(&server).await.unwrap();
        for sql in [format!("DROP SCHEMA IF EXISTS {schema} CASCADE"), format!("CREATE SCHEMA {schema}")] {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        Database::Postgres(format!("{server}?options=-c%20search_path%3D{schema}"))
    }

    /// Its address.
    pub fn address(&self) -> String {
        match self {
            Database::Sqlite(folder) => folder.path().join("new/imgflo.db").to_str().unwrap().to_owned(),
            Database::Postgres(address) => address.clone(),
        }
    }

    pub fn place(&self) -> Place {
        Place::parse(&self.address()).unwrap()
    }

    /// The applications, in a database that is made if need be.
    pub async fn applications(&self) -> Applications {
        Applications::create(self.place()).await.unwrap()
    }

    /// Runs statements past everything of ours, as another program would.
    pub async fn run(&self, sql: &'static str) {
        match self {
            Database::Sqlite(_) => {
                sqlx::raw_sql(sql).execute(&mut self.sqlite_connection().await).await.unwrap();
            }
            Database::Postgres(address) => {
                let mut connection = PgConnection::connect(address).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// The one number that a statement gives.
    pub async fn number(&self, sql: &'static str) -> i64 {
        match self {
            Database::Sqlite(_) => {
                sqlx::query_scalar(sql).fetch_one(&mut self.sqlite_connection().await).await.unwrap()
            }
            Database::Postgres(address) => {
                let mut connection = PgConnection::connect(address).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    async fn sqlite_connection(&self) -> SqliteConnection {
        std::fs::create_dir_all(std::path::Path::new(&self.address()).parent().unwrap()).unwrap();
        SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", self.address())).await.unwrap()
    }
}

/// An application with a quota.
pub fn new(label: &str, quota: Quota) -> NewApplication {
    NewApplication { label: label.into(), email: "ann@example.org".into(), quota, rights: Rights::default() }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
