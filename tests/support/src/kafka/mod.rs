//! A real Apache Kafka, and what stands before it: for the suites with the feature `real-kafka`.

pub mod broker;
pub mod proxy;
