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

/// Name, body of `render`, and what the error must tell.
fn evil(outside: &Path) -> Vec<(&'static str, String, &'static str)> {
    let outside = outside.display();
    let said = "static char said[200]; snprintf(said, sizeof said, \"%s: %s\", what, strerror(errno)); return said;";
    vec![
        ("segfault", "*(volatile int *)0 = 1;".into(), "the operation crashed (SIGSEGV)"),
        ("aborts", "abort();".into(), "the operation crashed (SIGABRT)"),
        ("endless", "for (volatile int i = 0;; i++) {}".into(), "used more than 4 s"),
        ("sleeps", "for (;;) pause();".into(), "the operation used more than 4 s (IMGFLO_CHILD_SECONDS)"),
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
        ("exits", "exit(3);".into(), "the operation exited with status 3"),
        (
            "babbles",
            "for (int fd = 0; fd < 64; fd++) { ssize_t n = write(fd, \"garbage everywhere, and more\", 28); (void)n; }"
                .into(),
            "the operation answered with something that is no reply",
        ),
        (
            "overruns",
            format!("{COPY} call->output.pixels[call->output.box.height * call->output.stride] = 1.0f;"),
            "the operation wrote beyond its output",
        ),
        (
            "underruns",
            format!("{COPY} memset(call->output.pixels - 8, 0, 32);"),
            "the operation wrote beyond its output",
        ),
        ("scribbles", "memset(call->output.pixels - 300000, 7, 64 << 20);".into(), "the operation crashed (SIGSEGV)"),
        ("complains", "return \"there is no such thing\";".into(), "there is no such thing"),
    ]
}

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
    let copy = ("fine", COPY.to_owned(), "");
    for (name, body, _) in evil.iter().chain([&copy]) {
        write(&ops, &format!("{name}.c"), &operation(name, "IMGFLO_AREA", body));
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
    for (name, _, told) in &evil {
        let answer = server.get(&format!("/graph/{name}?input=files/marbles.jpg&width=300")).await;
        let status = answer.status();
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).expect("a problem");
        assert_eq!((status.as_u16(), &problem["category"]), (500, &"operation-failed".into()), "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{name}: {problem}");
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
