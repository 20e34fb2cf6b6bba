//! The database goes away and comes back.

use std::path::Path;
use std::process::Command;

use imgflo_apps::{Applications, Directory, Place, Quota, Standing};
use tempfile::TempDir;

use crate::database::{Database, new, until};

/// A server of PostgreSQL that one test may kill.
struct Server {
    folder: TempDir,
    address: String,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        services("start", folder.path());
        let env = std::fs::read_to_string(folder.path().join("env")).unwrap();
        let address =
            env.lines().find_map(|line| line.strip_prefix("export IMGFLO_TEST_POSTGRES=")).unwrap().to_owned();
        Server { folder, address }
    }

    fn run(&self, action: &str) {
        services(action, self.folder.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("kill");
    }
}

fn services(action: &str, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
    let status = Command::new(script).arg(action).arg(folder).arg("postgresql").status().unwrap();
    assert!(status.success(), "scripts/services {action}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_what_was_known_in_force_and_loses_nothing() {
    let server = Server::start();
    let place = Place::parse(&server.address).unwrap();
    let applications = Applications::open(place.clone()).await.unwrap();
    let application = applications.add(&new("shop", Quota::Megapixels(100))).await.unwrap();
    let directory = Directory::start(place.clone()).await.unwrap();
    directory.admit(&application).unwrap().settle(1_000_000);
    until("the usage is written", || {
        matches!(directory.standing(), Standing::Current { .. }) && directory.used(&application.key).pixels == 1_000_000
    })
    .await;

    server.run("kill");
    until("it is noticed", || matches!(directory.standing(), Standing::Stale { .. })).await;
    assert_eq!(*directory.find(&application.key).unwrap(), application);
    directory.admit(&application).unwrap().settle(2_000_000);
    assert_eq!(directory.used(&application.key).pixels, 3_000_000);
    assert!(matches!(directory.standing(), Standing::Stale { applications: 1, unwritten: 1.., .. }));
    assert!(applications.list().await.is_err());

    // A front end that starts now knows nobody yet.
    let late = Directory::start(place).await.unwrap();
    assert_eq!(late.standing(), Standing::Unknown);

    server.run("start");
    for directory in [&directory, &late] {
        until("it is back", || directory.standing() == Standing::Current { applications: 1 }).await;
        until("nothing was lost", || directory.used(&application.key).pixels == 3_000_000).await;
    }
    assert_eq!(applications.usage_today().await.unwrap()[0].1.pixels, 3_000_000);
    // It follows again.
    applications.set_enabled(&application.key, false).await.unwrap();
    until("a change is seen", || !directory.find(&application.key).unwrap().enabled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_away_for_a_while_loses_nothing() {
    let database = Database::sqlite();
    let applications = database.applications().await;
    let application = applications.add(&new("shop", Quota::Megapixels(100))).await.unwrap();
    applications.close().await;
    let directory = Directory::start(database.place()).await.unwrap();
    let path = database.address();
    let folder = Path::new(&path).parent().unwrap();
    let away = folder.with_extension("away");
    std::fs::rename(folder, &away).unwrap();
    until("it is noticed", || matches!(directory.standing(), Standing::Stale { .. })).await;
    directory.admit(&application).unwrap().settle(2_000_000);
    assert!(directory.find(&application.key).is_some());
    std::fs::rename(&away, folder).unwrap();
    until("it is back", || matches!(directory.standing(), Standing::Current { .. })).await;
    assert_eq!(directory.used(&application.key).pixels, 2_000_000);
    until("it is written", || directory.standing() == Standing::Current { applications: 1 }).await;
    directory.close().await;
    assert_eq!(applications.usage_today().await.unwrap()[0].1.pixels, 2_000_000);
}
