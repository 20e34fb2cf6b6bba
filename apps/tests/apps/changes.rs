//! Applications are added and changed.

use std::time::Duration;

use imgflo_apps::{Applications, AppsError, Quota, Rights, Tally, Total, day_of, now};

use crate::database::{Database, new};

crate::on_both!(
    an_application_is_added_and_found,
    changes_last,
    a_rotation_leaves_the_old_secret_some_time,
    what_is_not_right_is_refused,
    usage_is_added_up,
);

async fn an_application_is_added_and_found(database: Database) {
    let applications = database.applications().await;
    assert_eq!(applications.list().await.unwrap(), []);
    let before = now();
    let rights = Rights { admin: true, allow_unsigned: false, allow_md5: true };
    let added = applications
        .add(&imgflo_apps::NewApplication { rights, ..new("shop \u{2713} 'x'", Quota::Megapixels(7)) })
        .await
        .unwrap();
    let other = applications.add(&new("other", Quota::Unlimited)).await.unwrap();
    assert_eq!((added.key.len(), added.secret.len()), (32, 64));
    assert_ne!((&added.key, &added.secret), (&other.key, &other.secret));
    assert_eq!((added.label.as_str(), added.email.as_str()), ("shop \u{2713} 'x'", "ann@example.org"));
    assert_eq!((added.quota, added.enabled, added.rights), (Quota::Megapixels(7), true, rights));
    // The server's clock may differ from ours by what its ms are rounded to.
    let created = added.created_at.unwrap();
    assert!(created + 1000 >= before && created <= now() + 1000, "{created} {before}");
    assert_eq!(other.quota, Quota::Unlimited);
    assert_eq!(applications.get(&added.key).await.unwrap(), added);
    let mut listed = applications.list().await.unwrap();
    listed.sort_by_key(|application| application.key != added.key);
    assert_eq!(listed, [added, other]);
}

async fn changes_last(database: Database) {
    let applications = database.applications().await;
    let key = applications.add(&new("shop", Quota::Megapixels(7))).await.unwrap().key;
    assert!(!applications.set_enabled(&key, false).await.unwrap().enabled);
    let rights = Rights { admin: true, allow_unsigned: true, allow_md5: true };
    assert_eq!(applications.set_rights(&key, rights).await.unwrap().rights, rights);
    assert_eq!(applications.set_quota(&key, Quota::Unlimited).await.unwrap().quota, Quota::Unlimited);
    assert_eq!(applications.set_quota(&key, Quota::Megapixels(0)).await.unwrap().quota, Quota::Megapixels(0));
    applications.close().await;

    let again = Applications::open(database.place()).await.unwrap();
    let found = again.get(&key).await.unwrap();
    assert_eq!((found.enabled, found.rights, found.quota), (false, rights, Quota::Megapixels(0)));
    assert!(found.updated_at >= found.created_at);
    assert!(again.set_enabled(&key, true).await.unwrap().enabled);
}

async fn a_rotation_leaves_the_old_secret_some_time(database: Database) {
    let applications = database.applications().await;
    let first = applications.add(&new("shop", Quota::Unlimited)).await.unwrap();
    let before = now();
    let second = applications.rotate(&first.key, Duration::from_secs(3600)).await.unwrap();
    assert_ne!(second.secret, first.secret);
    assert_eq!(second.secrets(now()).collect::<Vec<_>>(), [&second.secret, &first.secret]);
    let until = second.previous.as_ref().unwrap().until;
    assert!((before + 3_600_000..=now() + 3_600_000).contains(&until));
    assert_eq!(second.secrets(until).collect::<Vec<_>>(), [&second.secret]);
    // Only one is kept.
    let third = applications.rotate(&first.key, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(third.secrets(now()).collect::<Vec<_>>(), [&third.secret, &second.secret]);
    let fourth = applications.rotate(&first.key, Duration::ZERO).await.unwrap();
    assert_eq!((fourth.secrets(0).count(), fourth.previous.is_none()), (1, true));
    assert_eq!(applications.get(&first.key).await.unwrap(), fourth);
}

async fn what_is_not_right_is_refused(database: Database) {
    let applications = database.applications().await;
    let mut bad = new("shop", Quota::Unlimited);
    bad.email = "@example.org".into();
    assert!(matches!(applications.add(&bad).await, Err(AppsError::Invalid { what: "email", .. })));
    assert!(matches!(
        applications.add(&new("", Quota::Unlimited)).await,
        Err(AppsError::Invalid { what: "label", .. })
    ));
    for result in [
        applications.get("nobody").await,
        applications.set_enabled("nobody", false).await,
        applications.set_quota("nobody' OR '1'='1", Quota::Unlimited).await,
        applications.set_rights("nobody", Rights::default()).await,
        applications.rotate("nobody", Duration::ZERO).await,
    ] {
        assert!(matches!(result, Err(AppsError::Unknown(_))), "{result:?}");
    }
    assert_eq!(applications.list().await.unwrap(), []);
}

async fn usage_is_added_up(database: Database) {
    let applications = database.applications().await;
    let today = day_of(now());
    let total = |key: &str, day, pixels, images| Total { key: key.into(), day, tally: Tally { pixels, images } };
    applications.record_usage("one", &[total("a", today, 10, 1), total("a", today - 1, 99, 9)]).await.unwrap();
    // A total that grows replaces the one before it; that of another process is added.
    applications.record_usage("one", &[total("a", today, 5_000_000_000, 2), total("b", today, 1, 1)]).await.unwrap();
    applications.record_usage("two", &[total("a", today, 7, 3)]).await.unwrap();
    applications.record_usage("two", &[]).await.unwrap();
    let mut usage = applications.usage_today().await.unwrap();
    usage.sort_by(|a, b| a.0.cmp(&b.0));
    // At midnight the test's day is over.
    if day_of(now()) == today {
        let expected = [
            ("a".to_owned(), Tally { pixels: 5_000_000_007, images: 5 }),
            ("b".to_owned(), Tally { pixels: 1, images: 1 }),
        ];
        assert_eq!(usage, expected);
    }
}

#[tokio::test]
async fn a_file_is_made_for_its_owner_only_and_only_if_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    assert!(matches!(Applications::open(database.place()).await, Err(AppsError::Missing(_))));
    let applications = database.applications().await;
    applications.add(&new("shop", Quota::Unlimited)).await.unwrap();
    let path = database.address();
    for suffix in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{suffix}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    assert_eq!(database.applications().await.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_so() {
    let database = Database::sqlite();
    std::fs::create_dir_all(std::path::Path::new(&database.address()).parent().unwrap()).unwrap();
    std::fs::write(database.address(), "graphs and pictures ".repeat(100)).unwrap();
    let error = Applications::create(database.place()).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
}
