//! Parameters of a graph, and the values that a request gives them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use imgflo_ops::{Color, Kind, Properties, Property, Value, ValueFault};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::catalogue::range;
use crate::near::nearest;

/// What a request may set: a public inport of a graph other than `input`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Public name.
    pub name: String,
    /// `int`, `number`, `boolean`, `enum`, `color` or `string`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it does, for people.
    pub description: String,
    /// What holds when it is not given, in its normal spelling; none for `width` and `height`,
    /// which then follow from the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// Smallest value; none where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value; none where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// All values, where there are but a few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Json>>,
}

/// Why an argument is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct ArgumentFault {
    /// The parameter as named in the request, cut to 100 characters.
    pub parameter: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Values for the parameters of one graph: typed, in range, and only those that change something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// By process and property.
    assigned: BTreeMap<(String, &'static str), Value>,
    width: Option<u32>,
    height: Option<u32>,
}

impl Arguments {
    /// The text for the cache key: sorted, each value in its one normal spelling, without those
    /// that equal what holds anyway. Requests that mean the same give the same text.
    pub fn canonical(&self) -> String {
        let assigned = self.assigned.iter().map(|((process, port), value)| {
            Json::from(vec![Json::from(process.as_str()), Json::from(*port), value.to_json()])
        });
        // No process has an empty name.
        let size = |name: &str, side: Option<u32>| {
            side.map(|side| Json::from(vec![Json::from(""), Json::from(name), Json::from(side)]))
        };
        let sizes = size("height", self.height).into_iter().chain(size("width", self.width));
        Json::from(sizes.chain(assigned).collect::<Vec<_>>()).to_string()
    }

    /// The width asked for, pixels.
    pub fn width(&self) -> Option<u32> {
        self.width
    }

    /// The height asked for, pixels.
    pub fn height(&self) -> Option<u32> {
        self.height
    }

    /// `properties` of `process` with the values given.
    pub(crate) fn apply(&self, process: &str, mut properties: Properties) -> Properties {
        let all = self.assigned.iter().filter(|((assigned, _), _)| assigned == process);
        for ((_, property), value) in all {
            properties.set(property, value.clone());
        }
        properties
    }
}

/// A parameter with what is needed to read values of it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub parameter: Parameter,
    aim: Aim,
    kind: Kind,
    values: Option<Vec<Value>>,
}

/// Where a value goes.
#[derive(Clone, Debug)]
enum Aim {
    Width,
    Height,
    Property {
        process: String,
        property: &'static str,
        /// What holds when nothing is given.
        default: Value,
    },
    /// Nowhere: the process has no such port.
    Nothing,
}

/// The largest width and height that may be asked for: the range of the properties of
/// `imgflo/resize` behind them. (The original said 2000, and checked nothing.)
pub(crate) const LARGEST_SIDE: i64 = 9000;

const SIDE: Kind = Kind::Int { default: 0, minimum: 0, maximum: LARGEST_SIDE };

impl Port {
    /// The `width` that a host adds to a graph.
    pub fn width() -> Self {
        Port::side("width", "Requested output width", Aim::Width)
    }

    /// The `height` that a host adds to a graph.
    pub fn height() -> Self {
        Port::side("height", "Requested output height", Aim::Height)
    }

    fn side(name: &str, description: &str, aim: Aim) -> Self {
        let parameter = Parameter {
            name: name.into(),
            type_name: SIDE.type_name().into(),
            description: description.into(),
            default: None,
            minimum: Some(0.0),
            maximum: Some(LARGEST_SIDE as f64),
            values: None,
        };
        Port { parameter, aim, kind: SIDE, values: None }
    }

    /// The exported port `name` that leads to `property` of `process`, where `default` holds when
    /// nothing is given. `metadata` is what the author of the graph wrote beside the export: it
    /// may describe the port and narrow its range.
    ///
    /// # Errors
    /// What is wrong with the metadata.
    pub fn exported(
        name: &str,
        process: &str,
        property: &Property,
        default: Value,
        metadata: &Map<String, Json>,
    ) -> Result<Self, String> {
        let written = metadata.get("description").and_then(Json::as_str).filter(|text| !text.is_empty());
        let values = narrowed_values(&property.kind, metadata)?;
        let range = narrowed_range(&property.kind, metadata)?;
        let limited = |side: f64| Some(side).filter(|side| side.abs() < f64::MAX);
        let parameter = Parameter {
            name: name.into(),
            type_name: property.kind.type_name().into(),
            description: written.unwrap_or(property.description).into(),
            default: Some(default.to_json()),
            minimum: range.and_then(|range| limited(range.0)),
            maximum: range.and_then(|range| limited(range.1)),
            values: values.as_ref().map(|values| values.iter().map(Value::to_json).collect()),
        };
        let aim = Aim::Property { process: process.into(), property: property.name, default };
        Ok(Port { parameter, aim, kind: property.kind, values })
    }

    /// The exported port `name` of a process that has no such port: it takes any text and does nothing.
    pub fn nothing(name: &str, metadata: &Map<String, Json>) -> Self {
        const ANY: Kind = Kind::Text { default: "", longest: 4096 };
        let written = metadata.get("description").and_then(Json::as_str).filter(|text| !text.is_empty());
        let parameter = Parameter {
            name: name.into(),
            type_name: ANY.type_name().into(),
            description: written.unwrap_or("Changes nothing").into(),
            default: None,
            minimum: None,
            maximum: None,
            values: None,
        };
        Port { parameter, aim: Aim::Nothing, kind: ANY, values: None }
    }

    /// True where no value changes anything.
    pub fn does_nothing(&self) -> bool {
        matches!(self.aim, Aim::Nothing)
    }

    /// Reads a value from a request.
    fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind.parse(&Json::from(text)) {
            Ok(value) => value,
            Err(ValueFault::Range { given, .. }) => return Err(self.out_of_range(given)),
            Err(fault) => return Err(fault.to_string()),
        };
        if let Some(number) = number(&value)
            && (self.parameter.minimum.is_some_and(|minimum| number < minimum)
                || self.parameter.maximum.is_some_and(|maximum| number > maximum))
        {
            return Err(self.out_of_range(number));
        }
        let value = normal(value);
        self.check_listed(&value, text)?;
        Ok(value)
    }

    /// Reads an IIP on the port of a graph that is a component. A number out of the port's range is
    /// clamped, as GEGL does; any other value stays as it is written.
    ///
    /// # Errors
    /// Why the port takes no such value.
    pub fn literal(&self, data: &Json) -> Result<Json, String> {
        let value = literal(&self.kind, data).map_err(|fault| fault.to_string())?;
        self.check_listed(&normal(value.clone()), &plain(data))?;
        let Some(given) = number(&value) else { return Ok(data.clone()) };
        let (minimum, maximum) =
            (self.parameter.minimum.unwrap_or(f64::MIN), self.parameter.maximum.unwrap_or(f64::MAX));
        let (minimum, maximum) = match self.kind {
            Kind::Int { .. } => (minimum.ceil(), maximum.floor()),
            _ => (minimum, maximum),
        };
        let clamped = given.max(minimum).min(maximum);
        Ok(if clamped == given { data.clone() } else { clamped.into() })
    }

    fn check_listed(&self, value: &Value, text: &str) -> Result<(), String> {
        match &self.values {
            Some(values) if !values.contains(value) => {
                let listed = values.iter().map(|value| plain(&value.to_json())).collect::<Vec<_>>().join(", ");
                Err(format!("'{}' is none of {listed}", shortened(text)))
            }
            _ => Ok(()),
        }
    }

    fn out_of_range(&self, given: f64) -> String {
        match (self.parameter.minimum, self.parameter.maximum) {
            (Some(minimum), Some(maximum)) => format!("{given} is outside {minimum} to {maximum}"),
            (Some(minimum), None) => format!("{given} is less than {minimum}"),
            (None, Some(maximum)) => format!("{given} is more than {maximum}"),
            (None, None) => format!("{given} is out of range"),
        }
    }
}

/// Reads an IIP. Numbers out of range are clamped, as GEGL does.
pub(crate) fn literal(kind: &Kind, data: &Json) -> Result<Value, ValueFault> {
    match (kind.parse(data), kind) {
        (Err(ValueFault::Range { given, .. }), Kind::Int { minimum, maximum, .. }) => {
            Ok(Value::Int((given as i64).clamp(*minimum, *maximum)))
        }
        (Err(ValueFault::Range { given, .. }), Kind::Number { minimum, maximum, .. }) => {
            Ok(Value::Number(given.clamp(*minimum, *maximum)))
        }
        (parsed, _) => parsed,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Number(value) => Some(*value),
        _ => None,
    }
}

/// The value with as many digits as its normal spelling has: equal texts are equal pictures.
fn normal(value: Value) -> Value {
    match value {
        Value::Color(color) => Value::Color(Color::parse(&color.to_string()).unwrap_or(color)),
        Value::Number(number) => Value::Number(number + 0.0),
        other => other,
    }
}

fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn narrowed_range(kind: &Kind, metadata: &Map<String, Json>) -> Result<Option<(f64, f64)>, String> {
    let Some((minimum, maximum)) = range(kind) else { return Ok(None) };
    let written = |key: &str| match metadata.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("its {key} {value} is no number")),
    };
    let minimum = written("minimum")?.map_or(minimum, |written| written.max(minimum));
    let maximum = written("maximum")?.map_or(maximum, |written| written.min(maximum));
    if minimum > maximum {
        return Err(format!("its minimum {minimum} is above its maximum {maximum}"));
    }
    Ok(Some((minimum, maximum)))
}

fn narrowed_values(kind: &Kind, metadata: &Map<String, Json>) -> Result<Option<Vec<Value>>, String> {
    match metadata.get("values") {
        None | Some(Json::Null) => Ok(match kind {
            Kind::Enum { values, .. } => Some(values.iter().map(|value| Value::Enum(value)).collect()),
            _ => None,
        }),
        Some(Json::Array(written)) => {
            let parse =
                |value: &Json| kind.parse(value).map(normal).map_err(|fault| format!("one of its values: {fault}"));
            let values = written.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            if values.is_empty() {
                return Err("its values are an empty list".into());
            }
            Ok(Some(values))
        }
        Some(other) => Err(format!("its values {} are no list", shortened(&other.to_string()))),
    }
}

/// Reads the values that a request gives to the parameters `ports`. An empty text is a form's
/// field left blank: not given. So are a width or height of 0 and -1. Where several parameters
/// aim at one port, the last in the graph's order holds.
///
/// # Errors
/// All faults, in the order of the names given.
pub(crate) fn read(ports: &[Port], given: &BTreeMap<String, String>) -> Result<Arguments, Vec<ArgumentFault>> {
    let mut faults = Vec::new();
    for name in given.keys().filter(|name| ports.iter().all(|port| port.parameter.name != **name)) {
        faults.push(ArgumentFault { parameter: shortened(name), message: unknown(name, ports) });
    }
    let mut arguments = Arguments::default();
    let mut defaults = BTreeMap::new();
    for port in ports {
        let Some(text) = given.get(&port.parameter.name).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
            continue;
        };
        let sized = matches!(port.aim, Aim::Width | Aim::Height);
        if sized && text.parse::<f64>().is_ok_and(|side| side == 0.0 || side == -1.0) {
            continue;
        }
        let text = &*whole(&port.kind, text);
        match (port.parse(text), &port.aim) {
            (Err(message), _) => {
                faults.push(ArgumentFault { parameter: shortened(&port.parameter.name), message });
            }
            (Ok(Value::Int(side)), Aim::Width) => arguments.width = u32::try_from(side).ok(),
            (Ok(Value::Int(side)), Aim::Height) => arguments.height = u32::try_from(side).ok(),
            (Ok(value), Aim::Property { process, property, default }) => {
                let key = (process.clone(), *property);
                defaults.insert(key.clone(), default);
                arguments.assigned.insert(key, value);
            }
            (Ok(_), _) => {}
        }
    }
    if !faults.is_empty() {
        faults.sort_by(|a, b| a.parameter.cmp(&b.parameter));
        return Err(faults);
    }
    arguments
        .assigned
        .retain(|key, value| defaults.get(key).is_none_or(|default| normal((*default).clone()) != *value));
    Ok(arguments)
}

/// The whole number nearest to a fraction, for a port of whole numbers: clients of the original compute sizes and send
/// what comes out (`height=323.4375`). What is more than nothing stays so.
fn whole<'a>(kind: &Kind, text: &'a str) -> Cow<'a, str> {
    let fraction = text.parse::<f64>().ok().filter(|number| number.is_finite() && number.fract() != 0.0);
    match (kind, fraction) {
        (Kind::Int { .. }, Some(number)) if number > 0.0 => Cow::Owned(number.round().max(1.0).to_string()),
        (Kind::Int { .. }, Some(number)) => Cow::Owned((number.round() + 0.0).to_string()),
        _ => Cow::Borrowed(text),
    }
}

fn unknown(name: &str, ports: &[Port]) -> String {
    let names = || ports.iter().map(|port| port.parameter.name.as_str());
    let meant = nearest(name, names()).map(|meant| format!("; did you mean '{meant}'?")).unwrap_or_default();
    if ports.is_empty() {
        return "there is no such parameter: this graph takes none".into();
    }
    format!("there is no such parameter{meant} (there are: {})", names().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
