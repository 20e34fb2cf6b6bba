//! nginx in front, with the configuration that the guide names.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use imgflo_tests::server::client;
use reqwest::Response;
use tempfile::TempDir;

use super::{Started, free_port, read, run};

/// A running nginx that ends with the test.
struct Nginx {
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Before an imgflo on `behind`.
    fn start(port: u16, behind: u16) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut server = read("deploy/nginx/imgflo.conf");
        for (from, to) in [
            ("/var/cache/nginx/imgflo", path("cache")),
            ("listen 80;", format!("listen 127.0.0.1:{port};")),
            ("127.0.0.1:8080", format!("127.0.0.1:{behind}")),
        ] {
            assert_eq!(server.matches(from).count(), 1, "{from}");
            server = server.replace(from, &to);
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {};", path(kind))).concat();
        let all = format!(
            "pid {}; error_log {}; daemon off; master_process off; events {{}}\nhttp {{ access_log off; {temporary}\n{server}\n}}\n",
            path("pid"),
            path("errors"),
        );
        std::fs::write(path("nginx.conf"), all).unwrap();
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let program = program.iter().find(|program| std::path::Path::new(program).is_file());
        let program = program.expect("nginx is there: run scripts/test, which installs it");
        let mut command = Command::new(program);
        command.args(["-p", &path(""), "-e", &path("errors"), "-c", &path("nginx.conf")]);
        let mut nginx = Nginx { child: command.stderr(Stdio::inherit()).spawn().unwrap(), folder };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx ended: {}", nginx.errors());
            assert!(start.elapsed() < Duration::from_secs(30), "nginx does not answer: {}", nginx.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn header<'r>(answer: &'r Response, name: &str) -> &'r str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_hosts_and_what_may_be_kept_go_through() {
    let (port, behind) = (free_port(), free_port());
    let mut environment: BTreeMap<String, String> = BTreeMap::from([
        ("IMGFLO_API_KEY".to_owned(), "shop".to_owned()),
        ("IMGFLO_API_SECRET".to_owned(), "sixteen letters!".to_owned()),
        ("IMGFLO_BIND".to_owned(), format!("127.0.0.1:{behind}")),
    ]);
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let _server = Started::new(&words("imgflo serve"), &environment);
    let nginx = Nginx::start(port, behind);
    let address = format!("http://127.0.0.1:{port}/");
    environment.insert("IMGFLO_SERVER".into(), address.clone());
    let url = |line: &str| String::from_utf8(run(&words(line), &environment).stdout).unwrap().trim().to_owned();
    let get = async |url: &str| client().get(url).send().await.unwrap();

    let inner = url("imgflo url sunset.png --input files/lake.jpg -p width=90");
    let first = get(&inner).await;
    assert_eq!((first.status().as_u16(), header(&first, "x-cache")), (301, "MISS"), "{inner}: {}", nginx.errors());
    let second = get(&inner).await;
    assert_eq!((second.status().as_u16(), header(&second, "x-cache")), (301, "HIT"), "{inner}");
    let result = format!("{address}{}", header(&second, "location").trim_start_matches('/'));
    for kept in ["MISS", "HIT"] {
        let picture = get(&result).await;
        assert_eq!((picture.status().as_u16(), header(&picture, "x-cache")), (200, kept));
        assert_eq!(header(&picture, "content-type"), "image/png");
    }
    // An address of our own as the input is known by its host; as another's it would be a private one, and refused.
    let outer = url(&format!("imgflo url passthrough.png --input {inner} -p width=40"));
    assert_eq!(get(&outer).await.status(), 301, "{outer}");
    // What is refused is not kept.
    let wrong = inner.replace("sunset.png", "sunset.jpg");
    for _ in 0..2 {
        let refused = get(&wrong).await;
        assert_eq!((refused.status().as_u16(), header(&refused, "cache-control")), (403, "no-store"));
    }
    // Long addresses come through; imgflo itself refuses this one, for its host.
    let long = url(&format!("imgflo url sunset.png --input https://a.invalid/{}", "x".repeat(15_000)));
    let answer = get(&long).await;
    assert_eq!(header(&answer, "content-type"), "application/problem+json", "{}", answer.status());
    assert_eq!(get(&format!("{address}readyz")).await.status(), 404);
    assert_eq!(get(&address).await.status(), 200);
}
