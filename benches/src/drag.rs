//! A knob that is dragged while editors watch: what they see, and when.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;
use serde_json::{Value, json};
use tokio::sync::watch;

/// A knob: what is said of it, the process, the port, and its value at a step, another at each.
pub type Knob = (&'static str, &'static str, &'static str, fn(u32) -> Value);

/// The knobs that are turned.
pub const KNOBS: [Knob; 3] = [
    ("the first of the graph", "n0", "exposure", |step| json!(f64::from(step) / 100.0)),
    ("in the middle (a blur)", "n3", "std-dev-x", |step| json!(2.0 + f64::from(step) / 3.0)),
    ("the last of the graph", "n9", "scale", |step| json!(0.2 + f64::from(step) / 150.0)),
];

/// Edits a second.
const RATE: u32 = 30;
/// Length of a drag.
const DRAG: Duration = Duration::from_secs(8);
/// A pause after which exact pictures have begun, and how often there is one.
const PAUSE: Duration = Duration::from_millis(350);
const PAUSES: usize = 6;

/// Edits and pictures that reached a viewer.
#[derive(Default)]
struct Seen {
    /// When it heard of each edit.
    edits: Vec<Instant>,
    /// When it asked for each picture, and when the last byte came.
    pictures: Vec<(Instant, Instant)>,
}

/// A viewer that does what the runtime's page does: it has one picture fetched at a time, and the newest next.
struct Viewer {
    seen: Arc<Mutex<Seen>>,
    busy: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    async fn open(runtime: &Server) -> Viewer {
        let mut editor = Editor::connect(&runtime.url).await;
        let client = runtime.client().clone();
        let seen = Arc::<Mutex<Seen>>::default();
        let (busy, is_busy) = watch::channel(false);
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let (mut wanted, mut fetching): (Option<String>, Option<BoxFuture<'_, (Instant, Instant)>>) = (None, None);
            loop {
                if fetching.is_none()
                    && let Some(url) = wanted.take()
                {
                    let request = client.get(url).header("accept", "image/webp,image/jpeg");
                    fetching = Some(
                        async move {
                            let asked = Instant::now();
                            let answer = request.send().await.and_then(reqwest::Response::error_for_status);
                            answer.expect("a picture").bytes().await.expect("a body");
                            (asked, Instant::now())
                        }
                        .boxed(),
                    );
                }
                busy.send_replace(fetching.is_some());
                let fetched = async {
                    match &mut fetching {
                        Some(fetching) => fetching.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    picture = fetched => {
                        fetching = None;
                        noted.lock().unwrap_or_else(PoisonError::into_inner).pictures.push(picture);
                    }
                    message = editor.next() => {
                        let Some(message) = message else { return };
                        match message["command"].as_str() {
                            Some("addinitial") => {
                                noted.lock().unwrap_or_else(PoisonError::into_inner).edits.push(Instant::now());
                            }
                            Some("output") => {
                                wanted = message["payload"]["url"].as_str().map(str::to_owned).or(wanted);
                            }
                            _ => {}
                        }
                    }
                }
            }
        });
        Viewer { seen, busy: is_busy, task }
    }

    /// Waits until nothing is fetched, and forgets what was seen.
    async fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            self.busy.wait_for(|busy| !busy).await?;
            // What is told when it is quiet is the exact picture.
            let again = tokio::time::timeout(Duration::from_millis(500), self.busy.wait_for(|busy| *busy)).await;
            if again.is_err() {
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
                return Ok(());
            }
        }
    }
}

/// Turns a knob for that long; when each edit was sent.
async fn drag(editor: &mut Editor, knob: &Knob, step: &mut u32, length: Duration) -> Vec<Instant> {
    let (_, node, port, value) = knob;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / RATE);
    let start = Instant::now();
    let mut sent = Vec::new();
    while start.elapsed() < length {
        pace.tick().await;
        sent.push(Instant::now());
        // There and back, another value each time.
        *step += 1;
        editor.turn("g", node, port, value(if *step % 200 < 100 { *step % 100 } else { 100 - *step % 100 })).await;
        while editor.next_within(Duration::from_millis(1)).await.is_some() {}
    }
    sent
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Times from edits to the first picture that was asked for after the viewer had heard of the edit.
fn latencies(sent: &[Instant], seen: &Seen) -> Vec<f64> {
    let pairs = sent.iter().zip(&seen.edits);
    let first = pairs.filter_map(|(sent, heard)| {
        let (_, came) = seen.pictures.iter().find(|(asked, _)| asked >= heard)?;
        Some(milliseconds(came.duration_since(*sent)))
    });
    first.collect()
}

/// The longest time without another picture between two moments.
fn standstill(seen: &Seen, from: Instant, to: Instant) -> f64 {
    let within = seen.pictures.iter().map(|(_, came)| *came).filter(|came| (from..to).contains(came));
    let moments = [from].into_iter().chain(within).chain([to]).collect::<Vec<_>>();
    moments.windows(2).map(|pair| milliseconds(pair[1].duration_since(pair[0]))).fold(0.0, f64::max)
}

fn at(times: &mut [f64], part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The tables of drags; the graph `g` is drawn already.
///
/// # Errors
/// When the runtime goes away.
pub async fn tables(runtime: &Server, editor: &mut Editor) -> Result<String, Box<dyn Error>> {
    let mut text = format!(
        "### A knob that is dragged: the same graph, shown at 1000 pixels as it is told, {RATE} edits a second\n\n\
         From an edit to the first picture that was asked for after it was heard of, ms; {} s each. Viewers fetch one \
         picture at a time. The longest time without another picture is the standstill.\n\n\
         | viewers | the knob is | p50 | p95 | standstill | pictures a second |\n|---|---|---|---|---|---|\n",
        DRAG.as_secs()
    );
    let mut step = 0;
    for count in [1, 2] {
        let mut viewers = Vec::new();
        for _ in 0..count {
            viewers.push(Viewer::open(runtime).await);
        }
        for knob in &KNOBS {
            drag(editor, knob, &mut step, Duration::from_secs(1)).await;
            for viewer in &mut viewers {
                viewer.settle().await?;
            }
            let sent = drag(editor, knob, &mut step, DRAG).await;
            let (from, to) = (sent[0], sent[sent.len() - 1]);
            for viewer in &mut viewers {
                viewer.busy.wait_for(|busy| !busy).await?;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (mut times, mut longest, mut pictures) = (Vec::new(), 0_f64, 0);
            for viewer in &viewers {
                let seen = viewer.seen.lock().unwrap_or_else(PoisonError::into_inner);
                times.extend(latencies(&sent, &seen));
                longest = longest.max(standstill(&seen, from, to));
                pictures += seen.pictures.iter().filter(|(_, came)| *came < to).count();
            }
            writeln!(
                text,
                "| {count} | {} | {:.0} | {:.0} | {longest:.0} | {:.1} |",
                knob.0,
                at(&mut times, 0.5),
                at(&mut times, 0.95),
                pictures as f64 / f64::from(count) / DRAG.as_secs_f64()
            )?;
        }
    }
    let mut viewer = Viewer::open(runtime).await;
    let (mut first, mut longest) = (Vec::new(), 0_f64);
    for _ in 0..PAUSES {
        drag(editor, &KNOBS[0], &mut step, Duration::from_millis(1500)).await;
        tokio::time::sleep(PAUSE).await;
        viewer.seen.lock().unwrap_or_else(PoisonError::into_inner).pictures.clear();
        let sent = drag(editor, &KNOBS[0], &mut step, Duration::from_secs(3)).await;
        {
            let seen = viewer.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (from, to) = (sent[0], sent[sent.len() - 1]);
            let came = seen.pictures.iter().map(|(_, came)| *came).find(|came| *came > from).unwrap_or(to);
            first.push(milliseconds(came.duration_since(from)));
            longest = longest.max(standstill(&seen, from, to));
        }
        viewer.settle().await?;
    }
    writeln!(
        text,
        "\nAfter {} pauses of {} ms, in which an exact picture began: the first picture {:.0} ms after the knob goes on \
         (p50; {:.0} at most), the longest standstill {longest:.0} ms.",
        PAUSES,
        PAUSE.as_millis(),
        at(&mut first, 0.5),
        at(&mut first, 1.0)
    )?;
    Ok(text)
}
