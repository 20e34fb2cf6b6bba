//! The shipped graphs and the native operations, planned and rendered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgflo_runtime::fbp::{self, ParseOptions};
use imgflo_runtime::ops::{Format, Image, Rect};
use imgflo_runtime::{
    Arguments, Catalogue, Control, Engine, ImageGraph, InputShape, Library, LibraryLimits, NativeEngine, Plan,
    PlanError, PlanLimits, RuntimeKind,
};

const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
const PLAN_LIMITS: PlanLimits = PlanLimits { max_output_pixels: 25_000_000, max_memory: 3 << 30 };

fn shipped() -> Library {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graphs");
    Library::load(&dir, Arc::new(Catalogue::native()), &LIMITS).expect("the folder of shipped graphs")
}

fn images(library: &Library) -> impl Iterator<Item = &Arc<ImageGraph>> {
    library.iter().filter(|graph| graph.runtime() == RuntimeKind::Imgflo && graph.takes_input())
}

fn arguments(graph: &ImageGraph, given: &[(&str, &str)]) -> Arguments {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    graph.arguments(&given.collect::<BTreeMap<_, _>>()).unwrap_or_else(|faults| panic!("{}: {faults:?}", graph.name()))
}

fn shape(image: &Image) -> InputShape {
    InputShape::new(image.rect().width, image.rect().height, image.format())
}

fn plan(graph: &ImageGraph, given: &[(&str, &str)], input: InputShape) -> Plan {
    let catalogue = Catalogue::native();
    Plan::new(graph, &arguments(graph, given), Some(input), &catalogue, &PLAN_LIMITS)
        .unwrap_or_else(|error| panic!("{} {given:?}: {error}", graph.name()))
}

/// A picture without two equal neighbours, and with all kinds of alpha where it has some.
fn picture(width: u32, height: u32, format: Format) -> Image {
    let rect = Rect::sized(width, height);
    let byte = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8;
    let pixels = (0..rect.area()).map(|i| [byte(4 * i), byte(4 * i + 1), byte(4 * i + 2), byte(4 * i + 3)]);
    match format {
        Format::RGB8 => Image::from_rgb8(rect, pixels.map(|[r, g, b, _]| [r, g, b]).collect()),
        Format::RGBA8 => Image::from_rgba8(rect, pixels.collect()),
        float => {
            let alpha = |a: u8| if float.has_alpha() { f32::from(a) / 255.0 } else { 1.0 };
            let pixels = pixels.map(|[r, g, b, a]| {
                let [r, g, b] = [r, g, b].map(|c| f32::from(c) / 255.0);
                [r, g, b, alpha(a)]
            });
            Image::from_float(rect, float, pixels.collect())
        }
    }
}

/// Renders on one thread and on three, which cut the picture differently; both must agree with
/// each other and with what the plan promised.
fn render(graph: &ImageGraph, given: &[(&str, &str)], input: &Image) -> Image {
    let plan = plan(graph, given, shape(input));
    let render = |threads| {
        let engine = NativeEngine::new(threads);
        let rendered = engine.render_measured(&plan, Some(input.clone()), &Control::default());
        let (image, statistics) =
            rendered.unwrap_or_else(|error| panic!("{} {given:?}: {error}\n{plan}", graph.name()));
        assert_eq!(statistics.peak_memory, plan.peak_memory(), "{plan}");
        assert_eq!((image.rect(), image.format()), (plan.output(), plan.output_format()), "{plan}");
        image
    };
    let image = render(1);
    assert!(image == render(3), "{} {given:?} depends on its tiles\n{plan}", graph.name());
    image
}

#[test]
fn every_shipped_graph_is_served() {
    let library = shipped();
    assert_eq!(library.faults(), []);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graphs");
    let files = std::fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path());
    let filter = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("read");
        !text.contains("msgflo")
    };
    let graphs =
        files.filter(|path| path.extension().is_some_and(|e| e == "json" || e == "fbp")).filter(filter).count();
    assert_eq!(library.iter().count(), graphs);
    assert!(graphs >= 12, "{graphs}");
    for graph in library.iter() {
        for parameter in graph.parameters() {
            assert!(!parameter.description.is_empty(), "{}: {}", graph.name(), parameter.name);
            let Some(default) = &parameter.default else { continue };
            let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let same = arguments(graph, &[(&parameter.name, &text)]).canonical();
            assert_eq!(same, Arguments::default().canonical(), "{}: {}", graph.name(), parameter.name);
        }
    }
}

#[test]
fn every_shipped_graph_renders() {
    let library = shipped();
    let mut rendered = 0;
    for graph in images(&library) {
        for format in [Format::RGB8, Format::RGBA8, Format::GAM_OPAQUE] {
            let input = picture(97, 61, format);
            render(graph, &[], &input);
            let small = render(graph, &[("width", "40")], &input);
            assert!(small.rect().width >= 40, "{}: {:?}", graph.name(), small.rect());
        }
        for (width, height) in [(1, 1), (1, 50), (50, 1), (3, 2)] {
            render(graph, &[], &picture(width, height, Format::RGB8));
        }
        rendered += 1;
    }
    assert!(rendered >= 11, "{rendered}");
}

#[test]
fn every_shipped_graph_is_the_same_from_its_other_form() {
    for graph in shipped().iter() {
        let json = fbp::Graph::from_json_str(&graph.flat().to_json().to_string()).expect("JSON");
        let again = ImageGraph::new("again", json, &Catalogue::native(), &LIMITS).expect("a graph");
        assert_eq!(again.content(), graph.content());
        // Not every graph can be written as .fbp text; those that can must be the same.
        if let Ok(text) = fbp::to_fbp(graph.flat()) {
            let parsed = fbp::parse(&text, &ParseOptions::default()).expect("its own text");
            let again = ImageGraph::new("again", parsed, &Catalogue::native(), &LIMITS).expect("a graph");
            assert_eq!(again.content(), graph.content(), "{text}");
        }
    }
}

#[test]
fn width_is_exact_and_height_follows() {
    let library = shipped();
    let passthrough = library.get("passthrough").expect("shipped");
    let input = InputShape::new(1300, 768, Format::RGB8);
    for (given, expected) in [
        (&[("width", "333")][..], (333, 197)),
        (&[("width", "300")], (300, 177)),
        (&[("height", "100")], (169, 100)),
        (&[("width", "200"), ("height", "200")], (200, 200)),
        (&[("width", "2600")], (2600, 1536)),
        (&[("width", "0"), ("height", "")], (1300, 768)),
    ] {
        let output = plan(&passthrough, given, input).output();
        assert_eq!((output.width, output.height), expected, "{given:?}");
    }
}

#[test]
fn point_graphs_take_no_float_buffers() {
    let library = shipped();
    let input = InputShape::new(1300, 768, Format::RGB8);
    // The grey of customgrey has alpha: 3 bytes in, 4 out.
    for (name, bytes) in [("customgrey", 3 + 4), ("crop", 3), ("passthrough", 3), ("retro", 3 + 4)] {
        let plan = plan(&library.get(name).expect("shipped"), &[], input);
        assert_eq!(plan.peak_memory(), 1300 * 768 * bytes, "{plan}");
    }
    // The gradient and the blend over the original: one step, bytes in and bytes out.
    let plan = plan(&library.get("gradientmap").expect("shipped"), &[], input);
    assert_eq!(plan.to_string().matches("\n  #").count(), 1, "{plan}");
    assert!(plan.peak_memory() <= 1300 * 768 * (3 + 4), "{plan}");
}

#[test]
fn hostile_parameters_are_refused_or_bounded() {
    let library = shipped();
    let input = InputShape::new(1300, 768, Format::RGB8);
    for graph in images(&library) {
        for parameter in graph.parameters() {
            let extremes = [parameter.minimum, parameter.maximum].into_iter().flatten();
            for value in extremes.chain([0.0]).filter(|value| value.abs() < 1e300) {
                let given = [(parameter.name.clone(), value.to_string())].into();
                let Ok(arguments) = graph.arguments(&given) else { continue };
                match Plan::new(graph, &arguments, Some(input), &Catalogue::native(), &PLAN_LIMITS) {
                    Ok(plan) => assert!(plan.output().area() <= 25_000_000 && plan.peak_memory() <= 3 << 30),
                    Err(PlanError::NoPicture { .. } | PlanError::TooLarge { .. }) => {}
                    Err(error) => panic!("{} {given:?}: {error}", graph.name()),
                }
            }
        }
    }
}

/// A graph of one operation: its output, cut where it has no bounds, of the input on all its pads.
fn alone(component: &fbp::info::Component) -> ImageGraph {
    let pads = component.inports.iter().filter(|port| port.type_ == "buffer").map(|port| port.id.as_str());
    let lines = match pads.collect::<Vec<_>>()[..] {
        [] => format!(
            "OUTPORT=cut.OUTPUT:OUTPUT\nINPORT=cut.AUX:INPUT\n\
             op({}) OUTPUT -> INPUT cut(gegl/crop)\n40 -> WIDTH cut\n30 -> HEIGHT cut",
            component.name
        ),
        [input] => {
            format!("INPORT=op.{input}:INPUT\nOUTPORT=op.OUTPUT:OUTPUT\nop({})", component.name)
        }
        [input, aux] => format!(
            "INPORT=all.INPUT:INPUT\nOUTPORT=op.OUTPUT:OUTPUT\n\
             all(gegl/nop) OUTPUT -> {input} op({})\n\
             all OUTPUT -> INPUT dim(gegl/opacity) OUTPUT -> INPUT part(gegl/crop) OUTPUT -> {aux} op\n\
             0.5 -> VALUE dim\n-5 -> X part\n7 -> Y part\n20 -> WIDTH part\n60 -> HEIGHT part",
            component.name
        ),
        _ => panic!("{} has more than two pads", component.name),
    };
    let graph = fbp::parse(&lines, &ParseOptions::default()).unwrap_or_else(|error| panic!("{error}\n{lines}"));
    ImageGraph::new(component.name.as_str(), graph, &Catalogue::native(), &LIMITS)
        .unwrap_or_else(|faults| panic!("{faults:#?}"))
}

#[test]
fn every_operation_renders_whatever_its_tiles() {
    let components = Catalogue::native().components();
    for component in &components {
        let graph = alone(component);
        for format in [Format::RGB8, Format::RGBA8, Format::GAM] {
            for (width, height) in [(61, 47), (1, 1), (2, 33)] {
                render(&graph, &[], &picture(width, height, format));
            }
        }
    }
    assert!(components.len() >= 20, "{}", components.len());
}

#[test]
fn every_operation_is_computed_in_part_as_in_whole() {
    for component in &Catalogue::native().components() {
        let mut graph = alone(component).flat().clone();
        let whole = render(&alone(component), &[], &picture(61, 47, Format::RGBA8));
        let origin = plan_origin(component);
        // The same, and a window of it: pixels must not depend on what else is computed.
        let outport = graph.outports["output"].clone();
        graph.outports["output"].process = "window".into();
        let process = fbp::Process { component: "gegl/crop".into(), metadata: Default::default() };
        graph.processes.insert("window".into(), process);
        let end = |process: &str, port: &str| fbp::End { process: process.into(), port: port.into(), index: None };
        let edge = |src, tgt| fbp::Connection { src, tgt, metadata: Default::default() };
        graph.connections.push(edge(fbp::Origin::Process(end(&outport.process, "output")), end("window", "input")));
        let window = Rect::new(origin.0 + 9, origin.1 + 11, 13, 12);
        for (port, value) in
            [("x", window.x), ("y", window.y), ("width", window.width as i32), ("height", window.height as i32)]
        {
            graph.connections.push(edge(fbp::Origin::Data(value.into()), end("window", port)));
        }
        let graph = ImageGraph::new("window", graph, &Catalogue::native(), &LIMITS).expect("a graph");
        let part = render(&graph, &[], &picture(61, 47, Format::RGBA8));
        assert_eq!(part.format(), whole.format());
        for y in 0..12 {
            for x in 0..13 {
                assert_eq!(bytes(&part, x, y), bytes(&whole, x + 9, y + 11), "{} ({x}, {y})", component.name);
            }
        }
    }
}

/// The corner of the box of [`alone`]'s output: what a window's coordinates are relative to.
fn plan_origin(component: &fbp::info::Component) -> (i32, i32) {
    let graph = alone(component);
    let text = plan(&graph, &[], shape(&picture(61, 47, Format::RGBA8))).to_string();
    // The last step prints its box as WIDTHxHEIGHT+X+Y.
    let last = text.lines().rev().find(|line| line.trim_start().starts_with('#'));
    let Some(size) = last.and_then(|line| line.split_whitespace().nth(1)) else { return (0, 0) };
    let corner = size.find(['+', '-']).map_or("", |at| &size[at..]);
    let split = corner[1..].find(['+', '-']).expect("two numbers") + 1;
    (corner[..split].parse().expect("x"), corner[split..].parse().expect("y"))
}

fn bytes(image: &Image, x: usize, y: usize) -> Vec<u8> {
    use imgflo_runtime::ops::Pixels;
    let index = y * image.rect().width as usize + x;
    match image.pixels() {
        Pixels::Rgb8(pixels) => pixels[index].to_vec(),
        Pixels::Rgba8(pixels) => pixels[index].to_vec(),
        Pixels::Float(_) => panic!("results are in bytes"),
    }
}

#[test]
fn the_engine_is_an_engine() {
    let engine: Arc<dyn Engine> = Arc::new(NativeEngine::new(2));
    let graph = alone(&Catalogue::native().component("gegl/nop").expect("native"));
    let input = picture(5, 4, Format::RGB8);
    let plan = plan(&graph, &[], shape(&input));
    assert_eq!(engine.render(&plan, Some(input.clone()), &Control::default()).expect("rendered"), input);
}

/// Each operation stops soon after it is told to. A test of a wall time would fail on a busy machine: what is asserted is
/// that the work was not done to its end.
#[test]
fn row_34_every_operation_can_be_stopped() {
    let catalogue = Catalogue::native();
    let limits = PlanLimits { max_output_pixels: 100_000_000, max_memory: 8 << 30 };
    let input = picture(3000, 2000, Format::RGBA8);
    let (mut stopped, mut seen) = (0, 0);
    for info in imgflo_runtime::ops::Registry::native().infos() {
        let mut text = String::new();
        for pad in info.inputs {
            text += &format!("split OUTPUT -> {} testee\n", pad.name.to_uppercase());
        }
        text += if info.inputs.is_empty() {
            "3000 -> WIDTH cut(gegl/crop)\n2000 -> HEIGHT cut\ntestee OUTPUT -> INPUT cut\nOUTPORT=cut.OUTPUT:OUTPUT\n"
        } else {
            "INPORT=split.INPUT:INPUT\nsplit(gegl/nop)\nOUTPORT=testee.OUTPUT:OUTPUT\n"
        };
        text += &format!("testee({})\n", info.name);
        let graph = fbp::parse(&text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let graph = ImageGraph::new("stop", graph, &catalogue, &LIMITS).unwrap_or_else(|faults| panic!("{faults:?}"));
        let input = graph.takes_input().then(|| input.clone());
        let plan = Plan::new(&graph, &arguments(&graph, &[]), input.as_ref().map(shape), &catalogue, &limits)
            .unwrap_or_else(|error| panic!("{}: {error}", info.name));
        seen += 1;
        // Less than some 40 ms of work may be done before anyone says stop.
        if plan.cost() < 2e7 {
            continue;
        }
        let control = Control::default();
        let cancel = control.cancel.clone();
        let rendered = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(3));
                cancel.cancel();
            });
            NativeEngine::new(1).render(&plan, input, &control)
        });
        match rendered {
            Err(error) => assert_eq!(error.kind, imgflo_runtime::RenderErrorKind::Cancelled, "{}", info.name),
            Ok(_) => panic!("{} went on to its end: cost {:.0} M", info.name, plan.cost() / 1e6),
        }
        stopped += 1;
    }
    assert!(seen > 70 && stopped > 15, "{stopped} of {seen}");
}
