//! `/graphs`, `/version` and `/files`: what there is, for people and programs.

use std::path::Path;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use imgflo_job::served;
use imgflo_runtime::Library;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::front::SharedFront;
use crate::resolve::OUTPUT_TYPES;
use crate::sniff;
use crate::stored::matches_tag;

/// Most files that `/files` lists, and how many folders deep it looks.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: usize = 4;

/// The list of graphs as JSON, made once.
pub(crate) struct Listing {
    body: Bytes,
    etag: HeaderValue,
    faults: Vec<Value>,
    graphs: usize,
    closed: bool,
}

impl Listing {
    /// Of the graphs of a folder. `closed`: requests need an application.
    pub(crate) fn new(library: &Library, closed: bool) -> Self {
        let mut graphs: Vec<_> = library.iter().collect();
        graphs.sort_by(|a, b| a.name().cmp(b.name()));
        let definitions: Map<String, Value> =
            graphs.iter().map(|graph| (graph.name().to_owned(), graph.definition().to_json())).collect();
        let faults = faults(library);
        let body = json!({
            "graphs": definitions,
            "formats": *OUTPUT_TYPES,
            "signing": if closed { "required" } else { "none" },
            "faults": faults,
        });
        let body = Bytes::from(body.to_string());
        Listing { etag: content_tag(&body), graphs: graphs.len(), body, faults, closed }
    }

    /// The graphs that could not be read: file and message.
    pub(crate) fn faults(&self) -> &[Value] {
        &self.faults
    }

    /// True when it says that requests need an application.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many graphs there are.
    pub(crate) fn len(&self) -> usize {
        self.graphs
    }
}

/// Files by name only: where the folder is, is nobody's business.
fn faults(library: &Library) -> Vec<Value> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    library.faults().iter().map(|fault| json!({ "file": name(&fault.path), "message": fault.message })).collect()
}

/// A strong tag made of the content itself.
pub(crate) fn content_tag(body: &[u8]) -> HeaderValue {
    let digest = hex::encode(Sha256::digest(body));
    HeaderValue::from_str(&format!("\"{}\"", &digest[..32])).unwrap_or(HeaderValue::from_static("\"\""))
}

/// A response that may be kept if it is asked about each time.
pub(crate) fn revalidated(body: Bytes, etag: &HeaderValue, media_type: &'static str, asked: &HeaderMap) -> Response {
    let known = asked.get(IF_NONE_MATCH).is_some_and(|tags| etag.to_str().is_ok_and(|etag| matches_tag(tags, etag)));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ETAG, etag.clone()),
    ];
    if known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, Body::from(body)).into_response()
    }
}

/// `GET /graphs`: `{"graphs": {name: definition}}`; the definitions with the ports' types, defaults
/// and ranges. Beside it the types of results, whether requests must be signed, and the graph files
/// that could not be read.
pub(crate) async fn graphs(State(front): State<SharedFront>, asked: HeaderMap) -> Response {
    let listing = front.listing();
    revalidated(listing.body.clone(), &listing.etag, "application/json", &asked)
}

/// `GET /version`.
pub(crate) async fn version(State(front): State<SharedFront>) -> Response {
    json_response(&json!(front.version()))
}

/// `GET /files`: the pictures that this server has, `{"files": [{name, url, bytes, type}]}`.
pub(crate) async fn files(State(front): State<SharedFront>) -> Response {
    let root = front.files().to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        if let Ok(root) = root.canonicalize() {
            walk(&root, &root, "", MAX_DEPTH, &mut found);
        }
        found
    });
    // A folder that cannot be read has no pictures to show; /readyz tells.
    let files = found.await.unwrap_or_default();
    json_response(&json!({ "files": files }))
}

fn json_response(value: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Body::from(value.to_string())).into_response()
}

/// Collects the images of a folder below `root` that are served, sorted by name.
fn walk(root: &Path, folder: &Path, prefix: &str, depth: usize, found: &mut Vec<Value>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let file_name = entry.file_name();
        // A name that is not UTF-8 has no URL.
        let Some(name) = file_name.to_str().map(|name| format!("{prefix}{name}")) else { continue };
        let Ok(Some(place)) = served::locate(root, &name) else { continue };
        let Ok(metadata) = std::fs::metadata(place) else { continue };
        if metadata.is_dir() && depth > 1 {
            walk(root, &entry.path(), &format!("{name}/"), depth - 1, found);
        } else if let Some(media_type) = sniff::by_name(&name).filter(|_| metadata.is_file()) {
            if found.len() == MAX_FILES {
                return;
            }
            let url = format!("files/{}", crate::files::encoded(&name));
            found.push(json!({ "name": name, "url": url, "bytes": metadata.len(), "type": media_type }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_hidden_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a b.jpg", ".hidden.png", "notes.txt", "sub/c.webp", "sub/.git/d.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "12345").unwrap();
        }
        let root = folder.path().canonicalize().unwrap();
        let mut found = Vec::new();
        walk(&root, &root, "", MAX_DEPTH, &mut found);
        let urls: Vec<_> = found.iter().map(|file| file["url"].as_str().unwrap()).collect();
        assert_eq!(urls, ["files/a%20b.jpg", "files/b.png", "files/sub/c.webp"]);
        assert_eq!(found[0], json!({"name": "a b.jpg", "url": "files/a%20b.jpg", "bytes": 5, "type": "image/jpeg"}));
    }

    #[test]
    fn links_are_listed_when_they_stay_inside() {
        use std::os::unix::fs::symlink;
        let top = tempfile::tempdir().unwrap();
        let root = top.path().canonicalize().unwrap().join("files");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir(top.path().join("other")).unwrap();
        for path in [root.join("sub/a.png"), top.path().join("secret.png"), top.path().join("other/b.png")] {
            std::fs::write(path, "12345").unwrap();
        }
        symlink(root.join("sub/a.png"), root.join("in.png")).unwrap();
        symlink(root.join("sub"), root.join("twin")).unwrap();
        symlink(top.path().join("secret.png"), root.join("out.png")).unwrap();
        symlink(top.path().join("other"), root.join("outside")).unwrap();
        symlink(root.join("nothing.png"), root.join("nowhere.png")).unwrap();
        let mut found = Vec::new();
        walk(&root, &root, "", MAX_DEPTH, &mut found);
        let names: Vec<_> = found.iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["in.png", "sub/a.png", "twin/a.png"]);
    }

    #[test]
    fn tags_follow_the_content() {
        assert_eq!(content_tag(b"a"), content_tag(b"a"));
        assert_ne!(content_tag(b"a"), content_tag(b"b"));
    }
}
