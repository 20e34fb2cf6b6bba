//! Fast paths: the same graph with and without them gives the same picture, within a tolerance.

use std::path::Path;
use std::sync::Arc;

use imgflo_runtime::fbp::Graph;
use imgflo_runtime::ops::codec::{self, DecodeLimits, EncodeOptions, FileFormat, Part};
use imgflo_runtime::ops::{Cancel, Image, Pixels, Rect};
use imgflo_runtime::{
    Catalogue, Control, Engine, ImageGraph, InputShape, Library, LibraryLimits, NativeEngine, Plan, PlanError,
    PlanLimits, read_input,
};

pub(super) const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
const PLAN_LIMITS: PlanLimits = PlanLimits { max_output_pixels: 25_000_000, max_memory: 3 << 30 };
pub(super) const DECODE_LIMITS: DecodeLimits = DecodeLimits::new(1 << 26, 1 << 15);

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The picture of a graph on a file, read by part or as a whole, and the plan of the former.
pub(super) fn both(graph: &ImageGraph, given: &[(&str, &str)], bytes: &[u8]) -> Option<(Image, Image, Plan)> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let arguments = graph.arguments(&given).unwrap();
    let header = codec::read_header(bytes).unwrap();
    let (catalogue, engine, cancel) = (Catalogue::native(), NativeEngine::new(2), Cancel::new());
    let control = Control { cancel: cancel.clone(), progress: None };
    let plan = |shape| match Plan::new(graph, &arguments, Some(shape), &catalogue, &PLAN_LIMITS) {
        Ok(plan) => Some(plan),
        Err(PlanError::NoPicture { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    let whole = InputShape::new(header.width, header.height, header.pixel_format());
    let (fast, slow) = match (plan(InputShape::from(&header)), plan(whole)) {
        (Some(fast), Some(slow)) => (fast, slow),
        (None, None) => return None,
        (fast, slow) => panic!("only one makes a picture: {fast:?} {slow:?}"),
    };
    let (fast, input) = read_input(fast, bytes, DECODE_LIMITS, &cancel, plan).unwrap();
    let found = engine.render(&fast, Some(input), &control).unwrap();
    let input = codec::decode(bytes, DECODE_LIMITS, &cancel).unwrap();
    let expected = engine.render(&slow, Some(input), &control).unwrap();
    assert_eq!((found.rect(), found.format()), (expected.rect(), expected.format()));
    Some((found, expected, fast))
}

pub(super) fn components(image: &Image) -> &[u8] {
    match image.pixels() {
        Pixels::Rgb8(pixels) => pixels.as_flattened(),
        Pixels::Rgba8(pixels) => pixels.as_flattened(),
        Pixels::Float(_) => panic!("plans end in bytes"),
    }
}

/// Peak signal-to-noise ratio, dB.
pub(super) fn psnr(one: &Image, other: &Image) -> f64 {
    let (one, other) = (components(one), components(other));
    let squares = one.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    10.0 * (255.0 * 255.0 / (squares.sum::<f64>() / one.len() as f64)).log10()
}

pub(super) fn library() -> Library {
    Library::load(&repository().join("graphs"), Arc::new(Catalogue::native()), &LIMITS).unwrap()
}

pub(super) fn photos() -> [Vec<u8>; 2] {
    ["lake.jpg", "marbles.jpg"].map(|name| std::fs::read(repository().join("files").join(name)).unwrap())
}

#[test]
fn a_photo_is_read_as_small_as_it_is_shown() {
    let library = library();
    let passthrough = library.get("passthrough").unwrap();
    let mut reduced = 0;
    for photo in photos() {
        let header = codec::read_header(&photo).unwrap();
        for (share, eighths) in
            [(0.9, 8), (0.5, 4), (0.4, 4), (0.3, 3), (0.25, 2), (0.2, 2), (0.124, 1), (0.07, 1), (0.03, 1)]
        {
            let width = (f64::from(header.width) * share).round().to_string();
            let (found, expected, plan) = both(&passthrough, &[("width", &width)], &photo).unwrap();
            // Just as small as it is wanted; where it has many edges twice as large.
            let twice = (1..=4).find(|eighths| f64::from(*eighths) >= 16.0 * share).unwrap_or(8);
            let read = plan.part().unwrap().eighths;
            assert!(read == eighths || read == twice || read == 8, "{read} is neither {eighths} nor {twice}: {plan}");
            reduced += u32::from(read < 8);
            let psnr = psnr(&found, &expected);
            assert!(psnr > if read == 8 { 99.0 } else { 42.0 }, "{share}: {psnr} dB");
        }
    }
    assert!(reduced > 10, "{reduced}");
}

#[test]
fn a_large_blur_reads_a_small_picture() {
    let library = library();
    let blur = library.get("gaussianblur").unwrap();
    for photo in photos() {
        for (deviation, eighths) in [("7.9", 8), ("8", 4), ("12", 3), ("16", 2), ("25", 2), ("40", 1), ("200", 1)] {
            let (found, expected, plan) =
                both(&blur, &[("std-dev-x", deviation), ("std-dev-y", deviation)], &photo).unwrap();
            assert_eq!(plan.part().unwrap().eighths, eighths, "{plan}");
            let psnr = psnr(&found, &expected);
            println!("{deviation} {psnr}");
            assert!(psnr > if eighths == 8 { 99.0 } else { 44.0 }, "{deviation}: {psnr} dB");
        }
    }
}

/// A photo whose sides are no multiples of 8, stored in each of the eight ways of EXIF.
fn turned(orientation: u8) -> Vec<u8> {
    let window = Rect::new(3, 5, 1259, 837);
    let photo = &photos()[1];
    let image = codec::decode_part(photo, Some(Part { eighths: 8, window }), DECODE_LIMITS, &Cancel::new()).unwrap();
    let options = EncodeOptions::new(FileFormat::Jpeg, 90);
    let mut bytes = codec::encode(&image, options, &Cancel::new()).unwrap();
    // A TIFF directory with one entry: tag 0x0112, a SHORT.
    let exif = [&b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation], &[0; 7]];
    bytes.splice(2..2, exif.concat());
    bytes
}

#[test]
fn a_turned_photo_is_read_small_and_nothing_shifts() {
    let library = library();
    let (passthrough, blur) = (library.get("passthrough").unwrap(), library.get("gaussianblur").unwrap());
    for orientation in 1..=8 {
        let photo = turned(orientation);
        let header = codec::read_header(&photo).unwrap();
        assert_eq!((header.width, header.height) == (837, 1259), orientation > 4);
        for width in ["333", "170", "77"] {
            let (found, expected, plan) = both(&passthrough, &[("width", width)], &photo).unwrap();
            // The widest has too many edges for twice its size.
            assert!(plan.part().unwrap().eighths < 8 || width == "333", "{plan}");
            let psnr = psnr(&found, &expected);
            assert!(psnr > 42.0, "{orientation}, {width} wide: {psnr} dB");
        }
        let (found, expected, _) = both(&blur, &[("std-dev-x", "40"), ("std-dev-y", "40")], &photo).unwrap();
        let psnr = psnr(&found, &expected);
        assert!(psnr > 44.0, "{orientation}, blurred: {psnr} dB");
    }
}

/// The input is handed on by `gegl/nop` to a blur, which could do with less of it, and to a blend, which could not.
#[test]
fn a_branch_beside_a_blur_is_read_at_full_size() {
    let text = std::fs::read_to_string(repository().join("runtime/tests/pictures/graphs/orton.json")).unwrap();
    let graph = library().assemble("orton", Graph::from_json_str(&text).unwrap(), &LIMITS).unwrap();
    for photo in photos() {
        let (found, expected, plan) = both(&graph, &[], &photo).unwrap();
        assert_eq!(plan.part().unwrap().eighths, 8, "{plan}");
        assert!(found == expected, "{} dB", psnr(&found, &expected));
        // What enters the graph is made smaller first: by the decoder, too.
        let (found, expected, plan) = both(&graph, &[("width", "300")], &photo).unwrap();
        assert!(plan.part().unwrap().eighths < 8, "{plan}");
        assert!(psnr(&found, &expected) > 42.0, "{} dB", psnr(&found, &expected));
    }
}
