//! What an operation in C says of itself.

use serde::{Deserialize, Serialize};

use super::LIBRARY;
use crate::{Color, Encoding, Format, Info, Kind, Pad, Property, Value};

/// Most properties.
const MOST_PROPERTIES: usize = 64;
/// Most names of an enum.
const MOST_CHOICES: usize = 256;
/// Longest name of a property or choice, and of the operation, bytes.
const LONGEST_NAME: usize = 64;
/// Longest sentence, bytes.
const LONGEST_SENTENCE: usize = 1000;
/// Most bytes of a text in a property.
const LONGEST_TEXT: usize = 4096;
/// Largest whole number of a property: what a float holds exactly.
const LARGEST_INT: i64 = 1 << 53;

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Each pixel from the pixel at the same place.
    Point,
    /// Each pixel from those around it.
    Area,
    /// From `input` and `aux`.
    Compositor,
    /// From nothing.
    Source,
}

/// An operation's description, as its file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Name without library.
    pub name: String,
    /// Name for people; may be empty.
    pub title: String,
    /// A sentence.
    pub description: String,
    /// With colons between.
    pub categories: String,
    /// What it is.
    pub shape: Shape,
    /// True when pixels and colours are linear, not sRGB-coded.
    pub linear: bool,
    /// True when colour comes multiplied by alpha.
    pub premultiplied: bool,
    /// True when what is opaque stays so.
    pub keeps_opaque: bool,
    /// Work a pixel; 0 when unknown.
    pub weight: f32,
    /// True when it tells its margins.
    pub margins: bool,
    /// True when it tells its bounds.
    pub bounds: bool,
    /// In their order.
    pub properties: Vec<PropertyDescription>,
}

/// A property, as its file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertyDescription {
    /// Port name.
    pub name: String,
    /// A sentence.
    pub description: String,
    /// Type, default, range.
    pub kind: PropertyKind,
}

/// Type, default and range, as [`Kind`] has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PropertyKind {
    /// A real number.
    Number {
        /// Default.
        default: f64,
        /// Smallest value.
        minimum: f64,
        /// Largest value.
        maximum: f64,
    },
    /// A whole number.
    Int {
        /// Default.
        default: i64,
        /// Smallest value.
        minimum: i64,
        /// Largest value.
        maximum: i64,
    },
    /// True or false.
    Boolean {
        /// Default.
        default: bool,
    },
    /// One of these.
    Enum {
        /// Place of the default.
        default: i64,
        /// The names.
        choices: Vec<String>,
    },
    /// sRGB-coded.
    Color {
        /// Default.
        default: [f32; 4],
    },
    /// A text.
    Text {
        /// Default.
        default: String,
    },
}

/// A value as a call has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Given {
    /// Of a number.
    Number(f64),
    /// Of an int, a boolean (0 or 1) or an enum (its place).
    Integer(i64),
    /// Of a colour, coded or linear as the operation asks for.
    Color([f32; 4]),
    /// Of a text.
    Text(String),
}

impl Description {
    /// Says what in it is not allowed. `name` is what it has to be called.
    ///
    /// # Errors
    /// The first fault, in a sentence for its author.
    pub fn check(&self, name: &str) -> Result<(), String> {
        is_name(&self.name)?;
        if self.name != name {
            return Err(format!("the operation calls itself '{}', and its file is named {name}.c", self.name));
        }
        sentence("the operation", &self.description)?;
        if self.title.len() > LONGEST_NAME || self.categories.len() > LONGEST_SENTENCE {
            return Err(format!("the title is limited to {LONGEST_NAME} bytes, the categories to {LONGEST_SENTENCE}"));
        }
        if !(0.0..=1e6).contains(&self.weight) {
            return Err(format!("a weight of {} is none between 0 and a million", self.weight));
        }
        if self.properties.len() > MOST_PROPERTIES {
            return Err(format!("it has more than {MOST_PROPERTIES} properties"));
        }
        for (index, property) in self.properties.iter().enumerate() {
            let name = &property.name;
            is_name(name)?;
            let pad = matches!(name.as_str(), "input" | "aux" | "output");
            if pad || self.properties[..index].iter().any(|other| other.name == *name) {
                return Err(format!("there are two ports named '{name}'"));
            }
            sentence(name, &property.description)?;
            property.kind.check().map_err(|fault| format!("property '{name}': {fault}"))?;
        }
        Ok(())
    }

    /// As the catalogue has it. What is described is kept for as long as the process lives: some
    /// kilobytes for each revision of an operation.
    pub fn keep(&self) -> &'static Info {
        let inputs: &'static [Pad] = match self.shape {
            Shape::Point | Shape::Area => &[Pad::INPUT],
            Shape::Compositor => &[Pad::INPUT, Pad { name: "aux", required: true }],
            Shape::Source => &[],
        };
        let properties = self.properties.iter().map(|property| Property {
            name: kept(&property.name),
            description: kept(&property.description),
            kind: property.kind.keep(),
        });
        let categories = self.categories.split(':').filter(|category| !category.is_empty()).map(kept);
        Box::leak(Box::new(Info {
            name: kept(&format!("{LIBRARY}/{}", self.name)),
            aliases: &[],
            categories: Vec::leak(categories.collect()),
            title: kept(if self.title.is_empty() { &self.name } else { &self.title }),
            description: kept(&self.description),
            inputs,
            properties: Vec::leak(properties.collect()),
            revision: 1,
        }))
    }

    /// The format that it works in, when `opaque` pictures alone come in or others, too.
    pub fn format(&self, opaque: bool) -> Format {
        let format = match (self.linear, self.premultiplied) {
            (true, false) => Format::LIN,
            (true, true) => Format::LINP,
            (false, false) => Format::GAM,
            (false, true) => Format::GAMP,
        };
        if opaque && self.keeps_opaque { format.opaque_like(Format::RGB8) } else { format }
    }

    /// A value of property number `index`, as a call has it.
    pub fn give(&self, index: usize, value: &Value) -> Given {
        match value {
            Value::Number(number) => Given::Number(*number),
            Value::Int(number) => Given::Integer(*number),
            Value::Boolean(truth) => Given::Integer(i64::from(*truth)),
            Value::Enum(name) => {
                let place = match self.properties.get(index).map(|property| &property.kind) {
                    Some(PropertyKind::Enum { choices, .. }) => choices.iter().position(|choice| choice == name),
                    _ => None,
                };
                Given::Integer(place.unwrap_or_default() as i64)
            }
            Value::Color(color) if self.format(false).encoding == Encoding::Linear => Given::Color(color.linear()),
            Value::Color(color) => Given::Color(color.rgba),
            Value::Text(text) => Given::Text(text.clone()),
        }
    }
}

impl PropertyKind {
    fn check(&self) -> Result<(), String> {
        match self {
            PropertyKind::Number { default, minimum, maximum } => {
                if !minimum.is_finite() || !maximum.is_finite() || !(minimum..=maximum).contains(&default) {
                    return Err(format!("the default {default} is not within the range {minimum} to {maximum}"));
                }
            }
            PropertyKind::Int { default, minimum, maximum } => {
                let exact = -LARGEST_INT..=LARGEST_INT;
                let beyond = !exact.contains(minimum) || !exact.contains(maximum);
                if beyond || !(minimum..=maximum).contains(&default) {
                    return Err(format!("the default {default} is not within the range {minimum} to {maximum}"));
                }
            }
            PropertyKind::Boolean { .. } => {}
            PropertyKind::Enum { default, choices } => {
                if choices.len() > MOST_CHOICES {
                    return Err(format!("has more than {MOST_CHOICES} choices"));
                }
                choices.iter().try_for_each(|choice| is_name(choice))?;
                if usize::try_from(*default).map_or(true, |place| place >= choices.len()) {
                    return Err(format!("the default is number {default} of {} choices", choices.len()));
                }
            }
            PropertyKind::Color { default } => {
                if !default.iter().all(|component| (0.0..=1.0).contains(component)) {
                    return Err(format!("a component of the default {default:?} is not within 0 to 1"));
                }
            }
            PropertyKind::Text { default } => {
                if default.len() > LONGEST_TEXT {
                    return Err(format!("the default is longer than {LONGEST_TEXT} bytes"));
                }
            }
        }
        Ok(())
    }

    fn keep(&self) -> Kind {
        match self {
            &PropertyKind::Number { default, minimum, maximum } => Kind::Number { default, minimum, maximum },
            &PropertyKind::Int { default, minimum, maximum } => Kind::Int { default, minimum, maximum },
            &PropertyKind::Boolean { default } => Kind::Boolean { default },
            PropertyKind::Enum { default, choices } => {
                let values: &'static [&'static str] = Vec::leak(choices.iter().map(|choice| kept(choice)).collect());
                Kind::Enum { default: values.get(*default as usize).copied().unwrap_or_default(), values }
            }
            &PropertyKind::Color { default } => Kind::Color { default: Color { rgba: default } },
            PropertyKind::Text { default } => Kind::Text { default: kept(default), longest: LONGEST_TEXT },
        }
    }
}

/// Checks a name of an operation, a property or a choice.
///
/// # Errors
/// What a name looks like.
pub fn is_name(name: &str) -> Result<(), String> {
    let fits = name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    if fits {
        return Ok(());
    }
    let shown = name.chars().take(LONGEST_NAME).collect::<String>();
    Err(format!(
        "'{shown}' is no name: a small letter, then small letters, digits and dashes, at most {LONGEST_NAME} in all"
    ))
}

fn sentence(of: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{of} has no description"));
    }
    if text.len() > LONGEST_SENTENCE {
        return Err(format!("the description of {of} is longer than {LONGEST_SENTENCE} bytes"));
    }
    Ok(())
}

fn kept(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(properties: Vec<PropertyDescription>) -> Description {
        Description {
            name: "wave".into(),
            title: String::new(),
            description: "Waves.".into(),
            categories: "distort:map".into(),
            shape: Shape::Area,
            linear: true,
            premultiplied: true,
            keeps_opaque: true,
            weight: 0.0,
            margins: false,
            bounds: false,
            properties,
        }
    }

    fn property(name: &str, kind: PropertyKind) -> PropertyDescription {
        PropertyDescription { name: name.into(), description: "What.".into(), kind }
    }

    #[test]
    fn what_is_right_is_kept() {
        let choices = vec!["up".to_owned(), "down".to_owned()];
        let described = described(vec![
            property("turns", PropertyKind::Int { default: 1, minimum: 0, maximum: 9 }),
            property("way", PropertyKind::Enum { default: 1, choices }),
        ]);
        assert_eq!(described.check("wave"), Ok(()));
        let info = described.keep();
        assert_eq!((info.name, info.title, info.categories), ("c/wave", "wave", &["distort", "map"][..]));
        assert!(matches!(info.properties[1].kind, Kind::Enum { default: "down", values: ["up", "down"] }));
        assert_eq!(described.give(1, &Value::Enum("down")), Given::Integer(1));
        assert_eq!(described.format(true), Format::LIN_OPAQUE);
        assert_eq!(described.format(false), Format::LINP);
    }

    #[test]
    fn faults_are_told() {
        let number = |default, minimum, maximum| PropertyKind::Number { default, minimum, maximum };
        for (properties, told) in [
            (vec![property("Big", number(0.0, 0.0, 1.0))], "'Big' is no name"),
            (vec![property("input", number(0.0, 0.0, 1.0))], "two ports named 'input'"),
            (vec![property("a", number(0.0, 0.0, 1.0)), property("a", number(0.0, 0.0, 1.0))], "two ports named 'a'"),
            (vec![property("a", number(2.0, 0.0, 1.0))], "the default 2 is not within the range 0 to 1"),
            (vec![property("a", number(f64::NAN, 0.0, 1.0))], "the default NaN"),
            (vec![property("a", number(0.0, 0.0, f64::INFINITY))], "the range 0 to inf"),
            (vec![property("a", PropertyKind::Int { default: 0, minimum: 0, maximum: 1 << 60 })], "is not within"),
            (vec![property("a", PropertyKind::Enum { default: 0, choices: vec![] })], "number 0 of 0 choices"),
            (vec![property("a", PropertyKind::Enum { default: -1, choices: vec!["b".into()] })], "number -1 of 1"),
            (vec![property("a", PropertyKind::Color { default: [0.0, 2.0, 0.0, 1.0] })], "not within 0 to 1"),
            (vec![property("a", PropertyKind::Text { default: "x".repeat(5000) })], "longer than 4096 bytes"),
            ((0..65).map(|n| property(&format!("p{n}"), number(0.0, 0.0, 1.0))).collect(), "more than 64 properties"),
        ] {
            let fault = described(properties).check("wave").expect_err(told);
            assert!(fault.contains(told), "{fault}");
        }
        let fault = described(vec![]).check("other").expect_err("another file");
        assert_eq!(fault, "the operation calls itself 'wave', and its file is named other.c");
        let fault = Description { description: " ".into(), ..described(vec![]) }.check("wave");
        assert_eq!(fault, Err("the operation has no description".into()));
        let fault = Description { weight: f32::NAN, ..described(vec![]) }.check("wave");
        assert!(fault.is_err());
    }
}
