//! Names of librdkafka's properties: how they are spelled, which are secret, which are the bridge's.
//!
//! Source: librdkafka's `CONFIGURATION.md`, version 2.12.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// How librdkafka's error for an unknown property begins.
pub(super) const NO_SUCH_PROPERTY: &str = "No such ";

/// The prefix of the variables that become librdkafka's properties.
pub(super) const KAFKA: &str = "KAFKA_";

/// Secrets that may stand in a file: the variable that names the file, the property it fills.
pub(super) const FROM_FILE: &[(&str, &str)] = &[
    ("KAFKA_SASL_PASSWORD_FILE", "sasl.password"),
    ("KAFKA_SSL_KEY_PASSWORD_FILE", "ssl.key.password"),
    ("KAFKA_SSL_KEYSTORE_PASSWORD_FILE", "ssl.keystore.password"),
];

/// Two spellings of one property: the alias, and the property it stands for.
const ALIASES: &[(&str, &str)] = &[
    ("bootstrap.servers", "metadata.broker.list"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.type", "compression.codec"),
];

const ORDER: &str = "the order of the records hangs on it";
const LOSS: &str = "the bridge retries without limit, no timeout or count may decide that a \
                    record is lost";
const NO_GROUP: &str = "it reads the topic back from offsets in its spool, without a consumer group";
const FENCE: &str = "its transactional id comes from the spool, it fences what is late";
const LOG: &str = "BRIDGE_LOG decides, for example BRIDGE_LOG=info,librdkafka=debug";
const REPORTS: &str = "it needs the report of every record";
const MOCK: &str = "a mock cluster keeps nothing";

/// What the bridge decides itself (a name ending in `.` stands for all below it), and why.
const OWNED: &[(&str, &str)] = &[
    ("transactional.id", FENCE),
    ("transaction.timeout.ms", "its transactions are short"),
    ("enable.idempotence", "it is always on"),
    ("enable.gapless.guarantee", LOSS),
    ("acks", "every in-sync replica must have a record"),
    ("request.required.acks", "every in-sync replica must have a record"),
    ("partitioner", "murmur2_random puts a key where a Java producer puts it"),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("queuing.strategy", ORDER),
    ("queue.buffering.backpressure.threshold", ORDER),
    ("retries", LOSS),
    ("message.send.max.retries", LOSS),
    ("message.timeout.ms", LOSS),
    ("socket.timeout.ms", "it fits it to its transactions"),
    ("delivery.timeout.ms", LOSS),
    ("delivery.report.only.error", REPORTS),
    ("isolation.level", "it reads back what is committed"),
    ("group.id", NO_GROUP),
    ("group.instance.id", NO_GROUP),
    ("group.protocol", NO_GROUP),
    ("enable.auto.commit", NO_GROUP),
    ("auto.commit.enable", NO_GROUP),
    ("enable.auto.offset.store", NO_GROUP),
    ("auto.offset.reset", NO_GROUP),
    ("enable.partition.eof", NO_GROUP),
    ("statistics.interval.ms", "its figures are at /metrics"),
    ("log.level", LOG),
    ("log.queue", LOG),
    ("plugin.library.paths", "foreign code has no place in it"),
    ("test.mock.", MOCK),
];

/// The property that the rest of a `KAFKA_` variable's name spells.
pub(super) fn property(rest: &str) -> String {
    rest.to_ascii_lowercase().replace('_', ".")
}

/// The variable that sets a property.
pub(super) fn variable(property: &str) -> String {
    format!("{KAFKA}{}", property.to_ascii_uppercase().replace('.', "_"))
}

/// Whether librdkafka has a property of this name.
pub(super) fn is_known(property: &str) -> bool {
    let native = ClientConfig::new().set(property, "1").create_native_config();
    // Another error is about the value.
    !matches!(native, Err(KafkaError::ClientConfig(_, text, ..)) if text.starts_with(NO_SUCH_PROPERTY))
}

/// The one name under which two spellings of a property meet.
pub(super) fn canonical(property: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == property).map_or(property, |(_, stands_for)| stands_for)
}

/// Why the bridge decides a property itself, if it does.
pub(super) fn owned(property: &str) -> Option<&'static str> {
    OWNED
        .iter()
        .find(|(name, _)| *name == property || (name.ends_with('.') && property.starts_with(name)))
        .map(|(_, why)| *why)
}

/// Whether a property's value must never be shown. By parts of the name, so that a misspelled
/// name, or a property of a later librdkafka, is covered too.
pub(super) fn is_secret(property: &str) -> bool {
    ["passw", "passphrase", "secret", "key.pem", "jaas", "token"]
        .iter()
        .any(|part| property.contains(part) && property != "sasl.oauthbearer.token.endpoint.url")
        || property == "sasl.oauthbearer.config"
}
