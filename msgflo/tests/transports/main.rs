//! Transports, against the brokers themselves.

mod amqp;
mod behaviour;
mod deleted;
mod line;
mod mqtt;
mod nodejs;
mod outage;

/// The RabbitMQ that scripts/test started.
fn amqp_url() -> String {
    service("IMGFLO_TEST_AMQP")
}

/// The Mosquitto that scripts/test started.
fn mqtt_url() -> String {
    service("IMGFLO_TEST_MQTT")
}

fn service(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable}: run scripts/test, or start the services with scripts/services"))
}
