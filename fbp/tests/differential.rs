//! Our reader and writer of `.fbp` against the original parser, npm `fbp` 1.8.0: graphs, positions
//! and words of errors, on the texts of `corpus/`, on generated ones, and on what we write.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use imgflo_fbp::{End, Error, Graph, Origin, ParseOptions, parse, to_fbp};
use serde_json::{Map, Value, json};

/// Texts that we read otherwise than the original, on purpose, and why.
const SUPERSET: &[(&str, &str)] = &[
    ("dashed-inport", "ports may have dashes, as those of GEGL do"),
    ("dashed-outport", "ports may have dashes, as those of GEGL do"),
    ("dashed-ports-in-a-chain", "ports may have dashes, as those of GEGL do"),
    ("old-runtime-comment", "`# !runtime` is an old spelling of `# @runtime`"),
];

/// Texts that even the strict reading takes otherwise than the original, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("inherited-names", "the original loses processes that are named like a member of every JavaScript object"),
    ("number-out-of-range", "the original makes Infinity of it, which no JSON can hold"),
    ("half-a-character", "the original keeps half of a surrogate pair, which is no text"),
    ("array-index-out-of-range", "we hold indexes up to 4294967295"),
    ("nested-deeply", "we hold literals up to 100 levels deep"),
];

/// What the original made of a text.
struct Original {
    checked: Value,
    unchecked: Value,
}

/// Runs the original over all texts at once.
fn originals(texts: &[(&str, bool)]) -> Vec<Original> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    assert!(
        folder.join("node_modules/fbp/package.json").is_file(),
        "the original parser is not installed: run the tests with scripts/test, which installs it, \
         or run `npm ci` in fbp/tests/npm once"
    );
    let input: Vec<Value> =
        texts.iter().map(|(text, case_sensitive)| json!({"text": text, "caseSensitive": case_sensitive})).collect();
    let mut node = Command::new("node")
        .arg("differential.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node must be installed: scripts/test says how");
    // The script reads all of its input before it writes, so this cannot block for good.
    node.stdin.take().unwrap().write_all(Value::from(input).to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed: its words stand above");
    let outcomes: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcomes.len(), texts.len());
    outcomes
        .into_iter()
        .map(|mut outcome| Original { checked: outcome["checked"].take(), unchecked: outcome["unchecked"].take() })
        .collect()
}

/// A graph as the original's parser gives it.
fn shape(graph: &Graph) -> Value {
    let end = |end: &End| {
        let mut object = json!({"process": end.process, "port": end.port});
        if let Some(index) = end.index {
            object["index"] = index.into();
        }
        object
    };
    let exports = |exports: &indexmap::IndexMap<String, imgflo_fbp::Export>| -> Map<String, Value> {
        exports.iter().map(|(name, e)| (name.clone(), json!({"process": e.process, "port": e.port}))).collect()
    };
    let mut processes = Map::new();
    for (name, process) in &graph.processes {
        let mut object = Map::new();
        if !process.component.is_empty() {
            object.insert("component".into(), process.component.clone().into());
        }
        if !process.metadata.is_empty() {
            object.insert("metadata".into(), process.metadata.clone().into());
        }
        processes.insert(name.clone(), object.into());
    }
    let connections: Vec<Value> = graph
        .connections
        .iter()
        .map(|connection| match &connection.src {
            Origin::Process(src) => json!({"src": end(src), "tgt": end(&connection.tgt)}),
            Origin::Data(data) => json!({"data": data, "tgt": end(&connection.tgt)}),
        })
        .collect();
    let mut shape = json!({
        "inports": exports(&graph.inports), "outports": exports(&graph.outports), "groups": [],
        "processes": processes, "connections": connections, "caseSensitive": graph.case_sensitive,
    });
    if !graph.properties.is_empty() {
        shape["properties"] = graph.properties.clone().into();
    }
    as_doubles(shape)
}

/// Numbers as JavaScript has them.
fn as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.into_iter().map(as_doubles).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, as_doubles(value))).collect(),
        other => other,
    }
}

fn names(graph: &Value) -> Vec<&String> {
    graph["processes"].as_object().unwrap().keys().collect()
}

/// How our outcome differs from the original's; `None` if it does not.
fn difference(ours: &Result<Graph, Error>, original: &Value, unchecked: &Value) -> Option<String> {
    // The original looks at the content of what it read before it notices that it did not read all;
    // we tell of the syntax first.
    let original = if unchecked["syntax"].is_object() { unchecked } else { original };
    let same = match ours {
        Ok(graph) => {
            original["graph"].is_object() && {
                let ours = shape(graph);
                let original = as_doubles(original["graph"].clone());
                ours == original && names(&ours) == names(&original)
            }
        }
        Err(error @ Error::Syntax { line, column, expected, found }) => {
            let syntax = &original["syntax"];
            syntax["line"] == *line
                && syntax["column"] == *column
                && syntax["expected"] == json!(expected)
                // Of a character beyond U+FFFF the original shows the first half.
                && (found.is_some_and(|c| c.len_utf16() == 2)
                    || syntax["found"] == json!(found) && syntax["message"] == error.message())
        }
        Err(Error::Content { fault, .. }) => {
            // The original stumbles over its own message for IIPs that are false, 0, "" or null.
            let stumbled = fault.message.starts_with("IIP containing")
                && original["error"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("Cannot read properties of undefined"));
            original["error"] == fault.message || stumbled
        }
        Err(_) => false,
    };
    (!same).then(|| match ours {
        Ok(graph) => format!("ours: {}\noriginal: {original}", shape(graph)),
        Err(error) => format!("ours: {error}\noriginal: {original}"),
    })
}

/// The first difference in strict reading, with and without a look at the content.
fn strict_difference(text: &str, case_sensitive: bool, original: &Original) -> Option<String> {
    let read = |validate| parse(text, &ParseOptions { case_sensitive, validate, extensions: false });
    difference(&read(false), &original.unchecked, &original.unchecked)
        .or_else(|| difference(&read(true), &original.checked, &original.unchecked))
}

fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "fbp"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_corpus_reads_as_in_the_original() {
    let files = corpus();
    assert!(files.len() >= 120, "only {} texts in tests/corpus", files.len());
    let listed = |list: &[(&str, &str)], name: &str| list.iter().any(|(listed, _)| *listed == name);
    for (name, reason) in SUPERSET.iter().chain(OTHERWISE) {
        assert!(files.iter().any(|(file, _)| file == name), "{name} is listed as different and is no file");
        assert!(!reason.is_empty(), "{name} is listed as different without a reason");
    }

    let texts: Vec<(&str, bool)> =
        files.iter().flat_map(|(_, text)| [(text.as_str(), false), (text.as_str(), true)]).collect();
    let originals = originals(&texts);
    let mut wrong = Vec::new();
    let (mut graphs, mut faults) = (0, 0);
    for ((name, text), pair) in files.iter().zip(originals.chunks(2)) {
        for (original, case_sensitive) in pair.iter().zip([false, true]) {
            match (strict_difference(text, case_sensitive, original), listed(OTHERWISE, name)) {
                (Some(difference), false) => wrong.push(format!("{name}, strict: {difference}")),
                (None, true) => wrong.push(format!("{name} is listed as different and is not")),
                _ => {}
            }
            let ours = parse(text, &ParseOptions { case_sensitive, ..ParseOptions::default() });
            let different = difference(&ours, &original.checked, &original.unchecked);
            match (different, listed(SUPERSET, name) || listed(OTHERWISE, name)) {
                (Some(difference), false) => wrong.push(format!("{name}: {difference}")),
                (None, true) => wrong.push(format!("{name} is listed as different and is not")),
                _ => {}
            }
        }
        match &pair[0].checked["graph"] {
            Value::Object(_) => graphs += 1,
            _ => faults += 1,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(graphs >= 50 && faults >= 50, "{graphs} graphs and {faults} faults: the corpus is one-sided");
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

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Any tokens in any order.
    fn soup(&mut self) -> String {
        const TOKENS: &[&str] = &[
            "a",
            "b",
            "a(A)",
            "b(B:x=1,main)",
            "(X/y-z)",
            "c()",
            "d-e",
            "IN",
            "OUT",
            "IN[0]",
            "p.q",
            " ",
            " ",
            " ",
            " ",
            "  ",
            " -> ",
            " -> ",
            " -> ",
            "->",
            "-",
            ">",
            "\n",
            "\n",
            "\r\n",
            "\u{2028}",
            ",",
            "'x'",
            "'it\\'s'",
            "'",
            "\\",
            "1",
            "-2.5e3",
            "0",
            "\"q\\u00e9\"",
            "\"",
            "[1, {\"a\": null}]",
            "true",
            "null",
            "\t",
            "# c",
            "# @k v\n",
            "# @runtime x\n",
            "INPORT=a.IN:P",
            "OUTPORT=a.OUT:Q",
            "DEFAULT_INPORT=Z",
            "DEFAULT_OUTPORT=W\n",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ":",
            ".",
            "=",
            "@",
            "é",
            "🎈",
            "_9",
            "9",
        ];
        (0..=self.below(14)).map(|_| self.of(TOKENS)).collect()
    }

    /// Statements that are right, mostly, with a slip here and there.
    fn statements(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(5) {
            match self.below(8) {
                0 => text += self.of(&["INPORT=a.In:p", "OUTPORT=b.Out.x:q", "INPORT=(C).in:c", "DEFAULT_INPORT=Zz"]),
                1 => text += self.of(&["# @k v w\n", "# @runtime r\n", "# note", "a(A)", "b(B)", "c(C:x=4,y=z,k=v)"]),
                _ => {
                    text += self.of(&[
                        "1",
                        "'t\\'t'",
                        "{\"k\": [2, \"\\n\"]}",
                        "a OUT",
                        "b(B)",
                        "IN a OUT",
                        "(C) o[1]",
                        "c",
                    ]);
                    for _ in 0..self.below(3) {
                        text += " -> ";
                        text +=
                            self.of(&["IN b OUT", "b(B)", "(C/d)", "in[2] (C) out[0]", "IN a(A) x", "a", "IN b", "2"]);
                    }
                    text += " -> ";
                    text += self.of(&["IN b", "a(A)", "x.y a", "i[7] (C)", "c(C)", "b"]);
                }
            }
            text += self.of(&["\n", "\n", "\n", ", ", " # c\n", ",\n", " ", "\r\n"]);
        }
        text += self.of(&["a(A) b(B) c(C)", "a(A)\nb(B)", "", "\n"]);
        if self.below(2) == 0 {
            let chars: Vec<char> = text.chars().collect();
            let at = self.below(chars.len());
            let slip = self.of(&["", " ", "(", ")", "-", "\n", "'", "\"", "[", "\t", "é", ".", "="]);
            text = chars[..at].iter().chain(&slip.chars().collect::<Vec<_>>()).chain(&chars[at + 1..]).collect();
        }
        text
    }
}

#[test]
fn generated_texts_read_as_in_the_original() {
    let mut chance = Chance(7);
    let texts: Vec<String> =
        (0..12_000).map(|n| if n % 2 == 0 { chance.soup() } else { chance.statements() }).collect();
    let asked: Vec<(&str, bool)> = texts.iter().map(|text| (text.as_str(), false)).collect();
    let (mut graphs, mut connected, mut syntax, mut content) = (0, 0, 0, 0);
    for (text, original) in texts.iter().zip(originals(&asked)) {
        if let Some(difference) = strict_difference(text, false, &original) {
            panic!("{text:?}\n{difference}");
        }
        match parse(text, &ParseOptions { extensions: false, ..ParseOptions::default() }) {
            Ok(graph) => {
                graphs += 1;
                connected += usize::from(graph.connections.len() > 1);
            }
            Err(Error::Syntax { .. }) => syntax += 1,
            Err(_) => content += 1,
        }
    }
    let counts =
        format!("{graphs} graphs ({connected} with connections), {syntax} syntax and {content} content errors");
    assert!(graphs > 1000 && connected > 500 && syntax > 1000 && content > 1000, "{counts}");
}

/// A graph that the `.fbp` form can hold.
fn writable(chance: &mut Chance) -> Graph {
    let names = ["a", "b-c", "_d", "e9", "INPORT", "true", "OUT"];
    let ports = ["in", "out", "x.y", "_p", "q_9"];
    let count = 1 + chance.below(names.len());
    let mut processes = Map::new();
    for at in 0..count {
        let metadata = match chance.below(4) {
            0 => json!({"x": chance.below(2000), "y": chance.below(2000)}),
            1 => json!({"routes": "main", "label": chance.of(&["", "A_9", "a/b"])}),
            _ => json!({}),
        };
        // From a shifted start, so that the order differs from graph to graph.
        let name = names[(at + chance.below(2) * 3) % names.len()];
        processes.insert(
            name.to_owned(),
            json!({"component": chance.of(&["A", "gegl/nop", "x-y_z/9"]), "metadata": metadata}),
        );
    }
    let names: Vec<String> = processes.keys().cloned().collect();
    let end = |chance: &mut Chance| {
        let mut end = json!({"process": names[chance.below(names.len())], "port": chance.of(&ports)});
        if chance.below(5) == 0 {
            end["index"] = chance.below(12).into();
        }
        end
    };
    let literals = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1.25),
        json!(1e300),
        json!(1e-9),
        json!(64),
        json!(""),
        json!("it's"),
        json!("\\"),
        json!("ends with \\"),
        json!("\\'"),
        json!("line\nline\r\t"),
        json!("\u{1}\u{7f}\u{2028}🎈"),
        json!("# -> ,"),
        json!([]),
        json!({}),
        json!([1, [null, {"k'": "v\"\\"}], "é"]),
        json!({"a b": {"": false}}),
    ];
    let connections: Vec<Value> = (0..chance.below(9))
        .map(|_| match chance.below(2) {
            0 => json!({"src": end(chance), "tgt": end(chance)}),
            _ => json!({"data": literals[chance.below(literals.len())], "tgt": end(chance)}),
        })
        .collect();
    let mut export = || json!({"process": names[chance.below(names.len())], "port": chance.of(&ports)});
    let json = json!({
        "inports": {"input": export(), "w.x": export()}, "outports": {"output": export()}, "processes": processes,
        "properties": {"name": "n 1.0-x ", "environment": {"type": "imgflo"}, "k-_9": "v"}, "connections": connections,
    });
    Graph::from_json(&json).unwrap()
}

#[test]
fn what_we_write_is_read_by_the_original() {
    let mut graphs: Vec<(String, Graph)> = corpus()
        .into_iter()
        .filter(|(name, _)| name != "inherited-names")
        .filter_map(|(name, text)| Some((name, parse(&text, &ParseOptions::default()).ok()?)))
        .collect();
    assert!(graphs.len() >= 50, "only {} graphs in the corpus", graphs.len());
    let mut chance = Chance(11);
    graphs.extend((0..1500).map(|n| (format!("generated {n}"), writable(&mut chance))));

    let mut written = Vec::new();
    let mut refused = Vec::new();
    for (name, graph) in &graphs {
        match to_fbp(graph) {
            Ok(text) => written.push((name, graph, text)),
            Err(_) => refused.push(name.as_str()),
        }
    }
    assert_eq!(refused, ["dashed-inport", "dashed-outport", "dashed-ports-in-a-chain"], "these could not be written");

    let texts: Vec<(&str, bool)> = written.iter().map(|(_, _, text)| (text.as_str(), false)).collect();
    for ((name, graph, text), original) in written.iter().zip(originals(&texts)) {
        let read = Ok((*graph).clone());
        if let Some(difference) = difference(&read, &original.checked, &original.unchecked) {
            panic!("{name}: {text}\n{difference}");
        }
        let back = parse(text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{name}: {text}\n{error}"));
        assert_eq!(&back, *graph, "{name}: {text}");
        assert_eq!(back.canonical(), graph.canonical(), "{name}");
        let json = Graph::from_json_str(&graph.to_json().to_string()).unwrap();
        assert_eq!(json.canonical(), graph.canonical(), "{name}");
    }
}
