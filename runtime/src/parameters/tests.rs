use serde_json::json;

use crate::testing::{LIMITS, arguments, catalogue, graph, image_graph};
use crate::{Arguments, ImageGraph, Plan};

/// A graph with a parameter of each type; metadata as in a JSON file.
fn all_types() -> ImageGraph {
    image_graph(
        "INPORT=a.INPUT:INPUT\nINPORT=a.MODE:MODE\nINPORT=a.TINT:TINT\nINPORT=a.ON:ON\nINPORT=a.STEPS:STEPS\n\
         INPORT=b.AMOUNT:AMOUNT\nINPORT=c.GAIN:GAIN\nOUTPORT=c.OUTPUT:OUTPUT\n\
         a(test/mode) OUTPUT -> INPUT b(test/add) OUTPUT -> INPUT c(test/light)\n7 -> STEPS a",
    )
}

fn with_metadata(port: &str, metadata: &serde_json::Value) -> Result<ImageGraph, Vec<crate::GraphFault>> {
    let mut graph = graph(
        "INPORT=a.INPUT:INPUT\nINPORT=a.MODE:MODE\nINPORT=a.STEPS:STEPS\nINPORT=b.AMOUNT:AMOUNT\n\
         OUTPORT=b.OUTPUT:OUTPUT\na(test/mode) OUTPUT -> INPUT b(test/add)",
    );
    graph.inports[port].metadata = metadata.as_object().expect("an object").clone();
    ImageGraph::new("narrowed", graph, &catalogue(), &LIMITS)
}

fn faults(graph: &ImageGraph, given: &[(&str, &str)]) -> Vec<String> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    graph.arguments(&given).expect_err("faults").iter().map(ToString::to_string).collect()
}

#[test]
fn parameters_describe_themselves() {
    let graph = all_types();
    let parameters = serde_json::to_value(graph.parameters()).expect("JSON");
    assert_eq!(
        parameters[0],
        json!({"name": "mode", "type": "enum", "description": "What to do", "default": "none", "values": ["none", "all"]})
    );
    assert_eq!(
        parameters[1],
        json!({"name": "tint", "type": "color", "description": "A colour", "default": "#ffffffff"})
    );
    assert_eq!(parameters[2], json!({"name": "on", "type": "boolean", "description": "A switch", "default": false}));
    assert_eq!(
        parameters[3],
        json!({"name": "steps", "type": "int", "description": "An int", "default": 7, "minimum": 0.0, "maximum": 32.0}),
        "the default is the IIP"
    );
    assert_eq!(
        parameters[5],
        json!({"name": "gain", "type": "number", "description": "A number", "default": 2.0, "minimum": 0.0}),
        "an unbounded side is left away"
    );
    assert_eq!(
        parameters[7],
        json!({"name": "width", "type": "int", "description": "Requested output width", "minimum": 0.0, "maximum": 9000.0})
    );
}

#[test]
fn spellings_of_one_request_are_one_text() {
    let graph = all_types();
    let text = |given: &[(&str, &str)]| arguments(&graph, given).canonical();
    for same in ["300", "0300", "+300", "300.0", " 300 ", "3e2"] {
        assert_eq!(text(&[("width", same)]), r#"[["","width",300]]"#, "{same}");
    }
    // The original's clients compute sizes and send what comes out.
    for same in ["299.5", "300.4999", "3.004375e2"] {
        assert_eq!(text(&[("width", same)]), r#"[["","width",300]]"#, "{same}");
    }
    assert_eq!(text(&[("height", "323.4375")]), text(&[("height", "323")]));
    for (fraction, whole) in [("0.2", "1"), ("1e-1", "1"), ("6.5", "7"), ("7.4", "7")] {
        assert_eq!(text(&[("width", fraction)]), text(&[("width", whole)]), "{fraction}");
        assert_eq!(text(&[("steps", fraction)]), text(&[("steps", whole)]), "{fraction}");
    }
    for same in ["0.5", ".5", "0.50", "5e-1", "+0.5"] {
        assert_eq!(text(&[("amount", same)]), r#"[["b","amount",0.5]]"#, "{same}");
    }
    assert_eq!(text(&[("amount", "0")]), text(&[("amount", "-0")]));
    for same in ["#f00", "#F00F", "#ff0000", "#FF0000ff"] {
        assert_eq!(text(&[("tint", same)]), r##"[["a","tint","#ff0000ff"]]"##, "{same}");
    }
    assert_eq!(text(&[("on", "1")]), text(&[("on", "True")]));
    assert_eq!(text(&[("amount", "0.5"), ("mode", "all")]), text(&[("mode", "all"), ("amount", "0.5")]));
    assert_ne!(text(&[("width", "300")]), text(&[("height", "300")]));
}

#[test]
fn what_changes_nothing_is_not_in_the_text() {
    let graph = all_types();
    let nothing = arguments(&graph, &[]).canonical();
    for (name, value) in [
        ("width", "0"),
        ("width", "-1"),
        ("width", ""),
        ("height", "-1.0"),
        ("amount", " "),
        ("amount", "0.25"),
        ("steps", "7"),
        ("mode", "none"),
        ("tint", "#fff"),
        ("on", "false"),
    ] {
        assert_eq!(arguments(&graph, &[(name, value)]).canonical(), nothing, "{name}={value}");
    }
    assert_ne!(arguments(&graph, &[("steps", "4")]).canonical(), nothing, "the operation's default is not the graph's");
}

#[test]
fn all_faults_come_at_once() {
    let graph = all_types();
    let found = faults(
        &graph,
        &[
            ("amount", "lots"),
            ("steps", "99"),
            ("mode", "ALL"),
            ("tint", "grue"),
            ("on", "maybe"),
            ("gain", "-1"),
            ("width", "9001"),
            ("height", "-2"),
            ("with", "3"),
        ],
    );
    assert_eq!(
        found,
        [
            "amount: 'lots' is no number",
            "gain: -1 is less than 0",
            "height: -2 is outside 0 to 9000",
            "mode: 'ALL' is no value of the enum (none, all)",
            "on: 'maybe' is no boolean (true or false)",
            "steps: 99 is outside 0 to 32",
            &found[6].clone(),
            "width: 9001 is outside 0 to 9000",
            "with: there is no such parameter; did you mean 'width'? (there are: mode, tint, on, steps, amount, gain, height, width)",
        ]
    );
    assert!(found[6].starts_with("tint: 'grue' is no color"), "{}", found[6]);
    for odd in ["NaN", "inf", "1e999", "0x10", "1,5", "٣", "-0.6", "9000.5"] {
        assert_eq!(faults(&graph, &[("width", odd)]).len(), 1, "{odd}");
    }
    assert_eq!(faults(&graph, &[("input", "x")]).len(), 1, "the input is no parameter");
    let long = "9".repeat(10_000);
    assert!(faults(&graph, &[("amount", &long), (&long, "1")]).iter().all(|fault| fault.len() < 400));
}

#[test]
fn hand_written_metadata_narrows() {
    let graph =
        with_metadata("amount", &json!({"minimum": 0, "maximum": 0.5, "description": "How much"})).expect("a graph");
    let parameter = &graph.parameters()[2];
    assert_eq!(
        (parameter.minimum, parameter.maximum, parameter.description.as_str()),
        (Some(0.0), Some(0.5), "How much")
    );
    assert_eq!(faults(&graph, &[("amount", "0.6")]), ["amount: 0.6 is outside 0 to 0.5"]);
    assert_eq!(
        faults(&graph, &[("amount", "-5")]),
        ["amount: -5 is outside 0 to 0.5"],
        "the narrower range, though it breaks both"
    );
    arguments(&graph, &[("amount", "0.5")]);

    let graph = with_metadata("amount", &json!({"minimum": -1000, "maximum": 1000})).expect("a graph");
    assert_eq!(faults(&graph, &[("amount", "2")]), ["amount: 2 is outside -1 to 1"], "never wider");

    let graph = with_metadata("mode", &json!({"values": ["all"]})).expect("a graph");
    assert_eq!(faults(&graph, &[("mode", "none")]), ["mode: 'none' is none of all"]);
    let graph = with_metadata("steps", &json!({"values": [1, 2, "4"]})).expect("a graph");
    assert_eq!(graph.parameters()[1].values, Some(vec![1.into(), 2.into(), 4.into()]));
    arguments(&graph, &[("steps", "4.0")]);
    assert_eq!(faults(&graph, &[("steps", "3")]), ["steps: '3' is none of 1, 2, 4"]);

    for (port, wrong, expected) in [
        (
            "amount",
            json!({"minimum": 0.5, "maximum": 0.25}),
            "inports.amount: its minimum 0.5 is above its maximum 0.25",
        ),
        ("amount", json!({"minimum": "low"}), "inports.amount: its minimum \"low\" is no number"),
        (
            "mode",
            json!({"values": ["most"]}),
            "inports.mode: one of its values: 'most' is no value of the enum (none, all)",
        ),
        ("mode", json!({"values": []}), "inports.mode: its values are an empty list"),
        ("mode", json!({"values": {}}), "inports.mode: its values {} are no list"),
    ] {
        let found = with_metadata(port, &wrong).expect_err("faulty metadata");
        assert_eq!(found[0].to_string(), expected);
    }
}

#[test]
fn the_last_of_several_names_for_one_port_holds() {
    let graph =
        image_graph("INPORT=a.INPUT:INPUT\nINPORT=a.BY:ONE\nINPORT=a.BY:OTHER\nOUTPORT=a.OUTPUT:OUTPUT\na(test/grow)");
    let size = |given: &[(&str, &str)]| {
        let input = crate::testing::picture(4, 4);
        crate::testing::plan_with(&graph, given, &input).map(|plan: Plan| plan.output().width)
    };
    assert_eq!(size(&[("one", "3")]), Ok(10));
    assert_eq!(size(&[("one", "3"), ("other", "2")]), Ok(8));
    // The default is 1, and it was asked for: what comes last holds, whatever it is.
    assert_eq!(size(&[("one", "3"), ("other", "1")]), Ok(6));
    let text = |given: &[(&str, &str)]| arguments(&graph, given).canonical();
    assert_eq!(text(&[("one", "3"), ("other", "1")]), text(&[]));
    assert_eq!(text(&[("one", "3")]), text(&[("other", "3")]), "the same picture, the same text");
    assert_eq!(Arguments::default().canonical(), "[]");
}
