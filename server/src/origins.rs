//! Which pages of other origins may read what is served here (CORS).

use std::net::IpAddr;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use url::Url;

/// The headers of an answer that scripts may read, beside those that they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("location, etag, x-request-id");

/// Origins whose pages may read graphs, files and results with scripts. Pages can show pictures in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None but our own.
    #[default]
    Own,
    /// All.
    Any,
    /// These (`https://app.example.org`), and our own.
    Named(Vec<String>),
}

/// The origins and names of a server, with its own among them.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    origins: Origins,
    own: Vec<String>,
    /// The name in the public address.
    public_name: Option<String>,
}

impl Allowed {
    /// `own`: the addresses of this server. Its page at one of them is sent to results at another where it has a
    /// public address.
    pub(crate) fn new(origins: Origins, own: &[Url], is_public: bool) -> Self {
        let public_name = own.first().filter(|_| is_public).and_then(|url| url.host_str().map(str::to_owned));
        let own = own.iter().filter(|_| is_public).map(|url| url.origin().ascii_serialization()).collect();
        Allowed { origins, own, public_name }
    }

    /// True when a request is for this machine by an address, by a name of loopback or by the public one. Any page can
    /// have any other name lead here, and then reads what is served as its own (DNS rebinding). Where all origins may
    /// read, names make no difference.
    pub(crate) fn knows(&self, host: &Authority) -> bool {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.origins == Origins::Any
            || name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.public_name.as_deref() == Some(&name)
    }

    /// Puts the headers into an answer to a request from a page of `origin`.
    pub(crate) fn tell(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let named = match &self.origins {
            Origins::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
                return;
            }
            Origins::Own => &[][..],
            Origins::Named(origins) => origins,
        };
        let mut allowed = named.iter().chain(&self.own).peekable();
        if allowed.peek().is_none() {
            return;
        }
        // Caches keep one answer for each origin.
        headers.append(VARY, HeaderValue::from(ORIGIN));
        if let Some(origin) = origin.filter(|origin| allowed.any(|allowed| allowed.as_bytes() == origin.as_bytes())) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(origins: Origins, is_public: bool, origin: Option<&'static str>) -> (String, String) {
        let own = [Url::parse("http://localhost:8080/").unwrap(), Url::parse("https://img.example/a/").unwrap()];
        let mut headers = HeaderMap::new();
        let origin = origin.map(HeaderValue::from_static);
        Allowed::new(origins, &own, is_public).tell(origin.as_ref(), &mut headers);
        let text = |name| headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        (text(ACCESS_CONTROL_ALLOW_ORIGIN), text(VARY))
    }

    #[test]
    fn only_those_that_are_named_may_read() {
        let app = "https://app.example";
        let named = || Origins::Named(vec![app.into()]);
        let answer = |allowed: &str, vary: &str| (allowed.to_owned(), vary.to_owned());
        for origin in [None, Some(app), Some("null"), Some("http://localhost:8080")] {
            assert_eq!(told(Origins::Own, false, origin), answer("", ""), "{origin:?}");
            assert_eq!(told(Origins::Any, false, origin), answer("*", ""), "{origin:?}");
        }
        assert_eq!(told(named(), false, Some(app)), answer(app, "origin"));
        for origin in [None, Some("https://app.example.evil.example"), Some("http://app.example"), Some("null")] {
            assert_eq!(told(named(), false, origin), answer("", "origin"), "{origin:?}");
        }
        for own in ["http://localhost:8080", "https://img.example"] {
            assert_eq!(told(Origins::Own, true, Some(own)), answer(own, "origin"));
            assert_eq!(told(named(), true, Some(own)), answer(own, "origin"));
        }
        assert_eq!(told(Origins::Own, true, Some(app)), answer("", "origin"));
    }

    #[test]
    fn names_that_lead_here_are_not_ours() {
        let own = [Url::parse("https://img.example/a/").unwrap()];
        let knows = |origins: Origins, is_public: bool, host: &'static str| {
            Allowed::new(origins, &own, is_public).knows(&Authority::from_static(host))
        };
        for host in ["localhost:8080", "LOCALHOST", "imgflo.localhost", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7"] {
            assert!(knows(Origins::Own, false, host), "{host}");
        }
        for host in ["evil.example", "img.example", "localhost.evil.example", "127.0.0.1.evil.example:8080"] {
            assert!(!knows(Origins::Own, false, host), "{host}");
            assert!(knows(Origins::Any, false, host), "{host}");
        }
        assert!(knows(Origins::Own, true, "img.example") && knows(Origins::Own, true, "IMG.example.:443"));
    }
}
