//! Converts every variable of the table into the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::choices::{AckAfter, Delivery, LogFormat, SpoolFailure};
use super::errors::{ConfigError, ConfigErrors};
use super::kafka::KafkaProperties;
use super::kafka_names::{FROM_FILE, variable};
use super::secret::{HIDDEN, direct_or_file};
use super::settings::Config;
use super::spool::read_spool;
use super::tls::read_tls;
use super::values::{VariableReader, log_filter, topic, url_path};
use super::variables::{
    ACK_AFTER, ACK_TIMEOUT_MS, ALLOW_UNSIGNED, APPS, APPS_FILE, DEDUP_WINDOW_SECONDS, DELIVERY, DRAIN_SECONDS,
    KEEP_ALIVE_SECONDS, LISTEN, LOG, LOG_FORMAT, MAX_BODY_BYTES, OPS_ACTIONS, OPS_LISTEN, REQUEST_TIME_WINDOW_SECONDS,
    SHUTDOWN_GRACE_SECONDS, SPOOL_FAILURE, TOPIC, TOPIC_CREATE, TOPIC_PARTITIONS, TOPIC_REPLICATION, WEBHOOK_PATH,
    WORKERS,
};
use crate::webhook::Apps;

/// Reads all variables. A default replaces an invalid value, so that reading continues and finds all errors.
pub(super) fn read(kafka: BTreeMap<String, String>, mut r: VariableReader<'_>) -> Result<Config, ConfigErrors> {
    let (apps, allow_unsigned) = read_apps(&mut r);
    let apps_file = r.file(APPS_FILE);
    let listen = r.address(LISTEN);
    let ops_listen = r.address(OPS_LISTEN);
    refuse_same_port(listen, ops_listen, &mut r.errors);
    let tls = read_tls(&mut r);
    let spool = read_spool(&mut r);
    let failures = [SpoolFailure::Refuse, SpoolFailure::Publish].map(|it| (it.as_str(), it));
    let acks = [AckAfter::Spooled, AckAfter::Published].map(|it| (it.as_str(), it));
    let deliveries = [Delivery::ExactlyOnce, Delivery::AtLeastOnce].map(|it| (it.as_str(), it));
    let formats = [LogFormat::Json, LogFormat::Text].map(|it| (it.as_str(), it));
    let config = Config {
        // Replaced below: the other variables are checked also without apps.
        apps: Apps::default(),
        apps_file,
        allow_unsigned,
        listen,
        ops_listen,
        tls,
        webhook_path: r.checked(WEBHOOK_PATH, url_path),
        max_body_bytes: r.size(MAX_BODY_BYTES),
        keep_alive: r.seconds(KEEP_ALIVE_SECONDS),
        request_time_window_seconds: r.number(REQUEST_TIME_WINDOW_SECONDS),
        ack_timeout: Duration::from_millis(r.number(ACK_TIMEOUT_MS)),
        ack_after: r.word(ACK_AFTER, &acks, acks[0].0).unwrap_or(acks[0].1),
        spool_dir: spool.dir,
        spool_max_bytes: spool.max_bytes,
        quarantine_max_bytes: spool.quarantine_max_bytes,
        spool_failure: r.word(SPOOL_FAILURE, &failures, failures[0].0).unwrap_or(failures[0].1),
        dedup_window: r.seconds(DEDUP_WINDOW_SECONDS),
        topic: r.checked(TOPIC, topic),
        ops_actions: r.flag(OPS_ACTIONS),
        topic_create: r.flag(TOPIC_CREATE),
        topic_partitions: r.signed(TOPIC_PARTITIONS),
        topic_replication: r.signed(TOPIC_REPLICATION),
        delivery: r.word(DELIVERY, &deliveries, deliveries[0].0).unwrap_or(deliveries[0].1),
        drain: r.seconds(DRAIN_SECONDS),
        shutdown_grace: r.seconds(SHUTDOWN_GRACE_SECONDS),
        log: r.checked(LOG, log_filter),
        log_format: r.word(LOG_FORMAT, &formats, "json (text on a terminal)"),
        workers: r.size(WORKERS),
        kafka: read_kafka(kafka, &mut r.errors),
        ignored: Vec::new(),
        settings: Vec::new(),
    };
    match apps {
        Some(apps) if r.errors.is_empty() => Ok(Config { apps, settings: r.settings(), ..config }),
        _ => Err(r.errors),
    }
}

/// Reads the apps, and whether an app without a token is allowed.
fn read_apps(r: &mut VariableReader<'_>) -> (Option<Apps>, bool) {
    let (direct, file) = (r.text(APPS), r.text(APPS_FILE));
    let apps = direct_or_file((APPS.name, direct), (APPS_FILE.name, file), &mut r.errors);
    if direct.is_none() && file.is_none() && !r.errors.concern(APPS.name) && !r.errors.concern(APPS_FILE.name) {
        let fix = "list your apps as sdkappid:token, separated by commas, or name a file of them in BRIDGE_APPS_FILE";
        r.errors.push(ConfigError::new(APPS.name, "is not set", fix));
    }
    // The value is secret and has no default.
    r.record(APPS, HIDDEN.to_owned(), false);
    let allow_unsigned = r.flag(ALLOW_UNSIGNED);

    let file = file.is_some();
    let name = if file { APPS_FILE.name } else { APPS.name };
    let apps = apps.and_then(|text| match Apps::parse(text.expose(), allow_unsigned) {
        Ok(apps) if apps.has_placeholder() => {
            let problem = "contains the placeholder change-me as a token";
            r.errors.push(ConfigError::new(name, problem, "set the token of the vendor's console"));
            None
        }
        Ok(apps) => Some(apps),
        Err(errors) => {
            for error in errors {
                // The text of an error is the problem, a semicolon, and the fix.
                let text = error.to_string();
                let (problem, fix) = text.split_once("; ").unwrap_or((&text, "correct the entry"));
                r.errors.push(ConfigError::new(name, problem, fix));
            }
            None
        }
    });
    (apps, allow_unsigned)
}

/// The two listeners need different ports.
fn refuse_same_port(listen: SocketAddr, ops: SocketAddr, errors: &mut ConfigErrors) {
    let ips_meet = listen.ip() == ops.ip() || listen.ip().is_unspecified() || ops.ip().is_unspecified();
    if listen.port() != 0 && listen.port() == ops.port() && ips_meet {
        errors.push(ConfigError::new(
            "BRIDGE_OPS_LISTEN",
            format!("{ops} conflicts with the webhook listener ({listen})"),
            "give each listener its own port",
        ));
    }
}

/// Reads the properties. Secrets are read from their files first.
fn read_kafka(mut vars: BTreeMap<String, String>, errors: &mut ConfigErrors) -> KafkaProperties {
    for (file_name, property) in FROM_FILE {
        let Some(path) = vars.remove(*file_name) else {
            continue;
        };
        let name = variable(property);
        let direct = vars.get(&name).map(String::as_str);
        let secret = direct_or_file((&name, direct), (file_name, Some(&path)), errors);
        if let Some(secret) = secret {
            vars.insert(name, secret.expose().to_owned());
        }
    }
    KafkaProperties::read(&vars, errors)
}
