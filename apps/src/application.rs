//! An application: who may ask, and what for.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::AppsError;

/// Most characters of a label or an address, as the columns of the original's table have it.
const MAX_TEXT: usize = 255;
/// Random bytes in a key, and in a secret.
const KEY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
/// Pixels in a megapixel.
pub(crate) const MEGAPIXEL: u64 = 1_000_000;

/// How much an application may have made in a day (UTC), counted in the pixels of its images: of
/// each the larger one of input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// As much as it likes.
    Unlimited,
    /// So many megapixels; 0: images that are stored already, and no others.
    Megapixels(u32),
}

impl Quota {
    /// Largest quota in megapixels: that of the original's column.
    pub const MAX: u32 = i32::MAX as u32;

    /// The quota in pixels; none if there is no limit.
    pub fn pixels(self) -> Option<u64> {
        match self {
            Quota::Unlimited => None,
            Quota::Megapixels(megapixels) => Some(u64::from(megapixels) * MEGAPIXEL),
        }
    }

    /// As it is in the table. The original lets an application with any quota above 0 have as much
    /// as it likes, and so do we where it is not said that the quota is counted.
    pub(crate) fn columns(self) -> (i32, bool) {
        match self {
            Quota::Unlimited => (1, false),
            Quota::Megapixels(megapixels) => (i32::try_from(megapixels).unwrap_or(i32::MAX), true),
        }
    }

    pub(crate) fn from_columns(quota: i64, counted: bool) -> Self {
        match u32::try_from(quota) {
            Ok(quota) if quota > 0 && !counted => Quota::Unlimited,
            Ok(quota) => Quota::Megapixels(quota),
            Err(_) => Quota::Megapixels(0),
        }
    }
}

impl std::str::FromStr for Quota {
    type Err = AppsError;

    /// Reads `unlimited`, or a whole number of megapixels.
    fn from_str(text: &str) -> Result<Self, AppsError> {
        match text.parse() {
            _ if text == "unlimited" => Ok(Quota::Unlimited),
            Ok(megapixels) if megapixels <= Quota::MAX => Ok(Quota::Megapixels(megapixels)),
            _ => Err(AppsError::Invalid {
                what: "quota",
                given: text.into(),
                wanted: "a whole number of megapixels a day from 0 to 2147483647, or 'unlimited'",
            }),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quota::Unlimited => to.pad("unlimited"),
            Quota::Megapixels(megapixels) => to.pad(&megapixels.to_string()),
        }
    }
}

impl Serialize for Quota {
    /// A number of megapixels, or `"unlimited"`.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Quota::Unlimited => to.serialize_str("unlimited"),
            Quota::Megapixels(megapixels) => to.serialize_u32(*megapixels),
        }
    }
}

/// What an application may do beside asking for signed images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// It may ask for `_nocache`, with a token.
    pub admin: bool,
    /// Its requests need no token, only its key.
    pub allow_unsigned: bool,
    /// The original's MD5 tokens are good as well. They can be forged; for old clients only.
    pub allow_md5: bool,
}

/// The secret before the last rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: String,
    /// Until when it is good, ms since 1970.
    pub until: u64,
}

/// An application. Serialized and shown without its secrets.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Application {
    /// Names the application in URLs; not a secret.
    pub key: String,
    /// What its tokens are made with.
    #[serde(skip)]
    pub secret: String,
    /// The secret before the last rotation, if that had a time of grace; it may be over.
    #[serde(skip)]
    pub previous: Option<PreviousSecret>,
    /// What it is, for people.
    pub label: String,
    /// Whom to ask about it.
    pub email: String,
    /// How much it may have made.
    pub quota: Quota,
    /// False: it gets nothing, not even stored images.
    pub enabled: bool,
    /// What else it may.
    #[serde(flatten)]
    pub rights: Rights,
    /// When it was added, ms since 1970, where that is known; so is the next.
    pub created_at: Option<u64>,
    /// When it was last changed.
    pub updated_at: Option<u64>,
}

impl Application {
    /// The secrets that are good at a time (ms since 1970), the newest first.
    pub fn secrets(&self, now: u64) -> impl Iterator<Item = &str> {
        let previous = self.previous.as_ref().filter(move |previous| now < previous.until);
        std::iter::once(self.secret.as_str()).chain(previous.map(|previous| previous.secret.as_str()))
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No secret must get into a log by way of `{:?}`.
        to.debug_struct("Application")
            .field("key", &self.key)
            .field("label", &self.label)
            .field("quota", &self.quota)
            .field("enabled", &self.enabled)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// An application to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApplication {
    /// What it is, for people: 1 to 255 characters.
    pub label: String,
    /// Whom to ask about it: an e-mail address, up to 255 characters.
    pub email: String,
    /// How much it may have made.
    pub quota: Quota,
    /// What else it may.
    pub rights: Rights,
}

impl NewApplication {
    /// # Errors
    /// [`AppsError::Invalid`] for a label or an address that is none.
    pub(crate) fn check(&self) -> Result<(), AppsError> {
        let invalid = |what, given: &str, wanted| Err(AppsError::Invalid { what, given: given.into(), wanted });
        let fits = |text: &str| text.chars().count() <= MAX_TEXT && !text.contains(char::is_control);
        if self.label.trim().is_empty() || !fits(&self.label) {
            return invalid("label", &self.label, "must be a text of 1 to 255 characters in one line");
        }
        let at = self.email.find('@').unwrap_or(0);
        if at == 0 || self.email.contains(char::is_whitespace) || !fits(&self.email) {
            return invalid("email", &self.email, "must be an address like ann@example.org, of up to 255 characters");
        }
        Ok(())
    }
}

/// A new key: 32 hexadecimal digits.
///
/// # Errors
/// [`AppsError::Random`].
pub(crate) fn new_key() -> Result<String, AppsError> {
    random::<KEY_BYTES>()
}

/// A new secret: 64 hexadecimal digits.
///
/// # Errors
/// [`AppsError::Random`].
pub(crate) fn new_secret() -> Result<String, AppsError> {
    random::<SECRET_BYTES>()
}

fn random<const N: usize>() -> Result<String, AppsError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(label: &str, email: &str) -> NewApplication {
        let (label, email) = (label.to_owned(), email.to_owned());
        NewApplication { label, email, quota: Quota::Unlimited, rights: Rights::default() }
    }

    #[test]
    fn labels_and_addresses() {
        assert!(new("shop", "ann@example.org").check().is_ok());
        assert!(new(&"x".repeat(255), "a@b").check().is_ok());
        let long = format!("a@{}", "b".repeat(254));
        for (label, email) in [
            ("", "ann@example.org"),
            ("  ", "ann@example.org"),
            ("two\nlines", "ann@example.org"),
            (&"x".repeat(256), "ann@example.org"),
            ("shop", ""),
            ("shop", "ann"),
            ("shop", "@example.org"),
            ("shop", "ann @example.org"),
            ("shop", &long),
        ] {
            assert!(new(label, email).check().is_err(), "{label:?} {email:?}");
        }
    }

    #[test]
    fn quotas_in_text_and_columns() {
        for (text, quota, columns) in [
            ("unlimited", Quota::Unlimited, (1, false)),
            ("0", Quota::Megapixels(0), (0, true)),
            ("250", Quota::Megapixels(250), (250, true)),
            ("2147483647", Quota::Megapixels(Quota::MAX), (i32::MAX, true)),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap(), quota);
            assert_eq!(quota.to_string(), text);
            assert_eq!(quota.columns(), columns);
            assert_eq!(Quota::from_columns(columns.0.into(), columns.1), quota);
        }
        for text in ["", "-1", "2147483648", "1.5", "none", "1 MP"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
        // Rows of the original.
        assert_eq!(Quota::from_columns(50, false), Quota::Unlimited);
        assert_eq!(Quota::from_columns(0, false), Quota::Megapixels(0));
        assert_eq!(Quota::from_columns(-3, false), Quota::Megapixels(0));
        assert_eq!(Quota::Megapixels(3).pixels(), Some(3_000_000));
    }

    #[test]
    fn keys_and_secrets_are_long_and_differ() {
        assert_eq!((new_key().unwrap().len(), new_secret().unwrap().len()), (32, 64));
        assert_ne!(new_key().unwrap(), new_key().unwrap());
    }

    #[test]
    fn secrets_are_not_shown_and_the_previous_one_ends() {
        let application = Application {
            key: "k".into(),
            secret: "hush-new".into(),
            previous: Some(PreviousSecret { secret: "hush-old".into(), until: 100 }),
            label: "shop".into(),
            email: "ann@example.org".into(),
            quota: Quota::Megapixels(5),
            enabled: true,
            rights: Rights::default(),
            created_at: None,
            updated_at: None,
        };
        assert_eq!(application.secrets(99).collect::<Vec<_>>(), ["hush-new", "hush-old"]);
        assert_eq!(application.secrets(100).collect::<Vec<_>>(), ["hush-new"]);
        assert!(!format!("{application:?}").contains("hush"));
    }
}
