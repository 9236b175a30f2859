//! Tests of `bootstrap.servers`.

use super::{error_of, load, load_only};

#[test]
fn invalid_broker_addresses_are_errors() {
    for good in ["kafka", "k-1:9092, k_2.example:9093", "10.0.0.1:1", "[::1]:9092", "::1", "PLAINTEXT://k:1"] {
        assert!(load(&[("KAFKA_BOOTSTRAP_SERVERS", good)]).is_ok(), "{good}");
    }
    for (bad, says) in [
        ("http://kafka:9092", "is a URL"),
        ("SSL://kafka:9092", "set KAFKA_SECURITY_PROTOCOL=SSL"),
        ("kafka:", "port from 1 to 65535"),
        ("kafka:70000", "port from 1 to 65535"),
        ("kafka:x", "port from 1 to 65535"),
        ("k1:9092,,k2:9092", "has no host"),
        (":9092", "has no host"),
        ("kafka/9092", "is not a host and a port"),
        ("k1 k2", "is not a host and a port"),
        ("[kafka]:9092", "is not a host and a port"),
    ] {
        let shown = error_of("KAFKA_BOOTSTRAP_SERVERS", bad);
        assert!(shown.contains(says), "{shown}");
    }
    let errors = load_only(&[("BRIDGE_APPS", "1:t"), ("KAFKA_METADATA_BROKER_LIST", "a:b,c:d")]);
    let errors = errors.unwrap_err();
    assert!(errors.iter().all(|f| f.name() == "KAFKA_METADATA_BROKER_LIST"), "{errors}");
    assert_eq!(errors.len(), 2);
    let vars = [("BRIDGE_APPS", "1:t"), ("KAFKA_METADATA_BROKER_LIST", "k:1")];
    assert_eq!(load_only(&vars).unwrap().kafka.bootstrap_servers(), "k:1");
}
