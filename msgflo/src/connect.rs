//! A transport by its address.

use std::sync::Arc;
use std::time::Duration;

use crate::amqp::Amqp;
use crate::in_process::InProcess;
use crate::mqtt::Mqtt;
use crate::transport::{CONFIRM, Transport, TransportError};

/// Connects to the broker at `url`:
///
/// | address | broker |
/// |---|---|
/// | `amqp://user:password@host:5672/virtual-host`, `amqps://...` | RabbitMQ: [`Amqp`] |
/// | `mqtt://user:password@host:1883`, `mqtts://...` | MQTT 5, as Mosquitto speaks it: [`Mqtt`] |
/// | `direct://anything` | none: [`InProcess`], for this process alone |
///
/// `name` is shown in the broker's list of connections. Returns though the broker cannot be
/// reached: it is tried again and again.
///
/// # Errors
/// [`TransportError::BadUrl`], [`TransportError::Refused`]; neither shows a password.
///
/// # Panics
/// Outside of a Tokio runtime.
pub async fn connect(url: &str, name: &str) -> Result<Arc<dyn Transport>, TransportError> {
    connect_with(url, name, CONFIRM).await
}

/// Connects as [`connect`] does. `confirm`: how long the broker may take to confirm a message before sending fails.
///
/// # Errors
/// [`TransportError::BadUrl`], [`TransportError::Refused`]; neither shows a password.
///
/// # Panics
/// Outside of a Tokio runtime.
pub async fn connect_with(url: &str, name: &str, confirm: Duration) -> Result<Arc<dyn Transport>, TransportError> {
    let scheme = url.split("://").next().unwrap_or_default();
    match scheme {
        "amqp" | "amqps" => Ok(Amqp::connect(url, name, confirm).await?),
        "mqtt" | "mqtts" => Ok(Mqtt::connect(url, name, confirm).await?),
        "direct" => Ok(InProcess::new()),
        _ => Err(TransportError::BadUrl(
            "has another scheme than amqp, amqps, mqtt, mqtts or direct: amqp://localhost is the usual one".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses() {
        assert!(connect("direct://here", "test").await.is_ok());
        for url in [
            "",
            "localhost",
            "http://secret@host",
            "amqp:localhost",
            "amqp://a:secret@host:port",
            "mqtt://a:secret@:1",
            "mqtt://a:secret@host/queue",
        ] {
            let Err(error) = connect(url, "test").await else { panic!("{url} was taken") };
            assert!(matches!(error, TransportError::BadUrl(_)), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{url}: {error}");
        }
    }
}
