//! The components that graphs are made of, as the operations describe themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use imgflo_fbp::info::{Component, Port};
use imgflo_ops::{Info, Kind, Operation, Property, Registry, Value};
use serde_json::Value as Json;

use crate::c_operations::{self, Revision};
use crate::{COperations, EngineChoice, Form, Gegl, nearest};

/// Operations, and what graph information says of their components.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    registry: Registry,
    c: Option<Arc<COperations>>,
    gegl: Option<Arc<Gegl>>,
    engine: EngineChoice,
    shipped: &'static [ShippedGraph],
}

/// A graph file that is part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippedGraph {
    /// Name of the file: `sunset.json`.
    pub file: &'static str,
    /// Text of the file.
    pub text: &'static str,
}

impl ShippedGraph {
    /// Returns the name of the graph and the form of its file; `None` if no graph can have this file.
    pub(crate) fn name(&self) -> Option<(&'static str, Form)> {
        let form = Form::of(Path::new(self.file))?;
        Some((self.file.strip_suffix(form.extension())?.strip_suffix('.')?, form))
    }
}

impl Catalogue {
    /// The native operations.
    pub fn native() -> Self {
        Catalogue::new(Registry::native())
    }

    /// The operations of `registry`.
    pub fn new(registry: Registry) -> Self {
        Catalogue { registry, c: None, gegl: None, engine: EngineChoice::Native, shipped: &[] }
    }

    /// Adds graphs that every folder of graphs has unless a file of the folder has the same name.
    /// With any of these, a folder may be missing until something is saved to it.
    #[must_use]
    pub fn with_graphs(self, shipped: &'static [ShippedGraph]) -> Self {
        Catalogue { shipped, ..self }
    }

    /// Returns the graphs that every folder of graphs has.
    pub fn shipped(&self) -> &'static [ShippedGraph] {
        self.shipped
    }

    /// Returns the shipped graph of that name: form and text.
    pub fn shipped_graph(&self, name: &str) -> Option<(Form, &'static str)> {
        let graphs = self.shipped.iter().filter_map(|graph| Some((graph.name()?, graph.text)));
        graphs.into_iter().find_map(|((known, form), text)| (known == name).then_some((form, text)))
    }

    /// With the operations of GEGL beside those of the registry, unless the native engine is to run
    /// all.
    #[must_use]
    pub fn with_gegl(self, gegl: Arc<Gegl>, engine: EngineChoice) -> Self {
        let gegl = (engine != EngineChoice::Native).then_some(gegl);
        Catalogue { gegl, engine, ..self }
    }

    /// With operations in C, which run beside those of the registry. Their revisions of the moment hold whenever
    /// one is looked up.
    #[must_use]
    pub fn with_c(self, operations: Arc<COperations>) -> Self {
        Catalogue { c: Some(operations), ..self }
    }

    /// The operations in C, where there are any.
    pub fn c_operations(&self) -> Option<&Arc<COperations>> {
        self.c.as_ref()
    }

    /// The operations in C with the revision in force of each, by name.
    pub fn c_revisions(&self) -> BTreeMap<String, String> {
        let infos = self.c.iter().flat_map(|c| c.infos());
        let revision = |info: &Info| Some((info.name.to_owned(), self.operation(info.name)?.revision().to_string()));
        infos.filter_map(revision).collect()
    }

    /// GEGL, where it may be used.
    pub fn gegl(&self) -> Option<&Arc<Gegl>> {
        self.gegl.as_ref()
    }

    /// What runs graphs.
    pub fn engine(&self) -> EngineChoice {
        self.engine
    }

    /// The operation of that component name or alias. GEGL is only asked for what is not native.
    pub fn operation(&self, name: &str) -> Option<Arc<dyn Operation>> {
        self.revision(name).map(|revision| revision.operation)
    }

    /// As [`Catalogue::operation`], with what GEGL has to load for it.
    pub(crate) fn revision(&self, name: &str) -> Option<Revision> {
        if c_operations::is_in_c(name) {
            return self.c.as_ref()?.revision(name);
        }
        let operation = self.registry.get(name).or_else(|| self.gegl.as_ref()?.operation(name));
        operation.map(|operation| Revision { operation: Arc::clone(operation), module: None })
    }

    /// Descriptions of all operations, by name, without aliases.
    pub fn infos(&self) -> impl Iterator<Item = &'static Info> {
        let gegl = self.gegl.iter().flat_map(|gegl| gegl.infos());
        let c = self.c.iter().flat_map(|c| c.infos());
        let all = self.registry.infos().chain(c).chain(gegl.filter(|info| self.registry.get(info.name).is_none()));
        all.map(|info| (info.name, info)).collect::<BTreeMap<_, _>>().into_values()
    }

    /// The operations.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The component of that name, or of that alias, which then keeps the name asked for.
    pub fn component(&self, name: &str) -> Option<Component> {
        self.operation(name).map(|operation| component(name, operation.info()))
    }

    /// All components, by name, without aliases.
    pub fn components(&self) -> Vec<Component> {
        self.infos().map(|info| component(info.name, info)).collect()
    }

    /// The component whose operation is named most like that of `name`, if one is near. Libraries
    /// do not count: that two names begin with `gegl/` is no likeness.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        let meant = nearest(operation(name), self.infos().map(|info| operation(info.name)))?;
        self.infos().map(|info| info.name).find(|name| operation(name) == meant)
    }
}

fn component(name: &str, info: &Info) -> Component {
    let pads = info.inputs.iter().map(|pad| buffer(pad.name));
    Component {
        name: name.into(),
        description: info.description.into(),
        icon: icon(name).into(),
        inports: pads.chain(info.properties.iter().map(port)).collect(),
        outports: vec![buffer("output")],
    }
}

/// A component's name without its library.
fn operation(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The icon the original runtime gives a component.
fn icon(name: &str) -> &'static str {
    let operation = operation(name);
    if operation == "crop" {
        "crop"
    } else if operation.contains("save") {
        "save"
    } else if operation.contains("load") {
        "file-o"
    } else if operation.contains("text") {
        "font"
    } else {
        "picture-o"
    }
}

fn buffer(id: &str) -> Port {
    Port {
        id: id.into(),
        type_: "buffer".into(),
        description: "Image buffer".into(),
        default: None,
        values: None,
        minimum: None,
        maximum: None,
    }
}

fn port(property: &Property) -> Port {
    let (minimum, maximum) = range(&property.kind).unzip();
    let values = match property.kind {
        Kind::Enum { values, .. } => Some(values.iter().map(|value| Json::from(*value)).collect()),
        _ => None,
    };
    Port {
        id: property.name.into(),
        type_: property.kind.type_name().into(),
        description: property.description.into(),
        default: Some(Value::to_json(&property.kind.default())),
        values,
        minimum,
        maximum,
    }
}

/// The range of a numeric property; an unbounded side is ±[`f64::MAX`].
pub(crate) fn range(kind: &Kind) -> Option<(f64, f64)> {
    match *kind {
        Kind::Int { minimum, maximum, .. } => Some((minimum as f64, maximum as f64)),
        Kind::Number { minimum, maximum, .. } => Some((minimum, maximum)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_component_has_pads_and_properties_as_ports() {
        let catalogue = testing::catalogue();
        let component = catalogue.component("test/add").expect("is there");
        let ports = component.inports.iter().map(|port| (port.id.as_str(), port.type_.as_str())).collect::<Vec<_>>();
        assert_eq!(ports, [("input", "buffer"), ("amount", "number")]);
        assert_eq!(component.inports[0].description, "Image buffer");
        let amount = &component.inports[1];
        assert_eq!((amount.minimum, amount.maximum, &amount.default), (Some(-1.0), Some(1.0), &Some(0.25.into())));
        assert_eq!(component.outports[0].id, "output");
        let noise = catalogue.component("test/mode").expect("is there");
        let values = noise.inports[1].values.as_deref().expect("an enum has values");
        assert_eq!(values, ["none", "all"]);
    }

    #[test]
    fn an_alias_is_a_component_but_not_listed() {
        let catalogue = testing::catalogue();
        assert_eq!(catalogue.component("test/plus").expect("alias").name, "test/plus");
        assert!(catalogue.components().iter().all(|component| component.name != "test/plus"));
        assert!(catalogue.component("test/nothing").is_none());
    }

    #[test]
    fn icons_follow_the_name() {
        assert_eq!(icon("gegl/crop"), "crop");
        assert_eq!(icon("gegl/png-save"), "save");
        assert_eq!(icon("gegl/jpg-load"), "file-o");
        assert_eq!(icon("gegl/text"), "font");
        assert_eq!(icon("gegl/nop"), "picture-o");
    }

    #[test]
    fn a_common_library_is_no_likeness() {
        let catalogue = testing::catalogue();
        assert_eq!(catalogue.nearest("test/ad"), Some("test/add"));
        assert_eq!(catalogue.nearest("tset/add"), Some("test/add"));
        assert_eq!(catalogue.nearest("gegl/c2g"), None);
        assert_eq!(catalogue.nearest("test/blur"), None);
    }

    #[test]
    fn misspellings_find_the_name_meant() {
        let names = ["std-dev-x", "std-dev-y", "abyss-policy"];
        assert_eq!(nearest("std-devx", names.into_iter()), Some("std-dev-x"));
        assert_eq!(nearest("Abyss-Policy", names.into_iter()), Some("abyss-policy"));
        assert_eq!(nearest("quality", names.into_iter()), None);
        assert_eq!(nearest(&"s".repeat(1_000_000), names.into_iter()), None);
    }
}
