//! A fleet beside one process: what the queue costs, whether background work delays urgent work,
//! and what a redirect to a stored image costs beside a bare axum handler.
//!
//! Needs the services of `scripts/services`, in release builds of the program.

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::routing::get;
use futures::future::join_all;
use imgflo_tests::fleet::{Fleet, Front};
use imgflo_tests::origin::{Answer, Gate, Origin};
use imgflo_tests::s3::S3;
use imgflo_tests::server::{Server, client};
use imgflo_tests::services::{shared, virtual_host};
use reqwest::Client;
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Requests of one measurement of latency.
const REQUESTS: usize = 300;
/// Background jobs that wait meanwhile.
const BACKGROUND: usize = 10_000;
/// Requests of one measurement of CPU time.
const REDIRECTS: usize = 20_000;
/// Connections that send them.
const CLIENTS: usize = 16;
/// Rounds of requests, and the time between them, after which no key is hot.
const ROUNDS: u32 = 5;
const COOL: Duration = Duration::from_millis(5500);

/// p50 and p99, ms.
struct Latency(f64, f64);

impl Latency {
    fn of(mut times: Vec<Duration>) -> Latency {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        Latency(at(0.5), at(0.99))
    }
}

/// The tables.
///
/// # Errors
/// When a service or process does not do its part.
pub fn tables() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let tables = [hop().await?, redirects().await?, priority().await?];
        Ok(format!("### A fleet\n\nAll processes and services on the same cores.\n\n{}", tables.join("\n")))
    })
}

fn fleet() -> Fleet {
    Fleet::new(&virtual_host()).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS")).with("IMGFLO_LOG", "warn")
}

/// A miss of its own each time.
async fn miss(client: &Client, base: &str, n: usize) -> Result<Duration> {
    let url = format!("{base}/graph/crop.png?input=files/card.png&x=1&y=1&cropwidth=16&cropheight=16&width={n}");
    let start = Instant::now();
    let status = client.get(url).send().await?.status();
    let took = start.elapsed();
    if status == 301 { Ok(took) } else { Err(format!("status {status}").into()) }
}

async fn hop() -> Result<String> {
    let alone = Server::start(&["--workers", "1"]);
    let fleet = fleet();
    let (front, _worker) = (fleet.front(), fleet.worker(&["urgent", "--workers", "1"]));
    let (mut inside, mut across) = (Vec::new(), Vec::new());
    for n in 1..=REQUESTS {
        inside.push(miss(alone.client(), &alone.url, n).await?);
        across.push(miss(front.client(), &front.url, n).await?);
    }
    let (inside, across) = (Latency::of(inside), Latency::of(across));
    Ok(format!(
        "A miss, request to redirect ({REQUESTS} small images, one after the other):\n\n\
         | | p50 ms | p99 ms |\n|---|---|---|\n\
         | one process | {:.2} | {:.2} |\n| front end, RabbitMQ, Redis, worker | {:.2} | {:.2} |\n| added | {:.2} | {:.2} |\n",
        inside.0,
        inside.1,
        across.0,
        across.1,
        across.0 - inside.0,
        across.1 - inside.1
    ))
}

async fn urgent(fronts: &[Front], from: usize) -> Result<Latency> {
    let mut times = Vec::new();
    for n in from..from + REQUESTS {
        let front = &fronts[n % fronts.len()];
        times.push(miss(front.client(), &front.url, n).await?);
    }
    Ok(Latency::of(times))
}

async fn priority() -> Result<String> {
    let gate = Gate::default();
    let photo = std::fs::read(imgflo_tests::sample("card.png"))?;
    let origin = Origin::start([("/held.png", Answer::Behind(gate.clone(), "image/png", photo))]);
    let fleet = fleet().with("IMGFLO_MAX_BACKGROUND_JOBS", "20000");
    let fronts = [fleet.front(), fleet.front()];
    let _urgent = fleet.worker(&["urgent", "--workers", "1"]);
    urgent(&fronts, 1000).await?;
    let idle = urgent(&fronts, 2000).await?;
    // Two workers that are at work on what takes long, and the rest in the queue.
    let _busy = [fleet.worker(&["background", "--workers", "1"]), fleet.worker(&["background", "--workers", "1"])];
    let input = origin.input("/held.png");
    let mut queued = 0;
    for part in 0..BACKGROUND / 25 {
        let posts = (0..25).map(|n| {
            let front = &fronts[n % 2];
            let url = format!("{}/graph/passthrough?input={input}&ignored={}", front.url, part * 25 + n);
            front.client().post(url).send()
        });
        queued += join_all(posts)
            .await
            .into_iter()
            .filter(|answer| matches!(answer, Ok(answer) if answer.status() == 202))
            .count();
    }
    let behind = urgent(&fronts, 3000).await?;
    gate.open();
    Ok(format!(
        "An urgent miss, 2 front ends and 3 workers, one of them free ({REQUESTS} small images):\n\n\
         | | p50 ms | p99 ms |\n|---|---|---|\n| nothing queued | {:.2} | {:.2} |\n| {queued} background jobs queued | {:.2} | {:.2} |\n| ratio | {:.2} | {:.2} |\n",
        idle.0,
        idle.1,
        behind.0,
        behind.1,
        behind.0 / idle.0,
        behind.1 / idle.1
    ))
}

/// CPU time of the threads of a process so far, microseconds.
fn cpu(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds: u64 = times.split_whitespace().next().unwrap_or_default().parse()?;
        sum += nanoseconds as f64 / 1e3;
    }
    Ok(sum)
}

/// CPU time of a process for each of these requests, microseconds.
async fn cost(pid: u32, urls: &[String]) -> Result<f64> {
    let clients: Vec<Client> = (0..CLIENTS).map(|_| client()).collect();
    let before = cpu(pid)?;
    let all = clients.iter().enumerate().map(async |(n, client)| {
        for url in urls.iter().skip(n).step_by(CLIENTS) {
            let status = client.get(url).send().await?.status();
            if status != 301 {
                return Err(format!("status {status}").into());
            }
        }
        Ok::<(), Box<dyn Error>>(())
    });
    for done in join_all(all).await {
        done?;
    }
    Ok((cpu(pid)? - before) / urls.len() as f64)
}

/// The handler that ours is compared with; `imgflo-bench bare` runs it.
///
/// # Errors
/// When it cannot listen.
pub fn bare() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let handler = get(async || (StatusCode::MOVED_PERMANENTLY, [(LOCATION, "/cache/0.png")]));
        axum::serve(listener, Router::new().route("/graph/{*rest}", handler)).await?;
        Ok(())
    })
}

/// A process that ends with what it is compared with.
struct Peer(std::process::Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn redirects() -> Result<String> {
    let mut bare = std::process::Command::new(std::env::current_exe()?);
    let mut bare = Peer(bare.arg("bare").stdout(std::process::Stdio::piped()).spawn()?);
    let mut base = String::new();
    let output = bare.0.stdout.take().ok_or("no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut base)?;
    let base = base.trim();

    // Results in a bucket, which has an index in Redis, and handed out by the front end.
    let s3 = S3::start();
    let fleet = fleet().with_s3(s3.port()).with("IMGFLO_MAX_BACKGROUND_JOBS", "100000");
    // The keys are learnt from another front end, which then has that many jobs to look after. They
    // are put into the index by hand, as if the results were there.
    let (front, other) = (fleet.front(), fleet.front());
    let path = |n: usize| format!("/graph/passthrough?input=http://127.0.0.1:9/photo.jpg&width=800&ignored={n}");
    let link = redis::Client::open(shared("IMGFLO_TEST_REDIS"))?;
    let mut link = link.get_multiplexed_async_connection().await?;
    // An entry of a minute ago or less is believed: this one for two minutes from now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 55;
    for part in 0..REDIRECTS / 25 {
        let posts = (0..25).map(|n| other.client().post(format!("{}{}", other.url, path(part * 25 + n))).send());
        for answer in join_all(posts).await {
            let answer = answer?;
            let Some(location) = answer.headers().get("location") else {
                return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
            };
            let key = location.to_str()?.rsplit('/').next().unwrap_or_default().to_owned();
            let mut entry = redis::cmd("SET");
            entry.arg(format!("imgflo_cache/url/{key}")).arg(now).arg("EX").arg(600).exec_async(&mut link).await?;
        }
    }
    drop(other);
    let pid = front.process.pid();
    let addresses: Vec<String> = (0..REDIRECTS).map(|n| format!("{}{}", front.url, path(n))).collect();
    let bare_cost = cost(bare.0.id(), &vec![format!("{base}{}", path(1)); REDIRECTS]).await?;
    let new = cost(pid, &addresses).await?;
    // As many as it remembers the meaning of, in rounds so far apart that no key is hot any more.
    let known = &addresses[..3000];
    cost(pid, known).await?;
    let mut again = 0.0;
    for _ in 0..ROUNDS {
        tokio::time::sleep(COOL).await;
        again += cost(pid, known).await? / f64::from(ROUNDS);
    }
    let hot = cost(pid, &vec![addresses[0].clone(); REDIRECTS]).await?;
    let mut figures = format!(
        "CPU time of the server for a redirect to a stored image ({CLIENTS} connections):\n\n| | us | bare / it |\n|---|---|---|\n",
    );
    for (name, cost) in [
        ("bare axum handler", bare_cost),
        ("address seen before, hot key", hot),
        ("address seen before, key in Redis", again),
        ("new address, key in Redis", new),
    ] {
        writeln!(figures, "| {name} | {cost:.1} | {:.2} |", bare_cost / cost)?;
    }
    Ok(figures)
}
