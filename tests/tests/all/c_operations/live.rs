//! Operations written while a server runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use imgflo_ops::Pixels;
use imgflo_runtime::{
    COperations, Catalogue, ChildLimits, Control, Engine, ImageGraph, LibraryLimits, LiveOperations, NativeEngine,
    Plan, PlanLimits,
};
use imgflo_tests::program::{command, run};
use imgflo_tests::sample;
use imgflo_tests::server::Server;
use reqwest::StatusCode;
use serde_json::Value;

use super::faults::{children, until};
use super::{decode, operation, text, write};

pub const SECRET: &str = "only-for-tests-0123456789";

/// A server with graphs of live operations, and its temporary folder.
pub struct Rig {
    pub server: Server,
    folder: tempfile::TempDir,
}

impl Rig {
    /// `engine`: the list of faults asks GEGL for names, if it may.
    pub fn start(secret: bool, engine: &str) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let [graphs, scratch, files] = ["graphs", "scratch", "files"].map(|name| folder.path().join(name));
        for folder in [&graphs, &scratch, &files] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::copy(sample("marbles.jpg"), files.join("marbles.jpg")).unwrap();
        // Of a colour of its own: its size is in the address.
        write(&graphs, "flat.fbp", "OUTPORT=it.OUTPUT:OUTPUT\nit(c/flat)\n");
        write(&graphs, "other.fbp", "OUTPORT=it.OUTPUT:OUTPUT\n1 -> LEVEL it(c/flat)\n");
        let mut program = command();
        program.env("TMPDIR", &scratch);
        if secret {
            program.env("IMGFLO_LIVE_SECRET", SECRET);
        }
        let (graphs, files) = (graphs.to_str().unwrap(), files.to_str().unwrap());
        let more = ["--graphs", graphs, "--files", files, "--workers", "2", "--max-operation-bytes", "20000"];
        let more = [&more[..], &["--engine", engine]].concat();
        let server = Server::start_by(program, tempfile::tempdir().unwrap(), &more);
        Rig { server, folder }
    }

    pub async fn put(&self, name: &str, secret: Option<&str>, source: String) -> (StatusCode, Value) {
        let request = self.server.client().put(format!("{}/ops/{name}", self.server.url)).body(source);
        let request = match secret {
            Some(secret) => request.header("Authorization", format!("Bearer {secret}")),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).expect("JSON"))
    }

    /// The level of the picture that `flat` makes, from 0 to 255 in each of three colours.
    pub async fn level(&self, width: u64) -> Result<u32, Value> {
        let answer = self.server.get(&format!("/graph/flat.png?width={width}&height=2")).await;
        if answer.status() != StatusCode::MOVED_PERMANENTLY {
            return Err(serde_json::from_str(&answer.text().await.unwrap()).expect("a problem"));
        }
        let place = answer.headers()["location"].to_str().unwrap().to_owned();
        let bytes = self.server.get(&place).await.bytes().await.unwrap();
        let pixels = match decode(&bytes).into_pixels() {
            Pixels::Rgb8(pixels) => pixels[0],
            Pixels::Rgba8(pixels) => [pixels[0][0], pixels[0][1], pixels[0][2]],
            Pixels::Float(_) => panic!("files have bytes"),
        };
        Ok(u32::from_be_bytes([0, pixels[0], pixels[1], pixels[2]]))
    }

    pub fn scratch(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.folder.path().join("scratch"), &mut found);
        found
    }
}

fn list(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path().display().to_string());
        list(&entry.path(), found);
    }
}

/// The source whose picture is `level` in all places.
pub fn flat(level: u32) -> String {
    let [_, r, g, b] = level.to_be_bytes();
    let body = format!(
        "for (int32_t y = call->output.box.y; y < call->output.box.y + call->output.box.height; y++) {{
            float *row = imgflo_row(&call->output, y);
            for (int32_t x = 0; x < call->output.box.width; x++, row += 4)
                row[0] = {r} / 255.0f, row[1] = {g} / 255.0f, row[2] = {b} / 255.0f, row[3] = 1.0f;
        }}"
    );
    operation("flat", "IMGFLO_SOURCE", &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_nothing_is_taken() {
    let closed = Rig::start(false, "native");
    let (status, problem) = closed.put("flat", Some(SECRET), flat(1)).await;
    assert_eq!(status, 404, "{problem}");
    let rig = Rig::start(true, "native");
    for secret in [
        None,
        Some(""),
        Some("wrong"),
        Some(&SECRET[1..]),
        Some(&SECRET.replace("only", "ONLY")),
        Some(&format!("{SECRET}0")),
    ] {
        let (status, problem) = rig.put("flat", secret, flat(1)).await;
        assert_eq!((status.as_u16(), &problem["category"]), (403, &"forbidden".into()), "{secret:?} {problem}");
        assert!(!problem.to_string().contains(SECRET));
    }
    assert_eq!(rig.server.get("/ops/flat").await.status(), 405);
    assert!(children(rig.server.pid()).is_empty(), "nothing was compiled");
    // Only where one process does all, and only with a secret worth the name.
    for (arguments, told) in [
        (&["serve", "--live-secret", SECRET, "--broker", "amqp://127.0.0.1:1"][..], "workers elsewhere"),
        (&["serve", "--live-secret", "short"][..], "shorter than 16"),
    ] {
        let refused = run(arguments);
        assert!(!refused.status.success() && text(&refused).contains(told), "{}", text(&refused));
        assert!(!text(&refused).contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_becomes_a_revision_or_messages() {
    let rig = Rig::start(true, "native");
    assert_eq!(rig.level(1).await.expect_err("there is none yet")["status"], 404);
    let (status, first) = rig.put("flat", Some(SECRET), flat(0x01_02_03)).await;
    assert_eq!((status.as_u16(), &first["component"]), (200, &"c/flat".into()), "{first}");
    assert_eq!(rig.level(2).await, Ok(0x01_02_03));
    // A graph that it does not fit is told.
    assert_eq!(first["faults"][0]["file"], "other.fbp", "{first}");
    let (status, second) = rig.put("flat", Some(SECRET), flat(0x04_05_06)).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(first["revision"], second["revision"]);
    // The same address is another result now.
    assert_eq!(rig.level(2).await, Ok(0x04_05_06));
    let (_, third) = rig.put("flat", Some(SECRET), flat(0x01_02_03)).await;
    assert_eq!(first["revision"], third["revision"], "{third}");
    assert_eq!(rig.level(2).await, Ok(0x01_02_03));

    let (_, warned) = rig.put("flat", Some(SECRET), flat(7).replace("(void)call;", "int unused;")).await;
    assert_eq!((&warned["messages"][0]["severity"], &warned["messages"][0]["line"]), (&"warning".into(), &13.into()));
    let good = flat(7);
    let lost = "1\nint x = y;\n#define";
    for (name, source, told, line) in [
        ("flat", good.replacen("return NULL;", "return undeclared;", 1), "'undeclared' undeclared", 19),
        ("flat", good.replacen("return NULL;", "return gone(call);", 1), "gone", 19),
        ("flat", "#include \"/etc/shadow\"\n".to_owned() + &good, "/etc/shadow", 1),
        ("flat", "#include \"/proc/self/environ\"\n".to_owned() + &good, "/proc/self/environ", 1),
        ("flat", good.replacen("(void)call;", "__asm__(\".incbin \\\"/etc/shadow\\\"\");", 1), "/etc/shadow", 13),
        ("flat", good.replace("\"flat\"", "\"round\""), "calls itself 'round', and its file is named flat.c", 0),
        ("flat", good.replace(".render = render,", ""), "have a function `render`", 0),
        ("flat", "int x;".into(), "write IMGFLO_OPERATION(...) once", 0),
        ("flat", format!("{good}\n__attribute__((constructor)) static void early(void) {{ abort(); }}"), "crashed", 0),
        (
            "flat",
            format!("{good}\n__attribute__((constructor)) static void early(void) {{ _exit(0); }}"),
            "status 0",
            0,
        ),
        ("flat", good.replacen("1", lost, 1), "error", 0),
        ("Flat", good.clone(), "'Flat' is no name", 0),
        ("..%2fflat", good.clone(), "is no name", 0),
    ] {
        let (status, problem) = rig.put(name, Some(SECRET), source).await;
        assert_eq!(status, 422, "{told}: {problem}");
        let messages = problem["messages"].as_array().expect("messages");
        let error =
            messages.iter().find(|message| message["severity"] == "error" && message.to_string().contains(told));
        if told == "error" {
            continue;
        }
        let error = error.unwrap_or_else(|| panic!("{told}: {problem}"));
        assert_eq!(error["line"], line, "{problem}");
        assert!(!problem.to_string().contains("root:"), "{problem}");
    }
    let (status, problem) = rig.put("flat", Some(SECRET), "/* long */".repeat(3000)).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(problem["overrun"]["setting"], "IMGFLO_MAX_OPERATION_BYTES", "{problem}");
    // The last good one is in force.
    assert_eq!(rig.level(3).await, Ok(7));
}

#[test]
fn plans_keep_the_revision_that_they_were_made_with() {
    let limits = ChildLimits { program: imgflo_tests::program::path(), ..ChildLimits::new(2) };
    let operations = Arc::new(COperations::new(&limits, false).unwrap());
    let live = LiveOperations::new(Arc::clone(&operations), "cc", &limits).unwrap();
    let catalogue = Catalogue::native().with_c(operations);
    let plan = |component: &str| {
        let text = format!("OUTPORT=it.OUTPUT:OUTPUT\nit({component})\n");
        let graph = imgflo_fbp::parse(&text, &imgflo_fbp::ParseOptions::default()).unwrap();
        let limits = LibraryLimits { max_nodes: 10, max_bytes: 10_000 };
        let graph = ImageGraph::new("flat", graph, &catalogue, &limits).map_err(|faults| format!("{faults:?}"))?;
        let size = [("width", "3"), ("height", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments = graph.arguments(&BTreeMap::from(size)).unwrap();
        let limits = PlanLimits { max_output_pixels: 100, max_memory: 1 << 20 };
        Ok::<_, String>((Plan::new(&graph, &arguments, None, &catalogue, &limits).unwrap(), graph))
    };
    let engine = NativeEngine::new(1);
    let level = |plan: &Plan| {
        let image = engine.render(plan, None, &Control::default()).unwrap();
        image.view(image.rect()).row_rgba8(0)[0][2]
    };
    let first = live.revise("flat", &flat(1)).unwrap();
    let (of_first, graph) = plan("c/flat").unwrap();
    assert_eq!(graph.pinned().processes["it"].component, format!("c/flat/{}", first.revision));
    for revision in 2..=4 {
        live.revise("flat", &flat(revision)).unwrap();
    }
    // Jobs on their way ask for the one that their key was made from.
    let pinned = format!("c/flat/{}", first.revision);
    assert_eq!(level(&plan(&pinned).unwrap().0), 1);
    for revision in 5..=6 {
        live.revise("flat", &flat(revision)).unwrap();
    }
    assert_eq!((level(&of_first), level(&plan("c/flat").unwrap().0)), (1, 6));
    let gone = plan(&pinned).expect_err("that is long ago");
    assert!(gone.contains("unknown component 'c/flat/"), "{gone}");
    assert_ne!(plan("c/flat").unwrap().1.content(), graph.content());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_revisions_leave_nothing_behind() {
    let revisions = if std::env::var_os("IMGFLO_TEST_LONG").is_some() { 1000 } else { 100 };
    let rig = Rig::start(true, "native");
    assert_eq!(rig.put("flat", Some(SECRET), flat(1)).await.0, 200);
    assert_eq!(rig.level(1).await, Ok(1));
    // The newest that is in force for certain, and the newest that may be.
    let (confirmed, sent, done) = (AtomicU64::new(1), AtomicU64::new(1), AtomicBool::new(false));
    let (rendered, early) = (AtomicU64::new(0), AtomicUsize::new(0));
    let clients = (0..3).map(|client| {
        let (rig, confirmed, sent, done, rendered) = (&rig, &confirmed, &sent, &done, &rendered);
        async move {
            let mut size = client;
            while !done.load(Ordering::SeqCst) {
                size += 3;
                let least = confirmed.load(Ordering::SeqCst);
                let level = u64::from(rig.level(2 + size % 5000).await.unwrap_or_else(|problem| panic!("{problem}")));
                let most = sent.load(Ordering::SeqCst);
                assert!((least..=most).contains(&level), "revision {level}, of {least} to {most}");
                rendered.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let author = async {
        for revision in 2..=revisions {
            if revision % 3 == 0 {
                let bad = match revision % 4 {
                    0 => flat(0xbad).replacen("return NULL;", "return undeclared;", 1),
                    1 => flat(0xbad).replace("IMGFLO_OPERATION(operation);", ""),
                    2 => flat(0xbad).replace("\"flat\"", "\"bad\""),
                    _ => flat(0xbad) + "__attribute__((constructor)) static void early(void) { abort(); }",
                };
                let (status, problem) = rig.put("flat", Some(SECRET), bad).await;
                assert_eq!(status, 422, "{problem}");
            }
            sent.store(revision, Ordering::SeqCst);
            let (status, answer) = rig.put("flat", Some(SECRET), flat(revision as u32)).await;
            assert_eq!(status, 200, "{answer}");
            confirmed.store(revision, Ordering::SeqCst);
            if revision == 20 {
                early.store(rig.server.descriptors(), Ordering::SeqCst);
            }
        }
        done.store(true, Ordering::SeqCst);
    };
    futures::join!(futures::future::join_all(clients), author);
    let rendered = rendered.load(Ordering::SeqCst);
    println!("{revisions} revisions, {rendered} pictures");
    assert!(rendered > revisions, "under load: {rendered}");
    assert_eq!(rig.level(9000).await, Ok(revisions as u32));
    // Two children with operations, one that compiles.
    until("children go", || children(rig.server.pid()).len() <= 3);
    let libraries = rig.scratch().into_iter().filter(|name| name.ends_with(".so")).count();
    assert!(libraries <= 6, "{:?}", rig.scratch());
    assert!(rig.scratch().len() <= 20, "{:?}", rig.scratch());
    // The clients' connections come and go.
    let early = early.into_inner();
    until("descriptors are closed", || rig.server.descriptors() <= early + 8);
}
