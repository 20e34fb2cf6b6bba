//! A message on its way, with what goes with it as user properties.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rumqttc::Publish;

use crate::transport::Death;

/// Most bytes of a reason that are told.
const LONGEST_REASON: usize = 2000;

/// A message and, for a dead letter, how it became one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) message: Bytes,
    pub(super) death: Option<Death>,
}

impl Letter {
    /// A message as it is sent.
    pub(super) fn new(message: Bytes) -> Letter {
        Letter { message, death: None }
    }

    /// Reads one that arrived; that of a stranger may have any properties.
    pub(super) fn read(publish: Publish) -> Letter {
        let properties = publish.properties.map(|properties| properties.user_properties).unwrap_or_default();
        let property = |name: &str| properties.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let death = property(Death::REASON).zip(property(Death::FROM)).map(|(reason, queue)| {
            let since = property(Death::AT).and_then(|at| at.parse().ok()).unwrap_or_default();
            let at = UNIX_EPOCH.checked_add(Duration::from_millis(since)).unwrap_or(UNIX_EPOCH);
            Death { queue: queue.to_owned(), reason: reason.to_owned(), at }
        });
        Letter { message: publish.payload, death }
    }

    /// Its user properties.
    pub(super) fn properties(&self) -> Vec<(String, String)> {
        let Some(Death { queue, reason, at }) = &self.death else { return Vec::new() };
        // A property has 65,535 bytes at most.
        let reason = &reason[..reason.floor_char_boundary(LONGEST_REASON)];
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        [(Death::REASON, reason.to_owned()), (Death::FROM, queue.clone()), (Death::AT, since.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::{PublishProperties, QoS};

    use super::*;

    fn publish(user_properties: Vec<(String, String)>) -> Publish {
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        Publish::new("a", QoS::AtLeastOnce, "7", Some(properties))
    }

    #[test]
    fn a_death_is_told_and_read() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let death = Death { queue: "b.IN".into(), reason: "no é".into(), at };
        let letter = Letter { message: "7".into(), death: Some(death) };
        assert_eq!(Letter::read(publish(letter.properties())), letter);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let death = Death { queue: "b.IN".into(), reason: "é".repeat(100_000), at: UNIX_EPOCH };
        let properties = Letter { message: "7".into(), death: Some(death) }.properties();
        assert_eq!(properties[0].1, "é".repeat(1000));
    }

    #[test]
    fn properties_of_strangers_do_no_harm() {
        assert_eq!(Letter::read(publish(vec![(Death::REASON.into(), "no".into())])), Letter::new("7".into()));
        for at in ["18446744073709551615", "-1", "soon"] {
            let properties = [(Death::REASON, "no"), (Death::FROM, "b.IN"), (Death::AT, at)];
            let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(Letter::read(publish(properties.to_vec())).death.unwrap().queue, "b.IN");
        }
    }
}
