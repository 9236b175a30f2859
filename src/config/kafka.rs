//! Reads `KAFKA_X_Y` variables as librdkafka's properties `x.y`.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaType;

use super::errors::{ConfigError, ConfigErrors};
use super::kafka_names::{KAFKA, NO_SUCH_PROPERTY, canonical, is_secret, owned, property, variable};
use super::names::with_other_prefix;
use super::secret::HIDDEN;
use super::values::shown;

/// The property with the brokers, and its alias in librdkafka.
const BOOTSTRAP: &str = "bootstrap.servers";
const BOOTSTRAP_ALIAS: &str = "metadata.broker.list";

/// Defaults of the bridge that replace librdkafka's defaults. The user's properties have priority.
///
/// With librdkafka's default, a client waits up to 10 s before it reconnects, and the backlog grows meanwhile.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "recall-bridge"),
    // Every mainstream client reads it without an additional package; see docs/performance.md for its costs.
    ("compression.type", "gzip"),
    // A transaction's records wait for the response to its first request anyway; 5 ms more would only delay them.
    ("linger.ms", "0"),
    (RECONNECT, "50"),
    (RECONNECT_MAX, "1000"),
    ("socket.keepalive.enable", "true"),
];
/// Properties with the CA certificates to trust.
const CA_PROPERTIES: [&str; 2] = ["ssl.ca.location", "ssl.ca.pem"];
const COMPRESSION_LEVEL: &str = "compression.level";
/// A third of the processor time of zlib's own default, for a tenth more bytes; see docs/performance.md.
const GZIP_LEVEL: &str = "1";
const RECONNECT: &str = "reconnect.backoff.ms";
const RECONNECT_MAX: &str = "reconnect.backoff.max.ms";

/// librdkafka's properties in effect: the user's values, and the bridge's defaults for the others.
#[derive(Clone)]
pub struct KafkaProperties(BTreeMap<String, String>);

impl KafkaProperties {
    /// Returns the configuration for a client. The caller adds the properties that the bridge sets itself.
    ///
    /// Do not log its `Debug`: it shows more secrets than the `Debug` of this type.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.0 {
            config.set(name, value);
        }
        // Without this, rdkafka sets the level of the log filter, and `debug` has no effect.
        if self.0.contains_key("debug") {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
        config
    }

    /// The value of `bootstrap.servers`: `host[:port]`, separated by commas.
    pub fn bootstrap_servers(&self) -> &str {
        self.0.get(BOOTSTRAP).map_or("", String::as_str)
    }

    /// Every property, sorted by name. Secrets are `***`.
    pub fn effective(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, value)| {
            let secret = is_secret(name);
            (name.as_str(), if secret { HIDDEN.to_owned() } else { value.clone() })
        })
    }

    /// Reads the variables, and checks each one, then all together. Variables with the file of a secret are already
    /// replaced.
    pub(super) fn read(vars: &BTreeMap<String, String>, errors: &mut ConfigErrors) -> Self {
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in vars {
            let property = property(name.strip_prefix(KAFKA).unwrap_or(name));
            if let Err(error) = check(name, &property, value) {
                errors.push(error);
            } else if let Some(other) = given.keys().find(|k| canonical(k) == canonical(&property)) {
                let other = variable(other);
                let problem = format!("is set together with {other}, its other name");
                errors.push(ConfigError::new(name, problem, "keep one of the two"));
            } else {
                given.insert(property, value.clone());
            }
        }
        if let Some(servers) = given.remove(BOOTSTRAP_ALIAS) {
            given.insert(BOOTSTRAP.to_owned(), servers);
        }
        // If a property is missing because of an error, the check of all together would report false errors.
        let sound = !errors.iter().any(|error| error.name().starts_with(KAFKA));
        check_servers(vars, &given, errors);

        let properties = Self(with_defaults(given));
        if sound && let Err(error) = properties.check_together() {
            errors.push(error);
        }
        properties
    }

    /// Creates clients to run librdkafka's remaining checks: contradicting properties, unreadable certificates.
    /// Without brokers, so that the clients do not connect.
    fn check_together(&self) -> Result<(), ConfigError> {
        let mut config = self.client_config();
        config.remove(BOOTSTRAP);
        for client in [RDKafkaType::RD_KAFKA_PRODUCER, RDKafkaType::RD_KAFKA_CONSUMER] {
            config
                .create_native_config()
                .and_then(|native| Client::new(&config, native, client, DefaultClientContext))
                .map_err(|error| self.blame(&error))?;
        }
        Ok(())
    }

    /// Converts librdkafka's error about all properties together. Secrets in its text are hidden.
    fn blame(&self, error: &KafkaError) -> ConfigError {
        let mut text = match error {
            KafkaError::ClientCreation(text) => sentence(text),
            other => other.to_string(),
        };
        let named = self.0.keys().filter(|name| text.contains(name.as_str()));
        let name =
            named.max_by_key(|name| name.len()).map_or_else(|| variable("security.protocol"), |name| variable(name));
        for (_, secret) in self.0.iter().filter(|(name, _)| is_secret(name)) {
            text = text.replace(secret.as_str(), HIDDEN);
        }
        ConfigError::new(
            name,
            format!("librdkafka rejects the combination of properties: {text}"),
            "see librdkafka's CONFIGURATION.md",
        )
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.effective()).finish()
    }
}

/// Adds the bridge's defaults to the given properties.
fn with_defaults(mut given: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // The OpenSSL in the binary does not find the CA certificates of the system; `probe` searches for them.
    let is_tls = given.get("security.protocol").is_some_and(|protocol| protocol.to_lowercase().contains("ssl"));
    if is_tls && !given.keys().any(|name| CA_PROPERTIES.contains(&name.as_str())) {
        given.insert("ssl.ca.location".to_owned(), "probe".to_owned());
    }
    for (name, default) in DEFAULTS {
        if given.keys().any(|k| canonical(k) == canonical(name)) {
            continue;
        }
        // librdkafka requires first wait <= longest wait. If the user sets one of them, the default of the other
        // follows.
        let partner = match *name {
            RECONNECT => given.get(RECONNECT_MAX).and_then(|max| smaller(max, default)),
            RECONNECT_MAX => given.get(RECONNECT).and_then(|first| larger(first, default)),
            _ => None,
        };
        given.insert((*name).to_owned(), partner.unwrap_or_else(|| (*default).to_owned()));
    }
    let is_gzip = given.iter().any(|(name, codec)| canonical(name) == canonical("compression.type") && codec == "gzip");
    if is_gzip {
        given.entry(COMPRESSION_LEVEL.to_owned()).or_insert_with(|| GZIP_LEVEL.to_owned());
    }
    given
}

fn smaller(a: &str, b: &str) -> Option<String> {
    Some(a.parse::<u32>().ok()?.min(b.parse().ok()?).to_string())
}

fn larger(a: &str, b: &str) -> Option<String> {
    Some(a.parse::<u32>().ok()?.max(b.parse().ok()?).to_string())
}

/// Returns librdkafka's text on one line without its final period.
fn sentence(text: &str) -> String {
    text.trim().trim_end_matches('.').replace('\n', " ")
}

/// Checks one property.
fn check(name: &str, property: &str, value: &str) -> Result<(), ConfigError> {
    if let Some(why) = owned(property) {
        let problem = format!("the bridge sets {property} itself: {why}");
        return Err(ConfigError::new(name, problem, "remove it"));
    }
    let unknown = |suggestion: Option<String>| {
        let fix = suggestion.map_or_else(
            || "remove it, or see librdkafka's CONFIGURATION.md".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        ConfigError::new(name, format!("librdkafka has no property {property}"), fix)
    };
    if name != variable(property) {
        return Err(unknown(Some(variable(property))));
    }
    let mut config = ClientConfig::new();
    config.set(property, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, text, ..)) if text.starts_with(NO_SUCH_PROPERTY) => {
            Err(unknown(with_other_prefix(name).map(str::to_owned)))
        }
        Err(error) => {
            let problem = if is_secret(property) {
                format!("librdkafka rejects its value for {property}")
            } else {
                let text = match error {
                    KafkaError::ClientConfig(_, text, ..) => sentence(&text),
                    other => other.to_string(),
                };
                format!("librdkafka rejects {}: {text}", shown(value))
            };
            let fix = format!("see {property} in librdkafka's CONFIGURATION.md");
            Err(ConfigError::new(name, problem, fix))
        }
    }
}

/// Checks that brokers are given, and the syntax of each. librdkafka would only log an error.
fn check_servers(vars: &BTreeMap<String, String>, given: &BTreeMap<String, String>, errors: &mut ConfigErrors) {
    let alias = variable(BOOTSTRAP_ALIAS);
    let bootstrap = variable(BOOTSTRAP);
    let Some(servers) = given.get(BOOTSTRAP) else {
        if !errors.concern(&bootstrap) && !errors.concern(&alias) {
            let fix = "name the brokers, for example kafka-1:9092,kafka-2:9092";
            errors.push(ConfigError::new(bootstrap, "is not set", fix));
        }
        return;
    };
    let name = if vars.contains_key(&bootstrap) { bootstrap } else { alias };
    let protocol = given.get("security.protocol").map_or("plaintext", String::as_str);
    for server in servers.split(',').map(str::trim) {
        if let Err((problem, fix)) = super::kafka_servers::check(server, protocol) {
            errors.push(ConfigError::new(&name, problem, fix));
        }
    }
}
