//! The program's sub-commands, as a person types them.

use std::process::{Output, Stdio};

use imgflo_ops::codec;
use imgflo_tests::program::{command, run};
use imgflo_tests::server::Server;
use imgflo_tests::{corpus, golden, repository};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn render_runs_every_graph() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for file in corpus("graphs", &["json", "fbp"], 18) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        // One hands its input on, the other wires the roles.
        if matches!(name, "noop" | "imgflo") {
            continue;
        }
        let output = folder.path().join(format!("{name}.webp"));
        let result = run(&[
            "render",
            name,
            "--input",
            "files/marbles.jpg",
            "--output",
            output.to_str().unwrap(),
            "-p",
            "width=160",
        ]);
        assert!(result.status.success(), "{name}: {}", text(&result));
        // These put something around the picture.
        let around = match name {
            "halodarken" => 2,
            "framedthumbnail" => 56,
            "blurredbackdrop" => 80,
            _ => 0,
        };
        assert_eq!(codec::read_header(&std::fs::read(&output).unwrap()).unwrap().width, 160 + around, "{name}");
        seen += 1;
    }
    assert!(seen >= 17, "{seen}");
}

#[test]
fn render_takes_parameters_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("a.png");
    let output = output.to_str().unwrap();
    let wrong =
        run(&["render", "gaussianblur", "-i", "files/card.png", "-o", output, "-p", "std-dev-x=fat", "-p", "nosuch=1"]);
    assert!(!wrong.status.success());
    assert!(text(&wrong).contains("std-dev-x") && text(&wrong).contains("nosuch"), "{}", text(&wrong));
    assert!(!run(&["render", "nosuch", "-i", "files/card.png", "-o", output]).status.success());
    assert!(!run(&["render", "crop", "-i", "files/card.png", "-o", "a.tiff"]).status.success());
    let right = run(&[
        "render",
        "graphs/crop.json",
        "-i",
        "files/card.png",
        "-o",
        output,
        "-p",
        "x=40",
        "-p",
        "y=40",
        "-p",
        "cropwidth=80",
        "-p",
        "cropheight=30",
    ]);
    assert!(right.status.success(), "{}", text(&right));
    let image = golden::decode(&std::fs::read(output).unwrap());
    assert_eq!((image.rect().width, image.rect().height), (80, 30));
}

#[test]
fn graph_info_fills_ports_in() {
    let result = run(&["graph", "info", "graphs/denoise.fbp"]);
    assert!(result.status.success(), "{}", text(&result));
    let graph: serde_json::Value = serde_json::from_slice(&result.stdout).unwrap();
    let metadata = &graph["inports"]["iterations"]["metadata"];
    assert_eq!(metadata["type"], "int");
    assert_eq!(metadata["default"].as_f64(), Some(4.0));
    assert_eq!(metadata["maximum"].as_f64(), Some(32.0));
}

#[test]
fn graph_check_names_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.fbp");
    std::fs::write(&bad, "a(gegl/nop) OUTPUT -> INPUT b(gegl/nosuch)\nc(gegl/nop) OUTPUT - INPUT a\n").unwrap();
    let result = run(&["graph", "check", bad.to_str().unwrap()]);
    assert!(!result.status.success());
    assert!(text(&result).contains("bad.fbp") && text(&result).contains('2'), "{}", text(&result));
    let files = corpus("graphs", &["json", "fbp"], 12);
    let mut arguments = vec!["graph", "check"];
    arguments.extend(files.iter().map(|f| f.to_str().unwrap()));
    let result = run(&arguments);
    assert!(result.status.success(), "{}", text(&result));
}

#[test]
fn graph_check_tells_what_is_passed_over() {
    let result = run(&["graph", "check", "tests/originals/motionblur.json", "graphs/passthrough.json"]);
    assert!(result.status.success(), "{}", text(&result));
    for note in [
        "motionblur.json: process 'load': passed over: the graph's input comes in place of 'gegl/load'",
        "motionblur.json: process 'proc': passed over: shows a picture in an editor",
        "passthrough.json: inport 'ignored': does nothing: gegl/nop has no inport 'ignored'",
    ] {
        assert!(text(&result).contains(note), "{note}: {}", text(&result));
    }
}

#[test]
fn graph_convert_goes_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let fbp = folder.path().join("b.fbp");
    for (from, to) in [("graphs/desaturate.fbp", &json), (json.to_str().unwrap(), &fbp)] {
        let result = run(&["graph", "convert", from, to.to_str().unwrap()]);
        assert!(result.status.success(), "{}", text(&result));
    }
    let first = imgflo_fbp::Graph::from_json_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let text = std::fs::read_to_string(&fbp).unwrap();
    let second = imgflo_fbp::parse(&text, &imgflo_fbp::ParseOptions::default()).unwrap();
    assert_eq!(first.canonical(), second.canonical());
}

/// A graph is meant by its file, by its name, by one of its versions, or by what comes in.
#[test]
fn a_graph_is_named_alike_in_all_commands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let copy = |name: &str| std::fs::copy(repository().join("graphs").join(name), folder.path().join(name)).unwrap();
    copy("retro.json");
    copy("sharpen.fbp");
    let rolled = folder.path().join("new.json");
    let changed =
        std::fs::read_to_string(folder.path().join("retro.json")).unwrap().replace("\"retro\"", "\"renamed\"");
    std::fs::write(&rolled, changed).unwrap();
    let published = run(&["graph", "publish", "retro", rolled.to_str().unwrap(), "--graphs", path]);
    assert!(published.status.success(), "{}", text(&published));
    let file = folder.path().join("retro.json");
    for given in [file.to_str().unwrap(), "retro", "retro@1", "retro@2", "sharpen"] {
        let (output, picture) = (folder.path().join("out.json"), folder.path().join("out.png"));
        let (output, picture) = (output.to_str().unwrap(), picture.to_str().unwrap());
        for arguments in [
            &["graph", "info", given][..],
            &["graph", "check", given],
            &["graph", "convert", given, output],
            &["graph", "diff", given, given],
            &["graph", "publish", "another", given],
            &["render", given, "-i", "files/card.png", "-p", "width=40", "-o", picture],
        ] {
            let result = run(&[arguments, &["--graphs", path]].concat());
            assert!(result.status.success(), "{arguments:?}: {}", text(&result));
        }
    }
    for (arguments, told) in [
        (&["versions", "retro@1"][..], "      1  "),
        (&["rollback", "retro@1"], "retro: version 3 is as version 1"),
        (&["rollback", "retro"], "a version is needed: NAME VERSION or NAME@VERSION"),
        (&["rollback", "retro@1", "2"], "two versions are given: retro@1 and 2"),
    ] {
        let result = text(&run(&[&["graph"], arguments, &["--graphs", path]].concat()));
        assert!(result.contains(told), "{arguments:?}: {result}");
    }
    let info = run(&["graph", "info", "retro@1", "--graphs", path]);
    assert!(text(&info).contains("\"name\": \"retro\""), "{}", text(&info));
    for (given, told) in [
        ("retor", "no graph file 'retor', and none of that name in"),
        ("retor", "; did you mean retro?"),
        ("retro@7", "graph 'retro' has no version 7; its newest is 3"),
    ] {
        for command in ["info", "check"] {
            let result = run(&["graph", command, given, "--graphs", path]);
            assert!(!result.status.success() && text(&result).contains(told), "{given}: {}", text(&result));
        }
    }
    assert!(!text(&run(&["graph", "check", "elephant", "--graphs", path])).contains("did you mean"));
    let mut reading =
        command().args(["graph", "check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(
        &mut reading.stdin.take().unwrap(),
        b"a(gegl/nop)\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n",
    )
    .unwrap();
    assert!(reading.wait_with_output().unwrap().status.success());
}

/// Tells what the form has no place for, and leaves it out when asked to. The rest computes the same.
#[test]
fn graph_convert_tells_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut lost = 0;
    let files = corpus("graphs", &["json"], 18);
    for file in &files {
        let graph = imgflo_fbp::Graph::from_json_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let output = folder.path().join("out.fbp");
        let arguments = ["graph", "convert", file.to_str().unwrap(), output.to_str().unwrap()];
        let refused = run(&arguments);
        if !refused.status.success() {
            lost += 1;
            assert!(
                text(&refused).contains("would be lost: ") && text(&refused).contains("--lossy"),
                "{}",
                text(&refused)
            );
            assert!(!output.exists(), "nothing is written");
        }
        let result = run(&[&arguments[..], &["--lossy"]].concat());
        assert!(result.status.success(), "{}", text(&result));
        assert_eq!(text(&result).contains("lost: "), !refused.status.success(), "{}", text(&result));
        let written = std::fs::read_to_string(&output).unwrap();
        let back = imgflo_fbp::parse(&written, &imgflo_fbp::ParseOptions::default()).unwrap();
        let components = |graph: &imgflo_fbp::Graph| {
            graph.processes.iter().map(|(name, process)| (name.clone(), process.component.clone())).collect::<Vec<_>>()
        };
        assert_eq!(components(&back), components(&graph), "{written}");
        assert!(back.inports.keys().eq(graph.inports.keys()), "{written}");
        let ends = |graph: &imgflo_fbp::Graph| {
            graph.connections.iter().map(|edge| (edge.src.clone(), edge.tgt.clone())).collect::<Vec<_>>()
        };
        assert_eq!(ends(&back), ends(&graph), "{written}");
        assert!(run(&["graph", "check", output.to_str().unwrap()]).status.success(), "{written}");
        std::fs::remove_file(output).unwrap();
    }
    assert!(lost > 10, "{lost} of {}", files.len());
}

/// A reader that has seen enough ends nothing; a full disk is a failure.
#[test]
fn output_that_nobody_reads_is_no_fault() {
    for arguments in [
        &["completions", "bash"][..],
        &["settings"],
        &["ops", "list", "--engine", "native"],
        &["ops", "show", "gegl/crop"],
        &["graph", "info", "retro"],
        &["graph", "check", "retro"],
        &["procfile"],
        &["version"],
        &["url", "crop", "-i", "http://a/b.png"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let result = command().args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let result = result.wait_with_output().unwrap();
        assert!(result.status.success() && result.stderr.is_empty(), "{arguments:?}: {}", text(&result));
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let result = command().args(arguments).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let result = result.wait_with_output().unwrap();
        assert_eq!(result.status.code(), Some(1), "{arguments:?}");
        assert!(text(&result).contains("standard output is not complete: No space left"), "{}", text(&result));
        // Neither is what is told of failures.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let result = command().args(["graph", "check", "elephant"]).stderr(writer).spawn().unwrap();
        assert_eq!(result.wait_with_output().unwrap().status.code(), Some(1));
    }
}

/// The reader of a server's log may end before the server does.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_goes_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = command();
    program.stderr(writer);
    let graphs = tempfile::tempdir().unwrap();
    std::fs::copy(repository().join("graphs/passthrough.json"), graphs.path().join("passthrough.json")).unwrap();
    // This is logged at the start.
    std::fs::write(graphs.path().join("broken.fbp"), "a(gegl/nop) ->").unwrap();
    let arguments = ["--graphs", graphs.path().to_str().unwrap()];
    let server = Server::start_by(program, tempfile::tempdir().unwrap(), &arguments);
    for (graph, status) in [("passthrough", 301), ("broken", 404), ("passthrough", 301)] {
        assert_eq!(server.get(&format!("/graph/{graph}?input=files/card.png&width=20")).await.status(), status);
    }
}

#[test]
fn a_cut_picture_is_told_as_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (cut, output) = (folder.path().join("cut"), folder.path().join("out.png"));
    for (sample, bytes) in [("lake.jpg", 100_000), ("card.png", 3000), ("leaf.png", 200_000)] {
        let whole = std::fs::read(repository().join("files").join(sample)).unwrap();
        std::fs::write(&cut, &whole[..bytes]).unwrap();
        let result = run(&["render", "passthrough", "-i", cut.to_str().unwrap(), "-o", output.to_str().unwrap()]);
        let told = format!("the file ends early, after {bytes} bytes");
        assert!(!result.status.success() && text(&result).contains(&told), "{sample}: {}", text(&result));
        let [from, to] = [&cut, &output].map(|path| path.to_str().unwrap());
        let result = run(&["render", "passthrough", "--accept-cut-inputs", "-i", from, "-o", to]);
        assert!(result.status.success(), "{sample}: {}", text(&result));
    }
}

#[test]
fn ops_are_listed_and_shown() {
    let list = run(&["ops", "list"]);
    let names = String::from_utf8(list.stdout).unwrap();
    for name in ["gegl/crop", "gegl/gaussian-blur", "gegl/noise-cie-lch", "svg/src-over", "imgflo/retro-curve"] {
        assert!(names.lines().any(|line| line.starts_with(name)), "{name}");
    }
    assert!(names.lines().count() >= 20);
    let show = run(&["ops", "show", "gegl:gaussian-blur"]);
    assert!(text(&show).contains("std-dev-x: number, 0 to 1500, default 1.5"), "{}", text(&show));
    assert!(text(&show).contains("\nengine: native\n"), "{}", text(&show));
    let far = text(&run(&["ops", "show", "gegl/zzz"]));
    assert!(far.contains("no operation 'gegl/zzz'") && !far.contains("did you mean"), "{far}");
    let wrong = run(&["ops", "show", "gegl/gausian-blur"]);
    assert!(!wrong.status.success());
    assert!(text(&wrong).contains("gegl/gaussian-blur"), "{}", text(&wrong));
}

#[test]
fn help_version_and_completions() {
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["render", "--help"],
        &["version"],
        &["settings"],
        &["completions", "bash"],
    ] {
        let result = run(arguments);
        assert!(result.status.success(), "{arguments:?}");
        assert!(result.stdout.len() > 20, "{arguments:?}");
    }
    for words in [["version"], ["--version"]] {
        let text = text(&run(&words));
        assert!(text.contains("SIMD") && text.contains("AVIF"), "{text}");
    }
    assert!(text(&run(&["serve", "--help"])).contains("IMGFLO_MAX_INPUT_PIXELS"));
}

#[test]
fn the_procfile_of_a_network_with_unknown_components_fails_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.fbp");
    std::fs::write(&file, "# @runtime msgflo\n\nsource(my/Count) OUT -> IN sink(my/Print)\n").unwrap();
    let result = run(&["procfile", file.to_str().unwrap()]);
    assert_eq!(result.status.code(), Some(1));
    assert!(result.stdout.is_empty(), "{}", text(&result));
    for told in ["no component 'my/Count' is defined for role 'source'", "'my/Print' is defined for role 'sink'"] {
        assert!(text(&result).contains(told), "{}", text(&result));
    }
    assert_eq!(run(&["procfile"]).stdout, std::fs::read("Procfile").or_else(|_| std::fs::read("../Procfile")).unwrap());
}
