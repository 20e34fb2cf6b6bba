//! A database of the original is taken over.

use imgflo_apps::{Applications, Quota, Rights};

use crate::database::{Database, new};

/// What the migrations of the original (`knex migrate:latest`) make, and rows of its program.
const ORIGINAL_SQLITE: &str = "
    create table `knex_migrations` (`id` integer not null primary key autoincrement, `name` varchar(255),
        `batch` integer, `migration_time` datetime);
    insert into knex_migrations (name, batch) values ('20150414221226_create-apps.coffee', 1);
    create table `applications` (`key` varchar(255), `secret` varchar(255) not null, `label` varchar(255) not null,
        `owner_email` varchar(255) not null, `processing_quota` integer not null, `enabled` boolean not null,
        `created_at` datetime, `updated_at` datetime, primary key (`key`));
    insert into applications values ('a123456789abcde', 's123456789abcde', 'grid', 'jon@example.org', 1, 1, null, null);
    insert into applications values ('b123456789abcde', 's123456789abcde', 'old', 'jon@example.org', 0, 0,
        1430000000000, '2015-04-26 00:00:00');";
const ORIGINAL_POSTGRES: &str = "
    create table \"knex_migrations\" (\"id\" serial primary key, \"name\" varchar(255), \"batch\" integer,
        \"migration_time\" timestamptz);
    insert into knex_migrations (name, batch) values ('20150414221226_create-apps.coffee', 1);
    create table \"applications\" (\"key\" varchar(255), \"secret\" varchar(255) not null,
        \"label\" varchar(255) not null, \"owner_email\" varchar(255) not null, \"processing_quota\" integer not null,
        \"enabled\" boolean not null, \"created_at\" timestamptz, \"updated_at\" timestamptz);
    alter table \"applications\" add constraint applications_pkey primary key (\"key\");
    insert into applications values ('a123456789abcde', 's123456789abcde', 'grid', 'jon@example.org', 1, true, null, null);
    insert into applications values ('b123456789abcde', 's123456789abcde', 'old', 'jon@example.org', 0, false,
        to_timestamp(1430000000), '2015-04-26 00:00:00+00');";

crate::on_both!(a_database_of_the_original_is_taken_over, the_original_can_go_on_adding);

async fn original() -> [&'static str; 2] {
    [ORIGINAL_SQLITE, ORIGINAL_POSTGRES]
}

async fn make_original(database: &Database) {
    let [sqlite, postgres] = original().await;
    database.run(if matches!(database, Database::Sqlite(_)) { sqlite } else { postgres }).await;
}

async fn a_database_of_the_original_is_taken_over(database: Database) {
    make_original(&database).await;
    for _ in 0..2 {
        let applications = Applications::open(database.place()).await.unwrap();
        let grid = applications.get("a123456789abcde").await.unwrap();
        assert_eq!((grid.label.as_str(), grid.email.as_str()), ("grid", "jon@example.org"));
        assert_eq!((grid.secret.as_str(), grid.previous.is_none(), grid.enabled), ("s123456789abcde", true, true));
        // Any quota above 0 lets the original's clients have as much as they like; they know MD5 only.
        assert_eq!(grid.quota, Quota::Unlimited);
        assert_eq!(grid.rights, Rights { allow_md5: true, ..Rights::default() });
        assert_eq!((grid.created_at, grid.updated_at), (None, None));
        let old = applications.get("b123456789abcde").await.unwrap();
        assert_eq!((old.quota, old.enabled), (Quota::Megapixels(0), false));
        assert_eq!((old.created_at, old.updated_at), (Some(1_430_000_000_000), Some(1_430_006_400_000)));
        assert_eq!(applications.list().await.unwrap().len(), 2);
    }
    assert_eq!(database.number("SELECT count(*) FROM knex_migrations").await, 1);
    // From here on it is one of ours.
    let applications = Applications::open(database.place()).await.unwrap();
    let counted = applications.set_quota("a123456789abcde", Quota::Megapixels(1)).await.unwrap();
    assert_eq!(counted.quota, Quota::Megapixels(1));
    assert!(counted.updated_at.is_some());
    let added = applications.add(&new("shop", Quota::Unlimited)).await.unwrap();
    assert!(!added.rights.allow_md5);
}

async fn the_original_can_go_on_adding(database: Database) {
    make_original(&database).await;
    let applications = Applications::open(database.place()).await.unwrap();
    database
        .run(
            "insert into applications (\"key\", secret, label, owner_email, processing_quota, enabled)
             values ('c', 's', 'late', 'jon@example.org', 1, TRUE)",
        )
        .await;
    let late = applications.get("c").await.unwrap();
    assert_eq!((late.quota, late.rights, late.enabled), (Quota::Unlimited, Rights::default(), true));
    // What we add the original can read: a quota above 0.
    let ours = applications.add(&new("shop", Quota::Unlimited)).await.unwrap();
    assert_eq!(applications.get(&ours.key).await.unwrap().quota, Quota::Unlimited);
    assert_eq!(
        database.number("SELECT CAST(processing_quota AS BIGINT) FROM applications WHERE label = 'shop'").await,
        1
    );
}
