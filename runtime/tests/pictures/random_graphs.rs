//! Random graphs on JPEGs, read by parts and at fractions of the size, against the same graphs on the whole picture.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use imgflo_runtime::fbp::Graph;
use imgflo_runtime::ops::codec::{self, EncodeOptions, FileFormat, Part};
use imgflo_runtime::ops::{Cancel, Format, Image, Pixels, Rect, format};
use imgflo_runtime::{ImageGraph, Library};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};

use super::fast::{DECODE_LIMITS, LIMITS, both, library, photos};

/// Graphs that are compared.
const GRAPHS: u32 = 400;

/// A process, and which of the pictures made before it reads, counted from the latest.
#[derive(Clone, Debug)]
struct Step {
    component: &'static str,
    literals: Vec<(&'static str, Json)>,
    input: usize,
    aux: Option<usize>,
}

/// Components that change little where their input changes little.
fn step() -> impl Strategy<Value = Step> {
    let deviation = prop_oneof![Just(1.5), Just(6.0), Just(9.0), Just(13.0), Just(18.0), Just(40.0)];
    let size = 40..160i32;
    let at = -30..90i32;
    let pad = 0..3usize;
    let plain = |component| Just((component, vec![], false)).boxed();
    let blend = |component| Just((component, vec![], true)).boxed();
    let blur = (deviation.clone(), any::<bool>()).prop_map(|(deviation, grows)| {
        let clip = json!(!grows);
        (
            "gegl/gaussian-blur",
            vec![("std-dev-x", json!(deviation)), ("std-dev-y", json!(deviation)), ("clip-extent", clip)],
            false,
        )
    });
    let crop = (at.clone(), at.clone(), size.clone(), size.clone()).prop_map(|(x, y, width, height)| {
        ("gegl/crop", vec![("x", json!(x)), ("y", json!(y)), ("width", json!(width)), ("height", json!(height))], false)
    });
    let resize = size.clone().prop_map(|width| ("imgflo/resize", vec![("width", json!(width))], false));
    let ratio = prop_oneof![Just(0.125), Just(0.25), Just(0.375), Just(0.5), Just(1.0), Just(1.2)];
    let ratio = ratio.prop_map(|r| ("gegl/scale-ratio", vec![("x", json!(r)), ("y", json!(r))], false));
    let translate =
        (at.clone(), at).prop_map(|(x, y)| ("gegl/translate", vec![("x", json!(x)), ("y", json!(y))], false));
    let opacity =
        prop_oneof![Just(0.4), Just(1.0)].prop_map(|value| ("gegl/opacity", vec![("value", json!(value))], false));
    let graph_blur = deviation.prop_map(|deviation| {
        ("graph/gaussianblur", vec![("std-dev-x", json!(deviation)), ("std-dev-y", json!(deviation))], false)
    });
    let graph_size = size.prop_map(|width| ("graph/passthrough", vec![("width", json!(width))], false));
    let kind = prop_oneof![
        3 => plain("gegl/nop"),
        1 => plain("graph/passthrough"),
        1 => plain("gegl/gray"),
        // A crop without numbers hands its input on, and one with a picture at `aux` looks at its box alone.
        1 => plain("gegl/crop"),
        2 => blend("gegl/crop"),
        4 => blur,
        2 => graph_blur,
        2 => crop,
        1 => resize,
        1 => graph_size,
        1 => ratio,
        1 => translate,
        1 => opacity,
        4 => blend("svg/src-over"),
        1 => blend("svg/screen"),
        1 => blend("svg/darken"),
        1 => plain("svg/src-over"),
    ];
    (kind, pad.clone(), pad).prop_map(|((component, literals, blends), input, aux)| Step {
        component,
        literals,
        input,
        aux: blends.then_some(aux),
    })
}

/// A graph, and the width that is asked of it.
fn case() -> impl Strategy<Value = (Vec<Step>, Option<u32>)> {
    let width = prop_oneof![6 => Just(None), 1 => Just(Some(SIDES.0)), 2 => (30..SIDES.0).prop_map(Some)];
    // Widths of whole eighths, too.
    let width = prop_oneof![4 => width, 1 => (1..5u32).prop_map(|eighths| Some(SIDES.0 * eighths / 8))];
    (proptest::collection::vec(step(), 1..7), width)
}

/// Width and height of the JPEGs: whole eighths across, none down.
const SIDES: (u32, u32) = (208, 157);

/// The graph as JSON. Picture 0 is that of a process that hands the input on.
fn definition(steps: &[Step]) -> Json {
    let mut processes = serde_json::Map::from_iter([("n0".to_owned(), json!({"component": "gegl/nop"}))]);
    let mut connections = Vec::new();
    for (index, step) in (1..).zip(steps) {
        let name = format!("n{index}");
        processes.insert(name.clone(), json!({"component": step.component}));
        let mut edge = |port: &str, back: usize| {
            // Beyond the first is the first.
            let from = format!("n{}", index - 1 - back.min(index - 1));
            connections
                .push(json!({"src": {"process": from, "port": "output"}, "tgt": {"process": name, "port": port}}));
        };
        edge("input", step.input);
        if let Some(aux) = step.aux {
            edge("aux", aux);
        }
        for (port, data) in &step.literals {
            connections.push(json!({"data": data, "tgt": {"process": name, "port": port}}));
        }
    }
    json!({
        "inports": {"input": {"process": "n0", "port": "input"}},
        "outports": {"output": {"process": format!("n{}", steps.len()), "port": "output"}},
        "processes": processes,
        "connections": connections,
    })
}

fn assemble(library: &Library, steps: &[Step]) -> ImageGraph {
    let json = definition(steps);
    let graph = Graph::from_json(&json).expect("a graph");
    library.assemble("random", graph, &LIMITS).unwrap_or_else(|faults| panic!("{faults:?}\n{json}"))
}

/// Parts of photos as JPEGs.
fn jpegs() -> Vec<Vec<u8>> {
    let part = |photo: &Vec<u8>| {
        let window = Rect::new(300, 200, SIDES.0 * 3, SIDES.1 * 3);
        let image =
            codec::decode_part(photo, Some(Part { eighths: 8, window }), DECODE_LIMITS, &Cancel::new()).unwrap();
        let Pixels::Rgb8(pixels) = image.pixels() else { panic!("photos are opaque") };
        // Every third pixel.
        let at = |i: u32| pixels[((i / SIDES.0) * 3 * SIDES.0 * 3 + (i % SIDES.0) * 3) as usize];
        let small = Image::from_rgb8(Rect::sized(SIDES.0, SIDES.1), (0..SIDES.0 * SIDES.1).map(at).collect());
        codec::encode(&small, EncodeOptions::new(FileFormat::Jpeg, 90), &Cancel::new()).unwrap()
    };
    photos().iter().map(part).collect()
}

/// Peak signal-to-noise ratio of what is seen, dB, and the change of the mean brightness, in steps of 255.
fn apart(one: &Image, other: &Image) -> (f64, f64) {
    let seen = |image: &Image| {
        let image = format::convert(image, Format::RGBA8).expect("memory for a small picture");
        let Pixels::Rgba8(pixels) = image.pixels() else { panic!("converted") };
        let part = |c: u8, a: u8| f64::from(c) * f64::from(a) / 255.0;
        pixels
            .iter()
            .flat_map(|[r, g, b, a]| [part(*r, *a), part(*g, *a), part(*b, *a), f64::from(*a)])
            .collect::<Vec<_>>()
    };
    let (one, other) = (seen(one), seen(other));
    let count = one.len() as f64;
    let squares = one.iter().zip(&other).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mean = (one.iter().sum::<f64>() - other.iter().sum::<f64>()).abs() / count;
    (10.0 * (255.0 * 255.0 / (squares / count)).log10(), mean)
}

#[test]
fn random_graphs_are_the_same_from_a_part_of_the_file() {
    let (library, jpegs) = (library(), jpegs());
    let seen: RefCell<BTreeMap<u32, u32>> = RefCell::default();
    let (graphs, windows) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: GRAPHS, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]));
    let result = runner.run(&case(), |(steps, width)| {
        let graph = assemble(&library, &steps);
        let width = width.map(|width| width.to_string());
        let given = width.iter().map(|width| ("width", width.as_str())).collect::<Vec<_>>();
        let Some((found, expected, plan)) = both(&graph, &given, &jpegs[steps.len() % jpegs.len()]) else {
            return Err(TestCaseError::reject("an empty picture"));
        };
        graphs.set(graphs.get() + 1);
        if let Some(part) = plan.part() {
            *seen.borrow_mut().entry(part.eighths).or_default() += 1;
            windows.set(windows.get() + u32::from(part.window.area() < u64::from(SIDES.0 * SIDES.1)));
        }
        let (psnr, mean) = apart(&found, &expected);
        let told = || format!("{psnr:.1} dB, mean {mean:.2}\n{}\n{plan}", definition(&steps));
        prop_assert!(psnr > 36.0 && mean < 1.0, "{}", told());
        Ok(())
    });
    if let Err(fault) = result {
        panic!("{fault}");
    }
    assert!(graphs.get() >= GRAPHS, "{} graphs", graphs.get());
    let seen = seen.into_inner();
    assert!([1, 2, 3, 4, 8].iter().all(|eighths| seen.get(eighths).is_some_and(|count| *count >= 5)), "{seen:?}");
    assert!(windows.get() >= 20, "{} read in part", windows.get());
}
