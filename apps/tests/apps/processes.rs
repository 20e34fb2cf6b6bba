//! Several processes use one database at the same time.

use std::process::{Child, Command};
use std::time::Duration;

use imgflo_apps::{Applications, Place, Quota, Tally, Total, day_of, now};

use crate::database::{Database, new};

/// Tells a process of these tests that it is to be one of many: the database's address.
const CHILD: &str = "IMGFLO_APPS_CHILD";
/// When it begins, ms since 1970.
const START: &str = "IMGFLO_APPS_START";
const CHILDREN: usize = 6;
const ROUNDS: u64 = 25;

crate::on_both!(many_processes_share_a_database);

async fn many_processes_share_a_database(database: Database) {
    // None of them finds tables: all make them in the same moment.
    let start = now() + 1500;
    let children: Vec<Child> = (0..CHILDREN)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "processes::one_of_many"])
                .env(CHILD, database.address())
                .env(START, start.to_string())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let applications = database.applications().await;
    let list = applications.list().await.unwrap();
    assert_eq!(list.len(), CHILDREN * ROUNDS as usize);
    assert!(list.iter().all(|application| application.quota == Quota::Megapixels(3)));
    let written =
        database.number("SELECT CAST(SUM(pixels) AS BIGINT) FROM application_usage WHERE \"key\" = 'shared'").await;
    assert_eq!(written, (CHILDREN as u64 * ROUNDS * 10).cast_signed());
    // One change, one revision: none was lost.
    let revision = database.number("SELECT revision FROM application_revision").await;
    assert_eq!(revision, 1 + (CHILDREN as u64 * ROUNDS * 2).cast_signed());
}

#[tokio::test]
#[ignore = "runs as a process of another test"]
async fn one_of_many() {
    let address = std::env::var(CHILD).unwrap();
    let start: u64 = std::env::var(START).unwrap().parse().unwrap();
    tokio::time::sleep(Duration::from_millis(start.saturating_sub(now()))).await;
    let applications = Applications::create(Place::parse(&address).unwrap()).await.unwrap();
    let process = std::process::id().to_string();
    let day = day_of(now());
    for round in 1..=ROUNDS {
        let added = applications.add(&new(&process, Quota::Unlimited)).await.unwrap();
        applications.set_quota(&added.key, Quota::Megapixels(3)).await.unwrap();
        let tally = Tally { pixels: round * 10, images: round };
        let total = Total { key: "shared".into(), day, tally };
        applications.record_usage(&process, &[total]).await.unwrap();
    }
}
