//! Fetching from origins of all kinds.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imgflo_job::{Category, JobError, Limits, Urgency};
use imgflo_worker::FetchSettings;
use imgflo_worker::fetch::resolve::Lookup;
use imgflo_worker::fetch::{Fetcher, Wanted};

use super::origin::{Origin, Step, answer, head, redirect};
use super::setup::png;

const IMAGE: Wanted = Wanted {
    max_bytes: 100_000,
    setting: "IMGFLO_MAX_INPUT_BYTES",
    any_type: false,
    urgency: Urgency::Urgent,
    anew: false,
};
const ANYTHING: Wanted = Wanted { any_type: true, ..IMAGE };

fn settings(allow: &[&str]) -> FetchSettings {
    FetchSettings {
        allow_addresses: allow.iter().map(|net| net.parse().unwrap()).collect(),
        user_agent: "imgflo-test/1".into(),
    }
}

/// Times long enough to be never reached where a test is not about them.
fn patient() -> Limits {
    let long = Duration::from_secs(60);
    Limits { connect_timeout: long, first_byte_timeout: long, fetch_timeout: long, ..Limits::default() }
}

/// A fetcher that may fetch from loopback.
fn local(limits: Limits) -> Fetcher {
    Fetcher::new(settings(&["127.0.0.0/8"]), limits)
}

async fn error(fetcher: &Fetcher, url: &str, wanted: Wanted) -> JobError {
    match fetcher.fetch(url, wanted).await {
        Err(error) => error,
        Ok(fetched) => panic!("{url}: {} bytes came", fetched.bytes.len()),
    }
}

fn assert_error(error: &JobError, category: Category, words: &[&str]) {
    assert_eq!(error.category, category, "{error}");
    for word in words {
        assert!(error.message.contains(word), "'{word}' is not in: {}", error.message);
    }
}

/// Names that lead where a test wants.
fn names(answer: impl Fn(&str, usize) -> Vec<SocketAddr> + Send + Sync + 'static) -> Lookup {
    let asked = AtomicUsize::new(0);
    Arc::new(move |host| {
        let found = answer(&host, asked.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { Ok(found) })
    })
}

#[tokio::test]
async fn an_image_comes_whole_and_the_request_is_plain() {
    let image = png(20, 10);
    let served = image.clone();
    let origin = Origin::start(move |_| answer("200 OK", &[("Content-Type", "image/png")], &served)).await;
    let fetched = local(patient()).fetch(&origin.url("/a.png?b=c#d"), IMAGE).await.unwrap();
    assert_eq!(fetched.bytes, image);
    assert_eq!(fetched.media_type.as_deref(), Some("image/png"));
    let request = origin.requests()[0].to_ascii_lowercase();
    assert!(request.starts_with("get /a.png?b=c http/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: imgflo-test/1\r\n"), "{request}");
    for header in ["cookie:", "referer:", "authorization:", "proxy"] {
        assert!(!request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn the_content_decides_on_the_type() {
    let image = png(20, 10);
    let page = format!("<!DOCTYPE html><html>{}</html>", "x".repeat(3000)).into_bytes();
    let (served_image, served_page) = (image.clone(), page.clone());
    let origin = Origin::start(move |path| match path {
        "/image" => answer("200 OK", &[("Content-Type", "text/html")], &served_image),
        "/untyped" => answer("200 OK", &[], &served_image),
        "/page" => answer("200 OK", &[("Content-Type", "image/jpeg")], &served_page),
        "/short" => answer("200 OK", &[("Content-Type", "image/jpeg")], b"Not found"),
        _ => answer("200 OK", &[("Content-Type", "application/x-thing")], &[1; 3000]),
    })
    .await;
    let fetcher = local(patient());
    for path in ["/image", "/untyped"] {
        assert_eq!(fetcher.fetch(&origin.url(path), IMAGE).await.unwrap().bytes, image);
    }
    for (path, word) in [("/page", "an HTML page"), ("/short", "plain text"), ("/thing", "'application/x-thing'")] {
        let error = error(&fetcher, &origin.url(path), IMAGE).await;
        assert_error(&error, Category::UnsupportedType, &[word, "supported: jpg, png, webp, gif"]);
    }
    assert_eq!(fetcher.fetch(&origin.url("/page"), ANYTHING).await.unwrap().bytes, page);
}

#[tokio::test]
async fn what_is_no_image_is_not_downloaded() {
    // The page never ends; only its beginning is waited for.
    let origin = Origin::start(|_| {
        vec![head("200 OK", &[("Content-Type", "image/png")]), Step::Send(b"<html>".repeat(200)), Step::Hang]
    })
    .await;
    let error = error(&local(patient()), &origin.url("/"), IMAGE).await;
    assert_error(&error, Category::UnsupportedType, &["an HTML page"]);
}

#[tokio::test]
async fn lying_lengths() {
    let image = png(200, 100);
    let served = image.clone();
    let origin = Origin::start(move |path| match path {
        "/too-long" => vec![head("200 OK", &[("Content-Length", "90000")]), Step::Send(served.clone())],
        "/too-short" => vec![head("200 OK", &[("Content-Length", "50")]), Step::Send(served.clone())],
        "/huge" => vec![head("200 OK", &[("Content-Length", "100001")]), Step::Hang],
        "/absurd" => vec![head("200 OK", &[("Content-Length", "99999999999999999999999")]), Step::Hang],
        _ => vec![head("200 OK", &[]), Step::Send(served.clone()), Step::Drip(vec![0; 50_000], Duration::ZERO)],
    })
    .await;
    let fetcher = local(patient());
    let too_long = error(&fetcher, &origin.url("/too-long"), IMAGE).await;
    assert_error(&too_long, Category::OriginFailed, &["/too-long", "broke off"]);
    assert_eq!(fetcher.fetch(&origin.url("/too-short"), IMAGE).await.unwrap().bytes, &image[..50]);
    let huge = error(&fetcher, &origin.url("/huge"), IMAGE).await;
    assert_error(&huge, Category::TooLarge, &["100001", "100000", "IMGFLO_MAX_INPUT_BYTES"]);
    assert_eq!(error(&fetcher, &origin.url("/absurd"), IMAGE).await.category, Category::OriginFailed);
    let endless = error(&fetcher, &origin.url("/endless"), IMAGE).await;
    assert_error(&endless, Category::TooLarge, &["more than the limit of 100000", "IMGFLO_MAX_INPUT_BYTES"]);
}

#[tokio::test]
async fn slow_origins() {
    let start = png(20, 10)[..30].to_vec();
    let origin = Origin::start(move |path| match path {
        "/silent" => vec![Step::Hang],
        "/stops" => vec![head("200 OK", &[("Content-Length", "500")]), Step::Send(start.clone()), Step::Hang],
        "/drips" => {
            vec![head("200 OK", &[]), Step::Send(start.clone()), Step::Drip(vec![0], Duration::from_millis(20))]
        }
        // Fast enough, but too long.
        _ => vec![head("200 OK", &[]), Step::Send(start.clone()), Step::Drip(vec![0; 300], Duration::from_millis(5))],
    })
    .await;
    let short = Duration::from_millis(200);
    let impatient = local(Limits { first_byte_timeout: short, connect_timeout: short, ..patient() });
    let silent = error(&impatient, &origin.url("/silent"), IMAGE).await;
    assert_error(&silent, Category::OriginTimeout, &["did not answer within 0.2 s", "IMGFLO_FIRST_BYTE_TIMEOUT"]);
    let stops = error(&impatient, &origin.url("/stops"), IMAGE).await;
    assert_error(&stops, Category::OriginTimeout, &["sent nothing more", "IMGFLO_FIRST_BYTE_TIMEOUT"]);
    let drips = error(&impatient, &origin.url("/drips"), IMAGE).await;
    assert_error(&drips, Category::OriginTimeout, &["more slowly than 10 KiB/s"]);
    let hurried = local(Limits { fetch_timeout: Duration::from_millis(300), ..patient() });
    let long = error(&hurried, &origin.url("/long"), Wanted { max_bytes: u64::MAX, ..IMAGE }).await;
    assert_error(&long, Category::OriginTimeout, &["did not deliver all within 0.3 s", "IMGFLO_FETCH_TIMEOUT"]);
}

#[tokio::test]
async fn errors_of_the_origin_are_named() {
    let origin = Origin::start(|path| match path {
        "/empty" => answer("200 OK", &[("Content-Type", "image/png")], b""),
        "/garbage" => vec![Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())],
        "/close" => vec![],
        "/nowhere" => answer("302 Found", &[], b""),
        "/ftp" => redirect("302 Found", "ftp://example.com/a"),
        "/bad" => redirect("302 Found", "http://[::1/"),
        path => answer(&format!("{} Some Reason", &path[1..]), &[], b"<html>sorry</html>"),
    })
    .await;
    let fetcher = local(patient());
    for (status, category) in [
        ("201", Category::OriginFailed),
        ("204", Category::OriginFailed),
        ("304", Category::OriginFailed),
        ("401", Category::OriginFailed),
        ("403", Category::OriginFailed),
        ("404", Category::NotFound),
        ("410", Category::NotFound),
        ("429", Category::OriginBusy),
        ("500", Category::OriginFailed),
        ("503", Category::OriginBusy),
    ] {
        let error = error(&fetcher, &origin.url(&format!("/{status}")), ANYTHING).await;
        assert_error(&error, category, &["answered with status", status]);
        assert_eq!(error.details["origin_status"], status.parse::<u16>().unwrap());
        assert!(!error.details.contains_key("retry_after"));
    }
    let empty = error(&fetcher, &origin.url("/empty"), IMAGE).await;
    assert_error(&empty, Category::BrokenInput, &["/empty", "empty body"]);
    for (path, word) in [
        ("/garbage", "did not answer with HTTP"),
        ("/close", "did not answer with HTTP"),
        ("/nowhere", "no location"),
        ("/ftp", "redirects to a ftp: URL"),
        ("/bad", "no URL"),
    ] {
        assert_error(&error(&fetcher, &origin.url(path), IMAGE).await, Category::OriginFailed, &[word]);
    }
}

#[tokio::test]
async fn unreachable_origins() {
    let fetcher = local(patient());
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = error(&fetcher, &format!("http://{free}/a.png"), IMAGE).await;
    assert_error(&refused, Category::OriginFailed, &[&free.to_string(), "could not be connected to", "refused"]);
    let unknown = error(&fetcher, "http://no-such-host.invalid/a.png", IMAGE).await;
    assert_error(&unknown, Category::OriginFailed, &["no-such-host.invalid", "was not found"]);
    let nothing = Fetcher::with_lookup(settings(&[]), patient(), names(|_, _| vec![]));
    let error = error(&nothing, "http://example.com/", IMAGE).await;
    assert_error(&error, Category::OriginFailed, &["was not found"]);
}

#[tokio::test]
async fn a_name_service_that_does_not_answer_ends_at_the_connect_timeout() {
    let limits = Limits { connect_timeout: Duration::from_millis(100), ..patient() };
    let lookup: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    let fetcher = Fetcher::with_lookup(settings(&[]), limits, lookup);
    let error = error(&fetcher, "http://example.com/", IMAGE).await;
    assert_error(&error, Category::OriginTimeout, &["example.com", "IMGFLO_CONNECT_TIMEOUT"]);
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_allowed() {
    let image = png(20, 10);
    let served = image.clone();
    let origin = Origin::start(move |path| match path {
        "/" => answer("200 OK", &[], &served),
        "/circle" => redirect("302 Found", "/circle2?x"),
        "/circle2?x" => redirect("301 Moved", "circle#fragment"),
        path => {
            let status = ["301 a", "302 b", "303 c", "307 d", "308 e"][path.len() % 5];
            redirect(status, if path.len() == 2 { "." } else { &path[..path.len() - 1] })
        }
    })
    .await;
    let fetcher = local(Limits { max_redirects: 5, ..patient() });
    let five = fetcher.fetch(&origin.url("/abcde"), IMAGE).await.unwrap();
    assert_eq!(five.bytes, image);
    let six = error(&fetcher, &origin.url("/abcdef"), IMAGE).await;
    assert_error(&six, Category::OriginFailed, &["more than 5 redirects", "IMGFLO_MAX_REDIRECTS"]);
    assert_eq!(six.overrun.unwrap().limit, 5);
    let circle = error(&fetcher, &origin.url("/circle"), IMAGE).await;
    assert_error(&circle, Category::OriginFailed, &["in a circle"]);
    let none = local(Limits { max_redirects: 0, ..patient() });
    assert_eq!(none.fetch(&origin.url("/"), IMAGE).await.unwrap().bytes, image);
    assert_eq!(error(&none, &origin.url("/a"), IMAGE).await.category, Category::OriginFailed);
}

#[tokio::test]
async fn every_hop_is_guarded() {
    let targets =
        ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest", "//localhost./", "http://0x7f.2/"];
    let origin = Origin::start(move |path| {
        let target: usize = path[1..].parse().unwrap();
        redirect("302 Found", targets[target])
    })
    .await;
    // Only the origin itself is opened.
    let fetcher = Fetcher::new(settings(&["127.0.0.1/32"]), patient());
    for (index, target) in targets.iter().enumerate() {
        if *target == "//localhost./" {
            continue;
        }
        let error = error(&fetcher, &origin.url(&format!("/{index}")), IMAGE).await;
        assert_error(&error, Category::Forbidden, &["IMGFLO_ALLOW_ADDRESSES"]);
    }
    assert_eq!(origin.requests().len(), 4);
}

#[tokio::test]
async fn private_addresses_are_refused_in_every_spelling() {
    let origin = Origin::start(|_| answer("200 OK", &[], b"secret")).await;
    let port = origin.address().port();
    let fetcher = Fetcher::new(settings(&[]), patient());
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "169.254.169.254",
        "localhost",
        "LOCALHOST",
    ];
    for host in hosts {
        let error = error(&fetcher, &format!("http://{host}:{port}/"), ANYTHING).await;
        assert_error(&error, Category::Forbidden, &["IMGFLO_ALLOW_ADDRESSES"]);
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_connecting() {
    let origin = Origin::start(|_| answer("200 OK", &[], b"secret")).await;
    let address = origin.address();
    let url = format!("http://harmless.example:{}/", address.port());
    let fetcher = Fetcher::with_lookup(settings(&[]), patient(), names(move |_, _| vec![address]));
    let refused = error(&fetcher, &url, ANYTHING).await;
    assert_error(&refused, Category::Forbidden, &["harmless.example", "loopback", "IMGFLO_ALLOW_ADDRESSES"]);
    assert!(!refused.message.contains("127.0.0.1:"), "the address is not told: {}", refused.message);
    // First a good address, then a bad one: each connection is guarded.
    let open = SocketAddr::new([127, 0, 0, 1].into(), 0);
    let closed = SocketAddr::new([127, 0, 0, 2].into(), 0);
    let rebinding = names(move |_, asked| vec![if asked == 0 { open } else { closed }]);
    let fetcher = Fetcher::with_lookup(settings(&["127.0.0.1/32"]), patient(), rebinding);
    assert_eq!(fetcher.fetch(&url, ANYTHING).await.unwrap().bytes, "secret");
    assert_eq!(error(&fetcher, &url, ANYTHING).await.category, Category::Forbidden);
    // Of several addresses the good ones are used.
    let mixed = names(move |_, _| vec![closed, open]);
    let fetcher = Fetcher::with_lookup(settings(&["127.0.0.1/32"]), patient(), mixed);
    assert_eq!(fetcher.fetch(&url, ANYTHING).await.unwrap().bytes, "secret");
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let fetcher = local(patient());
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "data:,x", "no url", "http://"] {
        assert_eq!(error(&fetcher, url, ANYTHING).await.category, Category::InvalidParameter, "{url}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_answers_are_read_and_bounded() {
    let image = png(20, 10);
    let packed = gzip(&image);
    let mut bomb = image.clone();
    bomb.resize(50_000_000, 0);
    let bomb = gzip(&bomb);
    assert!(bomb.len() < 60_000);
    let encoded = |encoding: &'static str, body: &[u8]| answer("200 OK", &[("Content-Encoding", encoding)], body);
    let origin = Origin::start(move |path| match path {
        "/good" => encoded("gzip", &packed),
        "/bomb" => encoded("gzip", &bomb),
        "/cut" => encoded("gzip", &packed[..packed.len() / 2]),
        "/liar" => encoded("gzip", b"not gzip at all"),
        _ => encoded("br", b"whatever"),
    })
    .await;
    let fetcher = local(patient());
    assert_eq!(fetcher.fetch(&origin.url("/good"), IMAGE).await.unwrap().bytes, image);
    let bomb = error(&fetcher, &origin.url("/bomb"), IMAGE).await;
    assert_error(&bomb, Category::TooLarge, &["limit of 100000", "IMGFLO_MAX_INPUT_BYTES"]);
    for path in ["/cut", "/liar"] {
        let error = error(&fetcher, &origin.url(path), IMAGE).await;
        assert_error(&error, Category::OriginFailed, &[path]);
    }
    let strange = error(&fetcher, &origin.url("/br"), IMAGE).await;
    assert_error(&strange, Category::OriginFailed, &["content encoding 'br'"]);
}

#[tokio::test]
async fn credentials_and_queries_stay_out_of_messages() {
    let origin = Origin::start(|_| answer("404 Not Found", &[], b"")).await;
    let url = format!("http://me:password@{}/a?key=secret", origin.address());
    let error = error(&local(patient()), &url, IMAGE).await;
    assert!(!error.message.contains("password") && !error.message.contains("secret"), "{}", error.message);
}

const WITHOUT_ROOTS: &str = "IMGFLO_WORKER_TEST_URL";

/// Runs in a process whose system has no certificates.
#[tokio::test]
#[ignore = "runs in the child that the other test starts"]
async fn without_certificates() {
    let Ok(url) = std::env::var(WITHOUT_ROOTS) else { return };
    let fetched = local(patient()).fetch(&url, IMAGE).await.unwrap();
    println!("fetched {} bytes", fetched.bytes.len());
    // The origin knows no TLS, but the attempt is made.
    let impatient = local(Limits { connect_timeout: Duration::from_millis(200), ..patient() });
    let error = error(&impatient, &url.replace("http:", "https:"), IMAGE).await;
    assert_error(&error, Category::OriginTimeout, &["IMGFLO_CONNECT_TIMEOUT"]);
}

#[tokio::test]
async fn plain_http_works_without_any_certificates() {
    let image = png(20, 10);
    let expected = format!("fetched {} bytes", image.len());
    let origin = Origin::start(move |_| answer("200 OK", &[], &image)).await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker::fetch::without_certificates", "--ignored", "--nocapture"])
        .env(WITHOUT_ROOTS, origin.url("/"))
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains(&expected), "{output}");
}

#[tokio::test]
async fn codings_that_are_none_are_passed_over() {
    let image = png(20, 10);
    let (plain, packed) = (image.clone(), gzip(&image));
    let codings = ["", "identity", "aws-chunked", "none", "utf-8", "UTF-8", "binary", "image/png", "gzip"];
    let packings = ["GZIP", "x-gzip", "X-Gzip", "aws-chunked,gzip", "gzip, identity"];
    let origin = Origin::start(move |path| match path[1..].split_once('/').unwrap() {
        ("plain", index) => answer("200 OK", &[("Content-Encoding", codings[index.parse::<usize>().unwrap()])], &plain),
        ("packed", index) => {
            answer("200 OK", &[("Content-Encoding", packings[index.parse::<usize>().unwrap()])], &packed)
        }
        _ => answer("200 OK", &[("Content-Encoding", "utf-8")], b"<html>hello</html>"),
    })
    .await;
    let fetcher = local(patient());
    let mut fetched = 0;
    for (kind, names) in [("plain", &codings[..]), ("packed", &packings[..])] {
        for (index, coding) in names.iter().enumerate() {
            for wanted in [IMAGE, ANYTHING] {
                let came = fetcher.fetch(&origin.url(&format!("/{kind}/{index}")), wanted).await;
                assert_eq!(came.unwrap_or_else(|error| panic!("{kind} {coding}: {error}")).bytes, image);
                fetched += 1;
            }
        }
    }
    assert_eq!(fetched, 28);
    let page = error(&fetcher, &origin.url("/page/0"), ANYTHING).await;
    assert_error(&page, Category::OriginFailed, &["content encoding 'utf-8'", "no picture"]);
}

#[tokio::test]
async fn a_whole_body_is_one_whatever_the_success() {
    let image = png(20, 10);
    let served = image.clone();
    let all = format!("bytes 0-{}/{}", image.len() - 1, image.len());
    let origin = Origin::start(move |path| match path {
        "/203" => answer("203 Non-Authoritative", &[], &served),
        "/whole" => answer("206 Partial", &[("Content-Range", &all)], &served),
        "/part" => answer("206 Partial", &[("Content-Range", "bytes 0-49/1000")], &served[..50]),
        _ => answer("206 Partial", &[], &served),
    })
    .await;
    let fetcher = local(patient());
    for path in ["/203", "/whole"] {
        assert_eq!(fetcher.fetch(&origin.url(path), IMAGE).await.unwrap().bytes, image, "{path}");
    }
    for path in ["/part", "/unknown"] {
        let part = error(&fetcher, &origin.url(path), IMAGE).await;
        assert_error(&part, Category::OriginFailed, &["206", "a part only"]);
    }
}

#[tokio::test]
async fn strange_heads_are_read_as_browsers_do() {
    let image = png(20, 10);
    let served = image.clone();
    let origin = Origin::start(move |path| {
        let lines: String = match path {
            "/folded" => "X-A: a\r\n  b\r\n".into(),
            "/space" => "X-A : a\r\n".into(),
            "/broken" => "X A: a\r\nno colon\r\n".into(),
            "/latin1" => "X-Name: caf\u{e9}.png\r\n".into(),
            path => (0..path[1..].parse().unwrap()).map(|index| format!("X-{index}: {}\r\n", "y".repeat(20))).collect(),
        };
        // As Latin-1.
        let lines: Vec<u8> = lines.chars().map(|c| c as u8).collect();
        let head = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", &lines[..], b"\r\n"].concat();
        vec![Step::Send(head), Step::Send(served.clone())]
    })
    .await;
    let fetcher = local(patient());
    for path in ["/folded", "/space", "/broken", "/latin1", "/150", "/900"] {
        let came = fetcher.fetch(&origin.url(path), IMAGE).await;
        assert_eq!(came.unwrap_or_else(|error| panic!("{path}: {error}")).bytes, image);
    }
    let many = error(&fetcher, &origin.url("/1100"), IMAGE).await;
    assert_error(&many, Category::OriginFailed, &["a head that is too long", "1000 lines"]);
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_is_tried_once_more() {
    let image = png(20, 10);
    let served = image.clone();
    let origin = Origin::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", served.len());
        // Keeps the connection, and closes it when the next request begins.
        vec![Step::Send(head.into_bytes()), Step::Send(served.clone()), Step::Hang]
    })
    .await;
    let fetcher = local(patient());
    for round in 1..=3 {
        assert_eq!(fetcher.fetch(&origin.url("/"), IMAGE).await.unwrap().bytes, image, "round {round}");
        assert_eq!(origin.requests().len(), round);
    }
    // A new connection is not.
    let rude = Origin::start(|_| vec![]).await;
    assert_eq!(error(&fetcher, &rude.url("/"), IMAGE).await.category, Category::OriginFailed);
    assert_eq!(rude.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_to_an_address_with_a_password_is_refused() {
    let target = Origin::start(|_| answer("200 OK", &[], &png(20, 10))).await;
    let address = target.address();
    let origin = Origin::start(move |path| {
        let user = if path == "/name" { "me" } else { "me:password" };
        redirect("302 Found", &format!("http://{user}@{address}/a.png"))
    })
    .await;
    for path in ["/name", "/password"] {
        let refused = error(&local(patient()), &origin.url(path), IMAGE).await;
        assert_error(&refused, Category::Forbidden, &["a user name or password"]);
        assert!(!refused.message.contains("me:"), "{}", refused.message);
    }
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn the_origin_says_who_may_keep_its_picture() {
    let image = png(20, 10);
    let origin = Origin::start(move |path| {
        let control = match path {
            "/no-store" => "max-age=0, No-Store",
            "/private" => "private",
            _ => "public, no-cache",
        };
        answer("200 OK", &[("Cache-Control", control)], &image)
    })
    .await;
    let fetcher = local(patient());
    for (path, private) in [("/no-store", true), ("/private", true), ("/public", false)] {
        assert_eq!(fetcher.fetch(&origin.url(path), IMAGE).await.unwrap().private, private, "{path}");
    }
}

#[tokio::test]
async fn negative_answers_are_remembered_for_a_while() {
    let origin = Origin::start(|path| match path {
        "/page" => answer("200 OK", &[], b"<html>login</html>"),
        "/now" => answer("503 Busy", &[("Retry-After", "0")], b""),
        "/later" => answer("429 Slow down", &[("Retry-After", "7")], b""),
        _ => answer("404 Not Found", &[], b""),
    })
    .await;
    let fetcher = local(patient());
    let asked = |path: &str| {
        let start = format!("GET {path} ");
        origin.requests().iter().filter(|head| head.starts_with(&start)).count()
    };
    for (path, requests, category) in [
        ("/missing", 1, Category::NotFound),
        ("/page", 1, Category::UnsupportedType),
        ("/later", 1, Category::OriginBusy),
        ("/now", 2, Category::OriginBusy),
    ] {
        for _ in 0..2 {
            assert_eq!(error(&fetcher, &origin.url(path), IMAGE).await.category, category, "{path}");
        }
        assert_eq!(asked(path), requests, "{path}");
    }
    assert_eq!(error(&fetcher, &origin.url("/later"), IMAGE).await.details["retry_after"], 7);
    let anew = Wanted { anew: true, ..IMAGE };
    assert_eq!(error(&fetcher, &origin.url("/missing"), anew).await.category, Category::NotFound);
    assert_eq!(asked("/missing"), 2);
    let forgetful = local(Limits { negative_lifetime: Duration::ZERO, ..patient() });
    for _ in 0..2 {
        error(&forgetful, &origin.url("/missing"), IMAGE).await;
    }
    assert_eq!(asked("/missing"), 4);
}

#[tokio::test]
async fn a_slow_host_leaves_fetches_to_others() {
    let image = png(20, 10);
    let served = image.clone();
    let origin = Origin::start(move |path| match path {
        "/slow" => vec![Step::Hang],
        _ => answer("200 OK", &[], &served),
    })
    .await;
    let address = origin.address();
    let limits = Limits { max_fetches: 4, ..patient() };
    let fetcher = Fetcher::with_lookup(settings(&["127.0.0.0/8"]), limits, names(move |_, _| vec![address]));
    let (slow, other) = (origin.url("/slow"), format!("http://other.example:{}/", address.port()));
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(fetcher.fetch(&slow, IMAGE))).collect();
    for fetch in &mut waiting {
        assert!(futures::poll!(fetch).is_pending());
    }
    let refused = error(&fetcher, &slow, IMAGE).await;
    assert_error(&refused, Category::Overloaded, &["127.0.0.1", "IMGFLO_MAX_FETCHES"]);
    assert_eq!(fetcher.fetch(&other, IMAGE).await.unwrap().bytes, image);
    // What can wait waits.
    let background = Wanted { urgency: Urgency::Background, ..IMAGE };
    let url = origin.url("/");
    let mut patient = Box::pin(fetcher.fetch(&url, background));
    assert!(futures::poll!(&mut patient).is_pending());
    waiting.pop();
    assert_eq!(patient.await.unwrap().bytes, image);
}

#[tokio::test]
async fn an_input_larger_than_the_memory_for_all_comes_all_the_same() {
    let served = vec![1; 300_000];
    let origin = Origin::start(move |_| answer("200 OK", &[], &served)).await;
    let fetcher = local(Limits { max_fetch_bytes: 0, ..patient() });
    let wanted = Wanted { max_bytes: 1_000_000, ..ANYTHING };
    let held = fetcher.fetch(&origin.url("/"), wanted).await.unwrap();
    assert_eq!(held.bytes.len(), 300_000);
    // As long as it is in use, the next one waits.
    let url = origin.url("/");
    let mut next = Box::pin(fetcher.fetch(&url, wanted));
    let first = tokio::time::timeout(Duration::from_millis(200), &mut next).await;
    assert!(first.is_err());
    drop(held);
    assert_eq!(next.await.unwrap().bytes.len(), 300_000);
}
