//! The image, as far as it goes without an engine for containers: its context, and its commands with its environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use imgflo_tests::context::Ignored;
use imgflo_tests::{program, repository};

use super::{Started, free_port, read};

/// What the Dockerfile's last stage says.
struct Image {
    environment: BTreeMap<String, String>,
    command: Vec<String>,
    health: Vec<String>,
    instructions: Vec<(String, String)>,
}

fn image() -> Image {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let instructions: Vec<(String, String)> = lines
        .map(|line| line.split_once(' ').expect("an instruction has arguments"))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect();
    let last = instructions.iter().rposition(|(name, _)| name == "FROM").expect("a stage");
    let of = |wanted: &str| {
        let all = instructions[last..].iter().filter(|(name, _)| name == wanted).map(|(_, rest)| rest.as_str());
        all.collect::<Vec<_>>()
    };
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text).expect("the form with a list");
    let pairs = of("ENV").into_iter().flat_map(str::split_whitespace);
    let environment = pairs.map(|pair| pair.split_once('=').expect("NAME=value"));
    let health = of("HEALTHCHECK")[0];
    Image {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        command: list(of("CMD")[0]),
        health: list(health.split_once("CMD ").expect("a command").1),
        instructions,
    }
}

#[test]
fn rules_are_read_as_docker_reads_them() {
    let ignored = Ignored::parse("# a\n.git\n**/node_modules\n/target/\ndocs/*.txt\n*.log\nkept\n!kept/this\na?c\n");
    let left_out = |path: &str| ignored.leaves_out(Path::new(path));
    for path in [
        ".git/config",
        "node_modules/x",
        "a/b/node_modules/c/d.js",
        "target/debug/imgflo",
        "docs/a.txt",
        "a.log",
        "kept/that",
        "abc",
    ] {
        assert!(left_out(path), "{path}");
    }
    for path in ["x/.git", "a/target/b", "docs/sub/a.txt", "sub/a.log", "kept/this/one", ".gitignore", "ac", "abbc"] {
        assert!(!left_out(path), "{path}");
    }
}

/// As of `docker build`: a member of the workspace that is missing, or a target of one, ends the build.
#[test]
fn the_context_has_all_that_the_build_reads() {
    let ignored = Ignored::parse(&read(".dockerignore"));
    let files = ignored.files(repository());
    let bytes: u64 = files.iter().map(|file| repository().join(file).symlink_metadata().unwrap().len()).sum();
    assert!(files.len() > 500 && bytes < 100 << 20, "{} files with {bytes} bytes", files.len());
    assert!(files.iter().all(|file| !file.starts_with(".git") && !file.starts_with("target")));
    let copy = tempfile::tempdir().unwrap();
    for file in &files {
        let to = copy.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(repository().join(file), to).unwrap();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--no-deps"]).current_dir(copy.path());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut targets = 0;
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let source = target["src_path"].as_str().unwrap();
            assert!(Path::new(source).is_file(), "{source} is not in the context");
            targets += 1;
        }
    }
    assert!(targets >= 25, "only {targets} targets");
    // What the compiler read for the program, files that are included in it among them.
    let list = std::fs::read_to_string(program::path().with_extension("d")).unwrap();
    let (_, sources) = list.split_once(':').unwrap();
    let mut seen = 0;
    for source in sources.split_whitespace().map(Path::new) {
        // Build scripts make files below the target folder.
        if let Ok(file) = source.strip_prefix(repository())
            && source.is_file()
            && !file.starts_with("target")
        {
            assert!(!ignored.leaves_out(file), "{} is not in the context", file.display());
            seen += 1;
        }
    }
    assert!(seen >= 200, "only {seen} sources were seen");
}

#[test]
fn stages_copy_what_there_is() {
    let ignored = Ignored::parse(&read(".dockerignore"));
    let mut seen = 0;
    for (_, arguments) in image().instructions.iter().filter(|(name, _)| name == "COPY") {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        if words[0].starts_with("--from=") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            let is_there = repository().join(source).exists();
            assert!(is_there && !ignored.leaves_out(Path::new(source)), "COPY {source}");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_serves_beyond_loopback_and_knows_how_it_is() {
    let image = image();
    let port = free_port().to_string();
    let mut environment = image.environment.clone();
    assert_eq!(environment.insert("PORT".into(), port.clone()).as_deref(), Some("8080"));
    // Nobody gave a key: it says so, and ends.
    let refused = Started::try_new(&image.command, &environment);
    let refused = refused.err().expect("it must not start");
    assert!(refused.contains("PORT") && refused.contains("IMGFLO_API_KEY"), "{refused}");
    let health = |more: &[&str]| {
        let words: Vec<String> = image.health.iter().cloned().chain(more.iter().map(|w| (*w).to_owned())).collect();
        super::run(&words, &environment)
    };
    assert_eq!(health(&[]).status.code(), Some(1), "nothing listens yet");
    let mut open = environment.clone();
    open.insert("IMGFLO_ALLOW_UNSIGNED".into(), "true".into());
    let server = Started::new(&image.command, &open);
    assert!(server.lines[0].contains("on all addresses"), "{:?}", server.lines);
    for more in [&[][..], &["--ready"]] {
        let output = health(more);
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && told.ends_with(": ok\n"), "{more:?}: {told}{errors}");
    }
    // The printed address works as printed.
    let url = server.lines[1].strip_prefix("try").expect("an address to try").trim();
    assert!(url.starts_with(&format!("http://127.0.0.1:{port}/graph/sunset?")), "{url}");
    let client = imgflo_tests::server::client();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 301, "{}", answer.text().await.unwrap());
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let output = health(&["--ready"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.lines().count() == 1, "{told}");
}
