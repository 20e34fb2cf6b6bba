//! The JSON form of a graph.

use std::fmt;
use std::sync::LazyLock;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::MAX_DEPTH;
use crate::error::Error;
use crate::graph::{Connection, End, Export, Graph, Group, Origin, Process};
use crate::number;
use crate::validate::Key;

impl Graph {
    /// Reads a graph from a JSON text.
    ///
    /// # Errors
    ///
    /// [`Error::NotJson`] with line and column, or as [`Graph::from_json`].
    pub fn from_json_str(text: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = error.to_string();
            let place = format!(" at line {line} column {column}");
            Error::NotJson { line, column, message: message.strip_suffix(&place).unwrap_or(&message).to_owned() }
        })?;
        Self::from_json(&value)
    }

    /// Reads a graph from JSON.
    ///
    /// Takes the forms that npm fbp-graph takes. Every key of the graph may be missing; unknown keys
    /// are passed over; `null`, `false`, `0` and `""` are as good as missing, and so is an empty array
    /// in place of an object, as writers without objects of their own put it, or the reverse. A
    /// connection with the key `data` is an IIP whatever its value is, and whatever `src` says; one
    /// with neither is passed over. An end without process or port is read with an empty name,
    /// which [`Graph::validate`] tells of. Port names are folded to lower case unless
    /// `caseSensitive` is set, and of two exported ports that thereby get one name the later wins.
    /// Numbers are as in JavaScript: `10.0` is `10`.
    ///
    /// Whether the graph is whole is another question: [`Graph::validate`].
    ///
    /// # Errors
    ///
    /// [`Error::Json`] with the path to the first thing that is not as it must be.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        // The graph, its connections and the connection stand around a literal.
        if !number::depth_within(value, MAX_DEPTH + 3) {
            return Err(Path::Root.wrong(format!("is nested too deeply: literals at most {MAX_DEPTH} levels")));
        }
        Reader { graph: Self::default() }.read(value)
    }

    /// The JSON form, with the keys in the order in which fbp-graph writes them: `properties` begin
    /// with the name; edges come before IIPs, each kind in its order; empty metadata is left out
    /// except in processes.
    pub fn to_json(&self) -> Value {
        let mut properties = Map::new();
        properties.extend(self.properties.get("name").map(|name| ("name".to_owned(), name.clone())));
        for (key, value) in &self.properties {
            if key != "name" {
                properties.insert(key.clone(), value.clone());
            }
        }
        let processes: Map<String, Value> = self
            .processes
            .iter()
            .map(|(name, process)| {
                (name.clone(), json!({"component": process.component, "metadata": process.metadata}))
            })
            .collect();
        let (edges, iips): (Vec<_>, Vec<_>) =
            self.connections.iter().partition(|connection| matches!(connection.src, Origin::Process(_)));
        let connections: Vec<Value> = edges.into_iter().chain(iips).map(connection_json).collect();
        json!({
            "caseSensitive": self.case_sensitive,
            "properties": properties,
            "inports": exports_json(&self.inports),
            "outports": exports_json(&self.outports),
            "groups": self.groups.iter().map(group_json).collect::<Vec<_>>(),
            "processes": processes,
            "connections": connections,
        })
    }
}

fn with_metadata(mut object: Map<String, Value>, metadata: &Map<String, Value>) -> Value {
    if !metadata.is_empty() {
        object.insert("metadata".to_owned(), Value::Object(metadata.clone()));
    }
    Value::Object(object)
}

fn exports_json(exports: &IndexMap<String, Export>) -> Map<String, Value> {
    let export_json = |export: &Export| {
        let mut object = Map::new();
        for (key, value) in [("process", &export.process), ("port", &export.port)] {
            if !value.is_empty() {
                object.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        with_metadata(object, &export.metadata)
    };
    exports.iter().map(|(public, export)| (public.clone(), export_json(export))).collect()
}

fn group_json(group: &Group) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), Value::from(group.name.as_str()));
    object.insert("nodes".to_owned(), Value::from(group.nodes.clone()));
    with_metadata(object, &group.metadata)
}

fn end_json(end: &End) -> Value {
    let mut object = Map::new();
    object.insert("process".to_owned(), Value::from(end.process.as_str()));
    object.insert("port".to_owned(), Value::from(end.port.as_str()));
    object.extend(end.index.map(|index| ("index".to_owned(), Value::from(index))));
    Value::Object(object)
}

fn connection_json(connection: &Connection) -> Value {
    let mut object = Map::new();
    match &connection.src {
        Origin::Process(end) => object.insert("src".to_owned(), end_json(end)),
        Origin::Data(data) => object.insert("data".to_owned(), data.clone()),
    };
    object.insert("tgt".to_owned(), end_json(&connection.tgt));
    with_metadata(object, &connection.metadata)
}

/// Where in a JSON value something stands, as a chain to the root that costs nothing until shown.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("graph"),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}{}", Key(key)),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    fn wrong(&self, message: impl Into<String>) -> Error {
        Error::Json { path: self.to_string(), message: message.into() }
    }

    fn not_a(&self, wanted: &str, value: &Value) -> Error {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.wrong(format!("must be {wanted}, is {found}"))
    }
}

type Object = Map<String, Value>;

/// An object; an empty array is an empty one.
fn object<'v>(value: &'v Value, path: &Path<'_>) -> Result<&'v Object, Error> {
    static EMPTY: LazyLock<Object> = LazyLock::new(Object::new);
    match value {
        Value::Object(members) => Ok(members),
        Value::Array(items) if items.is_empty() => Ok(&EMPTY),
        _ => Err(path.not_a("an object", value)),
    }
}

/// True for what JavaScript takes for nothing, and for an empty array or object.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// A key's value, unless it is missing or `null`.
fn given<'v>(map: &'v Object, key: &str) -> Option<&'v Value> {
    map.get(key).filter(|value| !value.is_null())
}

/// A key's value, unless it is missing or nothing.
fn held<'v>(map: &'v Object, key: &str) -> Option<&'v Value> {
    map.get(key).filter(|value| !is_nothing(value))
}

fn optional_text(map: &Object, key: &str, path: &Path<'_>) -> Result<String, Error> {
    given(map, key).map_or(Ok(String::new()), |value| {
        value.as_str().map(str::to_owned).ok_or_else(|| Path::Key(path, key).not_a("a string", value))
    })
}

/// An object's members, in normal form.
fn free_form(map: &Object, key: &str, path: &Path<'_>) -> Result<Object, Error> {
    let Some(value) = held(map, key) else { return Ok(Object::new()) };
    let members = object(value, &Path::Key(path, key))?;
    Ok(members.iter().map(|(key, value)| (key.clone(), number::normalised(value))).collect())
}

fn members<'v>(map: &'v Object, key: &str) -> Result<impl Iterator<Item = (&'v String, &'v Value)>, Error> {
    let members = held(map, key).map(|value| object(value, &Path::Key(&Path::Root, key))).transpose()?;
    Ok(members.into_iter().flatten())
}

fn items<'v>(map: &'v Object, key: &str, path: &Path<'_>) -> Result<&'v [Value], Error> {
    match held(map, key) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(Path::Key(path, key).not_a("an array", other)),
    }
}

struct Reader {
    graph: Graph,
}

impl Reader {
    fn read(mut self, value: &Value) -> Result<Graph, Error> {
        let root = value.as_object().ok_or_else(|| Path::Root.not_a("an object", value))?;
        let at = |key| Path::Key(&Path::Root, key);
        if let Some(flag) = held(root, "caseSensitive") {
            let wrong = || at("caseSensitive").not_a("true or false", flag);
            self.graph.case_sensitive = flag.as_bool().or((flag == 1).then_some(true)).ok_or_else(wrong)?;
        }
        self.graph.properties = free_form(root, "properties", &Path::Root)?;
        for (index, value) in items(root, "groups", &Path::Root)?.iter().enumerate() {
            self.graph.groups.push(group(value, &Path::Index(&at("groups"), index))?);
        }
        for (name, value) in members(root, "processes")? {
            let parent = at("processes");
            let path = Path::Key(&parent, name);
            let map = object(value, &path)?;
            let component = optional_text(map, "component", &path)?;
            let metadata = free_form(map, "metadata", &path)?;
            self.graph.processes.insert(name.clone(), Process { component, metadata });
        }
        self.graph.inports = self.exports(root, "inports")?;
        self.graph.outports = self.exports(root, "outports")?;
        for (index, value) in items(root, "connections", &Path::Root)?.iter().enumerate() {
            let connection = self.connection(value, &Path::Index(&at("connections"), index))?;
            self.graph.connections.extend(connection);
        }
        Ok(self.graph)
    }

    fn exports(&self, root: &Object, key: &str) -> Result<IndexMap<String, Export>, Error> {
        let parent = Path::Key(&Path::Root, key);
        let mut exports = IndexMap::new();
        for (public, value) in members(root, key)?.filter(|(_, value)| value.is_object() || !is_nothing(value)) {
            let path = Path::Key(&parent, public);
            let map = object(value, &path)?;
            let process = optional_text(map, "process", &path)?;
            let port = self.graph.port_name(&optional_text(map, "port", &path)?).into_owned();
            let metadata = free_form(map, "metadata", &path)?;
            let public = self.graph.port_name(public).into_owned();
            // One that leads nowhere does not take the place of one that leads somewhere.
            let leads = |export: &Export| self.graph.processes.contains_key(&export.process);
            if self.graph.processes.contains_key(&process) || !exports.get(&public).is_some_and(leads) {
                exports.insert(public, Export { process, port, metadata });
            }
        }
        Ok(exports)
    }

    /// A connection; none where it is neither an IIP nor an edge, such as an IIP of a writer that leaves out what is
    /// undefined.
    fn connection(&self, value: &Value, path: &Path<'_>) -> Result<Option<Connection>, Error> {
        let map = object(value, path)?;
        let src = given(map, "src").filter(|src| src.is_object() || !is_nothing(src));
        let src = match (map.get("data"), src) {
            (Some(data), _) => Origin::Data(number::normalised(data)),
            (None, Some(src)) => Origin::Process(self.end(src, &Path::Key(path, "src"))?),
            (None, None) => return Ok(None),
        };
        let tgt_path = Path::Key(path, "tgt");
        let tgt = given(map, "tgt").ok_or_else(|| tgt_path.wrong("is missing: must be an object"))?;
        let tgt = self.end(tgt, &tgt_path)?;
        Ok(Some(Connection { src, tgt, metadata: free_form(map, "metadata", path)? }))
    }

    fn end(&self, value: &Value, path: &Path<'_>) -> Result<End, Error> {
        let map = object(value, path)?;
        let process = optional_text(map, "process", path)?;
        let port = self.graph.port_name(&optional_text(map, "port", path)?).into_owned();
        let index = given(map, "index")
            .filter(|index| **index != "" && **index != false)
            .map(|index| {
                let whole = match index {
                    Value::Number(number) => {
                        number::normal(number).as_u64().and_then(|whole| u32::try_from(whole).ok())
                    }
                    // As the network protocol has it.
                    Value::String(digits) => digits.parse().ok(),
                    _ => None,
                };
                let limit = u32::MAX;
                whole.ok_or_else(|| {
                    Path::Key(path, "index").wrong(format!("must be a whole number from 0 to {limit}, is {index}"))
                })
            })
            .transpose()?;
        Ok(End { process, port, index })
    }
}

fn group(value: &Value, path: &Path<'_>) -> Result<Group, Error> {
    let map = object(value, path)?;
    let nodes_path = Path::Key(path, "nodes");
    let nodes = items(map, "nodes", path)?.iter().enumerate().map(|(index, node)| {
        node.as_str().map(str::to_owned).ok_or_else(|| Path::Index(&nodes_path, index).not_a("a string", node))
    });
    Ok(Group {
        name: optional_text(map, "name", path)?,
        nodes: nodes.collect::<Result<_, _>>()?,
        metadata: free_form(map, "metadata", path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(value: &Value) -> String {
        Graph::from_json(value).unwrap_err().to_string()
    }

    #[test]
    fn a_full_graph_comes_back_in_the_writers_order() {
        let text = r#"{"extra":1,"connections":[
            {"data":64.0,"tgt":{"process":"cut","port":"WIDTH"},"metadata":{"route":null}},
            {"src":{"process":"cut","port":"output","index":2},"tgt":{"process":"b/1","port":"input"},"metadata":{}}],
            "processes":{"cut":{"component":"gegl/crop","metadata":{"x":10.5,"y":-20.0}},"b/1":{"component":"gegl/nop"}},
            "groups":[{"name":"g","nodes":["cut"],"metadata":{}}],
            "inports":{"Input":{"process":"cut","port":"input"},"host":{}},
            "properties":{"environment":{"type":"imgflo"},"name":"tiny"}}"#;
        let graph = Graph::from_json_str(text).unwrap();
        let expected = concat!(
            r#"{"caseSensitive":false,"properties":{"name":"tiny","environment":{"type":"imgflo"}},"#,
            r#""inports":{"input":{"process":"cut","port":"input"},"host":{}},"outports":{},"#,
            r#""groups":[{"name":"g","nodes":["cut"]}],"#,
            r#""processes":{"cut":{"component":"gegl/crop","metadata":{"x":10.5,"y":-20}},"#,
            r#""b/1":{"component":"gegl/nop","metadata":{}}},"#,
            r#""connections":[{"src":{"process":"cut","port":"output","index":2},"tgt":{"process":"b/1","port":"input"}},"#,
            r#"{"data":64,"tgt":{"process":"cut","port":"width"},"metadata":{"route":null}}]}"#
        );
        assert_eq!(graph.to_json().to_string(), expected);
        assert_eq!(Graph::from_json_str(expected).unwrap().to_json().to_string(), expected);
    }

    #[test]
    fn nothing_is_required_and_null_is_nothing() {
        let empty = Graph::default();
        assert_eq!(Graph::from_json(&json!({})).unwrap(), empty);
        let nulls = json!({"caseSensitive": null, "properties": null, "inports": null, "outports": null,
            "groups": null, "processes": null, "connections": null});
        assert_eq!(Graph::from_json(&nulls).unwrap(), empty);
        let expected = json!({"caseSensitive": false, "properties": {}, "inports": {}, "outports": {}, "groups": [],
            "processes": {}, "connections": []});
        assert_eq!(empty.to_json(), expected);
    }

    #[test]
    fn what_holds_nothing_is_nothing_whatever_its_form() {
        for nothing in [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})] {
            let graph = json!({"caseSensitive": nothing, "properties": nothing, "inports": nothing, "outports": nothing,
                "groups": nothing, "processes": nothing, "connections": nothing});
            assert_eq!(Graph::from_json(&graph).unwrap(), Graph::default(), "{nothing}");
            let graph = json!({"processes": {"a": {"component": "A", "metadata": nothing}},
                "inports": {"i": {"process": "a", "port": "p", "metadata": nothing}},
                "groups": [{"name": "g", "nodes": ["a"], "metadata": nothing}],
                "connections": [{"data": 1, "tgt": {"process": "a", "port": "p"}, "metadata": nothing}]});
            let plain = json!({"processes": {"a": {"component": "A"}}, "inports": {"i": {"process": "a", "port": "p"}},
                "groups": [{"name": "g", "nodes": ["a"]}],
                "connections": [{"data": 1, "tgt": {"process": "a", "port": "p"}}]});
            assert_eq!(Graph::from_json(&graph).unwrap(), Graph::from_json(&plain).unwrap(), "{nothing}");
        }
        let graph = json!({"inports": {"a": null, "b": false, "c": {}}, "connections": [{"tgt": {"process": "a"}}]});
        let graph = Graph::from_json(&graph).unwrap();
        let inports = graph.inports.keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!((inports, graph.connections.len()), (vec!["c"], 0));
    }

    #[test]
    fn what_lacks_a_name_is_read_and_is_a_fault() {
        let tgt = json!({"process": "a", "port": "b"});
        for (graph, faults) in [
            (json!({"inports": {"i": {"process": "a"}}}), 1),
            (json!({"outports": {"o": {"port": "a"}}}), 1),
            (json!({"connections": [{"data": 1, "tgt": {"port": "b"}}]}), 1),
            (json!({"connections": [{"src": {"process": "a"}, "tgt": tgt}]}), 1),
            (json!({"connections": [{"src": {}, "tgt": {}}]}), 4),
        ] {
            let mut graph = graph;
            graph["processes"] = json!({"a": {"component": "A"}});
            assert_eq!(Graph::from_json(&graph).unwrap().validate().len(), faults, "{graph}");
        }
    }

    #[test]
    fn data_makes_an_iip_whatever_it_is() {
        for data in [json!(null), json!(0), json!(""), json!(false), json!([]), json!({"a": 1})] {
            let json = json!({"connections": [{"data": data, "src": null, "tgt": {"process": "a", "port": "b", "index": null}}]});
            let graph = Graph::from_json(&json).unwrap();
            assert_eq!(graph.connections[0].src, Origin::Data(data.clone()));
            assert_eq!(graph.connections[0].tgt.index, None);
            let both = json!({"connections": [{"data": data, "src": {"process": "c", "port": "d"},
                "tgt": {"process": "a", "port": "b", "index": "3"}}]});
            let graph = Graph::from_json(&both).unwrap();
            assert_eq!((&graph.connections[0].src, graph.connections[0].tgt.index), (&Origin::Data(data), Some(3)));
        }
    }

    #[test]
    fn the_case_of_ports_is_kept_on_request() {
        let json = |sensitive: bool| {
            json!({"caseSensitive": sensitive,
            "inports": {"IN": {"process": "A", "port": "P"}, "in": {"process": "A", "port": "Q"}},
            "connections": [{"src": {"process": "A", "port": "O"}, "tgt": {"process": "B", "port": "I"}}]})
        };
        let graph = Graph::from_json(&json(true)).unwrap();
        assert_eq!((graph.inports.len(), &*graph.connections[0].tgt.port), (2, "I"));
        let graph = Graph::from_json(&json(false)).unwrap();
        assert_eq!((graph.inports.len(), &*graph.inports["in"].port), (1, "q"));
        assert_eq!((&*graph.connections[0].tgt.port, &*graph.connections[0].tgt.process), ("i", "B"));
    }

    #[test]
    fn errors_name_the_path() {
        let tgt = json!({"process": "a", "port": "b"});
        for (value, expected) in [
            (json!([]), "graph: must be an object, is an array"),
            (json!({"caseSensitive": 2}), "caseSensitive: must be true or false, is a number"),
            (json!({"properties": "x"}), "properties: must be an object, is a string"),
            (json!({"processes": {"a": {"component": 5}}}), "processes.a.component: must be a string, is a number"),
            (json!({"processes": {"a b": true}}), "processes[\"a b\"]: must be an object, is a boolean"),
            (json!({"processes": {"a": {"metadata": 1}}}), "processes.a.metadata: must be an object, is a number"),
            (json!({"processes": [{"component": "A"}]}), "processes: must be an object, is an array"),
            (json!({"connections": {"a": 1}}), "connections: must be an array, is an object"),
            (json!({"connections": [{"data": 1}]}), "connections[0].tgt: is missing: must be an object"),
            (
                json!({"connections": [{"data": 1, "tgt": tgt}, {"data": 1, "tgt": {"process": 5, "port": "b"}}]}),
                "connections[1].tgt.process: must be a string, is a number",
            ),
            (
                json!({"connections": [{"src": {"process": "a", "port": []}, "tgt": tgt}]}),
                "connections[0].src.port: must be a string, is an array",
            ),
            (
                json!({"connections": [{"data": 1, "tgt": {"process": "a", "port": "b", "index": -1}}]}),
                "connections[0].tgt.index: must be a whole number from 0 to 4294967295, is -1",
            ),
            (
                json!({"groups": [{"name": "g", "nodes": ["a", 1]}]}),
                "groups[0].nodes[1]: must be a string, is a number",
            ),
        ] {
            assert_eq!(fault(&value), expected);
        }
    }

    #[test]
    fn text_that_is_not_json_is_placed() {
        let error = Graph::from_json_str("{\n  \"a\": }").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 8: not JSON: expected value");
        assert_eq!((error.line(), error.column()), (Some(2), Some(8)));
    }

    #[test]
    fn deep_nesting_is_refused_not_walked() {
        let graph = |levels: usize| {
            let data = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            Graph::from_json_str(&format!(
                r#"{{"connections":[{{"data":{data},"tgt":{{"process":"a","port":"b"}}}}]}}"#
            ))
        };
        assert!(graph(MAX_DEPTH).is_ok());
        assert!(graph(MAX_DEPTH + 1).unwrap_err().to_string().contains("at most 100 levels"));
        assert!(graph(200_000).unwrap_err().to_string().contains("recursion limit"));
    }
}
