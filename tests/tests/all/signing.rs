//! The programs of docs/SIGNING.md make the addresses that `imgflo url` makes, and a server takes them.

use std::io::ErrorKind;
use std::process::Command;

use imgflo_tests::program;
use imgflo_tests::repository;
use imgflo_tests::server::Server;

/// Languages of code blocks, the file that a program of each goes into, and the command that runs it.
const LANGUAGES: [(&str, &str, &[&str]); 6] = [
    ("js", "sign.js", &["node"]),
    ("python", "sign.py", &["python3"]),
    ("php", "sign.php", &["php"]),
    ("go", "sign.go", &["go", "run"]),
    ("ruby", "sign.rb", &["ruby"]),
    ("sh", "sign.sh", &["sh"]),
];
/// Languages that the tests need anyway.
const INSTALLED: [&str; 2] = ["js", "sh"];

const INPUT: &str = "https://example.org/a café & more.jpg";

fn document() -> String {
    std::fs::read_to_string(repository().join("docs/SIGNING.md")).expect("the document")
}

/// The fenced blocks of a document: the language and the text of each.
fn programs(document: &str) -> Vec<(&str, &str)> {
    // Between fences: text, block, text and so on. A block begins with its language.
    document.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

fn imgflo_url() -> String {
    let signing = ["--server", "https://images.example.org/", "--key", "key", "--secret", "secret"];
    let asked = ["url", "gaussianblur.jpg", "--input", INPUT, "-p", "width=300", "-p", "std-dev-x=4.5"];
    let output = program::run(&[&asked[..], &signing].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("an address")
}

#[test]
fn the_documented_programs_make_the_address_of_imgflo_url() {
    let document = document();
    let expected = imgflo_url();
    // The vector is that address, too.
    let (_, text) = expected.trim_end().split_once("/graph/key/").expect("a signed address");
    let (token, text) = text.split_once('/').expect("a token");
    assert!(document.contains(&format!("| token | `{token}` |")) && document.contains(&format!("| text | `{text}` |")));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let programs = programs(&document);
    let (mut ran, mut skipped) = (Vec::new(), Vec::new());
    for (language, code) in &programs {
        let (_, file, command) = LANGUAGES.iter().find(|(name, ..)| name == language).expect("a known language");
        let file = folder.path().join(file);
        std::fs::write(&file, format!("{code}\n")).expect("written");
        let mut program = Command::new(command[0]);
        program.args(&command[1..]).arg(&file).env("GOCACHE", folder.path());
        match program.output() {
            Ok(output) => {
                let told = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{language}: {told}");
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{language}: {told}");
                ran.push(*language);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => skipped.push(*language),
            Err(error) => panic!("{language}: {error}"),
        }
    }
    println!("ran: {ran:?}; not installed: {skipped:?}");
    assert_eq!(programs.len(), LANGUAGES.len(), "{programs:#?}");
    assert!(INSTALLED.iter().all(|language| ran.contains(language)), "ran: {ran:?}; not installed: {skipped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_what_is_signed_so() {
    let server = Server::start(&["--api-key", "key", "--api-secret", "secret"]);
    let sign = |input: &str| {
        let asked =
            ["url", "passthrough.png", "--input", input, "-p", "width=30", "--key", "key", "--secret", "secret"];
        let output = program::run(&asked);
        let url = String::from_utf8(output.stdout).expect("an address");
        url.trim_end().strip_prefix("http://127.0.0.1:8080").expect("the default server").to_owned()
    };
    let right = sign("files/card.png");
    assert_eq!(server.get(&right).await.status(), 301);
    let wrong = right.replace("width=30", "width=31");
    assert_eq!(server.get(&wrong).await.status(), 403);
}
