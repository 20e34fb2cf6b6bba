//! URLs of pictures, by the rule of the client library `imgflo-url` with our token.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::sign;

/// What `encodeURIComponent` of JavaScript leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Why no URL could be made. The texts are the library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No server.
    #[error("imgflo config must contain a \"server\" key")]
    NoServer,
    /// No application key.
    #[error("imgflo config must contain a \"key\" key")]
    NoKey,
    /// No secret.
    #[error("imgflo config must contain a \"secret\" key")]
    NoSecret,
    /// No graph.
    #[error("imgflo graph name not provided")]
    NoGraph,
    /// No input among the parameters.
    #[error("imgflo params must contain an \"input\" key")]
    NoInput,
}

/// The URL of a picture: `<server>graph/<key>/<token>/<graph>.<format>?<parameters>`. Without a
/// secret there is no token in it, and without a key neither.
///
/// A `graph` may have the format as its suffix (`crop.png`), as in an address; `format` has the last word.
///
/// Parameters are sorted by name and encoded as `encodeURIComponent` does. Without a `format` it is
/// the input's extension in lower case, or none. `tif` becomes `png`; for `gif` the graph becomes
/// `noop`, with only the input. A `data:` or `blob:` input is returned as it is.
///
/// * `server`: with scheme; a `/` is added at its end if there is none.
///
/// # Errors
/// [`UrlError`] when one of the texts is empty, there is a secret without a key, or there is no
/// `input` parameter.
pub fn build(
    server: &str,
    key: Option<&str>,
    secret: Option<&str>,
    graph: &str,
    parameters: &BTreeMap<String, String>,
    format: Option<&str>,
) -> Result<String, UrlError> {
    let missing = [
        (server.is_empty(), UrlError::NoServer),
        (key == Some("") || (key.is_none() && secret.is_some()), UrlError::NoKey),
        (secret == Some(""), UrlError::NoSecret),
        (graph.is_empty(), UrlError::NoGraph),
    ];
    if let Some((_, error)) = missing.into_iter().find(|(missing, _)| *missing) {
        return Err(error);
    }
    let input = parameters.get("input").filter(|input| !input.is_empty()).ok_or(UrlError::NoInput)?;
    if input.starts_with("data:") || input.starts_with("blob:") {
        return Ok(input.clone());
    }
    // No name of a graph holds a dot.
    let (graph, suffix) = graph.rsplit_once('.').map_or((graph, None), |(graph, suffix)| (graph, Some(suffix)));
    let format = format.or(suffix).map(str::to_lowercase).or_else(|| extension(input));
    let format = if format.as_deref() == Some("tif") { Some("png".to_owned()) } else { format };
    let gif = format.as_deref() == Some("gif");
    let graph = if gif { "noop" } else { graph };
    let graphspec = match format {
        Some(format) => format!("{graph}.{format}"),
        None => graph.to_owned(),
    };
    let pairs: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| !gif || *name == "input")
        .map(|(name, value)| format!("{}={}", component(name), component(value)))
        .collect();
    let query = format!("?{}", pairs.join("&"));
    let application: String = [key.map(component), secret.map(|secret| sign::token(secret, &graphspec, &query))]
        .into_iter()
        .flatten()
        .map(|part| part + "/")
        .collect();
    let slash = if server.ends_with('/') { "" } else { "/" };
    Ok(format!("{server}{slash}graph/{application}{graphspec}{query}"))
}

fn component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Lower-case extension of an input's last part: before `?`, and before `:` as in `x.jpg:large`.
fn extension(input: &str) -> Option<String> {
    let last = input.rsplit('/').next().unwrap_or_default();
    let name = last.split(['?', ':']).next().unwrap_or_default();
    let (_, extension) = name.rsplit_once('.')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!extension.is_empty() && extension.chars().all(is_word)).then(|| extension.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn url(graph: &str, pairs: &[(&str, &str)], format: Option<&str>) -> String {
        build("https://imgflo.herokuapp.com/", Some("key"), Some("secret"), graph, &params(pairs), format).unwrap()
    }

    /// As imgflo-url writes the URL, its MD5 token in place of ours.
    fn with_md5(url: &str) -> String {
        let (head, spec) = url.rsplit_once('/').unwrap();
        let (head, token) = head.rsplit_once('/').unwrap();
        let (graphspec, query) = spec.split_at(spec.find('?').unwrap());
        assert_eq!(token, sign::token("secret", graphspec, query));
        format!("{head}/{}/{spec}", sign::md5_token("secret", graphspec, query))
    }

    #[test]
    fn the_same_urls_as_the_client_library() {
        assert_eq!(
            with_md5(&url("passthrough", &[("input", "http://example.com/a.JPG"), ("width", "300")], None)),
            "https://imgflo.herokuapp.com/graph/key/ec2197d9da95d47afff78a4461897ea5/passthrough.jpg\
             ?input=http%3A%2F%2Fexample.com%2Fa.JPG&width=300"
        );
        let input = "https://pbs.twimg.com/media/BlM0d2-CcAAT9ic.jpg:large";
        let pairs = [("input", input), ("color1", "#0A2A2F"), ("color2", "#FDE7A0"), ("srgb", "true")];
        assert_eq!(
            with_md5(&url("gradientmap", &pairs, None)),
            "https://imgflo.herokuapp.com/graph/key/49467a1d8a94cf6c8350841299ecfb56/gradientmap.jpg\
             ?color1=%230A2A2F&color2=%23FDE7A0&input=https%3A%2F%2Fpbs.twimg.com%2Fmedia%2FBlM0d2-CcAAT9ic.jpg%3Alarge\
             &srgb=true"
        );
        assert_eq!(
            with_md5(&url("passthrough", &[("input", "https://a.com/b.gif"), ("width", "3")], None)),
            "https://imgflo.herokuapp.com/graph/key/408ff9579217fc27ec7472b8de5e8c3b/noop.gif\
             ?input=https%3A%2F%2Fa.com%2Fb.gif"
        );
    }

    #[test]
    fn formats() {
        for (input, format, graphspec) in [
            ("http://a/b.png", None, "crop.png"),
            ("http://a/b.TIF", None, "crop.png"),
            ("http://a/b", None, "crop"),
            ("http://a.com/b/", None, "crop"),
            ("http://a/b.png?c=1", None, "crop.png"),
            ("http://a/b?c=1", None, "crop"),
            ("http://a/b.j-g", None, "crop"),
            ("http://a/b.tar.Gz", None, "crop.gz"),
            ("http://a/b.png", Some("JPG"), "crop.jpg"),
            ("http://a/b.png", Some("tif"), "crop.png"),
            ("http://a/b.png", Some("gif"), "noop.gif"),
        ] {
            let url = url("crop", &[("input", input)], format);
            assert!(url.contains(&format!("/{graphspec}?input=")), "{input} {format:?}: {url}");
        }
    }

    #[test]
    fn a_graph_has_one_suffix() {
        for (graph, format, graphspec) in
            [("crop.png", None, "crop.png"), ("crop.png", Some("jpg"), "crop.jpg"), ("crop.PNG", None, "crop.png")]
        {
            let url = url(graph, &[("input", "http://a/b.webp")], format);
            assert!(url.contains(&format!("/{graphspec}?input=")), "{graph} {format:?}: {url}");
        }
    }

    #[test]
    fn escapes_as_javascript_does() {
        let url = url("crop", &[("input", "http://a/b.png"), ("t", "a b+c&d=e/é!~*'()-_.%")], None);
        assert!(url.ends_with("&t=a%20b%2Bc%26d%3De%2F%C3%A9!~*'()-_.%25"), "{url}");
    }

    #[test]
    fn inline_inputs_stay() {
        for input in ["data:image/gif;base64,R0lGODlhDwAMAL...", "blob:https://a/1"] {
            assert_eq!(url("crop", &[("input", input)], None), input);
        }
    }

    #[test]
    fn without_signing() {
        let parameters = params(&[("input", "http://a/b.png")]);
        let url = |server, key| build(server, key, None, "crop", &parameters, None).unwrap();
        assert_eq!(url("http://s/", None), "http://s/graph/crop.png?input=http%3A%2F%2Fa%2Fb.png");
        assert_eq!(url("http://s", Some("k/1")), "http://s/graph/k%2F1/crop.png?input=http%3A%2F%2Fa%2Fb.png");
    }

    #[test]
    fn what_is_missing_is_named() {
        let parameters = params(&[("input", "http://a/b.png")]);
        let text = |server, key, secret, graph, parameters: &BTreeMap<String, String>| {
            build(server, key, secret, graph, parameters, None).unwrap_err().to_string()
        };
        let (key, secret) = (Some("k"), Some("s"));
        assert_eq!(text("", key, secret, "g", &parameters), "imgflo config must contain a \"server\" key");
        assert_eq!(text("h", Some(""), None, "g", &parameters), "imgflo config must contain a \"key\" key");
        assert_eq!(text("h", None, secret, "g", &parameters), "imgflo config must contain a \"key\" key");
        assert_eq!(text("h", key, Some(""), "g", &parameters), "imgflo config must contain a \"secret\" key");
        assert_eq!(text("h", key, secret, "", &parameters), "imgflo graph name not provided");
        let none = params(&[("width", "1")]);
        assert_eq!(text("h", key, secret, "g", &none), "imgflo params must contain an \"input\" key");
    }
}
