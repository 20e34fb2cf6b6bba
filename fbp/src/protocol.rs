//! Messages of the FBP network protocol, as they are on the wire: what a client asks, and what a runtime
//! answers. What they mean is the runtime's affair.

use serde_json::{Map, Value, json};

use crate::graph::{Connection, End, Origin};
use crate::info::{Component, Port};

/// Longest `requestId` that is answered with a `responseTo`, bytes. They are UUIDs.
const LONGEST_ID: usize = 100;

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `runtime`, `graph`, `component`, `network`, `trace`.
    pub protocol: String,
    /// What is to be done.
    pub command: String,
    /// Its arguments, without the secret.
    pub payload: Map<String, Value>,
    /// The secret, from the message or, as all clients up to protocol 0.7 do, from its payload.
    pub secret: Option<String>,
    /// What the answer is to name.
    pub id: Option<String>,
}

/// Why a frame is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No JSON.
    #[error("a message must be one JSON object: {0}")]
    Json(String),
    /// A key is missing or of another type.
    #[error("a message needs '{0}', a text")]
    Missing(&'static str),
    /// The payload is no object.
    #[error("the payload of {protocol}:{command} must be an object")]
    Payload {
        /// Protocol asked for.
        protocol: String,
        /// Command asked for.
        command: String,
    },
}

impl Request {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`RequestError`] for what is no request. A missing payload is an empty one.
    pub fn parse(text: &str) -> Result<Request, RequestError> {
        let value: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| RequestError::Json(error.to_string()))?;
        Request::read(value)
    }

    fn read(mut message: Map<String, Value>) -> Result<Request, RequestError> {
        let mut text = |key: &'static str| match message.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let protocol = text("protocol").ok_or(RequestError::Missing("protocol"))?;
        let command = text("command").ok_or(RequestError::Missing("command"))?;
        let id = text("requestId").filter(|id| id.len() <= LONGEST_ID);
        let secret = text("secret");
        let mut payload = match message.remove("payload") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(payload)) => payload,
            Some(_) => return Err(RequestError::Payload { protocol, command }),
        };
        let inner = match payload.remove("secret") {
            Some(Value::String(secret)) => Some(secret),
            _ => None,
        };
        Ok(Request { protocol, command, payload, secret: secret.filter(|s| !s.is_empty()).or(inner), id })
    }
}

/// The text of a message of a runtime; `to` is the id of the request that it answers.
pub fn message(protocol: &str, command: &str, payload: &Value, to: Option<&str>) -> String {
    let mut message = json!({ "protocol": protocol, "command": command, "payload": payload });
    if let Some(to) = to {
        message["responseTo"] = to.into();
    }
    message.to_string()
}

/// The payload of `component:component`. Ranges are told in descriptions: the protocol has no place of their own for
/// them.
pub fn component(component: &Component, subgraph: bool) -> Value {
    let ports = |ports: &[Port]| ports.iter().map(|found| port(found, false)).collect::<Vec<_>>();
    let mut payload = json!({
        "name": component.name,
        "description": component.description,
        "subgraph": subgraph,
        "inPorts": ports(&component.inports),
        "outPorts": ports(&component.outports),
    });
    if !component.icon.is_empty() {
        payload["icon"] = component.icon.as_str().into();
    }
    payload
}

/// The definition of a port, as `component:component` and `runtime:ports` have it.
pub fn port(port: &Port, required: bool) -> Value {
    let mut definition = json!({
        "id": port.id,
        "type": if port.type_.is_empty() { "any" } else { &port.type_ },
        "description": described(port),
        "addressable": false,
        "required": required,
    });
    if let Some(values) = &port.values {
        definition["values"] = Value::Array(values.clone());
    }
    if let Some(default) = &port.default {
        definition["default"] = default.clone();
    }
    definition
}

/// Bounds from here on are those of the type, not of the port.
const UNBOUNDED: f64 = i32::MAX as f64;

/// The description of a port with the range of its numbers: `Blur (0 to 1500)`.
fn described(port: &Port) -> String {
    let bound = |bound: Option<f64>| bound.filter(|bound| bound.abs() < UNBOUNDED);
    let range = match (bound(port.minimum), bound(port.maximum), port.type_.as_str()) {
        (Some(minimum), Some(maximum), _) => format!("{minimum} to {maximum}"),
        (Some(minimum), None, _) => format!("{minimum} or more"),
        (None, Some(maximum), _) => format!("{maximum} or less"),
        (None, None, "number") => "any number".to_owned(),
        (None, None, "int") => "any whole number".to_owned(),
        (None, None, _) => return port.description.clone(),
    };
    if port.description.is_empty() { range } else { format!("{} ({range})", port.description) }
}

/// The name of an edge or IIP in `network:data`: `a() OUT -> IN b()`, `DATA -> IN b()`.
pub fn connection_id(connection: &Connection) -> String {
    let port = |end: &End| match end.index {
        Some(index) => format!("{}[{index}]", end.port.to_uppercase()),
        None => end.port.to_uppercase(),
    };
    let tgt = format!("{} {}()", port(&connection.tgt), connection.tgt.process);
    match &connection.src {
        Origin::Process(src) => format!("{}() {} -> {tgt}", src.process, port(src)),
        Origin::Data(_) => format!("DATA -> {tgt}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_both_places_and_leaves_the_payload() {
        let request = |text: &str| Request::parse(text).expect("a request");
        let old = request(r#"{"protocol":"graph","command":"clear","payload":{"id":"a","secret":"s"}}"#);
        assert_eq!((old.secret.as_deref(), old.payload.get("secret")), (Some("s"), None));
        let new =
            request(r#"{"protocol":"graph","command":"clear","secret":"t","payload":{"secret":"s"},"requestId":"7"}"#);
        assert_eq!((new.secret.as_deref(), new.id.as_deref()), (Some("t"), Some("7")));
        let empty = request(r#"{"protocol":"graph","command":"clear","secret":"","payload":{"secret":"s"}}"#);
        assert_eq!(empty.secret.as_deref(), Some("s"));
        assert_eq!(request(r#"{"protocol":"runtime","command":"getruntime"}"#).payload, Map::new());
    }

    #[test]
    fn what_is_no_request_is_told() {
        let wrong = |text: &str| Request::parse(text).expect_err("no request").to_string();
        assert!(wrong("{").starts_with("a message must be one JSON object: "));
        assert!(wrong("[1]").starts_with("a message must be one JSON object: "));
        assert_eq!(wrong(r#"{"command":"x"}"#), "a message needs 'protocol', a text");
        assert_eq!(wrong(r#"{"protocol":"graph","command":5}"#), "a message needs 'command', a text");
        let payload = wrong(r#"{"protocol":"graph","command":"clear","payload":[]}"#);
        assert_eq!(payload, "the payload of graph:clear must be an object");
        assert!(wrong(&format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000))).contains("JSON"));
    }

    #[test]
    fn connections_are_named_as_in_the_language() {
        let end = |process: &str, port: &str, index| End { process: process.into(), port: port.into(), index };
        let edge = Connection {
            src: Origin::Process(end("a", "output", Some(2))),
            tgt: end("b", "std-dev", None),
            metadata: Map::new(),
        };
        assert_eq!(connection_id(&edge), "a() OUTPUT[2] -> STD-DEV b()");
        let iip = Connection { src: Origin::Data(json!(1)), ..edge };
        assert_eq!(connection_id(&iip), "DATA -> STD-DEV b()");
    }

    #[test]
    fn a_message_has_the_known_keys_only() {
        assert_eq!(
            message("graph", "clear", &json!({"id": "a"}), Some("7")),
            r#"{"protocol":"graph","command":"clear","payload":{"id":"a"},"responseTo":"7"}"#
        );
        let ranged = Port { id: "x".into(), minimum: Some(0.0), default: Some(json!(1)), ..Port::default() };
        let expected = json!({"id": "x", "type": "any", "description": "0 or more", "addressable": false,
            "required": false, "default": 1});
        assert_eq!(port(&ranged, false), expected);
        let told = |minimum: f64, maximum: f64| {
            let (minimum, maximum) = (Some(minimum), Some(maximum));
            described(&Port { description: "Blur".into(), minimum, maximum, ..Port::default() })
        };
        assert_eq!(told(0.0, 1500.0), "Blur (0 to 1500)");
        assert_eq!(told(-0.5, f64::MAX), "Blur (-0.5 or more)");
        assert_eq!(told(-f64::MAX, 3.0), "Blur (3 or less)");
        assert_eq!(told(f64::from(i32::MIN), f64::from(i32::MAX)), "Blur");
        let unbounded =
            |type_: &str| described(&Port { type_: type_.into(), maximum: Some(f64::MAX), ..Port::default() });
        assert_eq!([unbounded("number"), unbounded("int")], ["any number", "any whole number"]);
    }
}
