//! Whole requests, cold: input read, decoded, filtered, encoded, answered.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use imgflo_ops::codec::FileFormat::{Jpeg, Png, Webp};
use imgflo_ops::codec::{FileFormat, read_header};
use reqwest::Client;

use crate::contender::{Contender, REQUESTS, RUNS};
use crate::fidelity::{Expected, read};
use crate::peers::{ALL, Peer, Request, Task};
use crate::{picture, process};

/// Turns that each contender gets.
const TURNS: u32 = 5;

/// A result further than this from what it should be, dB, is of something else.
const ALIKE: f64 = 25.0;

/// Generated inputs: name, format, width, height, whether they have transparent parts.
const INPUTS: [(&str, FileFormat, u32, u32, bool); 5] = [
    ("12mp.jpg", Jpeg, 4000, 3000, false),
    ("24mp.jpg", Jpeg, 6000, 4000, false),
    ("3mp.jpg", Jpeg, 2000, 1500, false),
    ("1mp.jpg", Jpeg, 1300, 768, false),
    ("2mp.png", Png, 1600, 1200, true),
];

/// What is asked of them.
const REQUESTED: [(&str, &str, Task, FileFormat); 9] = [
    ("12 MP JPEG to 800 wide JPEG", "12mp.jpg", Task::Scale(800), Jpeg),
    ("12 MP JPEG to 200 wide JPEG", "12mp.jpg", Task::Scale(200), Jpeg),
    ("24 MP JPEG to 1600 wide JPEG", "24mp.jpg", Task::Scale(1600), Jpeg),
    ("1300 x 768 JPEG re-encoded", "1mp.jpg", Task::Recode, Jpeg),
    ("2 MP RGBA PNG to 800 wide PNG", "2mp.png", Task::Scale(800), Png),
    ("3 MP JPEG to 800 wide WebP", "3mp.jpg", Task::Scale(800), Webp),
    ("1300 x 768 JPEG, 1000 x 600 of it", "1mp.jpg", Task::Crop(150, 100, 1000, 600), Jpeg),
    ("The same, turned by 90 degrees", "1mp.jpg", Task::Turn(150, 100, 1000, 600), Jpeg),
    ("1300 x 768 JPEG blurred by 25", "1mp.jpg", Task::Blur(25), Jpeg),
];

const HEAD: &str = "| request | | CPU ms | imgflo / it | peak MB | bytes | PSNR dB | as PNG, dB |\n\
                    |---|---|---|---|---|---|---|---|\n";

/// Those that are installed; says of the others how to get them.
pub fn peers() -> Vec<Peer> {
    let (there, missing): (Vec<Peer>, Vec<Peer>) = ALL.into_iter().partition(|peer| peer.version().is_some());
    for peer in missing {
        eprintln!("{} is not installed and left out ({})", peer.name(), peer.source());
    }
    there
}

/// The table of requests for generated pictures, which are written to `folder`.
///
/// # Errors
/// When a contender fails, or its results are not of the size or far from what was asked for.
pub fn table(folder: &Path, peers: &[Peer]) -> Result<String, Box<dyn Error>> {
    let mut inputs = String::new();
    for (name, format, width, height, alpha) in INPUTS {
        let path = folder.join(name);
        picture::write(&path, format, width, height, alpha)?;
        let bits = picture::bits_a_pixel(&std::fs::read(path)?, width, height);
        let separator = if inputs.is_empty() { "" } else { ", " };
        write!(inputs, "{separator}{width} x {height} {} of {bits:.1}", format.extension().to_uppercase())?;
    }
    let mut text = format!(
        "### One request, nothing cached\n\n\
         Medians of {TURNS} turns of {REQUESTS} requests one after another, or {RUNS} runs of a command, all in turn.\n\
         Inputs, and their bits a pixel: {inputs}.\n\n{HEAD}"
    );
    for (name, file, task, format) in REQUESTED {
        text += &compare(folder, peers, name, &Request { file: file.to_owned(), task, format })?;
    }
    Ok(text)
}

/// The table of requests for the JPEGs in `photos`, each scaled to at most 800 pixels wide.
///
/// # Errors
/// As [`table`].
pub fn photos(folder: &Path, peers: &[Peer], photos: &Path) -> Result<String, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(photos)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if FileFormat::from_extension(name.rsplit('.').next().unwrap_or_default()) == Some(Jpeg) {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(format!("{}: no JPEG files", photos.display()).into());
    }
    let mut text = format!("### JPEG files, scaled\n\nAs above, of the JPEG files in a folder.\n\n{HEAD}");
    for (number, name) in names.iter().enumerate() {
        let bytes = std::fs::read(photos.join(name))?;
        let header = read_header(&bytes)?;
        let width = even(header.width, header.height, 800).ok_or_else(|| {
            format!("{name}: at no width up to 800 is the height whole, so that sizes of results would be a matter of rounding")
        })?;
        // A name that means nothing in an address.
        let file = format!("photo{number}.jpg");
        std::fs::write(folder.join(&file), &bytes)?;
        let bits = picture::bits_a_pixel(&bytes, header.width, header.height);
        let title = format!("{name}, {} x {}, {bits:.1} bits a pixel, to {width} wide", header.width, header.height);
        text += &compare(folder, peers, &title, &Request { file, task: Task::Scale(width), format: Jpeg })?;
    }
    Ok(text)
}

/// The largest width up to `limit` at which a picture of this size has a whole height.
fn even(width: u32, height: u32, limit: u32) -> Option<u32> {
    let whole = |scaled: &u32| (u64::from(*scaled) * u64::from(height)).is_multiple_of(u64::from(width));
    (1..=limit.min(width)).rev().find(whole).filter(|scaled| scaled * 2 > limit.min(width))
}

/// What one contender's answers were.
#[derive(Default)]
struct Answers {
    cpu: Vec<f64>,
    bytes: usize,
    psnr: f64,
    /// Of the same result without a lossy file.
    lossless: Option<f64>,
}

/// The rows of one kind of request.
fn compare(folder: &Path, peers: &[Peer], name: &str, request: &Request) -> Result<String, Box<dyn Error>> {
    eprintln!("{name}");
    // Set up once a process; later calls find it in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // While others have their turns, a server may close what is idle.
    let client = Client::builder().no_proxy().pool_idle_timeout(Duration::from_millis(500)).build()?;
    let results = tempfile::tempdir()?;
    let expected = Expected::of(&read(&std::fs::read(folder.join(&request.file))?)?, request.task);
    // What they make is looked at before it is measured how long they take, by others than those
    // that are measured: it may take more memory.
    let mut contenders = Vec::new();
    for &peer in peers {
        let mut contender = Contender::start(peer, folder, results.path())?;
        let answers = runtime.block_on(look(&client, &mut contender, request, &expected))?;
        drop(contender);
        contenders.push((Contender::start(peer, folder, results.path())?, answers));
    }
    for round in 0..=TURNS {
        for (contender, answers) in &mut contenders {
            let Some(answers) = answers else { continue };
            let cpu = runtime.block_on(contender.turn(&client, request))?;
            // The first round warms all up.
            if round > 0 {
                answers.cpu.extend(cpu);
            }
        }
    }
    let mut text = String::new();
    let mut ours = None;
    for (number, (contender, answers)) in contenders.iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        let peer = contender.peer.name();
        let Some(Answers { cpu, bytes, psnr, lossless }) = answers else {
            writeln!(text, "| {name} | {peer} | – | – | – | – | – | – |")?;
            continue;
        };
        let cpu = process::median(cpu.clone());
        let ratio = ours.map_or_else(|| "1".to_owned(), |ours: f64| format!("{:.2}", ours / cpu));
        ours = ours.or(Some(cpu));
        let peak = contender.peak()? as f64 / 1e6;
        let lossless = lossless.map_or_else(|| "–".to_owned(), |db| format!("{db:.1}"));
        writeln!(text, "| {name} | {peer} | {cpu:.0} | {ratio} | {peak:.0} | {bytes} | {psnr:.1} | {lossless} |")?;
    }
    Ok(text)
}

/// What a contender makes of a request; `None` where it cannot do that.
async fn look(
    client: &Client,
    contender: &mut Contender,
    request: &Request,
    expected: &Expected,
) -> Result<Option<Answers>, Box<dyn Error>> {
    let name = contender.peer.name();
    let Some(result) = contender.result(client, request).await? else { return Ok(None) };
    let near = |file: &[u8]| {
        let db = expected.compare(file).map_err(|fault| format!("{name}, {request:?}: {fault}"))?;
        if db < ALIKE {
            return Err(format!("{name}, {request:?}: {db:.1} dB from what it should be: that is another picture"));
        }
        Ok(db)
    };
    let mut answers = Answers { bytes: result.len(), psnr: near(&result)?, ..Answers::default() };
    if matches!(request.task, Task::Scale(_)) && request.format != Png {
        let request = Request { format: Png, ..request.clone() };
        answers.lossless = contender.result(client, &request).await?.map(|file| near(&file)).transpose()?;
    }
    Ok(Some(answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_scaled_to_a_whole_height() {
        assert_eq!(even(4032, 3024, 800), Some(800));
        assert_eq!(even(6000, 4000, 800), Some(798));
        assert_eq!(even(640, 480, 800), Some(640));
        assert_eq!(even(4031, 3023, 800), None);
    }
}
