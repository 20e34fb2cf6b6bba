//! How a result is written: what `quality=` of a request says.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::shown;

/// Quality of a JPEG or AVIF from which on its colour is stored in full where a request does not say.
pub const FULL_CHROMA: u8 = 90;

/// How finely the colour of a JPEG or AVIF is stored, beside its brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chroma {
    /// `444`: for each pixel.
    Full,
    /// `420`: for each 2 x 2 pixels.
    Half,
}

/// A number, words, or both: `60`, `small`, `60,small`. The default says nothing, which leaves all
/// to the deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quality {
    /// Quality of a lossy result, 1 to 100; none: the deployment's.
    pub number: Option<u8>,
    /// `small`: fewer bytes for more time.
    pub small: bool,
    /// `progressive`: a JPEG that is shown coarse before it is there as a whole.
    pub progressive: bool,
    /// `444` or `420`: how finely the colour of a JPEG or AVIF is stored; `None`: in full from [`FULL_CHROMA`] on.
    pub chroma: Option<Chroma>,
}

/// A text that is not a valid quality.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a valid quality: it must be a number from 1 to 100, 'small', 'progressive', '444' or '420', or these joined by commas, as in 60,small", shown(.0))]
pub struct NoQuality(String);

impl Quality {
    /// The number alone, 1 to 100.
    pub fn of(number: u8) -> Self {
        Quality { number: Some(number), ..Quality::default() }
    }

    /// True when nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Quality::default()
    }

    /// What of it makes a difference to results with this extension, and all of that: requests that
    /// mean the same give the same. `number` is what holds where none is said.
    pub fn of_type(self, extension: &str, number: u8) -> Self {
        let number = self.number.unwrap_or(number);
        let plain = Quality { number: Some(number), small: self.small, ..Quality::default() };
        match extension {
            "jpg" => {
                let by_number = Quality::of(number).full_chroma(number);
                let chroma = self.chroma.filter(|_| self.full_chroma(number) != by_number);
                // What is small is progressive already.
                Quality { progressive: self.progressive && !self.small, chroma, ..plain }
            }
            // Said from 90 on in any case: earlier versions wrote all at half.
            "avif" => {
                let chroma = if self.full_chroma(number) { Chroma::Full } else { Chroma::Half };
                let is_said = chroma == Chroma::Full || number >= FULL_CHROMA;
                Quality { chroma: is_said.then_some(chroma), ..plain }
            }
            "webp" => plain,
            "png" => Quality { small: self.small, ..Quality::default() },
            _ => Quality::default(),
        }
    }

    /// True when the colour of a JPEG or AVIF is stored for each pixel. `number`: quality where none is said.
    pub fn full_chroma(self, number: u8) -> bool {
        match self.chroma {
            Some(chroma) => chroma == Chroma::Full,
            None => self.number.unwrap_or(number) >= FULL_CHROMA,
        }
    }
}

/// The one spelling: number, `small`, `progressive`, `444` or `420`; empty when nothing is said.
impl Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number.map(|number| number.to_string());
        let words = [
            (self.small, "small"),
            (self.progressive, "progressive"),
            (self.chroma == Some(Chroma::Full), "444"),
            (self.chroma == Some(Chroma::Half), "420"),
        ];
        let words = words.into_iter().filter(|(said, _)| *said).map(|(_, word)| word);
        f.write_str(&number.as_deref().into_iter().chain(words).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Quality {
    type Err = NoQuality;

    /// Reads it in any order and with blanks; an empty text says nothing.
    fn from_str(text: &str) -> Result<Self, NoQuality> {
        let mut quality = Quality::default();
        if text.trim().is_empty() {
            return Ok(quality);
        }
        for part in text.split(',').map(str::trim) {
            let said_before = match part {
                "small" => std::mem::replace(&mut quality.small, true),
                "progressive" => std::mem::replace(&mut quality.progressive, true),
                "444" => quality.chroma.replace(Chroma::Full).is_some(),
                "420" => quality.chroma.replace(Chroma::Half).is_some(),
                number => match number.parse() {
                    Ok(number @ 1..=100) => quality.number.replace(number).is_some(),
                    _ => return Err(NoQuality(text.into())),
                },
            };
            if said_before {
                return Err(NoQuality(text.into()));
            }
        }
        Ok(quality)
    }
}

/// As a number where there are no words, as jobs have always had it; else as text.
impl Serialize for Quality {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Quality { number: Some(number), small: false, progressive: false, chroma: None } => to.serialize_u8(number),
            _ => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Quality {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u8),
            Text(String),
        }
        match Option::deserialize(from)? {
            None => Ok(Quality::default()),
            Some(Written::Number(number)) => number.to_string().parse().map_err(D::Error::custom),
            Some(Written::Text(text)) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Quality {
        text.parse().unwrap()
    }

    #[test]
    fn any_order_one_spelling() {
        for (text, canonical) in [
            ("", ""),
            (" ", ""),
            ("60", "60"),
            ("1", "1"),
            ("100", "100"),
            ("small", "small"),
            ("progressive", "progressive"),
            ("small,60", "60,small"),
            ("progressive, small , 7", "7,small,progressive"),
            ("444", "444"),
            ("420,progressive,95", "95,progressive,420"),
        ] {
            assert_eq!(read(text).to_string(), canonical, "{text}");
            assert_eq!(read(canonical), read(text), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_is_right() {
        for text in [
            "0",
            "101",
            "-1",
            "60.5",
            "best",
            "Small",
            "60,",
            ",",
            "60,70",
            "60,60",
            "small,small",
            "6 0",
            "444,420",
            "420,420",
            "422",
        ] {
            let error = text.parse::<Quality>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{text}' is not a valid quality")) && error.contains("1 to 100"),
                "{error}"
            );
        }
        assert!("x".repeat(9000).parse::<Quality>().unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn what_makes_no_difference_to_a_type_is_left_out() {
        for (extension, text, canonical) in [
            ("jpg", "", "85"),
            ("jpg", "85", "85"),
            ("jpg", "60", "60"),
            ("jpg", "progressive", "85,progressive"),
            ("jpg", "small", "85,small"),
            ("jpg", "small,progressive,85", "85,small"),
            ("jpg", "420", "85"),
            ("jpg", "444", "85,444"),
            ("jpg", "90,444", "90"),
            ("jpg", "90,420,small", "90,small,420"),
            ("webp", "444", "85"),
            ("png", "444", ""),
            ("webp", "", "85"),
            ("webp", "progressive", "85"),
            ("webp", "small,progressive", "85,small"),
            ("avif", "30,small,progressive", "30,small"),
            ("avif", "30,420", "30"),
            ("avif", "90", "90,444"),
            ("avif", "90,420", "90,420"),
            ("avif", "444", "85,444"),
            ("png", "", ""),
            ("png", "60", ""),
            ("png", "60,progressive", ""),
            ("png", "60,small", "small"),
            ("gif", "60,small", ""),
        ] {
            assert_eq!(read(text).of_type(extension, 85).to_string(), canonical, "{extension} {text}");
        }
    }

    #[test]
    fn in_messages() {
        for (text, value) in [("85", json!(85)), ("85,444", json!("85,444")), ("small", json!("small"))] {
            assert_eq!(serde_json::to_value(read(text)).unwrap(), value);
            assert_eq!(serde_json::from_value::<Quality>(value).unwrap(), read(text));
        }
        assert_eq!(serde_json::from_value::<Quality>(Value::Null).unwrap(), Quality::default());
        for value in [json!(0), json!(101), json!(256), json!("best"), json!([85])] {
            assert!(serde_json::from_value::<Quality>(value.clone()).is_err(), "{value}");
        }
    }
}
