use imgflo_ops::{Image, Pixels};

use super::*;
use crate::testing::{
    LIMITS, PLAN_LIMITS, arguments, catalogue, filter, graph, image_graph, picture, plan, plan_with, shape,
};

fn no_picture(error: &PlanError) -> (&str, &str) {
    match error {
        PlanError::NoPicture { node, message } => (node, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn neighbouring_points_and_conversions_are_one_step_in_place() {
    let graph = filter(
        "a",
        "d",
        "a(test/add) OUTPUT -> INPUT b(test/light) OUTPUT -> INPUT c(test/add) OUTPUT -> INPUT d(test/add)",
    );
    let input = picture(40, 30);
    let plan = plan(&graph, &input);
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert!(plan.steps[0].in_place, "{plan}");
    // u8 -> coded -> linear -> coded -> u8, and four points: c and d need nothing between them.
    assert_eq!(plan.steps[0].task.chain.stages.len(), 8, "{plan}");
    assert_eq!(plan.peak_memory(), 40 * 30 * 3, "nothing but the input's own buffer");
    assert_eq!(plan.output_format(), Format::RGB8);
    assert_eq!(plan.output(), Rect::sized(40, 30));
}

#[test]
fn points_after_an_area_pass_join_it_and_those_before_too() {
    let graph = filter(
        "a",
        "d",
        "a(test/add) OUTPUT -> INPUT b(test/count) OUTPUT -> INPUT c(test/light) OUTPUT -> INPUT d(test/add)",
    );
    let plan = plan(&graph, &picture(40, 30));
    assert_eq!(plan.steps.len(), 1, "{plan}");
    let Work::Area { reads, .. } = &plan.steps[0].task.work else { panic!("{plan}") };
    let Some(Read { source: Source::Tile(task), .. }) = &reads[0] else { panic!("{plan}") };
    assert_eq!(task.chain.stages.len(), 2, "{plan}");
    // Input and output, 3 bytes a pixel each: no float buffer at all.
    assert_eq!(plan.peak_memory(), 2 * 40 * 30 * 3);
    // One pixel: count 1, add 2 + conversion, light 2 + conversion, add 2 + conversion, to u8.
    assert_eq!(plan.cost(), f64::from(40 * 30 * (1 + 3 + 3 + 3 + 1)));
}

#[test]
fn what_tiles_would_do_many_times_over_is_done_once() {
    // Each pixel of test/reach across=2 needs the whole picture.
    let graph = filter("a", "b", "a(test/add) OUTPUT -> INPUT b(test/reach)\n2 -> ACROSS b");
    let plan = plan(&graph, &picture(40, 30));
    assert_eq!(plan.steps.len(), 3, "{plan}");
    assert!(matches!(plan.steps[0].task.work, Work::Map(_)), "{plan}");
    assert!(matches!(plan.steps[2].task.work, Work::Map(_)), "a pass that is not cut gets no chain: {plan}");
}

#[test]
fn area_passes_read_only_by_their_own_tiles_ride_along_three_deep() {
    let join = |i: usize| format!("j{i} OUTPUT -> INPUT j{}(test/join)\na OUTPUT -> AUX j{}\n", i + 1, i + 1);
    let joins = |count: usize| (0..count).map(join).collect::<String>();
    let graph = |count: usize| {
        filter("a", &format!("j{count}"), &format!("a(test/mode) OUTPUT -> INPUT j0(test/count)\n{}", joins(count)))
    };
    let input = picture(40, 30);
    // The input as floats, which all joins read; the rest in one step.
    assert_eq!(plan(&graph(3), &input).steps.len(), 2, "{}", plan(&graph(3), &input));
    assert_eq!(plan(&graph(4), &input).steps.len(), 3, "{}", plan(&graph(4), &input));
    // Work that tiles would do twice is done once.
    let margins = filter("a", "b", "a(test/peak) OUTPUT -> INPUT b(test/peak)");
    assert_eq!(plan(&margins, &input).steps.len(), 3);
}

#[test]
fn a_picture_read_in_one_format_by_many_is_converted_once() {
    let graph = filter(
        "a",
        "j2",
        "a(test/mode) OUTPUT -> INPUT j1(test/join)\n\
         a OUTPUT -> AUX j1\n\
         j1 OUTPUT -> INPUT j2(test/join)\n\
         a OUTPUT -> AUX j2",
    );
    let plan = plan(&graph, &picture(40, 30));
    // One conversion of the input, read three times.
    assert_eq!(plan.to_string().matches("to coded RGB").count(), 1, "{plan}");
    assert_eq!(plan.steps[0].task.chain.stages.len(), 1, "{plan}");
}

#[test]
fn only_what_reaches_the_output_is_in_the_plan() {
    let graph = filter("a", "b", "a(test/peak) OUTPUT -> INPUT b(test/count)\na OUTPUT -> INPUT dead(test/count)");
    let plan = plan(&graph, &picture(40, 30));
    assert!(!plan.to_string().contains("dead"), "{plan}");
}

#[test]
fn only_the_region_that_is_needed_is_computed() {
    let graph = filter(
        "a",
        "c",
        "a(test/peak) OUTPUT -> INPUT b(test/peak) OUTPUT -> INPUT c(gegl/crop)\n\
         5 -> X c\n6 -> Y c\n10 -> WIDTH c\n8 -> HEIGHT c",
    );
    let plan = plan(&graph, &picture(40, 30));
    let rects = plan.steps.iter().map(|step| plan.buffers[step.output].rect).collect::<Vec<_>>();
    assert!(rects.contains(&Rect::new(4, 5, 12, 10)), "{plan}");
    assert!(rects.contains(&Rect::new(5, 6, 10, 8)), "{plan}");
    assert!(rects.contains(&Rect::new(3, 4, 14, 12)), "the conversion of the input, too: {plan}");
    assert_eq!(rects.len(), 3, "the crop itself is no step: {plan}");
    assert_eq!(plan.output(), Rect::sized(10, 8));
}

#[test]
fn a_window_is_no_step_unless_others_see_more() {
    let window = "5 -> X c\n6 -> Y c\n10 -> WIDTH c\n8 -> HEIGHT c";
    let steps = |last: &str, lines: &str| {
        let graph = filter("a", last, &format!("{lines}\n{window}"));
        let plan = plan(&graph, &picture(40, 30));
        plan.steps.len()
    };
    assert_eq!(steps("b", "a(test/add) OUTPUT -> INPUT c(gegl/crop) OUTPUT -> INPUT b(test/light)"), 1);
    assert_eq!(steps("b", "a(test/mode) OUTPUT -> INPUT c(gegl/crop) OUTPUT -> INPUT b(test/count)"), 1);
    // The whole is kept for the join; the window is read from it by the join's own tiles.
    assert_eq!(
        steps("b", "a(test/count) OUTPUT -> INPUT b(test/join)\na OUTPUT -> INPUT c(gegl/crop) OUTPUT -> AUX b"),
        2
    );
}

#[test]
fn a_window_outside_the_picture_needs_nothing_of_it() {
    let graph = filter(
        "a",
        "c",
        "a(test/peak) OUTPUT -> INPUT c(gegl/crop)\n\
         500 -> X c\n6 -> Y c\n10 -> WIDTH c\n8 -> HEIGHT c",
    );
    let plan = plan(&graph, &picture(40, 30));
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert_eq!(plan.input_buffer, None, "{plan}");
}

#[test]
fn an_unconfigured_crop_is_what_enters_after_rescale() {
    let graph = filter("a", "c", "a(test/grow) OUTPUT -> INPUT c(gegl/crop)\n7 -> BY a");
    let input = picture(40, 30);
    assert_eq!(plan(&graph, &input).output(), Rect::sized(40, 30));
    let plan = plan_with(&graph, &[("width", "20")], &input).expect("planned");
    assert_eq!(plan.output(), Rect::sized(20, 15));
}

#[test]
fn width_and_height_scale_before_the_graph() {
    let graph = filter("a", "a", "a(test/grow)\n7 -> BY a");
    let input = picture(40, 30);
    let size = |given: &[(&str, &str)]| plan_with(&graph, given, &input).expect("planned").output();
    assert_eq!(size(&[]), Rect::sized(54, 44));
    assert_eq!(size(&[("width", "20")]), Rect::sized(34, 29));
    assert_eq!(size(&[("height", "15")]), Rect::sized(34, 29));
    assert_eq!(size(&[("width", "20"), ("height", "20")]), Rect::sized(34, 34));
    assert_eq!(size(&[("width", "0"), ("height", "-1")]), Rect::sized(54, 44));
}

#[test]
fn a_graph_without_input_is_cut_by_width_and_height() {
    let graph = image_graph("OUTPORT=a.OUTPUT:OUTPUT\na(test/fill)");
    assert!(!graph.takes_input());
    let plan = |given: &[(&str, &str)]| Plan::new(&graph, &arguments(&graph, given), None, &catalogue(), &PLAN_LIMITS);
    assert_eq!(plan(&[]).unwrap_err(), PlanError::Unbounded { node: "a".into() });
    let error = plan(&[("width", "20")]).unwrap_err();
    assert_eq!(no_picture(&error), ("a", "has no bounds: give both width and height"));
    let plan = plan(&[("width", "20"), ("height", "10")]).expect("planned");
    assert_eq!(plan.output(), Rect::sized(20, 10));
    assert_eq!(plan.input(), None);

    let graph = image_graph(
        "OUTPORT=b.OUTPUT:OUTPUT\na(test/fill) OUTPUT -> INPUT b(gegl/crop)\n\
         30 -> WIDTH b\n40 -> HEIGHT b",
    );
    let plan = |given: &[(&str, &str)]| {
        let arguments = arguments(&graph, given);
        Plan::new(&graph, &arguments, None, &catalogue(), &PLAN_LIMITS).expect("planned").output()
    };
    assert_eq!(plan(&[]), Rect::sized(30, 40));
    assert_eq!(plan(&[("width", "20")]), Rect::sized(20, 40));
}

#[test]
fn an_endless_picture_that_is_needed_whole_is_refused() {
    let graph = image_graph(
        "OUTPORT=c.OUTPUT:OUTPUT\n\
         a(test/fill) OUTPUT -> INPUT b(test/reach) OUTPUT -> INPUT c(gegl/crop)\n\
         2 -> ACROSS b\n9 -> WIDTH c\n9 -> HEIGHT c",
    );
    let error = Plan::new(&graph, &Arguments::default(), None, &catalogue(), &PLAN_LIMITS).unwrap_err();
    assert_eq!(error, PlanError::Unbounded { node: "a".into() });
}

#[test]
fn an_empty_picture_is_refused() {
    let graph = filter("a", "b", "a(gegl/crop) OUTPUT -> INPUT b(test/peak)\n10 -> WIDTH a");
    let error = plan_with(&graph, &[], &picture(40, 30)).unwrap_err();
    assert_eq!(no_picture(&error).0, "a");
    let input = InputShape::new(0, 7, Format::RGB8);
    let error = Plan::new(&graph, &Arguments::default(), Some(input), &catalogue(), &PLAN_LIMITS).unwrap_err();
    assert_eq!(error.node(), Some("input"));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_allocated() {
    let input = picture(40, 30);
    let graph = filter("a", "a", "a(test/grow)\n1000 -> BY a");
    let error = plan_with(&graph, &[], &input).unwrap_err();
    let value = 2040 * 2030;
    let expected = PlanError::TooLarge { node: "a".into(), what: Measure::OutputPixels, value, limit: 1_000_000 };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "process 'a': 4141200 output pixels are more than the limit of 1000000");

    // In between, too: a picture that is cut small again but was needed whole.
    let between = filter(
        "a",
        "c",
        "a(test/grow) OUTPUT -> INPUT b(test/reach) OUTPUT -> INPUT c(gegl/crop)\n\
         1000000 -> BY a\n2 -> ACROSS b",
    );
    match plan_with(&between, &[], &input).unwrap_err() {
        PlanError::TooLarge { node, what: Measure::Memory, value, limit } => {
            assert_eq!((node.as_str(), limit), ("a", PLAN_LIMITS.max_memory));
            assert!(value > 16 * 2_000_000 * 2_000_000, "{value}");
        }
        other => panic!("{other:?}"),
    }

    let input = InputShape::new(60_000, 60_000, Format::RGBA8);
    let graph = filter("a", "b", "a(test/peak) OUTPUT -> INPUT b(gegl/crop)\n9 -> WIDTH b\n9 -> HEIGHT b");
    let error = Plan::new(&graph, &Arguments::default(), Some(input), &catalogue(), &PLAN_LIMITS).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge { what: Measure::Memory, .. }), "{error:?}");
}

#[test]
fn the_input_must_be_there() {
    let graph = filter("a", "a", "a(test/add)");
    let error = Plan::new(&graph, &Arguments::default(), None, &catalogue(), &PLAN_LIMITS).unwrap_err();
    assert_eq!(error, PlanError::InputMissing);
    let noop = ImageGraph::new("noop", graph_of_noop(), &catalogue(), &LIMITS).expect("a noop graph");
    let error = Plan::new(&noop, &Arguments::default(), None, &catalogue(), &PLAN_LIMITS).unwrap_err();
    assert_eq!(error, PlanError::Noop);
}

fn graph_of_noop() -> imgflo_fbp::Graph {
    graph("# @runtime noop\n")
}

#[test]
fn a_chain_of_200_processes_is_planned() {
    let chain = (1..200).map(|i| format!("n{} OUTPUT -> INPUT n{i}(test/add)\n0 -> AMOUNT n{i}\n", i - 1));
    let lines = format!("n0(test/add)\n{}", chain.collect::<String>());
    let plan = plan(&filter("n0", "n199", &lines), &picture(8, 8));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].task.chain.stages.len(), 202);
}

#[test]
fn parameters_reach_the_operation() {
    let graph = filter("a", "a", "INPORT=a.BY:FRAME\na(test/grow)");
    let input = picture(4, 4);
    assert_eq!(plan_with(&graph, &[("frame", "3")], &input).expect("planned").output(), Rect::sized(10, 10));
    assert_eq!(plan_with(&graph, &[], &input).expect("planned").output(), Rect::sized(6, 6));
}

#[test]
fn transparency_and_depth_survive_to_the_output_format() {
    let graph = filter("a", "a", "a(test/add)");
    let rgba = Image::from_rgba8(Rect::sized(2, 2), vec![[1, 2, 3, 4]; 4]);
    assert_eq!(plan(&graph, &rgba).output_format(), Format::RGBA8);
    let deep = Image::from_float(Rect::sized(2, 2), Format::GAM_OPAQUE, vec![[0.5; 4]; 4]);
    let plan = plan(&graph, &deep);
    assert_eq!(plan.output_format(), Format::RGB8);
    assert_eq!(plan.peak_memory(), 4 * 16 + 4 * 3);
    assert!(matches!(deep.pixels(), Pixels::Float(_)));
}

#[test]
fn a_graph_that_hands_its_input_on_takes_no_step() {
    let graph = filter("a", "a", "a(test/mode)");
    let plan = plan(&graph, &picture(9, 7));
    assert!(plan.steps.is_empty());
    assert_eq!((plan.output(), plan.cost()), (Rect::sized(9, 7), 0.0));
}

#[test]
fn a_plan_can_be_shared_and_printed() {
    fn shared<T: Send + Sync>(_: &T) {}
    let graph = filter("a", "b", "a(test/add) OUTPUT -> INPUT b(test/count)");
    let input = picture(40, 30);
    let plan = plan(&graph, &input);
    shared(&plan);
    assert_eq!(shape(&input).width, 40);
    assert_eq!(
        plan.to_string(),
        "plan of test\n  \
           input 40x30 RGB8 = #0\n  \
           #1 40x30+0+0 RGB8: b (test/count) in coded RGB, from [#0, then to coded RGB, a], then to RGB8; frees #0\n  \
           result #1: 40x30 RGB8, cost 0.0 M, peak memory 0.0 MB\n"
    );
}

#[test]
fn a_pass_that_can_makes_the_bytes_itself() {
    let plan = |lines: &str| {
        let text = format!("INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\n20 -> X a\n15 -> Y a\n{lines}\n");
        let catalogue = Catalogue::native();
        let graph = ImageGraph::new("test", graph(&text), &catalogue, &LIMITS).unwrap();
        let plan = Plan::new(&graph, &arguments(&graph, &[]), Some(shape(&picture(40, 30))), &catalogue, &PLAN_LIMITS);
        plan.unwrap().to_string()
    };
    let alone = plan("a(gegl/scale-size) OUTPUT -> INPUT b(gegl/nop)");
    assert!(alone.contains("a (gegl/scale-size) in RGB8, from #0; frees"), "{alone}");
    // What follows wants its floats.
    let followed = plan("a(gegl/scale-size) OUTPUT -> INPUT b(gegl/brightness-contrast)\n2 -> CONTRAST b");
    assert!(followed.contains("a (gegl/scale-size) in linear RGB, from #0, then b, to RGB8; frees"), "{followed}");
}
