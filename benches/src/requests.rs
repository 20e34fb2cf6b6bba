//! Whole requests over HTTP, cold: input read, decoded, filtered, encoded, answered.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use imgflo_ops::codec::FileFormat;
use reqwest::Client;

use crate::{picture, process};

/// Requests a server gets in one turn, and turns.
const REQUESTS: u32 = 8;
const TURNS: u32 = 5;

/// One kind of request.
struct Workload {
    name: &'static str,
    file: &'static str,
    /// Ours: graph with extension and parameters; `{n}` makes each request another one.
    ours: &'static str,
    /// The same of the peer.
    sharp: &'static str,
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "12 MP JPEG to 800 wide JPEG",
        file: "12mp.jpg",
        ours: "passthrough.jpg?width=800",
        sharp: "width=800&format=jpg",
    },
    Workload {
        name: "12 MP JPEG to 200 wide JPEG",
        file: "12mp.jpg",
        ours: "passthrough.jpg?width=200",
        sharp: "width=200&format=jpg",
    },
    Workload {
        name: "24 MP JPEG to 1600 wide JPEG",
        file: "24mp.jpg",
        ours: "passthrough.jpg?width=1600",
        sharp: "width=1600&format=jpg",
    },
    Workload { name: "1300 x 768 JPEG re-encoded", file: "1mp.jpg", ours: "passthrough.jpg?", sharp: "format=jpg" },
    Workload {
        name: "2 MP RGBA PNG to 800 wide PNG",
        file: "2mp.png",
        ours: "passthrough.png?width=800",
        sharp: "width=800&format=png",
    },
    Workload {
        name: "3 MP JPEG to 800 wide WebP",
        file: "3mp.jpg",
        ours: "passthrough.webp?width=800",
        sharp: "width=800&format=webp",
    },
    Workload {
        name: "1300 x 768 JPEG, 1000 x 600 of it",
        file: "1mp.jpg",
        ours: "crop.jpg?x=150&y=100&cropwidth=1000&cropheight=600",
        sharp: "left=150&top=100&cropwidth=1000&cropheight=600&format=jpg",
    },
    Workload {
        name: "1300 x 768 JPEG blurred by 25",
        file: "1mp.jpg",
        ours: "gaussianblur.jpg?std-dev-x=25&std-dev-y=25",
        sharp: "blur=25&format=jpg",
    },
];

/// A server under test; it ends with its owner.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.ok_or("the server named no URL")?.trim_end_matches('/').to_owned();
        Ok(Server { child, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one turn of requests cost a server.
struct Turn {
    cpu_ms: f64,
    bytes: usize,
}

async fn turn(client: &Client, server: &Server, paths: &[String]) -> Result<Turn, Box<dyn Error>> {
    let before = process::cpu_ms(server.child.id())?;
    let mut bytes = 0;
    for path in paths {
        let answer = client.get(format!("{}{path}", server.url)).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{path}: {} {}", answer.status(), answer.text().await?).into());
        }
        bytes = answer.bytes().await?.len();
    }
    let cpu_ms = (process::cpu_ms(server.child.id())? - before) / paths.len() as f64;
    Ok(Turn { cpu_ms, bytes })
}

/// The table of all workloads.
pub fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    picture::write(&folder.join("12mp.jpg"), FileFormat::Jpeg, 4000, 3000, false)?;
    picture::write(&folder.join("24mp.jpg"), FileFormat::Jpeg, 6000, 4000, false)?;
    picture::write(&folder.join("3mp.jpg"), FileFormat::Jpeg, 2000, 1500, false)?;
    picture::write(&folder.join("1mp.jpg"), FileFormat::Jpeg, 1300, 768, false)?;
    picture::write(&folder.join("2mp.png"), FileFormat::Png, 1600, 1200, true)?;
    // Set up once a process; later calls find it in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build()?;
    let mut text = format!(
        "### One request over HTTP, nothing cached\n\nMedian of {TURNS} turns of {REQUESTS} requests one after another, both servers in turn; CPU of the server process, \
         its peak resident memory, bytes of the answer. Quality 85 on both sides.\n\n\
         | request | CPU ms | peak MB | bytes | sharp CPU ms | sharp peak MB | sharp bytes | CPU ratio |\n|---|---|---|---|---|---|---|---|\n"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for workload in WORKLOADS {
        text += &runtime.block_on(compare(&client, folder, workload))?;
    }
    Ok(text)
}

/// Ours and the peer, for inputs in `folder`; results go to `data`.
fn servers(folder: &Path, data: &Path) -> Result<[Server; 2], Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name("imgflo");
    let ours = Server::start(
        Command::new(program)
            .current_dir(process::repository())
            .args(["serve", "--bind", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data)
            .arg("--files")
            .arg(folder),
    )?;
    let peer = process::repository().join("benches/peers/server.mjs");
    Ok([ours, Server::start(Command::new("node").arg(peer).arg(folder))?])
}

/// Clients that ask at once, and how much each does in one turn.
const CLIENTS: u32 = 16;
const EACH: u32 = 20;

/// The table of a server with more to do than it can.
pub fn load(folder: &Path) -> Result<String, Box<dyn Error>> {
    picture::write(&folder.join("3mp.jpg"), FileFormat::Jpeg, 2000, 1500, false)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = tempfile::tempdir()?;
    let servers = servers(folder, data.path())?;
    let paths = [
        "/graph/passthrough.jpg?width=800&input=files/3mp.jpg&ignored=",
        "/?file=3mp.jpg&width=800&format=jpg&ignored=",
    ];
    let idle = process::peak_memory(servers[0].child.id())? as f64 / 1e6;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut found = [const { Vec::new() }; 2];
    for round in 0..=TURNS {
        for ((server, path), found) in servers.iter().zip(paths).zip(&mut found) {
            let turn = runtime.block_on(crowd(&format!("{}{path}{round}", server.url)))?;
            // The first round warms both up.
            if round > 0 {
                found.push(turn);
            }
        }
    }
    let mut text = format!(
        "### Many at once: 3 MP JPEG to 800 wide JPEG, nothing cached, {CLIENTS} clients\n\n\
         Medians of {TURNS} turns of {} requests, both servers in turn. Ours idle: {idle:.0} MB.\n\n\
         | server | requests/s | p50 ms | p99 ms | peak MB |\n|---|---|---|---|---|\n",
        CLIENTS * EACH
    );
    for ((name, server), turns) in ["imgflo", "sharp"].iter().zip(&servers).zip(&found) {
        let median = |value: fn(&[f64; 3]) -> f64| process::median(turns.iter().map(value).collect());
        let peak = process::peak_memory(server.child.id())? as f64 / 1e6;
        let (rate, p50, p99) = (median(|turn| turn[0]), median(|turn| turn[1]), median(|turn| turn[2]));
        writeln!(text, "| {name} | {rate:.0} | {p50:.0} | {p99:.0} | {peak:.0} |")?;
    }
    Ok(text)
}

/// Requests a second, p50 and p99 in ms.
async fn crowd(url: &str) -> Result<[f64; 3], Box<dyn Error>> {
    let start = Instant::now();
    let one = async |number: u32| {
        let client = Client::builder().no_proxy().build()?;
        let mut times = Vec::new();
        for request in 0..EACH {
            let start = Instant::now();
            client.get(format!("{url}{number:02}{request:02}")).send().await?.error_for_status()?.bytes().await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok::<_, reqwest::Error>(times)
    };
    let times: Result<Vec<Vec<f64>>, reqwest::Error> =
        futures::future::join_all((0..CLIENTS).map(one)).await.into_iter().collect();
    let rate = f64::from(CLIENTS * EACH) / start.elapsed().as_secs_f64();
    let mut times = times?.concat();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok([rate, at(0.5), at(0.99)])
}

async fn compare(client: &Client, folder: &Path, workload: &Workload) -> Result<String, Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let [ours, sharp] = servers(folder, data.path())?;
    let (mut our_turns, mut sharp_turns) = (Vec::new(), Vec::new());
    for round in 0..=TURNS {
        // Every request of ours is a new one: `_nocache` renders it again.
        let path = format!("/graph/{}&_nocache=true&input=files/{}", workload.ours, workload.file).replace("?&", "?");
        let our_turn = turn(client, &ours, &vec![path; REQUESTS as usize]).await?;
        let path = format!("/?file={}&{}", workload.file, workload.sharp);
        let sharp_turn = turn(client, &sharp, &vec![path; REQUESTS as usize]).await?;
        // The first round warms both up.
        if round > 0 {
            our_turns.push(our_turn);
            sharp_turns.push(sharp_turn);
        }
    }
    let cpu = |turns: &[Turn]| process::median(turns.iter().map(|turn| turn.cpu_ms).collect());
    let bytes = |turns: &[Turn]| turns.last().map_or(0, |turn| turn.bytes);
    let peak = |server: &Server| process::peak_memory(server.child.id()).map(|bytes| bytes as f64 / 1e6);
    let (our_cpu, sharp_cpu) = (cpu(&our_turns), cpu(&sharp_turns));
    let mut text = String::new();
    writeln!(
        text,
        "| {} | {our_cpu:.0} | {:.0} | {} | {sharp_cpu:.0} | {:.0} | {} | {:.2} |",
        workload.name,
        peak(&ours)?,
        bytes(&our_turns),
        peak(&sharp)?,
        bytes(&sharp_turns),
        our_cpu / sharp_cpu,
    )?;
    Ok(text)
}
