//! Who may ask: applications with their keys and tokens.

use std::collections::HashMap;
use std::sync::Arc;

use imgflo_apps::{Allowance, Directory, Reservation, Rights, Standing};
use imgflo_job::request::Request;
use imgflo_job::{Category, JobError, sign};

use crate::quota;

/// A client of this deployment, as the settings name it.
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

/// All applications: those of the settings, and those of the database.
#[derive(Debug)]
pub(crate) struct Access {
    /// These win over those of the database.
    fixed: HashMap<String, Application>,
    directory: Option<Arc<Directory>>,
    /// Whether everything is allowed as long as there is no application at all.
    open_when_empty: bool,
}

/// Whom a request comes from, as far as its key says.
enum Caller<'a> {
    Fixed(&'a Application),
    Registered(Arc<imgflo_apps::Application>),
}

/// How a request is signed, for error texts.
const RULE: &str = "the token is the HMAC-SHA256 of the text, keyed with the application's secret, in 64 hexadecimal \
                    digits: /graph/<key>/<token>/<graph>?<query>";

impl Access {
    /// With no application in either, everything is allowed if `open_when_empty`, and keys and
    /// tokens are not looked at.
    pub(crate) fn new(
        applications: Vec<Application>,
        directory: Option<Arc<Directory>>,
        open_when_empty: bool,
    ) -> Self {
        let fixed = applications.into_iter().map(|app| (app.key.clone(), app)).collect();
        Access { fixed, directory, open_when_empty }
    }

    /// True when who has no key gets nothing: there are applications, or perhaps there are.
    pub(crate) fn is_closed(&self) -> bool {
        let none_registered = self.directory.as_ref().is_none_or(|directory| directory.is_empty());
        !(self.open_when_empty && self.fixed.is_empty() && none_registered)
    }

    /// How it stands with the database of applications, if there is one.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.directory.as_ref().map(|directory| directory.standing())
    }

    /// True when nobody can be let in, as nobody is known yet.
    pub(crate) fn knows_nobody(&self) -> bool {
        self.fixed.is_empty() && self.standing() == Some(Standing::Unknown)
    }

    /// Refuses a request that no application may make.
    ///
    /// # Errors
    /// [`Category::Forbidden`]. It says which text was to be signed, as most wrong tokens come from
    /// signing another spelling of the query, and never a token or a secret.
    /// [`Category::Unavailable`] when the database of applications has not been reached yet.
    pub(crate) fn check(&self, request: &Request) -> Result<(), JobError> {
        if !self.is_closed() {
            return Ok(());
        }
        let caller = request.key.as_deref().map(|key| self.caller(key));
        if !matches!(caller, Some(Some(_))) && self.standing() == Some(Standing::Unknown) {
            return Err(JobError::new(Category::Unavailable, "the database of applications was not reached yet"));
        }
        match caller {
            None => {
                Err(refused(request, "this server answers known applications only, and there is no application key"))
            }
            Some(None) => Err(refused(request, "the application key is not known here")),
            Some(Some(Caller::Fixed(application))) => {
                let unsigned = application.secret.is_none();
                let rights =
                    Rights { admin: application.admin, allow_unsigned: unsigned, allow_md5: application.allow_md5 };
                judge(request, application.secret.as_deref().into_iter(), rights)
            }
            Some(Some(Caller::Registered(application))) => {
                if !application.enabled {
                    return Err(JobError::new(Category::Forbidden, "this application is disabled"));
                }
                judge(request, application.secrets(imgflo_apps::now()), application.rights)
            }
        }
    }

    fn caller(&self, key: &str) -> Option<Caller<'_>> {
        match self.fixed.get(key) {
            Some(application) => Some(Caller::Fixed(application)),
            None => self.registered(key).map(Caller::Registered),
        }
    }

    /// The application of the database with a key.
    fn registered(&self, key: &str) -> Option<Arc<imgflo_apps::Application>> {
        self.directory.as_ref().filter(|_| !self.fixed.contains_key(key))?.find(key)
    }

    /// Whether an application may have one more image made. None if it is not counted, as those of
    /// the settings are not.
    ///
    /// # Errors
    /// Its quota does not allow it.
    pub(crate) fn admit(&self, key: Option<&str>) -> Result<Option<Reservation>, JobError> {
        match (&self.directory, key.and_then(|key| self.registered(key))) {
            (Some(directory), Some(application)) => {
                directory.admit(&application).map(Some).map_err(|refusal| quota::refused(&refusal))
            }
            _ => Ok(None),
        }
    }

    /// What is left of an application's quota; none if it has none.
    pub(crate) fn allowance(&self, key: Option<&str>) -> Option<Allowance> {
        self.directory.as_ref()?.allowance(&*self.registered(key?)?)
    }
}

/// Refuses what somebody with these secrets and rights may not ask for.
fn judge<'a>(request: &Request, secrets: impl Iterator<Item = &'a str>, rights: Rights) -> Result<(), JobError> {
    let (mut has_secret, mut signed) = (false, false);
    for secret in secrets {
        has_secret = true;
        signed |= request
            .token
            .as_ref()
            .is_some_and(|token| sign::verify(secret, rights.allow_md5, &request.graphspec, &request.query, token));
    }
    if !signed && !rights.allow_unsigned {
        let why = match &request.token {
            None => "requests of this application are signed, and there is no token",
            Some(token) if token.len() == 32 && !rights.allow_md5 => {
                "the token has 32 digits as the MD5 tokens of old clients, which this application may not use"
            }
            Some(_) => "the token is not right",
        };
        return Err(refused(request, why));
    }
    if request.no_cache && !rights.admin {
        return Err(JobError::new(Category::Forbidden, "_nocache=true is for admin applications only"));
    }
    if request.no_cache && has_secret && !signed {
        return Err(refused(request, "_nocache=true needs a token, and there is none that is right"));
    }
    Ok(())
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
        Access::new(vec![Application { key: "app".into(), secret, admin, allow_md5 }], None, true)
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
        let open = Access::new(Vec::new(), None, true);
        for path in ["crop.png", "app/crop.png", "app/wrong/crop.png"] {
            assert_eq!(open.check(&asked(path, "_nocache=true")), Ok(()), "{path}");
        }
    }

    #[test]
    fn without_applications_nothing_is_allowed_where_that_is_wanted() {
        let closed = Access::new(Vec::new(), None, false);
        assert!(closed.is_closed());
        refusal(&closed, "crop.png", QUERY);
        refusal(&closed, "app/crop.png", QUERY);
    }

    #[test]
    fn an_admin_that_need_not_sign_signs_for_nocache() {
        let rights = Rights { admin: true, allow_unsigned: true, allow_md5: false };
        let judged = |path: &str, query: &str| judge(&asked(path, query), ["hush", "old"].into_iter(), rights);
        assert_eq!(judged("app/crop.png", QUERY), Ok(()));
        assert!(judged("app/crop.png", "_nocache=true").unwrap_err().message.contains("needs a token"));
        // Either secret does.
        for secret in ["hush", "old"] {
            let token = sign::token(secret, "crop.png", "?_nocache=true");
            assert_eq!(judged(&format!("app/{token}/crop.png"), "_nocache=true"), Ok(()));
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
