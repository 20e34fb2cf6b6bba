//! Golden pictures: each shipped graph against a reference that a person looked at.
//!
//! `IMGFLO_BLESS=1` writes the references anew; the run then fails, so that it can never pass for
//! a check. Look at `tests/golden/*.png` before committing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use imgflo_fbp::{Graph, ParseOptions};
use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Image, Rect};
use imgflo_runtime::{
    Catalogue, Control, Engine, ImageGraph, InputShape, LibraryLimits, NativeEngine, Plan, PlanLimits,
};
use imgflo_tests::golden::{decode, distance};
use imgflo_tests::{repository, sample};

/// Name of the reference, graph, sample, parameters, and the largest and mean distance allowed.
/// The program is deterministic; what is allowed covers other processors' arithmetic.
type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], u8, f64);

const CASES: &[Case] = &[
    ("blurredbackdrop", "blurredbackdrop", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("passthrough", "passthrough", "lake.jpg", &[("width", "240")], 1, 0.05),
    ("passthrough-up", "passthrough", "card.png", &[("width", "900")], 1, 0.05),
    ("passthrough-alpha", "passthrough", "leaf.png", &[("height", "160")], 1, 0.05),
    (
        "crop",
        "crop",
        "marbles.jpg",
        &[("x", "300"), ("y", "200"), ("cropwidth", "200"), ("cropheight", "150")],
        1,
        0.05,
    ),
    (
        "crop-outside",
        "crop",
        "leaf.png",
        &[("width", "200"), ("x", "-20"), ("y", "-20"), ("cropwidth", "240"), ("cropheight", "240")],
        1,
        0.05,
    ),
    ("tiltedcrop", "tiltedcrop", "marbles.jpg", &[("width", "240"), ("degrees", "30")], 1, 0.05),
    ("tiltedcrop-90", "tiltedcrop", "card.png", &[("width", "200"), ("degrees", "90")], 1, 0.05),
    ("customgrey", "customgrey", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("desaturate", "desaturate", "lake.jpg", &[("width", "240")], 2, 0.1),
    ("duotone", "duotone", "marbles.jpg", &[("width", "240")], 2, 0.1),
    ("denoise", "denoise", "lake.jpg", &[("width", "240")], 4, 0.1),
    ("framedthumbnail", "framedthumbnail", "lake.jpg", &[("width", "200")], 1, 0.05),
    (
        "framedthumbnail-alpha",
        "framedthumbnail",
        "leaf.png",
        &[("width", "160"), ("frame", "6"), ("framecolor", "#204020")],
        1,
        0.05,
    ),
    ("gaussianblur", "gaussianblur", "marbles.jpg", &[("width", "240")], 1, 0.05),
    (
        "gaussianblur-alpha",
        "gaussianblur",
        "leaf.png",
        &[("width", "160"), ("std-dev-x", "12"), ("std-dev-y", "0.7")],
        1,
        0.05,
    ),
    ("sunset", "sunset", "lake.jpg", &[("width", "240")], 2, 0.1),
    ("edgeshadow", "edgeshadow", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("smear", "smear", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("oldfilm", "oldfilm", "marbles.jpg", &[("width", "240")], 2, 0.1),
    ("oldfilm-batcave", "oldfilm", "lake.jpg", &[("width", "240"), ("preset", "batcave"), ("strength", "1")], 2, 0.1),
    ("oldfilm-country", "oldfilm", "lake.jpg", &[("width", "240"), ("preset", "country"), ("strength", "1")], 2, 0.1),
    ("oldfilm-prog", "oldfilm", "lake.jpg", &[("width", "240"), ("preset", "prog"), ("strength", "1")], 2, 0.1),
    ("sharpen", "sharpen", "marbles.jpg", &[("width", "240"), ("amount", "2")], 1, 0.05),
    ("softfocus", "softfocus", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("vignette", "vignette", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("croprotate", "croprotate", "marbles.jpg", &[("width", "240"), ("degrees", "30")], 1, 0.05),
    (
        "croprotate-cut",
        "croprotate",
        "card.png",
        &[("width", "200"), ("degrees", "90"), ("x", "20"), ("y", "-20"), ("cropwidth", "80"), ("cropheight", "120")],
        1,
        0.05,
    ),
    ("enhancelowres", "enhancelowres", "lake.jpg", &[("width", "240")], 4, 0.1),
    ("gradientmap", "gradientmap", "lake.jpg", &[("width", "240")], 2, 0.1),
    (
        "gradientmap-colours",
        "gradientmap",
        "leaf.png",
        &[("width", "160"), ("color1", "#14213d"), ("color2", "#fff3d6"), ("srgb", "true"), ("opacity", "0.8")],
        2,
        0.1,
    ),
    ("halodarken", "halodarken", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("motionblur", "motionblur", "marbles.jpg", &[("width", "240")], 1, 0.05),
    ("retro", "retro", "marbles.jpg", &[("width", "240")], 2, 0.1),
];

fn render(graph: &str, input: &str, parameters: &[(&str, &str)]) -> Image {
    let catalogue = Arc::new(Catalogue::native());
    let folder = repository().join("graphs");
    let json = folder.join(format!("{graph}.json"));
    let definition = if json.is_file() {
        Graph::from_json_str(&std::fs::read_to_string(json).unwrap()).unwrap()
    } else {
        let text = std::fs::read_to_string(folder.join(format!("{graph}.fbp"))).unwrap();
        imgflo_fbp::parse(&text, &ParseOptions::default()).unwrap()
    };
    let graph =
        ImageGraph::new(graph, definition, &catalogue, &LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 }).unwrap();
    let parameters: BTreeMap<String, String> = parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let arguments = graph.arguments(&parameters).unwrap();
    let image = decode(&std::fs::read(sample(input)).unwrap());
    let limits = PlanLimits { max_output_pixels: 25_000_000, max_memory: 1 << 31 };
    let plan = Plan::new(
        &graph,
        &arguments,
        Some(InputShape::new(image.rect().width, image.rect().height, image.format())),
        &catalogue,
        &limits,
    )
    .unwrap();
    let control = Control { cancel: Cancel::new(), progress: None };
    NativeEngine::new(2).render(&plan, Some(image), &control).unwrap()
}

#[test]
fn every_graph_looks_as_it_did() {
    let folder = repository().join("tests/golden");
    let bless = std::env::var("IMGFLO_BLESS").is_ok_and(|v| v == "1");
    let mut far = Vec::new();
    for (name, graph, input, parameters, max, mean) in CASES {
        let image = render(graph, input, parameters);
        let file = folder.join(format!("{name}.png"));
        if bless {
            let options = EncodeOptions::new(FileFormat::Png, 100);
            std::fs::write(&file, codec::encode(&image, options, &Cancel::new()).unwrap()).unwrap();
            continue;
        }
        let reference = decode(&std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
        match distance(&image, &reference) {
            Some(d) if d.max <= *max && d.mean <= *mean => {}
            other => far.push(format!("{name}: {other:?}, allowed {max} and {mean}")),
        }
    }
    assert!(!bless, "references are written; look at them, then run without IMGFLO_BLESS");
    assert!(far.is_empty(), "{far:#?}");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), CASES.len(), "a reference without a case");
}

#[test]
fn the_distance_is_calibrated() {
    let flat = |v: [u8; 4]| Image::from_rgba8(Rect::sized(2, 2), vec![v; 4]);
    let a = flat([100, 100, 100, 255]);
    assert_eq!(distance(&a, &a).unwrap().max, 0);
    let d = distance(&a, &flat([101, 100, 100, 255])).unwrap();
    assert_eq!((d.max, d.mean), (1, 0.25));
    let d = distance(&a, &flat([100, 100, 100, 155])).unwrap();
    assert_eq!((d.max, d.mean), (100, 25.0));
    assert_eq!(distance(&flat([9, 9, 9, 0]), &flat([200, 0, 0, 0])).unwrap().max, 0, "hidden colour does not count");
    assert!(distance(&a, &Image::from_rgba8(Rect::sized(4, 1), vec![[0; 4]; 4])).is_none());
}
