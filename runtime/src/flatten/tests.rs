use std::fs;
use std::sync::Arc;

use super::*;
use crate::testing::{LIMITS, PLAN_LIMITS, arguments, catalogue, graph, picture, rgb, shape};
use crate::{Catalogue, Control, Engine, Library, NativeEngine, Plan, PlanError};

const ENDS: &str = "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n";
const SOFT: &str = "INPORT=a.INPUT:INPUT\nINPORT=a.AMOUNT:STRENGTH\nOUTPORT=b.OUTPUT:OUTPUT\n\
                    a(test/add) OUTPUT -> INPUT b(test/add)\n0.5 -> AMOUNT a\n-0.5 -> AMOUNT b\n";

fn load_with(files: &[(&str, &str)], catalogue: Catalogue, limits: &LibraryLimits) -> Library {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let form = if text.starts_with('{') { "json" } else { "fbp" };
        fs::write(dir.path().join(format!("{name}.{form}")), text).expect("written");
    }
    Library::load(dir.path(), Arc::new(catalogue), limits).expect("readable")
}

fn load(files: &[(&str, &str)]) -> Library {
    load_with(files, catalogue(), &LIMITS)
}

#[track_caller]
fn served(library: &Library, name: &str) -> Arc<ImageGraph> {
    library.get(name).unwrap_or_else(|| panic!("{:#?}", library.faults()))
}

/// What is wrong with files, as `file: message`.
fn faults(library: &Library) -> Vec<String> {
    let file = |fault: &crate::LibraryFault| fault.path.file_stem().unwrap().to_string_lossy().into_owned();
    library.faults().iter().map(|fault| format!("{}: {}", file(fault), fault.message)).collect()
}

/// What is wrong with the graph `outer` beside `soft`.
fn faults_of(outer: &str) -> Vec<String> {
    let library = load(&[("soft", SOFT), ("outer", outer)]);
    assert!(library.get("soft").is_some() && library.get("outer").is_none());
    faults(&library).iter().map(|fault| fault.strip_prefix("outer: ").expect("of outer").to_owned()).collect()
}

fn parameter(graph: &ImageGraph, name: &str) -> serde_json::Value {
    let parameter = graph.parameters().iter().find(|parameter| parameter.name == name).expect("a parameter");
    serde_json::to_value(parameter).expect("JSON")
}

#[test]
fn a_graph_in_a_graph_is_the_graph_written_out() {
    let by_hand = r#"{
        "inports": {"input": {"process": "one/a", "port": "input"}, "more": {"process": "two/a", "port": "amount"}},
        "outports": {"output": {"process": "two/b", "port": "output"}},
        "processes": {
            "one/a": {"component": "test/add"}, "one/b": {"component": "test/add"}, "mid": {"component": "test/light"},
            "two/a": {"component": "test/add"}, "two/b": {"component": "test/add"}
        },
        "connections": [
            {"src": {"process": "one/a", "port": "output"}, "tgt": {"process": "one/b", "port": "input"}},
            {"src": {"process": "one/b", "port": "output"}, "tgt": {"process": "mid", "port": "input"}},
            {"src": {"process": "mid", "port": "output"}, "tgt": {"process": "two/a", "port": "input"}},
            {"src": {"process": "two/a", "port": "output"}, "tgt": {"process": "two/b", "port": "input"}},
            {"data": 0.125, "tgt": {"process": "one/a", "port": "amount"}},
            {"data": -0.5, "tgt": {"process": "one/b", "port": "amount"}},
            {"data": 0.5, "tgt": {"process": "two/a", "port": "amount"}},
            {"data": -0.5, "tgt": {"process": "two/b", "port": "amount"}}
        ]
    }"#;
    let nested = "INPORT=one.INPUT:INPUT\nINPORT=two.STRENGTH:MORE\nOUTPORT=two.OUTPUT:OUTPUT\n\
                  one(graph/soft) OUTPUT -> INPUT mid(test/light) OUTPUT -> INPUT two(soft)\n0.125 -> STRENGTH one\n";
    let library = load(&[("nested", nested), ("soft", SOFT), ("byhand", by_hand)]);
    let (nested, by_hand) = (served(&library, "nested"), served(&library, "byhand"));
    assert_eq!(nested.content(), by_hand.content());
    assert_eq!(nested.parameters(), by_hand.parameters());
    // As people see it, it is made of what they wrote.
    assert_eq!(nested.definition().processes["one"].component, "graph/soft");
    let image = picture(40, 30);
    let render = |graph: &ImageGraph| {
        let plan =
            Plan::new(graph, &arguments(graph, &[("more", "-0.25")]), Some(shape(&image)), &catalogue(), &PLAN_LIMITS);
        NativeEngine::new(1)
            .render(&plan.expect("planned"), Some(image.clone()), &Control::default())
            .expect("a picture")
    };
    assert_eq!(rgb(&render(&nested)), rgb(&render(&by_hand)));
}

#[test]
fn what_a_job_carries_stands_alone() {
    let outer =
        "INPORT=a.INPUT:INPUT\nINPORT=a.STRENGTH:STRENGTH\nINPORT=a.WIDTH:SMALL\nOUTPORT=a.OUTPUT:OUTPUT\na(soft)\n";
    let library = load(&[("outer", outer), ("soft", SOFT)]);
    let outer = served(&library, "outer");
    let sent = Graph::from_json_str(&outer.flat().to_json().to_string()).expect("JSON");
    let alone = ImageGraph::new("outer", sent, &catalogue(), &LIMITS).expect("no library is needed");
    assert_eq!(alone.content(), outer.content());
    assert_eq!(alone.parameters(), outer.parameters());
    let given = [("strength", "0.75"), ("small", "7")];
    assert_eq!(arguments(&alone, &given), arguments(&outer, &given));
}

#[test]
fn exports_lead_through_any_number_of_graphs() {
    let named = |inner: &str, more: &str| {
        format!(
            r#"{{"inports": {{"input": {{"process": "x", "port": "input"}},
                "strength": {{"process": "x", "port": "strength", "metadata": {{"x": 3, {more}}}}}}},
               "outports": {{"output": {{"process": "x", "port": "output"}}}},
               "processes": {{"x": {{"component": "{inner}"}}}}, "connections": []}}"#
        )
    };
    let one = named("soft", r#""description": "How soft", "maximum": 0.75"#);
    let two = named("graph/one", r#""minimum": -0.25, "maximum": 1, "default": 9"#);
    let three = named("two", r#""minimum": -0.5"#);
    let library = load(&[("soft", SOFT), ("one", &one), ("two", &two), ("three", &three)]);
    let three = served(&library, "three");
    assert_eq!(
        parameter(&three, "strength"),
        serde_json::json!({"name": "strength", "type": "number", "description": "How soft",
            "default": 0.5, "minimum": -0.25, "maximum": 0.75})
    );
    assert_eq!(arguments(&three, &[("strength", "0.25")]).canonical(), r#"[["x/x/x/a","amount",0.25]]"#);
    assert!(arguments(&three, &[("strength", "0.5")]).canonical().len() == 2, "what holds anyway");
    assert!(three.arguments(&[("strength".into(), "0.8".into())].into()).is_err());
    let shown = serde_json::Value::Object(three.definition().inports["strength"].metadata.clone());
    assert_eq!((&shown["description"], &shown["type"]), (&"How soft".into(), &"number".into()));
    // A default is what holds inside, not what was said of it.
    assert_eq!(
        serde_json::Value::Object(three.flat().inports["strength"].metadata.clone()),
        serde_json::json!({"x": 3, "minimum": -0.25, "description": "How soft", "maximum": 0.75})
    );
    assert_eq!(three.levels(), 3);
}

#[test]
fn values_keep_to_the_range_of_the_port_they_are_given_to() {
    let inner = r#"{"inports": {"input": {"process": "a", "port": "input"},
            "n": {"process": "a", "port": "steps", "metadata": {"minimum": 2, "maximum": 8}},
            "m": {"process": "a", "port": "mode", "metadata": {"values": ["none"]}}},
        "outports": {"output": {"process": "a", "port": "output"}},
        "processes": {"a": {"component": "test/mode"}}, "connections": []}"#;
    let outer = |lines: &str| load(&[("inner", inner), ("outer", &format!("{ENDS}a(inner)\n{lines}"))]);
    for (given, value) in [("1", 2), ("5", 5), ("'7'", 7), ("20", 8), ("1e99", 8)] {
        let library = outer(&format!("{given} -> N a\n"));
        assert_eq!(served(&library, "outer").nodes()[0].properties.int("steps"), value, "{given}");
    }
    assert_eq!(faults(&outer("'all' -> M a\n")), ["outer: process 'a': port 'm': 'all' is none of none"]);
    assert_eq!(faults(&outer("'many' -> N a\n")), ["outer: process 'a': port 'n': 'many' is no int"]);
    let exported = |metadata: &str| {
        let outer = r#"{"inports": {"input": {"process": "a", "port": "input"},
                "n": {"process": "a", "port": "n", "metadata": {METADATA}}},
            "outports": {"output": {"process": "a", "port": "output"}}, "processes": {"a": {"component": "inner"}}}"#;
        load(&[("inner", inner), ("outer", &outer.replace("METADATA", metadata))])
    };
    assert_eq!(
        faults(&exported(r#""minimum": 9"#)),
        ["outer: inport 'n': its minimum 9 is above its maximum 8"],
        "narrower than the inner port, not beside it"
    );
    let narrower = exported(r#""minimum": 0, "maximum": 4"#);
    let parameter = parameter(&served(&narrower, "outer"), "n");
    assert_eq!((&parameter["minimum"], &parameter["maximum"]), (&2.0.into(), &4.0.into()));
}

#[test]
fn another_inner_graph_is_another_content() {
    let outer = format!("{ENDS}a(graph/soft)\n");
    let content = |soft: &str| served(&load(&[("outer", &outer), ("soft", soft)]), "outer").content().to_owned();
    let before = content(SOFT);
    assert_eq!(content(&format!("# @description Soft\n{SOFT}")), before, "what is for people makes no difference");
    assert_ne!(content(&SOFT.replace("-0.5", "-0.25")), before);
    assert_ne!(content(&SOFT.replace("b(test/add)", "b(test/plus)")), before);
    assert_ne!(content(&format!("{SOFT}b OUTPUT -> INPUT c(test/peak)\n")), before);
    let spelled = load(&[("outer", &outer.replace("graph/", "")), ("soft", SOFT)]);
    assert_eq!(served(&spelled, "outer").content(), before);
}

#[test]
fn the_order_of_files_makes_no_difference() {
    let uses = |inner: &str| format!("{ENDS}a(graph/{inner})\n");
    let (one, two) = (uses("m"), uses("a"));
    let first = load(&[("a", &one), ("m", SOFT), ("z", &two)]);
    let (one, two) = (uses("m"), uses("z"));
    let second = load(&[("z", &one), ("m", SOFT), ("a", &two)]);
    assert_eq!(served(&first, "z").content(), served(&second, "a").content());
    assert_eq!((first.faults(), second.faults()), (&[][..], &[][..]));
}

#[test]
fn a_graph_cannot_be_made_of_itself() {
    let uses = |inner: &str| format!("{ENDS}a({inner})\n");
    let (a, b, c, out, own) = (uses("b"), uses("graph/c"), uses("a"), uses("graph/b"), uses("own"));
    let library = load(&[("a", &a), ("b", &b), ("c", &c), ("out", &out), ("own", &own), ("soft", SOFT)]);
    assert_eq!(
        faults(&library),
        [
            "a: process 'a': a graph cannot be made of itself: a -> b -> c -> a",
            "b: process 'a': a graph cannot be made of itself: b -> c -> a -> b",
            "c: process 'a': a graph cannot be made of itself: c -> a -> b -> c",
            "out: process 'a': the graph 'b' has faults of its own",
            "own: process 'a': a graph cannot be made of itself: own -> own",
        ]
    );
    assert!(library.get("soft").is_some());
}

#[test]
fn graphs_that_cannot_be_used_are_named() {
    let head = "INPORT=a.INPUT:INPUT\nOUTPORT=z.OUTPUT:OUTPUT\n";
    let outer = format!(
        "{head}a(graph/bad) OUTPUT -> INPUT b(graph/noop) OUTPUT -> INPUT c(graph/sofd) OUTPUT -> INPUT d(roles) \
         OUTPUT -> INPUT z(graph/broken)\n"
    );
    let library = load(&[
        ("outer", &outer),
        ("bad", "OUTPORT=a.OUTPUT:OUTPUT\na(test/add)\n"),
        ("broken", "a(test/add) -> ->\n"),
        ("noop", "# @runtime noop\n"),
        ("roles", "# @runtime msgflo\na(x/Y) JOB -> JOB b(x/Z)\n"),
        ("soft", SOFT),
    ]);
    let all = faults(&library);
    let of_outer = all.iter().filter_map(|fault| fault.strip_prefix("outer: ")).collect::<Vec<_>>();
    assert_eq!(
        of_outer,
        [
            "process 'a': the graph 'bad' has faults of its own",
            "process 'b': the noop graph 'noop' makes no picture; gegl/nop hands one on",
            "process 'z': the graph 'broken' has faults of its own",
            "process 'c': unknown component 'graph/sofd'; did you mean 'graph/soft'?",
            "process 'd': unknown component 'roles'",
        ]
    );
    assert_eq!(all.len(), 7, "{all:#?}");
}

#[test]
fn ports_of_graphs_are_checked_like_those_of_operations() {
    for (outer, expected) in [
        (
            format!("{ENDS}a(graph/soft)\n1 -> STRENGHT a\n"),
            "process 'a': graph/soft has no inport 'strenght'; did you mean 'strength'? \
             (there are: input, strength, height, width)",
        ),
        (
            format!("{ENDS}a(soft) RESULT -> INPUT b(soft)\n"),
            "process 'a': soft has no outport 'result' (there are: output)",
        ),
        (
            format!("{ENDS}INPORT=a.AMOUNT:MORE\na(soft)\n"),
            "inport 'more': soft has no inport 'amount' (there are: input, strength, height, width)",
        ),
        (
            "INPORT=a.INPUT:INPUT\nOUTPORT=a.B:OUTPUT\na(soft)\n".into(),
            "outport 'output': soft has no outport 'b' (there are: output)",
        ),
        (format!("{ENDS}a(soft)\n'much' -> STRENGTH a\n"), "process 'a': port 'strength': 'much' is no number"),
        (
            format!("{ENDS}a(soft)\nb(test/fill) OUTPUT -> STRENGTH a\n"),
            "process 'a': port 'strength' takes a value, and a picture is sent to it",
        ),
        (
            format!("{ENDS}a(soft)\nb(soft)\nc(test/fill) OUTPUT -> INPUT b\n3 -> INPUT b\n"),
            "process 'b': port 'input' takes a picture, not a value",
        ),
        (
            format!("{ENDS}a(soft)\nc(test/fill) OUTPUT -> INPUT a\n"),
            "inport 'input': a second picture for port 'input', which takes one",
        ),
        (
            format!("{ENDS}a(soft)\n0.5 -> STRENGTH a\n0.25 -> STRENGTH a\n"),
            "process 'a': a second value for port 'amount'",
        ),
        (
            "OUTPORT=a.OUTPUT:OUTPUT\na(soft)\n".into(),
            r#"process 'a/a': nothing is connected to its port 'input', and it is not exported as 'input'"#,
        ),
        ("OUTPORT=a.OUTPUT:OUTPUT\na(soft) OUTPUT -> INPUT a\n".into(), r#"process 'a/a': a cycle: a/a -> a/b -> a/a"#),
        (
            format!("{ENDS}a(soft)\n5 -> STRENGTH[1] a\n"),
            "process 'a': port 'amount' is no array: leave its index away",
        ),
    ] {
        let found = faults_of(&outer);
        // Without its port nothing is put out.
        let found = found.iter().filter(|fault| !fault.contains("an image graph exports")).collect::<Vec<_>>();
        assert_eq!(found, [expected]);
    }
}

#[test]
fn ports_are_compared_as_the_outer_graph_compares_them() {
    let mut outer = graph(&format!("{ENDS}a(soft)\n0.75 -> STRENGTH a\n"));
    outer.connections[0].tgt.port = "Strength".into();
    let library = load(&[("soft", SOFT)]);
    let built = library.assemble("outer", outer.clone(), &LIMITS).expect("a graph");
    assert_eq!(built.nodes()[0].properties.number("amount"), 0.75);
    outer.case_sensitive = true;
    assert!(library.assemble("outer", outer.clone(), &LIMITS).is_err());
    outer.connections[0].tgt.port = "strength".into();
    assert!(library.assemble("outer", outer, &LIMITS).is_ok());
}

#[test]
fn further_outports_of_a_graph_can_be_used() {
    let both = "INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\nOUTPORT=a.OUTPUT:MASK\na(test/add) OUTPUT -> INPUT b(test/peak)\n";
    let outer = "INPORT=two.INPUT:INPUT\nOUTPORT=end.OUTPUT:OUTPUT\ntwo(both) OUTPUT -> INPUT end(test/join)\ntwo MASK -> AUX end\n";
    let library = load(&[("both", both), ("outer", outer)]);
    let outer = served(&library, "outer");
    let names = outer.nodes().iter().map(|node| node.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["two/a", "two/b", "end"]);
    let end = &outer.nodes()[2].inputs;
    use crate::image_graph::Feed::Process;
    assert_eq!(end[..], [Some(Process(1)), Some(Process(0))]);
}

#[test]
fn width_and_height_scale_what_enters_a_graph() {
    // An unconfigured crop keeps all of what entered its graph.
    let inner = "INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\na(gegl/gray) OUTPUT -> INPUT b(gegl/crop)\n";
    let fixed = format!("{ENDS}a(inner)\n120 -> WIDTH a\n");
    let chosen = format!("INPORT=a.HEIGHT:SMALL\n{ENDS}a(inner)\n");
    let after = "INPORT=l.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\nl(gegl/gray) OUTPUT -> INPUT a(inner)\n90 -> WIDTH a\n30 -> HEIGHT a\n";
    let plain = format!("{ENDS}a(inner)\n");
    let files = [("inner", inner), ("fixed", &fixed), ("chosen", &chosen), ("after", after), ("plain", &plain)];
    let library = load_with(&files, Catalogue::native(), &LIMITS);
    let size = |name: &str, given: &[(&str, &str)]| {
        let graph = served(&library, name);
        let plan = Plan::new(
            &graph,
            &arguments(&graph, given),
            Some(shape(&picture(60, 40))),
            library.catalogue(),
            &PLAN_LIMITS,
        );
        let size = plan.expect("planned").output();
        (size.width, size.height)
    };
    assert_eq!(size("plain", &[]), (60, 40));
    assert_eq!(size("fixed", &[]), (120, 80));
    assert_eq!(size("fixed", &[("width", "30")]), (120, 80), "the request's comes before");
    assert_eq!(size("chosen", &[]), (60, 40));
    assert_eq!(size("chosen", &[("small", "10")]), (15, 10));
    assert_eq!(size("after", &[]), (90, 30));
    // Nothing is put in where nobody asks.
    assert_eq!(served(&library, "plain").nodes().len(), 2);
    assert_eq!(served(&library, "fixed").nodes()[0].name, "a");
    assert_eq!(
        parameter(&served(&library, "chosen"), "small"),
        serde_json::json!({"name": "small", "type": "int", "description": "Requested output height",
            "default": 0, "minimum": 0.0, "maximum": 9000.0})
    );
    let source = "OUTPORT=a.OUTPUT:OUTPUT\na(test/fill)\n";
    let outer = "OUTPORT=a.OUTPUT:OUTPUT\na(source)\n5 -> WIDTH a\n";
    let expected = "outer: process 'a': source has no inport 'width' (there are: none)";
    assert_eq!(faults(&load(&[("source", source), ("outer", outer)])), [expected]);
}

#[test]
fn errors_name_the_process_inside() {
    let inner = "INPORT=cut.INPUT:INPUT\nINPORT=cut.WIDTH:W\nOUTPORT=cut.OUTPUT:OUTPUT\ncut(gegl/crop)\n";
    let outer = format!("INPORT=a.W:W\n{ENDS}a(inner)\n");
    let library = load_with(&[("inner", inner), ("outer", &outer)], Catalogue::native(), &LIMITS);
    let outer = served(&library, "outer");
    let input = Some(shape(&picture(9, 9)));
    let plan = Plan::new(&outer, &arguments(&outer, &[("w", "-4")]), input, library.catalogue(), &PLAN_LIMITS);
    let error = plan.expect_err("no picture");
    assert!(matches!(error, PlanError::NoPicture { .. }) && error.node() == Some("a/cut"), "{error}");
}

#[test]
fn limits_hold_for_what_a_graph_comes_to() {
    let outer = "INPORT=a.INPUT:INPUT\nOUTPORT=c.OUTPUT:OUTPUT\na(soft) OUTPUT -> INPUT b(test/add) OUTPUT -> INPUT c(soft)\n9 -> WIDTH c\n";
    let with = |limits| faults(&load_with(&[("outer", outer), ("soft", SOFT)], catalogue(), &limits));
    assert_eq!(with(LibraryLimits { max_nodes: 6, ..LIMITS }), [""; 0]);
    assert_eq!(
        with(LibraryLimits { max_nodes: 5, ..LIMITS }),
        [
            "outer: 6 processes, those of the graphs in it among them, are more than the limit of 5 in a graph (IMGFLO_MAX_GRAPH_NODES)"
        ]
    );
    let found = with(LibraryLimits { max_bytes: 1000, ..LIMITS });
    assert!(
        found.len() == 1 && found[0].contains("more than the limit of 1000 for a graph (IMGFLO_MAX_GRAPH_BYTES)"),
        "{found:?}"
    );
}

#[test]
fn levels_are_limited_whatever_is_read_first() {
    for last_first in [false, true] {
        let name = |level: usize| format!("l{:02}", if last_first { 40 - level } else { level });
        let uses = |level: usize| format!("{ENDS}a({})\n", name(level));
        let texts = (1..=MAX_LEVELS + 2).map(|level| (name(level), uses(level - 1))).collect::<Vec<_>>();
        let bottom = name(0);
        let files = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([(bottom.as_str(), SOFT)]);
        let library = load(&files.collect::<Vec<_>>());
        assert_eq!(library.iter().count(), MAX_LEVELS + 1);
        let mut found = faults(&library);
        found.sort_by_key(|fault| fault.contains("of its own"));
        let deep = format!("{}: process 'a': graphs in graphs, 17 levels deep; at most 16 are possible", name(17));
        let behind = format!("{}: process 'a': the graph '{}' has faults of its own", name(18), name(17));
        assert_eq!(found, [deep, behind]);
    }
}

#[test]
fn a_long_circle_of_graphs_overflows_no_stack_and_fills_no_message() {
    // The last is made of the first again.
    let name = |level: usize| format!("g{level:03}");
    let files = (0..500).map(|level| (name(level), format!("{ENDS}a({})\n", name((level + 1) % 500))));
    let files = files.chain([("soft".to_owned(), SOFT.to_owned())]).collect::<Vec<_>>();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>();
    let library = load(&files);
    assert_eq!((library.iter().count(), library.faults().len()), (1, 500));
    assert!(library.faults().iter().all(|fault| fault.message.len() < 300), "{}", library.faults()[0]);
}

#[test]
fn two_processes_of_one_name_are_a_fault() {
    let outer = r#"{"inports": {"input": {"process": "a", "port": "input"}}, "outports": {"output": {"process": "a", "port": "output"}},
        "processes": {"a/b": {"component": "test/fill"}, "a": {"component": "soft"}}}"#;
    assert_eq!(faults_of(outer), ["process 'a': 'a/b' is the name of another process in the graphs of this one"]);
}

#[test]
fn a_graph_is_a_component_with_the_ports_it_exports() {
    let library = load(&[("soft", SOFT)]);
    assert!(library.component("test/add").is_some() && library.component("graph/test/add").is_none());
    let component = library.component("graph/soft").expect("a graph");
    assert_eq!(component.name, "graph/soft");
    let ports = component.inports.iter().map(|port| (port.id.as_str(), port.type_.as_str())).collect::<Vec<_>>();
    assert_eq!(ports, [("input", "buffer"), ("strength", "number"), ("height", "int"), ("width", "int")]);
    let strength = &component.inports[1];
    assert_eq!(
        (strength.default.clone(), strength.minimum, strength.maximum),
        (Some(0.5.into()), Some(-1.0), Some(1.0))
    );
    assert_eq!(component.outports[0].id, "output");
}

#[test]
fn for_one_graph_only_those_in_it_are_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let uses = format!("{ENDS}a(soft)\n");
    for (name, text) in [("soft.fbp", SOFT), ("uses.fbp", &uses), ("bad.json", "{"), ("other.fbp", SOFT)] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let outer = graph(&format!("{ENDS}a(graph/uses)\n"));
    let library = Library::load_for(&outer, dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
    let names = library.iter().map(|graph| graph.name()).collect::<Vec<_>>();
    assert_eq!((names, library.faults()), (vec!["soft", "uses"], &[][..]));
    assert_eq!(library.assemble("outer", outer, &LIMITS).expect("a graph").nodes()[0].name, "a/a/a");
    // Operations need no folder.
    let plain = graph(SOFT);
    assert!(Library::load_for(&plain, &dir.path().join("no"), Arc::new(catalogue()), &LIMITS).is_ok());
}
