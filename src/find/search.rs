//! Searches the places of a recall.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sighting::{FindPlace, FindReport, Sighting};
use super::sought::Sought;
use super::text::kcat;
use crate::published::{PublishedRecord, PublishedRing, shown};
use crate::refused::RefusedJournal;
use crate::spool::{Identity, ReadLimit, Reader, Seq, Spool, SpoolError};

/// Longest text to search for, in bytes: that of a MsgKey.
pub const KEY_MAX_BYTES: usize = 32 << 10;
/// Events of the backlog that one search reads, and its time.
const SPOOL_EVENTS_MAX: u64 = 200_000;
const SEARCH_TIME: Duration = Duration::from_secs(2);
const STEP: ReadLimit = ReadLimit { events: 5_000, bytes: 4 << 20 };
/// Found items per place.
const FOUND_MAX: usize = 50;

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Not a text to search for.
    #[error("key: an account, a MsgKey or an event id of 1 to {KEY_MAX_BYTES} bytes")]
    Key,
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Searches spool, quarantine, refused journal and the last published records of a running node.
#[derive(Debug, Clone)]
pub struct Finder {
    /// The spool.
    pub spool: Spool,
    /// The refused journal.
    pub journal: Arc<RefusedJournal>,
    /// The last published records.
    pub published: PublishedRing,
    /// The topic, for command lines.
    pub topic: String,
    /// The brokers, for command lines.
    pub brokers: String,
}

impl Finder {
    /// Searches for an account, a MsgKey or an event id. Reads the disk.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn find(&self, reader: &mut Reader, key: &str) -> Result<FindReport, FindError> {
        let key = key.trim();
        if key.is_empty() || key.len() > KEY_MAX_BYTES {
            return Err(FindError::Key);
        }
        let mut search = PlaceSearch::new(key);
        search.published(self);
        search.spool(self, reader)?;
        search.quarantine(reader)?;
        search.refused(self);
        let complete = search.notes.is_empty();
        Ok(FindReport { key: shown(key.as_bytes()), found: search.found, complete, notes: search.notes })
    }

    /// The command line that prints a published record.
    pub fn kcat(&self, partition: i32, offset: i64) -> String {
        kcat(&self.brokers, &self.topic, partition, offset)
    }
}

struct PlaceSearch<'k> {
    sought: Sought<'k>,
    until: Instant,
    found: Vec<Sighting>,
    notes: Vec<String>,
}

impl<'k> PlaceSearch<'k> {
    fn new(key: &'k str) -> Self {
        let sought = Sought::new(key);
        Self { sought, until: Instant::now() + SEARCH_TIME, found: Vec::new(), notes: Vec::new() }
    }

    /// Adds what one place has, newest first.
    fn add(&mut self, place: &str, mut found: Vec<Sighting>, limited: Option<String>) {
        if found.len() > FOUND_MAX {
            self.notes.push(format!("{place}: the newest {FOUND_MAX} of {} are listed", found.len()));
            found.drain(..found.len() - FOUND_MAX);
        }
        self.notes.extend(limited);
        self.found.extend(found.into_iter().rev());
    }

    fn published(&mut self, finder: &Finder) {
        let matches =
            |record: &PublishedRecord| self.sought.is_one_of(&record.account, &record.msg_key, &record.event_id);
        let found = finder.published.newest(PublishedRing::LEN).into_iter().rev().filter(matches);
        let found = found.map(|record| {
            let mut sighting = Sighting::new(FindPlace::Published, record.published_at.clone());
            sighting.command = Some(finder.kcat(record.partition, record.offset));
            (sighting.partition, sighting.offset) = (Some(record.partition), Some(record.offset));
            (sighting.bridge_spool, sighting.bridge_seq) = (Some(record.bridge_spool), Some(record.bridge_seq));
            sighting.account = Some(record.account);
            sighting.msg_key = Some(record.msg_key);
            sighting.event_id = Some(record.event_id);
            sighting
        });
        self.add("published", found.collect(), None);
    }

    fn spool(&mut self, finder: &Finder, reader: &mut Reader) -> Result<(), SpoolError> {
        let progress = finder.spool.progress();
        let identities = finder.spool.identities();
        let end = progress.next_seq.min(progress.published_end.saturating_add(SPOOL_EVENTS_MAX));
        let (mut from, mut found) = (progress.published_end, Vec::new());
        while from < end && Instant::now() < self.until {
            let batch = match reader.read(from, end, STEP) {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => batch,
                Err(SpoolError::CorruptedRow(damage)) => {
                    self.notes.push(format!("spool: corrupted events {from} to {} were skipped", damage.until - 1));
                    from = damage.until.max(from + 1);
                    continue;
                }
                // Published and deleted meanwhile.
                Err(SpoolError::Corrupt { .. }) if finder.spool.progress().published_end > from => {
                    from = finder.spool.progress().published_end;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (seq, event) in batch.events() {
                found.extend(self.sought.event(event, Identity::name(&identities, seq)));
            }
            from = batch.until();
        }
        let limited = (from < progress.next_seq).then(|| {
            format!("spool: {} of {} events were searched", searched(from, progress.published_end), progress.depth())
        });
        self.add("spool", found, limited);
        Ok(())
    }

    fn quarantine(&mut self, reader: &Reader) -> Result<(), SpoolError> {
        let (mut after, mut found, mut limited) = (0, Vec::new(), None);
        loop {
            let entries = reader.quarantine_after(after)?;
            let Some(last) = entries.last() else { break };
            after = last.id;
            found.extend(entries.iter().filter_map(|entry| self.sought.entry(entry)));
            if Instant::now() >= self.until {
                limited = Some("quarantine: not all entries were searched".to_owned());
                break;
            }
        }
        self.add("quarantine", found, limited);
        Ok(())
    }

    fn refused(&mut self, finder: &Finder) {
        let entries = finder.journal.entries();
        let found = entries.iter().filter_map(|entry| self.sought.refusal(entry)).collect();
        self.add("refused", found, None);
    }
}

fn searched(from: Seq, start: Seq) -> u64 {
    from.saturating_sub(start)
}
