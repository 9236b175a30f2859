//! The configuration: reads the environment and checks it completely before the bridge starts.
//!
//! `BRIDGE_…` variables belong to the bridge. `KAFKA_X_Y` becomes librdkafka's property `x.y` (names, units and
//! ranges: librdkafka's `CONFIGURATION.md`). An empty value counts as not set. [`Config::load`] reports all errors at
//! once, and never shows a secret.

mod choices;
mod errors;
mod kafka;
mod kafka_names;
mod kafka_servers;
mod load;
mod names;
mod ops;
mod read;
mod secret;
mod settings;
mod spool;
#[cfg(test)]
mod tests;
mod tls;
mod values;
mod variables;

pub use choices::{AckAfter, Delivery, LogFormat, SpoolFailure};
pub use errors::{ConfigError, ConfigErrors};
pub use kafka::KafkaProperties;
pub use load::brokers_are_set;
pub use ops::ops_listen_from_env;
pub use secret::{Secret, read_secret_file};
pub use settings::Config;
pub use spool::SpoolConfig;
pub use tls::ListenerTls;
pub use variables::{MAX_DEDUP_WINDOW, Setting, VARIABLES, Values, Variable};
