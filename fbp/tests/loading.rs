//! Our reader of JSON graphs against npm fbp-graph 0.7.0, on the files of `corpus-json/` (written by hand, one form a file)
//! and on generated ones: what fbp-graph loads, we read, as the same graph.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use imgflo_fbp::Graph;
use serde_json::{Map, Value, json};

/// Files that fbp-graph loads and we read otherwise, on purpose, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("array-at-the-top", "fbp-graph makes an empty graph of any array; it is more likely another file"),
    ("full-array-for-processes", "fbp-graph names the processes 0, 1 and so on, and nothing leads to those names"),
    ("index-below-zero", "an index counts from 0"),
    ("index-fraction", "an index is a whole number"),
    ("index-text", "fbp-graph loses an index that is a text; the network protocol sends such"),
    ("text-for-metadata", "fbp-graph makes a key of each letter"),
    ("text-for-properties", "fbp-graph makes a key of each letter"),
];

/// What fbp-graph made of texts: the graph written again, or an error.
fn loaded(texts: &[String]) -> Vec<Result<Value, String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    assert!(
        folder.join("node_modules/fbp-graph/package.json").is_file(),
        "fbp-graph is not installed: run the tests with scripts/test, which installs it, or run `npm ci` in fbp/tests/npm once"
    );
    let mut node = Command::new("node")
        .arg("loading.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node must be installed: scripts/test says how");
    // The script reads all of its input before it writes, so this cannot block for good.
    node.stdin.take().unwrap().write_all(json!(texts).to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed: its words stand above");
    let outcomes: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcomes.len(), texts.len());
    let outcome = |mut outcome: Value| match outcome.get("graph") {
        Some(_) => Ok(outcome["graph"].take()),
        None => Err(outcome["error"].to_string()),
    };
    outcomes.into_iter().map(outcome).collect()
}

/// Our graph as fbp-graph holds it: without what leads nowhere, and without edges that it takes for the same.
fn as_held(mut graph: Graph) -> Value {
    use imgflo_fbp::Origin;
    let known = graph.processes.clone();
    graph.inports.retain(|_, export| known.contains_key(&export.process));
    graph.outports.retain(|_, export| known.contains_key(&export.process));
    let mut edges: Vec<(imgflo_fbp::End, imgflo_fbp::End)> = Vec::new();
    graph.connections.retain(|connection| {
        let tgt = &connection.tgt;
        let Origin::Process(src) = &connection.src else { return known.contains_key(&tgt.process) };
        let indexed = src.index.is_some() || tgt.index.is_some();
        let same = |(from, to): &(imgflo_fbp::End, imgflo_fbp::End)| {
            let ends = (&from.process, &from.port, &to.process, &to.port);
            ends == (&src.process, &src.port, &tgt.process, &tgt.port)
                && (!indexed || (from.index, to.index) == (src.index, tgt.index))
        };
        let stays = known.contains_key(&src.process) && known.contains_key(&tgt.process) && !edges.iter().any(same);
        edges.extend(stays.then(|| (src.clone(), tgt.clone())));
        stays
    });
    plain(graph.to_json())
}

/// Without what is empty, and numbers as doubles: the writers differ in that.
fn plain(mut graph: Value) -> Value {
    let doubles = |value: &mut Value| *value = as_doubles(value.take());
    doubles(&mut graph);
    let lean = |value: &mut Value| {
        if let Some(map) = value.as_object_mut() {
            map.retain(|_, value| {
                !matches!(value, Value::Null) && *value != json!({}) && *value != json!("") && *value != json!([])
            });
        }
    };
    for key in ["inports", "outports", "processes"] {
        graph[key].as_object_mut().into_iter().flatten().for_each(|(_, value)| lean(value));
    }
    graph["groups"].as_array_mut().into_iter().flatten().for_each(lean);
    for connection in graph["connections"].as_array_mut().into_iter().flatten() {
        let data = connection.get("data").cloned();
        lean(connection);
        connection.as_object_mut().into_iter().for_each(|map| {
            map.extend(data.clone().map(|data| ("data".to_owned(), data)));
        });
        for end in ["src", "tgt"] {
            if connection.get(end).is_some() {
                lean(&mut connection[end]);
            }
        }
    }
    // It gives a graph without a name an empty one.
    if graph["properties"]["name"] == json!("") {
        graph["properties"].as_object_mut().into_iter().for_each(|properties| drop(properties.shift_remove("name")));
    }
    graph["caseSensitive"] = json!(graph["caseSensitive"] == json!(true) || graph["caseSensitive"] == json!(1.0));
    graph
}

fn as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.into_iter().map(as_doubles).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, as_doubles(value))).collect(),
        other => other,
    }
}

/// How we differ; `None` where fbp-graph refuses the text, or reads the same graph.
fn difference(text: &str, original: &Result<Value, String>) -> Option<String> {
    let Ok(original) = original else { return None };
    let original = plain(original.clone());
    match Graph::from_json_str(text) {
        Ok(graph) => {
            let ours = as_held(graph);
            (ours != original).then(|| format!("ours: {ours}\nfbp-graph: {original}"))
        }
        Err(error) => Some(format!("ours: {error}\nfbp-graph: {original}")),
    }
}

#[test]
fn the_corpus_is_read_as_fbp_graph_loads_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus-json");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 50, "only {} files in tests/corpus-json", files.len());
    for (name, _) in OTHERWISE {
        assert!(files.iter().any(|(file, _)| file == name), "{name} is listed as different and is no file");
    }
    let texts: Vec<String> = files.iter().map(|(_, text)| text.clone()).collect();
    let mut wrong = Vec::new();
    let originals = loaded(&texts);
    for ((name, text), original) in files.iter().zip(&originals) {
        match (difference(text, original), OTHERWISE.iter().any(|(listed, _)| listed == name)) {
            (Some(difference), false) => wrong.push(format!("{name}: {difference}")),
            (None, true) => wrong.push(format!("{name} is listed as different and is not")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let refused = originals.iter().filter(|original| original.is_err()).count();
    assert!((1..10).contains(&refused), "fbp-graph refuses {refused}: the corpus is one-sided");
}

/// A small generator of equal numbers everywhere (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn of(&mut self, choices: &[&str]) -> String {
        choices[self.below(choices.len())].to_owned()
    }

    /// One of the values that hold nothing.
    fn nothing(&mut self) -> Value {
        [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})][self.below(6)].clone()
    }

    /// Puts a key in, mostly; else leaves it away, or gives it a value that holds nothing.
    fn put(&mut self, map: &mut Map<String, Value>, key: &str, value: Value, may_be_nothing: bool) {
        match self.below(8) {
            0 => {}
            1 if may_be_nothing => drop(map.insert(key.into(), self.nothing())),
            _ => drop(map.insert(key.into(), value)),
        }
    }

    fn metadata(&mut self, map: &mut Map<String, Value>) {
        let x = self.below(900);
        self.put(map, "metadata", json!({"x": x, "label": "l"}), true);
    }

    fn end(&mut self, index: bool) -> Value {
        let mut end = Map::new();
        let (process, port) = (self.of(&["a", "b", "c", "gone"]), self.of(&["in", "OUT", "std-dev-x"]));
        self.put(&mut end, "process", process.into(), false);
        self.put(&mut end, "port", port.into(), false);
        if index && self.below(3) == 0 {
            let value = [json!(0), json!(7), json!(null)][self.below(3)].clone();
            end.insert("index".into(), value);
        }
        end.into()
    }

    fn connection(&mut self) -> Value {
        let mut map = Map::new();
        if self.below(3) > 0 {
            map.insert("src".into(), self.end(true));
        }
        if self.below(3) == 0 {
            let data = [json!(null), json!(0), json!("x"), json!({"k": [1]})][self.below(4)].clone();
            map.insert("data".into(), data);
        }
        map.insert("tgt".into(), self.end(true));
        self.metadata(&mut map);
        map.into()
    }

    fn exports(&mut self) -> Value {
        let mut exports = Map::new();
        for public in ["i", "Input", "input"] {
            match self.below(5) {
                0 => {}
                1 => drop(exports.insert(public.into(), [json!(null), json!(false), json!(0)][self.below(3)].clone())),
                _ => {
                    let mut export = self.end(false);
                    self.metadata(export.as_object_mut().unwrap());
                    exports.insert(public.into(), export);
                }
            }
        }
        exports.into()
    }

    fn graph(&mut self) -> String {
        let mut processes = Map::new();
        for name in ["a", "b", "c"] {
            let mut process = Map::new();
            self.put(&mut process, "component", "A/b".into(), false);
            self.metadata(&mut process);
            self.put(&mut processes, name, process.into(), false);
        }
        let mut graph = Map::new();
        let sensitive = self.below(2) == 0;
        self.put(&mut graph, "caseSensitive", sensitive.into(), false);
        self.put(&mut graph, "properties", json!({"name": "n", "environment": {"type": "imgflo"}}), true);
        let (inports, outports) = (self.exports(), self.exports());
        self.put(&mut graph, "inports", inports, true);
        self.put(&mut graph, "outports", outports, true);
        self.put(&mut graph, "processes", processes.into(), true);
        let connections = (0..self.below(6)).map(|_| self.connection()).collect::<Vec<_>>();
        self.put(&mut graph, "connections", connections.into(), true);
        self.put(&mut graph, "groups", json!([{"name": "g", "nodes": ["a"]}]), true);
        Value::from(graph).to_string()
    }
}

#[test]
fn generated_graphs_are_read_as_fbp_graph_loads_them() {
    let mut chance = Chance(3);
    let texts: Vec<String> = (0..6000).map(|_| chance.graph()).collect();
    let (mut read, mut connected) = (0, 0);
    for (text, original) in texts.iter().zip(loaded(&texts)) {
        if let Some(difference) = difference(text, &original) {
            panic!("{text}\n{difference}");
        }
        if let Ok(graph) = &original {
            read += 1;
            connected += usize::from(graph["connections"].as_array().is_some_and(|list| list.len() > 1));
        }
    }
    assert!(read > 4000 && connected > 500, "{read} read, {connected} connected");
}
