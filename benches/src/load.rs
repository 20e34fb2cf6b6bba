//! A server with more to do than it can.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use imgflo_ops::codec::FileFormat;
use reqwest::Client;

use crate::peers::{Peer, Request, Task};
use crate::{picture, process};

const TURNS: u32 = 5;

/// Clients that ask at once, and how much each does in one turn.
const CLIENTS: u32 = 16;
const EACH: u32 = 20;

/// The table of ours and its peers, for an input that is written to `folder`.
///
/// # Errors
/// When a server does not come up, or answers anything but the result.
pub fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    picture::write(&folder.join("3mp.jpg"), FileFormat::Jpeg, 2000, 1500, false)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = tempfile::tempdir()?;
    let request = Request { file: "3mp.jpg".to_owned(), task: Task::Scale(800), format: FileFormat::Jpeg };
    let mut servers = Vec::new();
    for peer in [Peer::Imgflo, Peer::Sharp, Peer::Ipx] {
        let server = peer.serve(folder, data.path())?.ok_or("not a server")?;
        let path = peer.address(&request).ok_or("no address")?;
        // Each address is one of its own: nothing is made once for several.
        // A server without a store takes no parameters that it does not know, and needs none: what follows # is not sent.
        let own = if path.contains('?') { "&ignored=" } else { "#" };
        let url = format!("{}{}{own}", server.url, path.replace("_nocache=true&", ""));
        servers.push((peer, server, url, Vec::new()));
    }
    let idle = process::peak_memory(servers[0].1.pid())? as f64 / 1e6;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for round in 0..=TURNS {
        for (_, server, url, found) in &mut servers {
            let before = process::cpu_ms(server.pid())?;
            let [rate, p50, p99] = runtime.block_on(crowd(&format!("{url}{round}")))?;
            let cpu = (process::cpu_ms(server.pid())? - before) / f64::from(CLIENTS * EACH);
            // The first round warms them up.
            if round > 0 {
                found.push([rate, p50, p99, cpu]);
            }
        }
    }
    let mut text = format!(
        "### Many at once: 3 MP JPEG to 800 wide JPEG, nothing cached, {CLIENTS} clients\n\n\
         Medians of {TURNS} turns of {} requests, all servers in turn. Ours idle: {idle:.0} MB.\n\n\
         | server | requests/s | p50 ms | p99 ms | CPU ms of the server | peak MB |\n|---|---|---|---|---|---|\n",
        CLIENTS * EACH
    );
    for (peer, server, _, turns) in &servers {
        let median = |value: fn(&[f64; 4]) -> f64| process::median(turns.iter().map(value).collect());
        let peak = process::peak_memory(server.pid())? as f64 / 1e6;
        let (rate, p50, p99) = (median(|turn| turn[0]), median(|turn| turn[1]), median(|turn| turn[2]));
        let cpu = median(|turn| turn[3]);
        writeln!(text, "| {} | {rate:.0} | {p50:.0} | {p99:.0} | {cpu:.1} | {peak:.0} |", peer.name())?;
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
