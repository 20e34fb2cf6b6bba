use super::*;
use crate::testing::{LIMITS, catalogue, faults, filter, graph, image_graph};

const HEAD: &str = "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n";

#[track_caller]
fn assert_fault(text: &str, expected: &str) {
    let found = faults(text);
    assert_eq!(found, [expected]);
}

#[test]
fn unknown_components_and_ports_name_the_nearest() {
    assert_fault(&format!("{HEAD}a(test/ad)"), "processes.a: unknown component 'test/ad'; did you mean 'test/add'?");
    assert_fault(&format!("{HEAD}a(x/zzz)"), "processes.a: unknown component 'x/zzz'");
    assert_fault(
        &format!("{HEAD}1 -> AMOUN a(test/add)"),
        "connections[0].tgt: test/add has no inport 'amoun'; did you mean 'amount'? (there are: input, amount)",
    );
    assert_fault(
        &format!("{HEAD}a(test/add) RESULT -> INPUT b(test/add)"),
        "connections[0].src: test/add has no outport 'result', only 'output'",
    );
    let long = "x".repeat(10_000);
    let found = faults(&format!("{HEAD}a({long})"));
    assert!(found[0].len() < 300, "{found:?}");
}

#[test]
fn ports_take_either_pictures_or_values() {
    assert_fault(
        &format!("{HEAD}a(test/add) OUTPUT -> AMOUNT b(test/add)\nc(test/fill) OUTPUT -> INPUT b"),
        "connections[0].tgt: port 'amount' takes a value, and a picture is sent to it",
    );
    assert_fault(
        &format!("{HEAD}a(test/join)\n5 -> AUX a"),
        "connections[0].tgt: port 'aux' takes a picture, not a value",
    );
    assert_fault(
        "INPORT=a.INPUT:INPUT\nINPORT=a.AUX:OTHER\nOUTPORT=a.OUTPUT:OUTPUT\na(test/join)",
        "inports.other: leads to a port for pictures; only the inport 'input' may",
    );
    let found = faults("INPORT=a.AMOUNT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/add)");
    assert_eq!(found[0], "inports.input: leads to 'amount', which takes no picture");
    assert_fault(
        &format!("{HEAD}a(test/add)\nb(test/fill) OUTPUT -> INPUT[2] c(test/add)"),
        "connections[0].tgt: port 'input' is no array: leave its index away",
    );
}

#[test]
fn an_input_pad_has_one_edge() {
    assert_fault(
        &format!("{HEAD}a(test/add)\nb(test/fill) OUTPUT -> INPUT a"),
        "inports.input: a second picture for port 'input', which takes one",
    );
    assert_fault(
        &format!("{HEAD}a(test/add) OUTPUT -> INPUT c(test/add)\nb(test/fill) OUTPUT -> INPUT c"),
        "connections[1].tgt: a second picture for port 'input', which takes one",
    );
    assert_fault(
        "OUTPORT=a.OUTPUT:OUTPUT\na(test/add)",
        "processes.a: nothing is connected to its port 'input', and it is not exported as 'input'",
    );
    assert_fault(
        &format!("{HEAD}a(test/add)\n0.5 -> AMOUNT a\n0.25 -> AMOUNT a"),
        "connections[1].tgt: a second value for port 'amount'",
    );
}

#[test]
fn literals_are_read_clamped_or_refused() {
    let value = |literal: &str| {
        let graph = filter("a", "a", &format!("a(test/add)\n{literal} -> AMOUNT a"));
        graph.nodes()[0].properties.number("amount")
    };
    assert_eq!(value("0.5"), 0.5);
    assert_eq!(value("'0.5'"), 0.5);
    assert_eq!(value("7"), 1.0, "out of range is clamped, as GEGL does");
    assert_eq!(value("-1e300"), -1.0);
    assert_fault(
        &format!("{HEAD}a(test/add)\n'much' -> AMOUNT a"),
        "connections[0].tgt: port 'amount': 'much' is no number",
    );
    let found =
        faults(&format!("{HEAD}a(test/mode)\n'some' -> MODE a\n'grue' -> TINT a\n[1] -> STEPS a\n'1e99' -> ON a"));
    assert_eq!(found.len(), 4, "{found:#?}");
    let clamped = filter("a", "a", "a(test/mode)\n1e99 -> STEPS a");
    assert_eq!(clamped.nodes()[0].properties.int("steps"), 32);
}

#[test]
fn cycles_are_refused_and_named() {
    assert_fault(
        "OUTPORT=a.OUTPUT:OUTPUT\na(test/add) OUTPUT -> INPUT b(test/add) OUTPUT -> INPUT c(test/add) OUTPUT -> INPUT a\n\
         c OUTPUT -> INPUT d(test/add)",
        "processes.a: a cycle: a -> b -> c -> a",
    );
    assert_fault("OUTPORT=a.OUTPUT:OUTPUT\na(test/add) OUTPUT -> INPUT a", "processes.a: a cycle: a -> a");
    // A long one overflows no stack and fills no message.
    let ring = (0..300).map(|i| format!("n{i}(test/add) OUTPUT -> INPUT n{}(test/add)\n", (i + 1) % 300));
    let found = faults(&format!("OUTPORT=n0.OUTPUT:OUTPUT\n{}", ring.collect::<String>()));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("a cycle: ") && found[0].len() < 200, "{found:?}");
}

#[test]
fn an_output_is_needed() {
    assert_fault(
        "INPORT=a.INPUT:INPUT\na(test/add)",
        "outports.output: an image graph exports the picture it makes as 'output'",
    );
    assert_fault(
        "INPORT=a.INPUT:INPUT\nOUTPORT=a.INPUT:OUTPUT\na(test/add)",
        "outports.output: test/add has no outport 'input', only 'output'",
    );
}

#[test]
fn limits_and_runtimes_are_checked() {
    let limits = LibraryLimits { max_nodes: 1, ..LIMITS };
    let two = graph(&format!("{HEAD}a(test/add) OUTPUT -> INPUT b(test/add)"));
    let found = ImageGraph::new("two", two, &catalogue(), &limits).expect_err("too many");
    assert_eq!(found[0].message, "2 processes are more than the limit of 1 in a graph (IMGFLO_MAX_GRAPH_NODES)");
    assert_eq!(
        faults("# @runtime msgflo\n")[0],
        "properties.environment.type: 'msgflo' is no runtime for pictures: imgflo or noop"
    );
    assert_eq!(faults("# @runtime noop\na(test/add)\n")[0], "processes: a noop graph has none");
}

#[test]
fn a_noop_graph_has_no_parameters() {
    let noop = image_graph("# @runtime noop\n");
    assert_eq!((noop.runtime(), noop.takes_input()), (RuntimeKind::Noop, true));
    assert!(noop.parameters().is_empty() && noop.definition().inports.is_empty());
    let given = [("width".to_owned(), "3".to_owned())].into();
    let found = noop.arguments(&given).expect_err("no parameters");
    assert_eq!(found[0].to_string(), "width: there is no such parameter: this graph takes none");
}

#[test]
fn the_definition_has_information_and_the_hosts_ports() {
    let filter = filter("a", "a", "INPORT=a.AMOUNT:STRENGTH\nINPORT=a.AMOUNT:WIDTH\na(test/add)\n0.5 -> AMOUNT a");
    let definition = filter.definition();
    let port = |name: &str| Json::Object(definition.inports[name].metadata.clone());
    assert_eq!(
        port("strength"),
        serde_json::json!({"default": 0.5, "type": "number", "description": "A number", "minimum": -1, "maximum": 1})
    );
    assert_eq!(port("input"), serde_json::json!({"type": "buffer", "description": "Image buffer"}));
    let side = |name: &str| serde_json::json!({"type": "int", "description": format!("Requested output {name}"), "minimum": 0, "maximum": 9000});
    assert_eq!((port("width"), port("height")), (side("width"), side("height")));
    let aim = |name: &str| (definition.inports[name].process.as_str(), definition.inports[name].port.as_str());
    assert_eq!((aim("width"), aim("height")), (("rescale", "x"), ("rescale", "y")));
    assert_eq!(filter.flat().inports["width"].process, "a", "as written");
    let names = filter.parameters().iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["strength", "height", "width"]);
    assert!(definition.validate().iter().all(|fault| fault.message.contains("\"rescale\"")));

    let source = image_graph("OUTPORT=a.OUTPUT:OUTPUT\na(test/fill)");
    assert!(source.definition().validate().is_empty());
    assert_eq!(source.definition().inports["width"].process, "");
}

#[test]
fn content_is_the_same_from_both_forms_and_knows_revisions() {
    let text = format!("# @runtime imgflo\n{HEAD}a(test/add) OUTPUT -> INPUT b(test/peak)\n0.5 -> AMOUNT a\n");
    let from_fbp = image_graph(&text);
    let mut json = graph(&text).to_json();
    json["processes"]["a"]["metadata"] = serde_json::json!({"x": 100, "y": 17});
    json["properties"]["description"] = "Brighter".into();
    let from_json = Graph::from_json_str(&json.to_string()).expect("a graph");
    let from_json = ImageGraph::new("other", from_json, &catalogue(), &LIMITS).expect("a graph");
    assert_eq!(from_fbp.content(), from_json.content());
    let operations = "\nimgflo/resize@1\ntest/add@3\ntest/peak@1\nhost-ports@1\nplans@3";
    assert!(from_fbp.content().ends_with(operations), "{}", from_fbp.content());
    let other = image_graph(&text.replace("0.5", "0.6"));
    assert_ne!(from_fbp.content(), other.content());
    assert_ne!(image_graph("# @runtime noop\n").content(), from_fbp.content());
}

#[test]
fn ports_are_compared_in_any_case_unless_the_graph_says_otherwise() {
    let mut upper = graph(&format!("{HEAD}a(test/add)\n0.5 -> AMOUNT a"));
    upper.connections[0].tgt.port = "AMOUNT".into();
    assert!(ImageGraph::new("upper", upper.clone(), &catalogue(), &LIMITS).is_ok());
    upper.case_sensitive = true;
    assert!(ImageGraph::new("upper", upper, &catalogue(), &LIMITS).is_err());
}
