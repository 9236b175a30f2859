//! A real Apache Kafka and a proxy in front of it, for the suites with the feature `real-kafka`.

pub mod broker;
pub mod proxy;
