//! Applications of a database: who is let in, and how much is made for them.

use std::sync::Arc;
use std::time::Duration;

use imgflo_apps::{Application, Applications, Directory, NewApplication, Place, Quota, Rights};
use imgflo_job::{Category, JobError, JobResult, Limits, Urgency, sign};
use tempfile::TempDir;

use crate::rig::{Answer, Rig, Wish};
use crate::waiting::until;

const QUERY: &str = "?input=files/a.gif";

/// A database with a front end that follows it.
struct Ground {
    folder: TempDir,
    applications: Applications,
    directory: Arc<Directory>,
    rig: Rig,
}

impl Ground {
    async fn new() -> Self {
        Self::with(Wish::default()).await
    }

    async fn with(wish: Wish) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let applications = Applications::create(place(&folder)).await.unwrap();
        let directory = Arc::new(Directory::start(place(&folder)).await.unwrap());
        let rig = Rig::with(Wish { directory: Some(Arc::clone(&directory)), ..wish }).await;
        Ground { folder, applications, directory, rig }
    }

    /// An application that the front end knows.
    async fn add(&self, quota: Quota, rights: Rights) -> Application {
        let (label, email) = ("shop".into(), "ann@example.org".into());
        let added = self.applications.add(&NewApplication { label, email, quota, rights }).await.unwrap();
        self.seen(&added).await;
        added
    }

    async fn seen(&self, application: &Application) {
        until(|| self.directory.find(&application.key).is_some_and(|seen| *seen == *application)).await;
    }

    async fn get(&self, target: &str) -> Answer {
        self.rig.get(target).await
    }
}

fn place(folder: &TempDir) -> Place {
    Place::parse(folder.path().join("imgflo.db").to_str().unwrap()).unwrap()
}

/// The address of an image for an application, signed.
fn signed(application: &Application, graphspec: &str) -> String {
    signed_with(&application.secret, application, graphspec, QUERY)
}

fn signed_with(secret: &str, application: &Application, graphspec: &str, query: &str) -> String {
    let token = sign::token(secret, graphspec, query);
    format!("/graph/{}/{token}/{graphspec}{query}", application.key)
}

/// Answers urgent jobs with images of so many pixels.
async fn worker(rig: &Rig, pixels: u64) {
    let peer = rig.peer(Urgency::Urgent).await;
    tokio::spawn(async move {
        loop {
            let job = peer.take_whenever().await;
            peer.store(&job).await;
            let mut result = JobResult::of(job);
            result.pixels = Some(pixels);
            result.results.url = Some(format!("./{}", result.job.data.cachekey));
            peer.report(&result).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_application_closes_the_server() {
    let ground = Ground::new().await;
    worker(&ground.rig, 1).await;
    assert_eq!(ground.get(&format!("/graph/plain.png{QUERY}")).await.status, 301);
    assert_eq!(ground.get("/graphs").await.json()["signing"], "none");
    let application = ground.add(Quota::Unlimited, Rights::default()).await;
    assert_eq!(ground.get("/graphs").await.json()["signing"], "required");
    // What was asked for before, and is stored, needs a token as well.
    ground.get(&format!("/graph/plain.png{QUERY}")).await.problem(403);
    ground.get(&format!("/graph/{}/plain.png{QUERY}", application.key)).await.problem(403);
    let answer = ground.get(&signed(&application, "plain.png")).await;
    assert_eq!(answer.status, 301);
    // Without a quota there is nothing to tell.
    assert!(!answer.headers.contains_key("x-quota-limit"), "{answer:?}");
    assert_eq!(
        ground.get("/readyz").await.json()["applications"],
        serde_json::json!({"state": "current", "applications": 1})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_applications_get_nothing_and_rotated_ones_have_time() {
    let ground = Ground::new().await;
    worker(&ground.rig, 1).await;
    let application = ground.add(Quota::Unlimited, Rights::default()).await;
    let old = signed(&application, "plain.png");
    assert_eq!(ground.get(&old).await.status, 301);
    let disabled = ground.applications.set_enabled(&application.key, false).await.unwrap();
    ground.seen(&disabled).await;
    assert!(ground.get(&old).await.problem(403)["detail"].as_str().unwrap().contains("disabled"));
    ground.applications.set_enabled(&application.key, true).await.unwrap();
    let rotated = ground.applications.rotate(&application.key, Duration::from_secs(3600)).await.unwrap();
    ground.seen(&rotated).await;
    for address in [&old, &signed(&rotated, "plain.png")] {
        assert_eq!(ground.get(address).await.status, 301);
    }
    let again = ground.applications.rotate(&application.key, Duration::ZERO).await.unwrap();
    ground.seen(&again).await;
    ground.get(&old).await.problem(403);
    ground.get(&signed(&rotated, "plain.png")).await.problem(403);
    assert_eq!(ground.get(&signed(&again, "plain.png")).await.status, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_those_of_the_application() {
    let ground = Ground::new().await;
    worker(&ground.rig, 1).await;
    let none = ground.add(Quota::Unlimited, Rights::default()).await;
    let all = ground.add(Quota::Unlimited, Rights { admin: true, allow_unsigned: true, allow_md5: true }).await;
    for (application, status) in [(&none, 403), (&all, 301)] {
        let key = &application.key;
        let md5 = sign::md5_token(&application.secret, "plain.png", QUERY);
        for target in [format!("/graph/{key}/{md5}/plain.png{QUERY}"), format!("/graph/{key}/plain.png{QUERY}")] {
            assert_eq!(ground.get(&target).await.status, status, "{target}");
        }
        let anew = signed_with(&application.secret, application, "plain.png", &format!("{QUERY}&_nocache=true"));
        assert_eq!(ground.get(&anew).await.status, status, "{anew}");
        // An admin signs for that, even one that need not sign.
        ground.get(&format!("/graph/{key}/plain.png{QUERY}&_nocache=true")).await.problem(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_counted_shown_and_enforced() {
    let ground = Ground::new().await;
    worker(&ground.rig, 1_500_000).await;
    let application = ground.add(Quota::Megapixels(2), Rights::default()).await;
    for (graphspec, used, remaining) in [("plain.png", "1.5", "0.5"), ("plain.jpg", "3", "0"), ("plain.png", "3", "0")]
    {
        let answer = ground.get(&signed(&application, graphspec)).await;
        assert_eq!(answer.status, 301, "{answer:?}");
        let quota = |name: &str| answer.header(&format!("x-quota-{name}"));
        assert_eq!((quota("limit"), quota("used"), quota("remaining")), ("2", used, remaining), "{graphspec}");
        assert!((1..=86_400).contains(&quota("reset").parse::<u64>().unwrap()));
    }
    for method in ["GET", "POST"] {
        let refused = ground.rig.ask(method, &signed(&application, "plain.webp"), &[]).await;
        let body = refused.problem(429);
        assert_eq!(body["category"], "quota-exceeded");
        assert!(body["detail"].as_str().unwrap().contains("2 megapixels a day"), "{body}");
        let (reset, retry) = (refused.header("x-quota-reset"), refused.header("retry-after"));
        // Both count down to midnight.
        let [reset, retry] = [reset, retry].map(|text| text.parse::<i64>().unwrap());
        assert!((reset - retry).abs() <= 1 && retry > 0, "{refused:?}");
        assert_eq!(refused.header("x-quota-remaining"), "0");
        // What is stored is served.
        assert_eq!(ground.rig.ask(method, &signed(&application, "plain.png"), &[]).await.status, 301);
    }
    // Another front end counts the same.
    let directory = Arc::new(Directory::start(place(&ground.folder)).await.unwrap());
    until(|| directory.used(&application.key).pixels == 3_000_000).await;
    let other = ground.rig.another(Wish { directory: Some(directory), ..Wish::default() }).await;
    other.get(&signed(&application, "plain.webp")).await.problem(429);
    // More is of use at once.
    let raised = ground.applications.set_quota(&application.key, Quota::Unlimited).await.unwrap();
    ground.seen(&raised).await;
    assert_eq!(ground.get(&signed(&application, "plain.webp")).await.status, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_quota_only_stored_images_are_served() {
    let ground = Ground::new().await;
    worker(&ground.rig, 1).await;
    let rich = ground.add(Quota::Unlimited, Rights::default()).await;
    let poor = ground.add(Quota::Megapixels(0), Rights::default()).await;
    for method in ["GET", "POST"] {
        let body = ground.rig.ask(method, &signed(&poor, "plain.png"), &[]).await.problem(403);
        assert!(body["detail"].as_str().unwrap().contains("cached results only"), "{body}");
    }
    assert_eq!(ground.get(&signed(&rich, "plain.png")).await.status, 301);
    let answer = ground.get(&signed(&poor, "plain.png")).await;
    assert_eq!((answer.status, answer.header("x-quota-limit")), (301, "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_made_counts_and_only_once() {
    let ground = Ground::new().await;
    let peer = ground.rig.peer(Urgency::Urgent).await;
    let application = ground.add(Quota::Megapixels(100), Rights::default()).await;
    let target = signed(&application, "plain.png");
    let used = || ground.directory.used(&application.key);
    // A failure before anything is made.
    let (answer, ()) = tokio::join!(ground.get(&target), async {
        peer.fail(peer.take().await, JobError::new(Category::OriginFailed, "no such host")).await;
    });
    answer.problem(502);
    assert_eq!(used().images, 0);
    // Two clients, one job; its result is told twice.
    let (one, two, job) = tokio::join!(ground.get(&target), ground.get(&target), async {
        let job = peer.take().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.store(&job).await;
        let mut result = JobResult::of(job.clone());
        result.pixels = Some(2_000_000);
        peer.report(&result).await;
        peer.report(&result).await;
        job
    });
    assert_eq!((one.status, two.status), (301, 301));
    assert_eq!((used().pixels, used().images), (2_000_000, 1));
    // A result of a job that this front end did not send is not its to count.
    let mut foreign = JobResult::of(imgflo_job::Job { id: "foreign".into(), ..job });
    foreign.pixels = Some(5_000_000);
    peer.report(&foreign).await;
    // One that its worker found in the store cost nothing.
    let other = signed(&application, "plain.jpg");
    let (answer, ()) = tokio::join!(ground.get(&other), async { peer.finish(peer.take().await).await });
    assert_eq!(answer.status, 301);
    assert_eq!((used().pixels, used().images), (2_000_000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_cannot_run_ahead_of_the_quota() {
    let ground = Ground::new().await;
    let application = ground.add(Quota::Megapixels(3), Rights::default()).await;
    // Nobody works: each counts for a megapixel until it is known to be less.
    let mut statuses = Vec::new();
    for width in 1..=6 {
        let target = signed_with(&application.secret, &application, "plain.png", &format!("{QUERY}&width={width}"));
        let answer = ground.rig.ask("POST", &target, &[]).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            // Not until midnight: they may turn out to be small.
            assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 5, "{answer:?}");
        }
    }
    assert_eq!(statuses, [202, 202, 202, 429, 429, 429]);
    let peer = ground.rig.peer(Urgency::Background).await;
    for _ in 0..3 {
        let mut result = JobResult::of(peer.take().await);
        result.pixels = Some(1000);
        peer.report(&result).await;
    }
    until(|| ground.directory.used(&application.key).images == 3).await;
    let target = signed_with(&application.secret, &application, "plain.png", &format!("{QUERY}&width=9"));
    assert_eq!(ground.rig.ask("POST", &target, &[]).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_does_not_count() {
    let limits = Limits { max_background_jobs: 1, ..Limits::default() };
    let ground = Ground::with(Wish { limits, ..Wish::default() }).await;
    let application = ground.add(Quota::Megapixels(3), Rights::default()).await;
    let mut statuses = Vec::new();
    for width in 1..=6 {
        let target = signed_with(&application.secret, &application, "plain.png", &format!("{QUERY}&width={width}"));
        statuses.push(ground.rig.ask("POST", &target, &[]).await.status);
    }
    assert_eq!(statuses, [202, 503, 503, 503, 503, 503]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_reached_lets_nobody_in() {
    let nowhere = || Place::parse("postgres://imgflo@127.0.0.1:1/imgflo").unwrap();
    let directory = Some(Arc::new(Directory::start(nowhere()).await.unwrap()));
    let rig = Rig::with(Wish { directory: directory.clone(), ..Wish::default() }).await;
    for target in ["/graph/plain.png?input=files/a.gif", "/graph/a/b/plain.png?input=files/a.gif"] {
        let answer = rig.get(target).await;
        answer.problem(503);
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(rig.get("/readyz").await.status, 503);
    // Those of the settings are known all the same.
    let fixed =
        imgflo_server::Application { key: "a".into(), secret: Some("s".into()), admin: false, allow_md5: false };
    let rig = Rig::with(Wish { directory, applications: vec![fixed], ..Wish::default() }).await;
    worker(&rig, 1).await;
    let token = sign::token("s", "plain.png", QUERY);
    assert_eq!(rig.get(&format!("/graph/a/{token}/plain.png{QUERY}")).await.status, 301);
    rig.get(&format!("/graph/b/{token}/plain.png{QUERY}")).await.problem(503);
    let ready = rig.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["applications"]["state"]), (200, &"unknown".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_need_not_mean_that_all_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Some(Arc::new(Directory::start(place(&folder)).await.unwrap()));
    let rig = Rig::with(Wish { directory, closed: true, ..Wish::default() }).await;
    rig.get(&format!("/graph/plain.png{QUERY}")).await.problem(403);
    assert_eq!(rig.get("/readyz").await.json()["applications"]["state"], "none");
}
