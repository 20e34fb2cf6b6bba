//! The canonical text of a graph: equal for graphs that make the same picture of the same request,
//! whichever form they were read from.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::graph::{End, Graph, Origin};
use crate::number;

/// The metadata of an exported inport that decide what a request may say and what it means.
const DECIDING: [&str; 5] = ["default", "maximum", "minimum", "type", "values"];

impl Graph {
    /// A text that stands for what the graph does.
    ///
    /// It holds whether ports are case sensitive, the environment (runtime), the processes with
    /// their components, the edges and IIPs, and the exported ports, inports with those metadata
    /// that decide what is accepted: `default`, `minimum`, `maximum`, `values`, `type`. It leaves
    /// out all other metadata, positions, groups, and all other properties (name, description,
    /// ...): they are for people.
    ///
    /// The order of processes, exported ports and connections makes no difference, except among
    /// edges to one port and among IIPs to one port: of several the last may count.
    pub fn canonical(&self) -> String {
        let mut text = String::from("graph 1\n");
        let mut line = |kind: &str, fields: &[Value]| {
            text.push_str(kind);
            for field in fields {
                // JSON puts newlines and quotes into escapes, so no field can pose as a line.
                let _ = write!(text, " {field}");
            }
            text.push('\n');
        };
        if self.case_sensitive {
            line("case-sensitive", &[]);
        }
        if let Some(environment) = self.properties.get("environment") {
            line("environment", &[sorted(environment)]);
        }
        let mut processes: Vec<_> = self.processes.iter().collect();
        processes.sort_by_key(|(name, _)| *name);
        for (name, process) in processes {
            line("process", &[name.as_str().into(), process.component.as_str().into()]);
        }
        for (kind, exports) in [("inport", &self.inports), ("outport", &self.outports)] {
            let mut exports: Vec<_> = exports.iter().map(|(public, export)| (self.port_name(public), export)).collect();
            exports.sort_by(|a, b| a.0.cmp(&b.0));
            for (public, export) in exports {
                let mut fields =
                    vec![Value::from(public), export.process.as_str().into(), self.port_name(&export.port).into()];
                if kind == "inport" {
                    fields.push(deciding(&export.metadata));
                }
                line(kind, &fields);
            }
        }
        let end = |end: &End| (end.process.clone(), self.port_name(&end.port).into_owned(), end.index);
        let mut edges = Vec::new();
        let mut iips = Vec::new();
        for connection in &self.connections {
            let tgt = end(&connection.tgt);
            match &connection.src {
                Origin::Process(src) => edges.push((tgt, end(src))),
                Origin::Data(data) => iips.push((tgt, data)),
            }
        }
        // Stable sorts: those to one port keep their order.
        edges.sort_by(|a, b| a.0.cmp(&b.0));
        iips.sort_by(|a, b| a.0.cmp(&b.0));
        let fields = |(process, port, index): (String, String, Option<u32>)| -> [Value; 3] {
            [process.into(), port.into(), index.into()]
        };
        for (tgt, src) in edges {
            line("edge", &[fields(src), fields(tgt)].concat());
        }
        for (tgt, data) in iips {
            let mut line_fields = vec![sorted(data)];
            line_fields.extend(fields(tgt));
            line("iip", &line_fields);
        }
        text
    }
}

fn deciding(metadata: &Map<String, Value>) -> Value {
    DECIDING.iter().filter_map(|key| Some(((*key).to_owned(), sorted(metadata.get(*key)?)))).collect()
}

/// `value` with the keys of every object sorted and every number in its normal form.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(number::normal(number)),
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            members.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ParseOptions, parse};

    fn base() -> Value {
        json!({
            "properties": {"name": "tiny", "environment": {"type": "imgflo"}},
            "inports": {"input": {"process": "cut", "port": "input"}, "w": {"process": "cut", "port": "width"}},
            "outports": {"output": {"process": "end", "port": "output"}},
            "processes": {"cut": {"component": "gegl/crop", "metadata": {"x": 1}}, "end": {"component": "gegl/nop"}},
            "connections": [
                {"src": {"process": "cut", "port": "output"}, "tgt": {"process": "end", "port": "input"}},
                {"data": 64, "tgt": {"process": "cut", "port": "width"}},
                {"data": {"b": 1, "a": [2.0]}, "tgt": {"process": "cut", "port": "x"}},
                {"data": 65, "tgt": {"process": "cut", "port": "width"}}
            ]
        })
    }

    fn text(json: &Value) -> String {
        Graph::from_json(json).unwrap().canonical()
    }

    fn changed(change: impl FnOnce(&mut Value)) -> String {
        let mut json = base();
        change(&mut json);
        text(&json)
    }

    #[test]
    fn the_text_is_this() {
        let expected = r#"graph 1
environment {"type":"imgflo"}
process "cut" "gegl/crop"
process "end" "gegl/nop"
inport "input" "cut" "input" {}
inport "w" "cut" "width" {}
outport "output" "end" "output"
edge "cut" "output" null "end" "input" null
iip 64 "cut" "width" null
iip 65 "cut" "width" null
iip {"a":[2],"b":1} "cut" "x" null
"#;
        assert_eq!(text(&base()), expected);
    }

    #[test]
    fn both_forms_give_one_text() {
        let fbp = "# @runtime imgflo\n64 -> WIDTH cut(gegl/crop)\nINPORT=cut.INPUT:INPUT\n\
            OUTPORT=end.OUTPUT:OUTPUT\n{\"a\":[2],\"b\":1e0} -> X cut\n65.0 -> WIDTH cut\n\
            cut OUTPUT -> INPUT end(gegl/nop)\nINPORT=cut.WIDTH:W\n# @name other\n";
        assert_eq!(parse(fbp, &ParseOptions::default()).unwrap().canonical(), text(&base()));
    }

    #[test]
    fn what_is_for_people_makes_no_difference() {
        let same = [
            changed(|g| g["properties"] = json!({"description": "x", "icon": "y", "environment": {"type": "imgflo"}})),
            changed(|g| g["groups"] = json!([{"name": "g", "nodes": ["cut"]}])),
            changed(|g| g["processes"]["cut"]["metadata"] = json!({"label": "Cut"})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"description": "Width", "x": 4})),
            changed(|g| g["outports"]["output"]["metadata"] = json!({"type": "buffer"})),
            changed(|g| g["connections"][0]["metadata"] = json!({"route": 4})),
            changed(|g| g["processes"] = json!({"end": {"component": "gegl/nop"}, "cut": {"component": "gegl/crop"}})),
            changed(|g| g["connections"].as_array_mut().unwrap().swap(0, 2)),
            changed(|g| g["connections"][1]["data"] = json!(64.0)),
            changed(|g| g["connections"][1]["tgt"]["port"] = json!("WIDTH")),
        ];
        for other in same {
            assert_eq!(other, text(&base()));
        }
    }

    #[test]
    fn what_decides_the_picture_makes_a_difference() {
        let different = [
            changed(|g| g["caseSensitive"] = json!(true)),
            changed(|g| g["properties"]["environment"]["type"] = json!("noop")),
            changed(|g| g["properties"] = json!({})),
            changed(|g| g["processes"]["end"]["component"] = json!("gegl/gray")),
            changed(|g| g["processes"]["more"] = json!({"component": "gegl/gray"})),
            changed(|g| g["inports"]["w"]["port"] = json!("height")),
            changed(|g| g["inports"]["h"] = json!({"process": "cut", "port": "width"})),
            changed(|g| g["outports"] = json!({})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"default": null})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"default": 4})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"minimum": 4})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"maximum": 4})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"values": [4, 5]})),
            changed(|g| g["inports"]["w"]["metadata"] = json!({"type": "int"})),
            changed(|g| g["connections"][1]["data"] = json!("64")),
            changed(|g| g["connections"].as_array_mut().unwrap().swap(1, 3)),
            changed(|g| g["connections"][0]["tgt"]["index"] = json!(0)),
            changed(|g| g["connections"][0]["src"]["port"] = json!("other")),
        ];
        let mut texts: Vec<String> = different.into_iter().chain([text(&base())]).collect();
        let count = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }

    #[test]
    fn a_literal_cannot_pose_as_a_line() {
        let text = changed(|g| g["connections"][1]["data"] = json!("x\" \"a\"\nprocess \"b\" \"c\""));
        assert_eq!(text.lines().count(), 11);
    }
}
