//! Properties of operations: what they are, and how values are read from text and JSON.

use std::collections::BTreeMap;

use crate::Color;

/// A property of an operation; a port of its component.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Port name, with dashes: `std-dev-x`.
    pub name: &'static str,
    /// What it does, for forms and docs; with the unit where it has one.
    pub description: &'static str,
    /// Type, default and range.
    pub kind: Kind,
}

/// Type, default and range of a property.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number.
    Int {
        /// Default.
        default: i64,
        /// Smallest value.
        minimum: i64,
        /// Largest value.
        maximum: i64,
    },
    /// A real number; an unbounded side is ±[`f64::MAX`].
    Number {
        /// Default.
        default: f64,
        /// Smallest value.
        minimum: f64,
        /// Largest value.
        maximum: f64,
    },
    /// True or false.
    Boolean {
        /// Default.
        default: bool,
    },
    /// One of a few names.
    Enum {
        /// Default, one of `values`.
        default: &'static str,
        /// All values, in GEGL's order.
        values: &'static [&'static str],
    },
    /// A colour.
    Color {
        /// Default.
        default: Color,
    },
    /// A text.
    Text {
        /// Default.
        default: &'static str,
        /// Most bytes of UTF-8.
        longest: usize,
    },
}

/// A value of a property.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Number`]; finite.
    Number(f64),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Enum`].
    Enum(&'static str),
    /// Of [`Kind::Color`].
    Color(Color),
    /// Of [`Kind::Text`].
    Text(String),
}

/// Why a text or a JSON value is no value of a property.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValueFault {
    /// Not of the property's type.
    #[error("'{given}' is no {expected}")]
    Type {
        /// The value as given, cut to 100 characters.
        given: String,
        /// What would be right: "int", "number", "boolean (true or false)", ...
        expected: String,
    },
    /// Of the type, but outside the range.
    #[error("{}", range_text(*given, *minimum, *maximum))]
    Range {
        /// The value as given.
        given: f64,
        /// Smallest value.
        minimum: f64,
        /// Largest value.
        maximum: f64,
    },
}

/// What a range fault says; an unbounded side is left out.
fn range_text(given: f64, minimum: f64, maximum: f64) -> String {
    // Hundreds of digits help nobody.
    let short = |value: f64| if value.abs() < 1e17 { value.to_string() } else { format!("{value:e}") };
    let given = short(given);
    match (minimum > f64::MIN, maximum < f64::MAX) {
        (true, true) => format!("{given} is outside {} to {}", short(minimum), short(maximum)),
        (true, false) => format!("{given} is less than {}", short(minimum)),
        _ => format!("{given} is more than {}", short(maximum)),
    }
}

/// All property values of one operation: each property has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties(BTreeMap<&'static str, Value>);

impl Properties {
    /// The defaults of `properties`.
    pub fn defaults(properties: &[Property]) -> Self {
        Properties(properties.iter().map(|p| (p.name, p.kind.default())).collect())
    }

    /// Sets the value of a property.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, value);
    }

    /// All values by name, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("no property '{name}'"))
    }

    /// The value of an int property.
    ///
    /// # Panics
    /// When there is no such property or it has another type: a fault of the operation.
    pub fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Int(v) => *v,
            other => panic!("property '{name}' is {other:?}, not an int"),
        }
    }

    /// The value of a number property; panics as [`Properties::int`].
    pub fn number(&self, name: &str) -> f64 {
        match self.get(name) {
            Value::Number(v) => *v,
            other => panic!("property '{name}' is {other:?}, not a number"),
        }
    }

    /// The value of a boolean property; panics as [`Properties::int`].
    pub fn boolean(&self, name: &str) -> bool {
        match self.get(name) {
            Value::Boolean(v) => *v,
            other => panic!("property '{name}' is {other:?}, not a boolean"),
        }
    }

    /// The value of an enum property; panics as [`Properties::int`].
    pub fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Enum(v) => v,
            other => panic!("property '{name}' is {other:?}, not an enum"),
        }
    }

    /// The value of a colour property; panics as [`Properties::int`].
    pub fn color(&self, name: &str) -> Color {
        match self.get(name) {
            Value::Color(v) => *v,
            other => panic!("property '{name}' is {other:?}, not a colour"),
        }
    }

    /// The value of a text property; panics as [`Properties::int`].
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(v) => v,
            other => panic!("property '{name}' is {other:?}, not a text"),
        }
    }
}

impl Kind {
    /// The default value.
    pub fn default(&self) -> Value {
        match *self {
            Kind::Int { default, .. } => Value::Int(default),
            Kind::Number { default, .. } => Value::Number(default),
            Kind::Boolean { default } => Value::Boolean(default),
            Kind::Enum { default, .. } => Value::Enum(default),
            Kind::Color { default } => Value::Color(default),
            Kind::Text { default, .. } => Value::Text(default.into()),
        }
    }

    /// The port type of FBP graph information: `int`, `number`, `boolean`, `enum`, `color`, `string`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "int",
            Kind::Number { .. } => "number",
            Kind::Boolean { .. } => "boolean",
            Kind::Enum { .. } => "enum",
            Kind::Color { .. } => "color",
            Kind::Text { .. } => "string",
        }
    }

    /// Reads a value from text (a query parameter) or JSON (an IIP). Text is accepted for every
    /// type; a number in JSON for numbers; whole-valued numbers ("3.0") for ints. Enums by name,
    /// exactly. Booleans: `true`, `false`, `1`, `0` in any case.
    ///
    /// # Errors
    /// [`ValueFault::Type`], or [`ValueFault::Range`] when outside the range.
    pub fn parse(&self, given: &serde_json::Value) -> Result<Value, ValueFault> {
        let text = match given {
            serde_json::Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        let no = |expected: String| ValueFault::Type { given: text.chars().take(100).collect(), expected };
        match *self {
            Kind::Int { minimum, maximum, .. } => {
                let number: f64 = text.parse().map_err(|_| no("int".into()))?;
                if !number.is_finite() || number.fract() != 0.0 {
                    return Err(no("int".into()));
                }
                // Digits are read as they are; "3.0" and "1e3" by way of the float, whose whole
                // values are exact. Beyond i64 the cast saturates, so the float is looked at too.
                let value = text.parse::<i64>().unwrap_or(number as i64);
                let beyond = number.abs() > 2f64.powi(63);
                if beyond || value < minimum || value > maximum {
                    return Err(ValueFault::Range { given: number, minimum: minimum as f64, maximum: maximum as f64 });
                }
                Ok(Value::Int(value))
            }
            Kind::Number { minimum, maximum, .. } => {
                let number: f64 = text.parse().map_err(|_| no("number".into()))?;
                if !number.is_finite() {
                    return Err(no("number".into()));
                }
                if number < minimum || number > maximum {
                    return Err(ValueFault::Range { given: number, minimum, maximum });
                }
                Ok(Value::Number(number))
            }
            Kind::Boolean { .. } => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Value::Boolean(true)),
                "false" | "0" => Ok(Value::Boolean(false)),
                _ => Err(no("boolean (true or false)".into())),
            },
            Kind::Enum { values, .. } => values
                .iter()
                .find(|value| **value == text)
                .map(|value| Value::Enum(value))
                .ok_or_else(|| no(format!("value of the enum ({})", values.join(", ")))),
            Kind::Color { .. } => Color::parse(&text).map(Value::Color).ok_or_else(|| {
                no("color (#rgb, #rgba, #rrggbb, #rrggbbaa, rgb(r, g, b), rgba(r, g, b, a) or an HTML name)".into())
            }),
            Kind::Text { longest, .. } => text_value(given, longest),
        }
    }
}

/// A text as it is, blanks included; numbers and booleans in JSON as they are written.
fn text_value(given: &serde_json::Value, longest: usize) -> Result<Value, ValueFault> {
    let text = match given {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => given.to_string(),
        other => {
            let given = other.to_string().chars().take(100).collect();
            return Err(ValueFault::Type { given, expected: "string".into() });
        }
    };
    if text.len() > longest || text.contains('\0') {
        let expected = format!("string of at most {longest} bytes without a zero byte");
        return Err(ValueFault::Type { given: text.chars().take(100).collect(), expected });
    }
    Ok(Value::Text(text))
}

impl Value {
    /// The value as JSON, in its one normal spelling: equal values give equal text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Int(v) => (*v).into(),
            // -0 is 0, and 3 is 3.0: one spelling.
            Value::Number(v) => (*v + 0.0).into(),
            Value::Boolean(v) => (*v).into(),
            Value::Enum(v) => (*v).into(),
            Value::Color(v) => v.to_string().into(),
            Value::Text(v) => v.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INT: Kind = Kind::Int { default: 2, minimum: -8, maximum: 800 };
    const ANY_INT: Kind = Kind::Int { default: 0, minimum: i64::MIN, maximum: i64::MAX };
    const NUMBER: Kind = Kind::Number { default: 1.5, minimum: 0.0, maximum: 1500.0 };
    const ANY_NUMBER: Kind = Kind::Number { default: 0.0, minimum: f64::MIN, maximum: f64::MAX };
    const BOOLEAN: Kind = Kind::Boolean { default: true };
    const ENUM: Kind = Kind::Enum { default: "auto", values: &["auto", "fir", "iir"] };
    const COLOR: Kind = Kind::Color { default: Color::BLACK };

    const TEXT: Kind = Kind::Text { default: "", longest: 8 };

    #[test]
    fn texts() {
        assert_eq!(TEXT.parse(&json!(" a b ")), Ok(Value::Text(" a b ".into())));
        assert_eq!(TEXT.parse(&json!(12.5)), Ok(Value::Text("12.5".into())));
        assert_eq!(TEXT.parse(&json!("éééé")), Ok(Value::Text("éééé".into())));
        for given in [json!("ééééé"), json!("a\0b"), json!(null), json!(["a"])] {
            assert!(is_type_fault(TEXT, &given), "{given}");
        }
        assert_eq!(
            TEXT.parse(&json!("123456789")).unwrap_err().to_string(),
            "'123456789' is no string of at most 8 bytes without a zero byte"
        );
    }

    fn is_type_fault(kind: Kind, given: &serde_json::Value) -> bool {
        matches!(kind.parse(given), Err(ValueFault::Type { .. }))
    }

    #[test]
    fn ints() {
        for (given, value) in [
            (json!("3"), 3),
            (json!("3.0"), 3),
            (json!(3), 3),
            (json!(3.0), 3),
            (json!(" +7 "), 7),
            (json!("-8"), -8),
            (json!("1e2"), 100),
            (json!("-0"), 0),
            (json!("0007"), 7),
        ] {
            assert_eq!(INT.parse(&given), Ok(Value::Int(value)), "{given}");
        }
        for given in [json!("3.5"), json!(0.1), json!("1e-1")] {
            assert!(is_type_fault(INT, &given), "{given}");
        }
        for given in [json!("801"), json!(-9), json!("1e300"), json!(u64::MAX), json!("99999999999999999999")] {
            assert!(matches!(INT.parse(&given), Err(ValueFault::Range { .. })), "{given}");
        }
        // Every i64 is read exactly, and nothing beyond is bent into range.
        assert_eq!(ANY_INT.parse(&json!("9007199254740993")), Ok(Value::Int(9_007_199_254_740_993)));
        assert_eq!(ANY_INT.parse(&json!("9223372036854775807")), Ok(Value::Int(i64::MAX)));
        assert_eq!(ANY_INT.parse(&json!("-9223372036854775808")), Ok(Value::Int(i64::MIN)));
        for given in ["9223372036854779904", "1e19", "-1e300"] {
            assert!(matches!(ANY_INT.parse(&json!(given)), Err(ValueFault::Range { .. })), "{given}");
        }
    }

    #[test]
    fn numbers() {
        for (given, value) in [
            (json!("3"), 3.0),
            (json!(0.25), 0.25),
            (json!(".5"), 0.5),
            (json!("5."), 5.0),
            (json!("1.5E+1"), 15.0),
            (json!("\t1500\n"), 1500.0),
            (json!("1e-400"), 0.0),
            (json!("-0"), 0.0),
        ] {
            assert_eq!(NUMBER.parse(&given), Ok(Value::Number(value)), "{given}");
        }
        for (given, text) in [
            (json!("-1e-9"), "-0.000000001 is outside 0 to 1500"),
            (json!("1500.1"), "1500.1 is outside 0 to 1500"),
            (json!("1e300"), "1e300 is outside 0 to 1500"),
        ] {
            assert_eq!(NUMBER.parse(&given).unwrap_err().to_string(), text);
        }
        assert_eq!(ANY_NUMBER.parse(&json!("-1e308")), Ok(Value::Number(-1e308)));
        let half_open = Kind::Number { default: 0.0, minimum: 0.0, maximum: f64::MAX };
        assert_eq!(half_open.parse(&json!(-2)).unwrap_err().to_string(), "-2 is less than 0");
        let half_open = Kind::Number { default: 0.0, minimum: f64::MIN, maximum: 1.0 };
        assert_eq!(half_open.parse(&json!(2)).unwrap_err().to_string(), "2 is more than 1");
    }

    #[test]
    fn hostile_texts_are_no_numbers() {
        for text in [
            "", " ", "1e400", "-1e400", "NaN", "nan", "-nan", "inf", "-inf", "Infinity", "0x10", "0b1", "0o7", "1_000",
            "1,5", "1 2", "--1", "+-1", "1e", "e1", ".", "-", "１２", "٣", "½", "1f", "1\0", "\0", "10px", "10%",
            "null", "[1]",
        ] {
            for kind in [INT, ANY_INT, NUMBER, ANY_NUMBER] {
                assert!(is_type_fault(kind, &json!(text)), "{text:?} as {kind:?}");
            }
        }
        for given in [json!(null), json!(true), json!([1]), json!({"value": 1})] {
            for kind in [INT, NUMBER, ENUM, COLOR] {
                assert!(is_type_fault(kind, &given), "{given} as {kind:?}");
            }
        }
        // A megabyte of digits is read, and not repeated in the fault.
        let digits = "1".repeat(1_000_000);
        assert!(INT.parse(&json!(digits)).unwrap_err().to_string().len() < 200);
        let letters = "é".repeat(1_000_000);
        assert!(NUMBER.parse(&json!(letters)).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn booleans() {
        for given in [json!("true"), json!("True"), json!("TRUE"), json!(true), json!("1"), json!(1)] {
            assert_eq!(BOOLEAN.parse(&given), Ok(Value::Boolean(true)), "{given}");
        }
        for given in [json!("false"), json!("False"), json!(false), json!("0"), json!(0)] {
            assert_eq!(BOOLEAN.parse(&given), Ok(Value::Boolean(false)), "{given}");
        }
        for given in [json!(""), json!("yes"), json!(2), json!(null), json!("tru"), json!(1.0)] {
            assert!(is_type_fault(BOOLEAN, &given), "{given}");
        }
    }

    #[test]
    fn enums_and_colours() {
        assert_eq!(ENUM.parse(&json!("fir")), Ok(Value::Enum("fir")));
        for given in [json!("FIR"), json!(""), json!("f"), json!(0)] {
            assert!(is_type_fault(ENUM, &given), "{given}");
        }
        assert_eq!(
            ENUM.parse(&json!("box")).unwrap_err().to_string(),
            "'box' is no value of the enum (auto, fir, iir)"
        );
        assert_eq!(COLOR.parse(&json!(" #fff ")), Ok(Value::Color(Color::WHITE)));
        assert!(is_type_fault(COLOR, &json!("fff")));
        assert!(is_type_fault(COLOR, &json!(0xffffff)));
    }

    #[test]
    fn equal_values_have_one_spelling() {
        for (kind, a, b) in [
            (INT, "3", "3.0"),
            (INT, "100", "1e2"),
            (NUMBER, "3", "3.00"),
            (NUMBER, "0", "-0"),
            (BOOLEAN, "1", "True"),
            (COLOR, "#fff", "white"),
        ] {
            let spell = |text: &str| kind.parse(&json!(text)).unwrap().to_json().to_string();
            assert_eq!(spell(a), spell(b));
        }
    }

    #[test]
    fn defaults_and_setting() {
        let properties = [
            Property { name: "b", description: "", kind: NUMBER },
            Property { name: "a", description: "", kind: ENUM },
        ];
        let mut values = Properties::defaults(&properties);
        assert_eq!((values.number("b"), values.choice("a")), (1.5, "auto"));
        values.set("b", Value::Number(2.0));
        assert_eq!(values.number("b"), 2.0);
        assert_eq!(values.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
