//! `recall-bridge tail`: reads the topic as a consumer, and can verify that no record is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::CommandError;
use super::output::{Output, note};
use crate::clock;
use crate::config::Config;
use crate::escape::{json_text, plain};
use crate::verify::Verifier;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum From {
    Beginning,
    End,
}

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct TailArgs {
    /// Where to start.
    #[arg(long, value_enum, default_value = "end")]
    from: From,
    /// Stop after this number of records.
    #[arg(long)]
    count: Option<u64>,
    /// Stop at the end that the topic had when the command started.
    #[arg(long)]
    until_end: bool,
    /// Verify keys, values, event ids, order, gaps and duplicates; exit 1 on any error.
    #[arg(long)]
    verify: bool,
    /// Print one JSON object per record, and one with the result of --verify.
    #[arg(long)]
    json: bool,
    /// Print only the result of --verify, no records.
    #[arg(long, requires = "verify")]
    quiet: bool,
}

/// Reads and prints records until Ctrl-C, or until --count or --until-end is reached.
///
/// # Errors
/// The broker fails, or --verify finds an error.
pub fn run(args: &TailArgs) -> Result<(), CommandError> {
    // This command does not need the apps.
    let config = Config::from_env_with(&[("BRIDGE_APPS", "0:unused")])?;
    let stop = Arc::new(AtomicBool::new(false));
    on_interrupt(&stop).map_err(CommandError::Outside)?;
    let mut verifier = args.verify.then(Verifier::default);
    let mut output = Output::live();
    let read = read(args, config.kafka.client_config(), &config.topic, &stop, verifier.as_mut(), &mut output);
    read.map_err(CommandError::Outside)?;
    let Some(verifier) = verifier else { return output.finish() };
    if output.is_closed() {
        let why = anyhow!("stdout was closed before the end; nothing is verified");
        return Err(CommandError::Negative(why));
    }
    let report = verifier.finish();
    if args.json {
        output.json(&json!({ "verified": report.is_clean(), "report": report }));
    } else {
        output.line(&report);
    }
    output.finish()?;
    if report.is_clean() { Ok(()) } else { Err(CommandError::Negative(anyhow!("verification failed"))) }
}

fn read(
    args: &TailArgs,
    mut client: rdkafka::ClientConfig,
    topic: &str,
    stop: &AtomicBool,
    mut verifier: Option<&mut Verifier>,
    output: &mut Output,
) -> anyhow::Result<()> {
    let consumer: BaseConsumer = client
        .set("isolation.level", "read_committed")
        .set("group.id", "recall-bridge-tail")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut open = assign(&consumer, topic, args.from)?;
    if let Some(verifier) = verifier.as_deref_mut() {
        verifier.partitions(consumer.assignment()?.count());
    }
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 && !stop.load(Relaxed) && !(args.until_end && open.is_empty()) {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let end = open.get(&message.partition()).copied();
                if args.until_end && end.is_none_or(|end| message.offset() >= end) {
                    open.remove(&message.partition());
                    continue;
                }
                let record = as_json(&message);
                if let Some(verifier) = verifier.as_deref_mut() {
                    verifier.note(&record);
                }
                if !args.quiet && !print(output, &record, args.json) {
                    return Ok(());
                }
                left -= 1;
                if end.is_some_and(|end| message.offset() + 1 >= end) {
                    open.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // librdkafka looks for a group coordinator, although this consumer joins no group.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => {
                note(format_args!("recall-bridge: {error}"));
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Assigns all partitions. Returns the high watermark of each partition that has records to read.
fn assign(consumer: &BaseConsumer, topic: &str, from: From) -> anyhow::Result<BTreeMap<i32, i64>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(|error| {
        anyhow!("the brokers of KAFKA_BOOTSTRAP_SERVERS cannot be reached: {error}; check the address and the network")
    })?;
    let partitions = metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
    if partitions.is_empty() {
        return Err(anyhow!("topic {topic} does not exist; set BRIDGE_TOPIC"));
    }
    let mut list = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        let start = if from == From::Beginning { low } else { high };
        list.add_partition_offset(topic, partition.id(), Offset::Offset(start))?;
        if start < high {
            ends.insert(partition.id(), high);
        }
    }
    consumer.assign(&list)?;
    Ok(ends)
}

/// Whether an error can pass: the broker may become reachable again.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(code, E::BrokerTransportFailure | E::AllBrokersDown | E::OperationTimedOut | E::Resolve)
}

fn as_json(message: &BorrowedMessage<'_>) -> Value {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: serde_json::Map<String, Value> = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .map(|header| (header.key.to_owned(), text(header.value).into()))
        .collect();
    let value = message
        .payload()
        .map(|payload| serde_json::from_slice(payload).unwrap_or_else(|_| Value::from(text(Some(payload)))));
    json!({
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp().to_millis(),
        "timestamp": message.timestamp().to_millis().map(clock::iso8601),
        "key": text(message.key()),
        "headers": headers,
        "value": value,
    })
}

/// Prints a record. Returns `false` if further records would be lost.
fn print(output: &mut Output, record: &Value, json: bool) -> bool {
    if json {
        return output.json(record);
    }
    let field = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => plain(text).into_owned(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => json_text(&other.to_string()).into_owned(),
    };
    output.line(format_args!(
        "{}@{}  {}  {}  recalled {}  seq {}",
        field("/partition"),
        field("/offset"),
        field("/value/official_account"),
        field("/value/msg_key"),
        field("/value/recalled_at"),
        field("/headers/bridge_seq"),
    ))
}

fn on_interrupt(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::clone(stop);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        stop.store(true, Relaxed);
    })?;
    Ok(())
}
