//! Reads the selected records in batches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use uuid::Uuid;

use super::accounts::AccountCounter;
use super::destination::Destination;
use super::selection::Selection;
use crate::commands::topic::{Start, TopicReader, as_json};
use crate::config::Config;
use crate::control::REPUBLISH_BYTES;
use crate::quarantine::RecordName;
use crate::record::BRIDGE_REPLAY;
use crate::{events, replay};

/// One reading of the topic.
pub(super) struct Passage<'p> {
    pub(super) config: &'p Config,
    pub(super) selection: &'p Selection,
    pub(super) stop: &'p AtomicBool,
    /// Whether no progress bar is shown.
    pub(super) hidden: bool,
}

/// A selected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// To be published again.
    Record,
    /// Published by an earlier replay.
    Repeat,
    /// Not a record of a bridge.
    Foreign,
}

/// The records of a passage.
#[derive(Debug, Default)]
pub(super) struct ReplayCounts {
    pub(super) records: u64,
    pub(super) accounts: AccountCounter,
    /// Records of earlier replays that are left out.
    pub(super) repeats: u64,
    /// Messages that are left out because they are not records of a bridge.
    pub(super) foreign: u64,
    pub(super) interrupted: bool,
    /// The new numbers of the first and the last record.
    pub(super) first: Option<RecordName>,
    pub(super) last: Option<RecordName>,
}

impl fmt::Display for ReplayCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.records == 1 { "record" } else { "records" };
        write!(f, "{} {noun} of {}", self.records, self.accounts)?;
        match (self.repeats, self.foreign) {
            (0, 0) => Ok(()),
            (repeats, 0) => write!(f, " (left out: {repeats} of earlier replays)"),
            (0, foreign) => write!(f, " (left out: {foreign} that a bridge did not write)"),
            (repeats, foreign) => {
                write!(f, " (left out: {repeats} of earlier replays, {foreign} that a bridge did not write)")
            }
        }
    }
}

/// Encoded records that were not passed on yet.
#[derive(Debug, Default)]
struct RecordBatch {
    events: Vec<Vec<u8>>,
    accounts: Vec<Vec<u8>>,
    bytes: usize,
}

impl Passage<'_> {
    /// Counts the records.
    pub(super) fn count(&self) -> anyhow::Result<ReplayCounts> {
        let mut counts = ReplayCounts::default();
        self.each(|message, selected| {
            if counts.note_if_left_out(selected) {
                return Ok(());
            }
            counts.records += 1;
            counts.accounts.note(message.key().unwrap_or_default());
            Ok(())
        })?;
        counts.interrupted = self.stop.load(Relaxed);
        Ok(counts)
    }

    /// Publishes the records. `counts` has those that were passed on, also after an error.
    pub(super) fn publish(
        &self,
        replay: Uuid,
        destination: &mut Destination,
        counts: &mut ReplayCounts,
    ) -> anyhow::Result<()> {
        destination.open(self.config, replay)?;
        let mut batch = RecordBatch::default();
        self.each(|message, selected| {
            if counts.note_if_left_out(selected) {
                return Ok(());
            }
            batch.add(replay, message);
            if batch.bytes < REPUBLISH_BYTES { Ok(()) } else { self.pass_on(&mut batch, replay, destination, counts) }
        })?;
        if !self.stop.load(Relaxed) {
            self.pass_on(&mut batch, replay, destination, counts)?;
        }
        counts.interrupted = self.stop.load(Relaxed);
        Ok(())
    }

    fn pass_on(
        &self,
        batch: &mut RecordBatch,
        replay: Uuid,
        destination: &mut Destination,
        counts: &mut ReplayCounts,
    ) -> anyhow::Result<()> {
        let RecordBatch { events, accounts, .. } = std::mem::take(batch);
        if events.is_empty() {
            return Ok(());
        }
        let Some(first) = destination.put(replay, &events, self.stop)? else { return Ok(()) };
        let records = events.len() as u64;
        counts.records += records;
        for account in &accounts {
            counts.accounts.note(account);
        }
        counts.first.get_or_insert(first);
        counts.last = Some(RecordName { bridge_seq: first.bridge_seq + records - 1, ..first });
        Ok(())
    }

    /// Passes each selected message to `each`.
    fn each(&self, mut each: impl FnMut(&BorrowedMessage<'_>, Selected) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let Selection { since_ms, until_ms, accounts, with_repeats } = self.selection;
        let client = self.config.kafka.client_config();
        let topic = TopicReader::open(&client, &self.config.topic, Start::At(*since_ms))?;
        let bar = if self.hidden { ProgressBar::hidden() } else { ProgressBar::new(topic.offsets()) };
        bar.set_style(ProgressStyle::with_template("{bar:40} {percent}% {eta}")?);
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        topic.read_to_end(self.stop, |message| {
            let partition = message.partition();
            let before = next.insert(partition, message.offset() + 1).unwrap_or_else(|| topic.start_of(partition));
            bar.inc(u64::try_from(message.offset() + 1 - before).unwrap_or(0));
            let is_in_time = message.timestamp().to_millis().is_some_and(|timestamp| timestamp < *until_ms);
            let key = message.key().unwrap_or_default();
            if is_in_time && (accounts.is_empty() || accounts.iter().any(|account| account.as_bytes() == key)) {
                each(message, select(message, *with_repeats))?;
            }
            Ok(true)
        })?;
        bar.finish_and_clear();
        Ok(())
    }
}

fn select(message: &BorrowedMessage<'_>, with_repeats: bool) -> Selected {
    let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    if !with_repeats && headers.any(|header| header.key == BRIDGE_REPLAY) {
        Selected::Repeat
    } else if events::check(&as_json(message)).is_ok() {
        Selected::Record
    } else {
        Selected::Foreign
    }
}

impl ReplayCounts {
    /// Counts a message that is left out. Returns whether it is.
    fn note_if_left_out(&mut self, selected: Selected) -> bool {
        self.repeats += u64::from(selected == Selected::Repeat);
        self.foreign += u64::from(selected == Selected::Foreign);
        selected != Selected::Record
    }
}

impl RecordBatch {
    fn add(&mut self, replay: Uuid, message: &BorrowedMessage<'_>) {
        let key = message.key().unwrap_or_default();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key, header.value.unwrap_or_default()));
        let event = replay::copy(replay, key, message.payload().unwrap_or_default(), headers, 0);
        self.bytes += event.len();
        self.events.push(event);
        self.accounts.push(key.to_vec());
    }
}
