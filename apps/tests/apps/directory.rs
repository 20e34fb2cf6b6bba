//! A directory follows its database.

use imgflo_apps::{Directory, Place, Quota, Refusal, Standing};
use sqlx::postgres::PgListener;

use crate::database::{Database, new, until};

crate::on_both!(
    changes_are_seen,
    what_other_programs_change_is_seen,
    usage_is_shared,
    a_quota_is_kept,
    past_days_are_merged,
);

async fn start(database: &Database) -> Directory {
    Directory::start(database.place()).await.unwrap()
}

async fn changes_are_seen(database: Database) {
    let applications = database.applications().await;
    let first = applications.add(&new("first", Quota::Unlimited)).await.unwrap();
    let directory = start(&database).await;
    // At once: whoever is in the database is known from the start.
    assert_eq!(*directory.find(&first.key).unwrap(), first);
    assert_eq!(directory.standing(), Standing::Current { applications: 1 });
    assert!(!directory.is_empty());

    let second = applications.add(&new("second", Quota::Megapixels(3))).await.unwrap();
    until("it is added", || directory.find(&second.key).is_some()).await;
    applications.set_enabled(&second.key, false).await.unwrap();
    until("it is disabled", || !directory.find(&second.key).unwrap().enabled).await;
    let rotated = applications.rotate(&second.key, imgflo_apps::DEFAULT_GRACE).await.unwrap();
    until("it is rotated", || *directory.find(&second.key).unwrap() == rotated).await;
    assert!(directory.find("nobody").is_none());
}

async fn what_other_programs_change_is_seen(database: Database) {
    let applications = database.applications().await;
    let directory = start(&database).await;
    assert!(directory.is_empty());
    database
        .run(
            "INSERT INTO applications (\"key\", secret, label, owner_email, processing_quota, enabled)
             VALUES ('c', 's', 'late', 'jon@example.org', 1, TRUE)",
        )
        .await;
    until("it is added", || directory.find("c").is_some()).await;
    database.run("UPDATE applications SET enabled = FALSE").await;
    until("it is disabled", || !directory.find("c").unwrap().enabled).await;
    database.run("DELETE FROM applications").await;
    until("it is gone", || directory.is_empty()).await;
    applications.close().await;
}

async fn usage_is_shared(database: Database) {
    let applications = database.applications().await;
    let application = applications.add(&new("shop", Quota::Megapixels(10))).await.unwrap();
    let (one, two) = (start(&database).await, start(&database).await);
    one.admit(&application).unwrap().settle(2_000_000);
    two.admit(&application).unwrap().settle(3_000_000);
    // Its own is known at once.
    assert!(one.used(&application.key).pixels >= 2_000_000);
    for directory in [&one, &two] {
        until("the other's usage is seen", || directory.used(&application.key).pixels == 5_000_000).await;
        assert_eq!(directory.allowance(&application).unwrap().remaining, 5_000_000);
    }
    // Nothing is lost or counted twice when a front end ends.
    one.admit(&application).unwrap().settle(1_000_000);
    one.close().await;
    drop(one);
    assert_eq!(applications.usage_today().await.unwrap()[0].1.pixels, 6_000_000);
    let three = start(&database).await;
    assert_eq!((three.used(&application.key).pixels, three.used(&application.key).images), (6_000_000, 3));
}

async fn a_quota_is_kept(database: Database) {
    let applications = database.applications().await;
    let cached_only = applications.add(&new("cached", Quota::Megapixels(0))).await.unwrap();
    let limited = applications.add(&new("limited", Quota::Megapixels(2))).await.unwrap();
    let unlimited = applications.add(&new("unlimited", Quota::Unlimited)).await.unwrap();
    let directory = start(&database).await;
    assert_eq!(directory.admit(&cached_only).unwrap_err(), Refusal::CachedOnly);
    for _ in 0..1000 {
        directory.admit(&unlimited).unwrap().settle(1_000_000);
    }
    assert_eq!((directory.allowance(&unlimited), directory.used(&unlimited.key).images), (None, 1000));

    directory.admit(&limited).unwrap().settle(1_500_000);
    // The next one is expected to count for 1.5 megapixels, which is more than is left.
    let under_way = directory.admit(&limited).unwrap();
    let refusal = directory.admit(&limited).unwrap_err();
    assert!(matches!(refusal, Refusal::SpokenFor { allowance, .. } if allowance.remaining == 500_000), "{refusal:?}");
    // It failed: it counts for nothing.
    drop(under_way);
    directory.admit(&limited).unwrap().settle(700_000);
    let Refusal::UsedUp(allowance) = directory.admit(&limited).unwrap_err() else { panic!() };
    assert_eq!((allowance.limit, allowance.used, allowance.remaining), (2_000_000, 2_200_000, 0));
    assert!(!allowance.reset.is_zero());
    // A higher quota is of use at once.
    let raised = applications.set_quota(&limited.key, Quota::Megapixels(3)).await.unwrap();
    assert!(directory.admit(&raised).is_ok());
}

async fn past_days_are_merged(database: Database) {
    database.applications().await.close().await;
    database
        .run(
            "INSERT INTO application_usage (day, \"key\", process, pixels, images)
             VALUES (100, 'a', 'one', 5, 1), (100, 'a', 'two', 7, 2), (101, 'a', 'one', 1, 1), (100, 'b', 'one', 2, 1)",
        )
        .await;
    let directory = start(&database).await;
    for _ in 0..500 {
        if database.number("SELECT COUNT(*) FROM application_usage").await == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for (sql, expected) in [
        ("SELECT pixels FROM application_usage WHERE day = 100 AND \"key\" = 'a'", 12),
        ("SELECT images FROM application_usage WHERE day = 100 AND \"key\" = 'a'", 3),
        ("SELECT pixels FROM application_usage WHERE day = 101 AND \"key\" = 'a'", 1),
        ("SELECT COUNT(*) FROM application_usage", 3),
    ] {
        assert_eq!(database.number(sql).await, expected, "{sql}");
    }
    drop(directory);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_made_later_is_found() {
    let database = Database::sqlite();
    let directory = start(&database).await;
    assert_eq!(directory.standing(), Standing::None);
    assert!(directory.is_empty());
    let added = database.applications().await.add(&new("shop", Quota::Unlimited)).await.unwrap();
    until("it is found", || directory.find(&added.key).is_some()).await;
    assert_eq!(directory.standing(), Standing::Current { applications: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_place_of_another_is_read() {
    let database = Database::sqlite();
    let old = database.applications().await.add(&new("old", Quota::Unlimited)).await.unwrap();
    let directory = start(&database).await;
    assert!(directory.find(&old.key).is_some());
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.address()));
    }
    // While there is no file, what was known last stays in force.
    until("the loss is noticed", || matches!(directory.standing(), Standing::Stale { applications: 1, .. })).await;
    assert!(directory.find(&old.key).is_some());
    let new = database.applications().await.add(&new("new", Quota::Unlimited)).await.unwrap();
    until("the new file is read", || directory.find(&new.key).is_some()).await;
    assert!(directory.find(&old.key).is_none());
}

#[tokio::test]
async fn postgres_tells_of_changes() {
    let database = Database::postgres("postgres_tells_of_changes").await;
    let applications = database.applications().await;
    let mut listener = PgListener::connect(&database.address()).await.unwrap();
    listener.listen("imgflo_applications").await.unwrap();
    let added = applications.add(&new("shop", Quota::Unlimited)).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), listener.recv()).await.unwrap().unwrap();
    applications.set_enabled(&added.key, false).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), listener.recv()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_nobody_is_known_but_it_is_not_empty() {
    // A port that nobody listens on.
    let place = Place::parse("postgres://imgflo:hush@127.0.0.1:1/imgflo").unwrap();
    let directory = Directory::start(place).await.unwrap();
    assert_eq!(directory.standing(), Standing::Unknown);
    assert!(!directory.is_empty());
    assert!(directory.find("a").is_none());
    directory.close().await;
}
