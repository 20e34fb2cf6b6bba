//! The predicted cost of operations beside the processor time they take. A process of its own, with one test: processor
//! time is that of the whole process.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cpu_time::ProcessTime;
use imgflo_runtime::fbp::{self, ParseOptions};
use imgflo_runtime::ops::{Format, Image, Rect, Registry};
use imgflo_runtime::{
    Catalogue, Control, Engine, ImageGraph, InputShape, LibraryLimits, NativeEngine, Plan, PlanLimits,
};

const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 10, max_bytes: 1 << 20 };
const PLAN_LIMITS: PlanLimits = PlanLimits { max_output_pixels: 25_000_000, max_memory: 3 << 30 };

/// How often a prediction may be too low, and too high. Processors differ in what they do well, and pictures in what is
/// done to them; what this keeps out is a wrong order of work.
const TOO_LOW: f64 = 4.0;
const TOO_HIGH: f64 = 12.0;

/// Cost below which a case is not looked at alone: the fixed part of a run and conversions are most of it.
const LEAST_COST: f64 = 2e6;

/// The pictures that cases are run on.
const KINDS: [Kind; 3] = [Kind::Bytes, Kind::Alpha, Kind::Floats];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// RGB of 8 bits.
    Bytes,
    /// RGBA of 8 bits.
    Alpha,
    /// RGBA of floats, as another operation leaves it.
    Floats,
}

/// A port and the text of its value.
type Value = (&'static str, &'static str);

/// Operations whose work depends on their properties, what makes it small and large, and the side of a picture for it.
const HEAVY: &[(&str, &[Value], u32)] = &[
    ("gegl/c2g", &[("samples", "1"), ("iterations", "1"), ("radius", "10")], 256),
    ("gegl/c2g", &[("samples", "100"), ("iterations", "10"), ("radius", "100")], 256),
    ("gegl/c2g", &[("samples", "1000"), ("iterations", "1"), ("radius", "6000")], 128),
    ("gegl/c2g", &[("samples", "10"), ("iterations", "100"), ("radius", "1000")], 128),
    ("gegl/median-blur", &[("radius", "1")], 256),
    ("gegl/median-blur", &[("radius", "20")], 128),
    ("gegl/median-blur", &[("radius", "20"), ("high-precision", "\"true\"")], 32),
    ("gegl/median-blur", &[("radius", "5"), ("high-precision", "\"true\"")], 64),
    ("gegl/median-blur", &[("radius", "100"), ("neighborhood", "\"square\"")], 128),
    ("gegl/median-blur", &[("radius", "400")], 128),
    ("gegl/noise-reduction", &[("iterations", "1")], 256),
    ("gegl/noise-reduction", &[("iterations", "32")], 256),
    ("gegl/motion-blur-linear", &[("length", "100"), ("angle", "30")], 256),
    ("gegl/motion-blur-linear", &[("length", "1000"), ("angle", "45")], 256),
    ("gegl/gaussian-blur", &[("std-dev-x", "0.5"), ("std-dev-y", "0.5")], 512),
    ("gegl/gaussian-blur", &[("std-dev-x", "3"), ("std-dev-y", "3")], 512),
    ("gegl/gaussian-blur", &[("std-dev-x", "100"), ("std-dev-y", "100")], 512),
    ("gegl/box-blur", &[("radius", "100")], 512),
    ("gegl/pixelize", &[("size-x", "1"), ("size-y", "1")], 512),
    ("gegl/pixelize", &[("size-x", "200"), ("size-y", "200")], 512),
    ("gegl/pixelize", &[("size-x", "30"), ("size-y", "30"), ("norm", "\"round\"")], 512),
    ("gegl/perlin-noise", &[("n", "20")], 128),
    ("gegl/high-pass", &[("std-dev", "100")], 512),
    ("gegl/unsharp-mask", &[("std-dev", "100")], 512),
    ("gegl/softglow", &[("glow-radius", "50")], 512),
    ("gegl/cartoon", &[("mask-radius", "50")], 512),
    ("gegl/dropshadow", &[("radius", "30"), ("grow-radius", "40")], 256),
    ("gegl/scale-ratio", &[("x", "3"), ("y", "3")], 256),
    ("gegl/scale-ratio", &[("x", "0.1"), ("y", "0.1")], 512),
    ("gegl/rotate-on-center", &[("degrees", "30"), ("sampler", "\"lohalo\"")], 512),
    ("gegl/rotate-on-center", &[("degrees", "30"), ("sampler", "\"nearest\"")], 512),
    ("imgflo/resize", &[("width", "400")], 512),
];

/// A graph of one operation, and a picture for it, as wide as it is high.
struct Case {
    label: String,
    plan: Plan,
    input: Option<Image>,
}

fn picture(side: u32, alpha: bool) -> Image {
    let rect = Rect::sized(side, side);
    let byte = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8;
    let pixels = (0..rect.area()).map(|i| [byte(4 * i), byte(4 * i + 1), byte(4 * i + 2), byte(4 * i + 3)]);
    if alpha {
        Image::from_rgba8(rect, pixels.collect())
    } else {
        Image::from_rgb8(rect, pixels.map(|[r, g, b, _]| [r, g, b]).collect())
    }
}

impl Case {
    fn new(operation: &str, properties: &[Value], kind: Kind, side: u32, catalogue: &Catalogue) -> Case {
        let registry = Registry::native();
        let info = registry.get(operation).unwrap_or_else(|| panic!("no {operation}")).info();
        let mut text = String::new();
        for pad in info.inputs {
            let port = pad.name.to_uppercase();
            writeln!(text, "split OUTPUT -> {port} testee").unwrap();
        }
        if !info.inputs.is_empty() {
            let first = if kind == Kind::Floats { "gegl/exposure" } else { "gegl/nop" };
            writeln!(text, "INPORT=split.INPUT:INPUT\nsplit({first})").unwrap();
            if kind == Kind::Floats {
                text += "0.1 -> EXPOSURE split\n";
            }
        }
        for (port, value) in properties {
            writeln!(text, "{value} -> {} testee", port.to_uppercase()).unwrap();
        }
        text += &if info.inputs.is_empty() {
            format!(
                "{side} -> WIDTH cut(gegl/crop)\n{side} -> HEIGHT cut\ntestee OUTPUT -> INPUT cut\nOUTPORT=cut.OUTPUT:OUTPUT\n"
            )
        } else {
            "OUTPORT=testee.OUTPUT:OUTPUT\n".to_owned()
        };
        writeln!(text, "testee({operation})").unwrap();
        let graph = fbp::parse(&text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let graph = ImageGraph::new("cost", graph, catalogue, &LIMITS).unwrap_or_else(|faults| panic!("{faults:?}"));
        let arguments = graph.arguments(&BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let input = graph.takes_input().then(|| picture(side, kind != Kind::Bytes));
        let shape = input.as_ref().map(|image| {
            let format: Format = image.format();
            InputShape::new(side, side, format)
        });
        let plan = Plan::new(&graph, &arguments, shape, catalogue, &PLAN_LIMITS)
            .unwrap_or_else(|error| panic!("{operation}: {error}"));
        let properties = properties.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        Case { label: format!("{operation}{properties} {kind:?}"), plan, input }
    }

    /// Processor time of one run, ns: the lesser of two.
    fn nanoseconds(&self) -> f64 {
        let engine = NativeEngine::new(1);
        let run = |_| {
            let input = self.input.clone();
            let start = ProcessTime::now();
            engine
                .render(&self.plan, input, &Control::default())
                .unwrap_or_else(|error| panic!("{}: {error}", self.label));
            start.elapsed().as_secs_f64() * 1e9
        };
        (0..2).map(run).fold(f64::MAX, f64::min)
    }
}

#[test]
fn cost_is_in_proportion_to_processor_time() {
    let catalogue = Catalogue::native();
    let usual = Registry::native().infos().map(|info| (info.name, &[][..], 512)).collect::<Vec<_>>();
    let mut measured = Vec::new();
    for (operation, properties, side) in usual.into_iter().chain(HEAVY.iter().copied()) {
        for kind in KINDS {
            let case = Case::new(operation, properties, kind, side, &catalogue);
            if case.plan.cost() < LEAST_COST {
                continue;
            }
            measured.push((case.nanoseconds() / case.plan.cost(), case.plan.cost(), case.label));
        }
    }
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = measured[measured.len() / 2].0;
    println!("{} cases, a unit of cost is {median:.2} ns", measured.len());
    for (unit, cost, label) in &measured {
        println!("{:7.2} {:9.1} M {label}", unit / median, cost / 1e6);
    }
    assert!(measured.len() > 110, "{}", measured.len());
    let wrong = measured.iter().filter(|(unit, ..)| !(median / TOO_HIGH..=median * TOO_LOW).contains(unit));
    let wrong = wrong.map(|(unit, _, label)| format!("{:.2} {label}", unit / median)).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "time over prediction, of the median: {wrong:#?}");
}
