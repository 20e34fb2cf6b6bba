//! Faults in the words of people who draw graphs: by process and label, not by place in a file.

use imgflo_fbp::{Graph, Origin};
use serde_json::Value as Json;

use crate::GraphFault;

impl GraphFault {
    /// The process of `graph` that the fault is about, where it is about one: `graph` is the one that was checked.
    pub fn process<'g>(&self, graph: &'g Graph) -> Option<&'g str> {
        if let Some(rest) = self.place.strip_prefix("connections[") {
            let (index, end) = rest.split_once(']')?;
            let connection = graph.connections.get(index.parse::<usize>().ok()?)?;
            return match &connection.src {
                Origin::Process(src) if end == ".src" => Some(&src.process),
                _ => Some(&connection.tgt.process),
            };
        }
        let (_, name) = named(&self.place).filter(|(kind, _)| *kind == "processes")?;
        graph.processes.get_key_value(&name).map(|(name, _)| name.as_str())
    }

    /// The fault without a place in a file: `process 'soft' (Soft glow): unknown component 'no/such'`.
    pub fn told(&self, graph: &Graph) -> String {
        if let Some(process) = self.process(graph) {
            return in_process(graph, process, &self.message);
        }
        match named(&self.place) {
            // One of a graph that is in this one.
            Some(("processes", name)) => in_process(graph, &name, &self.message),
            Some((kind @ ("inports" | "outports"), name)) => {
                format!("{} '{name}': {}", kind.trim_end_matches('s'), self.message)
            }
            _ if self.place == "processes" => self.message.clone(),
            _ => self.to_string(),
        }
    }
}

/// The parts of a place such as `processes.soft` or `inports["a b"]`.
fn named(place: &str) -> Option<(&str, String)> {
    let (kind, rest) = place.split_at(place.find(['.', '['])?);
    let name = match rest.strip_prefix('.') {
        Some(name) => name.to_owned(),
        None => serde_json::from_str(rest.strip_prefix('[')?.strip_suffix(']')?).ok()?,
    };
    Some((kind, name))
}

/// A message about a process of `graph`, with its name and its label; one that names the process gets the label.
pub fn in_process(graph: &Graph, process: &str, message: &str) -> String {
    let short = |text: &str| text.chars().take(100).collect::<String>();
    let label = graph.processes.get(process).and_then(|found| found.metadata.get("label")).and_then(Json::as_str);
    let label = label.filter(|label| !label.is_empty() && *label != process);
    let label = label.map(|label| format!(" ({})", short(label))).unwrap_or_default();
    match message.strip_prefix(&format!("process '{process}'")) {
        Some(rest) => format!("process '{}'{label}{rest}", short(process)),
        None => format!("process '{}'{label}: {message}", short(process)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_names_its_process_and_label() {
        let graph = json!({
            "processes": {"soft": {"component": "A", "metadata": {"label": "Soft glow"}}, "a b": {"component": "B"}},
            "connections": [{"src": {"process": "a b", "port": "x"}, "tgt": {"process": "soft", "port": "y"}},
                {"data": 1, "tgt": {"process": "a b", "port": "y"}}]
        });
        let graph = Graph::from_json(&graph).expect("is a graph");
        let told = |place: &str| GraphFault { place: place.into(), message: "is wrong".into() }.told(&graph);
        assert_eq!(told("processes.soft"), "process 'soft' (Soft glow): is wrong");
        assert_eq!(told("processes[\"a b\"]"), "process 'a b': is wrong");
        assert_eq!(told("connections[0].src"), "process 'a b': is wrong");
        assert_eq!(told("connections[0].tgt"), "process 'soft' (Soft glow): is wrong");
        assert_eq!(told("connections[1].tgt"), "process 'a b': is wrong");
        assert_eq!(told("outports.output"), "outport 'output': is wrong");
        assert_eq!(told("inports[\"a b\"]"), "inport 'a b': is wrong");
        assert_eq!(told("processes[\"soft/a\"]"), "process 'soft/a': is wrong");
        assert_eq!(told("processes"), "is wrong");
        let planned = in_process(&graph, "soft", "process 'soft': has no bounds");
        assert_eq!(planned, "process 'soft' (Soft glow): has no bounds");
    }
}
