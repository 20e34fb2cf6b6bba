use imgflo_cache::LocalStore;

use super::*;
use crate::FetchSettings;

struct Fixture {
    sources: Sources,
    folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir_all(files.join("sub")).unwrap();
    std::fs::write(files.join("a.png"), "inside").unwrap();
    std::fs::write(files.join("sub/b c.png"), "deeper").unwrap();
    std::fs::create_dir(files.join("sub/.git")).unwrap();
    for hidden in [".hidden.png", "sub/.git/config"] {
        std::fs::write(files.join(hidden), "hidden").unwrap();
    }
    std::os::unix::fs::symlink(files.join(".hidden.png"), files.join("shown")).unwrap();
    std::fs::write(files.join("empty"), "").unwrap();
    std::fs::write(folder.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), files.join("out")).unwrap();
    std::os::unix::fs::symlink(folder.path(), files.join("up")).unwrap();
    std::os::unix::fs::symlink(files.join("a.png"), files.join("in")).unwrap();
    let limits = Limits { max_data_url_bytes: 100, ..Limits::default() };
    let sources = Sources {
        inputs: Inputs::new(FetchSettings::default(), limits, files),
        store: Arc::new(LocalStore::open(&folder.path().join("cache"), 1000).unwrap()),
    };
    Fixture { sources, folder }
}

fn job_error(result: Result<Fetched, Error>) -> JobError {
    match result {
        Err(Error::Job(error)) => error,
        other => panic!("{other:?}"),
    }
}

const ANY: Wanted =
    Wanted { max_bytes: 10, setting: "IMGFLO_MAX_INPUT_BYTES", any_type: true, urgency: Urgency::Urgent, anew: false };

#[tokio::test]
async fn files_are_read_below_the_folder_only() {
    let Fixture { sources, folder } = fixture();
    for (path, content) in [("a.png", "inside"), ("sub/b c.png", "deeper"), ("in", "inside")] {
        assert_eq!(sources.inputs.file(path, ANY).await.unwrap().bytes, content, "{path}");
    }
    let absolute = folder.path().join("secret").display().to_string();
    let long = "a".repeat(5000);
    for path in [
        ".hidden.png",
        "sub/.git/config",
        "shown",
        "./sub/../a.png",
        "../secret",
        "sub/../../secret",
        "out",
        "up/secret",
        "up/files/../secret",
        &absolute,
        "/etc/passwd",
        "",
        "sub",
        ".",
        "..",
        "none",
        "a.png/x",
        "a\0b",
        &long,
    ] {
        let error = job_error(sources.inputs.file(path, ANY).await);
        assert_eq!(error.category, Category::NotFound, "{path}: {error}");
        assert!(!error.message.contains("outside"));
    }
    assert_eq!(job_error(sources.inputs.file("empty", ANY).await).category, Category::BrokenInput);
}

#[tokio::test]
async fn a_file_over_the_limit_names_it() {
    let Fixture { sources, folder } = fixture();
    std::fs::write(folder.path().join("files/large"), [0; 11]).unwrap();
    let error = job_error(sources.inputs.file("large", ANY).await);
    assert_eq!(error.category, Category::TooLarge);
    assert_eq!(error.message, "input bytes: 11 is more than the limit of 10 (IMGFLO_MAX_INPUT_BYTES)");
}

#[tokio::test]
async fn a_pipe_is_no_file() {
    let Fixture { sources, folder } = fixture();
    let pipe = folder.path().join("files/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert_eq!(job_error(sources.inputs.file("pipe", ANY).await).category, Category::NotFound);
}

#[test]
fn data_urls_in_all_forms() {
    let Fixture { sources, .. } = fixture();
    let table = [
        ("data:,plain", "plain", "text/plain;charset=US-ASCII"),
        ("data:text/html,a%20b%2cc", "a b,c", "text/html"),
        ("data:image/png;base64,aGVsbG8=", "hello", "image/png"),
        ("data:image/png;base64,aGVsbG8", "hello", "image/png"),
        ("data:image/png;base64,aGVs%0AbG8%3D", "hello", "image/png"),
        ("DATA:image/png;BASE64,aGVsbG8=", "hello", "image/png"),
        ("data:image/png;base64,aGVsbG8=#fragment", "hello", "image/png"),
    ];
    for (url, content, media_type) in table {
        let got = sources.inputs.data(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!((got.bytes.as_ref(), got.media_type.as_deref()), (content.as_bytes(), Some(media_type)), "{url}");
    }
}

#[test]
fn broken_data_urls() {
    let Fixture { sources, .. } = fixture();
    for url in ["data:image/png;base64", "http://a/", "data:;base64,a", "data:;base64,ab*c"] {
        assert_eq!(job_error(sources.inputs.data(url)).category, Category::Malformed, "{url}");
    }
    assert_eq!(job_error(sources.inputs.data("data:,")).category, Category::BrokenInput);
    let error = job_error(sources.inputs.data(&format!("data:,{}", "a".repeat(95))));
    assert_eq!(error.category, Category::TooLarge);
    assert!(error.message.contains("101") && error.message.contains("IMGFLO_MAX_DATA_URL_BYTES"), "{error}");
}

#[tokio::test]
async fn stored_results() {
    let Fixture { sources, .. } = fixture();
    sources.store.put("6f95.png", "stored".into(), false).await.unwrap();
    assert_eq!(sources.stored("6f95.png").await.unwrap().bytes, "stored");
    for key in ["6f96.png", "../files/a.png"] {
        assert_eq!(job_error(sources.stored(key).await).category, Category::NotFound);
    }
}

#[tokio::test]
async fn an_editor_gets_what_was_never_ours() {
    let Fixture { sources, folder: _folder } = fixture();
    let get = async |address: &str| sources.inputs.get(address).await;
    let gif = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBA==";
    assert!(get(gif).await.unwrap().starts_with(b"GIF89a"));
    assert_eq!(get("files/a.png").await.unwrap(), "inside");
    assert_eq!(get("http://127.0.0.1:1/a.png").await.unwrap_err().category, Category::Forbidden);
    assert_eq!(get("graph/crop?input=a.png").await.unwrap_err().category, Category::Forbidden);
    assert_eq!(get("files/../secret").await.unwrap_err().category, Category::Malformed);
    assert_eq!(get("files/out").await.unwrap_err().category, Category::NotFound);
}
