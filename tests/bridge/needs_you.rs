//! Errors that retries cannot end are reported in the log, in `/status`, in the metrics and by `check-config`.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::sender::Sender;

fn send(bridge: &Bridge) {
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_0_1"]);
}

#[track_caller]
fn told(bridge: &Bridge, kind: &str, change: &str) {
    let counter = format!("kafka_errors_total{{kind=\"{kind}\"}}");
    eventually("it has tried more than once", || (bridge.metric(&counter) >= 2.0).then_some(()));
    assert_eq!(bridge.metric("kafka_needs_you"), 1.0);
    let error = &bridge.status()["kafka"]["last_error"];
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["needs_you"].as_str().unwrap().contains(change), "{error}");
    let at: jiff::Timestamp = error["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(error["at_ms"], at.as_millisecond(), "{error}");
    let lines: Vec<_> =
        bridge.process.log_lines().into_iter().filter(|line| line.contains("\"kafka_needs_you\"")).collect();
    assert_eq!(lines.len(), 1, "one line for each state: {lines:?}");
    assert!(lines[0].contains(change) && lines[0].contains("ERROR"), "{lines:?}");
    assert_eq!(bridge.ops_get("/readyz").0, 200, "recalls are accepted");
}

#[test]
fn a_broker_that_rejects_the_compression_is_reported_with_its_setting() {
    use RDKafkaRespErr as E;
    for (error, delivery) in [
        (E::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, "exactly_once"),
        (E::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, "exactly_once"),
        (E::RD_KAFKA_RESP_ERR_INVALID_REQUEST, "exactly_once"),
        (E::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, "at_least_once"),
    ] {
        let kafka = Kafka::start();
        (0..1000).for_each(|_| kafka.fail_next(RDKafkaApiKey::Produce, error));
        let bridge = kafka.setup().env("BRIDGE_DELIVERY", delivery).start();
        send(&bridge);
        told(&bridge, "compression", "KAFKA_COMPRESSION_TYPE");
    }
}

#[test]
fn a_broker_without_producer_ids_is_reported_by_serve_and_check_config() {
    let lacks = |kafka: &Kafka| kafka.without_transactions();
    let refuses = |kafka: &Kafka| {
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION;
        (0..2000).for_each(|_| kafka.fail_next(RDKafkaApiKey::InitProducerId, error));
    };
    for (make, delivery) in [
        (&lacks as &dyn Fn(&Kafka), "at_least_once"),
        (&refuses, "at_least_once"),
        (&lacks, "exactly_once"),
        (&refuses, "exactly_once"),
    ] {
        let kafka = Kafka::start();
        make(&kafka);
        let setup = kafka.setup().env("BRIDGE_DELIVERY", delivery);
        let output = setup.run(&["check-config"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(75), "{delivery}: {stderr}");
        assert!(stderr.contains("InitProducerId"), "{delivery}: {stderr}");
        assert!(kafka.records().is_empty(), "the check sends nothing");
        if delivery == "at_least_once" {
            let bridge = setup.start();
            send(&bridge);
            told(&bridge, "unsupported", "InitProducerId");
        }
    }
}

#[test]
fn after_the_change_no_action_is_needed() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_TOPIC", "not-there-yet").start();
    send(&bridge);
    told(&bridge, "unknown_topic", "BRIDGE_TOPIC");
    kafka.create_topic("not-there-yet");
    bridge.wait_published();
    eventually("it works again", || (bridge.metric("kafka_needs_you") == 0.0).then_some(()));
}
