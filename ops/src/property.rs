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
    #[error("{given} is outside {minimum} to {maximum}")]
    Range {
        /// The value as given.
        given: f64,
        /// Smallest value.
        minimum: f64,
        /// Largest value.
        maximum: f64,
    },
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
        }
    }

    /// The port type of FBP graph information: `int`, `number`, `boolean`, `enum`, `color`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "int",
            Kind::Number { .. } => "number",
            Kind::Boolean { .. } => "boolean",
            Kind::Enum { .. } => "enum",
            Kind::Color { .. } => "color",
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
                let value = text.parse::<i64>().unwrap_or(number as i64);
                if value < minimum || value > maximum {
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
        }
    }
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
        }
    }
}
