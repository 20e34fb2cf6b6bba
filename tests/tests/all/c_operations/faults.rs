//! What operations can do wrong: each ends its job, with an error that says what happened, and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use imgflo_tests::program::{command, run};
use imgflo_tests::sample;
use imgflo_tests::server::Server;
use serde_json::Value;

use super::{COPY, operation, text, write};

/// Entries of a folder.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    let mut names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
    names.sort();
    names
}

/// Process ids of the children of `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).expect("the process runs");
    let of = |task: &Path| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let all = tasks.map(|task| of(&task.unwrap().path())).collect::<Vec<_>>().join(" ");
    all.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Those of them that are called `name`.
pub fn children_named(parent: u32, name: &str) -> Vec<u32> {
    let called = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is = |pid: &u32| called(pid).split(|byte| *byte == 0).next() == Some(name.as_bytes());
    children(parent).into_iter().filter(is).collect()
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is said of an operation that writes beside its pixels, where the processor tells that it did not read them.
const WROTE: &str =
    if cfg!(target_arch = "x86_64") { "the operation c/NAME wrote past its pixels" } else { "past its pixels" };

/// Name, body of `render`, and what the error must tell.
fn evil(outside: &Path) -> Vec<(&'static str, String, &'static str)> {
    let outside = outside.display();
    let said = "static char said[200]; snprintf(said, sizeof said, \"%s: %s\", what, strerror(errno)); return said;";
    vec![
        ("segfault", "*(volatile int *)0 = 1;".into(), "the operation c/NAME crashed (SIGSEGV)"),
        ("aborts", "abort();".into(), "the operation c/NAME crashed (SIGABRT)"),
        ("endless", "for (volatile int i = 0;; i++) {}".into(), "used more than 4 s"),
        ("sleeps", "for (;;) pause();".into(), "the operation c/NAME used more than 4 s (IMGFLO_CHILD_SECONDS)"),
        (
            "hungry",
            "for (int i = 0; i < 160; i++) {
                char *more = malloc(64 << 20);
                if (!more) return \"out of memory\";
                memset(more, 1, 64 << 20);
            }"
            .into(),
            "memory",
        ),
        (
            "writes",
            format!(
                "const char *what = \"written\";
                if (open(\"{outside}/escaped\", O_CREAT | O_WRONLY, 0600) >= 0) return what;
                if (mkdir(\"/tmp/imgflo-escaped\", 0700) == 0) return what;
                if (unlink(\"{outside}/precious\") == 0 || truncate(\"{outside}/precious\", 0) == 0) return what;
                if (open(\"/etc/passwd\", O_RDONLY) >= 0) return what;
                what = \"refused\"; {said}"
            ),
            "refused: Permission denied",
        ),
        (
            "connects",
            format!(
                "const char *what = \"connected\";
                if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0) return what;
                what = \"refused\"; {said}"
            ),
            "refused: Operation not permitted",
        ),
        (
            "forks",
            format!(
                "const char *what = \"started\"; char *const words[] = {{\"true\", NULL}};
                if (fork() >= 0 || vfork() >= 0 || kill(getppid(), 0) == 0) return what;
                execv(\"/bin/true\", words);
                what = \"refused\"; {said}"
            ),
            "refused: Operation not permitted",
        ),
        ("exits", "exit(3);".into(), "the operation c/NAME exited with status 3"),
        (
            "babbles",
            "for (int fd = 0; fd < 64; fd++) { ssize_t n = write(fd, \"garbage everywhere, and more\", 28); (void)n; }"
                .into(),
            "the operation c/NAME answered with something that is no reply",
        ),
        (
            "overruns",
            format!("{COPY} call->output.pixels[call->output.box.height * call->output.stride] = 1.0f;"),
            WROTE,
        ),
        ("underruns", format!("{COPY} memset(call->output.pixels - 8, 0, 32);"), WROTE),
        ("scribbles", "memset(call->output.pixels - 300000, 7, 64 << 20);".into(), WROTE),
        (
            "spoils",
            "((float *)call->input.pixels)[call->input.box.height * call->input.stride + 3] = 0.0f;".into(),
            WROTE,
        ),
        (
            "strides",
            "for (int32_t y = 0; y < call->output.box.height; y++)
                memset(call->output.pixels + y * 2 * call->output.stride, 0, 64);"
                .into(),
            WROTE,
        ),
        (
            "overreads",
            "const float *end = call->input.pixels + call->input.box.height * call->input.stride;
             memcpy(call->output.pixels, end - 4, 32);"
                .into(),
            "read past its pixels",
        ),
        #[cfg(target_arch = "x86_64")]
        (
            "old-call",
            // By the way of 32 bits: open a socket.
            "int made; __asm__ volatile(\"int $0x80\" : \"=a\"(made) : \"a\"(359), \"b\"(1), \"c\"(1), \"d\"(0));"
                .into(),
            "the operation c/NAME crashed (SIG",
        ),
        ("complains", "return \"there is no such thing\";".into(), "there is no such thing"),
    ]
}

/// Writes a pixel more than its rows have. The next row would hide it in all but the last.
const POINTED: &str = r#"#include "imgflo-op.h"
static void point(const imgflo_value *values, float *pixels, int32_t x, int32_t y, int32_t count, imgflo_box whole) {
    (void)values, (void)x, (void)whole;
    if (y == 2) pixels[4 * count] = 0.5f;
}
static const imgflo_operation operation = {
    .kind = IMGFLO_POINT, .format = IMGFLO_CODED, .name = "pointed", .description = "For tests.", .point = point,
};
IMGFLO_OPERATION(operation);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_ends_one_job_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [ops, graphs, scratch, outside, files] =
        ["ops", "graphs", "scratch", "outside", "files"].map(|name| folder.path().join(name));
    for folder in [&ops, &graphs, &scratch, &outside, &files] {
        std::fs::create_dir(folder).unwrap();
    }
    write(&outside, "precious", "keep me");
    std::fs::copy(sample("marbles.jpg"), files.join("marbles.jpg")).unwrap();
    let evil = evil(&outside);
    write(&ops, "pointed.c", POINTED);
    let copy = ("fine", COPY.to_owned(), "");
    let pointed = ("pointed", String::new(), WROTE);
    for (name, body, _) in evil.iter().chain([&copy, &pointed]) {
        if !body.is_empty() {
            write(&ops, &format!("{name}.c"), &operation(name, "IMGFLO_AREA", body));
        }
        let graph = format!("INPORT=it.INPUT:INPUT\nOUTPORT=it.OUTPUT:OUTPUT\nit(c/{name})\n");
        write(&graphs, &format!("{name}.fbp"), &graph);
    }
    let built = run(&["ops", "build", "--ops", ops.to_str().unwrap()]);
    assert!(built.status.success(), "{}", text(&built));

    let mut program = command();
    program.env("TMPDIR", &scratch);
    let folders = [&ops, &graphs, &files].map(|folder| folder.to_str().unwrap());
    let mut server = Server::start_by(
        program,
        tempfile::tempdir().unwrap(),
        &[
            "--ops",
            folders[0],
            "--graphs",
            folders[1],
            "--files",
            folders[2],
            "--workers",
            "2",
            "--child-memory",
            "256MiB",
            "--child-seconds",
            "4",
        ],
    );
    let width = std::cell::Cell::new(50);
    let fine = async || {
        // Each is another picture, which no cache knows.
        width.set(width.get() + 1);
        server.picture(&format!("/graph/fine?input=files/marbles.jpg&width={}", width.get())).await
    };
    fine().await;
    let descriptors = server.descriptors();
    for (name, _, told) in evil.iter().chain([&pointed]) {
        let answer = server.get(&format!("/graph/{name}?input=files/marbles.jpg&width=300")).await;
        let status = answer.status();
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).expect("a problem");
        assert_eq!((status.as_u16(), &problem["category"]), (500, &"operation-failed".into()), "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&told.replace("NAME", name)), "{name}: {problem}");
        assert_eq!(problem["node"], "it", "{name}: {problem}");
        fine().await;
        until("children go", || children(server.pid()).len() <= 2);
    }
    assert_eq!(entries(&outside), ["precious"]);
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "keep me");
    assert!(!Path::new("/tmp/imgflo-escaped").exists());
    // A folder for the libraries, and one for each child; three descriptors a child.
    let left = entries(&scratch);
    assert!(left.len() <= 3, "{left:?}");
    until("descriptors are closed", || server.descriptors() <= descriptors + 3);
    let alive = children(server.pid());
    server.terminate();
    assert_eq!(server.wait(Duration::from_secs(30)), Some(0));
    until("the children end", || alive.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    assert_eq!(entries(&scratch), [""; 0]);
}
