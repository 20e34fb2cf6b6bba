//! Checks of one component or port at a time, for graphs that are drawn step by step and are not whole yet.

use imgflo_ops::{Info, Property};
use serde_json::Value as Json;

use crate::components::{Components, Found};
use crate::image_graph::{cut, no_port};
use crate::parameters::literal;
use crate::{ImageGraph, Library, RuntimeKind};

/// What enters at an inport.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entering<'v> {
    /// A picture.
    Picture,
    /// A literal.
    Value(&'v Json),
    /// What is not known before it comes.
    Anything,
}

/// A component by what its ports are.
enum Known<'a> {
    Operation(&'static Info),
    Graph(&'a ImageGraph),
}

impl Library {
    /// Checks that there is a component of that name to use in a graph.
    ///
    /// # Errors
    /// Why there is none, and which one may be meant.
    pub fn check_component(&self, name: &str) -> Result<(), String> {
        let components = Components::of(self);
        match components.graph(name) {
            Found::Graph(graph) if graph.runtime() == RuntimeKind::Noop => {
                Err(format!("the noop graph '{}' makes no picture; gegl/nop hands one on", graph.name()))
            }
            Found::Graph(_) => Ok(()),
            Found::Faulty(graph) => Err(format!("the graph '{graph}' has faults of its own")),
            Found::None if self.catalogue().operation(name).is_some() => Ok(()),
            Found::None if name.is_empty() => Err("has no component".into()),
            Found::None => {
                let meant = components.nearest(name).map(|meant| format!("; did you mean '{meant}'?"));
                Err(format!("unknown component '{}'{}", cut(name), meant.unwrap_or_default()))
            }
        }
    }

    /// Checks that a component has an inport, which takes what enters. Of an unknown component nothing is known to be
    /// wrong.
    ///
    /// # Errors
    /// Why it is not so.
    pub fn check_inport(&self, component: &str, port: &str, entering: Entering<'_>) -> Result<(), String> {
        let Some(known) = self.known(component) else { return Ok(()) };
        let (takes_picture, value) = match &known {
            Known::Operation(info) => {
                let pad = info.inputs.iter().any(|pad| same(pad.name, port));
                let property = info.properties.iter().find(|property| same(property.name, port));
                (pad, property.map(Reader::Property))
            }
            Known::Graph(graph) => {
                let parameter = graph.ports().iter().find(|own| same(&own.parameter.name, port));
                let parameter = parameter.filter(|own| graph.is_inport(&own.parameter.name));
                (graph.takes_input() && same("input", port), parameter.map(Reader::Parameter))
            }
        };
        match (takes_picture, value, entering) {
            (false, None, _) => Err(no_port(component, "inport", port, known.inports().into_iter())),
            (_, _, Entering::Anything) | (true, _, Entering::Picture) => Ok(()),
            (true, _, Entering::Value(_)) => Err(format!("port '{}' takes a picture, not a value", cut(port))),
            (false, Some(_), Entering::Picture) => {
                Err(format!("port '{}' takes a value, and a picture is sent to it", cut(port)))
            }
            (false, Some(reader), Entering::Value(data)) => {
                reader.read(data).map_err(|fault| format!("port '{}': {fault}", cut(port)))
            }
        }
    }

    /// Checks that a component has an outport. Of an unknown component nothing is known to be wrong.
    ///
    /// # Errors
    /// Which outports there are.
    pub fn check_outport(&self, component: &str, port: &str) -> Result<(), String> {
        let Some(known) = self.known(component) else { return Ok(()) };
        let outports = known.outports();
        if outports.iter().any(|own| same(own, port)) {
            return Ok(());
        }
        Err(no_port(component, "outport", port, outports.into_iter()))
    }

    fn known<'k>(&'k self, component: &'k str) -> Option<Known<'k>> {
        match Components::of(self).graph(component) {
            Found::Graph(graph) => Some(Known::Graph(graph)),
            Found::Faulty(_) => None,
            Found::None => self.catalogue().operation(component).map(|operation| Known::Operation(operation.info())),
        }
    }
}

impl<'a> Known<'a> {
    fn inports(&self) -> Vec<&str> {
        match self {
            Known::Operation(info) => {
                info.inputs.iter().map(|pad| pad.name).chain(info.properties.iter().map(|own| own.name)).collect()
            }
            Known::Graph(graph) => {
                let names = graph.definition().inports.keys().map(String::as_str);
                names.filter(|name| graph.is_inport(name)).collect()
            }
        }
    }

    fn outports(&self) -> Vec<&str> {
        match self {
            Known::Operation(_) => vec!["output"],
            Known::Graph(graph) => graph.definition().outports.keys().map(String::as_str).collect(),
        }
    }
}

/// What reads a literal.
enum Reader<'a> {
    Property(&'a Property),
    Parameter(&'a crate::parameters::Port),
}

impl Reader<'_> {
    fn read(&self, data: &Json) -> Result<(), String> {
        match self {
            Reader::Property(property) => literal(&property.kind, data).map(drop).map_err(|fault| fault.to_string()),
            Reader::Parameter(port) => port.literal(data).map(drop),
        }
    }
}

fn same(known: &str, given: &str) -> bool {
    known.to_lowercase() == given.to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Catalogue, LibraryLimits};

    #[test]
    fn each_step_is_checked_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let soft = r#"{"inports":{"input":{"process":"a","port":"input"},"amount":{"process":"a","port":"std-dev-x"}},
            "outports":{"output":{"process":"a","port":"output"}},"processes":{"a":{"component":"gegl/gaussian-blur"}}}"#;
        std::fs::write(folder.path().join("soft.json"), soft).expect("written");
        std::fs::write(folder.path().join("broken.json"), r#"{"processes":{"a":{"component":"no/such"}}}"#)
            .expect("written");
        let limits = LibraryLimits { max_nodes: 100, max_bytes: 100_000 };
        let library = Library::load(folder.path(), Catalogue::native().into(), &limits).expect("read");
        for (name, said) in [
            ("gegl/gausian-blur", "unknown component 'gegl/gausian-blur'; did you mean 'gegl/gaussian-blur'?"),
            ("graph/broken", "the graph 'broken' has faults of its own"),
            ("", "has no component"),
        ] {
            assert_eq!(library.check_component(name), Err(said.into()));
        }
        for name in ["gegl/gaussian-blur", "graph/soft", "soft"] {
            assert_eq!(library.check_component(name), Ok(()));
        }
        let (number, text, list) = (json!(3), json!("wide"), json!([1]));
        let blur = "gegl/gaussian-blur";
        for (component, port, entering) in [
            (blur, "input", Entering::Picture),
            (blur, "STD-DEV-X", Entering::Value(&number)),
            (blur, "std-dev-x", Entering::Anything),
            ("graph/soft", "input", Entering::Picture),
            ("graph/soft", "amount", Entering::Value(&number)),
            ("graph/soft", "width", Entering::Value(&number)),
            ("no/such", "x", Entering::Picture),
        ] {
            assert_eq!(library.check_inport(component, port, entering), Ok(()), "{component} {port}");
        }
        for (component, port, entering, said) in [
            (blur, "std-dev", Entering::Anything, "gegl/gaussian-blur has no inport 'std-dev'; did you mean"),
            (blur, "std-dev-x", Entering::Picture, "port 'std-dev-x' takes a value"),
            (blur, "std-dev-x", Entering::Value(&text), "port 'std-dev-x': "),
            (blur, "std-dev-x", Entering::Value(&list), "port 'std-dev-x': "),
            (blur, "input", Entering::Value(&number), "port 'input' takes a picture"),
            ("graph/soft", "radius", Entering::Anything, "graph/soft has no inport 'radius'"),
            ("graph/soft", "amount", Entering::Value(&text), "port 'amount': "),
        ] {
            let fault = library.check_inport(component, port, entering).expect_err("is wrong");
            assert!(fault.starts_with(said), "{fault}");
        }
        assert_eq!(library.check_outport(blur, "OUTPUT"), Ok(()));
        assert!(library.check_outport(blur, "out").expect_err("is wrong").contains("there are: output"));
        assert!(library.check_outport("graph/soft", "aux").is_err());
    }
}
