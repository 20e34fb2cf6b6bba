//! Bad input, each with its status and no harm: the server goes on, holds no memory, hangs nobody.

use std::time::{Duration, Instant};

use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::server::Server;
use imgflo_tests::{corpus, repository, sample};
use reqwest::Response;
use serde_json::Value;

/// Asserts status, problem body and that nobody may keep it; returns the body.
async fn problem(answer: Response, status: u16, path: &str) -> Value {
    let got = answer.status().as_u16();
    let kind = answer.headers().get("content-type").map(|k| k.to_str().unwrap().to_owned());
    let cache = answer.headers().get("cache-control").map(|k| k.to_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{}: {text}", &path[..path.len().min(200)]);
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{text}");
    assert_eq!(cache.as_deref(), Some("no-store"), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["status"], status, "{text}");
    assert!(body["title"].is_string() && body["detail"].as_str().is_some_and(|d| !d.is_empty()), "{text}");
    body
}

async fn refused(server: &Server, path: &str, status: u16) -> Value {
    problem(server.get(path).await, status, path).await
}

/// Graphs read what `/files` gives, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_served_are_no_inputs() {
    use std::os::unix::fs::symlink;
    let top = tempfile::tempdir().unwrap();
    let files = top.path().join("files");
    std::fs::create_dir_all(files.join("sub/.git")).unwrap();
    for place in
        [files.join("lake.jpg"), files.join(".lake.jpg"), files.join("sub/.git/lake.jpg"), top.path().join("lake.jpg")]
    {
        std::fs::copy(sample("lake.jpg"), place).unwrap();
    }
    symlink(files.join("lake.jpg"), files.join("in.jpg")).unwrap();
    symlink(files.join(".lake.jpg"), files.join("shown.jpg")).unwrap();
    symlink(top.path().join("lake.jpg"), files.join("out.jpg")).unwrap();
    symlink(top.path(), files.join("up")).unwrap();
    let server = Server::start(&["--files", files.to_str().unwrap()]);
    let listed = server.get("/files").await.text().await.unwrap();
    for (file, is_served) in [
        ("lake.jpg", true),
        ("in.jpg", true),
        (".lake.jpg", false),
        ("sub/.git/lake.jpg", false),
        ("shown.jpg", false),
        ("out.jpg", false),
        ("up/lake.jpg", false),
    ] {
        assert_eq!(listed.contains(&format!("\"files/{file}\"")), is_served, "{file}");
        let statuses = if is_served { [200, 301, 301] } else { [404; 3] };
        let paths = ["/files/", "/graph/noop?input=files/", "/graph/passthrough?input=files/"];
        for (path, status) in paths.iter().zip(statuses) {
            let answer = server.get(&format!("{path}{file}")).await;
            assert_eq!(answer.status(), status, "{path}{file}: {}", answer.text().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters() {
    let server = Server::start(&[]);
    let lake = "input=files/lake.jpg";
    let body = refused(&server, &format!("/graph/gaussianblur?{lake}&std-dev-z=3"), 422).await;
    assert!(body["detail"].as_str().unwrap().contains("std-dev-z"), "{body}");
    let names: Vec<&str> = body["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"std-dev-x") && names.contains(&"width"), "{body}");
    let body = refused(&server, &format!("/graph/gaussianblur?{lake}&std-dev-x=99999"), 422).await;
    assert!(body.to_string().contains("500"), "the range is named: {body}");
    for bad in [
        "std-dev-x=wide",
        "std-dev-x=NaN",
        "std-dev-x=1e999",
        "std-dev-x=-1",
        "width=abc",
        "width=-0.6",
        "width=-7",
        "abyss-policy=nothing",
    ] {
        refused(&server, &format!("/graph/gaussianblur?{lake}&{bad}"), 422).await;
    }
    let body = refused(&server, &format!("/graph/gaussianblur?{lake}&std-dev-x=wide&width=abc&nothing=1"), 422).await;
    assert_eq!(body["faults"].as_array().map(Vec::len), Some(3), "all faults at once: {body}");
    let body = refused(&server, &format!("/graph/passthrough?{lake}&width=9000&height=9000"), 422).await;
    assert_eq!(body["overrun"]["setting"], "IMGFLO_MAX_OUTPUT_PIXELS", "{body}");
    refused(&server, "/graph/nosuchgraph?input=files/lake.jpg", 404).await;
    refused(&server, "/graph/passthrough.svg?input=files/lake.jpg", 415).await;
    refused(&server, "/graph/crop?input=files/lake.jpg&x=10", 422).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
}

/// A name that no graph has is told from a graph whose file is broken.
#[tokio::test(flavor = "multi_thread")]
async fn graphs_that_are_not_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(repository().join("graphs/retro.json"), folder.path().join("retro.json")).unwrap();
    std::fs::write(folder.path().join("broken.fbp"), "a(gegl/nop) OUTPUT -> INPUT b(gegl/nosuch)\n").unwrap();
    std::fs::write(folder.path().join("torn.json"), "{\"processes\": {").unwrap();
    std::fs::write(folder.path().join("twice.json"), "{\"processes\": {}}").unwrap();
    std::fs::write(folder.path().join("twice.fbp"), "a(gegl/nop)\n").unwrap();
    let server = Server::start(&["--graphs", folder.path().to_str().unwrap()]);
    let ask = async |graph: &str| refused(&server, &format!("/graph/{graph}?input=files/card.png"), 404).await;
    for (graph, told) in [
        (
            "broken.png",
            "graph 'broken' cannot be served, because its file is broken: broken.fbp: process 'b': unknown component",
        ),
        ("torn", "graph 'torn' cannot be served, because its file is broken: torn.json: line 1"),
        ("twice", "a second graph of the name 'twice', beside twice.fbp"),
    ] {
        let body = ask(graph).await;
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(told) && !detail.contains(folder.path().to_str().unwrap()), "{body}");
    }
    let body = ask("retor.png").await;
    assert_eq!(body["nearest"], serde_json::json!(["retro"]), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("there is no graph 'retor'; did you mean retro?"), "{body}");
    let body = ask("elephant").await;
    assert_eq!(body["nearest"], serde_json::json!([]), "{body}");
    assert!(!body["detail"].as_str().unwrap().contains("did you mean"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_are_no_pictures() {
    let jpeg = std::fs::read(sample("lake.jpg")).unwrap();
    let origin = Origin::start([
        ("/page", Answer::Body("text/html", b"<!doctype html><html><body>no picture</body></html>".to_vec())),
        ("/lie", Answer::Body("image/jpeg", b"<!doctype html><html><body>no picture</body></html>".to_vec())),
        ("/honest", Answer::Body("text/html", jpeg.clone())),
        ("/empty", Answer::Body("image/jpeg", Vec::new())),
        ("/truncated", Answer::Body("image/jpeg", jpeg[..jpeg.len() / 2].to_vec())),
        ("/header", Answer::Body("image/jpeg", jpeg[..30].to_vec())),
        ("/short", Answer::Claims(jpeg.len() as u64 + 1000, jpeg.clone())),
        ("/gone", Answer::Status(404)),
        ("/broken", Answer::Status(500)),
    ]);
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    let graph = |path: &str| format!("/graph/passthrough?width=50&input={}", origin.input(path));
    let body = refused(&server, &graph("/page"), 415).await;
    assert!(body["supported"].as_array().is_some_and(|s| s.len() >= 4), "{body}");
    refused(&server, &graph("/lie"), 415).await;
    server.picture(&graph("/honest")).await;
    refused(&server, &graph("/empty"), 422).await;
    for (path, bytes) in [("/truncated", jpeg.len() / 2), ("/truncated", jpeg.len() / 2), ("/header", 30)] {
        let body = refused(&server, &graph(path), 422).await;
        let told = format!("the file ends early, after {bytes} bytes");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(&told) && detail.contains("IMGFLO_ACCEPT_CUT_INPUTS"), "{body}");
    }
    let lenient = Server::start(&["--allow-addresses", "127.0.0.0/8", "--accept-cut-inputs", "true"]);
    lenient.picture(&graph("/truncated")).await;
    refused(&lenient, &graph("/header"), 422).await;
    refused(&lenient, &graph("/short"), 502).await;
    refused(&server, &graph("/short"), 502).await;
    refused(&server, &graph("/gone"), 404).await;
    refused(&server, &graph("/broken"), 502).await;
    refused(&server, "/graph/passthrough?input=files/nosuch.jpg", 404).await;
    refused(&server, "/graph/passthrough?input=ftp%3A%2F%2Fexample.org%2Fa.jpg", 403).await;
    refused(&server, "/graph/passthrough?input=file%3A%2F%2F%2Fetc%2Fpasswd", 403).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
}

/// A PNG that claims a size and holds almost nothing.
fn huge_png(width: u32, height: u32) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
        })
    }
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    png.extend(&chunk);
    png.extend(crc(&chunk).to_be_bytes());
    png.extend(b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e\x00\x00\x00\x00IEND\xae\x42\x60\x82");
    png
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_claim_to_be_huge() {
    let mut gif = b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x00;".to_vec();
    gif.extend([0; 32]);
    let origin = Origin::start([
        ("/thin.png", Answer::Body("image/png", huge_png(1, 500_000_000))),
        ("/wide.png", Answer::Body("image/png", huge_png(50_000, 50_000))),
        ("/hundred.png", Answer::Body("image/png", huge_png(12_500, 8_000))),
        ("/screen.gif", Answer::Body("image/gif", gif)),
    ]);
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    server.picture("/graph/passthrough?input=files/card.png&width=20").await;
    let before = server.peak_memory();
    for path in ["/thin.png", "/wide.png", "/hundred.png", "/screen.gif"] {
        let body = refused(&server, &format!("/graph/passthrough?width=50&input={}", origin.input(path)), 422).await;
        let setting = body["overrun"]["setting"].as_str().unwrap();
        assert!(["IMGFLO_MAX_INPUT_PIXELS", "IMGFLO_MAX_INPUT_SIDE"].contains(&setting), "{path}: {body}");
        assert!(body["overrun"]["value"].as_u64() > body["overrun"]["limit"].as_u64(), "{path}: {body}");
    }
    let rise = server.peak_memory().saturating_sub(before);
    assert!(rise < 32 << 20, "refusing took {rise} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_that_are_slow_or_endless() {
    let origin = Origin::start([("/drip", Answer::Drip), ("/endless", Answer::Endless), ("/silent", Answer::Silent)]);
    let server = Server::start(&[
        "--allow-addresses",
        "127.0.0.0/8",
        "--first-byte-timeout",
        "1000",
        "--fetch-timeout",
        "2000",
        "--max-input-bytes",
        "4MiB",
    ]);
    let graph = |path: &str| format!("/graph/passthrough?width=50&input={}", origin.input(path));
    let start = Instant::now();
    refused(&server, &graph("/drip"), 504).await;
    refused(&server, &graph("/silent"), 504).await;
    let body = refused(&server, &graph("/endless"), 422).await;
    assert_eq!(body["overrun"]["setting"], "IMGFLO_MAX_INPUT_BYTES", "{body}");
    assert!(start.elapsed() < Duration::from_secs(30), "no request hangs");
    assert!(server.peak_memory() < 400 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_ours_to_fetch() {
    let jpeg = std::fs::read(sample("lake.jpg")).unwrap();
    let origin = Origin::start([("/photo.jpg", Answer::Body("image/jpeg", jpeg))]);
    let outside = Origin::start([("/inward", Answer::Redirect("http://10.0.0.1/secret.jpg".into()))]);
    // Without leave no loopback origin is asked; 127.0.0.2 is opened alone.
    let server = Server::start(&[]);
    let body = refused(&server, &format!("/graph/passthrough?input={}", origin.input("/photo.jpg")), 403).await;
    assert!(body["detail"].as_str().unwrap().contains("IMGFLO_ALLOW_ADDRESSES"), "{body}");
    assert_eq!(origin.requests("/photo.jpg"), 0, "the guard is before the connection");
    for host in [
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "2130706433",
        "0x7f.1",
        "10.0.0.1",
        "100.64.0.1",
    ] {
        refused(&server, &format!("/graph/passthrough?input=http%3A%2F%2F{host}%2Fa.jpg"), 403).await;
    }
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    let body = refused(&server, &format!("/graph/passthrough?input={}", outside.input("/inward")), 403).await;
    assert_eq!(outside.requests("/inward"), 1);
    assert!(!body.to_string().contains("secret"), "the redirect's target is not told: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_and_paths() {
    let server = Server::start(&[]);
    let long = format!("/graph/passthrough?input=files/lake.jpg&x={}", "a".repeat(100_000));
    // Longer than any client library sends: write the request line by hand.
    let answer = raw_get(&server, &long).await;
    assert_eq!(answer.split(' ').nth(1), Some("400"), "{answer}");
    let body = refused(&server, &long[..60_000], 400).await;
    assert_eq!(body["overrun"]["setting"], "IMGFLO_MAX_URL_BYTES", "{body}");
    for path in [
        "/cache/../Cargo.toml",
        "/cache/..%2f..%2fCargo.toml",
        "/cache/%2e%2e/Cargo.toml",
        "/cache/abc",
        "/cache/",
        "/files/../Cargo.toml",
        "/files/..%2fCargo.toml",
        "/files/%2e%2e%2fCargo.toml",
        "/files//etc/passwd",
        "/files/%00",
        "/files/nosuch.jpg",
        "/nothing",
    ] {
        // The client would tidy `..` away: write the request line by hand.
        let answer = raw_get(&server, path).await;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(["400", "404"].contains(&status.as_str()), "{path}: {answer}");
        assert!(!answer.contains("[workspace]"), "{path}");
    }
    for input in ["files/..%2fCargo.toml", "files/%252e%252e/Cargo.toml", "..%2fCargo.toml", "files/../../etc/passwd"] {
        let answer = server.get(&format!("/graph/noop?input={input}")).await;
        assert!([400, 403, 404].contains(&answer.status().as_u16()), "{input}: {}", answer.status());
    }
    refused(&server, "/graph/passthrough?width=50", 422).await;
    refused(&server, "/graph/passthrough?input=", 422).await;
    refused(&server, "/graph/passthrough?input=%ff%fe", 400).await;
}

async fn raw_get(server: &Server, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_files_in_the_graph_folder() {
    let folder = tempfile::tempdir().unwrap();
    let good = corpus("graphs", &["json", "fbp"], 24);
    for good in &good {
        std::fs::copy(good, folder.path().join(good.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join("torn.json"), "{\"processes\": {").unwrap();
    std::fs::write(folder.path().join("wrong.fbp"), "INPORT=a.IN:IN\na(gegl/nop) ->\n").unwrap();
    std::fs::write(
        folder.path().join("unknown.fbp"),
        "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(gegl/nosuch)\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("binary.json"), [0xff, 0xfe, 0x00]).unwrap();
    let server = Server::start(&["--graphs", folder.path().to_str().unwrap()]);
    let listing: Value = serde_json::from_slice(&server.get("/graphs").await.bytes().await.unwrap()).unwrap();
    assert_eq!(listing["graphs"].as_object().unwrap().len(), good.len() - 1, "the network of roles makes no pictures");
    let faults = listing["faults"].to_string();
    for file in ["torn.json", "wrong.fbp", "unknown.fbp", "binary.json"] {
        assert!(faults.contains(file), "{file} is named: {faults}");
    }
    server.picture("/graph/passthrough?input=files/lake.jpg&width=50").await;
}

/// A thousand damaged files of each format, each through the whole way: a picture or an error of the client's.
#[tokio::test(flavor = "multi_thread")]
async fn row_3_damaged_files_harm_no_worker() {
    const FILES: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let corpus = repository().join("ops/tests/corpus");
    let mut random = 7u64;
    let mut next = move || {
        // Numbers as in Knuth's MMIX; the upper half is random enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let sources = ["baseline.jpg", "progressive.jpg", "rgb-8.png", "lossless.webp", "lossy.webp", "transparent.gif"];
    let sources = sources.map(|name| (name, std::fs::read(corpus.join(name)).unwrap()));
    for index in 0..sources.len() * FILES {
        let (_, bytes) = &sources[index / FILES];
        let mut bytes = bytes.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % bytes.len();
            bytes[at] ^= 1 << (next() % 8);
        }
        std::fs::write(folder.path().join(format!("{index}")), bytes).unwrap();
    }
    let server = Server::start(&["--files", folder.path().to_str().unwrap(), "--workers", "2"]);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let mut counts = std::collections::BTreeMap::<u16, usize>::new();
    let clients = (0..8).map(|_| async {
        let mut statuses = Vec::new();
        loop {
            let index = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if index >= sources.len() * FILES {
                return statuses;
            }
            let answer = server.get(&format!("/graph/passthrough.png?input=files/{index}&width=8")).await;
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!([301, 415, 422].contains(&status), "{} damaged: {status} {text}", sources[index / FILES].0);
            statuses.push(status);
        }
    });
    for status in futures::future::join_all(clients).await.concat() {
        *counts.entry(status).or_default() += 1;
    }
    println!("{counts:?}");
    assert_eq!(counts.values().sum::<usize>(), sources.len() * FILES);
    assert!(counts[&301] > FILES && counts[&422] > FILES, "{counts:?}");
    assert!(!server.get("/graph/passthrough?input=files/0&width=9").await.status().is_server_error());
}
