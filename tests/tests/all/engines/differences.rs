//! Every native operation against GEGL's over a grid of parameters and pictures, and every shipped
//! graph.
//!
//! `IMGFLO_BLESS=1` writes the table of docs/ENGINES.md anew; the run then fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use imgflo_ops::{Image, Info, Kind, Value};
use imgflo_runtime::{Catalogue, Library, PlanError, RuntimeKind};
use imgflo_tests::repository;
use serde_json::{Value as Json, json};

use super::pictures::{self, Difference, boxes_agree};
use super::{GEGL, LIMITS, NATIVE, graph, plan, render};

/// What holds where nothing else is said: GEGL itself differs by 1 from process to process.
const MAX: f64 = 2.0;
const MEAN: f64 = 0.5;
/// Random sets of values for each operation.
const RANDOM: usize = 6;

/// Where an operation may be farther from GEGL's, and why.
struct Exception {
    name: &'static str,
    max: f64,
    mean: f64,
    /// True when sizes may differ, too; such cases are not compared further.
    sized: bool,
    why: &'static str,
}

impl Exception {
    const fn new(name: &'static str, max: f64, mean: f64, why: &'static str) -> Self {
        Exception { name, max, mean, sized: false, why }
    }

    const fn sized(name: &'static str, max: f64, mean: f64, why: &'static str) -> Self {
        Exception { sized: true, ..Exception::new(name, max, mean, why) }
    }

    fn of(name: &str) -> Option<&'static Exception> {
        EXCEPTIONS.iter().find(|exception| exception.name == name)
    }
}

const EXCEPTIONS: &[Exception] = &[
    Exception::new(
        "gegl/c2g",
        255.0,
        10.0,
        "GEGL draws samples at random, and differs as much from itself; ours are always the same",
    ),
    Exception::new(
        "gegl/dropshadow",
        255.0,
        20.0,
        "the shadow of a picture without alpha grows by a circle or a diamond; GEGL's by their square",
    ),
    Exception::new("gegl/hue-chroma", 255.0, 0.2, "hues of greys and of colours far out of range fall either way"),
    Exception::new(
        "gegl/median-blur",
        160.0,
        0.5,
        "one pixel wide, where GEGL departs from its own rule; ties of floats",
    ),
    Exception::sized(
        "gegl/motion-blur-linear",
        2.0,
        0.5,
        "at 180 degrees GEGL's box grows by the rounding error of a sine",
    ),
    Exception::new("gegl/noise-cie-lch", 100.0, 0.1, "hues of greys, which the last bit decides"),
    Exception::new(
        "gegl/noise-reduction",
        40.0,
        0.2,
        "ties between neighbours, which the last bit decides, spread over many iterations",
    ),
    Exception::new(
        "gegl/perlin-noise",
        255.0,
        20.0,
        "octaves whose coordinates are beyond 32 bits, where GEGL's overflow",
    ),
    Exception::new("gegl/reflect", 80.0, 0.3, "`nohalo` and `lohalo` are cubic kernels here"),
    Exception::new("gegl/rotate", 80.0, 0.3, "`nohalo` and `lohalo` are cubic kernels here"),
    Exception::sized(
        "gegl/rotate-on-center",
        80.0,
        0.5,
        "`nohalo` and `lohalo` are cubic kernels here; GEGL's box may have a row more than the picture",
    ),
    Exception::sized("gegl/scale-ratio", 255.0, 20.0, SCALED),
    Exception::sized("gegl/scale-size", 255.0, 20.0, SCALED),
    Exception::sized("gegl/scale-size-keepaspect", 255.0, 40.0, SCALED),
    Exception::sized(
        "gegl/text",
        255.0,
        15.0,
        "letters are as the font has them; GEGL fits them to the grid of pixels, and its box with them",
    ),
    Exception::new("gegl/threshold", 255.0, 0.5, "equal light on both sides falls either way"),
    Exception::new("gegl/translate", 80.0, 0.3, "`nohalo` and `lohalo` are cubic kernels here"),
    Exception::new("svg/color-burn", 40.0, 0.02, "colours that are equal to their alpha fall either way"),
];

const SCALED: &str = "the size is what was asked for, and edges go on; GEGL's is up to two pixels larger, fades at edges and leaves rows empty";

/// Native operations that GEGL has not, and what they are instead.
const OURS: &[(&str, &str)] = &[
    ("gegl/gradient-map", "a workshop operation, which Debian's GEGL is built without"),
    ("imgflo/example", "GEGL's gray under the name that the original's example had"),
    ("imgflo/resize", "the scaling of `width` and `height`; GEGL's own is compared above"),
    ("imgflo/retro-curve", "an operation of the original's deployment, never in GEGL"),
];

/// What an operation came to.
#[derive(Default)]
struct Outcome {
    cases: usize,
    difference: Difference,
    /// The case that was farthest off.
    worst: String,
    faults: Vec<String>,
}

impl Outcome {
    fn is_near(&self, name: &str) -> bool {
        let (max, mean) = allowed(name);
        self.faults.is_empty() && self.difference.max <= max + 1e-9 && self.difference.mean() <= mean
    }
}

/// The largest and the mean difference that an operation may have.
pub(super) fn allowed(name: &str) -> (f64, f64) {
    Exception::of(name).map_or((MAX, MEAN), |exception| (exception.max, exception.mean))
}

/// One set of values.
type Values = BTreeMap<&'static str, Value>;

#[test]
fn native_operations_do_what_gegls_do() {
    let pictures = pictures::all();
    let gegl = GEGL.gegl().expect("it was asked for");
    gegl.version().unwrap_or_else(|error| panic!("{error}; scripts/setup installs it"));
    let infos = NATIVE.infos().collect::<Vec<_>>();
    let theirs = GEGL.infos().map(|info| info.name).collect::<Vec<_>>();
    let (both, ours): (Vec<&'static Info>, Vec<&'static Info>) = infos.iter().partition(|info| gegl.has(info.name));
    assert_eq!(
        ours.iter().map(|info| info.name).collect::<Vec<_>>(),
        OURS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "of {} operations",
        theirs.len()
    );
    let queue = Mutex::new(both.clone());
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(info) = queue.lock().unwrap().pop() else { return };
                    let mut outcome = compare(info, &pictures, &GEGL);
                    if !outcome.is_near(info.name) {
                        // GEGL chooses its conversions by how long they take when it starts: another may choose better.
                        outcome = compare(info, &pictures, &super::oracle());
                    }
                    outcomes.lock().unwrap().insert(info.name, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let mut faults = Vec::new();
    for (name, Outcome { cases, difference, worst, faults: found }) in &outcomes {
        faults.extend(found.iter().map(|fault| format!("{name}: {fault}")));
        if *cases < 7 {
            faults.push(format!("{name}: only {cases} cases could be compared"));
        }
        let (max, mean) = allowed(name);
        if difference.max > max + 1e-9 || difference.mean() > mean {
            let found = format!("{:.1} and {:.3}", difference.max, difference.mean());
            faults.push(format!("{name}: differs by {found}, allowed are {max} and {mean}; worst: {worst}"));
        }
    }
    let table = table(&outcomes);
    if std::env::var("IMGFLO_BLESS").is_ok_and(|v| v == "1") {
        bless(&table);
        panic!("the table is written; run without IMGFLO_BLESS\n{faults:#?}");
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(outcomes.len(), both.len());
    let text = std::fs::read_to_string(repository().join("docs/ENGINES.md")).expect("the document");
    for info in &infos {
        assert!(text.contains(&format!("| `{}` |", info.name)), "docs/ENGINES.md has no row for {}", info.name);
    }
}

/// Runs an operation on both engines.
fn compare(info: &'static Info, pictures: &[(&'static str, Image)], gegl: &Catalogue) -> Outcome {
    let mut outcome = Outcome::default();
    for (number, values) in sets(info).iter().enumerate() {
        // All pictures with the defaults, in turn with the rest.
        let chosen = if number == 0 { (0..pictures.len()).collect() } else { vec![number % 4, 4 + number % 3] };
        for index in chosen {
            let (picture, image) = &pictures[index];
            let case = format!("{picture} {}", told(values));
            let json = definition(info, values);
            let input = (!info.inputs.is_empty()).then_some(image);
            let ours = graph(info.name, &json, &NATIVE);
            let ours = match plan(&ours, &[], input, &NATIVE) {
                Ok(plan) => plan,
                // What makes no picture here is not asked of GEGL.
                Err(PlanError::NoPicture { .. } | PlanError::TooLarge { .. }) => continue,
                Err(error) => panic!("{} {case}: {error}", info.name),
            };
            let theirs = graph(info.name, &json, gegl);
            let theirs = match plan(&theirs, &[], input, gegl) {
                Ok(plan) => plan,
                Err(error) => {
                    outcome.faults.push(format!("{case}: {error} on GEGL, {:?} natively", ours.output()));
                    continue;
                }
            };
            let (a, b) = (render(&ours, input), render(&theirs, input));
            if a.rect() != b.rect() {
                let side = |a: u32, b: u32| a.abs_diff(b) <= 2;
                let near = side(a.rect().width, b.rect().width) && side(a.rect().height, b.rect().height);
                if !near || !Exception::of(info.name).is_some_and(|exception| exception.sized) {
                    outcome.faults.push(format!("{case}: {:?} natively, {:?} on GEGL", a.rect(), b.rect()));
                }
                outcome.cases += 1;
                continue;
            }
            let difference = Difference::between(&a, &b);
            if difference.max >= outcome.difference.max {
                outcome.worst = format!("{case} by {:.1}", difference.max);
            }
            outcome.difference.add(difference);
            outcome.cases += 1;
        }
    }
    outcome
}

/// The defaults; each property at its ends and its other values; random sets of values, without and with each choice.
fn sets(info: &Info) -> Vec<Values> {
    let mut sets = vec![Values::new()];
    for property in info.properties {
        sets.extend(ends(&property.kind).into_iter().map(|value| Values::from([(property.name, value)])));
    }
    let mut state = info.name.bytes().fold(1u64, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    for _ in 0..RANDOM {
        sets.push(info.properties.iter().map(|property| (property.name, within(&property.kind, &mut next))).collect());
    }
    // Each choice with other values beside it: some differ only then.
    for choice in info.properties {
        for value in ends(&choice.kind).into_iter().filter(|_| matches!(choice.kind, Kind::Enum { .. })) {
            let values = info.properties.iter().map(|property| (property.name, within(&property.kind, &mut next)));
            let mut values = values.collect::<Values>();
            values.insert(choice.name, value);
            sets.push(values);
        }
    }
    sets
}

/// Ranges are cut to what a small picture can show.
fn range(kind: &Kind) -> (f64, f64) {
    let cut = |minimum: f64, maximum: f64, far: f64| (minimum.max(-far), maximum.min(far));
    match *kind {
        Kind::Int { minimum, maximum, .. } => cut(minimum as f64, maximum as f64, 50.0),
        Kind::Number { minimum, maximum, .. } if minimum == f64::MIN || maximum == f64::MAX => {
            cut(minimum, maximum, 30.0)
        }
        Kind::Number { minimum, maximum, .. } => cut(minimum, maximum, 200.0),
        _ => (0.0, 0.0),
    }
}

fn ends(kind: &Kind) -> Vec<Value> {
    let (low, high) = range(kind);
    match *kind {
        Kind::Int { .. } => vec![Value::Int(low as i64), Value::Int(high as i64)],
        Kind::Number { .. } => vec![Value::Number(low), Value::Number(high)],
        Kind::Boolean { default } => vec![Value::Boolean(!default)],
        Kind::Enum { values, default } => {
            values.iter().filter(|value| **value != default).map(|value| Value::Enum(value)).collect()
        }
        Kind::Color { .. } => ["#e61", "#2af8"].map(|color| kind.parse(&json!(color)).expect("a colour")).to_vec(),
        Kind::Text { .. } => vec![Value::Text("Graph".into())],
    }
}

fn within(kind: &Kind, next: &mut impl FnMut() -> f64) -> Value {
    let (low, high) = range(kind);
    let part = next();
    match *kind {
        Kind::Int { .. } => Value::Int((low + (high - low) * part).round() as i64),
        // Small values show more than large ones where there is no limit.
        Kind::Number { .. } => Value::Number(((low + (high - low) * part) * 64.0).round() / 64.0),
        Kind::Boolean { .. } => Value::Boolean(part < 0.5),
        Kind::Enum { values, .. } => Value::Enum(values[(part * values.len() as f64) as usize % values.len()]),
        Kind::Color { .. } => {
            let bytes = [part, next(), next()].map(|part| (part * 255.0) as u8);
            kind.parse(&json!(format!("#{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]))).expect("a colour")
        }
        Kind::Text { .. } => Value::Text(format!("{part:.2}")),
    }
}

/// A graph of that operation. A second picture is the first, turned around and half transparent; a
/// source is cut.
fn definition(info: &Info, values: &Values) -> Json {
    let mut processes = json!({ "op": { "component": info.name } });
    let mut connections = values.iter().map(|(name, value)| iip(&value.to_json(), "op", name)).collect::<Vec<_>>();
    let mut output = "op";
    let mut inports = json!({});
    match info.inputs.len() {
        0 => {
            processes["cut"] = json!({ "component": "gegl/crop" });
            connections.push(edge("op", "cut", "input"));
            connections.extend([iip(&json!(48), "cut", "width"), iip(&json!(32), "cut", "height")]);
            output = "cut";
        }
        1 => inports = json!({ "input": { "process": "op", "port": "input" } }),
        _ => {
            processes["in"] = json!({ "component": "gegl/nop" });
            processes["turn"] = json!({ "component": "gegl/rotate-on-center" });
            processes["fade"] = json!({ "component": "gegl/opacity" });
            connections.extend([
                edge("in", "op", "input"),
                edge("in", "turn", "input"),
                edge("turn", "fade", "input"),
                edge("fade", "op", info.inputs[1].name),
                iip(&json!(180), "turn", "degrees"),
                iip(&json!("nearest"), "turn", "sampler"),
                iip(&json!(0.5), "fade", "value"),
            ]);
            inports = json!({ "input": { "process": "in", "port": "input" } });
        }
    }
    json!({
        "properties": { "environment": { "type": "imgflo" } },
        "inports": inports,
        "outports": { "output": { "process": output, "port": "output" } },
        "processes": processes,
        "connections": connections,
    })
}

pub(super) fn iip(data: &Json, process: &str, port: &str) -> Json {
    json!({ "data": data, "tgt": { "process": process, "port": port } })
}

pub(super) fn edge(from: &str, to: &str, port: &str) -> Json {
    json!({ "src": { "process": from, "port": "output" }, "tgt": { "process": to, "port": port } })
}

fn told(values: &Values) -> String {
    let told = values.iter().map(|(name, value)| format!("{name}={}", value.to_json()));
    told.collect::<Vec<_>>().join(" ")
}

fn table(outcomes: &BTreeMap<&str, Outcome>) -> String {
    let mut table = String::from("| operation | cases | max | mean | |\n|---|---|---|---|---|\n");
    for (name, Outcome { cases, difference, .. }) in outcomes {
        let why = Exception::of(name).map_or("", |exception| exception.why);
        let (max, mean) = (difference.max, difference.mean());
        let _ = writeln!(table, "| `{name}` | {cases} | {max:.1} | {mean:.3} | {why} |");
    }
    for (name, what) in OURS {
        let _ = writeln!(table, "| `{name}` | | | | not in GEGL: {what} |");
    }
    table
}

fn bless(table: &str) {
    let file = repository().join("docs/ENGINES.md");
    let text = std::fs::read_to_string(&file).expect("the document");
    let (before, rest) = text.split_once("<!-- differences -->\n").expect("the mark before the table");
    let (_, after) = rest.split_once("<!-- /differences -->").expect("the mark after the table");
    let text = format!("{before}<!-- differences -->\n{table}<!-- /differences -->{after}");
    std::fs::write(file, text).expect("the document is written");
}

#[test]
fn shipped_graphs_are_the_same_on_both_engines() {
    let folder = repository().join("graphs");
    let native = Library::load(&folder, std::sync::Arc::new(NATIVE.clone()), &LIMITS).expect("the folder");
    let gegl = Library::load(&folder, std::sync::Arc::new(GEGL.clone()), &LIMITS).expect("the folder");
    let pictures = pictures::all();
    let mut seen = 0;
    let mut faults = Vec::new();
    for ours in native.iter().filter(|graph| graph.runtime() == RuntimeKind::Imgflo && graph.takes_input()) {
        let Some(theirs) = gegl.get(ours.name()) else {
            // Left out with the name of an operation that GEGL has not.
            let reason = gegl.faults().iter().find(|fault| fault.path.file_stem().unwrap() == ours.name()).unwrap();
            assert!(reason.message.contains("GEGL has no '"), "{reason}");
            continue;
        };
        seen += 1;
        for (name, image) in &pictures[..4] {
            let (a, b) = (plan(ours, &[], Some(image), &NATIVE), plan(&theirs, &[], Some(image), &GEGL));
            let (a, b) = (a.unwrap(), b.unwrap_or_else(|error| panic!("{}: {error}", ours.name())));
            let (a, b) = (render(&a, Some(image)), render(&b, Some(image)));
            if !boxes_agree(a.rect(), b.rect()) {
                faults.push(format!("{} of {name}: {:?} and {:?}", ours.name(), a.rect(), b.rect()));
                continue;
            }
            let difference = Difference::between(&a, &b);
            let (max, mean) = GRAPHS.iter().find(|(n, ..)| *n == ours.name()).map_or((MAX, MEAN), |g| (g.1, g.2));
            if difference.max > max || difference.mean() > mean {
                faults.push(format!("{} of {name}: {:.1}, {:.3}", ours.name(), difference.max, difference.mean()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen >= 8, "only {seen} graphs were compared");
}

/// Graphs that may be farther off, with their largest and mean difference: they have an operation of
/// [`EXCEPTIONS`].
const GRAPHS: &[(&str, f64, f64)] =
    &[("denoise", 12.0, 0.1), ("desaturate", 110.0, 10.0), ("enhancelowres", 60.0, 0.5), ("halodarken", 10.0, 0.5)];
