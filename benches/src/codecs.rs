//! Codecs alone, from memory to memory: what reading by part saves, and what writing costs.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use cpu_time::ProcessTime;
use imgflo_ops::Cancel;
use imgflo_ops::codec::{self, DecodeLimits, EncodeOptions, FileFormat, Part};

use crate::{picture, process};

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 27, 1 << 15);
const RUNS: usize = 9;

/// Median CPU time of `work`, ms, after once to warm up.
///
/// # Errors
/// Those of `work`.
pub fn cpu_ms<T>(mut work: impl FnMut() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::new();
    for run in 0..=RUNS {
        let start = ProcessTime::now();
        work()?;
        // The first warms up.
        if run > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(process::median(times))
}

/// Reads a JPEG as libjpeg does by itself.
fn libjpeg(bytes: &[u8], eighths: u8) -> Result<Vec<[u8; 3]>, Box<dyn Error>> {
    let mut file = mozjpeg::Decompress::new_mem(bytes)?;
    file.scale(eighths);
    let mut rows = file.rgb()?;
    let pixels = rows.read_scanlines()?;
    rows.finish()?;
    Ok(pixels)
}

/// The tables of reading and of writing.
///
/// # Errors
/// When a picture cannot be written or read.
pub fn tables(folder: &Path) -> Result<String, Box<dyn Error>> {
    let cancel = Cancel::new();
    let file = folder.join("12mp.jpg");
    picture::write(&file, FileFormat::Jpeg, 4000, 3000, false)?;
    let bytes = std::fs::read(&file)?;
    let reducible = codec::read_header(&bytes)?.reducible.ok_or("a JPEG can be reduced")?;
    let bits = picture::bits_a_pixel(&bytes, 4000, 3000);
    let mut text = format!(
        "### Reading a 12 MP JPEG ({bits:.1} bits a pixel) at n/8 of its size\n\n\
         Median CPU of {RUNS} runs, beside libjpeg-turbo (mozjpeg's) in turn.\n\n\
         | n | pixels | CPU ms | libjpeg CPU ms | ratio |\n|---|---|---|---|---|\n"
    );
    for eighths in 1..=8 {
        let window = reducible.by(eighths).rect();
        let ms = cpu_ms(|| Ok(codec::decode_part(&bytes, Some(Part { eighths, window }), LIMITS, &cancel)?))?;
        let theirs = cpu_ms(|| libjpeg(&bytes, eighths as u8))?;
        let (width, height, ratio) = (window.width, window.height, ms / theirs);
        writeln!(text, "| {eighths} | {width} x {height} | {ms:.1} | {theirs:.1} | {ratio:.2} |")?;
    }
    let window = reducible.by(2).rect();
    let image = codec::decode_part(&bytes, Some(Part { eighths: 2, window }), LIMITS, &cancel)?;
    writeln!(text, "\n### Writing 1000 x 750\n\n| format | `quality` | bytes | CPU ms |\n|---|---|---|---|")?;
    let plain = |format| EncodeOptions::new(format, 80);
    let small = |format| EncodeOptions { small: true, ..plain(format) };
    let rows = [
        ("80", plain(FileFormat::Jpeg)),
        ("80,progressive", EncodeOptions { progressive: true, ..plain(FileFormat::Jpeg) }),
        ("80,small", small(FileFormat::Jpeg)),
        ("80", plain(FileFormat::Webp)),
        ("80,small", small(FileFormat::Webp)),
        ("", plain(FileFormat::Png)),
        ("small", small(FileFormat::Png)),
        ("80", plain(FileFormat::Avif)),
        ("80,small", small(FileFormat::Avif)),
    ];
    for (quality, options) in rows.into_iter().filter(|(_, options)| options.format.can_encode()) {
        let length = codec::encode(&image, options, &cancel)?.len();
        let ms = cpu_ms(|| Ok(codec::encode(&image, options, &cancel)?))?;
        writeln!(text, "| {} | {quality} | {length} | {ms:.1} |", options.format.extension())?;
    }
    Ok(text)
}
