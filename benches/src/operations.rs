//! Each operation alone: 1300 × 768 RGBA in memory to pixels in memory, one thread.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cpu_time::ProcessTime;
use imgflo_fbp::ParseOptions;
use imgflo_ops::codec::{self, DecodeLimits, FileFormat};
use imgflo_ops::{Cancel, Image, Registry};
use imgflo_runtime::{
    Catalogue, Control, Engine, ImageGraph, InputShape, LibraryLimits, NativeEngine, Plan, PlanLimits,
};

use crate::picture;
use crate::process::{self, Measurement, json};

const RUNS: u32 = 5;

/// The measured graphs are small.
const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 10, max_bytes: 10_000 };

/// Properties that make an operation do its usual work, where the defaults do nothing or little.
const PROPERTIES: &[(&str, &[(&str, &str)])] = &[
    ("gegl/crop", &[("x", "100"), ("y", "100"), ("width", "1000"), ("height", "600")]),
    ("gegl/scale-size-keepaspect", &[("x", "400")]),
    ("imgflo/resize", &[("width", "400")]),
    ("gegl/rotate-on-center", &[("degrees", "30")]),
    ("gegl/rotate", &[("degrees", "30")]),
    ("gegl/reflect", &[("x", "1"), ("y", "2")]),
    ("gegl/translate", &[("x", "3.5")]),
    ("gegl/scale-ratio", &[("x", "0.3"), ("y", "0.3")]),
    ("gegl/gaussian-blur", &[("std-dev-x", "25"), ("std-dev-y", "25")]),
    ("gegl/brightness-contrast", &[("contrast", "1.2"), ("brightness", "0.04")]),
    ("gegl/opacity", &[("value", "0.5")]),
    ("gegl/exposure", &[("exposure", "0.5")]),
    ("gegl/levels", &[("in-low", "0.05"), ("in-high", "0.9")]),
    ("gegl/saturation", &[("scale", "1.4")]),
    ("gegl/hue-chroma", &[("hue", "30"), ("chroma", "5")]),
    ("gegl/color-temperature", &[("original-temperature", "5000")]),
    ("gegl/channel-mixer", &[("rg-gain", "0.2")]),
    ("gegl/color-overlay", &[("value", "\"#ff800040\"")]),
    ("gegl/motion-blur-linear", &[("length", "100"), ("angle", "30")]),
    ("imgflo/retro-curve", &[("preset", "\"indie\"")]),
];

/// Operations that sharp has, too (see `peers/operations.mjs`).
const SHARP: &[&str] = &[
    "gegl/scale-size-keepaspect",
    "imgflo/resize",
    "gegl/rotate-on-center",
    "gegl/gaussian-blur",
    "gegl/gray",
    "gegl/brightness-contrast",
    "gegl/crop",
    "gegl/edge-sobel",
];

/// Writes the picture that operations are measured on: 1300 × 768 RGBA.
///
/// # Errors
/// When it cannot be written.
pub fn picture(path: &Path) -> std::io::Result<()> {
    picture::write(path, FileFormat::Png, 1300, 768, true)
}

/// One operation, ready to run.
pub struct Case {
    plan: Plan,
    input: Option<Image>,
    engine: NativeEngine,
}

impl Case {
    /// The operation `name` of a catalogue on the picture in a file, on one thread.
    ///
    /// # Errors
    /// When there is no such operation, or no picture.
    pub fn new(name: &str, picture: &Path, catalogue: &Catalogue) -> Result<Case, Box<dyn Error>> {
        let faults = |faults: Vec<imgflo_runtime::GraphFault>| format!("{faults:?}");
        let graph = imgflo_fbp::parse(&graph(name)?, &ParseOptions::default())?;
        let graph = ImageGraph::new("bench", graph, catalogue, &LIMITS).map_err(faults)?;
        let arguments = graph.arguments(&BTreeMap::new()).map_err(|faults| format!("{faults:?}"))?;
        let limits = DecodeLimits::new(1 << 27, 1 << 15);
        let image = codec::decode(&std::fs::read(picture)?, limits, &Cancel::new())?;
        let input = graph.takes_input().then_some(image);
        let shape =
            input.as_ref().map(|image| InputShape::new(image.rect().width, image.rect().height, image.format()));
        let limits = PlanLimits { max_output_pixels: 1 << 27, max_memory: 1 << 33 };
        let plan = Plan::new(&graph, &arguments, shape, catalogue, &limits)?;
        Ok(Case { plan, input, engine: NativeEngine::new(1) })
    }

    /// Runs it once. Returns how long the processor was at work, ms, on all of this process.
    ///
    /// # Errors
    /// When the operation fails.
    pub fn run(&self) -> Result<f64, Box<dyn Error>> {
        let input = self.input.clone();
        let control = Control { cancel: Cancel::new(), progress: None };
        let start = ProcessTime::now();
        self.engine.render(&self.plan, input, &control)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

/// A graph of this operation alone, as text.
fn graph(name: &str) -> Result<String, Box<dyn Error>> {
    let registry = Registry::native();
    let info = registry.get(name).ok_or("no such operation")?.info();
    let properties = PROPERTIES.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, p)| p);
    let mut text = String::new();
    for pad in info.inputs {
        let port = pad.name.to_uppercase();
        if pad.name == "input" {
            text += "INPORT=split.INPUT:INPUT\nsplit(gegl/nop) OUTPUT -> INPUT testee\n";
        } else {
            writeln!(text, "split OUTPUT -> {port} testee")?;
        }
    }
    for (port, value) in properties {
        writeln!(text, "{value} -> {} testee", port.to_uppercase())?;
    }
    // A source has no bounds: it fills a picture of the same size.
    text += if info.inputs.is_empty() {
        "1300 -> WIDTH cut(gegl/crop)\n768 -> HEIGHT cut\ntestee OUTPUT -> INPUT cut\nOUTPORT=cut.OUTPUT:OUTPUT\n"
    } else {
        "OUTPORT=testee.OUTPUT:OUTPUT\n"
    };
    writeln!(text, "testee({name})")?;
    Ok(text)
}

/// What a process of its own does: runs the operation and prints a [`Measurement`].
///
/// # Errors
/// Those of [`Case`].
pub fn measure(name: &str, picture: &Path, runs: u32) -> Result<(), Box<dyn Error>> {
    let case = Case::new(name, picture, &Catalogue::native())?;
    // The first run warms caches and tables up.
    case.run()?;
    let cpu_ms = (0..runs).map(|_| case.run()).collect::<Result<Vec<f64>, _>>()?;
    let peak_bytes = process::peak_memory(std::process::id())?;
    println!("{}", serde_json::to_string(&Measurement { cpu_ms, peak_bytes })?);
    Ok(())
}

/// The table of all operations, beside sharp where it has them, too.
///
/// # Errors
/// When one fails.
pub fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    let picture = folder.join("operation.png");
    self::picture(&picture)?;
    let runs = RUNS.to_string();
    let ours = std::env::current_exe()?;
    let peer = process::repository().join("benches/peers/operations.mjs");
    let mut text = format!(
        "### One operation, 1300 x 768 RGBA, memory to memory, one thread\n\nMedian CPU of {RUNS} runs after one to warm up, peak resident memory of the process.\n\n\
         | operation | CPU ms | peak MB | sharp CPU ms | sharp peak MB | CPU ratio |\n|---|---|---|---|---|---|\n"
    );
    for info in Registry::native().infos() {
        let measured: Measurement = json(Command::new(&ours).args(["operation", info.name]).arg(&picture).arg(&runs))?;
        let (cpu, peak) = (process::median(measured.cpu_ms), measured.peak_bytes as f64 / 1e6);
        if SHARP.contains(&info.name) {
            let sharp: Measurement = json(Command::new("node").arg(&peer).arg(info.name).arg(&picture).arg(&runs))?;
            let (their_cpu, their_peak) = (process::median(sharp.cpu_ms), sharp.peak_bytes as f64 / 1e6);
            let ratio = cpu / their_cpu;
            writeln!(text, "| {} | {cpu:.1} | {peak:.0} | {their_cpu:.1} | {their_peak:.0} | {ratio:.2} |", info.name)?;
        } else {
            writeln!(text, "| {} | {cpu:.1} | {peak:.0} | – | – | – |", info.name)?;
        }
    }
    Ok(text)
}
