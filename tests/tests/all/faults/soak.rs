//! A fleet under mixed work while its parts are killed, cut and slowed: jobs are counted, and pictures compared.
//!
//! Some seconds of it in each run; ten minutes with `IMGFLO_TEST_LONG=1`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use imgflo_tests::fleet::{Fleet, Front, Process};
use imgflo_tests::proxy::{Line, Proxy};
use imgflo_tests::s3::S3;
use imgflo_tests::server::Server;
use imgflo_tests::services::{Private, virtual_host};

const GRAPHS: [&str; 6] = ["passthrough", "gaussianblur", "retro", "desaturate", "croprotate", "gradientmap"];
const INPUTS: [&str; 4] = ["lake.jpg", "card.png", "leaf.png", "marbles.jpg"];
const TYPES: [&str; 3] = ["jpg", "png", "webp"];
const CLIENTS: u64 = 6;
const WORKERS: usize = 3;
/// How long a client asks again for one picture.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long something stays broken, and then whole.
const FAULT: Duration = Duration::from_millis(1200);

/// The request number `index`; all differ.
fn path(index: u64) -> String {
    let at = |of: u64, count: usize| (index / of) as usize % count;
    let (graph, of_type, input) = (GRAPHS[at(1, 6)], TYPES[at(6, 3)], INPUTS[at(18, 4)]);
    format!("/graph/{graph}.{of_type}?input=files/{input}&width={}", 20 + index % 300)
}

/// What clients met.
#[derive(Default)]
struct Log {
    /// Answers by status.
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Connections that broke.
    broken: AtomicU64,
    /// The picture of each request.
    pictures: Mutex<BTreeMap<u64, Vec<u8>>>,
}

/// Asks for a picture until it is there.
async fn insist(fronts: &[Front], index: u64, log: &Log) -> Vec<u8> {
    let (path, start) = (path(index), Instant::now());
    for round in index as usize.. {
        assert!(start.elapsed() < PATIENCE, "request {index} is lost: {path}");
        let front = &fronts[round % fronts.len()];
        // The client follows no redirect by itself.
        let answer = front.client().get(format!("{}{path}", front.url)).send().await;
        let Ok(answer) = answer else {
            log.broken.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let status = answer.status().as_u16();
        *log.statuses.lock().unwrap().entry(status).or_default() += 1;
        match status {
            301 => {
                let place = answer.headers()["location"].to_str().unwrap().to_owned();
                let place = if place.starts_with('/') { format!("{}{place}", front.url) } else { place };
                if let Ok(found) = front.client().get(place).send().await
                    && found.status() == 200
                    && let Ok(bytes) = found.bytes().await
                {
                    return bytes.to_vec();
                }
            }
            503 | 504 => {
                assert!(status == 504 || answer.headers().contains_key("retry-after"), "{path}");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            other => panic!("{path}: {other} {}", answer.text().await.unwrap_or_default()),
        }
    }
    unreachable!("rounds do not end")
}

/// Breaks one part after the other and mends it, until told to stop. Returns how often.
async fn sabotage(fleet: &Fleet, workers: &mut [Process], lines: [&Proxy; 3], until: Instant) -> usize {
    let [broker, redis, store] = lines;
    let mut faults = 0;
    while Instant::now() < until {
        match faults % 6 {
            0 | 3 => {
                let worker = &mut workers[faults / 3 % WORKERS];
                worker.kill();
                *worker = fleet.worker(&[]);
            }
            1 => {
                broker.set(Line::Cut);
                tokio::time::sleep(FAULT).await;
                broker.set(Line::Up);
            }
            2 => {
                redis.set(Line::Stalled);
                tokio::time::sleep(FAULT).await;
                redis.set(Line::Cut);
                redis.set(Line::Up);
            }
            4 => {
                store.set(Line::Slow(Duration::from_millis(200)));
                tokio::time::sleep(FAULT).await;
                store.set(Line::Up);
            }
            _ => {
                store.set(Line::Cut);
                tokio::time::sleep(FAULT).await;
                store.set(Line::Up);
            }
        }
        faults += 1;
        tokio::time::sleep(FAULT).await;
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_nothing_is_lost_wrong_or_growing_while_parts_break() {
    let length = Duration::from_secs(if std::env::var_os("IMGFLO_TEST_LONG").is_some() { 600 } else { 12 });
    let (redis, s3) = (Private::start("redis"), S3::start());
    let rabbit = imgflo_tests::services::shared("IMGFLO_TEST_AMQP");
    let lines = [Proxy::to(port_of(&rabbit)), Proxy::to(redis.port()), Proxy::to(s3.port())];
    let [broker, cache, store] = &lines;
    let fleet = Fleet::new(&virtual_host().replace(&format!(":{}", port_of(&rabbit)), &format!(":{}", broker.port())))
        .with_s3(store.port())
        .with("IMGFLO_REDIS_URL", &format!("redis://{}", cache.address()));
    let fronts = [fleet.front(), fleet.front()];
    let mut workers = (0..WORKERS).map(|_| fleet.worker(&["--workers", "2"])).collect::<Vec<_>>();

    let (log, next) = (Log::default(), AtomicU64::new(0));
    let end = Instant::now() + length;
    let clients = (0..CLIENTS).map(|_| async {
        while Instant::now() < end {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let picture = insist(&fronts, index, &log).await;
            log.pictures.lock().unwrap().insert(index, picture);
        }
    });
    let half = async {
        tokio::time::sleep(length / 2).await;
        fronts.each_ref().map(|front| peak_memory(front.process.pid()))
    };
    let (_, faults, before) =
        futures::join!(join_all(clients), sabotage(&fleet, &mut workers, [broker, cache, store], end), half);
    let after = fronts.each_ref().map(|front| peak_memory(front.process.pid()));

    let (asked, pictures) = (next.into_inner(), log.pictures.into_inner().unwrap());
    println!(
        "{asked} pictures, {faults} faults; answers by status {:?}, {} broken connections; peak memory {before:?} kB, {after:?} kB",
        log.statuses.lock().unwrap(),
        log.broken.into_inner()
    );
    assert!(asked >= 20 && faults >= 4, "{asked} pictures, {faults} faults");
    assert_eq!(pictures.len() as u64, asked, "one for each request");
    // Equal to those of a quiet server, which works alone.
    let quiet = Server::start(&[]);
    for (index, picture) in &pictures {
        assert!(quiet.picture(&path(*index)).await == *picture, "{} differs", path(*index));
    }
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before * 5 / 4 + (16 << 10), "{before} kB, then {after} kB");
    }
}

/// The port in a URL of a service.
fn port_of(url: &str) -> u16 {
    let (_, port) = url.trim_end_matches('/').rsplit_once(':').unwrap();
    port.split('/').next().unwrap().parse().unwrap()
}

/// Peak resident memory of a process, kB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
