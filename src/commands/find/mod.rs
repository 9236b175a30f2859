//! `recall-bridge find`: where a recall is. Only reads.

mod places;

use std::collections::BTreeSet;

use anyhow::anyhow;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde::Serialize;
use serde_json::Value;

use super::output::{Output, note};
use super::quarantine::select::since;
use super::topic::{Start, TopicReader, as_json, on_interrupt};
use super::{CommandError, Place};
use crate::clock;
use crate::config::{Config, brokers_are_set};
use crate::escape::plain;
use crate::find::{FindPlace, Sighting, Sought, kcat};
use crate::published::shown;
use crate::record::header::{ID, SUBJECT};
use crate::spool::{Hold, SpoolError};

/// The part of the topic that is read by default, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Arguments of `find`.
#[derive(Debug, clap::Args)]
pub struct FindArgs {
    /// Accounts, MsgKeys or event ids.
    #[arg(required = true, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    keys: Vec<String>,
    /// Read the topic since this time (2026-01-31T12:00:00Z) or for this last period (30m, 24h, 7d). Default: 24h.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Print one JSON object per place.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A found recall, with the key that it matches.
#[derive(Serialize)]
struct Match<'k> {
    key: &'k str,
    #[serde(flatten)]
    sighting: &'k Sighting,
}

/// Searches spool, quarantine, refused journal and, if brokers are configured, the topic.
///
/// # Errors
/// A place cannot be read, or a key is in none of them.
pub fn run(args: &FindArgs) -> Result<(), CommandError> {
    let mut search = KeySearch {
        keys: args.keys.iter().map(|key| Sought::new(key)).collect(),
        found: BTreeSet::new(),
        output: Output::live(),
        json: args.json,
    };
    let dir = args.place.config()?.dir;
    let with_topic = brokers_are_set();
    match Hold::take(&dir) {
        Err(error @ SpoolError::NoSpool { .. }) if with_topic => {
            note(format_args!("{error}; only the topic is searched"));
        }
        hold => {
            drop(hold?);
            places::search(&dir, &mut search)?;
        }
    }
    if with_topic {
        topic(args, &mut search)?;
    } else {
        note("KAFKA_BOOTSTRAP_SERVERS is not set; the topic is not searched");
    }
    let missing: Vec<String> =
        args.keys.iter().filter(|key| !search.found.contains(*key)).map(|key| plain(key).into_owned()).collect();
    // A reader that closes the pipe has what it wants; the search ended early.
    let closed = search.output.is_closed();
    search.output.finish()?;
    if closed || missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::Negative(anyhow!("not found: {}", missing.join(", "))))
}

/// Searches the topic up to its current end.
fn topic(args: &FindArgs, search: &mut KeySearch<'_>) -> Result<(), CommandError> {
    // This command does not need the apps.
    let config = Config::from_env_with(&[("BRIDGE_APPS", "0:unused")])?;
    let from = args.since.unwrap_or_else(|| clock::now_ms() - DAY_MS);
    let mut read = || -> anyhow::Result<()> {
        let stop = on_interrupt()?;
        let reader = TopicReader::open(&config.kafka.client_config(), &config.topic, Start::At(from))?;
        reader.read_to_end(&stop, |message| {
            if !search.keys.iter().any(|sought| is_wanted(sought.key().as_bytes(), message)) {
                return Ok(true);
            }
            let record = as_json(message);
            Ok(search.put(|sought| published(sought, message, &record, &config)))
        })
    };
    read().map_err(CommandError::Outside)
}

/// Whether a record has the key as account, MsgKey or event id. Most records do not, so it parses nothing.
fn is_wanted(wanted: &[u8], message: &BorrowedMessage<'_>) -> bool {
    let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    message.key() == Some(wanted)
        || headers.any(|header| (header.key == SUBJECT || header.key == ID) && header.value == Some(wanted))
}

/// A record of the topic, if it matches.
fn published(sought: &Sought<'_>, message: &BorrowedMessage<'_>, record: &Value, config: &Config) -> Option<Sighting> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let fields = [text("/key"), text("/value/msg_key"), text("/value/event_id")];
    if !fields.contains(&Some(sought.key())) {
        return None;
    }
    let at = message.timestamp().to_millis().map_or_else(|| "-".to_owned(), clock::iso8601);
    let mut sighting = Sighting::new(FindPlace::Published, at);
    [sighting.account, sighting.msg_key, sighting.event_id] =
        fields.map(|field| field.map(|field| shown(field.as_bytes())));
    (sighting.partition, sighting.offset) = (Some(message.partition()), Some(message.offset()));
    sighting.bridge_spool = text("/headers/bridge_spool").and_then(|uuid| uuid.parse().ok());
    sighting.bridge_seq = text("/headers/bridge_seq").and_then(|seq| seq.parse().ok());
    let brokers = config.kafka.bootstrap_servers();
    sighting.command = Some(kcat(brokers, &config.topic, message.partition(), message.offset()));
    Some(sighting)
}

/// Prints what is found, and remembers which keys were.
struct KeySearch<'k> {
    keys: Vec<Sought<'k>>,
    found: BTreeSet<String>,
    output: Output,
    json: bool,
}

impl KeySearch<'_> {
    /// Prints what `look` finds for each key. Returns `false` if further lines would be lost.
    fn put(&mut self, look: impl Fn(&Sought<'_>) -> Option<Sighting>) -> bool {
        let mut open = true;
        for sought in &self.keys {
            let Some(sighting) = look(sought) else { continue };
            if !self.found.contains(sought.key()) {
                self.found.insert(sought.key().to_owned());
            }
            open = if self.json {
                self.output.json(&Match { key: sought.key(), sighting: &sighting })
            } else {
                print(&mut self.output, &sighting)
            };
        }
        open
    }
}

fn print(output: &mut Output, sighting: &Sighting) -> bool {
    let text = |field: &Option<String>| field.as_deref().map_or_else(|| "-".into(), plain).into_owned();
    let mut parts = Vec::new();
    if let (Some(partition), Some(offset)) = (sighting.partition, sighting.offset) {
        parts.push(format!("{partition}@{offset}"));
    }
    if let Some(id) = sighting.id {
        parts.push(format!("entry {id}"));
    }
    if let (Some(spool), Some(seq)) = (sighting.bridge_spool, sighting.bridge_seq) {
        parts.push(format!("bridge_seq {seq} of {spool}"));
    }
    parts.extend(sighting.reason.as_deref().map(|reason| plain(reason).into_owned()));
    output.line(format_args!(
        "{:<10}  {}  {}  {}  {}",
        sighting.place.label(),
        plain(&sighting.at),
        text(&sighting.account),
        text(&sighting.msg_key),
        parts.join("  ")
    ));
    match &sighting.command {
        Some(command) => output.line(format_args!("{:<10}  {}", "", plain(command))),
        None => true,
    }
}
