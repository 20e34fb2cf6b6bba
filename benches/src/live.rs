//! A knob that is turned: the time from an edit to the first picture of it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use imgflo_ops::codec::FileFormat;
use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;

use crate::drag::{self, KNOBS};
use crate::{picture, process};

/// Edits of each knob.
const EDITS: u32 = 100;

/// A graph of ten processes, as of a filter for photographs.
const CHAIN: [(&str, &str); 10] = [
    ("n0", "gegl/exposure"),
    ("n1", "gegl/color-temperature"),
    ("n2", "gegl/brightness-contrast"),
    ("n3", "gegl/gaussian-blur"),
    ("n4", "gegl/saturation"),
    ("n5", "gegl/unsharp-mask"),
    ("n6", "gegl/levels"),
    ("n7", "gegl/vignette"),
    ("n8", "gegl/hue-chroma"),
    ("n9", "gegl/sepia"),
];

/// The table of all knobs; the input is written to `folder`.
///
/// # Errors
/// When the runtime does not come up, or answers anything but pictures.
pub fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    picture::write(&folder.join("12mp.jpg"), FileFormat::Jpeg, 4000, 3000, false)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = folder.to_str().ok_or("a readable folder")?;
    let runtime = Server::runtime(&["--files", files, "--input", "files/12mp.jpg"]);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = tokio.block_on(turn_all(&runtime))?;
    let dragged = tokio.block_on(dragged(&runtime))?;
    let mut text = format!(
        "### A knob that is turned: 12 MP JPEG through ten processes, shown at 800 pixels\n\n\
         From an edit to the last byte of its first picture, over WebSocket and HTTP, ms; {EDITS} edits each, one after another. \
         Memory of the runtime at its peak: {:.0} MB.\n\n| the knob is | p50 | p95 | exact picture, p50 |\n|---|---|---|---|\n",
        process::peak_memory(runtime.pid())? as f64 / 1e6
    );
    for (what, mut drafts, mut exact) in measured {
        drafts.sort_by(f64::total_cmp);
        exact.sort_by(f64::total_cmp);
        let at = |times: &[f64], part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        writeln!(text, "| {what} | {:.0} | {:.0} | {:.0} |", at(&drafts, 0.5), at(&drafts, 0.95), at(&exact, 0.5))?;
    }
    text.push('\n');
    text += &dragged;
    Ok(text)
}

async fn dragged(runtime: &Server) -> Result<String, Box<dyn Error>> {
    let mut editor = Editor::connect(&runtime.url).await;
    drag::tables(runtime, &mut editor).await
}

type Measured = (&'static str, Vec<f64>, Vec<f64>);

async fn turn_all(runtime: &Server) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &CHAIN).await;
    let url = |draft: bool| format!("{}/process?graph=g&width=800{}", runtime.url, if draft { "&draft=1" } else { "" });
    let get = async |draft: bool| {
        let answer = runtime.client().get(url(draft)).header("accept", "image/*").send().await?;
        answer.error_for_status()?.bytes().await
    };
    get(true).await?;
    let mut all = Vec::new();
    for (what, node, port, value) in KNOBS {
        let (mut drafts, mut exact) = (Vec::new(), Vec::new());
        for step in 0..EDITS {
            let start = Instant::now();
            editor.turn("g", node, port, value(step)).await;
            editor.until("graph", "addinitial").await;
            get(true).await?;
            drafts.push(start.elapsed().as_secs_f64() * 1e3);
            if step % 25 == 0 {
                let start = Instant::now();
                get(false).await?;
                exact.push(start.elapsed().as_secs_f64() * 1e3);
            }
            // What is told of it is taken, so that it does not pile up.
            while editor.next_within(Duration::from_millis(1)).await.is_some() {}
        }
        all.push((what, drafts, exact));
    }
    Ok(all)
}
