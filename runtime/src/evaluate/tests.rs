use imgflo_fbp::ParseOptions;
use imgflo_ops::codec::{EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Pixels};

use super::*;
use crate::LibraryLimits;

const LIMITS: EvaluatorLimits = EvaluatorLimits {
    plan: PlanLimits { max_output_pixels: 50_000_000, max_memory: 1 << 30 },
    decode: DecodeLimits::new(50_000_000, 20_000),
    remembered_bytes: 256 << 20,
    draft_pixels: 200_000,
};

fn evaluator(limits: EvaluatorLimits) -> Evaluator {
    Evaluator::new(Arc::new(NativeEngine::new(2)), Arc::new(Catalogue::native()), limits)
}

/// A graph whose input goes in at `a` and whose output is that of `z`.
fn graph(text: &str) -> ImageGraph {
    let graph = imgflo_fbp::parse(text, &ParseOptions::default()).expect("a graph");
    let limits = LibraryLimits { max_nodes: 100, max_bytes: 100_000 };
    ImageGraph::new("test", graph, &Catalogue::native(), &limits).expect("an image graph")
}

const CHAIN: &str = "INPORT=a.INPUT:INPUT\nOUTPORT=z.OUTPUT:OUTPUT\n\
    a(gegl/brightness-contrast) OUTPUT -> INPUT b(gegl/gaussian-blur)\n\
    b OUTPUT -> INPUT c(gegl/saturation) OUTPUT -> INPUT z(gegl/exposure)\n\
    6 -> STD-DEV-X b\n6 -> STD-DEV-Y b\n0.5 -> SCALE c\n0.3 -> EXPOSURE z\n";

/// Waves of colours, as a PNG.
fn photo(width: u32, height: u32) -> InputFile {
    let pixel = |x: u32, y: u32| {
        let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let wave = |speed: f64| (128.0 + 100.0 * (speed * x * 6.0 + y * 9.0).sin()) as u8;
        [wave(3.0), wave(5.0), wave(8.0)]
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| pixel(x, y))).collect();
    let image = Image::from_rgb8(Rect::sized(width, height), pixels);
    let bytes = codec::encode(&image, EncodeOptions::new(FileFormat::Png, 90), &Cancel::new()).expect("a file");
    InputFile::new(bytes, LIMITS.decode).expect("a picture")
}

fn look(width: u32) -> Look {
    Look { width, ..Look::default() }
}

fn bytes(image: &Image) -> Vec<u8> {
    match image.pixels() {
        Pixels::Rgb8(pixels) => pixels.as_flattened().to_vec(),
        Pixels::Rgba8(pixels) => pixels.as_flattened().to_vec(),
        Pixels::Float(_) => panic!("what is seen has 8 bits"),
    }
}

fn psnr(a: &Image, b: &Image) -> f64 {
    let (a, b) = (bytes(a), bytes(b));
    assert_eq!(a.len(), b.len());
    let error = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / error.max(1e-9)).log10()
}

#[test]
fn an_edit_makes_only_what_it_touches() {
    let (evaluator, input, none) = (evaluator(LIMITS), photo(1600, 1000), Arguments::default());
    let draft = |text: &str| {
        let before = evaluator.renders();
        evaluator.draft(&graph(text), &none, Some(&input), look(400), &Control::default()).expect("a draft");
        evaluator.renders() - before
    };
    assert_eq!(draft(CHAIN), 4);
    assert_eq!(draft(CHAIN), 0);
    // The last of the graph alone.
    assert_eq!(draft(&CHAIN.replace("0.3 ->", "0.4 ->")), 1);
    assert_eq!(draft(&CHAIN.replace("6 -> STD-DEV-X", "7 -> STD-DEV-X")), 3);
    // Names do not matter, and what was there before is there still.
    assert_eq!(draft(&CHAIN.replace(" c", " colour")), 0);
    // Another size looks at the same drafts, unless it is larger.
    let before = evaluator.renders();
    evaluator.draft(&graph(CHAIN), &none, Some(&input), look(390), &Control::default()).expect("a draft");
    assert_eq!(evaluator.renders() - before, 0);
}

#[test]
fn a_small_picture_is_exact_at_once() {
    let (evaluator, input, none) = (evaluator(LIMITS), photo(400, 300), Arguments::default());
    let graph = graph(CHAIN);
    let draft = evaluator.draft(&graph, &none, Some(&input), look(0), &Control::default()).expect("a draft");
    assert!(draft.exact);
    assert_eq!(draft.full, (400, 300));
    // As the same graph is rendered for a request.
    let shape = InputShape::from(&input.header);
    let catalogue = Catalogue::native();
    let plan = Plan::new(&graph, &none, Some(shape), &catalogue, &LIMITS.plan).expect("a plan");
    let image = codec::decode(&input.bytes, LIMITS.decode, &Cancel::new()).expect("pixels");
    let (rendered, _) =
        NativeEngine::new(1).render_measured(&plan, Some(image), &Control::default()).expect("rendered");
    let differences = bytes(&rendered).iter().zip(bytes(&draft.image)).map(|(a, b)| a.abs_diff(b)).max();
    assert!(differences <= Some(1), "{differences:?}");
}

#[test]
fn a_draft_is_nearly_the_exact_picture() {
    let (evaluator, input, none) = (evaluator(LIMITS), photo(2000, 1200), Arguments::default());
    let crop = "INPORT=a.INPUT:INPUT\nOUTPORT=z.OUTPUT:OUTPUT\na(gegl/crop) OUTPUT -> INPUT z(gegl/unsharp-mask)\n\
        300 -> X a\n200 -> Y a\n1000 -> WIDTH a\n800 -> HEIGHT a\n5 -> STD-DEV z\n";
    let turned = "INPORT=a.INPUT:INPUT\nOUTPORT=z.OUTPUT:OUTPUT\na(gegl/rotate) OUTPUT -> INPUT z(gegl/pixelize)\n\
        20 -> DEGREES a\n1000 -> ORIGIN-X a\n600 -> ORIGIN-Y a\n80 -> SIZE-X z\n80 -> SIZE-Y z\n";
    for (text, least) in [(CHAIN, 40.0), (crop, 25.0), (turned, 18.0)] {
        let graph = graph(text);
        let see = |exact: bool| {
            let see = if exact { Evaluator::exact } else { Evaluator::draft };
            see(&evaluator, &graph, &none, Some(&input), look(300), &Control::default()).expect("a picture")
        };
        let (draft, exact) = (see(false), see(true));
        assert_eq!((draft.exact, exact.exact), (false, true));
        assert_eq!(draft.full, exact.full);
        assert_eq!(draft.image.rect().width, exact.image.rect().width);
        let psnr = psnr(&draft.image, &exact.image);
        assert!(psnr > least, "{psnr} dB in\n{text}");
        // Lengths that are not scaled alike show: the bounds above would be worth nothing otherwise.
        let large = self::graph(
            &text.replace("6 -> STD", "60 -> STD").replace("80 -> SIZE", "300 -> SIZE").replace("300 -> X", "500 -> X"),
        );
        let other = evaluator.draft(&large, &none, Some(&input), look(300), &Control::default()).expect("a picture");
        if other.image.rect() == exact.image.rect() {
            assert!(self::psnr(&other.image, &exact.image) < psnr - 3.0, "{text}");
        }
    }
}

#[test]
fn a_part_is_looked_at() {
    let (evaluator, input, none) = (evaluator(LIMITS), photo(2000, 1200), Arguments::default());
    let part = Look { width: 200, height: 200, window: Some(Rect::new(500, 300, 400, 800)) };
    let graph = graph(CHAIN);
    let draft = evaluator.draft(&graph, &none, Some(&input), part, &Control::default()).expect("a draft");
    let exact = evaluator.exact(&graph, &none, Some(&input), part, &Control::default()).expect("a picture");
    assert_eq!((exact.image.rect().width, exact.image.rect().height), (100, 200));
    assert_eq!((draft.image.rect().width, draft.image.rect().height, draft.full), (100, 200, (2000, 1200)));
    assert!(psnr(&draft.image, &exact.image) > 30.0);
    // One that lies outside is all of it.
    let outside = Look { window: Some(Rect::new(9000, 0, 10, 10)), ..look(100) };
    let seen = evaluator.draft(&graph, &none, Some(&input), outside, &Control::default()).expect("a draft");
    assert_eq!((seen.image.rect().width, seen.image.rect().height), (100, 60));
}

#[test]
fn a_picture_without_end_shows_a_part() {
    let (evaluator, none) = (evaluator(LIMITS), Arguments::default());
    let endless = graph("OUTPORT=z.OUTPUT:OUTPUT\na(gegl/checkerboard) OUTPUT -> INPUT z(gegl/invert-gamma)\n");
    let seen = evaluator.draft(&endless, &none, None, look(0), &Control::default()).expect("a draft");
    assert_eq!((seen.image.rect(), seen.exact), (Rect::sized(300, 300), true));
    let seen = evaluator.exact(&endless, &none, None, look(120), &Control::default()).expect("a picture");
    assert_eq!((seen.image.rect().width, seen.image.rect().height), (120, 300));
    let cut = graph(
        "OUTPORT=z.OUTPUT:OUTPUT\na(gegl/checkerboard) OUTPUT -> INPUT b(gegl/invert-gamma) OUTPUT -> INPUT z(gegl/crop)\n\
         90 -> WIDTH z\n60 -> HEIGHT z\n",
    );
    let seen = evaluator.draft(&cut, &none, None, look(0), &Control::default()).expect("a draft");
    assert_eq!((seen.full, seen.image.rect().width), ((90, 60), 90));
}

#[test]
fn what_is_remembered_has_a_limit() {
    let limits = EvaluatorLimits { remembered_bytes: 3 << 20, ..LIMITS };
    let (evaluator, input, none) = (evaluator(limits), photo(400, 300), Arguments::default());
    for step in 0..40 {
        let text = CHAIN.replace("6 -> STD-DEV-X", &format!("{step} -> STD-DEV-X"));
        evaluator.draft(&graph(&text), &none, Some(&input), look(0), &Control::default()).expect("a draft");
        assert!(evaluator.remembered_bytes() <= limits.remembered_bytes);
    }
    assert!(evaluator.remembered_bytes() > limits.remembered_bytes / 2);
}

#[test]
fn errors_name_the_process() {
    let (evaluator, input, none) = (evaluator(LIMITS), photo(400, 300), Arguments::default());
    let empty = graph(
        "INPORT=a.INPUT:INPUT\nOUTPORT=z.OUTPUT:OUTPUT\na(gegl/nop) OUTPUT -> INPUT z(gegl/scale-ratio)\n0 -> X z\n",
    );
    let error = evaluator.draft(&empty, &none, Some(&input), look(0), &Control::default()).expect_err("no picture");
    assert_eq!(error.node(), Some("z"));
    let control = Control::default();
    control.cancel.cancel();
    let error = evaluator.draft(&graph(CHAIN), &none, Some(&input), look(0), &control).expect_err("cancelled");
    assert!(error.to_string().ends_with("cancelled"), "{error}");
    let broken = InputFile::new(&b"GIF89a"[..], LIMITS.decode).expect_err("no picture");
    assert!(matches!(broken, CodecError::Cut { bytes: 6, .. }), "{broken}");
    let huge = InputFile::new(input.bytes().clone(), DecodeLimits::new(100, 1000)).expect_err("too large");
    assert!(matches!(huge, CodecError::TooManyPixels { .. }), "{huge}");
}
