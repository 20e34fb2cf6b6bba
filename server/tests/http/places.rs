//! Everything that is not under `/graph`.

use imgflo_job::Urgency;
use imgflo_msgflo::Transport;
use imgflo_server::Origins;
use serde_json::json;

use crate::rig::{PICTURE, Rig, Wish};

/// The address of a stored picture.
async fn stored(rig: &Rig) -> String {
    rig.busy_peer().await;
    rig.get("/graph/plain.png?input=files/a.gif").await.header("location").to_owned()
}

#[tokio::test]
async fn a_result_may_be_kept_for_ever() {
    let rig = Rig::start().await;
    let place = stored(&rig).await;
    let answer = rig.get(&place).await;
    assert_eq!((answer.status, &answer.body[..]), (200, PICTURE));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(answer.header("content-type"), "image/gif");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-length"), PICTURE.len().to_string());
    let etag = answer.header("etag");
    assert_eq!(etag, format!("\"{}\"", place.strip_prefix("/cache/").unwrap()));

    for (name, value) in [("if-none-match", etag), ("if-modified-since", answer.header("last-modified"))] {
        let again = rig.ask("GET", &place, &[(name, value)]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, etag), "{name}");
    }
    let other = [("if-none-match", "\"x\""), ("if-modified-since", answer.header("last-modified"))];
    assert_eq!(rig.ask("GET", &place, &other).await.status, 200);

    let part = rig.ask("GET", &place, &[("range", "bytes=3-5")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &PICTURE[3..6]));
    assert_eq!(part.header("content-range"), format!("bytes 3-5/{}", PICTURE.len()));
    let outside = rig.ask("GET", &place, &[("range", "bytes=9999-")]).await;
    assert_eq!((outside.status, outside.header("cache-control")), (416, "no-store"));
}

#[tokio::test]
async fn a_strange_name_that_leads_here_shows_nothing() {
    let rig = Rig::start().await;
    let ask = async |path: &str, host: &str| {
        rig.raw(format!("GET {path} HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\n\r\n").as_bytes()).await
    };
    let place = stored(&rig).await;
    for path in ["/files/a.gif", "/graphs", "/", &place, "/graph/plain.png?input=files/a.gif"] {
        for host in ["localhost", "127.0.0.1:8080", "[::1]"] {
            assert!(ask(path, host).await.status < 400, "{path} of {host}");
        }
        let problem = ask(path, "evil.example:8080").await.problem(403);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("not known as 'evil.example'") && detail.contains("IMGFLO_PUBLIC_URL"), "{detail}");
    }
    assert_eq!(ask("/healthz", "probe.example").await.status, 200);
    assert_eq!(ask("/readyz", "probe.example").await.status, 200);
}

#[tokio::test]
async fn only_pages_of_named_origins_read_with_scripts() {
    const APP: &str = "https://app.example";
    let rule = |origins| Wish { origins, ..Wish::default() };
    let cases = [
        (Origins::Own, [("", ""), ("", "")]),
        (Origins::Any, [("*", ""), ("*", "")]),
        (Origins::Named(vec![APP.into()]), [(APP, "origin"), ("", "origin")]),
    ];
    for (origins, expected) in cases {
        let rig = Rig::with(rule(origins)).await;
        let place = stored(&rig).await;
        for path in ["/files", "/files/a.gif", "/graphs", "/version", &place, "/graph/plain.png?input=files/a.gif"] {
            for (origin, (allowed, vary)) in [APP, "http://evil.example"].into_iter().zip(expected) {
                let answer = rig.ask("GET", path, &[("origin", origin)]).await;
                assert!(answer.status < 400);
                let told = (answer.header("access-control-allow-origin"), answer.header("vary"));
                assert_eq!(told, (allowed, vary), "{path} for {origin}");
            }
        }
        for path in ["/", "/readyz", "/healthz"] {
            let answer = rig.ask("GET", path, &[("origin", APP)]).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn a_hidden_file_is_no_input_either() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    for graph in ["noop", "plain.png"] {
        assert_eq!(rig.get(&format!("/graph/{graph}?input=files/a.gif")).await.status, 301);
        for file in [".hidden.gif", "%2ehidden.gif", "sub/.git/config"] {
            for base in ["", "/", &format!("http%3A%2F%2F{}%2F", rig.address)] {
                let problem = rig.get(&format!("/graph/{graph}?input={base}files/{file}")).await.problem(404);
                assert!(problem["detail"].as_str().unwrap().contains("there is no file"), "{problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_data_folder_that_takes_nothing_shows_in_readyz() {
    let rig = Rig::start().await;
    let place = stored(&rig).await;
    let ready = rig.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["warnings"]), (200, &json!([])));
    // Root may write where a mode forbids it, but not into a file as if it were a folder.
    let folder = rig.folder.path().join("cache/tmp");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let ready = rig.get("/readyz").await;
    let warnings = ready.json()["warnings"].to_string();
    assert_eq!(ready.status, 200);
    assert!(warnings.contains("takes no results"), "{warnings}");
    assert!(!ready.json().to_string().contains(rig.folder.path().to_str().unwrap()));
    assert_eq!(rig.get(&place).await.status, 200);
    std::fs::remove_file(&folder).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(rig.get("/readyz").await.json()["warnings"], json!([]));
}

#[tokio::test]
async fn only_keys_lead_into_the_store() {
    let rig = Rig::start().await;
    let place = stored(&rig).await;
    for path in [
        "/cache/",
        "/cache/..",
        "/cache/../secret.txt",
        "/cache/%2e%2e%2fsecret.txt",
        "/cache/..%2f..%2fetc%2fpasswd",
        "/cache/%00",
        "/cache/%ff",
        "/cache/abc.png",
        "/cache//etc/passwd",
        &format!("/cache/{}", "0".repeat(64)),
        &format!("{place}/x"),
        &format!("{place}%20"),
        &place.to_uppercase().replace("/CACHE/", "/cache/"),
    ] {
        let problem = rig.get(path).await.problem(404);
        assert!(!problem.to_string().contains(rig.folder.path().to_str().unwrap()), "{path}: {problem}");
    }
}

#[tokio::test]
async fn files_are_served_and_nothing_beside_them() {
    let rig = Rig::start().await;
    let answer = rig.get("/files/a.gif").await;
    assert_eq!((answer.status, &answer.body[..]), (200, PICTURE));
    assert_eq!(answer.header("content-type"), "image/gif");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let since = [("if-modified-since", answer.header("last-modified"))];
    assert_eq!(rig.ask("GET", "/files/a.gif", &since).await.status, 304);
    let part = rig.ask("GET", "/files/a.gif", &[("range", "bytes=0-2")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"GIF"[..]));
    let head = rig.ask("HEAD", "/files/sub/b%20c.gif", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // A page among the files cannot act.
    assert!(rig.get("/files/page.html").await.header("content-security-policy").contains("sandbox"));

    for path in [
        "/files/../secret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/..%2fsecret.txt",
        "/files/..%5csecret.txt",
        "/files/sub/../../secret.txt",
        "/files//etc/passwd",
        "/files/%2fetc%2fpasswd",
        "/files/.hidden.gif",
        "/files/sub",
        "/files/sub/",
        "/files/a.gif/",
        "/files/a.gif%00",
        "/files/%ff",
        "/files/none.gif",
    ] {
        rig.get(path).await.problem(404);
    }
    let list = rig.get("/files").await.json();
    assert_eq!(
        list,
        json!({"files": [
            {"name": "a.gif", "url": "files/a.gif", "bytes": PICTURE.len(), "type": "image/gif"},
            {"name": "sub/b c.gif", "url": "files/sub/b%20c.gif", "bytes": PICTURE.len(), "type": "image/gif"},
        ]})
    );
    assert_eq!(rig.get("/files/").await.json(), list);
}

#[tokio::test]
async fn the_graphs_are_listed_with_their_ports() {
    let rig = Rig::start().await;
    let answer = rig.get("/graphs").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let listing = answer.json();
    let names: Vec<_> = listing["graphs"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["noop", "own", "plain", "tone"]);
    let contrast = &listing["graphs"]["tone"]["inports"]["contrast"]["metadata"];
    assert_eq!((&contrast["type"], contrast["default"].as_f64()), (&json!("number"), Some(1.0)), "{contrast}");
    assert_eq!(listing["graphs"]["plain"]["inports"]["width"]["metadata"]["type"], "int");
    assert_eq!(listing["signing"], "none");
    // The file that is none is named, without its folder.
    assert_eq!(listing["faults"][0]["file"], "broken.json");
    assert!(!answer.body.windows(5).any(|five| five == b"/tmp/"), "{listing}");
    let again = rig.ask("GET", "/graphs", &[("if-none-match", answer.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let key = imgflo_server::Application { key: "a".into(), secret: None, admin: false, allow_md5: false };
    let closed = Rig::with(Wish { applications: vec![key], ..Wish::default() }).await;
    assert_eq!(closed.get("/graphs").await.json()["signing"], "required");
    assert_eq!(rig.get("/version").await.json(), json!({"server": "1.2.3", "runtime": "native"}));
}

#[tokio::test]
async fn health_and_readiness() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/healthz").await.status, 200);
    let ready = rig.get("/readyz").await;
    let report = ready.json();
    assert_eq!((ready.status, &report["ready"], &report["graphs"]), (200, &json!(true), &json!(4)), "{report}");
    assert_eq!(report["faults"][0]["file"], "broken.json");
    rig.transport.close().await;
    tokio::time::timeout(crate::rig::PATIENCE, async {
        while rig.get("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("still ready");
    let ready = rig.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["reasons"][0].as_str().unwrap().contains("queue"), "{ready:?}");
    assert_eq!(rig.get("/healthz").await.status, 200);
    rig.get("/graph/plain?input=files/a.gif").await.problem(503);
}

#[tokio::test]
async fn a_worker_that_never_answers_shows() {
    let limits = imgflo_job::Limits { urgent_deadline: std::time::Duration::from_millis(50), ..Default::default() };
    let rig = Rig::with(Wish { limits, ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    rig.get("/graph/plain?input=files/a.gif").await.problem(504);
    let job = peer.take().await;
    // The job began a moment after its request, so it is late a moment after its client was told.
    let warnings = async || rig.get("/readyz").await.json()["warnings"].to_string();
    tokio::time::timeout(crate::rig::PATIENCE, async {
        while !warnings().await.contains("an urgent job is past its deadline") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("no warning");
    // Work may be slow, and stored images need none.
    assert_eq!(rig.get("/readyz").await.status, 200);
    peer.finish(job).await;
    assert_eq!(rig.get("/graph/plain?input=files/a.gif").await.status, 301);
    assert!(!warnings().await.contains("past its deadline"));
}

#[tokio::test]
async fn the_page_needs_nothing_from_outside() {
    let rig = Rig::start().await;
    let page = rig.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!text.contains("style=") && !text.contains("onclick="), "the policy forbids these");
    let links: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|start| text.split(start).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|link| !link.starts_with('#'))
        .collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        let part = rig.get(link).await;
        assert_eq!(part.status, 200, "{link}");
        assert!(!part.header("etag").is_empty(), "{link}");
        let known = rig.ask("GET", link, &[("if-none-match", part.header("etag"))]).await;
        assert_eq!(known.status, 304, "{link}");
    }
    for place in ["/debug", "/debug/", "/debug/graph//crop/", "/debug/graph/k/t/crop.png/?x=1"] {
        assert_eq!(rig.get(place).await.body, page.body, "{place}");
    }
}

#[tokio::test]
async fn what_is_nowhere_is_404_and_wrong_methods_405() {
    let rig = Rig::start().await;
    for path in ["/nothing", "/graph", "/graph/", "/page/", "/page/app.rs", "/graphs/plain", "/..", "//"] {
        let answer = rig.get(path).await;
        // An empty name under /graph is a request that cannot be read.
        answer.problem(if path == "/graph/" { answer.status } else { 404 });
    }
    for (method, path, allow) in [
        ("POST", "/cache/x", "GET, HEAD"),
        ("DELETE", "/graph/plain", "GET, HEAD, POST"),
        ("PUT", "/files/a.gif", "GET, HEAD"),
        ("OPTIONS", "/", "GET, HEAD"),
    ] {
        let answer = rig.ask(method, path, &[]).await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let rig = Rig::start().await;
    for path in ["/", "/nothing", "/graph/plain", "/healthz"] {
        let (one, other) = (rig.get(path).await, rig.get(path).await);
        assert_eq!(one.header("x-request-id").len(), 36, "{path}");
        assert_ne!(one.header("x-request-id"), other.header("x-request-id"), "{path}");
    }
    let asked = |id: &'static str| {
        let rig = &rig;
        async move { rig.ask("GET", "/healthz", &[("x-request-id", id)]).await.header("x-request-id").to_owned() }
    };
    assert_eq!(asked("abc-1.2_3").await, "abc-1.2_3");
    assert_eq!(asked("a b\"").await.len(), 36);
}

#[tokio::test]
async fn files_have_ranges_for_get_only_and_no_tags() {
    let rig = Rig::start().await;
    let part = rig.ask("GET", "/files/a.gif", &[("range", "bytes=0-2")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"GIF"[..]));
    assert_eq!(rig.ask("HEAD", "/files/a.gif", &[("range", "bytes=0-2")]).await.status, 200);
    rig.ask("GET", "/files/a.gif", &[("if-match", "\"x\"")]).await.problem(412);
    assert_eq!(rig.ask("GET", "/files/a.gif", &[("if-match", "*")]).await.status, 200);
}
