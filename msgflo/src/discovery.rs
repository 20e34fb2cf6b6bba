//! Discovery messages: how participants tell who they are and which queues their ports have.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

/// Queue that all discovery messages go to.
pub const QUEUE: &str = "fbp";

/// A participant, as it announces itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Unique among all participants.
    pub id: String,
    /// What it does in the network; several participants may share a role, and so its queues.
    pub role: String,
    /// What it runs: `imgflo-server/ProcessImage`.
    pub component: String,
    /// For people, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name of a Font Awesome icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Ports it takes messages from.
    pub inports: Vec<Port>,
    /// Ports it sends messages on.
    pub outports: Vec<Port>,
    /// Anything else; passed on as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A port of a participant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Name.
    pub id: String,
    /// Its queue (inport) or exchange (outport); none for a hidden port, or one that
    /// [`crate::Participant`] is still to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Type of the messages, as of FBP ports: `object`, `any`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Has no queue and is not announced.
    #[serde(default, deserialize_with = "or_false")]
    pub hidden: bool,
    /// False: the queue goes away with its participant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// Most messages that may wait at an inport. Ours; not announced.
    #[serde(skip)]
    pub limit: Option<usize>,
    /// `schema`, `options` and anything else; passed on as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn or_false<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Definition {
    /// A participant without ports, with the id `<role>-<uuid>`.
    pub fn new(role: impl Into<String>, component: impl Into<String>) -> Self {
        let role = role.into();
        Definition {
            id: format!("{role}-{}", uuid::Uuid::new_v4()),
            role,
            component: component.into(),
            label: None,
            icon: None,
            inports: Vec::new(),
            outports: Vec::new(),
            extra: Map::new(),
        }
    }

    /// With this label.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With this icon.
    pub fn icon(mut self, icon: impl Into<String>) -> Self {
        self.icon = Some(icon.into());
        self
    }

    /// With an inport more.
    pub fn inport(mut self, port: Port) -> Self {
        self.inports.push(port);
        self
    }

    /// With an outport more.
    pub fn outport(mut self, port: Port) -> Self {
        self.outports.push(port);
        self
    }

    /// Gives each port that has no queue, and is not hidden, the one named by convention:
    /// `role.PORT`.
    pub fn name_queues(&mut self) {
        for port in self.inports.iter_mut().chain(&mut self.outports).filter(|port| !port.hidden) {
            port.queue.get_or_insert_with(|| queue_name(&self.role, &port.id));
        }
    }
}

impl Port {
    /// A port whose queue is named by convention.
    pub fn new(id: impl Into<String>) -> Self {
        Port { id: id.into(), ..Port::default() }
    }

    /// On this queue.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        Port { queue: Some(queue.into()), ..self }
    }

    /// With messages of this type.
    pub fn of_type(self, type_: impl Into<String>) -> Self {
        Port { type_: Some(type_.into()), ..self }
    }

    /// With this description.
    pub fn description(self, description: impl Into<String>) -> Self {
        Port { description: Some(description.into()), ..self }
    }

    /// Neither announced nor on a queue.
    pub fn hidden(self) -> Self {
        Port { hidden: true, ..self }
    }

    /// With a queue that goes away with the participant.
    pub fn temporary(self) -> Self {
        Port { persistent: Some(false), ..self }
    }

    /// With at most so many messages waiting.
    pub fn limit(self, messages: usize) -> Self {
        Port { limit: Some(messages), ..self }
    }
}

/// Name of a port's queue by convention: `role.PORT`. Others name theirs otherwise: where there is
/// a discovery message, believe it.
pub fn queue_name(role: &str, port: &str) -> String {
    format!("{role}.{}", port.to_uppercase())
}

/// The discovery message of a participant; hidden ports are left out.
pub fn message(definition: &Definition) -> Bytes {
    let mut definition = definition.clone();
    definition.inports.retain(|port| !port.hidden);
    definition.outports.retain(|port| !port.hidden);
    json!({"protocol": "discovery", "command": "participant", "payload": definition}).to_string().into()
}

/// Why a discovery message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Not JSON, or another kind of message.
    #[error("this is no discovery message: {0}")]
    NotDiscovery(String),
    /// A field without which a participant cannot be used.
    #[error("the discovery message lacks '{0}'")]
    Missing(&'static str),
    /// A field that holds something else than it should.
    #[error("the discovery message cannot be read: {0}")]
    Invalid(String),
}

/// Reads a discovery message, with the coordinator's checks.
///
/// # Errors
/// [`DiscoveryError`].
pub fn read(message: &[u8]) -> Result<Definition, DiscoveryError> {
    let mut value: Value =
        serde_json::from_slice(message).map_err(|error| DiscoveryError::NotDiscovery(error.to_string()))?;
    let kind = (value["protocol"].as_str(), value["command"].as_str());
    if kind != (Some("discovery"), Some("participant")) {
        return Err(DiscoveryError::NotDiscovery("protocol and command are not 'discovery' and 'participant'".into()));
    }
    let payload = value["payload"].take();
    let lacks = |name: &&str| match &payload[*name] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if let Some(name) = ["id", "component", "role", "inports", "outports"].iter().find(|name| lacks(name)) {
        return Err(DiscoveryError::Missing(name));
    }
    serde_json::from_value(payload).map_err(|error| DiscoveryError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink() -> Definition {
        let mut definition = Definition::new("sink", "Repeat")
            .label("Echo")
            .icon("file")
            .inport(Port::new("in").of_type("any"))
            .outport(Port::new("out").of_type("any"));
        definition.id = "sink-f32aeff7-ceaf-4103-ba70-9dc0950f8903".into();
        definition.name_queues();
        definition
    }

    fn sink_json() -> Value {
        json!({
            "protocol": "discovery", "command": "participant",
            "payload": {
                "component": "Repeat", "icon": "file", "label": "Echo",
                "inports": [{"id": "in", "type": "any", "hidden": false, "queue": "sink.IN"}],
                "outports": [{"id": "out", "type": "any", "hidden": false, "queue": "sink.OUT"}],
                "role": "sink", "id": "sink-f32aeff7-ceaf-4103-ba70-9dc0950f8903"
            }
        })
    }

    #[test]
    fn the_message_of_the_originals() {
        assert_eq!(serde_json::from_slice::<Value>(&message(&sink())).unwrap(), sink_json());
        assert_eq!(read(sink_json().to_string().as_bytes()), Ok(sink()));
    }

    #[test]
    fn ids_are_unique() {
        let (one, other) = (Definition::new("sink", "Repeat"), Definition::new("sink", "Repeat"));
        assert_ne!(one.id, other.id);
        assert_eq!(uuid::Uuid::parse_str(one.id.strip_prefix("sink-").unwrap()).unwrap().get_version_num(), 4);
    }

    #[test]
    fn hidden_ports_are_left_out() {
        let mut definition = sink().inport(Port::new("timer").hidden()).outport(Port::new("jobResult").limit(3));
        definition.name_queues();
        assert_eq!(definition.inports[1].queue, None);
        let value: Value = serde_json::from_slice(&message(&definition)).unwrap();
        assert_eq!(value["payload"]["inports"].as_array().unwrap().len(), 1);
        assert_eq!(
            value["payload"]["outports"][1],
            json!({"id": "jobResult", "queue": "sink.JOBRESULT", "hidden": false})
        );
    }

    #[test]
    fn given_queues_and_foreign_keys_stay() {
        let mut value = sink_json();
        value["payload"]["inports"][0] = json!({
            "id": "in", "queue": "pyr/in", "hidden": null, "persistent": false, "schema": {"type": "object"}, "options": {"a": 1}
        });
        value["payload"]["type"] = json!("x");
        let mut definition = read(value.to_string().as_bytes()).unwrap();
        definition.name_queues();
        assert_eq!(definition.inports[0].queue.as_deref(), Some("pyr/in"));
        assert_eq!(definition.inports[0].persistent, Some(false));
        let back: Value = serde_json::from_slice(&message(&definition)).unwrap();
        assert_eq!(back["payload"]["type"], "x");
        assert_eq!(back["payload"]["inports"][0]["schema"], json!({"type": "object"}));
        assert_eq!(back["payload"]["inports"][0]["options"], json!({"a": 1}));
    }

    #[test]
    fn incomplete_messages_are_refused() {
        for name in ["id", "component", "role", "inports", "outports"] {
            let mut value = sink_json();
            value["payload"].as_object_mut().unwrap().remove(name);
            assert_eq!(read(value.to_string().as_bytes()), Err(DiscoveryError::Missing(name)));
            value["payload"][name] = json!("");
            assert_eq!(read(value.to_string().as_bytes()), Err(DiscoveryError::Missing(name)));
            value["payload"][name] = json!(7);
            assert!(matches!(read(value.to_string().as_bytes()), Err(DiscoveryError::Invalid(_))), "{name}");
        }
        let mut value = sink_json();
        value["payload"] = json!([]);
        assert_eq!(read(value.to_string().as_bytes()), Err(DiscoveryError::Missing("id")));
    }

    #[test]
    fn other_messages_are_refused() {
        for text in
            ["", "x", "null", "[]", "7", "{}", r#"{"protocol":"discovery","command":"x","payload":{}}"#, "\u{0}"]
        {
            assert!(matches!(read(text.as_bytes()), Err(DiscoveryError::NotDiscovery(_))), "{text}");
        }
        assert!(matches!(read(&[0xff]), Err(DiscoveryError::NotDiscovery(_))));
    }
}
