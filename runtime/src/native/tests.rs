use std::sync::Arc;
use std::time::{Duration, Instant};

use imgflo_ops::Cancel;

use super::*;
use crate::testing::{arguments, counted, filter, image_graph, picture, plan, plan_with, rgb};
use crate::{Arguments, ImageGraph};

/// An engine whose tiles are a few rows, so that small pictures are cut, too.
fn engine(threads: usize) -> NativeEngine {
    NativeEngine { tile_bytes: 1, ..NativeEngine::new(threads) }
}

fn render(graph: &ImageGraph, input: &Image) -> Image {
    let plan = plan(graph, input);
    engine(2).render(&plan, Some(input.clone()), &Control::default()).unwrap_or_else(|error| panic!("{error}\n{plan}"))
}

/// What all graphs of these tests must keep, whatever they do.
fn render_checked(graph: &ImageGraph, input: &Image) -> (Image, Statistics) {
    let plan = plan(graph, input);
    let (image, statistics) =
        engine(2).render_measured(&plan, Some(input.clone()), &Control::default()).expect("rendered");
    assert_eq!(statistics.peak_memory, plan.peak_memory(), "{plan}");
    assert_eq!((image.rect(), image.format()), (plan.output(), plan.output_format()), "{plan}");
    let whole = NativeEngine { tile_bytes: u64::MAX, ..NativeEngine::new(1) };
    let alone = whole.render(&plan, Some(input.clone()), &Control::default()).expect("rendered");
    assert!(alone == image, "one tile and many differ\n{plan}");
    (image, statistics)
}

#[test]
fn points_add_up() {
    let graph = filter("a", "b", "a(test/add) OUTPUT -> INPUT b(test/add)\n0.2 -> AMOUNT a\n-0.1 -> AMOUNT b");
    let input = Image::from_rgb8(Rect::sized(3, 1), vec![[0, 100, 200], [51, 255, 1], [9, 9, 9]]);
    let (image, statistics) = render_checked(&graph, &input);
    // 0.1 is 25.5: the sum is rounded half up, and clamped.
    assert_eq!(rgb(&image)[0][1..], [126, 226]);
    assert_eq!(rgb(&image)[1][1], 255);
    assert_eq!((statistics.steps, statistics.buffers), (1, 0), "in the input's own buffer");
}

#[test]
fn linear_points_convert() {
    let graph = filter("a", "a", "a(test/light)\n0.5 -> GAIN a");
    let input = Image::from_rgba8(Rect::sized(2, 1), vec![[255, 255, 255, 128], [0, 0, 0, 7]]);
    let image = render_checked(&graph, &input).0;
    // Half the light of white is coded as 0.7354.
    let imgflo_ops::Pixels::Rgba8(pixels) = image.pixels() else { panic!("{image:?}") };
    assert_eq!(pixels, &[[188, 188, 188, 128], [0, 0, 0, 7]]);
}

/// The passes of one operation, wired as processes are.
#[test]
fn passes_read_the_input_and_earlier_passes() {
    let wired = filter("a", "a", "a(test/wired)");
    let apart = filter(
        "in",
        "last",
        "in(test/mode) OUTPUT -> INPUT a(test/shift) OUTPUT -> INPUT b(test/join)\nin OUTPUT -> AUX b\n\
         b OUTPUT -> INPUT c(test/shift) OUTPUT -> INPUT last(test/join)\na OUTPUT -> AUX last\n\
         3 -> DX a\n-2 -> DY a\n1 -> DX c\n1 -> DY c",
    );
    let input = picture(31, 17);
    let (found, expected) = (render_checked(&wired, &input).0, render_checked(&apart, &input).0);
    assert!(found == expected, "{:?} {:?}", found.rect(), expected.rect());
    assert!(found.rect() != input.rect());
}

#[test]
fn an_area_pass_moves_pixels() {
    let graph = filter(
        "a",
        "b",
        "a(test/shift) OUTPUT -> INPUT b(gegl/crop)\n5 -> DX a\n-3 -> DY a\n\
         6 -> X b\n0 -> Y b\n7 -> WIDTH b\n8 -> HEIGHT b",
    );
    let input = picture(20, 20);
    let image = render_checked(&graph, &input).0;
    assert_eq!(image.rect(), Rect::sized(7, 8));
    for y in 0..8usize {
        for x in 0..7usize {
            assert_eq!(rgb(&image)[y * 7 + x], rgb(&input)[(y + 3) * 20 + x + 1], "({x}, {y})");
        }
    }
}

#[test]
fn a_window_hides_what_is_beside_it() {
    // The largest at the window's edge must not see the brighter picture beside it, which is in
    // memory for the join.
    let graph = filter(
        "a",
        "b",
        "a(test/mode) OUTPUT -> INPUT z(test/light) OUTPUT -> INPUT b(test/join)\n0 -> GAIN z\n\
         a OUTPUT -> INPUT c(gegl/crop) OUTPUT -> INPUT d(test/peak) OUTPUT -> AUX b\n\
         3 -> X c\n4 -> Y c\n20 -> WIDTH c\n20 -> HEIGHT c",
    );
    let inside = |index: usize| (3..23).contains(&(index % 40)) && (4..24).contains(&(index / 40));
    let pixels = (0..40 * 30).map(|index| if inside(index) { [64; 3] } else { [200; 3] }).collect();
    let (image, _) = render_checked(&graph, &Image::from_rgb8(Rect::sized(40, 30), pixels));
    for (index, pixel) in rgb(&image).iter().enumerate() {
        assert_eq!(pixel, if inside(index) { &[64; 3] } else { &[0; 3] }, "{index}");
    }
}

#[test]
fn the_result_has_its_corner_at_the_origin() {
    let graph = filter("a", "a", "a(test/shift)\n5 -> DX a\n-3 -> DY a");
    let input = picture(20, 20);
    assert_eq!(render(&graph, &input), input);
}

#[test]
fn tiles_are_the_same_as_the_whole() {
    let input = picture(37, 29);
    for (name, lines) in [
        ("b", "a(test/add) OUTPUT -> INPUT b(test/peak)"),
        ("c", "a(test/peak) OUTPUT -> INPUT b(test/light) OUTPUT -> INPUT c(test/peak)"),
        ("b", "a(test/add) OUTPUT -> INPUT b(test/reach)\n0 -> ACROSS b"),
        ("c", "a(test/add) OUTPUT -> INPUT b(test/reach) OUTPUT -> INPUT c(test/light)\n1 -> ACROSS b"),
        ("c", "a(test/add) OUTPUT -> INPUT b(test/reach) OUTPUT -> INPUT c(test/add)\n2 -> ACROSS b"),
        (
            "c",
            "a(test/reach) OUTPUT -> INPUT b(test/reach) OUTPUT -> INPUT c(gegl/crop)\n1 -> ACROSS b\n\
              3 -> X c\n4 -> Y c\n20 -> WIDTH c\n30 -> HEIGHT c",
        ),
        (
            "c",
            "a(test/peak) OUTPUT -> INPUT c(test/join)\na OUTPUT -> INPUT b(test/shift) OUTPUT -> AUX c\n4 -> DX b\n9 -> DY b",
        ),
        ("a", "a(test/grow)\n5 -> BY a"),
        ("b", "a(test/mode) OUTPUT -> INPUT b(gegl/crop)\n3 -> X b\n4 -> Y b\n20 -> WIDTH b\n20 -> HEIGHT b"),
        (
            "b",
            "a(test/peak) OUTPUT -> INPUT b(test/join)\na OUTPUT -> INPUT c(gegl/crop) OUTPUT -> AUX b\n\
              3 -> X c\n4 -> Y c\n20 -> WIDTH c\n20 -> HEIGHT c",
        ),
        (
            "b",
            "a(test/add) OUTPUT -> INPUT b(test/join)\na OUTPUT -> INPUT c(gegl/crop) OUTPUT -> INPUT d(test/peak) OUTPUT -> AUX b\n\
              3 -> X c\n4 -> Y c\n20 -> WIDTH c\n20 -> HEIGHT c",
        ),
    ] {
        let graph = filter("a", name, lines);
        render_checked(&graph, &input);
    }
}

#[test]
fn a_diamond_reads_one_buffer_twice() {
    let graph = filter(
        "a",
        "d",
        "a(test/count) OUTPUT -> INPUT b(test/add) OUTPUT -> INPUT d(test/join)\n\
         a OUTPUT -> INPUT c(test/light) OUTPUT -> AUX d\n101 -> ID a\n0.2 -> AMOUNT b\n0 -> GAIN c",
    );
    let input = picture(20, 10);
    let (image, _) = render_checked(&graph, &input);
    // Twice: `render_checked` renders with many tiles and with one.
    assert_eq!(counted(101), 2 * 20 * 10);
    let expected = rgb(&input)[33].map(|c| c.saturating_add(51));
    assert_eq!(rgb(&image)[33], expected);
}

#[test]
fn a_join_covers_both_and_takes_what_there_is() {
    let graph = filter(
        "a",
        "d",
        "a(test/mode) OUTPUT -> INPUT d(test/join)\na OUTPUT -> INPUT b(test/shift) OUTPUT -> AUX d\n30 -> DX b",
    );
    let input = picture(20, 10);
    let (image, _) = render_checked(&graph, &input);
    assert_eq!(image.rect(), Rect::sized(50, 10));
    assert_eq!(rgb(&image)[..20], rgb(&input)[..20]);
    assert_eq!(rgb(&image)[20..30], [[0; 3]; 10]);
    assert_eq!(rgb(&image)[30..50], rgb(&input)[..20]);
    // With one side only, the join is not there.
    let alone = filter("a", "a", "a(test/join)");
    assert!(plan(&alone, &input).steps.is_empty());
}

#[test]
fn a_pad_that_needs_nothing_takes_nothing_from_others() {
    // The crop lies beside the picture that the join wants.
    let graph = filter(
        "a",
        "j",
        "a(test/add) OUTPUT -> INPUT c(gegl/crop) OUTPUT -> INPUT j(test/join)\na OUTPUT -> AUX j\n0.2 -> AMOUNT a\n\
         30 -> X c\n5 -> WIDTH c\n5 -> HEIGHT c",
    );
    let (image, _) = render_checked(&graph, &Image::from_rgb8(Rect::sized(20, 1), vec![[9; 3]; 20]));
    assert_eq!(image.rect(), Rect::sized(35, 5));
    assert_eq!(rgb(&image)[..20], [[60; 3]; 20]);
}

#[test]
fn an_endless_source_is_made_only_where_it_is_seen() {
    let graph = image_graph(
        "OUTPORT=b.OUTPUT:OUTPUT\nINPORT=a.VALUE:VALUE\n\
         a(test/fill) OUTPUT -> INPUT c(test/add) OUTPUT -> INPUT b(gegl/crop)\n102 -> ID a\n\
         0 -> AMOUNT c\n-7 -> X b\n9 -> WIDTH b\n5 -> HEIGHT b",
    );
    let arguments = arguments(&graph, &[("value", "200")]);
    let plan = Plan::new(&graph, &arguments, None, &crate::testing::catalogue(), &crate::testing::PLAN_LIMITS)
        .expect("planned");
    let image = engine(2).render(&plan, None, &Control::default()).expect("rendered");
    assert_eq!(image, Image::from_rgb8(Rect::sized(9, 5), vec![[200; 3]; 45]));
    assert_eq!(counted(102), 45);
}

#[test]
fn dead_processes_are_not_run_and_regions_are_cut() {
    let graph = filter(
        "a",
        "c",
        "a(test/count) OUTPUT -> INPUT b(test/peak) OUTPUT -> INPUT c(gegl/crop)\n\
         a OUTPUT -> INPUT dead(test/count)\n103 -> ID a\n104 -> ID dead\n5 -> X c\n6 -> Y c\n10 -> WIDTH c\n8 -> HEIGHT c",
    );
    let input = picture(60, 60);
    let image = render(&graph, &input);
    assert_eq!(image.rect(), Rect::sized(10, 8));
    assert_eq!(counted(103), 12 * 10, "a frame of 1 around the window for 3 by 3 pixels");
    assert_eq!(counted(104), 0);
}

#[test]
fn buffers_go_after_their_last_reader() {
    // Ten passes one after another hold two float buffers at a time, not ten.
    let chain = (1..10).map(|i| format!("n{} OUTPUT -> INPUT n{i}(test/peak)\n", i - 1)).collect::<String>();
    let graph = filter("n0", "n9", &format!("n0(test/peak)\n{chain}"));
    let input = picture(64, 48);
    let (_, statistics) = render_checked(&graph, &input);
    assert_eq!(statistics.peak_memory, 2 * 16 * 64 * 48);
    assert_eq!(statistics.steps, 11, "the conversion to 8 bits rides along");
}

#[test]
fn cancelling_stops_before_the_next_tile() {
    let graph = filter("a", "a", "a(test/count)\n105 -> ID a");
    let input = picture(16, 800);
    let plan = plan(&graph, &input);
    let cancel = Cancel::new();
    let from_progress = cancel.clone();
    let progress = Arc::new(move |_| from_progress.cancel());
    let error =
        engine(2).render(&plan, Some(input), &Control { cancel, progress: Some(progress) }).expect_err("cancelled");
    assert_eq!(error.kind, RenderErrorKind::Cancelled);
    assert_eq!(error.node.as_deref(), Some("a"));
    // Each of two threads was in a tile of 8 rows at most when the first one was done.
    assert!(counted(105) <= 3 * 16 * 8, "{}", counted(105));
}

#[test]
fn a_deadline_stops_the_work() {
    let graph = filter("a", "a", "a(test/count)\n106 -> ID a\n5 -> SLEEP a");
    let input = picture(16, 8000);
    let plan = plan(&graph, &input);
    let cancel = Cancel::with_deadline(Instant::now() + Duration::from_millis(40));
    let control = Control { cancel, progress: None };
    let error = engine(2).render(&plan, Some(input.clone()), &control).expect_err("too late");
    assert_eq!(error.kind, RenderErrorKind::DeadlineExceeded);
    assert!(counted(106) < 16 * 8000);
    let error = engine(2).render(&plan, Some(input), &control).expect_err("too late from the start");
    assert_eq!(error.kind, RenderErrorKind::DeadlineExceeded);
}

#[test]
fn a_panic_ends_one_rendering_only() {
    let graph = filter("a", "c", "a(test/peak) OUTPUT -> INPUT b(test/broken) OUTPUT -> INPUT c(test/add)");
    let input = picture(20, 20);
    let engine = engine(2);
    let broken = plan(&graph, &input);
    let error = engine.render(&broken, Some(input.clone()), &Control::default()).expect_err("broken");
    assert_eq!(error.node.as_deref(), Some("b"), "the point pass, not the area pass it rides on");
    assert_eq!(error.kind, RenderErrorKind::Internal("panic: broken on purpose".into()));
    let fine = plan(&filter("a", "a", "a(test/shift)"), &input);
    assert_eq!(engine.render(&fine, Some(input.clone()), &Control::default()).expect("rendered"), input);
}

#[test]
fn an_error_names_its_process() {
    let graph = filter("a", "b", "a(test/add) OUTPUT -> INPUT b(test/refuse)");
    let input = picture(20, 20);
    let error = engine(2).render(&plan(&graph, &input), Some(input), &Control::default()).expect_err("refused");
    assert_eq!(error.to_string(), "process 'b': not this picture");
}

#[test]
fn progress_rises_to_one() {
    let graph = filter("a", "b", "a(test/peak) OUTPUT -> INPUT b(test/peak)");
    let input = picture(40, 200);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let progress: crate::engine::Progress = Arc::new(move |part| sink.lock().unwrap().push(part));
    let control = Control { progress: Some(progress), ..Control::default() };
    engine(2).render(&plan(&graph, &input), Some(input), &control).expect("rendered");
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 4, "{seen:?}");
    assert!(seen.is_sorted() && seen[0] > 0.0 && seen[0] < 0.5, "{seen:?}");
    assert_eq!(seen.last(), Some(&1.0));
}

#[test]
fn an_input_of_another_shape_is_refused() {
    let graph = filter("a", "a", "a(test/peak)");
    let plan = plan(&graph, &picture(20, 20));
    let engine = engine(1);
    for input in [None, Some(picture(20, 21)), Some(Image::new(Rect::sized(20, 20), Format::RGBA8).expect("small"))] {
        let error = engine.render(&plan, input, &Control::default()).expect_err("another shape");
        assert!(matches!(error.kind, RenderErrorKind::Input { .. }), "{error}");
    }
}

#[test]
fn width_scales_what_enters() {
    let graph = filter("a", "a", "a(test/count)\n107 -> ID a");
    let input = picture(40, 20);
    let plan = plan_with(&graph, &[("width", "20")], &input).expect("planned");
    let image = engine(2).render(&plan, Some(input), &Control::default()).expect("rendered");
    assert_eq!(image.rect(), Rect::sized(20, 10));
    assert_eq!(counted(107), 200);
}

#[test]
fn a_chain_of_200_processes_runs() {
    let chain = (1..200).map(|i| format!("n{} OUTPUT -> INPUT n{i}(test/add)\n0.002 -> AMOUNT n{i}\n", i - 1));
    let lines = format!("n0(test/add)\n0.002 -> AMOUNT n0\n{}", chain.collect::<String>());
    let input = Image::from_rgb8(Rect::sized(2, 2), vec![[51; 3]; 4]);
    let image = render(&filter("n0", "n199", &lines), &input);
    assert_eq!(rgb(&image), [[153; 3]; 4]);
}

#[test]
fn the_engine_describes_its_components() {
    let engine = NativeEngine::new(1);
    assert_eq!(engine.describe().len(), Catalogue::native().components().len());
    assert!(engine.describe().iter().any(|component| component.name == "gegl/nop"));
    let _: &dyn Engine = &engine;
    let _ = Arguments::default();
}
