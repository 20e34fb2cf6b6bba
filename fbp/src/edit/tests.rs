use serde_json::json;

use super::*;

const LIMITS: EditLimits = EditLimits { nodes: 4, connections: 5, name_bytes: 40 };

fn edit(command: &str, payload: &Value) -> Edit {
    serde_json::from_value(json!({"command": command, "payload": payload})).expect("an edit")
}

/// Applies commands and gives what they came to.
fn apply(graph: &mut Graph, commands: &[(&str, Value)]) -> Vec<Value> {
    let mut told = Vec::new();
    for (command, payload) in commands {
        let edits = graph.edit(edit(command, payload), &LIMITS).expect(command);
        told.extend(edits.iter().map(|edit| serde_json::to_value(edit).expect("JSON")));
    }
    told
}

fn refused(graph: &mut Graph, command: &str, payload: &Value) -> String {
    let before = graph.clone();
    let error = graph.edit(edit(command, payload), &LIMITS).expect_err(command);
    assert_eq!(*graph, before, "a refused edit changed the graph");
    error.to_string()
}

fn two() -> Graph {
    let mut graph = Graph::default();
    apply(
        &mut graph,
        &[
            ("addnode", json!({"id": "a", "component": "gegl/crop"})),
            ("addnode", json!({"id": "b", "component": "gegl/nop", "metadata": {"x": 1}})),
            ("addedge", json!({"src": {"node": "a", "port": "OUTPUT"}, "tgt": {"node": "b", "port": "input"}})),
            ("addinitial", json!({"src": {"data": 5}, "tgt": {"node": "a", "port": "width"}})),
            ("addinport", json!({"public": "In", "node": "a", "port": "input"})),
            ("addoutport", json!({"public": "output", "node": "b", "port": "output"})),
            ("addgroup", json!({"name": "g", "nodes": ["a", "b"]})),
        ],
    );
    graph
}

#[test]
fn names_of_ports_are_told_as_the_graph_stores_them() {
    let mut graph = Graph::default();
    let told = apply(
        &mut graph,
        &[
            ("addnode", json!({"id": "A", "component": "x"})),
            (
                "addedge",
                json!({"src": {"node": "A", "port": "Out", "index": "3"}, "tgt": {"node": "A", "port": "IN"}, "metadata": {"route": 5.0}}),
            ),
            ("addinitial", json!({"src": {"data": 1.0}, "tgt": {"node": "A", "port": "IN"}, "metadata": {}})),
        ],
    );
    let expected = json!({"command": "addedge", "payload": {"src": {"node": "A", "port": "out", "index": 3},
        "tgt": {"node": "A", "port": "in"}, "metadata": {"route": 5}}});
    assert_eq!(told[1], expected);
    let expected = json!({"command": "addinitial",
        "payload": {"src": {"data": 1}, "tgt": {"node": "A", "port": "in"}, "metadata": {}}});
    assert_eq!(told[2], expected);
    let mut sensitive = Graph { case_sensitive: true, ..Graph::default() };
    let told = apply(
        &mut sensitive,
        &[
            ("addnode", json!({"id": "A", "component": "x"})),
            ("addinitial", json!({"src": {"data": 1}, "tgt": {"node": "A", "port": "IN"}})),
        ],
    );
    assert_eq!(told[1]["payload"]["tgt"]["port"], "IN");
}

#[test]
fn a_removed_node_takes_what_hangs_on_it_along() {
    let mut graph = two();
    let told = apply(&mut graph, &[("removenode", json!({"id": "a"}))]);
    let commands = told.iter().map(|edit| edit["command"].as_str().expect("text")).collect::<Vec<_>>();
    assert_eq!(commands, ["removeedge", "removeinitial", "removeinport", "removenode"]);
    assert_eq!(told[1]["payload"], json!({"tgt": {"node": "a", "port": "width"}, "src": {"data": 5}}));
    assert!(graph.connections.is_empty() && graph.inports.is_empty() && graph.outports.len() == 1);
    assert_eq!(graph.groups[0].nodes, ["b"]);
}

#[test]
fn a_renamed_node_keeps_its_place_and_connections() {
    let mut graph = two();
    apply(&mut graph, &[("renamenode", json!({"from": "a", "to": "c"}))]);
    assert_eq!(graph.processes.keys().collect::<Vec<_>>(), ["c", "b"]);
    assert_eq!(
        graph.connections[0].src,
        Origin::Process(End { process: "c".into(), port: "output".into(), index: None })
    );
    assert_eq!((&*graph.connections[1].tgt.process, &*graph.inports["in"].process), ("c", "c"));
    assert_eq!(graph.groups[0].nodes, ["c", "b"]);
    assert!(graph.validate().is_empty());
}

#[test]
fn metadata_is_merged_and_told_whole() {
    let mut graph = two();
    let told = apply(
        &mut graph,
        &[
            ("changenode", json!({"id": "b", "metadata": {"tag": "t"}})),
            ("changenode", json!({"id": "b", "metadata": {}})),
            ("changenode", json!({"id": "b", "metadata": {"x": null, "tag": null}})),
            (
                "changeedge",
                json!({"src": {"node": "a", "port": "output"}, "tgt": {"node": "b", "port": "input"}, "metadata": {"route": 2}}),
            ),
            ("changegroup", json!({"name": "g", "metadata": {"description": "d"}})),
        ],
    );
    let metadata = told.iter().map(|edit| edit["payload"]["metadata"].clone()).collect::<Vec<_>>();
    assert_eq!(metadata[..3], [json!({"x": 1, "tag": "t"}), json!({"x": 1, "tag": "t"}), json!({})]);
    assert_eq!(metadata[3..], [json!({"route": 2}), json!({"description": "d"})]);
}

#[test]
fn a_second_literal_takes_the_place_of_the_first() {
    let mut graph = two();
    let told = apply(&mut graph, &[("addinitial", json!({"src": {"data": 6}, "tgt": {"node": "a", "port": "WIDTH"}}))]);
    assert_eq!(told[0]["command"], "removeinitial");
    assert_eq!(told[0]["payload"]["src"]["data"], 5);
    assert_eq!(told[1]["payload"]["src"]["data"], 6);
    let told = apply(&mut graph, &[("removeinitial", json!({"tgt": {"node": "a", "port": "width"}}))]);
    assert_eq!(told[0]["payload"]["src"]["data"], 6);
    assert_eq!(graph.connections.len(), 1);
    // `null` is a value, too.
    let told = apply(
        &mut graph,
        &[
            ("addinitial", json!({"src": {"data": null}, "tgt": {"node": "a", "port": "width"}})),
            ("removeinitial", json!({"tgt": {"node": "a", "port": "width"}})),
        ],
    );
    assert_eq!(told[1]["payload"]["src"], json!({"data": null}));
}

#[test]
fn exports_and_groups_are_renamed() {
    let mut graph = two();
    let told = apply(
        &mut graph,
        &[
            ("renameinport", json!({"from": "IN", "to": "Input"})),
            ("renameoutport", json!({"from": "output", "to": "result"})),
            ("renamegroup", json!({"from": "g", "to": "h"})),
        ],
    );
    assert_eq!(told[0]["payload"], json!({"from": "in", "to": "input"}));
    assert!(graph.inports.contains_key("input") && graph.outports.contains_key("result"));
    apply(
        &mut graph,
        &[
            ("removeinport", json!({"public": "input"})),
            ("removeoutport", json!({"public": "result"})),
            ("removegroup", json!({"name": "h"})),
            ("removeedge", json!({"src": {"node": "a", "port": "output"}, "tgt": {"node": "b", "port": "input"}})),
        ],
    );
    assert!(graph.inports.is_empty() && graph.outports.is_empty() && graph.groups.is_empty());
    assert_eq!(graph.connections.len(), 1);
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut graph = two();
    let edge = json!({"src": {"node": "a", "port": "output"}, "tgt": {"node": "b", "port": "input"}});
    let other = json!({"src": {"node": "a", "port": "x"}, "tgt": {"node": "b", "port": "input"}});
    let deep = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(101), "]".repeat(101))).expect("JSON");
    for (command, payload, message) in [
        ("addnode", json!({"id": "a", "component": "x"}), "there is a node 'a' already"),
        ("addnode", json!({"id": "", "component": "x"}), "a node needs a name"),
        ("removenode", json!({"id": "z"}), "there is no node 'z'"),
        ("renamenode", json!({"from": "a", "to": "b"}), "there is a node 'b' already"),
        ("renamenode", json!({"from": "z", "to": "y"}), "there is no node 'z'"),
        ("changenode", json!({"id": "z"}), "there is no node 'z'"),
        ("addedge", edge, "there is an edge 'a output -> input b' already"),
        (
            "addedge",
            json!({"src": {"node": "z", "port": "o"}, "tgt": {"node": "b", "port": "i"}}),
            "there is no node 'z'",
        ),
        (
            "addedge",
            json!({"src": {"node": "a", "port": ""}, "tgt": {"node": "b", "port": "i"}}),
            "a port needs a name",
        ),
        ("removeedge", other, "there is no edge 'a x -> input b'"),
        ("removeinitial", json!({"tgt": {"node": "a", "port": "y"}}), "there is no initial packet on 'a y'"),
        (
            "addinitial",
            json!({"src": {"data": deep}, "tgt": {"node": "a", "port": "y"}}),
            "nested too deeply: at most 100 levels",
        ),
        ("changenode", json!({"id": "a", "metadata": {"m": deep}}), "nested too deeply: at most 100 levels"),
        ("addinport", json!({"public": "i", "node": "z", "port": "i"}), "there is no node 'z'"),
        ("addinport", json!({"public": "IN", "node": "a", "port": "i"}), "there is an inport 'in' already"),
        ("renameoutport", json!({"from": "x", "to": "y"}), "there is no outport 'x'"),
        ("addgroup", json!({"name": "g", "nodes": []}), "there is a group 'g' already"),
        ("addgroup", json!({"name": "n", "nodes": ["z"]}), "there is no node 'z'"),
        ("removegroup", json!({"name": "z"}), "there is no group 'z'"),
    ] {
        assert_eq!(refused(&mut graph, command, &payload), message);
    }
    apply(
        &mut graph,
        &[("addnode", json!({"id": "c", "component": "x"})), ("addnode", json!({"id": "d", "component": "x"}))],
    );
    let message = refused(&mut graph, "addnode", &json!({"id": "e", "component": "x"}));
    assert_eq!(message, "the graph would have more than 4 nodes");
    for port in ["p", "q", "r"] {
        apply(&mut graph, &[("addinitial", json!({"src": {"data": 1}, "tgt": {"node": "c", "port": port}}))]);
    }
    let message = refused(&mut graph, "addinitial", &json!({"src": {"data": 1}, "tgt": {"node": "c", "port": "s"}}));
    assert_eq!(message, "the graph would have more than 5 connections");
    // One that takes a place is one no more.
    apply(&mut graph, &[("addinitial", json!({"src": {"data": 1}, "tgt": {"node": "c", "port": "r"}}))]);
}

/// What an edit tells is enough: repeated on an equal graph, it makes an equal graph.
#[test]
fn repeating_what_was_told_makes_the_same_graph() {
    let limits = EditLimits::default();
    let (mut graph, mut mirror) = (Graph::default(), Graph::default());
    let mut state = 7u64;
    let mut random = |count: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % count
    };
    let mut done = 0;
    for step in 0..20_000 {
        let name = |number: u64| format!("n{number}");
        let (a, b, p, q) = (name(random(6)), name(random(6)), name(random(3)), name(random(3)));
        let end = |node: &str, port: &str| json!({"node": node, "port": port.to_uppercase()});
        let (src, tgt) = (end(&a, &p), end(&b, &q));
        let (command, payload) = match random(18) {
            0 | 1 => ("addnode", json!({"id": a, "component": "x", "metadata": {"x": step}})),
            2 => ("removenode", json!({"id": a})),
            3 => ("renamenode", json!({"from": a, "to": b})),
            4 => ("changenode", json!({"id": a, "metadata": {p: step, q: null}})),
            5 | 6 => ("addedge", json!({"src": src, "tgt": tgt})),
            7 => ("removeedge", json!({"src": src, "tgt": tgt})),
            8 => ("changeedge", json!({"src": src, "tgt": tgt, "metadata": {"route": step}})),
            9 | 10 => ("addinitial", json!({"src": {"data": step}, "tgt": tgt})),
            11 => ("removeinitial", json!({"tgt": tgt})),
            12 => ("addinport", json!({"public": p, "node": a, "port": q})),
            13 => ("removeinport", json!({"public": p})),
            14 => ("renameinport", json!({"from": p, "to": q})),
            15 => ("addoutport", json!({"public": p, "node": a, "port": q})),
            16 => ("addgroup", json!({"name": p, "nodes": [a]})),
            _ => ("removegroup", json!({"name": p})),
        };
        let Ok(told) = graph.edit(edit(command, &payload), &limits) else { continue };
        done += 1;
        for edit in told {
            let sent = serde_json::to_string(&edit).expect("JSON");
            let got = serde_json::from_str::<Edit>(&sent).expect("an edit");
            assert_eq!(got.command(), serde_json::to_value(&edit).expect("JSON")["command"]);
            mirror.edit(got, &limits).expect("what was told can be done");
        }
    }
    assert!(done > 5_000, "{done}");
    assert_eq!(mirror, graph);
    let mut drawn = Graph::default();
    for edit in graph.edits() {
        drawn.edit(edit, &limits).expect("a graph can be drawn");
    }
    assert_eq!(drawn, graph);
    assert!(graph.validate().is_empty(), "{:?}", graph.validate());
}

#[test]
fn names_have_a_limit() {
    let long = "n".repeat(LIMITS.name_bytes + 1);
    let (src, tgt) = (json!({"node": "a", "port": "output"}), json!({"node": "b", "port": "input"}));
    for (command, payload) in [
        ("addnode", json!({"id": long, "component": "c"})),
        ("addnode", json!({"id": "c", "component": long})),
        ("renamenode", json!({"from": "a", "to": long})),
        ("addedge", json!({"src": src, "tgt": {"node": "b", "port": long}})),
        ("addedge", json!({"src": {"node": "a", "port": long}, "tgt": tgt})),
        ("addinitial", json!({"src": {"data": 1}, "tgt": {"node": "a", "port": long}})),
        ("addinport", json!({"public": long, "node": "a", "port": "x"})),
        ("addoutport", json!({"public": "x", "node": "a", "port": long})),
        ("renameinport", json!({"from": "in", "to": long})),
        ("renameoutport", json!({"from": "output", "to": long})),
        ("addgroup", json!({"name": long, "nodes": []})),
        ("renamegroup", json!({"from": "g", "to": long})),
    ] {
        let said = refused(&mut two(), command, &payload);
        assert_eq!(said, "a name has 41 bytes, more than the limit of 40", "{command}");
    }
}
