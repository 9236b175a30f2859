//! A broker with authentication and ACLs.

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::topic::{Record, prove};
use crate::wait::{count, until_drained, until_true};

const TOPIC: &str = "guarded";
const PASSWORD: &str = "pa55-of-the-bridge-1b7c";

fn setup(broker: &Broker, password: &str) -> Setup {
    scene::quick(Setup::new(&broker.guarded()))
        .env("BRIDGE_TOPIC", TOPIC)
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_MECHANISM", "PLAIN")
        .env("KAFKA_SASL_USERNAME", "bridge")
        .env("KAFKA_SASL_PASSWORD", password)
}

/// The bridge starts with a wrong password, then without rights. Then it receives the rights step by step, and
/// publishes the accepted recalls after the last step. It now has exactly the rights in docs/configuration.md, except
/// the right on the group. With these rights it is killed, and reconciles with the topic after its restart.
#[test]
fn recalls_wait_for_the_password_and_exactly_the_documented_rights() {
    let broker = Broker::start_with_acls(&[("bridge", PASSWORD)]);
    broker.create_topic(TOPIC, 3, &[]);

    let setup_wrong = setup(&broker, "wrong");
    let mut bridge = setup_wrong.clone().start();
    let webhooks = Sender::new(&bridge.url(), APP, TOKEN);
    webhooks.acknowledged("#TOA#_1", &["a"]);
    until_true("the wrong password is counted", || count(&bridge, "kafka_errors_total{kind=\"authentication\"}") > 0);
    let (status, ready) = bridge.ops_get("/readyz");
    assert_eq!(status, 200, "{ready}");
    assert!(ready.contains("authentication"), "{ready}");
    bridge.process.kill();

    // The same spool with the correct password, but without any rights.
    let right = setup_wrong.env("KAFKA_SASL_PASSWORD", PASSWORD);
    let bridge = right.start();
    let missing = || count(&bridge, "kafka_errors_total{kind=\"authorization\"}");
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["b"]);
    until_true("the missing right on the transactional id is counted", || missing() > 0);
    broker.allow(
        "bridge",
        &["Write", "Describe"],
        &["--transactional-id", "recall-bridge.", "--resource-pattern-type", "prefixed"],
    );
    let before = missing();
    until_true("the missing right on the topic is counted", || missing() > before + 1);
    assert_eq!(count(&bridge, "spool_events"), 2);
    broker.allow("bridge", &["Write", "Read", "Describe"], &["--topic", TOPIC]);
    until_drained(&bridge);

    let mut bridge = bridge;
    bridge.process.kill();
    let mut bridge = right.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["c"]);
    scene::stop(&mut bridge);
    let tail = right.run(&["tail", "--from", "beginning", "--count", "3", "--verify"]);
    assert!(tail.status.success(), "{}", String::from_utf8_lossy(&tail.stderr));

    let records = scene::read(&broker, TOPIC);
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), ["a", "b", "c"]);
}
