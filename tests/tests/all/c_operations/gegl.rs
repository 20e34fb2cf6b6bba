//! Operations that are written for GEGL: built, used, faulty; and written while a server runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use imgflo_ops::Pixels;
use imgflo_runtime::{
    COperations, Catalogue, ChildLimits, Control, Engine, EngineChoice, Gegl, ImageGraph, LibraryLimits,
    LiveOperations, NativeEngine, Plan, PlanLimits,
};
use imgflo_tests::program::{command, run};
use imgflo_tests::repository;

use super::faults::{children, children_named, until};
use super::live::{Rig, SECRET};
use super::{built, decode, text, write};

/// A point filter in the way of GEGL's own files, with what a revision has to have names of its own for.
const FADE: &str = r#"#include "config.h"
#include <glib/gi18n-lib.h>

#ifdef GEGL_PROPERTIES

enum_start (fade_way)
  enum_value (FADE_DARK, "dark", N_("Dark"))
  enum_value (FADE_LIGHT, "light", N_("Light"))
enum_end (FadeWay)

property_double (amount, _("Amount"), 1.0)
    description (_("How far colours go"))
    value_range (0.0, 1.0)

property_enum (way, _("Way"), FadeWay, fade_way, FADE_DARK)

#else

#define GEGL_OP_POINT_FILTER
#define GEGL_OP_NAME     fade
#define GEGL_OP_C_SOURCE fade.c

#include "gegl-op.h"

static gboolean
process (GeglOperation *operation, void *in_buf, void *out_buf, glong samples, const GeglRectangle *roi, gint level)
{
  GeglProperties *o = GEGL_PROPERTIES (operation);
  gfloat *in = in_buf, *out = out_buf, goal = o->way == FADE_LIGHT ? 1.0f : 0.0f;
  for (glong i = 0; i < samples; i++, in += 4, out += 4)
    {
      for (int c = 0; c < 3; c++)
        out[c] = in[c] + (goal - in[c]) * o->amount;
      out[3] = in[3];
    }
  return TRUE;
}

static void
prepare (GeglOperation *operation)
{
  gegl_operation_set_format (operation, "input", babl_format ("RGBA float"));
  gegl_operation_set_format (operation, "output", babl_format ("RGBA float"));
}

static void
gegl_op_class_init (GeglOpClass *klass)
{
  GEGL_OPERATION_CLASS (klass)->prepare = prepare;
  GEGL_OPERATION_POINT_FILTER_CLASS (klass)->process = process;
  gegl_operation_class_set_keys (GEGL_OPERATION_CLASS (klass),
    "name", "gegl:fade", "compat-name", "gegl:gaussian-blur", "title", _("Fade"), "categories", "color",
    "description", _("Leads colours to black or white."), NULL);
}

#endif
"#;

/// A point filter as editors send one: it includes GEGL's plug-in headers, and leaves to the runtime which file it is
/// and what it is called.
const SENT: &str = r#"#include "config.h"
#include <glib/gi18n-lib.h>

#ifdef GEGL_PROPERTIES

property_double (height, _("Height"), 0.5)
    description (_("How light everything becomes"))
    value_range (0.0, 1.0)

#else

#define GEGL_OP_POINT_FILTER

#include <gegl-plugin.h>
#include "gegl-op.h"

static void
prepare (GeglOperation *operation)
{
  gegl_operation_set_format (operation, "input", babl_format ("R'G'B'A float"));
  gegl_operation_set_format (operation, "output", babl_format ("R'G'B'A float"));
}

static gboolean
process (GeglOperation *operation, void *in_buf, void *out_buf, glong samples, const GeglRectangle *roi, gint level)
{
  GeglProperties *o = GEGL_PROPERTIES (operation);
  gfloat *in = in_buf, *out = out_buf;
  for (glong i = 0; i < samples * 4; i++)
    out[i] = i % 4 == 3 ? in[i] : o->height;
  return TRUE;
}

static void
gegl_op_class_init (GeglOpClass *klass)
{
  GEGL_OPERATION_CLASS (klass)->prepare = prepare;
  GEGL_OPERATION_POINT_FILTER_CLASS (klass)->process = process;
  gegl_operation_class_set_keys (GEGL_OPERATION_CLASS (klass),
    "name", IMGFLO_OP_NAME ("imgflo:example"), "title", _("Example"), "categories", "color", NULL);
}

#endif
"#;

/// The source `flat` whose picture is `level` in all places; `before` runs first.
fn flat(level: u32, before: &str) -> String {
    let [_, r, g, b] = level.to_be_bytes();
    format!(
        r#"#ifdef GEGL_PROPERTIES
enum_start (flat_way)
  enum_value (FLAT_UP, "up", "Up")
  enum_value (FLAT_DOWN, "down", "Down")
enum_end (FlatWay)
property_enum (way, "Way", FlatWay, flat_way, FLAT_DOWN)
property_string (note, "Note", "")
    description ("For people.")
#else
#define GEGL_OP_POINT_RENDER
#define GEGL_OP_NAME     flat
#define GEGL_OP_C_SOURCE flat.c
#include "gegl-op.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
static gboolean
process (GeglOperation *operation, void *out_buf, glong samples, const GeglRectangle *roi, gint level)
{{
  gfloat *out = out_buf, pixel[4] = {{ {r} / 255.0f, {g} / 255.0f, {b} / 255.0f, 1.0f }};
  {before}
  for (glong i = 0; i < samples * 4; i++)
    out[i] = pixel[i % 4];
  return TRUE;
}}
static void
prepare (GeglOperation *operation)
{{
  gegl_operation_set_format (operation, "output", babl_format ("R'G'B'A float"));
}}
static GeglRectangle
get_bounding_box (GeglOperation *operation)
{{
  return gegl_rectangle_infinite_plane ();
}}
static void
gegl_op_class_init (GeglOpClass *klass)
{{
  GEGL_OPERATION_CLASS (klass)->prepare = prepare;
  GEGL_OPERATION_CLASS (klass)->get_bounding_box = get_bounding_box;
  GEGL_OPERATION_POINT_RENDER_CLASS (klass)->process = process;
  gegl_operation_class_set_keys (GEGL_OPERATION_CLASS (klass), "name", "test:flat", NULL);
}}
#endif
"#
    )
}

/// The line of a source that begins so, from 1.
fn line(source: &str, beginning: &str) -> usize {
    1 + source.lines().position(|line| line.trim_start().starts_with(beginning)).expect("a line")
}

#[test]
fn a_folder_is_built_and_graphs_run_on_gegl() {
    let folder = tempfile::tempdir().unwrap();
    let ops = folder.path().to_str().unwrap();
    std::fs::copy(repository().join("ops/gegl/relief.c"), folder.path().join("relief.c")).unwrap();
    std::fs::copy(repository().join("ops/c/duotone.c"), folder.path().join("duotone.c")).unwrap();
    write(folder.path(), "fade.c", FADE);
    let first = run(&["ops", "build", "--ops", ops]);
    assert!(first.status.success(), "{}", text(&first));
    assert!(!text(&first).contains("warning"), "{}", text(&first));
    let libraries = built(folder.path());
    assert_eq!(libraries.iter().filter(|file| file.to_str().unwrap().ends_with(".gegl.so")).count(), 2);
    assert_eq!(text(&run(&["ops", "build", "--ops", ops])).matches(": unchanged").count(), 3);
    let show = text(&run(&["ops", "show", "c/relief", "--ops", ops]));
    for told in ["c/relief - Relief", "reach: int, 1 to 32, default 1", "base: enum grey | picture, default grey"] {
        assert!(show.contains(told), "{show}");
    }

    write(
        folder.path(),
        "mixed.fbp",
        "INPORT=relief.INPUT:INPUT
INPORT=fade.AMOUNT:AMOUNT
INPORT=fade.WAY:WAY
OUTPORT=fade.OUTPUT:OUTPUT
relief(c/relief) OUTPUT -> INPUT fade(c/fade)
",
    );
    let output = folder.path().join("out.png");
    let render = |graph: &str, more: &[&str]| {
        let graph = folder.path().join(graph);
        let all = ["render", graph.to_str().unwrap(), "-i", "files/marbles.jpg", "-o", output.to_str().unwrap()];
        run(&[&all[..], &["-p", "width=90"], more].concat())
    };
    let pixels = |more: &[&str]| {
        let done = render("mixed.fbp", &[&["--ops", ops], more].concat());
        assert!(done.status.success(), "{}", text(&done));
        match decode(&std::fs::read(&output).unwrap()).into_pixels() {
            Pixels::Rgba8(pixels) => pixels,
            Pixels::Rgb8(pixels) => pixels.iter().map(|[r, g, b]| [*r, *g, *b, 255]).collect(),
            Pixels::Float(_) => panic!("files have bytes"),
        }
    };
    assert_eq!(pixels(&[])[..90 * 60], [[0, 0, 0, 255]; 90 * 60], "all the way to black");
    assert!(pixels(&["-p", "way=light"]).iter().all(|pixel| *pixel == [255; 4]));
    let relief = pixels(&["-p", "amount=0"]);
    let mean = relief.iter().map(|pixel| u64::from(pixel[1])).sum::<u64>() / relief.len() as u64;
    assert!((118..138).contains(&mean) && relief.iter().any(|pixel| pixel[1] > 200), "a grey relief: {mean}");

    // GEGL runs it all, or nothing does.
    let native = render("mixed.fbp", &["--ops", ops, "--engine", "native"]);
    assert!(!native.status.success(), "{}", text(&native));
    assert!(text(&native).contains("'c/relief' runs on GEGL, and graphs run natively alone here"), "{}", text(&native));
    let both = "INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\na(c/fade) OUTPUT -> INPUT b(c/duotone)\n";
    write(folder.path(), "both.fbp", both);
    let both = render("both.fbp", &["--ops", ops]);
    assert!(!both.status.success(), "{}", text(&both));
    assert!(text(&both).contains("('c/duotone'), and 'c/fade' makes the graph run on GEGL"), "{}", text(&both));

    // A source that does not build, or is none, changes nothing.
    let bad = FADE.replacen("return TRUE;", "return undeclared;", 1).replacen("1.0)\n", "1.0x)\n", 1);
    write(folder.path(), "fade.c", &bad);
    let relief = std::fs::read_to_string(folder.path().join("relief.c")).unwrap();
    write(folder.path(), "relief.c", &relief.replace("\"name\",        \"imgflo:relief\",", ""));
    let failed = run(&["ops", "build", "--ops", ops]);
    let said = text(&failed);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    for (beginning, told) in [("return undeclared", "'undeclared' undeclared"), ("property_double", "invalid suffix")] {
        let line = line(&bad, beginning);
        let messages = said.lines().filter(|message| message.starts_with(&format!("fade.c:{line}:")));
        assert_eq!(messages.filter(|message| message.contains(told)).count(), 1, "{said}");
    }
    assert!(said.contains("relief.c: error: it gives GEGL no operation"), "{said}");
    assert_eq!(built(folder.path()), libraries);
}

#[test]
fn a_source_without_file_and_name_is_given_both() {
    let folder = tempfile::tempdir().unwrap();
    let ops = folder.path().to_str().unwrap();
    // Two, since both would have the same names otherwise; a dash is nothing for C.
    write(folder.path(), "even.c", SENT);
    write(folder.path(), "even-2.c", SENT);
    let built = run(&["ops", "build", "--ops", ops]);
    assert!(built.status.success() && !text(&built).contains("warning"), "{}", text(&built));
    let graph = "INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\na(c/even) OUTPUT -> INPUT b(c/even-2)\n1 -> HEIGHT b\n";
    write(folder.path(), "both.fbp", graph);
    let [graph, output] = ["both.fbp", "out.png"].map(|name| folder.path().join(name));
    let (graph, output) = (graph.to_str().unwrap(), output.to_str().unwrap());
    let done = run(&["render", graph, "-i", "files/marbles.jpg", "-o", output, "-p", "width=8", "--ops", ops]);
    assert!(done.status.success(), "{}", text(&done));
    let white = match decode(&std::fs::read(output).unwrap()).into_pixels() {
        Pixels::Rgba8(pixels) => pixels.iter().all(|pixel| *pixel == [255; 4]),
        Pixels::Rgb8(pixels) => pixels.iter().all(|pixel| *pixel == [255; 3]),
        Pixels::Float(_) => panic!("files have bytes"),
    };
    assert!(white, "the height of the last is 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_an_editor_sends_is_taken() {
    let rig = Rig::start(true, "auto");
    let (status, answer) = rig.put("flat", Some(SECRET), SENT.into()).await;
    assert_eq!((status.as_u16(), &answer["messages"]), (200, &serde_json::json!([])), "{answer}");
}

#[test]
fn an_operation_under_the_gpl_is_taken_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let ops = folder.path().to_str().unwrap();
    write(folder.path(), "fade.c", &FADE.replace("\"categories\",", "\"license\", \"GPL3+\", \"categories\","));
    let built = run(&["ops", "build", "--ops", ops]);
    assert!(built.status.success(), "{}", text(&built));
    let without = text(&run(&["ops", "list", "--ops", ops]));
    assert!(without.contains("IMGFLO_GEGL_GPL=true") && !without.contains("c/fade "), "{without}");
    assert!(text(&run(&["ops", "list", "--ops", ops, "--gegl-gpl", "true"])).contains("c/fade "));
}

#[test]
fn without_the_headers_of_gegl_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "fade.c", FADE);
    let compiler = ["/usr/bin/cc", "/usr/local/bin/cc"].into_iter().find(|file| std::path::Path::new(file).exists());
    let arguments = ["ops", "build", "--ops", folder.path().to_str().unwrap(), "--cc", compiler.expect("a compiler")];
    let failed = command().args(arguments).env("PATH", folder.path()).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed).contains("apt install libgegl-dev pkg-config"), "{}", text(&failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_live_is_revised_and_can_do_no_harm() {
    let rig = Rig::start(true, "auto");
    let put = async |source: String| rig.put("flat", Some(SECRET), source).await;
    let (status, first) = put(flat(0x01_02_03, "")).await;
    assert_eq!(
        (status.as_u16(), &first["component"], &first["messages"]),
        (200, &"c/flat".into(), &serde_json::json!([]))
    );
    assert_eq!(rig.level(2).await, Ok(0x01_02_03));
    let (_, second) = put(flat(0x04_05_06, "")).await;
    assert_ne!(first["revision"], second["revision"]);
    // A graph that it does not fit is told; it has all of its ports again.
    let fault = second["faults"][0]["message"].as_str().unwrap_or_else(|| panic!("{second}"));
    assert!(fault.contains("c/flat has no inport 'level' (there are: way, note)"), "{fault}");
    assert_eq!(rig.level(2).await, Ok(0x04_05_06));
    let (_, third) = put(flat(0x01_02_03, "")).await;
    assert_eq!(first["revision"], third["revision"], "{third}");
    assert_eq!(rig.level(2).await, Ok(0x01_02_03));
    // From one interface to the other and back.
    assert_eq!(put(super::live::flat(9)).await.0, 200);
    assert_eq!(rig.level(2).await, Ok(9));
    assert_eq!(put(flat(7, "")).await.0, 200);

    let good = flat(7, "");
    let undeclared = good.replacen("return TRUE;", "return undeclared;", 1);
    let at = line(&undeclared, "return undeclared");
    for (source, told, line) in [
        (undeclared, "'undeclared' undeclared", at),
        ("#include \"/etc/shadow\"\n".to_owned() + &good, "/etc/shadow", 1),
        (good.replace("flat.c", "other.c"), "other.c", 0),
        (good.replace("\"name\", \"test:flat\",", "\"title\", \"No name\","), "it gives GEGL no operation", 0),
        (
            good.replace("_class_init (GeglOpClass *klass)\n{", "_class_init (GeglOpClass *klass)\n{ abort ();"),
            "crashed",
            0,
        ),
        (good.replace("\"note\"", "\"output\"").replace("(note,", "(output,"), "two ports named 'output'", 0),
        (good.replace("For people.", &"x".repeat(1001)), "longer than 1000 bytes", 0),
    ] {
        let (status, problem) = put(source).await;
        assert_eq!(status, 422, "{told}: {problem}");
        let messages = problem["messages"].as_array().expect("messages");
        let error = messages.iter().find(|m| m["severity"] == "error" && m.to_string().contains(told));
        let error = error.unwrap_or_else(|| panic!("{told}: {problem}"));
        assert!(line == 0 || error["file"] == "gegl-op.h" || error["line"] == line, "{told}: {problem}");
        assert!(!problem.to_string().contains("root:"), "{problem}");
    }
    assert_eq!(rig.level(3).await, Ok(7), "the last good one is in force");

    let reaches = "const char *const files[] = { \"/etc/passwd\", \"/proc/self/environ\" };
        for (int i = 0; i < 2; i++) if (open (files[i], O_RDONLY) >= 0) pixel[0] = 1.0f;
        if (open (\"/tmp/imgflo-escaped\", O_CREAT | O_WRONLY, 0600) >= 0) pixel[0] = 1.0f;
        if (socket (AF_INET, SOCK_STREAM, 0) >= 0 || fork () >= 0) pixel[0] = 1.0f;";
    assert_eq!(put(flat(0x00_ff_00, reaches)).await.0, 200);
    assert_eq!(rig.level(4).await, Ok(0x00_ff_00), "no file, no network, no process");
    for (width, body, told) in
        [(5, "*(volatile int *) 0 = 1;", "GEGL crashed (SIGSEGV)"), (6, "exit (3);", "GEGL exited with status 3")]
    {
        assert_eq!(put(flat(1, body)).await.0, 200);
        let problem = rig.level(width).await.expect_err(told);
        assert_eq!((&problem["status"], &problem["category"]), (&500.into(), &"operation-failed".into()), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
        assert_eq!(put(flat(7, "")).await.0, 200);
        assert_eq!(rig.level(width).await, Ok(7), "and it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_revisions_leave_nothing_behind() {
    // More than a child holds.
    let revisions = if std::env::var_os("IMGFLO_TEST_LONG").is_some() { 300 } else { 36 };
    let rig = Rig::start(true, "auto");
    let gegls = || children_named(rig.server.pid(), "imgflo-gegl");
    let mut first = Vec::new();
    for revision in 1..=revisions {
        let (status, answer) = rig.put("flat", Some(SECRET), flat(revision, "")).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(rig.level(2 + u64::from(revision)).await, Ok(revision));
        if revision == 1 {
            first = gegls();
        }
    }
    // One told what GEGL has; who loaded the first revision is gone.
    let left = gegls().into_iter().filter(|pid| first.contains(pid)).collect::<Vec<_>>();
    assert!(first.len() == 2 && left.len() == 1, "{left:?} of {first:?}");
    // GEGL with and without strangers' operations, and one child that compiles.
    until("children go", || children(rig.server.pid()).len() <= 5);
    let libraries = rig.scratch().into_iter().filter(|name| name.ends_with(".so")).count();
    assert!(libraries <= 5, "{:?}", rig.scratch());
}

#[test]
fn plans_keep_the_revision_that_they_were_made_with() {
    let limits = ChildLimits { program: imgflo_tests::program::path(), ..ChildLimits::new(1) };
    let operations = Arc::new(COperations::new(&limits, false).unwrap());
    let live = LiveOperations::new(Arc::clone(&operations), "cc", &limits).unwrap();
    let gegl = Arc::new(Gegl::new(&limits, false));
    let catalogue = Catalogue::native().with_gegl(gegl, EngineChoice::Auto).with_c(operations);
    let plan = |component: &str| {
        let text = format!("OUTPORT=it.OUTPUT:OUTPUT\nit({component})\n");
        let graph = imgflo_fbp::parse(&text, &imgflo_fbp::ParseOptions::default()).unwrap();
        let limits = LibraryLimits { max_nodes: 10, max_bytes: 10_000 };
        let graph = ImageGraph::new("flat", graph, &catalogue, &limits).unwrap_or_else(|faults| panic!("{faults:?}"));
        let size = [("width", "3"), ("height", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments = graph.arguments(&BTreeMap::from(size)).unwrap();
        let limits = PlanLimits { max_output_pixels: 100, max_memory: 1 << 30 };
        (Plan::new(&graph, &arguments, None, &catalogue, &limits).unwrap(), graph)
    };
    let engine = NativeEngine::new(1);
    let level = |plan: &Plan| {
        let image = engine.render(plan, None, &Control::default()).unwrap();
        image.view(image.rect()).row_rgba8(0)[0][2]
    };
    let first = live.revise("flat", &flat(1, "")).unwrap();
    let (of_first, graph) = plan("c/flat");
    let pinned = format!("c/flat/{}", first.revision);
    assert_eq!(graph.pinned().processes["it"].component, pinned);
    assert!(graph.holds_files() && graph.content().contains(&format!("c/flat@{}\n", first.revision)));
    for revision in 2..=4 {
        live.revise("flat", &flat(revision, "")).unwrap();
    }
    assert_eq!(level(&plan(&pinned).0), 1, "jobs on their way ask for it");
    for revision in 5..=6 {
        live.revise("flat", &flat(revision, "")).unwrap();
    }
    assert_eq!((level(&of_first), level(&plan("c/flat").0)), (1, 6));
}
