//! Graphs that change: their versions on the command line, and a server that picks them up.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use imgflo_fbp::Graph;
use imgflo_ops::Pixels;
use imgflo_runtime::{Catalogue, LibraryLimits, Saving, VersionLimits, Versions};
use imgflo_tests::program::{command, run};
use imgflo_tests::server::Server;
use imgflo_tests::{golden, sample};
use serde_json::Value;
use tempfile::TempDir;

const HARD: &str = "# @runtime imgflo\n# Harder, as we like it\nINPORT=tone.INPUT:INPUT\nOUTPORT=tone.OUTPUT:OUTPUT\n\
    1.2 -> CONTRAST tone(gegl/brightness-contrast)\n";

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder of graphs, and further arguments of all commands on it.
struct Folder(TempDir);

impl Folder {
    fn new(graphs: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (name, text) in graphs {
            folder.write(name, text);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut program = command();
        program.arg("graph").args(arguments).arg("--graphs").arg(self.path());
        if arguments[0] != "versions" {
            program.args(["--engine", "native"]);
        }
        program
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// What a command says that ends with 1.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        text(&output)
    }
}

#[test]
fn versions_are_listed_named_and_rolled_back() {
    let folder = Folder::new(&[("hard.fbp", HARD)]);
    let elsewhere = tempfile::tempdir().unwrap();
    let next = elsewhere.path().join("next.fbp");
    std::fs::write(&next, HARD.replace("1.2 ->", "1.25 ->")).unwrap();
    let next = next.to_str().unwrap();
    assert!(folder.ok(&["publish", "hard", next, "--title", "harder"]).contains("version 2 now"));
    assert!(folder.ok(&["publish", "hard", next]).contains("version 2 already"));
    folder.ok(&["versions", "hard", "1", "--title", "as it began"]);
    let table = folder.ok(&["versions", "hard"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].trim_start().starts_with("1  20") && lines[1].ends_with("as it began"), "{table}");
    assert!(lines[2].trim_start().starts_with("2  20") && lines[2].ends_with("harder"), "{table}");
    assert!(folder.ok(&["rollback", "hard", "1"]).contains("version 3 is as version 1"));
    assert_eq!(folder.read("hard.fbp"), HARD);
    assert_eq!(folder.ok(&["diff", "hard@1", "hard"]), "");
    assert_eq!(folder.ok(&["diff", "hard@1", "hard@2"]), "~ value tone.contrast: 1.2 -> 1.25\n");
    // An old version is rendered like any graph.
    let picture = elsewhere.path().join("a.png");
    let picture = picture.to_str().unwrap();
    let graphs = folder.path().to_str().unwrap();
    let render =
        run(&["render", "hard@2", "-i", "files/card.png", "-o", picture, "-p", "width=40", "--graphs", graphs]);
    assert!(render.status.success(), "{}", text(&render));
    for (arguments, told) in [
        (&["rollback", "hard", "9"][..], "no version 9; its newest is 3"),
        (&["versions", "nosuch"], "there is no graph 'nosuch'"),
        (&["versions", "hard", "9"], "no such version"),
        (&["publish", "a.b", next], "is no name of a graph"),
        (&["diff", "hard@9", "hard"], "no version 9"),
    ] {
        let output = folder.refused(arguments);
        assert!(output.contains(told), "{arguments:?}: {output}");
    }
    std::fs::write(next, "a(gegl/nosuch)\n").unwrap();
    assert!(folder.refused(&["publish", "hard", next]).contains("unknown component"));
    assert_eq!(folder.read("hard.fbp"), HARD);
    folder.ok(&["publish", "hard", next, "--faulty"]);
    // The oldest without a title goes.
    let few = ["rollback", "hard", "2", "--max-graph-versions", "3"];
    assert!(folder.ok(&few).contains("version 5"));
    let table = folder.ok(&["versions", "hard"]);
    let numbers: Vec<&str> = table.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "5"], "{table}");
}

#[test]
fn diff_shows_pictures_and_tells_how_far_apart_they_are() {
    let folder = Folder::new(&[("hard.fbp", HARD), ("harder.fbp", &HARD.replace("1.2 ->", "2 ->"))]);
    folder.write(
        "small.fbp",
        &HARD
            .replace("-contrast)", "-contrast) OUTPUT -> INPUT cut(gegl/crop)\n50 -> WIDTH cut\n40 -> HEIGHT cut")
            .replace("OUTPORT=tone", "OUTPORT=cut"),
    );
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("both.png");
    let out = out.to_str().unwrap();
    let distance = |told: &str| -> f64 {
        let line = told.lines().find_map(|line| line.strip_prefix("distance: ")).unwrap_or_else(|| panic!("{told}"));
        line.split_whitespace().next().unwrap().parse().unwrap_or_else(|error| panic!("{error}: {told}"))
    };
    let input = ["--input", "files/card.png", "-p", "width=120", "--output", out];
    let same = folder.ok(&[&["diff", "hard", "hard"][..], &input].concat());
    assert_eq!(distance(&same), 0.0, "{same}");
    let other = folder.ok(&[&["diff", "hard", "harder"][..], &input].concat());
    assert!(distance(&other) > 2.0 && other.contains("~ value tone.contrast: 1.2 -> 2"), "{other}");
    let both = golden::decode(&std::fs::read(out).unwrap());
    assert_eq!(both.rect().width, 3 * 120 + 2 * 8);
    let sizes = folder.ok(&[&["diff", "hard", "small"][..], &input].concat());
    assert!(sizes.contains("became 50 x 40") && sizes.contains("+ process cut: gegl/crop"), "{sizes}");
    assert!(folder.refused(&["diff", "hard", "harder", "--output", out]).contains("needs --input"));
    assert!(folder.refused(&["diff", "hard", "gone"]).contains("no graph file 'gone'"));
}

#[test]
fn a_graph_is_published_only_if_its_pictures_stay_near() {
    let folder = Folder::new(&[("hard.fbp", HARD)]);
    let elsewhere =
        Folder::new(&[("near.fbp", &HARD.replace("1.2 ->", "1.25 ->")), ("far.fbp", &HARD.replace("1.2 ->", "4 ->"))]);
    let samples = tempfile::tempdir().unwrap();
    for name in ["card.png", "leaf.png"] {
        std::fs::copy(sample(name), samples.path().join(name)).unwrap();
    }
    let samples = samples.path().to_str().unwrap();
    let publish = |file: &str, distance: &'static str| {
        let file = elsewhere.path().join(file);
        let arguments = ["publish", "hard", file.to_str().unwrap(), "--samples", samples, "--max-distance", distance];
        let output = folder.run(&arguments);
        (output.status.code(), text(&output))
    };
    let (code, told) = publish("far.fbp", "10");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("card.png: ") && told.contains("allowed is 10"), "{told}");
    assert_eq!(folder.read("hard.fbp"), HARD);
    let (code, told) = publish("near.fbp", "0.01");
    assert_eq!(code, Some(1), "{told}");
    let (code, told) = publish("near.fbp", "30");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("leaf.png: ") && told.contains("version 2 now"), "{told}");
    // What is not there cannot be compared with.
    let far = elsewhere.path().join("far.fbp");
    folder.ok(&["publish", "other", far.to_str().unwrap(), "--samples", samples]);
    let nothing = tempfile::tempdir().unwrap();
    let arguments = ["publish", "hard", far.to_str().unwrap(), "--samples", nothing.path().to_str().unwrap()];
    assert!(folder.refused(&arguments).contains("there is no picture in it"));
    assert_eq!(
        run(&["graph", "publish", "hard", far.to_str().unwrap(), "--max-distance", "wide"]).status.code(),
        Some(2)
    );
}

/// A graph of one colour, which is its level.
fn flat(level: u32) -> String {
    format!("# @runtime imgflo\nOUTPORT=it.OUTPUT:OUTPUT\n'#{level:06x}' -> VALUE it(gegl/color)\n")
}

fn parsed(text: &str) -> Graph {
    imgflo_fbp::parse(text, &imgflo_fbp::ParseOptions::default()).unwrap()
}

fn versions(folder: &Folder) -> Versions {
    let library = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
    let limits = VersionLimits { max_versions: 1000, max_bytes: 1 << 26, library };
    Versions::open(folder.path(), Arc::new(Catalogue::native()), limits).unwrap()
}

fn level_of(graph: &Graph) -> u32 {
    let value = graph.to_json()["connections"][0]["data"].as_str().unwrap().to_owned();
    u32::from_str_radix(&value[1..], 16).unwrap()
}

#[test]
fn processes_that_publish_at_the_same_time_lose_nothing() {
    let folder = Folder::new(&[("flat.fbp", &flat(0))]);
    let elsewhere = Folder::new(&[]);
    let children: Vec<_> = (1..=8)
        .map(|level| {
            let file = elsewhere.write(&format!("{level}.fbp"), &flat(level));
            folder.command(&["publish", "flat", file.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let versions = versions(&folder);
    let all = versions.list("flat").unwrap();
    let mut levels: Vec<u32> =
        all.iter().map(|version| level_of(&versions.load("flat", version.number).unwrap())).collect();
    levels.sort_unstable();
    assert_eq!(levels, (0..=8).collect::<Vec<u32>>());
}

#[test]
fn a_process_that_is_killed_leaves_a_whole_graph() {
    let folder = Folder::new(&[("flat.fbp", &flat(0))]);
    let elsewhere = Folder::new(&[]);
    let versions = versions(&folder);
    // How long one takes on this machine, so that some are killed at their work.
    let start = Instant::now();
    let file = elsewhere.write("next.fbp", &flat(1));
    folder.ok(&["publish", "flat", file.to_str().unwrap()]);
    let usual = start.elapsed();
    let mut known = 2;
    for round in 0..30 {
        let file = elsewhere.write("next.fbp", &flat(round + 2));
        let mut child =
            folder.command(&["publish", "flat", file.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(usual * (round % 10 + 3) / 12);
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        let all = versions.list("flat").unwrap();
        assert!(all.len() == known || all.len() == known + 1, "{round}: {all:#?}");
        known = all.len();
        for version in &all {
            versions.load("flat", version.number).unwrap_or_else(|error| panic!("{round}: {error}"));
        }
        parsed(&folder.read("flat.fbp"));
    }
    let file = elsewhere.write("next.fbp", &flat(99));
    folder.ok(&["publish", "flat", file.to_str().unwrap()]);
    assert_eq!(level_of(&parsed(&folder.read("flat.fbp"))), 99);
}

/// A server of the graph `flat`, and where it writes its log.
struct Rig {
    folder: Folder,
    server: Server,
    log: PathBuf,
}

impl Rig {
    fn start() -> Rig {
        let folder = Folder::new(&[("flat.fbp", &flat(1)), ("other.fbp", HARD)]);
        let log = folder.path().join("log.txt");
        let mut program = command();
        program.stderr(std::fs::File::create(&log).unwrap());
        let graphs = folder.path().to_str().unwrap();
        let arguments = ["--graphs", graphs, "--shipped-graphs", "false", "--engine", "native", "--workers", "2"];
        let server = Server::start_by(program, tempfile::tempdir().unwrap(), &arguments);
        Rig { folder, server, log }
    }

    /// The level that `flat` has, from a picture of this width; and where the picture is. Anything but a picture is a
    /// failure.
    async fn level(&self, width: u32) -> (u32, String) {
        let answer = self.server.get(&format!("/graph/flat.png?width={width}&height=2")).await;
        let status = answer.status();
        let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        assert_eq!(status, 301, "{}", answer.text().await.unwrap());
        let place = place.unwrap();
        (self.level_at(&place).await, place)
    }

    async fn level_at(&self, place: &str) -> u32 {
        let result = self.server.get(place).await;
        assert_eq!(result.status(), 200, "{place}");
        let Pixels::Rgb8(pixels) = golden::decode(&result.bytes().await.unwrap()).into_pixels() else {
            panic!("colour without alpha")
        };
        u32::from_be_bytes([0, pixels[0][0], pixels[0][1], pixels[0][2]])
    }

    async fn faults(&self) -> Vec<String> {
        let listing: Value = serde_json::from_slice(&self.server.get("/graphs").await.bytes().await.unwrap()).unwrap();
        assert_eq!(listing["graphs"].as_object().unwrap().len(), 2, "{listing}");
        listing["faults"].as_array().unwrap().iter().map(|fault| fault["file"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a picture that nobody asked for yet has this level.
    async fn until_level(&self, level: u32, first_width: u32) {
        for width in first_width.. {
            if self.level(width).await.0 == level {
                return;
            }
            assert!(width < first_width + 300, "level {level} was never seen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until_faults(&self, files: &[&str]) {
        for _ in 0..300 {
            if self.faults().await == files {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the faults are {:?}", self.faults().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_serves_what_is_saved_and_fails_no_request() {
    const LAST: u32 = 51;
    let rig = Rig::start();
    let (level, first) = rig.level(2).await;
    assert_eq!(level, 1);
    let (written, done, asked) = (AtomicU32::new(1), AtomicBool::new(false), AtomicU32::new(0));
    let client = |client: u32| {
        let (rig, written, done, asked) = (&rig, &written, &done, &asked);
        async move {
            let (mut width, mut newest) = (client, 0);
            while !done.load(Ordering::SeqCst) {
                // One picture is asked for again and again, others for the first time.
                width += 3;
                let level = rig.level(if client == 0 { 5 } else { 10 + width % 4000 }).await.0;
                let most = written.load(Ordering::SeqCst);
                assert!((newest..=most).contains(&level), "level {level} after {newest}, of {most}");
                newest = level;
                asked.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let author = async {
        let versions = versions(&rig.folder);
        for level in 2..=LAST {
            written.store(level, Ordering::SeqCst);
            match level % 3 {
                // As `imgflo graph` and editors on our side save, and as others do: in place, and by a new file.
                0 => drop(versions.save("flat", &parsed(&flat(level)), &Saving::default()).unwrap()),
                1 => drop(rig.folder.write("flat.fbp", &flat(level))),
                _ => {
                    let new = rig.folder.write("flat.fbp~", &flat(level));
                    std::fs::rename(new, rig.folder.path().join("flat.fbp")).unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(u64::from(level % 5) * 40)).await;
        }
        rig.until_level(LAST, 5000).await;
        done.store(true, Ordering::SeqCst);
    };
    futures::join!(author, client(0), client(1), client(2));
    let asked = asked.into_inner();
    println!("{asked} pictures while the graph was replaced {} times", LAST - 1);
    assert!(asked > LAST, "under load: {asked}");
    assert_eq!(rig.level(5).await.0, LAST);
    // What was made of an old version is where it was.
    assert_eq!(rig.level_at(&first).await, 1);
    // The old graph is the old result again.
    versions(&rig.folder).save("flat", &parsed(&flat(1)), &Saving::default()).unwrap();
    rig.until_level(1, 6000).await;
    assert_eq!(rig.level(2).await, (1, first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_what_was_served_and_is_told_once() {
    let rig = Rig::start();
    assert_eq!((rig.level(2).await.0, rig.faults().await), (1, vec![]));
    rig.folder.write("flat.fbp", "it(gegl/color) OUTPUT -> )");
    rig.until_faults(&["flat.fbp"]).await;
    assert_eq!(rig.level(3).await.0, 1);
    // Others go on changing.
    rig.folder.write("other.fbp", &HARD.replace("1.2 ->", "1.25 ->"));
    let contrast = async || {
        let listing: Value = serde_json::from_slice(&rig.server.get("/graphs").await.bytes().await.unwrap()).unwrap();
        listing["graphs"]["other"]["connections"][0]["data"].clone()
    };
    for _ in 0..300 {
        if contrast().await == 1.25 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((contrast().await, rig.level(4).await.0), (1.25.into(), 1));
    let told = std::fs::read_to_string(&rig.log).unwrap();
    assert_eq!(told.matches("flat.fbp").count(), 1, "{told}");
    assert!(told.contains("is served as it was"), "{told}");
    rig.folder.write("flat.fbp", &flat(2));
    rig.until_faults(&[]).await;
    rig.until_level(2, 100).await;
    // A folder that is away for a while takes nothing with it.
    let away = rig.folder.path().with_extension("away");
    std::fs::rename(rig.folder.path(), &away).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(rig.level(500).await.0, 2);
    std::fs::write(away.join("flat.fbp"), flat(3)).unwrap();
    std::fs::rename(&away, rig.folder.path()).unwrap();
    rig.until_level(3, 600).await;
    let told = std::fs::read_to_string(&rig.log).unwrap();
    assert_eq!(told.matches("the folder of graphs cannot be read").count(), 1, "{told}");
    // One that is removed is gone.
    std::fs::remove_file(rig.folder.path().join("flat.fbp")).unwrap();
    for width in 2000..2300 {
        if rig.server.get(&format!("/graph/flat.png?width={width}&height=2")).await.status() == 404 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still served");
}
