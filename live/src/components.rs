//! What graphs can be made of, and the sources of that.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use imgflo_fbp::info::{Component, Port};
use imgflo_fbp::{Graph, ParseOptions, protocol};
use imgflo_runtime::c_operations::sources;
use imgflo_runtime::ops::c::LIBRARY as IN_C;
use imgflo_runtime::{Form, ImageGraph, Library, PROCESSOR};
use serde_json::{Value, json};

use crate::flow::{DROP, REPEAT};
use crate::workspace::Parts;

/// The library of graphs.
const GRAPHS: &str = "graph";

/// A source, as `component:source` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub language: &'static str,
    pub code: String,
}

fn any(id: &str) -> Port {
    Port { id: id.into(), type_: "any".into(), ..Port::default() }
}

/// The components that are about packets and the editor.
fn plain() -> [Component; 3] {
    let named = |name: &str, description: &str, icon: &str| Component {
        name: name.into(),
        description: description.into(),
        icon: icon.into(),
        ..Component::default()
    };
    let buffer = Port { type_: "buffer".into(), description: "Image buffer".into(), ..any("input") };
    [
        Component { inports: vec![buffer], ..named(PROCESSOR, "Process a connected node", "spinner") },
        Component { inports: vec![any("in")], ..named(DROP, "Takes packets and does nothing with them", "trash-o") },
        Component {
            inports: vec![any("in")],
            outports: vec![any("out")],
            ..named(REPEAT, "Hands packets on", "forward")
        },
    ]
}

/// The payloads of `component:component`, of all components.
pub(crate) fn list(library: &Library) -> Vec<Value> {
    let mut payloads = plain().iter().map(|found| protocol::component(found, false)).collect::<Vec<_>>();
    payloads.extend(library.catalogue().components().iter().map(|found| protocol::component(found, false)));
    let graphs = library.iter().filter_map(|graph| library.component(&format!("{GRAPHS}/{}", graph.name())));
    payloads.extend(graphs.map(|found| protocol::component(&found, true)));
    payloads
}

/// The components that can change, graphs and operations in C: by name, each as a text that changes with it.
pub(crate) fn known(library: &Library) -> BTreeMap<String, String> {
    let graph = |graph: &Arc<ImageGraph>| {
        let text = format!("{}\n{}", graph.content(), graph.definition().to_json());
        (format!("{GRAPHS}/{}", graph.name()), text)
    };
    library.iter().map(graph).chain(library.catalogue().c_revisions()).collect()
}

/// A graph with places for all processes and exported ports, as editors need them.
pub(crate) fn placed(mut graph: Graph) -> Graph {
    imgflo_fbp::lay_out(&mut graph);
    graph
}

/// The payload of `component:component` of one.
pub(crate) fn describe(name: &str, library: &Library) -> Option<Value> {
    let found = plain().into_iter().find(|found| found.name == name).or_else(|| library.component(name))?;
    Some(protocol::component(&found, library.catalogue().component(name).is_none()))
}

/// True when pictures go into that port of a component.
pub(crate) fn takes_picture(library: &Library, component: &str, port: &str) -> bool {
    let ports = library.component(component).map(|found| found.inports).unwrap_or_default();
    ports.iter().any(|inport| inport.type_ == "buffer" && inport.id.eq_ignore_ascii_case(port))
}

/// The ports that a graph exports, as `runtime:ports` has them.
pub(crate) fn ports(graph: &Graph, library: &Library) -> (Vec<Value>, Vec<Value>) {
    let mut graph = graph.clone();
    let known = plain();
    imgflo_fbp::info::enrich(&mut graph, |name| {
        known.iter().find(|found| found.name == name).cloned().or_else(|| library.component(name))
    });
    let definition = |(public, export): (&String, &imgflo_fbp::Export)| {
        let text = |key: &str| export.metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| export.metadata.get(key).and_then(Value::as_f64);
        let port = Port {
            id: public.clone(),
            type_: text("type"),
            description: text("description"),
            default: export.metadata.get("default").cloned(),
            values: export.metadata.get("values").and_then(Value::as_array).cloned(),
            minimum: number("minimum"),
            maximum: number("maximum"),
        };
        protocol::port(&port, false)
    };
    (graph.inports.iter().map(definition).collect(), graph.outports.iter().map(definition).collect())
}

/// The source of a component: of a graph as its file has it, with places for exported ports; of an operation in C as
/// it was written; of what is built in, what it says of itself.
pub(crate) fn source(
    name: &str,
    parts: &Parts,
    library: &Library,
    written: &BTreeMap<String, String>,
) -> Option<Source> {
    if let Some(name) = name.strip_prefix(IN_C).and_then(|name| name.strip_prefix('/')) {
        // Only names of operations that are there: they hold no `/`.
        library.catalogue().component(&format!("{IN_C}/{name}")).filter(|_| !name.contains('/'))?;
        // Beside the graphs come those that were written live, by whomever.
        let beside = sources::folder(&parts.graphs);
        let mut folders = [Some(&beside), parts.ops.as_ref()].into_iter().flatten();
        let file = || folders.find_map(|folder| fs::read_to_string(folder.join(format!("{name}.c"))).ok());
        return Some(Source { language: "c", code: written.get(name).cloned().or_else(file)? });
    }
    if let Some(component) =
        library.catalogue().component(name).or_else(|| plain().into_iter().find(|p| p.name == name))
    {
        return Some(Source { language: "text", code: about(&component) });
    }
    let name = name.strip_prefix(GRAPHS).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
    // Only names of graphs that are there: they hold no `/`.
    library.get(name)?;
    let read = |form: Form| {
        let text = fs::read_to_string(parts.graphs.join(format!("{name}.{}", form.extension())));
        Some((form, text.ok()?))
    };
    let shipped = || library.catalogue().shipped_graph(name).map(|(form, text)| (form, text.to_owned()));
    match Form::ALL.into_iter().find_map(read).or_else(shipped)? {
        (Form::Json, code) => {
            let placed = Graph::from_json_str(&code).ok().map(|graph| placed(graph).to_json());
            let code = placed.and_then(|graph| serde_json::to_string_pretty(&graph).ok()).unwrap_or(code);
            Some(Source { language: "json", code })
        }
        (Form::Fbp, code) => Some(Source { language: "fbp", code }),
    }
}

/// What a component says of itself, as a text.
fn about(component: &Component) -> String {
    let ports = component.inports.iter().map(|port| {
        let default = port.default.as_ref().map(|default| format!(", default {default}")).unwrap_or_default();
        format!("{} ({}{default}): {}\n", port.id, port.type_, port.description)
    });
    let built_in = "This file is an image processing operation for GEGL: it is built in, and here is what it does.";
    let head = format!("{built_in}\n\n{}\n{}\n\n", component.name, component.description);
    ports.fold(head, |text, port| text + &port)
}

/// The graph of a source.
///
/// # Errors
/// What is wrong with it, with the place.
pub(crate) fn graph(language: &str, code: &str) -> Result<Graph, String> {
    match language {
        "json" => Graph::from_json_str(code).map_err(|error| error.to_string()),
        "fbp" => imgflo_fbp::parse(code, &ParseOptions::default()).map_err(|error| error.to_string()),
        other => Err(format!("no language '{other}': c for operations, json or fbp for graphs")),
    }
}

/// The name of a graph's source and its library, from a name and a library given apart or together.
pub(crate) fn split_name<'n>(name: &'n str, library: Option<&'n str>) -> (&'n str, &'n str) {
    match name.rsplit_once('/') {
        Some((library, name)) => (library, name),
        None => (library.unwrap_or_default(), name),
    }
}

/// The payload of `component:source`.
pub(crate) fn source_payload(name: &str, library: &str, source: &Source) -> Value {
    let mut payload = json!({ "name": name, "language": source.language, "code": source.code });
    if !library.is_empty() {
        payload["library"] = library.into();
    }
    payload
}
