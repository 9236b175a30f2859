//! Tests of `tail --verify` on topics with records that no bridge has written.

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::bridge::{PATIENCE, TOPIC};
use crate::cli::{expect, stdout};
use crate::mock::Kafka;

#[test]
fn tail_verifies_large_numbers_with_little_memory_and_time() {
    let kafka = Kafka::start();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    for number in ["1", "1000000000000", "18446744073709551615"] {
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new().insert(header("bridge_spool", "s")).insert(header("bridge_seq", number));
        let record = BaseRecord::to(TOPIC).key("a").payload("{}").headers(headers).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    // 2 GiB of address space: threads and libraries need a part of it.
    let bounded = kafka.setup().inside(&["/bin/sh", "-c", "ulimit -v 2097152; exec \"$0\" \"$@\""]);
    let output = bounded.run(&["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"]);
    expect(&output, 1);
    let said = stdout(&output);
    assert!(said.contains("missing: 2-999999999999, 1000000000001-18446744073709551614;"), "{said}");
}
