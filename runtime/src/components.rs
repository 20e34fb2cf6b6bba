//! What a process of a graph can be: an operation, or another graph.

use std::sync::Arc;

use imgflo_fbp::Graph;
use imgflo_fbp::info::{Component, Port};
use serde_json::Value as Json;

use crate::{Catalogue, ImageGraph, Library, nearest};

/// The library that graphs have as components: `graph/NAME`. `NAME` alone means the same, as no
/// operation is without a library.
const LIBRARY: &str = "graph/";

/// Operations, and graphs where there is a library of them. An operation comes before a graph of
/// its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Components<'a> {
    catalogue: &'a Catalogue,
    library: Option<&'a Library>,
}

/// A graph by the name of a component.
pub(crate) enum Found<'a> {
    /// One that can be used.
    Graph(&'a Arc<ImageGraph>),
    /// One with faults of its own, by name.
    Faulty(&'a str),
    /// None of that name: an operation, or nothing.
    None,
}

impl<'a> Components<'a> {
    /// Operations alone.
    pub fn operations(catalogue: &'a Catalogue) -> Self {
        Components { catalogue, library: None }
    }

    /// The operations and graphs of a library.
    pub fn of(library: &'a Library) -> Self {
        Components { catalogue: library.catalogue(), library: Some(library) }
    }

    pub fn catalogue(self) -> &'a Catalogue {
        self.catalogue
    }

    /// The graph that `component` names.
    pub fn graph<'n>(self, component: &'n str) -> Found<'n>
    where
        'a: 'n,
    {
        let (Some(library), Some(name)) = (self.library, graph_name(component, self.catalogue)) else {
            return Found::None;
        };
        match library.graph(name) {
            Some(graph) => Found::Graph(graph),
            None if library.is_faulty(name) => Found::Faulty(name),
            None => Found::None,
        }
    }

    /// What graph information says of a component, which keeps the name asked for.
    pub fn component(self, name: &str) -> Option<Component> {
        match self.graph(name) {
            Found::Graph(graph) => Some(component(name, graph)),
            _ => self.catalogue.component(name),
        }
    }

    /// The component whose name is most like `name`, if one is near.
    pub fn nearest(self, name: &str) -> Option<String> {
        let graphs = self.library.into_iter().flat_map(Library::names);
        let graph = nearest(name.strip_prefix(LIBRARY).unwrap_or(name), graphs).map(|near| format!("{LIBRARY}{near}"));
        let operation = self.catalogue.nearest(name).map(str::to_owned);
        if name.starts_with(LIBRARY) { graph.or(operation) } else { operation.or(graph) }
    }
}

/// The name of the graph that `component` means if there is one; none where it is an operation.
pub(crate) fn graph_name<'n>(component: &'n str, catalogue: &Catalogue) -> Option<&'n str> {
    let is_operation = catalogue.registry().get(component).is_some();
    (!is_operation).then(|| component.strip_prefix(LIBRARY).unwrap_or(component))
}

/// The names of graphs that `graph` may be made of, whether there are such graphs or not.
pub(crate) fn graph_names<'g>(graph: &'g Graph, catalogue: &Catalogue) -> impl Iterator<Item = &'g str> {
    graph.processes.values().filter_map(move |process| graph_name(&process.component, catalogue))
}

/// A graph as the component `name`: its exported ports, as they are for those who ask for pictures.
fn component(name: &str, graph: &ImageGraph) -> Component {
    let definition = graph.definition();
    let text = |key: &str| definition.properties.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let inports = definition.inports.iter().filter(|(name, _)| graph.is_inport(name));
    Component {
        name: name.to_owned(),
        description: text("description"),
        icon: text("icon"),
        inports: inports.map(|(name, export)| port(name, &export.metadata)).collect(),
        outports: definition.outports.iter().map(|(name, export)| port(name, &export.metadata)).collect(),
    }
}

fn port(id: &str, metadata: &serde_json::Map<String, Json>) -> Port {
    let text = |key: &str| metadata.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| metadata.get(key).and_then(Json::as_f64);
    Port {
        id: id.to_owned(),
        type_: text("type"),
        description: text("description"),
        default: metadata.get("default").cloned(),
        values: metadata.get("values").and_then(Json::as_array).cloned(),
        minimum: number("minimum"),
        maximum: number("maximum"),
    }
}
