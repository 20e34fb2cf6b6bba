//! Graphs and pictures for the tests of this crate.

mod operations;

use std::collections::BTreeMap;

use imgflo_fbp::{Graph, ParseOptions};
use imgflo_ops::{Image, Pixels, Rect};

use crate::{Arguments, ImageGraph, InputShape, LibraryLimits, Plan, PlanError, PlanLimits};

pub(crate) use operations::{catalogue, counted};

pub(crate) const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 300, max_bytes: 100_000 };
pub(crate) const PLAN_LIMITS: PlanLimits = PlanLimits { max_output_pixels: 1_000_000, max_memory: 64 << 20 };

/// A graph from `.fbp` text.
pub(crate) fn graph(text: &str) -> Graph {
    imgflo_fbp::parse(text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A filter: a chain of processes between `input` and `output`, and further lines.
pub(crate) fn filter(first: &str, last: &str, lines: &str) -> ImageGraph {
    image_graph(&format!("INPORT={first}.INPUT:INPUT\nOUTPORT={last}.OUTPUT:OUTPUT\n{lines}\n"))
}

pub(crate) fn image_graph(text: &str) -> ImageGraph {
    ImageGraph::new("test", graph(text), &catalogue(), &LIMITS).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What is wrong with a graph.
pub(crate) fn faults(text: &str) -> Vec<String> {
    let faults = ImageGraph::new("test", graph(text), &catalogue(), &LIMITS).expect_err("a faulty graph");
    faults.iter().map(ToString::to_string).collect()
}

pub(crate) fn arguments(graph: &ImageGraph, given: &[(&str, &str)]) -> Arguments {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    graph.arguments(&given.collect::<BTreeMap<_, _>>()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// An opaque picture that differs everywhere.
pub(crate) fn picture(width: u32, height: u32) -> Image {
    let pixels =
        (0..height).flat_map(|y| (0..width).map(move |x| [(x * 3 + y) as u8, (x ^ (y * 5)) as u8, (x * y / 7) as u8]));
    Image::from_rgb8(Rect::sized(width, height), pixels.collect())
}

pub(crate) fn shape(image: &Image) -> InputShape {
    InputShape::new(image.rect().width, image.rect().height, image.format())
}

pub(crate) fn plan_with(graph: &ImageGraph, given: &[(&str, &str)], input: &Image) -> Result<Plan, PlanError> {
    Plan::new(graph, &arguments(graph, given), Some(shape(input)), &catalogue(), &PLAN_LIMITS)
}

pub(crate) fn plan(graph: &ImageGraph, input: &Image) -> Plan {
    plan_with(graph, &[], input).unwrap_or_else(|error| panic!("{error}"))
}

/// The bytes of an RGB8 picture.
pub(crate) fn rgb(image: &Image) -> &[[u8; 3]] {
    match image.pixels() {
        Pixels::Rgb8(pixels) => pixels,
        other => panic!("not RGB8: {other:?}"),
    }
}
