//! Operations written in C: built, shown, used; what they can do wrong; and written while a server runs. Those for
//! GEGL, too.

mod faults;
mod gegl;
mod hostile;
pub mod live;

pub use faults::{children_named, until};

use std::path::{Path, PathBuf};
use std::process::Output;

use imgflo_ops::{Cancel, Image, codec};
use imgflo_tests::program::run;
use imgflo_tests::{corpus, repository};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn decode(bytes: &[u8]) -> Image {
    let limits = codec::DecodeLimits::new(1 << 24, 1 << 14);
    codec::decode(bytes, limits, &Cancel::new()).expect("a picture")
}

/// An operation of that name whose `render` has this body.
fn operation(name: &str, kind: &str, body: &str) -> String {
    format!(
        r#"#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "imgflo-op.h"
static const char *render(const imgflo_call *call) {{
    (void)call;
    {body}
    return NULL;
}}
static const imgflo_operation operation = {{
    .kind = {kind}, .format = IMGFLO_CODED, .keeps_opaque = 1, .name = "{name}",
    .description = "For tests.", .render = render,
}};
IMGFLO_OPERATION(operation);
"#
    )
}

/// Copies the inputs to the output.
const COPY: &str = "for (int32_t y = 0; y < call->output.box.height; y++)
        memcpy(call->output.pixels + y * call->output.stride, call->input.pixels + y * call->input.stride,
               sizeof(float) * 4 * (size_t)call->output.box.width);";

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("the file can be written");
}

/// A folder with the examples.
fn examples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in corpus("ops/c", &["c"], 4) {
        std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    folder
}

fn built(folder: &Path) -> Vec<PathBuf> {
    let mut files = std::fs::read_dir(folder.join("build")).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    files
}

#[test]
fn a_folder_is_built_once_and_keeps_what_was_good() {
    let folder = examples();
    let ops = folder.path().to_str().unwrap();
    let first = run(&["ops", "build", "--ops", ops]);
    assert!(first.status.success(), "{}", text(&first));
    assert_eq!(text(&first).matches(": built").count(), 4, "{}", text(&first));
    let libraries = built(folder.path());
    assert_eq!(libraries.len(), 4, "{libraries:?}");
    let again = run(&["ops", "build", "--ops", ops]);
    assert_eq!(text(&again).matches(": unchanged").count(), 4, "{}", text(&again));

    // One that does not compile, one that is something else than its file says, and a new one.
    let mask = std::fs::read_to_string(folder.path().join("mask.c")).unwrap();
    write(folder.path(), "mask.c", &mask.replacen("float light =", "float light = missing +", 1));
    let stripes = std::fs::read_to_string(folder.path().join("stripes.c")).unwrap();
    write(folder.path(), "stripes.c", &stripes.replace(".name = \"stripes\"", ".name = \"lines\""));
    let new = run(&["ops", "new", "glow", "--ops", ops]);
    assert!(new.status.success(), "{}", text(&new));
    let taken = run(&["ops", "new", "glow", "--ops", ops]);
    assert!(!taken.status.success() && text(&taken).contains("already"), "{}", text(&taken));
    let bad = run(&["ops", "new", "../glow", "--ops", ops]);
    assert!(!bad.status.success() && text(&bad).contains("is no name"), "{}", text(&bad));
    let third = run(&["ops", "build", "--ops", ops]);
    let said = text(&third);
    assert_eq!(third.status.code(), Some(1), "{said}");
    let line = 1 + mask.lines().position(|line| line.contains("float light =")).unwrap();
    assert!(said.contains(&format!("mask.c:{line}:27: error: ")) && said.contains("missing"), "{said}");
    assert!(said.contains("calls itself 'lines'"), "{said}");
    assert!(said.contains("glow.c: built"), "{said}");
    let kept = built(folder.path());
    assert!(libraries.iter().all(|library| kept.contains(library)) && kept.len() == 5, "{kept:?}");

    // Repaired in another way, the new one takes the old one's place.
    write(folder.path(), "mask.c", &mask.replacen("0.2126f", "0.2127f", 1));
    write(folder.path(), "stripes.c", &stripes);
    let fourth = run(&["ops", "build", "--ops", ops]);
    assert!(fourth.status.success(), "{}", text(&fourth));
    assert_eq!(built(folder.path()).len(), 5);
    assert!(!built(folder.path()).iter().all(|library| kept.contains(library)));

    let list = text(&run(&["ops", "list", "--ops", ops]));
    for name in ["duotone", "glow", "mask", "sharpen", "stripes"] {
        let line = list.lines().find(|line| line.starts_with(&format!("c/{name} ")));
        assert!(line.is_some_and(|line| line.contains("  c ")), "{list}");
    }
    let show = text(&run(&["ops", "show", "c/stripes", "--ops", ops]));
    assert!(show.contains("stripe-width: number, 1 to 10000, default 16"), "{show}");
    assert!(!text(&run(&["ops", "list"])).contains("c/stripes"), "only where they are asked for");
}

#[test]
fn they_run_beside_native_ones() {
    let folder = examples();
    let ops = folder.path().to_str().unwrap();
    assert!(run(&["ops", "build", "--ops", ops]).status.success());
    write(
        folder.path(),
        "mixed.fbp",
        "# @runtime imgflo
INPORT=soft.INPUT:INPUT
INPORT=sharp.AMOUNT:AMOUNT
OUTPORT=masked.OUTPUT:OUTPUT
2 -> STD-DEV-X soft(gegl/gaussian-blur)
2 -> STD-DEV-Y soft
soft() OUTPUT -> INPUT sharp(c/sharpen)
3 -> RADIUS sharp
sharp() OUTPUT -> INPUT tone(c/duotone)
tone() OUTPUT -> INPUT masked(c/mask)
40 -> STRIPE-WIDTH lines(c/stripes)
lines() OUTPUT -> AUX masked
",
    );
    let graph = folder.path().join("mixed.fbp");
    let output = folder.path().join("out.png");
    let render = |more: &[&str]| {
        let all = ["render", graph.to_str().unwrap(), "-i", "files/marbles.jpg", "-o", output.to_str().unwrap()];
        run(&[&all[..], &["-p", "width=400"], more].concat())
    };
    let done = render(&["--ops", ops, "--explain"]);
    assert!(done.status.success(), "{}", text(&done));
    let picture = decode(&std::fs::read(&output).unwrap());
    assert_eq!(picture.rect().width, 400);
    let view = picture.view(picture.rect());
    // White stripes show, black ones hide.
    let (shown, hidden) = (view.row_rgba8(100)[20], view.row_rgba8(100)[60]);
    assert_eq!((shown[3], hidden[3]), (255, 0), "{shown:?} {hidden:?}");
    // Sharper is another picture; the same again is the same.
    let first = std::fs::read(&output).unwrap();
    assert!(render(&["--ops", ops]).status.success());
    assert_eq!(std::fs::read(&output).unwrap(), first);
    assert!(render(&["--ops", ops, "-p", "amount=3"]).status.success());
    assert_ne!(std::fs::read(&output).unwrap(), first);
    let without = render(&[]);
    assert!(!without.status.success() && text(&without).contains("unknown component 'c/mask'"), "{}", text(&without));
    // GEGL runs whole graphs, and has none of these.
    let gegl = render(&["--ops", ops, "--engine", "gegl"]);
    assert!(!gegl.status.success() && text(&gegl).contains("GEGL"), "{}", text(&gegl));
}

#[test]
fn the_header_stays_as_it_is() {
    let header = std::fs::read_to_string(repository().join("ops/include/imgflo-op.h")).unwrap();
    // What was built for version 1 must run for ever: a change to its structures is version 2.
    let code = header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect::<String>();
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let structures = code.split("typedef ").skip(1).map(|part| part.split_inclusive(';').collect::<Vec<_>>());
    let structures = structures.map(|lines| {
        let end = lines.iter().position(|line| line.contains('}')).expect("a structure ends");
        lines[..=end].concat()
    });
    let all = structures.collect::<Vec<_>>().join("\n");
    assert_eq!(all, include_str!("c_operations/version1.txt").trim_end(), "a new version has a new number");
}
