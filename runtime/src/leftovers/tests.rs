use serde_json::{Value as Json, json};

use super::*;
use crate::{Catalogue, ImageGraph, LibraryLimits};

const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 50, max_bytes: 100_000 };

fn graph(json: &Json) -> Graph {
    Graph::from_json(json).expect("a graph")
}

fn image(graph: Graph) -> Result<ImageGraph, Vec<GraphFault>> {
    ImageGraph::new("left", graph, &Catalogue::native(), &LIMITS)
}

/// A blur as `soft`, with `more` processes and connections, and the output of `shown`.
fn with(processes: &Json, connections: &Json, shown: &str) -> Graph {
    let mut all = json!({"soft": {"component": "gegl/gaussian-blur"}});
    for (name, component) in processes.as_object().expect("components by name") {
        all[name] = json!({"component": component});
    }
    let edge = |edge: &Json| {
        let end = |at: &Json| {
            let (process, port) = at.as_str().expect("process.port").split_once('.').expect("process.port");
            json!({"process": process, "port": port})
        };
        json!({"src": end(&edge[0]), "tgt": end(&edge[1])})
    };
    graph(&json!({
        "inports": {"input": {"process": "soft", "port": "input"}},
        "outports": {"output": {"process": shown, "port": "output"}},
        "processes": all,
        "connections": connections.as_array().expect("pairs").iter().map(edge).collect::<Vec<_>>(),
    }))
}

fn told(image: &ImageGraph) -> Vec<String> {
    image.passed_over().iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_as_flowhub_left_it_is_its_blur() {
    let text = include_str!("../../tests/pictures/graphs/flowhub-leftovers.json");
    let written = Graph::from_json_str(text).expect("a graph");
    let left = image(written.clone()).expect("is served");
    let plain = Graph { properties: written.properties.clone(), ..with(&json!({}), &json!([]), "soft") };
    let plain = image(plain).expect("is served");
    assert_eq!(left.content(), plain.content());
    assert!(left.takes_input());
    assert_eq!(left.definition().processes.len(), 3, "shown as written");
    assert_eq!(left.flat().processes.len(), 1);
    assert_eq!(
        told(&left),
        [
            "connections[0].src: passed over: the graph's input comes in place of 'gegl/load'",
            "processes.see: passed over: shows a picture in an editor, and the output does not depend on it",
            "processes.file: passed over: is of the unknown component 'gegl/load', and the output does not depend on it",
        ]
    );
    assert!(told(&plain).is_empty());
    // A worker gets the same from what the job carries.
    assert_eq!(image(left.pinned()).expect("stands alone").content(), left.content());
}

#[test]
fn an_output_behind_a_processor_is_what_the_processor_shows() {
    let shown = image(with(
        &json!({"see": "Processor", "too": "Processor"}),
        &json!([["soft.output", "see.input"], ["see.output", "too.input"]]),
        "too",
    ));
    let shown = shown.expect("is served");
    assert_eq!(shown.flat().outports["output"].process, "soft");
    assert_eq!(told(&shown)[0], "outports.output: passed over: 'too' shows the picture of 'soft'");
    // A Processor that shows nothing, and two that show each other.
    assert!(image(with(&json!({"see": "Processor"}), &json!([]), "see")).is_err());
    let circle = json!([["a.output", "b.input"], ["b.output", "a.input"]]);
    assert!(image(with(&json!({"a": "Processor", "b": "Processor"}), &circle, "a")).is_err());
}

#[test]
fn what_leads_nowhere_is_passed_over_with_all_that_hangs_on_it() {
    let image = image(with(
        &json!({"odd": "gegl/no-such", "open": "gegl/gray", "after": "gegl/gray", "side": "gegl/invert-gamma"}),
        &json!([["odd.output", "after.input"], ["soft.output", "side.input"]]),
        "soft",
    ));
    let image = image.expect("is served");
    assert_eq!(image.flat().processes.keys().collect::<Vec<_>>(), ["soft", "side"]);
    let told = told(&image);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().any(|note| note.starts_with("processes.side: does nothing")), "{told:?}");
}

#[test]
fn what_the_picture_depends_on_is_checked_as_ever() {
    // An unknown component in the way, a loader beside the exported port, and a second picture for it.
    for (component, edges, expected) in [
        ("gegl/no-such", json!([["odd.output", "soft.input"]]), "connections[0].tgt: a second picture"),
        (
            "gegl/load",
            json!([["odd.output", "mix.aux"], ["soft.output", "mix.input"]]),
            "unknown component 'gegl/load'",
        ),
        ("gegl/checkerboard", json!([["odd.output", "soft.input"]]), "a second picture for port 'input'"),
    ] {
        let shown = if edges.to_string().contains("mix") { "mix" } else { "soft" };
        let faults =
            image(with(&json!({"odd": component, "mix": "svg/src-over"}), &edges, shown)).expect_err(component);
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(
            faults.iter().any(|fault| fault.contains(expected) || fault.contains("unknown component")),
            "{faults:?}"
        );
    }
}

#[test]
fn faults_keep_their_places_in_the_file() {
    let mut written = with(&json!({"file": "gegl/jpg-load"}), &json!([["file.output", "soft.input"]]), "soft");
    let tgt = End { process: "soft".into(), port: "std-dev-q".into(), index: None };
    written.connections.push(Connection { src: Origin::Data(json!(3)), tgt, metadata: serde_json::Map::new() });
    let faults = image(written).expect_err("no such port");
    assert_eq!(faults[0].place, "connections[1].tgt");
}

#[test]
fn a_port_that_its_operation_lacks_takes_any_text_and_does_nothing() {
    let mut written = with(&json!({}), &json!([]), "soft");
    let export = Export { process: "soft".into(), port: "ignored".into(), metadata: serde_json::Map::new() };
    written.inports.insert("ignored".into(), export);
    let image = image(written).expect("is served");
    assert!(told(&image)[0].starts_with("inports.ignored: does nothing: gegl/gaussian-blur has no inport 'ignored'"));
    let given = |value: &str| [("ignored".to_owned(), value.to_owned())].into();
    let one = image.arguments(&given("any text")).expect("taken");
    assert_eq!(one.canonical(), image.arguments(&given("7")).expect("taken").canonical());
    assert!(image.arguments(&given(&"x".repeat(5000))).is_err());
}
