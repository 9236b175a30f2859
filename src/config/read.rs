//! Every variable in turn: its default, its range, its parser.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kafka::KafkaProperties;
use super::kafka_names::{FROM_FILE, variable};
use super::raw::Raw;
use super::secret::direct_or_file;
use super::tls::read_tls;
use super::values::{Reader, log_filter, socket_addr, topic, url_path, word};
use super::{AckAfter, Config, Delivery, Fault, Faults, LogFormat, SpoolConfig, SpoolFailure};
use crate::webhook::Apps;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
/// `SQLite` counts in signed 64 bits.
const MOST_BYTES: u64 = i64::MAX.unsigned_abs();
/// What `actix-server` can have.
const MOST_WORKERS: u16 = 512;
/// The longest `BRIDGE_DEDUP_WINDOW_SECONDS`.
pub const MAX_DEDUP_WINDOW: Duration = Duration::from_secs(86_400);

/// Reads everything. `None` only where there are faults; with faults, bad values have defaults.
#[rustfmt::skip] // One line per variable reads as the table it is.
pub(super) fn read(raw: &Raw, kafka: BTreeMap<String, String>, r: &mut Reader) -> Option<Config> {
    let (apps, allow_unsigned) = read_apps(raw, r);
    let listen = read_listen("BRIDGE_LISTEN", raw.listen.as_deref(), ([0, 0, 0, 0], 8080), r);
    let ops_listen = read_ops_listen(raw.ops_listen.as_deref(), r);
    refuse_same_port(listen, ops_listen, &mut r.faults);
    let tls = read_tls(raw, r);
    let most_workers = usize::from(MOST_WORKERS);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(most_workers));

    let spool = read_spool(raw, r);
    let config = Config {
        // Replaced below; what is missing must not keep the rest from being checked.
        apps: Apps::default(),
        apps_file: raw.apps_file.as_deref().map(PathBuf::from),
        allow_unsigned,
        listen,
        ops_listen,
        tls,
        webhook_path: r.read("BRIDGE_WEBHOOK_PATH", raw.webhook_path.as_deref(), "/".into(), url_path),
        max_body_bytes: r.number("BRIDGE_MAX_BODY_BYTES", raw.max_body_bytes.as_deref(), 65_536, KIB..=16 * MIB, "bytes"),
        keep_alive: Duration::from_secs(r.number("BRIDGE_KEEP_ALIVE_SECONDS", raw.keep_alive_seconds.as_deref(), 75, 1..=3600, "seconds")),
        request_time_window_seconds: r.number("BRIDGE_REQUEST_TIME_WINDOW_SECONDS", raw.request_time_window_seconds.as_deref(), 60, 1..=86_400, "seconds"),
        ack_timeout: Duration::from_millis(r.number("BRIDGE_ACK_TIMEOUT_MS", raw.ack_timeout_ms.as_deref(), 1500, 50..=10_000, "milliseconds")),
        ack_after: r.read("BRIDGE_ACK_AFTER", raw.ack_after.as_deref(), AckAfter::Spooled, |text| {
            word(text, &[AckAfter::Spooled, AckAfter::Published].map(|it| (it.as_str(), it)))
        }),
        spool_dir: spool.dir,
        spool_max_bytes: spool.max_bytes,
        quarantine_max_bytes: spool.quarantine_max_bytes,
        spool_failure: r.read("BRIDGE_SPOOL_FAILURE", raw.spool_failure.as_deref(), SpoolFailure::Refuse, |text| {
            word(text, &[SpoolFailure::Refuse, SpoolFailure::Publish].map(|it| (it.as_str(), it)))
        }),
        dedup_window: Duration::from_secs(r.number("BRIDGE_DEDUP_WINDOW_SECONDS", raw.dedup_window_seconds.as_deref(), 600, 0..=MAX_DEDUP_WINDOW.as_secs(), "seconds")),
        topic: r.read("BRIDGE_TOPIC", raw.topic.as_deref(), "official-account.recalls".into(), topic),
        topic_create: r.flag("BRIDGE_TOPIC_CREATE", raw.topic_create.as_deref(), false),
        topic_partitions: r.number("BRIDGE_TOPIC_PARTITIONS", raw.topic_partitions.as_deref(), 6, 1..=100_000, "partitions"),
        // Kafka's protocol has 16 bits for it.
        topic_replication: r.number("BRIDGE_TOPIC_REPLICATION", raw.topic_replication.as_deref(), 3, 1..=32_767, "replicas"),
        delivery: r.read("BRIDGE_DELIVERY", raw.delivery.as_deref(), Delivery::ExactlyOnce, |text| {
            word(text, &[Delivery::ExactlyOnce, Delivery::AtLeastOnce].map(|it| (it.as_str(), it)))
        }),
        drain: Duration::from_secs(r.number("BRIDGE_DRAIN_SECONDS", raw.drain_seconds.as_deref(), 2, 0..=300, "seconds")),
        shutdown_grace: Duration::from_secs(r.number("BRIDGE_SHUTDOWN_GRACE_SECONDS", raw.shutdown_grace_seconds.as_deref(), 20, 0..=3600, "seconds")),
        log: r.read("BRIDGE_LOG", raw.log.as_deref(), "info".into(), log_filter),
        log_format: r.read("BRIDGE_LOG_FORMAT", raw.log_format.as_deref(), None, |text| {
            word(text, &[LogFormat::Json, LogFormat::Text].map(|it| (it.as_str(), Some(it))))
        }),
        workers: r.number("BRIDGE_WORKERS", raw.workers.as_deref(), cores, 1..=MOST_WORKERS.into(), "threads"),
        kafka: read_kafka(kafka, &mut r.faults),
        ignored: Vec::new(),
        given: BTreeSet::new(),
    };
    Some(Config { apps: apps?, ..config })
}

/// What a spool is, without what fills it and what empties it.
#[rustfmt::skip] // As above.
pub(super) fn read_spool(raw: &Raw, r: &mut Reader) -> SpoolConfig {
    SpoolConfig {
        dir: r.read("BRIDGE_SPOOL_DIR", raw.spool_dir.as_deref(), "./spool".into(), |text| Ok(text.into())),
        max_bytes: r.number("BRIDGE_SPOOL_MAX_BYTES", raw.spool_max_bytes.as_deref(), GIB, MIB..=MOST_BYTES, "bytes"),
        quarantine_max_bytes: r.number("BRIDGE_QUARANTINE_MAX_BYTES", raw.quarantine_max_bytes.as_deref(), 64 * MIB, 64 * KIB..=MOST_BYTES, "bytes"),
    }
}

/// The apps, and whether they may do without a token.
fn read_apps(raw: &Raw, r: &mut Reader) -> (Option<Apps>, bool) {
    let apps = direct_or_file(
        ("BRIDGE_APPS", raw.apps.as_deref()),
        ("BRIDGE_APPS_FILE", raw.apps_file.as_deref()),
        &mut r.faults,
    );
    let (direct, file) = (raw.apps.is_some(), raw.apps_file.is_some());
    if file {
        r.given.insert("BRIDGE_APPS_FILE");
    }
    if !direct && !file && !r.faults.concern("BRIDGE_APPS") && !r.faults.concern("BRIDGE_APPS_FILE") {
        r.faults.push(Fault::new(
            "BRIDGE_APPS",
            "is not set",
            "list your apps as sdkappid:token, separated by commas, or name a file of them in \
             BRIDGE_APPS_FILE",
        ));
    }
    let allow_unsigned = r.flag("BRIDGE_ALLOW_UNSIGNED", raw.allow_unsigned.as_deref(), false);

    let name = if file { "BRIDGE_APPS_FILE" } else { "BRIDGE_APPS" };
    let apps = apps.and_then(|text| match Apps::parse(text.expose(), allow_unsigned) {
        Ok(apps) if apps.has_placeholder() => {
            let problem = "holds the placeholder change-me as a token";
            r.faults.push(Fault::new(name, problem, "set the token that the vendor's console shows"));
            None
        }
        Ok(apps) => Some(apps),
        Err(faults) => {
            for fault in faults {
                // A fault of an entry says what is wrong and, behind the semicolon, the fix.
                let text = fault.to_string();
                let (problem, fix) = text.split_once("; ").unwrap_or((&text, "correct the entry"));
                r.faults.push(Fault::new(name, problem, fix));
            }
            None
        }
    });
    (apps, allow_unsigned)
}

/// Where metrics, health and status are.
pub(super) fn read_ops_listen(text: Option<&str>, r: &mut Reader) -> SocketAddr {
    read_listen("BRIDGE_OPS_LISTEN", text, ([127, 0, 0, 1], 9100), r)
}

fn read_listen(name: &'static str, text: Option<&str>, default: ([u8; 4], u16), r: &mut Reader) -> SocketAddr {
    let default = SocketAddr::from(default);
    r.read(name, text, default, |text| socket_addr(text, default))
}

/// Operations are never served on the webhook listener.
fn refuse_same_port(listen: SocketAddr, ops: SocketAddr, faults: &mut Faults) {
    let ips_meet = listen.ip() == ops.ip() || listen.ip().is_unspecified() || ops.ip().is_unspecified();
    if listen.port() != 0 && listen.port() == ops.port() && ips_meet {
        faults.push(Fault::new(
            "BRIDGE_OPS_LISTEN",
            format!("{ops} is the webhook listener's too ({listen})"),
            "give each a port of its own",
        ));
    }
}

/// The properties, with the secrets that stand in files put in their places.
fn read_kafka(mut vars: BTreeMap<String, String>, faults: &mut Faults) -> KafkaProperties {
    for (file_name, property) in FROM_FILE {
        let Some(path) = vars.remove(*file_name) else {
            continue;
        };
        let name = variable(property);
        let direct = vars.get(&name).map(String::as_str);
        let secret = direct_or_file((&name, direct), (file_name, Some(&path)), faults);
        if let Some(secret) = secret {
            vars.insert(name, secret.expose().to_owned());
        }
    }
    KafkaProperties::read(&vars, faults)
}
