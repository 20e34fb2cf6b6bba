//! Applications: added and changed with `imgflo apps` while servers run.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use imgflo_tests::program;
use imgflo_tests::proxy::{Line, Proxy};
use imgflo_tests::server::Server;
use imgflo_tests::services::shared;
use reqwest::Response;
use serde_json::Value;

const INPUT: &str = "files/card.png";
/// A larger one.
const PHOTO: &str = "files/marbles.jpg";

/// Runs `imgflo apps` on the database of a server, and reads what it prints.
fn apps(database: &[&str], arguments: &[&str]) -> Value {
    let output = program::run(&[&["apps"], arguments, database, &["--json"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Where the applications of a server are.
fn of(server: &Server) -> [&str; 2] {
    ["--data-dir", server.data.path().to_str().unwrap()]
}

fn add(database: &[&str], arguments: &[&str]) -> Value {
    apps(database, &[&["add", "--email", "ann@example.org", "--label", "shop"], arguments].concat())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// The path of an image, signed by `imgflo url`.
fn signed(application: &Value, graph: &str, width: u32) -> String {
    signed_for(application, INPUT, graph, width)
}

fn signed_for(application: &Value, input: &str, graph: &str, width: u32) -> String {
    let (key, secret, width) = (text(application, "key"), text(application, "secret"), format!("width={width}"));
    let server = ["--server", "http://x/", "--key", key, "--secret", secret];
    let output = program::run(&[&["url", graph, "-i", input, "-p", &width, "--format", "png"], &server[..]].concat());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().strip_prefix("http://x").unwrap().to_owned()
}

/// The path of an image, signed by the original's client.
fn signed_by_the_originals_client(application: &Value, width: u32) -> String {
    signed_by_the_originals_client_for(application, INPUT, width)
}

fn signed_by_the_originals_client_for(application: &Value, input: &str, width: u32) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm/node_modules/imgflo-url/bin/imgflo-url");
    assert!(program.is_file(), "run scripts/test, or `npm ci` in tests/tests/npm once");
    let output = Command::new("node")
        .arg(program)
        .args(["passthrough", "--input", input, "--width", &width.to_string()])
        .env("IMGFLO_API_KEY", text(application, "key"))
        .env("IMGFLO_API_SECRET", text(application, "secret"))
        .env("IMGFLO_SERVER", "http://x/")
        .env("IMGFLO_API_SERVER", "http://x/")
        .output()
        .expect("node runs");
    let url = String::from_utf8(output.stdout).unwrap();
    url.trim().strip_prefix("http://x").unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// Asks until the status is this one: changes take about a second to be seen.
async fn soon(server: &Server, path: &str, status: u16) -> Response {
    let start = Instant::now();
    loop {
        let answer = server.get(path).await;
        if answer.status() == status {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{path}: {}, not {status}", answer.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the server knows the first application; before that, it serves everybody.
async fn closed(server: &Server) {
    soon(server, &format!("/graph/passthrough.png?input={INPUT}&width=10"), 403).await;
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// What happens to an application while servers run, in whichever database it is.
async fn lives(servers: &[&Server], database: &[&str]) {
    let unsigned = format!("/graph/passthrough.png?input={INPUT}&width=20");
    for server in servers {
        assert_eq!(server.get(&unsigned).await.status(), 301);
    }
    let application = add(database, &[]);
    let first = signed(&application, "passthrough", 20);
    for server in servers {
        // Nobody is served without a key from now on, not even what is stored.
        soon(server, &unsigned, 403).await;
        server.picture(&first).await;
        let wrong = first.replace("width=20", "width=21");
        assert_eq!(server.get(&wrong).await.status(), 403);
    }
    let key = text(&application, "key");
    apps(database, &["disable", key]);
    for server in servers {
        soon(server, &first, 403).await;
    }
    apps(database, &["enable", key]);
    let rotated = apps(database, &["rotate", key]);
    assert_ne!(rotated["secret"], application["secret"]);
    let second = signed(&rotated, "passthrough", 30);
    for server in servers {
        soon(server, &second, 301).await;
        assert_eq!(server.get(&first).await.status(), 301, "the old secret stays good for a while");
    }
    let last = apps(database, &["rotate", key, "--grace", "0"]);
    for server in servers {
        soon(server, &first, 403).await;
        assert_eq!(server.get(&second).await.status(), 403);
        assert_eq!(server.get(&signed(&last, "passthrough", 20)).await.status(), 301);
    }
    let list = apps(database, &["list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert!(!list.to_string().contains(text(&last, "secret")), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_in_a_file_live_while_a_server_runs() {
    // There is no file until the first is added.
    let server = Server::start(&[]);
    lives(&[&server], &of(&server)).await;
}

/// A database of PostgreSQL that goes with the test.
struct Postgres {
    /// Address of the server's own database.
    server: String,
    name: String,
}

impl Postgres {
    fn new(test: &str) -> Self {
        let postgres = Postgres { server: shared("IMGFLO_TEST_POSTGRES"), name: format!("imgflo_e2e_{test}") };
        postgres.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", postgres.name));
        postgres.run(&format!("CREATE DATABASE {}", postgres.name));
        postgres
    }

    fn run(&self, sql: &str) {
        let status = Command::new("psql").args([&self.server, "-qc", sql]).status().expect("psql runs");
        assert!(status.success(), "{sql}");
    }

    fn address(&self) -> String {
        format!("{}/{}", self.server.rsplit_once('/').unwrap().0, self.name)
    }

    /// Its port on loopback.
    fn port(&self) -> u16 {
        self.server.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Its address by way of a proxy.
    fn address_by(&self, proxy: &Proxy) -> String {
        self.address().replace(&format!("127.0.0.1:{}", self.port()), &proxy.address().to_string())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_in_postgresql_are_those_of_all_servers() {
    let postgres = Postgres::new("shared");
    let database = ["--database", &postgres.address()];
    let servers = [Server::start(&database), Server::start(&database)];
    lives(&[&servers[0], &servers[1]], &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails_leaves_all_as_it_was() {
    let postgres = Postgres::new("outage");
    let proxy = Proxy::to(postgres.port());
    let server = Server::start(&["--database", &postgres.address_by(&proxy)]);
    let database = ["--database", &postgres.address()];
    let application = add(&database, &["--quota", "1000"]);
    closed(&server).await;
    let standing = async || {
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status(), 200);
        let ready: Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
        ready["applications"]["state"].as_str().unwrap().to_owned()
    };
    let until = async |state: &str| {
        let start = Instant::now();
        while standing().await != state {
            assert!(start.elapsed() < Duration::from_secs(30), "never {state}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut width = 20;
    let path = |width| signed(&application, "passthrough", width);
    soon(&server, &path(width), 301).await;
    for line in [Line::Cut, Line::Stalled, Line::Slow(Duration::from_secs(20)), Line::Garbled] {
        proxy.set(line);
        for round in 0..2 {
            // Stored images, and new ones, before and after the failure is noticed.
            for path in [path(width), path(width + 1)] {
                let start = Instant::now();
                assert_eq!(server.get(&path).await.status(), 301, "{line:?}, round {round}");
                assert!(start.elapsed() < Duration::from_secs(5), "{line:?}, round {round}");
            }
            width += 1;
            if round == 0 {
                until("stale").await;
            }
        }
        proxy.set(Line::Up);
        until("current").await;
        // What happened meanwhile is known.
        let other = add(&database, &[]);
        soon(&server, &signed(&other, "passthrough", 20), 301).await;
    }
    let made = u64::from(width - 19);
    let start = Instant::now();
    loop {
        let list = apps(&database, &["list"]);
        let row = list.as_array().unwrap().iter().find(|row| row["key"] == application["key"]).unwrap();
        if row["used_today"]["images"] == made {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not {made} images: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_used_up_and_stored_images_are_served_all_the_same() {
    let mut server = Server::start(&[]);
    let database = of(&server);
    let other = add(&database, &[]);
    let application = add(&database, &["--quota", "2"]);
    closed(&server).await;
    let path = |width| signed_for(&application, PHOTO, "passthrough", width);
    let answer = soon(&server, &path(1), 301).await;
    assert_eq!(header(&answer, "x-quota-limit"), "2");
    let used: f64 = header(&answer, "x-quota-used").parse().unwrap();
    assert!(used > 0.4, "{used}: the input counts, not only the small output");
    let mut made = 1;
    let refused = loop {
        let answer = server.get(&path(made + 1)).await;
        if answer.status() != 301 {
            break answer;
        }
        made += 1;
        assert!(made < 50, "the quota is never used up");
    };
    assert_eq!(refused.status(), 429);
    let reset: u64 = header(&refused, "x-quota-reset").parse().unwrap();
    let retry: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&retry) && reset.abs_diff(retry) <= 1);
    assert_eq!(header(&refused, "x-quota-remaining"), "0");
    assert_eq!(server.get(&path(1)).await.status(), 301);
    // Others are not concerned.
    assert_eq!(server.get(&signed(&other, "passthrough", 70)).await.status(), 301);

    // What was used is known after a restart, too.
    server.terminate();
    assert_eq!(server.wait(Duration::from_secs(25)), Some(0));
    let list = apps(&of(&server), &["list"]);
    let row = list.as_array().unwrap().iter().find(|row| row["key"] == application["key"]).unwrap();
    assert_eq!(row["used_today"]["images"], made);
    assert!(row["used_today"]["pixels"].as_u64().unwrap() >= 2_000_000, "{row}");
    let server = Server::start_in(server.kill(), &[]);
    let path = path(99);
    assert_eq!(server.get(&path).await.status(), 429);
    apps(&of(&server), &["quota", text(&application, "key"), "unlimited"]);
    assert!(header(&soon(&server, &path, 301).await, "x-quota-limit").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_0_is_for_stored_images_only() {
    let server = Server::start(&[]);
    let database = of(&server);
    let poor = add(&database, &["--quota", "0"]);
    let rich = add(&database, &[]);
    closed(&server).await;
    let path = signed(&poor, "passthrough", 20);
    soon(&server, &signed(&rich, "passthrough", 30), 301).await;
    let refused = server.get(&path).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("cached results only"));
    assert_eq!(server.post(&path).await.status(), 403);
    server.picture(&signed(&rich, "passthrough", 20)).await;
    server.picture(&path).await;
    assert_eq!(server.post(&path).await.status(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_client_is_served_where_that_is_allowed() {
    let server = Server::start(&[]);
    let database = of(&server);
    let (with, without) = (add(&database, &["--allow-md5"]), add(&database, &[]));
    closed(&server).await;
    soon(&server, &signed(&without, "passthrough", 15), 301).await;
    server.picture(&signed_by_the_originals_client(&with, 20)).await;
    let refused = server.get(&signed_by_the_originals_client(&without, 20)).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("MD5"));
    apps(&database, &["allow", text(&without, "key"), "--md5", "yes"]);
    soon(&server, &signed_by_the_originals_client(&without, 20), 301).await;
    apps(&database, &["allow", text(&with, "key"), "--md5", "no", "--unsigned", "yes"]);
    // Its key is enough now, whatever stands in the place of the token.
    let key = text(&with, "key");
    soon(&server, &format!("/graph/{key}/passthrough.png?input={INPUT}&width=25"), 301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apostrophe_in_a_signed_address_is_sent_as_browsers_do() {
    let files = tempfile::tempdir().unwrap();
    std::fs::copy(imgflo_tests::sample("card.png"), files.path().join("o'hare.png")).unwrap();
    let server = Server::start(&["--files", files.path().to_str().unwrap()]);
    let database = of(&server);
    let application = add(&database, &["--allow-md5"]);
    closed(&server).await;
    let input = "files/o'hare.png";
    let old = signed_by_the_originals_client_for(&application, input, 20);
    for path in [old, signed_for(&application, input, "passthrough", 21)] {
        assert!(path.contains("o'hare"), "{path}");
        // Whoever parses the address as browsers do sends another text than was signed.
        let sent = reqwest::Url::parse(&format!("{}{path}", server.url)).unwrap();
        assert!(sent.query().unwrap().contains("o%27hare"), "{sent}");
        soon(&server, &path, 301).await;
    }
}
