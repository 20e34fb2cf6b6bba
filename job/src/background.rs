//! The colour behind a picture that is written to a type without alpha.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An opaque colour, sRGB: `#ffffff`. The default is white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Background {
    /// Red, green and blue, 0 to 255.
    pub rgb: [u8; 3],
}

/// A text that is not `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a background must be a colour such as #ffffff")]
pub struct NotABackground;

impl Background {
    /// White.
    pub const WHITE: Background = Background { rgb: [255; 3] };

    /// The background of a result with this extension; `None` where the type has alpha, which keeps
    /// what is transparent.
    pub fn of_type(self, extension: &str) -> Option<Background> {
        (extension == "jpg").then_some(self)
    }
}

impl Default for Background {
    fn default() -> Self {
        Background::WHITE
    }
}

/// `#rrggbb`, lower case.
impl Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.rgb))
    }
}

impl FromStr for Background {
    type Err = NotABackground;

    /// Reads `#rrggbb`, in any case.
    fn from_str(text: &str) -> Result<Self, NotABackground> {
        let mut rgb = [0; 3];
        let digits = text.strip_prefix('#').ok_or(NotABackground)?;
        hex::decode_to_slice(digits, &mut rgb).map_err(|_| NotABackground)?;
        Ok(Background { rgb })
    }
}

impl Serialize for Background {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Background {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_texts() {
        let background = Background { rgb: [0, 128, 255] };
        assert_eq!(background.to_string(), "#0080ff");
        assert_eq!("#0080FF".parse(), Ok(background));
        for text in ["", "#", "#fff", "0080ff", "#0080ff00", "white", "#0080fg", " #0080ff"] {
            assert_eq!(text.parse::<Background>(), Err(NotABackground), "{text}");
        }
        assert_eq!(serde_json::to_value(background).unwrap(), "#0080ff");
        assert_eq!(serde_json::from_value::<Background>("#0080ff".into()).unwrap(), background);
    }

    #[test]
    fn it_matters_to_types_without_alpha() {
        assert_eq!(Background::WHITE.of_type("jpg"), Some(Background::WHITE));
        assert!(["png", "webp", "avif", "gif"].iter().all(|extension| Background::WHITE.of_type(extension).is_none()));
    }
}
