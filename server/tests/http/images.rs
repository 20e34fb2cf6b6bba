//! What `/graph` addresses mean.

use imgflo_job::{Category, JobError, Limits, Source, Urgency, sign};
use imgflo_server::Application;
use serde_json::json;

use crate::rig::{PICTURE, Rig, Wish};

const INPUT: &str = "input=files%2Fa.gif";

fn application(key: &str, secret: Option<&str>, admin: bool, allow_md5: bool) -> Application {
    Application { key: key.into(), secret: secret.map(str::to_owned), admin, allow_md5 }
}

async fn closed(rules: Vec<Application>) -> Rig {
    let rig = Rig::with(Wish { applications: rules, ..Wish::default() }).await;
    rig.busy_peer().await;
    rig
}

#[tokio::test]
async fn a_picture_is_made_once_and_then_found() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let first = rig.get(&format!("/graph/plain.png?{INPUT}")).await;
    assert_eq!(first.status, 301, "{first:?}");
    let place = first.header("location");
    assert!(place.starts_with("/cache/") && place.ends_with(".png"), "{place}");
    assert_eq!(first.header("cache-control"), "public, max-age=3600");
    let picture = rig.get(place).await;
    assert_eq!((picture.status, &picture.body[..]), (200, PICTURE));
    // The same in another spelling.
    let again = rig.get("/graph/plain.png?input=/files/a.gif&width=").await;
    assert_eq!(again.header("location"), place);
    // Other pictures.
    for other in ["/graph/plain.jpg?input=files/a.gif", "/graph/plain.png?input=files/a.gif&width=7"] {
        assert_ne!(rig.get(other).await.header("location"), place, "{other}");
    }
}

#[tokio::test]
async fn without_applications_all_three_forms_answer() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    for form in ["plain", "key/plain.jpg", "key/token/plain.jpeg"] {
        assert_eq!(rig.get(&format!("/graph/{form}?{INPUT}")).await.status, 301, "{form}");
    }
    assert_eq!(rig.get(&format!("/graph/plain?{INPUT}&_nocache=true")).await.header("cache-control"), "no-store");
    rig.get(&format!("/graph/a/b/c/plain?{INPUT}")).await.problem(404);
}

#[tokio::test]
async fn with_applications_only_the_right_forms_answer() {
    let rig = closed(vec![
        application("app", Some("hush"), false, false),
        application("old", Some("quiet"), false, true),
        application("open", None, false, false),
        application("boss", Some("loud"), true, false),
    ])
    .await;
    let query = format!("?{INPUT}&width=5");
    let hmac = |secret: &str| sign::token(secret, "plain.png", &query);
    let md5 = |secret: &str| sign::md5_token(secret, "plain.png", &query);
    let cases = [
        ("plain.png".to_owned(), 403),
        ("app/plain.png".to_owned(), 403),
        (format!("app/{}/plain.png", hmac("hush")), 301),
        (format!("app/{}/plain.png", hmac("other")), 403),
        (format!("app/{}/plain.png", hmac("")), 403),
        (format!("app/{}/plain.png", md5("hush")), 403),
        (format!("app/{}/plain.jpg", hmac("hush")), 403),
        (format!("old/{}/plain.png", md5("quiet")), 301),
        (format!("old/{}/plain.png", hmac("quiet")), 301),
        ("open/plain.png".to_owned(), 301),
        ("open/0/plain.png".to_owned(), 301),
        (format!("nobody/{}/plain.png", hmac("hush")), 403),
    ];
    for (form, status) in cases {
        for method in ["GET", "POST"] {
            let answer = rig.ask(method, &format!("/graph/{form}{query}"), &[]).await;
            if status == 403 {
                let problem = answer.problem(403);
                let text = problem["detail"].as_str().unwrap();
                assert!(text.contains(problem["to_sign"].as_str().unwrap()), "{form}: {text}");
                assert!(!["hush", "quiet", "loud", &hmac("hush")].iter().any(|secret| text.contains(secret)), "{text}");
            } else {
                assert_eq!(answer.status, 301, "{form}: {answer:?}");
            }
        }
    }
    let anew = format!("?{INPUT}&_nocache=true");
    for (key, secret, status) in [("app", "hush", 403), ("boss", "loud", 301)] {
        let token = sign::token(secret, "plain.png", &anew);
        let answer = rig.get(&format!("/graph/{key}/{token}/plain.png{anew}")).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    // A nested request is checked like any other.
    let outer = |inner: &str| {
        let inner = inner.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D").replace('&', "%26");
        format!("?input={}", inner.replace("%2Fa.gif", "%252Fa.gif"))
    };
    for (inner, status) in [(format!("/graph/plain?{INPUT}"), 403), (format!("/graph/open/plain?{INPUT}"), 301)] {
        let query = outer(&inner);
        let token = sign::token("hush", "tone", &query);
        let answer = rig.get(&format!("/graph/app/{token}/tone{query}")).await;
        assert_eq!(answer.status, status, "{inner}: {answer:?}");
    }
}

#[tokio::test]
async fn failures_of_every_category_have_their_status() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    for (width, category) in (1..).zip(Category::ALL) {
        let target = format!("/graph/plain?{INPUT}&width={width}");
        let answer = async {
            let job = peer.take().await;
            peer.fail(job, JobError::new(category, "/home/us/secret.rs").at("a")).await;
        };
        let (answer, ()) = tokio::join!(rig.get(&target), answer);
        let expected = match category {
            Category::Malformed => 400,
            Category::Forbidden => 403,
            Category::NotFound => 404,
            Category::UnsupportedType => 415,
            Category::InvalidParameter | Category::TooLarge | Category::BrokenInput | Category::GivenUp => 422,
            Category::QuotaExceeded => 429,
            Category::OperationFailed | Category::Internal => 500,
            Category::OriginFailed => 502,
            Category::OriginBusy | Category::Overloaded | Category::Unavailable | Category::Cancelled => 503,
            Category::OriginTimeout | Category::DeadlineExceeded => 504,
        };
        let problem = answer.problem(expected);
        assert_eq!(problem["title"], category.title());
        assert_eq!(problem["category"], serde_json::to_value(category).unwrap());
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            matches!(expected, 429 | 503) || category == Category::DeadlineExceeded
        );
        if category.fault() == imgflo_job::Fault::Us && category != Category::OperationFailed {
            assert!(!problem.to_string().contains("secret.rs"), "{problem}");
        } else {
            assert_eq!(problem["node"], "a", "{problem}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said_at_once() {
    let rig = Rig::start().await;
    let problem = rig.get(&format!("/graph/plian?{INPUT}")).await.problem(404);
    assert_eq!(problem["nearest"][0], "plain");
    rig.get(&format!("/graph/broken?{INPUT}")).await.problem(404);
    rig.get("/graph/..%2f..%2fetc").await.problem(404);

    // All faults together, with the parameters that there are.
    let problem = rig.get("/graph/tone?contrast=high&brightness=1e9&colour=red").await.problem(422);
    let named: Vec<_> = problem["faults"].as_array().unwrap().iter().map(|fault| &fault["parameter"]).collect();
    assert_eq!(named, ["input", "brightness", "colour", "contrast"]);
    let parameters = problem["parameters"].as_array().unwrap();
    let contrast = parameters.iter().find(|parameter| parameter["name"] == "contrast").unwrap();
    assert_eq!((&contrast["type"], &contrast["minimum"]), (&json!("number"), &json!(-5.0)));
    assert!(contrast["maximum"].is_number() && contrast["default"].is_number(), "{contrast}");
    assert!(contrast["description"].is_string(), "{contrast}");

    let problem = rig.get("/graph/plain").await.problem(422);
    let text = problem["faults"][0]["message"].as_str().unwrap();
    assert!(text.contains("/graph/plain?input="), "{text}");
    rig.get("/graph/plain?input=").await.problem(422);

    let problem = rig.get(&format!("/graph/plain.bmp?{INPUT}")).await.problem(415);
    let written = |avif| if avif { json!(["jpg", "png", "webp", "avif"]) } else { json!(["jpg", "png", "webp"]) };
    assert_eq!(problem["supported"], written(cfg!(feature = "avif")));
    if cfg!(not(feature = "avif")) {
        let problem = rig.get(&format!("/graph/plain.avif?{INPUT}")).await.problem(415);
        assert_eq!(problem["supported"], written(false));
    }
    rig.get(&format!("/graph/noop.mp4?{INPUT}")).await.problem(415);
    rig.get(&format!("/graph/noop?{INPUT}&width=3")).await.problem(422);

    for (input, status) in [
        ("file:///etc/passwd", 403),
        ("ftp://example.org/a.gif", 403),
        ("http://user:pass@example.org/a.gif", 403),
        ("http://", 400),
        ("files/../secret.txt", 400),
        ("files/%252e%252e/secret.txt", 400),
        ("cache/abc", 404),
        ("version", 400),
    ] {
        let problem = rig.get(&format!("/graph/plain?input={input}")).await.problem(status);
        assert_eq!(problem["faults"][0]["parameter"], "input", "{input}: {problem}");
    }
    rig.get("/graph/plain?width=%zz").await.problem(400);
    assert_eq!(rig.waiting("imgflo_urgentworker.JOB"), 0);
}

#[tokio::test]
async fn the_job_says_all_that_a_worker_needs() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let target = "/graph/key/token/tone.jpeg?contrast=2&input=http%3A%2F%2Fexample.org%2Fa.png%3Fx";
    let check = async {
        let job = peer.take().await;
        assert_eq!((job.urgency, job.kind.as_str()), (Urgency::Urgent, "process-image"));
        assert!(job.deadline_at.unwrap() > job.created_at);
        let data = &job.data;
        assert_eq!((data.graphspec.as_str(), data.graph.as_str()), ("tone.jpeg", "tone"));
        assert_eq!((data.outtype.as_deref(), data.runtime.as_str()), (Some("jpg"), "imgflo"));
        assert_eq!((data.apikey.as_deref(), data.token.as_deref()), (Some("key"), Some("token")));
        assert_eq!(data.request, "/graph/key/token/tone.jpeg");
        assert_eq!(format!("{}{}", data.request, data.query), target);
        assert_eq!(data.iips["contrast"], "2");
        assert_eq!(data.source, Some(Source::Url { url: "http://example.org/a.png?x".into() }));
        assert_eq!(data.files.input.as_ref().unwrap().extension, ".png");
        assert_eq!(data.definition["processes"]["a"]["component"], "gegl/brightness-contrast");
        assert!(data.cachekey.ends_with(".jpg"), "{}", data.cachekey);
        peer.finish(job).await;
    };
    let (answer, ()) = tokio::join!(rig.get(target), check);
    assert_eq!(answer.status, 301);
}

#[tokio::test]
async fn what_a_result_says_of_its_address_is_not_believed() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let report = async |url: &str| {
        let mut result = imgflo_job::JobResult::of(peer.take().await);
        peer.store(&result.job).await;
        result.results.url = Some(url.into());
        peer.report(&result).await;
        format!("/cache/{}", result.job.data.cachekey)
    };
    for (width, url) in [
        "https://evil.example/a.png",
        "//evil.example/a.png",
        "javascript:alert(1)",
        "./../../files/a.gif",
        "./0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.png",
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/graph/plain?{INPUT}&width={}", width + 1);
        let (answer, place) = tokio::join!(rig.get(&target), report(url));
        assert_eq!((answer.status, answer.header("location")), (301, place.as_str()), "{url}");
        assert_eq!(rig.get(&target).await.header("location"), place);
    }
}

#[tokio::test]
async fn a_public_address_is_named_in_redirects_and_known_as_ours() {
    let public = "https://img.example/".parse().unwrap();
    let rig = Rig::with(Wish { public_url: Some(public), ..Wish::default() }).await;
    rig.busy_peer().await;
    let place = rig.get(&format!("/graph/plain?{INPUT}")).await;
    assert!(place.header("location").starts_with("https://img.example/cache/"), "{place:?}");
    // Our own picture, however it is addressed.
    let port = rig.address.port();
    for input in [
        "https://img.example/files/a.gif".to_owned(),
        format!("http://localhost:{port}/files/a.gif"),
        format!("http://127.0.0.1:{port}/files/a.gif"),
        "/files/a.gif".to_owned(),
    ] {
        let same = rig.get(&format!("/graph/plain?input={input}")).await;
        assert_eq!(same.header("location"), place.header("location"), "{input}");
    }
    let named =
        rig.ask("GET", "/graph/plain?input=https://cdn.localhost:444/files/a.gif", &[("host", "cdn.localhost:444")]);
    assert_eq!(named.await.header("location"), place.header("location"));
    let page = rig.get("/").await;
    assert!(page.header("content-security-policy").contains("connect-src 'self' https://img.example"), "{page:?}");
}

#[tokio::test]
async fn our_own_addresses_as_inputs_go_into_one_job() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let inner = "graph%2Fplain.png%3Finput%3Dfiles%252Fa.gif%26width%3D9";
    let mut places = Vec::new();
    for base in ["", "%2F", &format!("http:%2F%2F{}%2F", rig.address)] {
        let target = format!("/graph/tone?input={base}{inner}");
        let answer = async {
            if !places.is_empty() {
                return;
            }
            let job = peer.take().await;
            let Some(Source::Graph { job: nested }) = &job.data.source else { panic!("{:?}", job.data.source) };
            assert_eq!((nested.graph.as_str(), nested.outtype.as_deref()), ("plain", Some("png")));
            assert_eq!(nested.iips["width"], "9");
            let Some(Source::File { path, version: Some(version) }) = &nested.source else {
                panic!("{:?}", nested.source)
            };
            assert_eq!((path.as_str(), version.bytes), ("a.gif", PICTURE.len() as u64));
            assert_ne!(nested.cachekey, job.data.cachekey);
            peer.finish(job).await;
        };
        let (place, ()) = tokio::join!(rig.get(&target), answer);
        assert_eq!(place.status, 301, "{place:?}");
        places.push(place.header("location").to_owned());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    // A fault inside is told with where it is.
    let problem = rig.get("/graph/tone?input=graph%2Fplain%3Fwidth%3Dx").await.problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("/graph/plain"), "{problem}");
    let stored = format!("/graph/tone?input={}", &places[0]);
    let (place, job) = tokio::join!(rig.get(&stored), async {
        let job = peer.take().await;
        peer.finish(job.clone()).await;
        job
    });
    assert_eq!(place.status, 301);
    assert_eq!(job.data.source, Some(Source::Stored { key: places[0].replace("/cache/", "") }));
}

#[tokio::test]
async fn nesting_has_an_end() {
    let limits = Limits { max_nested: 2, ..Limits::default() };
    let rig = Rig::with(Wish { limits, ..Wish::default() }).await;
    rig.busy_peer().await;
    // Each level is escaped once more.
    let mut target = "graph/plain?input=files/a.gif".to_owned();
    for level in 0..4 {
        let answer = rig.get(&format!("/{target}")).await;
        if level <= 2 {
            assert_eq!(answer.status, 301, "{level}: {answer:?}");
        } else {
            let problem = answer.problem(422);
            assert_eq!(problem["overrun"]["limit"], 2, "{problem}");
            assert_eq!(problem["overrun"]["setting"], "IMGFLO_MAX_NESTED", "{problem}");
        }
        let escaped = target.replace('%', "%25").replace('?', "%3F").replace('=', "%3D");
        target = format!("graph/plain?input={escaped}");
    }
}

#[tokio::test]
async fn a_noop_result_keeps_its_type() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let place = rig.get(&format!("/graph/noop?{INPUT}")).await.header("location").to_owned();
    assert!(!place.contains('.'), "{place}");
    assert_eq!(rig.get(&place).await.header("content-type"), "image/gif");
}

#[tokio::test]
async fn debug_leads_to_the_page() {
    let rig = Rig::start().await;
    for (asked, place) in [
        ("/graph/plain.png?debug=1&input=x", "/debug/graph//plain.png/?debug=1&input=x"),
        ("/graph/k/t/plain?debug=yes", "/debug/graph/k/t/plain/?debug=yes"),
    ] {
        let answer = rig.get(asked).await;
        assert_eq!((answer.status, answer.header("location")), (302, place));
        let page = rig.get(place).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    }
    // Not for POST, whatever was asked before, and not when empty.
    rig.ask("POST", "/graph/nothing?debug=1", &[]).await.problem(404);
    let target = format!("/graph/plain?{INPUT}&debug=1");
    for (method, status) in [("POST", 202), ("GET", 302), ("POST", 202)] {
        assert_eq!(rig.ask(method, &target, &[]).await.status, status, "{method}");
    }
    rig.get("/graph/nothing?debug=").await.problem(404);
}

#[tokio::test]
async fn an_order_that_can_never_succeed_is_refused_at_once() {
    let rig = Rig::start().await;
    let problem = rig.ask("POST", &format!("/graph/plain.png?{INPUT}&width=9000&height=9000"), &[]).await.problem(422);
    assert_eq!(problem["overrun"]["setting"], "IMGFLO_MAX_OUTPUT_PIXELS", "{problem}");
    assert_eq!(problem["overrun"]["value"], 81_000_000);
    // Of a long and thin input it can.
    let accepted = rig.ask("POST", &format!("/graph/plain.png?{INPUT}&width=9000"), &[]).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
}

#[tokio::test]
async fn sizes_with_fractions_are_rounded_to_one_key() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let place = async |size: &str| {
        let answer = rig.get(&format!("/graph/plain.png?{INPUT}&{size}")).await;
        assert_eq!(answer.status, 301, "{size}: {answer:?}");
        answer.header("location").to_owned()
    };
    let whole = place("width=575&height=323").await;
    for size in ["width=575&height=323.4375", "width=574.6&height=322.5", "width=575.0&height=323"] {
        assert_eq!(place(size).await, whole, "{size}");
    }
    assert_ne!(place("width=575&height=324").await, whole);
}
