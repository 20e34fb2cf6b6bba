//! What the URL of a picture asks for.
//!
//! Three forms after `/graph/`: `NAME`, `KEY/NAME` for an application without signing, and
//! `KEY/TOKEN/NAME`. A name is a graph's, at choice with the type of the result: `crop`,
//! `crop.png`. The query holds the graph's parameters and, reserved, `input`, `_nocache` and
//! `debug`. `quality` is read where the graph is known, which may have a parameter of that name.

use std::collections::BTreeMap;

use crate::error::{Category, JobError, shown};
use crate::limits::Limits;
use crate::{key, percent};

/// Longest name of a graph, characters.
const MAX_NAME: usize = 100;
/// Longest application key or token, bytes; as the original's table has it.
const MAX_CREDENTIAL: usize = 255;

/// A request that could be read. Whether the graph exists and takes these parameters is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Last part of the path as written: `crop.jpeg`. Signed.
    pub graphspec: String,
    /// Name of the graph: `crop`.
    pub graph: String,
    /// Type of the result as asked, `jpeg` turned to `jpg`; none if the name has no extension.
    pub format: Option<String>,
    /// Application key.
    pub key: Option<String>,
    /// Token.
    pub token: Option<String>,
    /// Where the input is, as given; [`crate::input::read`] says what it means.
    pub input: Option<String>,
    /// Parameters by public name, decoded; values are not interpreted.
    pub parameters: BTreeMap<String, String>,
    /// `_nocache=true`: no stored result may answer.
    pub no_cache: bool,
    /// A non-empty `debug`: the page for this request is asked for, not the picture.
    pub debug: bool,
    /// The query exactly as sent, with its `?`; empty if there is none. Signed.
    pub query: String,
}

/// Reads a request: the path after `/graph/` and the query after `?`, both as sent (still
/// percent-encoded).
///
/// # Errors
/// * [`Category::TooLarge`]: longer than [`Limits::max_url_bytes`], or more parameters than
///   [`Limits::max_parameters`].
/// * [`Category::NotFound`]: too many parts, or a name no graph can have.
/// * [`Category::UnsupportedType`]: an extension no type can have.
/// * [`Category::Malformed`]: anything else that cannot be read, a parameter given twice included.
pub fn parse(path: &str, raw_query: Option<&str>, limits: &Limits) -> Result<Request, JobError> {
    let bytes = "/graph/".len() + path.len() + raw_query.map_or(0, |query| 1 + query.len());
    if bytes as u64 > limits.max_url_bytes {
        return Err(JobError::over("URL bytes", bytes as u64, limits.max_url_bytes, "IMGFLO_MAX_URL_BYTES"));
    }
    let parts: Vec<&str> = path.split('/').collect();
    let (key, token, name) = match parts[..] {
        [name] => (None, None, name),
        [key, name] => (Some(credential("application key", key)?), None, name),
        [key, token, name] => (Some(credential("application key", key)?), Some(credential("token", token)?), name),
        _ => {
            return Err(JobError::new(
                Category::NotFound,
                "a picture is at /graph/NAME, /graph/KEY/NAME or /graph/KEY/TOKEN/NAME; this path has more parts",
            ));
        }
    };
    let (graphspec, graph, format) = read_name(name)?;
    let mut fields = fields(raw_query.unwrap_or_default(), limits)?;
    let input = fields.remove("input");
    let no_cache = fields.remove("_nocache").as_deref() == Some("true");
    let debug = fields.remove("debug").is_some_and(|value| !value.is_empty());
    let query = raw_query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Request { graphspec, graph, format, key, token, input, parameters: fields, no_cache, debug, query })
}

/// True for what a graph can be called in a URL: 1 to 100 of `A-Za-z0-9_-`.
pub fn is_graph_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn credential(what: &str, raw: &str) -> Result<String, JobError> {
    let text = percent::decode_path(&format!("the {what}"), raw)?;
    if text.is_empty() || text.len() > MAX_CREDENTIAL {
        return Err(JobError::new(
            Category::Malformed,
            format!("the {what} in the path has {} bytes; it must have 1 to {MAX_CREDENTIAL}", text.len()),
        ));
    }
    Ok(text)
}

/// Reads the last part of the path into graphspec, graph and type.
///
/// The graphspec is decoded: all that a name can hold is "unreserved" in URLs, so `cr%6Fp` is the
/// same URL as `crop` (RFC 3986, 6.2.2.2), and proxies may turn one into the other.
fn read_name(raw: &str) -> Result<(String, String, Option<String>), JobError> {
    let graphspec = percent::decode_path("the graph's name", raw)?;
    if graphspec.is_empty() {
        return Err(JobError::new(Category::Malformed, "the path ends without a graph's name"));
    }
    let (graph, format) = match graphspec.rsplit_once('.') {
        Some((graph, extension)) => (graph, Some(extension)),
        None => (graphspec.as_str(), None),
    };
    if !is_graph_name(graph) {
        return Err(JobError::new(
            Category::NotFound,
            format!(
                "there is no graph '{}': a name has 1 to {MAX_NAME} of the characters A-Z a-z 0-9 _ -",
                shown(graph)
            ),
        ));
    }
    let format = match format {
        None => None,
        Some("jpeg") => Some("jpg".to_owned()),
        Some(format) if key::is_extension(format) => Some(format.to_owned()),
        Some(format) => {
            let lower = format.to_lowercase();
            let message = if key::is_extension(&lower) {
                format!("types are written in lower case: '{graph}.{lower}', not '{graph}.{format}'")
            } else {
                format!("'{}' is no type of image; write for example '{graph}.jpg'", shown(format))
            };
            return Err(JobError::new(Category::UnsupportedType, message));
        }
    };
    let graph = graph.to_owned();
    Ok((graphspec, graph, format))
}

/// The query's names and values, decoded.
fn fields(query: &str, limits: &Limits) -> Result<BTreeMap<String, String>, JobError> {
    let mut fields = BTreeMap::new();
    for (count, pair) in (1..).zip(query.split('&').filter(|pair| !pair.is_empty())) {
        if count > limits.max_parameters {
            let all = query.split('&').filter(|pair| !pair.is_empty()).count() as u64;
            return Err(JobError::over("query parameters", all, limits.max_parameters, "IMGFLO_MAX_PARAMETERS"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode_query("the query parameter", name)?;
        if name.is_empty() {
            return Err(JobError::new(
                Category::Malformed,
                format!("the query holds '{}': a value without a name", shown(pair)),
            ));
        }
        let value = percent::decode_query(&format!("the value of '{}',", shown(&name)), value)?;
        if fields.insert(name.clone(), value).is_some() {
            return Err(JobError::new(
                Category::Malformed,
                format!("'{}' is given twice; each parameter may be given once", shown(&name)),
            ));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, query: &str) -> Request {
        parse(path, Some(query), &Limits::default()).unwrap()
    }

    fn refused(path: &str, query: Option<&str>) -> JobError {
        parse(path, query, &Limits::default()).expect_err(path)
    }

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_three_forms() {
        let plain = parse("crop", None, &Limits::default()).unwrap();
        assert_eq!(
            plain,
            Request {
                graphspec: "crop".into(),
                graph: "crop".into(),
                format: None,
                key: None,
                token: None,
                input: None,
                parameters: BTreeMap::new(),
                no_cache: false,
                debug: false,
                query: String::new(),
            }
        );
        let unsigned = read("mykey/crop.png", "width=1");
        assert_eq!((unsigned.key.as_deref(), unsigned.token.as_deref()), (Some("mykey"), None));
        assert_eq!(unsigned.query, "?width=1");
        let signed = read("my%20key/0f/crop.png", "");
        assert_eq!((signed.key.as_deref(), signed.token.as_deref()), (Some("my key"), Some("0f")));
        assert_eq!((signed.graphspec.as_str(), signed.query.as_str()), ("crop.png", "?"));
    }

    #[test]
    fn names_and_types() {
        for (name, graphspec, graph, format) in [
            ("crop", "crop", "crop", None),
            ("crop.png", "crop.png", "crop", Some("png")),
            ("crop.jpg", "crop.jpg", "crop", Some("jpg")),
            ("crop.jpeg", "crop.jpeg", "crop", Some("jpg")),
            ("crop.mp4", "crop.mp4", "crop", Some("mp4")),
            ("my_Graph-2.webp", "my_Graph-2.webp", "my_Graph-2", Some("webp")),
            ("cr%6Fp.p%6Eg", "crop.png", "crop", Some("png")),
        ] {
            let request = read(name, "");
            assert_eq!(
                (request.graphspec.as_str(), request.graph.as_str(), request.format.as_deref()),
                (graphspec, graph, format),
                "{name}"
            );
        }
    }

    #[test]
    fn names_no_graph_can_have() {
        let long = "a".repeat(101);
        for (name, category) in [
            ("", Category::Malformed),
            ("key/", Category::Malformed),
            ("key/token/", Category::Malformed),
            ("/crop", Category::Malformed),
            ("key//crop", Category::Malformed),
            ("a/b/c/crop", Category::NotFound),
            ("a/b/c/../crop", Category::NotFound),
            (".png", Category::NotFound),
            ("..", Category::NotFound),
            ("a.b.png", Category::NotFound),
            ("%2e%2e%2fcrop", Category::NotFound),
            ("..%5ccrop", Category::NotFound),
            ("cr%C3%B6p", Category::NotFound),
            ("cr+op", Category::NotFound),
            (&long, Category::NotFound),
            ("crop%00", Category::Malformed),
            ("crop%", Category::Malformed),
            ("crop%ff", Category::Malformed),
            ("%0acrop", Category::Malformed),
            ("key%0a/crop", Category::Malformed),
            ("crop.", Category::UnsupportedType),
            ("crop.PNG", Category::UnsupportedType),
            ("crop.p-g", Category::UnsupportedType),
            ("crop.p%20g", Category::UnsupportedType),
            ("crop.abcdefghi", Category::UnsupportedType),
        ] {
            assert_eq!(refused(name, None).category, category, "{name}");
        }
        let error = refused("crop.PNG", None);
        assert_eq!(error.message, "types are written in lower case: 'crop.png', not 'crop.PNG'");
    }

    #[test]
    fn the_query_is_decoded_once() {
        let request = read(
            "crop",
            "height=110&t=a+b%20c%2B&input=http%3A%2F%2Fh%2Fgraph%2Fcrop%3Fwidth%3D1%26input%3Dfiles%252Fa.jpg&flag&empty=&&x=a=b",
        );
        assert_eq!(request.input.as_deref(), Some("http://h/graph/crop?width=1&input=files%2Fa.jpg"));
        assert_eq!(
            request.parameters,
            parameters(&[("height", "110"), ("t", "a b c+"), ("flag", ""), ("empty", ""), ("x", "a=b")])
        );
    }

    #[test]
    fn reserved_names() {
        for (query, no_cache, debug) in [
            ("_nocache=true", true, false),
            ("_nocache=True", false, false),
            ("_nocache=1", false, false),
            ("_nocache", false, false),
            ("debug=1", false, true),
            ("debug=0", false, true),
            ("debug=", false, false),
            ("debug", false, false),
        ] {
            let request = read("crop", query);
            assert_eq!((request.no_cache, request.debug), (no_cache, debug), "{query}");
            assert_eq!(request.parameters, BTreeMap::new(), "{query}");
            assert_eq!(request.query, format!("?{query}"));
        }
        assert_eq!(read("crop", "Input=a").parameters, parameters(&[("Input", "a")]));
    }

    #[test]
    fn queries_that_cannot_be_read() {
        for query in [
            "a=1&a=2",
            "a=1&%61=1",
            "input=a&input=b",
            "=1",
            "a=%",
            "a=%ff",
            "%zz=1",
            "a=%00",
            "a%0d=1",
            "a=1&+=%20&+=1",
        ] {
            assert_eq!(refused("crop", Some(query)).category, Category::Malformed, "{query}");
        }
        assert_eq!(
            refused("crop", Some("width=1&width=2")).message,
            "'width' is given twice; each parameter may be given once"
        );
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { max_url_bytes: 300, max_parameters: 3, ..Limits::default() };
        let query = "a".repeat(300 - "/graph/crop?".len());
        parse("crop", Some(&query), &limits).unwrap();
        let overrun = parse("crop", Some(&format!("{query}a")), &limits).unwrap_err().overrun.unwrap();
        assert_eq!((overrun.value, overrun.limit, overrun.setting.as_str()), (301, 300, "IMGFLO_MAX_URL_BYTES"));
        parse("crop", Some("a=1&b=1&&c=1&"), &limits).unwrap();
        assert!(parse("crop", Some("a=1&b=1&c=1&d=1"), &limits).is_err());
        let error = parse("crop", Some("a=1&b=1&c=1&d=1&e=1"), &limits).unwrap_err();
        let overrun = error.overrun.unwrap();
        assert_eq!((overrun.value, overrun.limit, overrun.setting.as_str()), (5, 3, "IMGFLO_MAX_PARAMETERS"));
        assert_eq!(error.category, Category::TooLarge);
    }

    #[test]
    fn errors_stay_short() {
        for (path, query) in [("x".repeat(9000), String::new()), ("crop".into(), format!("a={}%", "x".repeat(9000)))] {
            assert!(refused(&path, Some(&query)).message.len() < 400);
        }
    }
}
