//! What every broker elsewhere must do when it goes away and comes back.

use imgflo_msgflo::{Definition, Link, Outcome, Participant, Port, QueueOptions, connect, discovery};

use crate::line::{Line, becomes, name, send_again, within};

/// The behaviours, as tests of a broker.
macro_rules! outages {
    ($broker:ident, $url:expr) => {
        mod $broker {
            #[tokio::test(flavor = "multi_thread")]
            async fn what_is_declared_while_the_broker_is_away_is_there_when_it_comes() {
                super::declared_while_away(&$url).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_participant_announces_itself_again() {
                super::announced_again(&$url).await;
            }
        }
    };
}

outages!(amqp, crate::amqp_url());
outages!(mqtt, crate::mqtt_url());

async fn declared_while_away(url: &str) {
    let line = Line::lay(url).await;
    line.cut();
    let transport = connect(&line.url(), "early test").await.unwrap();
    assert_eq!(*transport.link().borrow(), Link::Down);
    let (queue, out) = (name("in"), name("out"));
    transport.declare_inport(&queue, QueueOptions::default()).await.unwrap();
    transport.declare_outport(&out).await.unwrap();
    transport.bind(&out, &queue).await.unwrap();
    let consumer = transport.consume(&queue).await.unwrap();
    line.mend();
    becomes(&*transport, Link::Up).await;
    send_again(&*transport, &out, "job").await;
    let delivery = within(consumer.next()).await.unwrap();
    assert_eq!(delivery.message, "job");
    delivery.settle(Outcome::Done);
    transport.close().await;
}

async fn announced_again(url: &str) {
    let line = Line::lay(url).await;
    let listener = connect(url, "listener").await.unwrap();
    let heard = listener.discover().await.unwrap();
    let (transport, role) = (connect(&line.url(), "announce test").await.unwrap(), name("role"));
    let definition = Definition::new(&role, "Test").inport(Port::new("in"));
    let _participant = Participant::start(definition, transport.clone()).await.unwrap();
    let announced = async || loop {
        let delivery = within(heard.next()).await.unwrap();
        let definition = discovery::read(&delivery.message);
        delivery.settle(Outcome::Done);
        if definition.is_ok_and(|definition| definition.role == role) {
            return;
        }
    };
    announced().await;
    line.cut();
    becomes(&*transport, Link::Down).await;
    line.mend();
    announced().await;
    transport.close().await;
    listener.close().await;
}
