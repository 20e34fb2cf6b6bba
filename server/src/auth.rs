//! Who may ask: applications with their keys and tokens.

use std::collections::HashMap;

use imgflo_job::request::Request;
use imgflo_job::{Category, JobError, sign};

/// A client of this deployment.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    /// Names the application in URLs; not a secret.
    pub key: String,
    /// What its tokens are made with; none: its requests need no token.
    pub secret: Option<String>,
    /// True: it may ask for `_nocache`.
    pub admin: bool,
    /// True: the original's MD5 tokens are good as well. They can be forged; for old clients only.
    pub allow_md5: bool,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret must not get into a log by way of `{:?}`.
        to.debug_struct("Application")
            .field("key", &self.key)
            .field("signed", &self.secret.is_some())
            .field("admin", &self.admin)
            .field("allow_md5", &self.allow_md5)
            .finish_non_exhaustive()
    }
}

/// All applications.
#[derive(Debug)]
pub(crate) struct Access {
    applications: HashMap<String, Application>,
}

/// How a request is signed, for error texts.
const RULE: &str = "the token is the HMAC-SHA256 of the text, keyed with the application's secret, in 64 hexadecimal \
                    digits: /graph/<key>/<token>/<graph>?<query>";

impl Access {
    /// With no application, everything is allowed, and keys and tokens are not looked at.
    pub(crate) fn new(applications: Vec<Application>) -> Self {
        Access { applications: applications.into_iter().map(|app| (app.key.clone(), app)).collect() }
    }

    /// True when at least one application exists: who has no key gets nothing.
    pub(crate) fn is_closed(&self) -> bool {
        !self.applications.is_empty()
    }

    /// Refuses a request that no application may make.
    ///
    /// # Errors
    /// [`Category::Forbidden`]. It says which text was to be signed, as most wrong tokens come from
    /// signing another spelling of the query, and never a token or a secret.
    pub(crate) fn check(&self, request: &Request) -> Result<(), JobError> {
        if !self.is_closed() {
            return Ok(());
        }
        let Some(key) = &request.key else {
            return Err(refused(
                request,
                "this server answers known applications only, and there is no application key",
            ));
        };
        let Some(application) = self.applications.get(key) else {
            return Err(refused(request, "the application key is not known here"));
        };
        if let Some(secret) = &application.secret {
            let Some(token) = &request.token else {
                return Err(refused(request, "requests of this application are signed, and there is no token"));
            };
            if !sign::verify(secret, application.allow_md5, &request.graphspec, &request.query, token) {
                let why = if token.len() == 32 && !application.allow_md5 {
                    "the token has 32 digits as the MD5 tokens of old clients, which this application may not use"
                } else {
                    "the token is not right"
                };
                return Err(refused(request, why));
            }
        }
        if request.no_cache && !application.admin {
            return Err(JobError::new(Category::Forbidden, "_nocache=true is for admin applications only"));
        }
        Ok(())
    }
}

fn refused(request: &Request, why: &str) -> JobError {
    let text = format!("{}{}", request.graphspec, request.query);
    JobError::new(Category::Forbidden, format!("{why}; the text to sign is '{text}', and {RULE}")).with("to_sign", text)
}

#[cfg(test)]
mod tests {
    use imgflo_job::{Limits, request};

    use super::*;

    const QUERY: &str = "width=10&input=files%2Fa.jpg";

    fn access(secret: Option<&str>, admin: bool, allow_md5: bool) -> Access {
        let secret = secret.map(str::to_owned);
        Access::new(vec![Application { key: "app".into(), secret, admin, allow_md5 }])
    }

    fn asked(path: &str, query: &str) -> Request {
        request::parse(path, Some(query), &Limits::default()).unwrap()
    }

    fn refusal(access: &Access, path: &str, query: &str) -> JobError {
        let error = access.check(&asked(path, query)).unwrap_err();
        assert_eq!(error.category, Category::Forbidden);
        assert!(!error.message.contains("hush"), "{error}");
        error
    }

    #[test]
    fn without_applications_all_is_allowed() {
        let open = Access::new(Vec::new());
        for path in ["crop.png", "app/crop.png", "app/wrong/crop.png"] {
            assert_eq!(open.check(&asked(path, "_nocache=true")), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_secret_demands_a_token() {
        let access = access(Some("hush"), false, false);
        let token = sign::token("hush", "crop.png", &format!("?{QUERY}"));
        assert_eq!(access.check(&asked(&format!("app/{token}/crop.png"), QUERY)), Ok(()));
        let to_sign = format!("crop.png?{QUERY}");
        for path in ["crop.png", "app/crop.png", "other/crop.png", "app/0000/crop.png"] {
            let error = refusal(&access, path, QUERY);
            assert!(error.message.contains(&to_sign), "{path}: {error}");
            assert_eq!(error.details["to_sign"], to_sign, "{path}");
        }
        // The right token for another order of the query, another type or another secret.
        refusal(&access, &format!("app/{token}/crop.png"), "input=files%2Fa.jpg&width=10");
        refusal(&access, &format!("app/{token}/crop.jpg"), QUERY);
        let other = sign::token("hush2", "crop.png", &format!("?{QUERY}"));
        refusal(&access, &format!("app/{other}/crop.png"), QUERY);
        assert!(!refusal(&access, &format!("app/{other}/crop.png"), QUERY).message.contains(&token));
    }

    #[test]
    fn md5_only_where_it_is_allowed() {
        let token = sign::md5_token("hush", "crop.png", &format!("?{QUERY}"));
        let path = format!("app/{token}/crop.png");
        assert!(refusal(&access(Some("hush"), false, false), &path, QUERY).message.contains("MD5"));
        assert_eq!(access(Some("hush"), false, true).check(&asked(&path, QUERY)), Ok(()));
    }

    #[test]
    fn an_application_without_secret_needs_its_key_only() {
        let access = access(None, false, false);
        assert_eq!(access.check(&asked("app/crop.png", QUERY)), Ok(()));
        assert_eq!(access.check(&asked("app/whatever/crop.png", QUERY)), Ok(()));
        refusal(&access, "crop.png", QUERY);
        refusal(&access, "other/crop.png", QUERY);
    }

    #[test]
    fn nocache_is_for_admins() {
        refusal(&access(None, false, false), "app/crop.png", "_nocache=true");
        assert_eq!(access(None, true, false).check(&asked("app/crop.png", "_nocache=true")), Ok(()));
        assert_eq!(access(None, false, false).check(&asked("app/crop.png", "_nocache=1")), Ok(()));
    }

    #[test]
    fn debug_text_hides_the_secret() {
        assert!(!format!("{:?}", access(Some("hush"), true, true)).contains("hush"));
    }
}
