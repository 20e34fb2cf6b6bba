//! Shipped graphs under the original's names against GEGL running the original's graphs.

use std::sync::Arc;

use imgflo_runtime::{Catalogue, Library, PlanError};
use imgflo_tests::{corpus, repository};
use serde_json::Value as Json;

use super::pictures::{self, Difference, boxes_agree};
use super::{GEGL, LIMITS, NATIVE, graph, plan, render};

/// Operations that GEGL lacks, by name in the original's graphs, and the operation of GEGL that gives their picture
/// where a graph sets nothing. `None` where there is none: such graphs are compared on the native engine alone.
const LACKING: [(&str, Option<&str>); 3] =
    [("imgflo/example", Some("gegl/gray")), ("gegl/gradient-map", None), ("imgfloextra/retro-curve", None)];

/// Graphs that may be farther off than 2, with their largest and mean difference; see docs/ENGINES.md.
const FARTHER: [(&str, f64, f64); 3] =
    [("desaturate", 130.0, 10.0), ("enhancelowres", 60.0, 0.5), ("halodarken", 10.0, 0.5)];

/// Values that old addresses give.
const GIVEN: [(&str, &[(&str, &str)]); 12] = [
    ("passthrough", &[("ignored", "any text")]),
    ("crop", &[("x", "10"), ("y", "-3"), ("cropwidth", "20"), ("cropheight", "40")]),
    ("croprotate", &[("degrees", "30")]),
    ("croprotate", &[("degrees", "90"), ("x", "0"), ("y", "0"), ("cropwidth", "20"), ("cropheight", "10")]),
    ("gaussianblur", &[("std-dev-x", "9"), ("std-dev-y", "0"), ("abyss-policy", "none")]),
    ("gradientmap", &[("color1", "#204060"), ("stop2", "0.6"), ("srgb", "true"), ("opacity", "0.5")]),
    ("halodarken", &[("strength", "0.3"), ("edgeblur-x", "2"), ("edgeblur-y", "4")]),
    (
        "motionblur",
        &[("length", "12"), ("angle", "30"), ("contrast", "1"), ("brightness", "-0.1"), ("strength", "0.6")],
    ),
    ("enhancelowres", &[("iterations", "1")]),
    ("retro", &[("preset", "batcave"), ("strength", "1"), ("srgb", "false")]),
    ("desaturate", &[("grainsize", "20"), ("samples", "3")]),
    ("customgrey", &[]),
];

fn library(catalogue: &Catalogue) -> Library {
    Library::load(&repository().join("graphs"), Arc::new(catalogue.clone()), &LIMITS).expect("the folder")
}

#[test]
fn old_names_are_the_old_filters() {
    let shipped = library(&NATIVE);
    let pictures = pictures::all();
    let (mut graphs, mut on_gegl) = (0, 0);
    let mut faults = Vec::new();
    for file in corpus("tests/originals", &["json"], 11) {
        let name = file.file_stem().expect("a name").to_str().expect("plain").to_owned();
        let text = std::fs::read_to_string(&file).expect("read");
        let ours = shipped.get(&name).unwrap_or_else(|| panic!("{name} is not shipped"));
        let original: Json = serde_json::from_str(&text).expect("JSON");
        let natively = graph(&name, &original, &NATIVE);
        let parameters = |graph: &imgflo_runtime::ImageGraph| {
            let all = graph.parameters().iter();
            all.map(|p| (p.name.clone(), p.type_name.clone(), p.default.as_ref().map(Json::to_string)))
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(parameters(&ours), parameters(&natively), "{name}");
        let lacking = LACKING.iter().filter(|(operation, _)| text.contains(operation)).collect::<Vec<_>>();
        let there = lacking.iter().all(|(_, instead)| instead.is_some());
        let theirs = there.then(|| {
            let text = lacking.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to.unwrap_or(*from)));
            graph(&name, &serde_json::from_str(&text).expect("JSON"), &GEGL)
        });
        graphs += 1;
        on_gegl += usize::from(theirs.is_some());
        let given = GIVEN.iter().filter(|(graph, _)| *graph == name).map(|(_, given)| *given).chain([&[][..]]);
        for given in given {
            for (picture, image) in &pictures[..5] {
                let rendered = |graph, catalogue| match plan(graph, given, Some(image), catalogue) {
                    Ok(plan) => Some(render(&plan, Some(image))),
                    Err(PlanError::NoPicture { .. }) => None,
                    Err(error) => panic!("{name} {given:?}: {error}"),
                };
                let Some(found) = rendered(&ours, &NATIVE) else { continue };
                let same = rendered(&natively, &NATIVE).expect("a picture");
                assert!(found == same, "{name} {given:?} of {picture} is another graph than the original's");
                let Some(expected) = theirs.as_ref().and_then(|graph| rendered(graph, &GEGL)) else { continue };
                if !boxes_agree(found.rect(), expected.rect()) {
                    faults.push(format!("{name} {given:?} of {picture}: {:?}, {:?}", found.rect(), expected.rect()));
                    continue;
                }
                let difference = Difference::between(&found, &expected);
                let (max, mean) = FARTHER
                    .iter()
                    .find(|(graph, ..)| *graph == name)
                    .map_or((2.0, 0.5), |(_, max, mean)| (*max, *mean));
                println!("{name} {given:?} {picture}: {:.1} {:.3}", difference.max, difference.mean());
                if difference.max > max + 1e-9 || difference.mean() > mean {
                    faults.push(format!(
                        "{name} {given:?} of {picture}: {:.1}, {:.3}",
                        difference.max,
                        difference.mean()
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!((graphs, on_gegl), (11, 9));
}
