//! Purges recalled messages from Redis. A complete consumer in one file, to copy.
//!
//! ```sh
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ cargo run --example purge_redis
//! ```
//!
//! For each record it removes the key `message:{official_account}:{msg_key}`. It commits the offset afterwards:
//! after a crash in between, the purge is repeated, which is harmless. While Redis is unavailable, it keeps the
//! records that it has read, reads no more, retries, and stays in its group. To share the work, start up to one
//! process per partition of the topic.
//!
//! | variable | default | |
//! |---|---|---|
//! | `KAFKA_BOOTSTRAP_SERVERS` | required | |
//! | `KAFKA_X_Y` | | librdkafka's property `x.y` |
//! | `RECALL_TOPIC` | `official-account.recalls` | |
//! | `REDIS_URL` | `redis://127.0.0.1:6379/` | |
//! | `GROUP_ID` | `purge-redis` | |

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// The number of records that are purged and then committed together.
const BATCH_RECORDS: usize = 500;
/// The longest wait for a record, after which the consumer checks whether it must stop.
const POLL: Duration = Duration::from_millis(100);
/// The timeout of a connection to Redis and of a batch. It is far below max.poll.interval.ms (5 minutes), after
/// which Kafka would assign the partitions to another consumer.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts while Redis is unavailable.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

fn main() -> anyhow::Result<()> {
    let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let topic = setting("RECALL_TOPIC", "official-account.recalls");
    let redis = redis::Client::open(setting("REDIS_URL", "redis://127.0.0.1:6379/")).context("REDIS_URL")?;
    let stop = stop_on_signal()?;
    let consumer = consumer(&setting("GROUP_ID", "purge-redis"))?;
    consumer.subscribe(&[&topic])?;
    eprintln!("purge-redis: waiting for recalls from {topic}");
    run(&consumer, Redis { client: redis, connection: None }, &stop)?;
    // Dropping the consumer leaves the group, so Kafka assigns its partitions to others at once.
    eprintln!("purge-redis: stopped");
    Ok(())
}

/// The needed fields of a record's value. Unknown fields are ignored: the bridge may add some.
#[derive(Deserialize)]
struct Recall {
    schema_version: u64,
    official_account: String,
    msg_key: String,
}

/// A record that was read and is not committed yet.
struct Pending {
    partition: i32,
    /// The key to remove; `None` for a record that cannot be parsed.
    key: Option<String>,
}

/// Reads, purges and commits until it must stop. Records that are not committed are read again after a restart.
fn run(consumer: &BaseConsumer<Context>, mut redis: Redis, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut pending: Vec<Pending> = Vec::new();
    // The committed offset of each partition.
    let mut committed = BTreeMap::new();
    // The time of the next attempt while Redis is unavailable, and the pause after it.
    let mut away: Option<(Instant, Duration)> = None;
    while !stop.load(Ordering::Relaxed) {
        if away.is_some() {
            // Repeated, because new partitions may have been assigned.
            consumer.pause(&consumer.assignment()?)?;
        }
        // Kafka removes a consumer that does not poll, so polling continues while Redis is unavailable.
        let polled = consumer.poll(if pending.is_empty() || away.is_some() { POLL } else { Duration::ZERO });
        // Records of revoked partitions are dropped: their new consumers will purge them. This happens before the
        // new record is added, because it was read after the assignment had changed.
        let lost = consumer.context().take_revoked();
        pending.retain(|record| !lost.contains(&record.partition));
        committed.retain(|partition, _| !lost.contains(partition));
        match polled {
            Some(Ok(message)) => {
                pending.push(understand(&message));
                if pending.len() < BATCH_RECORDS && away.is_none() {
                    continue;
                }
            }
            // librdkafka reconnects by itself.
            Some(Err(error)) => match consumer.client().fatal_error() {
                Some((code, text)) => anyhow::bail!("Kafka: {code}: {text}"),
                None => eprintln!("purge-redis: Kafka: {error}"),
            },
            None => {}
        }
        if away.is_some_and(|(again, _)| Instant::now() < again) {
            continue;
        }
        match redis.purge(&pending) {
            Ok(removed) => {
                for (key, removed) in removed {
                    println!("purged {} ({removed} removed)", shown(key));
                }
                commit(consumer, &mut committed);
                pending.clear();
                if away.take().is_some() {
                    eprintln!("purge-redis: going on");
                    consumer.resume(&consumer.assignment()?)?;
                }
            }
            Err(error) => {
                let delay = away.map_or(RETRY.0, |(_, delay)| (delay * 2).min(RETRY.1));
                eprintln!("purge-redis: Redis: {error}; {} records wait, again in {delay:?}", pending.len());
                away = Some((Instant::now() + delay, delay));
            }
        }
    }
    Ok(())
}

/// Returns the record with the key to remove, or without a key if the record cannot be parsed. Such a record can never
/// be purged. A consumer that stops at it leaves every later recalled message visible. So this consumer logs
/// partition and offset, and skips the record. Alert on this log line.
fn understand(message: &BorrowedMessage<'_>) -> Pending {
    let (partition, offset) = (message.partition(), message.offset());
    let recall = serde_json::from_slice::<Recall>(message.payload().unwrap_or_default());
    let key = match recall {
        // The version rises only when a field changes its meaning or is removed.
        Ok(recall) if recall.schema_version != 1 => Err(format!("schema_version is {}", recall.schema_version)),
        Ok(recall) => Ok(format!("message:{}:{}", recall.official_account, recall.msg_key)),
        Err(error) => Err(error.to_string()),
    };
    let key = key.inspect_err(|fault| eprintln!("purge-redis: SKIPPED record {partition}@{offset}: {}", shown(fault)));
    Pending { partition, key: key.ok() }
}

struct Redis {
    client: redis::Client,
    connection: Option<redis::Connection>,
}

impl Redis {
    /// Removes the keys, and returns for each whether it existed. After an error, some keys may already be removed. The
    /// next attempt removes all again.
    fn purge<'p>(&mut self, pending: &'p [Pending]) -> redis::RedisResult<Vec<(&'p str, u64)>> {
        let keys: Vec<&str> = pending.iter().filter_map(|record| record.key.as_deref()).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("UNLINK").arg(*key);
        }
        // The connection is taken out, and put back only after success: after an error its state is unknown.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let removed: Vec<u64> = pipe.query(&mut connection)?;
        self.connection = Some(connection);
        Ok(keys.into_iter().zip(removed).collect())
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        let connection = self.client.get_connection_with_timeout(REDIS_TIMEOUT)?;
        connection.set_read_timeout(Some(REDIS_TIMEOUT))?;
        connection.set_write_timeout(Some(REDIS_TIMEOUT))?;
        Ok(connection)
    }
}

/// Commits the consumer's position after all read records are purged. The position can be higher than the last
/// record's offset plus 1, because each transaction ends with a marker. With offset plus 1, a consumer that has read
/// everything would have a lag of 1 forever. If the commit fails, the next commit includes it. A crash before that
/// only repeats purges.
fn commit(consumer: &BaseConsumer<Context>, committed: &mut BTreeMap<i32, i64>) {
    let mut moved = TopicPartitionList::new();
    let result = consumer.position().and_then(|positions| {
        for at in positions.elements() {
            // Without an offset, no record of the partition was read yet.
            if let Offset::Offset(offset) = at.offset()
                && committed.get(&at.partition()) != Some(&offset)
            {
                moved.add_partition_offset(at.topic(), at.partition(), Offset::Offset(offset))?;
            }
        }
        if moved.count() == 0 { Ok(()) } else { consumer.commit(&moved, CommitMode::Sync) }
    });
    match result {
        Ok(()) => {
            committed.extend(moved.elements().iter().filter_map(|at| Some((at.partition(), at.offset().to_raw()?))));
        }
        Err(error) => eprintln!("purge-redis: offsets not committed: {error}"),
    }
}

/// Returns whether a variable comes from Kubernetes, for a Service called kafka, or belongs to Kafka's own scripts.
/// Such a variable is not a property of librdkafka.
fn is_foreign(name: &str, value: &str) -> bool {
    let rest = name.strip_prefix("KAFKA").unwrap_or(name);
    let starts = ["_JMX_", "_LOG4J_", "_GC_", "_JVM_", "_HEAP_", "_CONNECT_", "_MIRROR_MAKER_", "_CFG_"];
    let whole = ["_HOME", "_CLASSPATH", "_CLUSTER_ID", "_VERSION", "_LOG_DIR", "_LOG_DIRS", "_BASE_DIR", "_CONFIG_DIR"];
    let ends = ["_OPTS", "_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    // `_PORT_9092_TCP`, and then `_PROTO`, `_PORT` or `_ADDR`.
    let is_port = |(at, infix): (usize, &str)| {
        let (number, protocol) = rest[at + infix.len()..].split_once('_').unwrap_or_default();
        let protocol =
            ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|end| protocol.strip_suffix(end)).unwrap_or(protocol);
        number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    if rest == "_DEBUG" {
        // For librdkafka, this variable is a list of debug contexts. For Kafka's scripts, it is a switch.
        let words = ["y", "yes", "true", "on", "1", "n", "no", "false", "off", "0"];
        return words.iter().any(|word| value.eq_ignore_ascii_case(word));
    }
    whole.contains(&rest)
        || starts.iter().any(|start| rest.starts_with(start))
        || ends.iter().any(|end| rest.ends_with(end))
        || rest.contains("_SERVICE_PORT_")
        || rest.match_indices("_PORT_").any(is_port)
}

/// Escapes untrusted text: control characters, and zero-width or bidirectional characters.
fn shown(text: &str) -> String {
    let is_unsafe = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let escaped = |letter: char| if is_unsafe(letter) { letter.escape_unicode().to_string() } else { letter.into() };
    text.chars().map(escaped).collect()
}

fn consumer(group: &str) -> anyhow::Result<BaseConsumer<Context>> {
    let mut config = ClientConfig::new();
    config.set("client.id", "purge-redis");
    for (name, value) in env::vars().filter(|(name, value)| !is_foreign(name, value)) {
        if let Some(property) = name.strip_prefix("KAFKA_") {
            config.set(property.to_lowercase().replace('_', "."), value);
        }
    }
    anyhow::ensure!(config.get("bootstrap.servers").is_some(), "KAFKA_BOOTSTRAP_SERVERS is missing");
    config
        .set("group.id", group)
        // Skips records of aborted transactions.
        .set("isolation.level", "read_committed")
        // Only purged records are committed.
        .set("enable.auto.commit", "false")
        // A new group also purges the recalls from before its start.
        .set("auto.offset.reset", "earliest");
    config.create_with_context(Context::default()).context("KAFKA_… variables")
}

/// Collects the revoked partitions.
#[derive(Default)]
struct Context {
    revoked: Mutex<Vec<i32>>,
}

impl Context {
    fn take_revoked(&self) -> Vec<i32> {
        std::mem::take(&mut self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            revoked.extend(partitions.elements().iter().map(TopicPartitionListElem::partition));
        }
    }
}

/// True after SIGTERM or SIGINT.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        });
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}
