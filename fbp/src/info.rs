//! Graph information: what the exported ports of a graph accept, taken from the components they
//! lead to.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::graph::{Export, Graph, Origin};
use crate::number;

/// A component, as a graph sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Component {
    /// `library/name`.
    pub name: String,
    /// A sentence or a few; empty if there is none.
    pub description: String,
    /// Name of a Font Awesome icon; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// Inports, in order.
    pub inports: Vec<Port>,
    /// Outports, in order.
    pub outports: Vec<Port>,
}

/// A port of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Port {
    /// Name.
    pub id: String,
    /// `buffer`, `int`, `number`, `boolean`, `string`, `color`, `enum`, `uri`, or another.
    #[serde(rename = "type")]
    pub type_: String,
    /// A sentence or a label; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The value where nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// All values of an enum, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    /// Smallest value of a number; `-f64::MAX` is unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value of a number; `f64::MAX` is unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
}

impl Port {
    /// The keys that graph information has of a port, in the original's order.
    fn info(&self) -> Map<String, Value> {
        let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        // JSON holds no infinity; the original gives the largest double for it.
        let bound = |bound: f64| number::from_f64(bound.clamp(-f64::MAX, f64::MAX)).map(Value::Number);
        [
            ("type", text(&self.type_)),
            ("description", text(&self.description)),
            ("default", self.default.clone()),
            ("values", self.values.clone().map(Value::Array)),
            ("minimum", self.minimum.and_then(bound)),
            ("maximum", self.maximum.and_then(bound)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }
}

/// Fills in the metadata of the exported ports: `default`, `type`, `description`, `values`,
/// `minimum` and `maximum`, as far as they are missing. What is there, written by hand, stays.
///
/// The default of an inport is the first IIP on the inner port, else the component's own. Ports
/// that lead to a component which `lookup` does not know get that default only. Works for any
/// runtime's graphs; which graphs to treat is the caller's choice (the original's tool treats
/// those whose runtime is `imgflo`).
pub fn enrich(graph: &mut Graph, lookup: impl Fn(&str) -> Option<Component>) {
    let mut components: HashMap<String, Option<Component>> = HashMap::new();
    let exports = graph.inports.values().chain(graph.outports.values());
    for export in exports {
        if let Some(process) = graph.processes.get(&export.process)
            && !components.contains_key(&process.component)
        {
            components.insert(process.component.clone(), lookup(&process.component));
        }
    }
    let inner = |export: &Export, ports: fn(&Component) -> &Vec<Port>| {
        let process = graph.processes.get(&export.process)?;
        let component = components.get(&process.component)?.as_ref()?;
        let name = graph.port_name(&export.port);
        ports(component).iter().find(|port| graph.port_name(&port.id) == name).map(Port::info)
    };
    let mut literals: HashMap<(&str, Cow<'_, str>), &Value> = HashMap::new();
    for connection in &graph.connections {
        if let Origin::Data(data) = &connection.src {
            let tgt = &connection.tgt;
            literals.entry((&tgt.process, graph.port_name(&tgt.port))).or_insert(data);
        }
    }
    let literal = |export: &Export| literals.get(&(&*export.process, graph.port_name(&export.port))).copied().cloned();

    let inports: Vec<Map<String, Value>> = graph
        .inports
        .values()
        .map(|export| {
            let mut info = Map::new();
            info.extend(literal(export).map(|data| ("default".to_owned(), data)));
            add_missing(&mut info, inner(export, |component| &component.inports).unwrap_or_default());
            info
        })
        .collect();
    let outports: Vec<Map<String, Value>> = graph
        .outports
        .values()
        .map(|export| inner(export, |component| &component.outports).unwrap_or_default())
        .collect();

    for (export, info) in graph.inports.values_mut().zip(inports) {
        add_missing(&mut export.metadata, info);
    }
    for (export, info) in graph.outports.values_mut().zip(outports) {
        add_missing(&mut export.metadata, info);
    }
}

fn add_missing(metadata: &mut Map<String, Value>, info: Map<String, Value>) {
    for (key, value) in info {
        metadata.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lookup(name: &str) -> Option<Component> {
        (name == "gegl/blur").then(|| Component {
            name: name.into(),
            inports: vec![
                Port {
                    id: "std-dev-x".into(),
                    type_: "number".into(),
                    description: "Blur".into(),
                    default: Some(json!(1.5)),
                    minimum: Some(0.0),
                    maximum: Some(f64::INFINITY),
                    ..Port::default()
                },
                Port {
                    id: "abyss-policy".into(),
                    type_: "enum".into(),
                    default: Some(json!("clamp")),
                    values: Some(vec![json!("none"), json!("clamp"), json!("black"), json!("white")]),
                    ..Port::default()
                },
            ],
            outports: vec![Port {
                id: "output".into(),
                type_: "buffer".into(),
                description: "Image buffer".into(),
                ..Port::default()
            }],
            ..Component::default()
        })
    }

    fn enriched(inports: &Value, connections: &Value) -> Value {
        let json = json!({
            "inports": inports,
            "outports": {"output": {"process": "blur", "port": "output"}},
            "processes": {"blur": {"component": "gegl/blur"}, "other": {"component": "unknown"}},
            "connections": connections
        });
        let mut graph = Graph::from_json(&json).unwrap();
        enrich(&mut graph, lookup);
        graph.to_json()
    }

    #[test]
    fn ports_get_what_their_component_says() {
        let inports =
            json!({"x": {"process": "blur", "port": "STD-DEV-X"}, "edge": {"process": "blur", "port": "abyss-policy"}});
        let graph = enriched(&inports, &json!([]));
        let expected =
            r#"{"type":"number","description":"Blur","default":1.5,"minimum":0,"maximum":1.7976931348623157e+308}"#;
        assert_eq!(graph["inports"]["x"]["metadata"].to_string(), expected);
        let expected = r#"{"type":"enum","default":"clamp","values":["none","clamp","black","white"]}"#;
        assert_eq!(graph["inports"]["edge"]["metadata"].to_string(), expected);
        let expected = r#"{"type":"buffer","description":"Image buffer"}"#;
        assert_eq!(graph["outports"]["output"]["metadata"].to_string(), expected);
    }

    #[test]
    fn the_first_literal_is_the_default() {
        let inports = json!({"x": {"process": "blur", "port": "std-dev-x"}});
        let iip = |data: &Value| json!({"data": data, "tgt": {"process": "blur", "port": "std-dev-x"}});
        let graph = enriched(&inports, &json!([iip(&json!(3.5)), iip(&json!(4))]));
        let expected =
            r#"{"default":3.5,"type":"number","description":"Blur","minimum":0,"maximum":1.7976931348623157e+308}"#;
        assert_eq!(graph["inports"]["x"]["metadata"].to_string(), expected);
        let graph = enriched(&inports, &json!([iip(&json!(null)), iip(&json!(4))]));
        assert_eq!(graph["inports"]["x"]["metadata"]["default"], json!(null));
    }

    #[test]
    fn what_is_written_by_hand_stays() {
        let metadata = json!({"x": 5, "description": "How soft", "default": 2, "maximum": 10});
        let inports = json!({"x": {"process": "blur", "port": "std-dev-x", "metadata": metadata}});
        let iips = json!([{"data": 9, "tgt": {"process": "blur", "port": "std-dev-x"}}]);
        let graph = enriched(&inports, &iips);
        let expected =
            json!({"x": 5, "description": "How soft", "default": 2, "maximum": 10, "type": "number", "minimum": 0});
        assert_eq!(graph["inports"]["x"]["metadata"], expected);
    }

    #[test]
    fn unknown_components_give_the_literal_only() {
        let inports = json!({
            "a": {"process": "other", "port": "n"}, "b": {"process": "gone", "port": "n"},
            "c": {"process": "blur", "port": "no-such"}, "host": {}
        });
        let iips = json!([{"data": 9, "tgt": {"process": "other", "port": "n"}}]);
        let graph = enriched(&inports, &iips);
        assert_eq!(graph["inports"]["a"]["metadata"], json!({"default": 9}));
        for port in ["b", "c", "host"] {
            assert_eq!(graph["inports"][port].get("metadata"), None, "{port}");
        }
    }
}
