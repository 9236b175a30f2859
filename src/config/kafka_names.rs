//! Names of librdkafka's properties: spelling, secrets, and properties that the bridge sets itself.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// The start of librdkafka's error for an unknown property.
pub(super) const NO_SUCH_PROPERTY: &str = "No such ";

/// The prefix of variables that become librdkafka's properties.
pub(super) const KAFKA: &str = "KAFKA_";

/// Secrets that can be read from a file: the variable with the path, and the property.
pub(super) const FROM_FILE: &[(&str, &str)] = &[
    ("KAFKA_SASL_PASSWORD_FILE", "sasl.password"),
    ("KAFKA_SSL_KEY_PASSWORD_FILE", "ssl.key.password"),
    ("KAFKA_SSL_KEYSTORE_PASSWORD_FILE", "ssl.keystore.password"),
];

/// Aliases of librdkafka: the alias, and the property.
const ALIASES: &[(&str, &str)] = &[
    ("bootstrap.servers", "metadata.broker.list"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.type", "compression.codec"),
];

const ORDER: &str = "the order of the records depends on it";
const LOSS: &str = "the bridge retries without limit, so that no timeout or count loses a \
                    record";
const NO_GROUP: &str = "it reads the topic from offsets in its spool, without a consumer group";
const FENCE: &str = "the transactional id comes from the spool and fences older producers";
const LOG: &str = "set BRIDGE_LOG instead, for example BRIDGE_LOG=info,librdkafka=debug";
const REPORTS: &str = "it needs the delivery report of every record";
const MOCK: &str = "a mock cluster does not store records";

/// Properties that the bridge sets itself, with the reason. A name that ends in `.` is a prefix.
const OWNED: &[(&str, &str)] = &[
    ("transactional.id", FENCE),
    ("transaction.timeout.ms", "its transactions are short"),
    ("enable.idempotence", "it is always on"),
    ("enable.gapless.guarantee", LOSS),
    ("acks", "every in-sync replica must have a record"),
    ("request.required.acks", "every in-sync replica must have a record"),
    ("partitioner", "murmur2_random chooses the same partition as a Java producer"),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("queuing.strategy", ORDER),
    ("queue.buffering.backpressure.threshold", ORDER),
    ("retries", LOSS),
    ("message.send.max.retries", LOSS),
    ("message.timeout.ms", LOSS),
    ("socket.timeout.ms", "it depends on the timeout of its transactions"),
    ("delivery.timeout.ms", LOSS),
    ("delivery.report.only.error", REPORTS),
    ("isolation.level", "it reads committed records only"),
    ("group.id", NO_GROUP),
    ("group.instance.id", NO_GROUP),
    ("group.protocol", NO_GROUP),
    ("enable.auto.commit", NO_GROUP),
    ("auto.commit.enable", NO_GROUP),
    ("enable.auto.offset.store", NO_GROUP),
    ("auto.offset.reset", NO_GROUP),
    ("enable.partition.eof", NO_GROUP),
    ("statistics.interval.ms", "its metrics are at /metrics"),
    ("log.level", LOG),
    ("log.queue", LOG),
    ("plugin.library.paths", "it loads no other code"),
    ("test.mock.", MOCK),
];

/// Returns the property for the rest of the name of a `KAFKA_` variable.
pub(super) fn property(rest: &str) -> String {
    rest.to_ascii_lowercase().replace('_', ".")
}

/// Returns the variable of a property.
pub(super) fn variable(property: &str) -> String {
    format!("{KAFKA}{}", property.to_ascii_uppercase().replace('.', "_"))
}

/// Whether librdkafka has a property of this name.
pub(super) fn is_known(property: &str) -> bool {
    let native = ClientConfig::new().set(property, "1").create_native_config();
    // Any other error concerns the value.
    !matches!(native, Err(KafkaError::ClientConfig(_, text, ..)) if text.starts_with(NO_SUCH_PROPERTY))
}

/// Returns the property for an alias; other names stay unchanged.
pub(super) fn canonical(property: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == property).map_or(property, |(_, stands_for)| stands_for)
}

/// Returns the reason why the bridge sets a property itself, if it does.
pub(super) fn owned(property: &str) -> Option<&'static str> {
    OWNED
        .iter()
        .find(|(name, _)| *name == property || (name.ends_with('.') && property.starts_with(name)))
        .map(|(_, why)| *why)
}

/// Whether the value of a property is secret. It compares parts of the name, so that misspelled names and new
/// properties are covered too.
pub(super) fn is_secret(property: &str) -> bool {
    ["passw", "passphrase", "secret", "key.pem", "jaas", "token"]
        .iter()
        .any(|part| property.contains(part) && property != "sasl.oauthbearer.token.endpoint.url")
        || property == "sasl.oauthbearer.config"
}
