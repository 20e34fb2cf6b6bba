//! A machine that runs out of disk, files or memory, or knows no names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use imgflo_tests::fleet::{Fleet, Front};
use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::{program, sample};

use super::{ask, until};

const LONG: Duration = Duration::from_secs(60);

/// The program, run by a shell script that has it as "$@".
fn shell(script: &str) -> Command {
    let mut command = program::command();
    let program = command.get_program().to_owned();
    command = Command::new("sh");
    command.args(["-c", script]).arg(program);
    command
}

/// A front end that does all by itself.
fn alone(script: &str, arguments: &[&str]) -> Front {
    Fleet::new("").with("IMGFLO_DATA_DIR", "imgflo-data").front_by(shell(script), arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_what_the_disk_does_not_take_is_never_served_in_part() {
    // A write beyond 400 KiB fails, as on a disk that is full; this needs no rights, unlike a small disk. (What is
    // removed when a disk is full is tested with the store.)
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let mut front = alone("trap '' XFSZ; ulimit -f 800; exec \"$0\" \"$@\"", &["--data-dir", &data]);
    let large = "/graph/passthrough.png?input=files/marbles.jpg&width=1600";
    for n in 0..3 {
        let answer = front.get(large).await;
        assert!(matches!(answer.status().as_u16(), 500 | 503), "{}", answer.status());
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("no-store"));
        // The next is served all the same.
        let small = format!("/graph/passthrough?input=files/lake.jpg&width={}", 50 + n);
        assert_eq!(ask(&front, &small).await.0, 301);
    }
    let files = files_below(folder.path());
    assert_eq!(files.iter().filter(|file| file.extension().is_some_and(|e| e == "png")).count(), 0, "{files:?}");
    assert!(files.iter().all(|file| file.extension().is_none_or(|e| e != "part")), "something half-written: {files:?}");
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(front.process.runs());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27_a_name_that_nobody_knows_is_told() {
    let front = alone("exec \"$0\" \"$@\" --data-dir \"$(mktemp -d)\"", &[]);
    let answer = front.get("/graph/passthrough?input=http%3A%2F%2Fno-such-host.invalid%2Fa.png").await;
    assert_eq!(answer.status(), 502);
    let text = answer.text().await.unwrap();
    assert!(text.contains("no-such-host.invalid"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27b_with_sixty_four_files_it_goes_on() {
    let mut front = alone("ulimit -n 64; exec \"$0\" \"$@\" --data-dir \"$(mktemp -d)\"", &[]);
    let request = "/graph/passthrough?input=files/lake.jpg&width=77";
    assert_eq!(ask(&front, request).await.0, 301);
    // More connections than it can have files; some get no answer while they are all open.
    let address = front.url.trim_start_matches("http://").to_owned();
    let held = join_all((0..150).map(|_| tokio::net::TcpStream::connect(address.clone()))).await;
    assert!(held.iter().filter(|connection| connection.is_ok()).count() >= 64);
    drop(held);
    until("it answers again", LONG, async || {
        let answer = front.client().get(format!("{}{request}", front.url)).timeout(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.status() == 301)
    })
    .await;
    assert!(front.process.runs());
    assert_eq!(ask(&front, "/graph/gradientmap?input=files/lake.jpg&width=78").await.0, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27c_with_little_memory_it_goes_on() {
    // Data of all kinds, which is what a small container has little of; a control group would need rights.
    let script = "ulimit -d 524288; exec \"$0\" \"$@\" --data-dir \"$(mktemp -d)\"";
    let mut front = alone(script, &["--memory-bytes", "67108864", "--workers", "2"]);
    let photo = std::fs::read(sample("marbles.jpg")).unwrap();
    let origin = Origin::start([("/a.jpg", Answer::Body("image/jpeg", photo))]);
    let requests: Vec<String> =
        (0..24).map(|n| format!("/graph/gaussianblur?input={}&std-dev-x={}", origin.input("/a.jpg"), 3 + n)).collect();
    let statuses = join_all(requests.iter().map(|request| ask(&front, request))).await;
    assert!(statuses.iter().all(|(status, _)| matches!(status, 301 | 403 | 503 | 504)), "{statuses:?}");
    assert!(front.process.runs());
    assert_eq!(ask(&front, "/graph/passthrough?input=files/lake.jpg&width=79").await.0, 301);
}
