//! What the `input` of a request means.

use sha2::{Digest, Sha256};
use url::Url;

use crate::error::{Category, JobError, shown};
use crate::key::Keeping;
use crate::limits::Limits;
use crate::message::{FileVersion, Source};
use crate::{key, percent, served};

/// What may be an input, for error texts.
const ALLOWED: &str = "allowed are http:// and https:// addresses, data: URLs, and paths of this server under files/, \
                       graph/ and cache/";

/// An input, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A worker can get it as it is.
    Source(Source),
    /// Another picture of ours: a request of its own, for [`crate::request::parse`].
    Graph {
        /// Path after `/graph/`, as given.
        path: String,
        /// Query after `?`, as given.
        query: Option<String>,
    },
}

/// The origins (scheme, host and port) that this deployment itself is reached at.
#[derive(Clone, Debug, Default)]
pub struct OwnOrigins(Vec<url::Origin>);

impl OwnOrigins {
    /// The origins of these addresses; their paths do not matter.
    pub fn new(addresses: impl IntoIterator<Item = Url>) -> Self {
        OwnOrigins(addresses.into_iter().map(|address| origin(&address)).collect())
    }

    /// True when the address leads to this deployment.
    pub fn contains(&self, address: &Url) -> bool {
        self.0.contains(&origin(address))
    }
}

/// Origin of an address; `example.com.` is the same host as `example.com`.
fn origin(address: &Url) -> url::Origin {
    let mut address = address.clone();
    if let Some(host) = address.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
        // A host that is only a dot stays as it is.
        let _ = address.set_host(Some(&host));
    }
    address.origin()
}

/// Reads the value of `input`.
///
/// A path (`files/x.jpg`, `/graph/crop?...`) and a URL at one of our `own` origins are ours; other
/// http and https URLs are to be fetched, `data:` URLs hold their bytes. Whether an address may be
/// fetched (private networks) is not known here.
///
/// # Errors
/// [`Category::Malformed`] for what cannot be read, [`Category::Forbidden`] for schemes and
/// addresses that are never fetched, [`Category::NotFound`] for an impossible `/cache` key,
/// [`Category::TooLarge`] for a `data:` URL over [`Limits::max_data_url_bytes`].
pub fn read(value: &str, own: &OwnOrigins, limits: &Limits) -> Result<Input, JobError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(malformed(value, "it is empty"));
    }
    if value.contains(|c: char| c.is_control()) {
        return Err(malformed(value, "it holds a control character"));
    }
    let Some(scheme) = scheme(value) else {
        if value.starts_with("//") {
            return Err(malformed(value, "write the scheme too: http:// or https://"));
        }
        let path = value.strip_prefix('/').unwrap_or(value);
        return own_path(path, value, Category::Malformed);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => fetched(value, &value[scheme.len() + 1..], own),
        "data" => data(value, limits),
        other => Err(JobError::new(
            Category::Forbidden,
            format!("the input '{}' has the scheme '{}'; {ALLOWED}", shown(value), shown(other)),
        )),
    }
}

/// The scheme of a URL; none for a path.
fn scheme(value: &str) -> Option<&str> {
    let (scheme, _) = value.split_once(':')?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    named.then_some(scheme)
}

fn data(value: &str, limits: &Limits) -> Result<Input, JobError> {
    let bytes = value.len() as u64;
    if bytes > limits.max_data_url_bytes {
        let limit = limits.max_data_url_bytes;
        return Err(JobError::over("bytes of the data: input", bytes, limit, "IMGFLO_MAX_DATA_URL_BYTES"));
    }
    if !value.contains(',') {
        return Err(malformed(value, "a data: URL has a comma before its data (data:image/png;base64,...)"));
    }
    Ok(Input::Source(Source::Data { url: value.to_owned() }))
}

/// An http or https URL; `rest` is what follows the scheme's colon.
fn fetched(value: &str, rest: &str, own: &OwnOrigins) -> Result<Input, JobError> {
    // The URL standard repairs all of these; a request that needs repairs is rather a trick.
    let Some(after) = rest.strip_prefix("//").filter(|after| !after.starts_with('/')) else {
        return Err(malformed(value, "its scheme must be followed by '//' and a host"));
    };
    if value.contains('\\') {
        return Err(malformed(value, "a '\\' in an address must be written %5C"));
    }
    let mut url = Url::parse(value).map_err(|error| malformed(value, &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(JobError::new(Category::Forbidden, "the input's address must not hold a user name or password"));
    }
    url.set_fragment(None);
    if own.contains(&url) {
        // From the text as given: `url` has already resolved any `..`.
        let path = after.find(['/', '?', '#']).map_or("", |at| &after[at..]);
        return own_path(path.strip_prefix('/').unwrap_or(path), value, Category::Forbidden);
    }
    Ok(Input::Source(Source::Url { url: url.into() }))
}

/// A path of ours without its first `/`; `category` if it is none that can be an input.
fn own_path(path: &str, value: &str, category: Category) -> Result<Input, JobError> {
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    if let Some(file) = path.strip_prefix("files/") {
        return Ok(Input::Source(Source::File { path: file_path(file, value)?, version: None }));
    }
    if let Some(key) = path.strip_prefix("cache/") {
        if !key::is_key(key) {
            return Err(JobError::new(Category::NotFound, format!("the input '{}' is no cache key", shown(key))));
        }
        return Ok(Input::Source(Source::Stored { key: key.to_owned() }));
    }
    if let Some(request) = path.strip_prefix("graph/") {
        return Ok(Input::Graph { path: request.to_owned(), query: query.map(str::to_owned) });
    }
    Err(JobError::new(category, format!("the input '{}' cannot be used: {ALLOWED}", shown(value))))
}

/// A path below the folder of `/files`, decoded; refuses all that could lead out of it.
fn file_path(raw: &str, value: &str) -> Result<String, JobError> {
    let mut parts = Vec::new();
    for raw in raw.split('/') {
        let part = percent::decode_path("the input's path", raw)?;
        let trick = match part.as_str() {
            "" => Some("a part of its path is empty"),
            "." | ".." => Some("its path holds '.' or '..'"),
            part if part.contains(['/', '\\']) => Some("a part of its path holds a slash or backslash"),
            part if !served::is_name(part) => {
                let message = format!("there is no file '{}'; the files are listed at /files", shown(value));
                return Err(JobError::new(Category::NotFound, message));
            }
            _ => None,
        };
        if let Some(trick) = trick {
            return Err(malformed(value, trick));
        }
        parts.push(part);
    }
    Ok(parts.join("/"))
}

fn malformed(value: &str, why: &str) -> JobError {
    JobError::new(Category::Malformed, format!("the input '{}' cannot be read: {why}", shown(value)))
}

impl Source {
    /// Host that the input is fetched from; `None` for what this deployment or the request itself holds.
    pub fn host(&self) -> Option<String> {
        match self {
            Source::Url { url } => Url::parse(url).ok()?.host_str().map(str::to_owned),
            Source::Graph { job } => job.source.as_ref()?.host(),
            Source::Data { .. } | Source::File { .. } | Source::Stored { .. } => None,
        }
    }

    /// How what is made of it may be kept.
    pub fn keeping(&self) -> Keeping {
        match self {
            Source::Url { .. } => Keeping::Checked,
            Source::Data { .. } | Source::File { .. } => Keeping::Forever,
            Source::Stored { key } => Keeping::of(key),
            Source::Graph { job } => Keeping::of(&job.cachekey),
        }
    }

    /// What the cache key takes of it: the same text for the same input, different texts for
    /// different ones. A nested picture is the stored result it will be.
    pub fn identity(&self) -> String {
        match self {
            Source::Url { url } => format!("url:{url}"),
            Source::Data { url } => format!("data:{}", hex::encode(Sha256::digest(url))),
            // No path holds a line break.
            Source::File { path, version } => match version {
                Some(FileVersion { bytes, modified_ns }) => format!("file:{path}\n{bytes}\n{modified_ns}"),
                None => format!("file:{path}"),
            },
            Source::Stored { key } => format!("stored:{key}"),
            Source::Graph { job } => format!("stored:{}", job.cachekey),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnOrigins {
        OwnOrigins::new(
            ["http://localhost:8080/", "https://img.example/base/"].map(|address| Url::parse(address).unwrap()),
        )
    }

    fn input(value: &str) -> Input {
        read(value, &own(), &Limits::default()).unwrap_or_else(|error| panic!("{value}: {error}"))
    }

    fn refused(value: &str) -> JobError {
        read(value, &own(), &Limits::default()).expect_err(value)
    }

    #[test]
    fn addresses_are_normalised() {
        for (value, url) in [
            ("http://example.com/a.jpg", "http://example.com/a.jpg"),
            ("HTTP://Example.COM:80/a/../b.jpg?x=1&y#frag", "http://example.com/b.jpg?x=1&y"),
            ("https://example.com:443", "https://example.com/"),
            ("https://example.com:8443/a b", "https://example.com:8443/a%20b"),
            ("http://bücher.example/ö", "http://xn--bcher-kva.example/%C3%B6"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://[::FFFF:7F00:1]/", "http://[::ffff:7f00:1]/"),
            (" http://example.com/ ", "http://example.com/"),
            ("http://localhost/files/a.jpg", "http://localhost/files/a.jpg"),
            ("http://localhost:8081/files/a.jpg", "http://localhost:8081/files/a.jpg"),
            ("https://localhost:8080/files/a.jpg", "https://localhost:8080/files/a.jpg"),
        ] {
            assert_eq!(input(value), Input::Source(Source::Url { url: url.into() }), "{value}");
        }
    }

    #[test]
    fn hidden_files_are_none() {
        for value in
            ["files/.env", "files/...jpg", "files/.git/config", "/files/a/%2ehidden", "http://localhost:8080/files/.x"]
        {
            assert_eq!(refused(value).category, Category::NotFound, "{value}");
        }
    }

    #[test]
    fn files_of_ours() {
        for (value, path) in [
            ("files/a.jpg", "a.jpg"),
            ("/files/a.jpg", "a.jpg"),
            ("files/sub/my%20photo.jpg", "sub/my photo.jpg"),
            ("files/my photo.jpg", "my photo.jpg"),
            ("files/a.jpg?v=2#top", "a.jpg"),
            ("files/x.jpg:large", "x.jpg:large"),
            ("http://localhost:8080/files/a.jpg", "a.jpg"),
            ("HTTP://LOCALHOST:8080/files/a.jpg#x", "a.jpg"),
            ("http://localhost.:8080/files/a.jpg", "a.jpg"),
            ("https://img.example/files/%C3%B6.png", "ö.png"),
            ("https://img.example:443/files/a.png", "a.png"),
        ] {
            assert_eq!(input(value), Input::Source(Source::File { path: path.into(), version: None }), "{value}");
        }
    }

    #[test]
    fn path_tricks_are_refused() {
        for path in [
            "files/",
            "files//etc/passwd",
            "files/../secret",
            "files/a/../../secret",
            "files/.",
            "files/./a.jpg",
            "files/%2e%2e/secret",
            "files/.%2E/secret",
            "files/%2fetc%2fpasswd",
            "files/a%2Fb.jpg",
            "files/a%5Cb.jpg",
            "files/a%00.jpg",
            "files/a%0a.jpg",
            "files/%ff.jpg",
            "files/100%.jpg",
            "files/a/",
        ] {
            for value in [path.to_owned(), format!("/{path}"), format!("http://localhost:8080/{path}")] {
                assert_eq!(refused(&value).category, Category::Malformed, "{value}");
            }
        }
        for value in ["files/a\\b.jpg", "files/..\\secret", "http://localhost:8080/files\\a.jpg"] {
            assert_eq!(refused(value).category, Category::Malformed, "{value}");
        }
    }

    #[test]
    fn results_and_graphs_of_ours() {
        let key = format!("{}.png", "0123456789abcdef".repeat(4));
        for prefix in ["", "/", "http://localhost:8080/", "https://img.example/"] {
            assert_eq!(
                input(&format!("{prefix}cache/{key}")),
                Input::Source(Source::Stored { key: key.clone() }),
                "{prefix}"
            );
            assert_eq!(
                input(&format!("{prefix}graph/k/t/crop.png?width=1&input=files%2Fa.jpg#x")),
                Input::Graph { path: "k/t/crop.png".into(), query: Some("width=1&input=files%2Fa.jpg".into()) },
                "{prefix}"
            );
        }
        assert_eq!(input("graph/crop"), Input::Graph { path: "crop".into(), query: None });
        for value in ["cache/abc", "/cache/../cache/x", "http://localhost:8080/cache/", "cache/%2e%2e"] {
            assert_eq!(refused(value).category, Category::NotFound, "{value}");
        }
    }

    #[test]
    fn other_paths_of_ours_are_none() {
        for value in
            ["", " ", "a.jpg", "/etc/passwd", "../files/a.jpg", "Files/a.jpg", "%66iles/a.jpg", "files", "//h/a.jpg"]
        {
            assert_eq!(refused(value).category, Category::Malformed, "{value}");
        }
        for value in [
            "http://localhost:8080",
            "http://localhost:8080/version",
            "http://localhost:8080/../files/a.jpg",
            "http://localhost:8080/%66iles/a.jpg",
            "http://localhost:8080?/files/a.jpg",
        ] {
            assert_eq!(refused(value).category, Category::Forbidden, "{value}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for value in [
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            "ftp://example.com/a.jpg",
            "gopher://example.com/",
            "javascript:alert(1)",
            "blob:http://a/1",
            "ws://a/",
            "localhost:8080/files/a.jpg",
            "http://user@example.com/a.jpg",
            "http://user:pass@example.com/a.jpg",
            "http://:pass@localhost:8080/files/a.jpg",
        ] {
            let error = refused(value);
            assert_eq!(error.category, Category::Forbidden, "{value}");
            assert!(value.contains('@') || error.message.contains("http:// and https://"), "{error}");
        }
        for value in [
            "http:",
            "http:example.com",
            "http:/example.com",
            "http:///example.com",
            "http://",
            "http://?x",
            "http://exa mple.com/",
            "http://example.com:99999/",
            "http://[::1/",
            "http:\\\\example.com",
            "http://example.com\\@other/",
            "http://example.com/\u{0}",
            "https://%00/",
        ] {
            assert_eq!(refused(value).category, Category::Malformed, "{value}");
        }
    }

    #[test]
    fn data_urls_are_bounded() {
        let limits = Limits { max_data_url_bytes: 40, ..Limits::default() };
        let value = format!("data:image/png;base64,{}", "A".repeat(18));
        assert_eq!(read(&value, &own(), &limits).unwrap(), Input::Source(Source::Data { url: value.clone() }));
        let overrun = read(&format!("{value}A"), &own(), &limits).unwrap_err().overrun.unwrap();
        assert_eq!((overrun.value, overrun.limit, overrun.setting.as_str()), (41, 40, "IMGFLO_MAX_DATA_URL_BYTES"));
        assert_eq!(refused("data:image/png").category, Category::Malformed);
        assert!(matches!(input("DATA:,x"), Input::Source(Source::Data { .. })));
    }

    #[test]
    fn identities_differ() {
        let key = "0".repeat(64);
        let text = |value: &str| match input(value) {
            Input::Source(source) => source.identity(),
            Input::Graph { .. } => panic!("{value}"),
        };
        assert_eq!(text("HTTP://a.b/x#y"), "url:http://a.b/x");
        assert_eq!(text("files/a%20b"), "file:a b");
        let version = |bytes, modified_ns| {
            let version = Some(FileVersion { bytes, modified_ns });
            Source::File { path: "a".into(), version }.identity()
        };
        assert_eq!(version(12, 3), "file:a\n12\n3");
        assert_ne!(version(1, 23), version(12, 3));
        assert_eq!(text(&format!("cache/{key}")), format!("stored:{key}"));
        // printf 'data:,x' | sha256sum
        assert_eq!(text("data:,x"), "data:707ce201c2f97b77e63f9ca88c081b76df5c8ee2582686405652fd8f67f61143");
    }
}
