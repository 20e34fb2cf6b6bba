//! Transports, against the brokers themselves.

mod amqp;
mod behaviour;
mod nodejs;

/// The RabbitMQ that scripts/test started.
fn amqp_url() -> String {
    service("IMGFLO_TEST_AMQP")
}

fn service(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable}: run scripts/test, or start the services with scripts/services"))
}
