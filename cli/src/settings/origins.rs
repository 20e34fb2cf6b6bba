//! Origins of the web pages whose scripts may read results, files and listings (CORS).

use imgflo_server::Origins;
use url::Url;

use super::Reader;

impl Reader {
    pub(super) fn origins(&mut self) -> Origins {
        let text = self.text("origins").to_owned();
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Origins::Own;
        }
        if names == ["*"] {
            return Origins::Any;
        }
        let origins: Option<Vec<String>> = names.into_iter().map(origin).collect();
        if origins.is_none() {
            self.fault("origins", "list of origins without paths (https://app.example.org), or * alone");
        }
        Origins::Named(origins.unwrap_or_default())
    }
}

/// An origin as browsers send it; `None` for what is none.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    is_bare.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send() {
        for (text, sent) in [
            ("https://app.example.org", "https://app.example.org"),
            ("https://APP.example.org:443/", "https://app.example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(origin(text).as_deref(), Some(sent));
        }
        for text in ["*", "null", "app.example.org", "ftp://a", "https://a/b", "https://a?b", "https://u@a", ""] {
            assert_eq!(origin(text), None, "{text}");
        }
    }
}
