//! What makes two results one, and where a result is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_cache::{Address, Blob, CacheError, Store};
use imgflo_job::{Background, Quality, Urgency};

use crate::rig::{PICTURE, Rig, Wish};

const INPUT: &str = "input=files%2Fa.gif";

async fn place(rig: &Rig, target: &str) -> String {
    let answer = rig.get(target).await;
    assert_eq!(answer.status, 301, "{target}: {answer:?}");
    answer.header("location").to_owned()
}

#[tokio::test]
async fn lossy_results_of_other_quality_are_other_results() {
    let rig = Rig::start().await;
    let worse = rig.another(Wish { quality: Some(40), ..Wish::default() }).await;
    rig.busy_peer().await;
    for (name, same) in [("plain.jpg", false), ("plain.webp", false), ("plain", false), ("plain.png", true)] {
        let target = format!("/graph/{name}?{INPUT}");
        assert_eq!(place(&rig, &target).await == place(&worse, &target).await, same, "{name}");
    }
    // What is handed on has no quality.
    let target = format!("/graph/noop.jpg?{INPUT}");
    assert_eq!(place(&rig, &target).await, place(&worse, &target).await);
}

#[tokio::test]
async fn results_on_another_background_are_other_results_where_the_type_has_no_alpha() {
    let rig = Rig::start().await;
    let black = rig.another(Wish { background: Some(Background { rgb: [0; 3] }), ..Wish::default() }).await;
    rig.busy_peer().await;
    for (name, same) in
        [("plain.jpg", false), ("plain", false), ("plain.webp", true), ("plain.png", true), ("noop.jpg", true)]
    {
        let target = format!("/graph/{name}?{INPUT}");
        assert_eq!(place(&rig, &target).await == place(&black, &target).await, same, "{name}");
    }
}

#[tokio::test]
async fn the_background_goes_with_the_job() {
    let background = Background { rgb: [0, 128, 255] };
    let rig = Rig::with(Wish { background: Some(background), ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    for (name, expected) in [("plain.jpg", Some(background)), ("plain.png", None)] {
        let target = format!("/graph/{name}?{INPUT}");
        let (answer, job) = tokio::join!(rig.get(&target), async {
            let job = peer.take().await;
            peer.finish(job.clone()).await;
            job
        });
        assert_eq!((answer.status, job.data.background), (301, expected), "{name}");
    }
}

#[tokio::test]
async fn the_quality_goes_with_the_job() {
    let rig = Rig::with(Wish { quality: Some(40), ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    for (name, quality) in [("plain.jpg", "40"), ("plain.png", "")] {
        // Those inside the input have theirs.
        let target =
            format!("/graph/{name}?input=graph%2Fplain.webp%3F{}", INPUT.replace('%', "%25").replace('=', "%3D"));
        let (answer, job) = tokio::join!(rig.get(&target), async {
            let job = peer.take().await;
            peer.finish(job.clone()).await;
            job
        });
        assert_eq!(answer.status, 301);
        assert_eq!(job.data.quality.to_string(), quality, "{name}");
        let Some(imgflo_job::Source::Graph { job: inner }) = job.data.source else { panic!("{name}") };
        assert_eq!(inner.quality, Quality::of(40));
    }
}

#[tokio::test]
async fn a_request_says_its_quality() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let at = async |name: &str, quality: &str| place(&rig, &format!("/graph/{name}?{INPUT}{quality}")).await;
    for (name, quality, same) in [
        ("plain.jpg", "", true),
        ("plain.jpg", "&quality=", true),
        ("plain.jpg", "&quality=85", true),
        ("plain.jpg", "&quality=84", false),
        ("plain.jpg", "&quality=small", false),
        ("plain.jpg", "&quality=progressive", false),
        ("plain.jpg", "&quality=420", true),
        ("plain.jpg", "&quality=444", false),
        ("plain.webp", "&quality=444", true),
        ("plain.webp", "&quality=85,progressive", true),
        ("plain.webp", "&quality=60", false),
        ("plain.webp", "&quality=small", false),
        ("plain.png", "&quality=60,progressive", true),
        ("plain.png", "&quality=60,small", false),
        // Here it is the contrast, from -5 to 5.
        ("own.jpg", "&quality=1", true),
        ("own.jpg", "&quality=2", false),
    ] {
        assert_eq!(at(name, quality).await == at(name, "").await, same, "{name} {quality}");
    }
    assert_eq!(at("plain.jpg", "&quality=small,60").await, at("plain.jpg", "&quality=60,%20small").await);
    assert_eq!(at("plain.jpg", "&quality=small").await, at("plain.jpg", "&quality=85,progressive,small").await);
    for quality in ["0", "101", "best", "60,70", "small;60", "422"] {
        let problem = rig.get(&format!("/graph/plain.jpg?{INPUT}&width=x&quality={quality}")).await.problem(422);
        let named: Vec<_> = problem["faults"].as_array().unwrap().iter().map(|fault| &fault["parameter"]).collect();
        assert_eq!(named, ["quality", "width"]);
        let text = problem["faults"][0]["message"].as_str().unwrap();
        assert!(text.contains(quality) && text.contains("a number from 1 to 100"), "{text}");
    }
    rig.get(&format!("/graph/own.jpg?{INPUT}&quality=small")).await.problem(422);
    rig.get(&format!("/graph/noop.jpg?{INPUT}&quality=60")).await.problem(422);
}

#[tokio::test]
async fn words_go_with_the_job_and_the_graph_does_not_see_them() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let target = format!("/graph/tone.jpg?{INPUT}&contrast=2&quality=small,60");
    let (answer, job) = tokio::join!(rig.get(&target), async {
        let job = peer.take().await;
        peer.finish(job.clone()).await;
        job
    });
    assert_eq!(answer.status, 301);
    assert_eq!(job.data.quality, Quality { small: true, ..Quality::of(60) });
    assert_eq!(job.data.iips.keys().collect::<Vec<_>>(), ["contrast"]);
}

#[tokio::test]
async fn a_changed_file_is_another_input() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let target = format!("/graph/plain.png?{INPUT}");
    let nested = format!("/graph/tone.png?input=graph%2Fplain.png%3F{}", INPUT.replace('%', "%25").replace('=', "%3D"));
    let before = (place(&rig, &target).await, place(&rig, &nested).await);
    assert_eq!((place(&rig, &target).await, place(&rig, &nested).await), before);
    let file = rig.folder.path().join("files/a.gif");
    let times = [SystemTime::now() - Duration::from_secs(1000), SystemTime::now() - Duration::from_secs(500)];
    let mut seen = vec![before.clone()];
    for (bytes, time) in [(PICTURE, times[0]), (PICTURE, times[1]), (b"GIF89a longer than before", times[1])] {
        std::fs::write(&file, bytes).unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        // What was just looked at counts as unchanged for a second.
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let now = (place(&rig, &target).await, place(&rig, &nested).await);
        assert!(seen.iter().all(|then| then.0 != now.0 && then.1 != now.1), "{now:?}");
        seen.push(now);
    }
    // Another address of the same file sees the change at once.
    let other = format!("/graph/plain.png?{INPUT}&height=3");
    let then = place(&rig, &other).await;
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(times[0]).unwrap();
    assert_ne!(place(&rig, &format!("{other}&width=")).await, then);
}

/// A store whose blobs clients get elsewhere.
struct Elsewhere {
    inner: Arc<dyn Store>,
    address: Option<Address>,
}

#[async_trait]
impl Store for Elsewhere {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        self.inner.contains(key).await
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        self.inner.get(key).await
    }

    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        match &self.address {
            Some(Address { url, lifetime }) => Ok(Some(Address { url: format!("{url}{key}"), lifetime: *lifetime })),
            None => {
                let source = std::io::Error::other("no credentials");
                Err(CacheError::Io { action: "sign", key: key.into(), source })
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        self.inner.put(key, bytes, replace).await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.inner.remove(key).await
    }
}

#[tokio::test]
async fn a_redirect_leads_to_where_the_store_says_and_is_kept_no_longer() {
    let url = || "https://bucket.example/p/".to_owned();
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    for (address, start, keep) in [
        (Some(Address { url: url(), lifetime: None }), "https://bucket.example/p/", "public, max-age=3600"),
        (Some(Address { url: url(), lifetime: minutes(10) }), "https://bucket.example/p/", "public, max-age=540"),
        (Some(Address { url: url(), lifetime: minutes(10_000) }), "https://bucket.example/p/", "public, max-age=3600"),
        (None, "/cache/", "public, max-age=3600"),
    ] {
        let inner = Rig::start().await;
        let store = Arc::new(Elsewhere { inner: inner.store.clone(), address });
        let rig = Rig::with(Wish { store: Some(store), ..Wish::default() }).await;
        rig.busy_peer().await;
        // Made now, and found.
        for _ in 0..2 {
            let answer = rig.get(&format!("/graph/plain.png?{INPUT}")).await;
            assert_eq!((answer.status, answer.header("cache-control")), (301, keep));
            assert!(answer.header("location").starts_with(start), "{answer:?}");
        }
        let anew = rig.get(&format!("/graph/plain.png?{INPUT}&_nocache=true")).await;
        assert_eq!(anew.header("cache-control"), "no-store");
        assert!(anew.header("location").starts_with(start), "{anew:?}");
    }
}
