//! Operations of two pictures on both engines, where the two are of different kinds: grey beside colour, alpha on one side
//! alone, 16 bits, and light beyond white.

use imgflo_ops::{Format, Image, Rect};
use serde_json::{Value as Json, json};

use super::differences::{allowed, edge, iip};
use super::pictures::{self, Difference};
use super::{GEGL, NATIVE, graph, plan, render};

/// A component, and values of its properties by name.
type Step = (&'static str, &'static [(&'static str, f64)]);

/// Ways of a picture to its port: a name, and the processes in a row.
const WAYS: [(&str, &[Step]); 5] = [
    ("colour", &[]),
    ("grey", &[("gegl/gray", &[])]),
    ("faded", &[("gegl/opacity", &[("value", 0.5)])]),
    ("faded grey", &[("gegl/gray", &[]), ("gegl/opacity", &[("value", 0.5)])]),
    ("bright", &[("gegl/exposure", &[("exposure", 1.5)])]),
];

fn definition(component: &str, aux: &str, ways: [usize; 2]) -> Json {
    let mut processes = json!({
        "in": {"component": "gegl/nop"},
        "turn": {"component": "gegl/rotate-on-center"},
        "op": {"component": component},
    });
    let mut connections = vec![
        edge("in", "turn", "input"),
        iip(&json!(180), "turn", "degrees"),
        iip(&json!("nearest"), "turn", "sampler"),
    ];
    for ((port, start), way) in [("input", "in"), (aux, "turn")].into_iter().zip(ways) {
        let mut from = start.to_owned();
        for (index, (component, values)) in WAYS[way].1.iter().enumerate() {
            let name = format!("{port}{index}");
            processes[&name] = json!({"component": component});
            connections.push(edge(&from, &name, "input"));
            connections.extend(values.iter().map(|(property, value)| iip(&json!(value), &name, property)));
            from = name;
        }
        connections.push(edge(&from, "op", port));
    }
    json!({
        "inports": {"input": {"process": "in", "port": "input"}},
        "outports": {"output": {"process": "op", "port": "output"}},
        "processes": processes,
        "connections": connections,
    })
}

/// Sixteen bits a channel, which most pixels need.
fn deep() -> Image {
    let rect = Rect::sized(29, 23);
    let value = |i: u64, c: u64| ((i * 7919 + c * 104_729) % 65_536) as f32 / 65_535.0;
    let pixels = (0..rect.area()).map(|i| [value(i, 0), value(i, 1), value(i, 2), 1.0]).collect();
    Image::from_float(rect, Format::GAM_OPAQUE, pixels)
}

#[test]
fn pictures_of_different_kinds_meet_the_same_on_both_engines() {
    let gegl = GEGL.gegl().expect("it was asked for");
    let mut inputs = pictures::all();
    inputs.retain(|(name, _)| ["photo", "noise"].contains(name));
    inputs.push(("deep", deep()));
    let (mut operations, mut cases) = (0, 0);
    let mut faults = Vec::new();
    for info in NATIVE.infos().filter(|info| info.inputs.len() == 2 && gegl.has(info.name)) {
        operations += 1;
        for ways in (0..WAYS.len()).flat_map(|a| (0..WAYS.len()).map(move |b| [a, b])) {
            let json = definition(info.name, info.inputs[1].name, ways);
            let (ours, theirs) = (graph(info.name, &json, &NATIVE), graph(info.name, &json, &GEGL));
            for (picture, image) in &inputs {
                let rendered = |graph, catalogue| {
                    let plan = plan(graph, &[], Some(image), catalogue);
                    render(&plan.unwrap_or_else(|error| panic!("{}: {error}", info.name)), Some(image))
                };
                let (a, b) = (rendered(&ours, &NATIVE), rendered(&theirs, &GEGL));
                let case = || format!("{} of {} and {}, {picture}", info.name, WAYS[ways[0]].0, WAYS[ways[1]].0);
                cases += 1;
                if a.rect() != b.rect() {
                    faults.push(format!("{}: {:?}, {:?}", case(), a.rect(), b.rect()));
                    continue;
                }
                let difference = Difference::between(&a, &b);
                let (max, mean) = allowed(info.name);
                if difference.max > max + 1e-9 || difference.mean() > mean {
                    faults.push(format!("{}: {:.1}, {:.3}", case(), difference.max, difference.mean()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} of {cases}: {faults:#?}", faults.len());
    assert!(operations >= 20, "{operations} operations");
    assert_eq!(cases, operations * WAYS.len() * WAYS.len() * inputs.len());
}
