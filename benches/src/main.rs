//! Measures and writes the tables of `docs/PERFORMANCE.md`: all but those named are left as they are.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use imgflo_benches::document::{debian, publish};
use imgflo_benches::peers::Peer;
use imgflo_benches::{codecs, engines, fleet, live, load, operations, process, requests};

const USAGE: &str = "usage: imgflo-bench [operations|engines|codecs|requests|photos [FOLDER]|load|fleet|live]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        // What processes of their own do.
        ["operation", name, picture, runs] => operations::measure(name, Path::new(picture), runs.parse()?),
        ["command", runs, ref command @ ..] => process::measure(command, runs.parse()?),
        ["bare"] => fleet::bare(),
        [] => ["operations", "codecs", "requests", "photos", "load"].into_iter().try_for_each(|part| run(part, None)),
        [part] => run(part, None),
        ["photos", folder] => run("photos", Some(Path::new(folder))),
        _ => Err(USAGE.into()),
    }
}

/// Measures one part and puts its table in its place.
fn run(part: &str, photos: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let versions = |peers: &[Peer]| peers.iter().filter_map(|peer| peer.version()).collect::<Vec<String>>();
    let mut command = format!("imgflo-bench {part}");
    if photos.is_some() {
        command += " FOLDER";
    }
    let (table, versions) = match part {
        "operations" => (operations::table(folder)?, versions(&[Peer::Sharp])),
        "engines" => {
            let (table, version) = engines::table(folder)?;
            (table, vec![version])
        }
        "codecs" => (codecs::tables(folder)?, Vec::new()),
        "requests" => {
            let peers = requests::peers();
            (requests::table(folder, &peers)?, versions(&peers[1..]))
        }
        "photos" => {
            let samples = process::repository().join("files");
            let peers = requests::peers();
            (requests::photos(folder, &peers, photos.unwrap_or(&samples))?, versions(&peers[1..]))
        }
        "live" => (live::table(folder)?, Vec::new()),
        "load" => (load::table(folder)?, versions(&[Peer::Sharp, Peer::Ipx])),
        "fleet" => (fleet::tables()?, ["rabbitmq-server", "redis-server"].iter().filter_map(|p| debian(p)).collect()),
        _ => return Err(USAGE.into()),
    };
    publish(part, &command, &versions, &table)
}
