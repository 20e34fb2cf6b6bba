//! Signatures of the messages between front ends and workers: proof that their sender is of the fleet.
//!
//! A signed message begins with a member of its own: `{"signature":"<64 hexadecimal digits>",`. The signature is the
//! HMAC-SHA256, keyed with the fleet's secret, of the kind of message, a line break, and all bytes after that member.
//! Participants that do not know it find an ordinary JSON object with one member more.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

/// What a signed message begins with.
const OPEN: &[u8] = b"{\"signature\":\"";
/// What comes between the signature and the rest.
const CLOSE: &[u8] = b"\",";
/// Length of a signature, hexadecimal digits.
const DIGITS: usize = 64;

/// Kind of a message, which is signed with it: no message can be sent in the place of one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::Job`].
    Job,
    /// [`crate::JobResult`] or [`crate::message::JobsLost`].
    Result,
    /// [`crate::Cancel`].
    Cancel,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Job => "imgflo-job",
            Kind::Result => "imgflo-result",
            Kind::Cancel => "imgflo-cancel",
        }
    }
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It has no signature.
    #[error("the message is not signed, and this process has a fleet secret (IMGFLO_FLEET_SECRET)")]
    Unsigned,
    /// It has a wrong signature.
    #[error(
        "the message is not signed with a fleet secret of this process (IMGFLO_FLEET_SECRET): another fleet uses the same broker, or the secrets differ"
    )]
    WrongSignature,
}

/// Signs messages, and checks those that come.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FleetSecrets {
    /// The first one signs, all of them check. Empty: nothing is signed or checked.
    secrets: Vec<Vec<u8>>,
    accepts_unsigned: bool,
}

/// Shows no secret.
impl fmt::Debug for FleetSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetSecrets")
            .field("secrets", &self.secrets.len())
            .field("accepts_unsigned", &self.accepts_unsigned)
            .finish()
    }
}

impl FleetSecrets {
    /// Signs with the first of `secrets` and checks with all, so that a secret can be replaced: add the new one at the
    /// end everywhere, then move it to the front, then remove the old one. Without secrets nothing is signed or checked.
    ///
    /// `accepts_unsigned`: sign, and refuse nothing, for as long as participants without the secret are to join.
    pub fn new(secrets: impl IntoIterator<Item = String>, accepts_unsigned: bool) -> Self {
        FleetSecrets { secrets: secrets.into_iter().map(String::into_bytes).collect(), accepts_unsigned }
    }

    /// True if messages are refused that are not signed with a secret of the fleet.
    pub fn refuses(&self) -> bool {
        !self.secrets.is_empty() && !self.accepts_unsigned
    }

    /// The JSON of a message, signed.
    ///
    /// # Errors
    /// The message has no JSON form.
    pub fn write(&self, kind: Kind, message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
        let plain = serde_json::to_vec(message)?;
        let (Some(secret), Some(rest)) = (self.secrets.first(), members(&plain)) else { return Ok(plain) };
        let signature = hex::encode(mac(secret, kind, rest).finalize().into_bytes());
        Ok([OPEN, signature.as_bytes(), CLOSE, rest].concat())
    }

    /// Checks the signature of a message. Takes the same time wherever a wrong signature differs.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn check(&self, kind: Kind, message: &[u8]) -> Result<(), Unverified> {
        if !self.refuses() {
            return Ok(());
        }
        let signed = message.strip_prefix(OPEN).and_then(|rest| rest.split_at_checked(DIGITS));
        let (signature, rest) = signed.ok_or(Unverified::Unsigned)?;
        let rest = rest.strip_prefix(CLOSE).ok_or(Unverified::WrongSignature)?;
        let mut digest = [0; DIGITS / 2];
        hex::decode_to_slice(signature, &mut digest).map_err(|_| Unverified::WrongSignature)?;
        let right = |secret: &Vec<u8>| mac(secret, kind, rest).verify_slice(&digest).is_ok();
        if self.secrets.iter().any(right) { Ok(()) } else { Err(Unverified::WrongSignature) }
    }
}

/// The members of a JSON object, without its opening brace; `None` for other values and for an empty object.
fn members(json: &[u8]) -> Option<&[u8]> {
    json.strip_prefix(b"{").filter(|rest| rest.first() == Some(&b'"'))
}

fn mac(secret: &[u8], kind: Kind, rest: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(kind.name().as_bytes());
    mac.update(b"\n");
    mac.update(rest);
    mac
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fleet(secrets: &[&str]) -> FleetSecrets {
        FleetSecrets::new(secrets.iter().map(|secret| (*secret).to_owned()), false)
    }

    #[test]
    fn a_vector() {
        let signed = fleet(&["a fleet's secret"]).write(Kind::Cancel, &json!({"id": "e4"})).unwrap();
        // printf 'imgflo-cancel\n"id":"e4"}' | openssl dgst -sha256 -hmac "a fleet's secret"
        let expected = "eee97554eb4650dbd79e0240cfbe7bbbb13ab880e0ff4edd0a5ade4fa1790f4c";
        assert_eq!(String::from_utf8(signed).unwrap(), format!("{{\"signature\":\"{expected}\",\"id\":\"e4\"}}"));
    }

    #[test]
    fn only_what_the_fleet_signed_is_taken() {
        let (ours, theirs) = (fleet(&["ours"]), fleet(&["theirs"]));
        let message = json!({"id": "e4", "a": [1, {"b": "}"}]});
        let signed = ours.write(Kind::Job, &message).unwrap();
        assert_eq!(ours.check(Kind::Job, &signed), Ok(()));
        assert_eq!(theirs.check(Kind::Job, &signed), Err(Unverified::WrongSignature));
        assert_eq!(ours.check(Kind::Result, &signed), Err(Unverified::WrongSignature), "of another kind");
        assert_eq!(ours.check(Kind::Job, &serde_json::to_vec(&message).unwrap()), Err(Unverified::Unsigned));
        let value: serde_json::Value = serde_json::from_slice(&signed).unwrap();
        assert_eq!((&value["id"], value["signature"].as_str().unwrap().len()), (&json!("e4"), DIGITS));
        for at in 0..signed.len() {
            let mut wrong = signed.clone();
            wrong[at] ^= 1;
            assert!(ours.check(Kind::Job, &wrong).is_err(), "{at}");
            assert!(ours.check(Kind::Job, &signed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn secrets_are_replaced_without_a_break() {
        let message = json!({"id": "e4"});
        let steps = [fleet(&["old"]), fleet(&["old", "new"]), fleet(&["new", "old"]), fleet(&["new"])];
        for pair in steps.windows(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert_eq!(to.check(Kind::Job, &from.write(Kind::Job, &message).unwrap()), Ok(()));
            }
        }
        assert!(steps[3].check(Kind::Job, &steps[0].write(Kind::Job, &message).unwrap()).is_err());
    }

    #[test]
    fn without_a_secret_or_with_old_participants_nothing_is_refused() {
        let message = json!({"id": "e4"});
        let plain = serde_json::to_vec(&message).unwrap();
        assert_eq!(FleetSecrets::default().write(Kind::Job, &message).unwrap(), plain);
        let mixed = FleetSecrets::new(["ours".to_owned()], true);
        for secrets in [&FleetSecrets::default(), &mixed] {
            assert!(!secrets.refuses());
            assert_eq!(secrets.check(Kind::Job, &plain), Ok(()));
        }
        assert_eq!(fleet(&["ours"]).check(Kind::Job, &mixed.write(Kind::Job, &message).unwrap()), Ok(()));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", fleet(&["ours"])), "FleetSecrets { secrets: 1, accepts_unsigned: false }");
    }
}
