//! The quarantine inside the spool: its bounds, its entries, and how they leave it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::group::push_event;
use super::queue::Group;
use super::reader::Reader;
use super::{AppendError, QuarantineEntry, Seq, Spool, SpoolError, schema, writer::Command};

/// The reason of an authentic delivery that is no valid recall, or is over a bound.
pub const MALFORMED: &str = "malformed";
/// The reason of a delivery from outside the time window. Anybody can make these who has once seen a signed
/// request, by sending it again with any body.
pub const STALE: &str = "stale";
/// The reason of one from more than a day away.
pub const EXPIRED: &str = "expired";
/// The reason of a delivery of a command that looks like a published one.
pub const NEAR_MISS: &str = "near_miss";
/// Entries of one step of reading, and their bytes: no further entry is begun beyond either.
const STEP_ENTRIES: usize = 256;
const STEP_BYTES: u64 = 1 << 20;

/// Names an entry for as long as the spool exists: numbers are never given out again.
pub type QuarantineId = i64;

/// How much there is of one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Entries.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Entries by reason.
pub type Tallies = BTreeMap<Cow<'static, str>, Tally>;

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its number.
    pub id: QuarantineId,
    /// When it was put there, in UNIX milliseconds.
    pub at_ms: i64,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence.
    pub detail: String,
    /// The query without Sign; empty for a record.
    pub query: String,
    /// The raw body, or the encoded record.
    pub body: Vec<u8>,
    /// Under which `bridge_spool` and `bridge_seq` it would have been published, for a record.
    pub name: Option<(Uuid, u64)>,
}

/// Counts an entry.
pub(super) fn count(tallies: &mut Tallies, entry: &QuarantineEntry) {
    let tally = tallies.entry(Cow::Borrowed(entry.reason)).or_default();
    tally.events += 1;
    tally.bytes += entry.bytes();
}

/// Counts entries that left; their reason's tally goes with the last of them.
pub(super) fn discount(tallies: &mut Tallies, left: &[(String, u64)]) {
    for (reason, bytes) in left {
        let Some(tally) = tallies.get_mut(reason.as_str()) else { continue };
        tally.events = tally.events.saturating_sub(1);
        tally.bytes = tally.bytes.saturating_sub(*bytes);
        if tally.events == 0 {
            tallies.remove(reason.as_str());
        }
    }
}

/// What the file holds, by reason. Reads the head of every entry: the quarantine is bounded.
pub(super) fn tallies(connection: &Connection) -> rusqlite::Result<Tallies> {
    let mut statement = connection.prepare(&format!("SELECT reason, {BYTES} FROM quarantine"))?;
    let mut rows = statement.query([])?;
    let mut tallies = BTreeMap::<String, Tally>::new();
    while let Some(row) = rows.next()? {
        let reason = row.get_ref(0)?.as_str()?;
        // Few reasons, many entries: the name is copied once.
        if !tallies.contains_key(reason) {
            tallies.insert(reason.to_owned(), Tally::default());
        }
        if let Some(tally) = tallies.get_mut(reason) {
            tally.events += 1;
            tally.bytes += row.get::<_, u64>(1)?;
        }
    }
    Ok(tallies.into_iter().map(|(reason, tally)| (Cow::Owned(reason), tally)).collect())
}

/// [`QuarantineEntry::bytes`] of a row.
pub(super) const BYTES: &str = "octet_length(detail) + octet_length(query) + octet_length(body)";
const COLUMNS: &str = "id, at_ms, reason, detail, query, body, spool_uuid, bridge_seq";

impl Reader {
    /// Entries with a number above `after`, by number: some of them, at least one where there is
    /// one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_after(&self, after: QuarantineId) -> Result<Vec<StoredEntry>, SpoolError> {
        let fault = |error| schema::as_fault(self.file(), error);
        let query = format!("SELECT {COLUMNS} FROM quarantine WHERE id > ?1 ORDER BY id");
        let mut statement = self.connection().prepare_cached(&query).map_err(fault)?;
        let mut rows = statement.query([after]).map_err(fault)?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < STEP_ENTRIES && bytes < STEP_BYTES {
            let Some(row) = rows.next().map_err(fault)? else { break };
            let entry = entry(row).map_err(fault)?;
            bytes += (entry.detail.len() + entry.query.len() + entry.body.len()) as u64;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// One entry, where it is there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_entry(&self, id: QuarantineId) -> Result<Option<StoredEntry>, SpoolError> {
        let fault = |error| schema::as_fault(self.file(), error);
        let query = format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1");
        let mut statement = self.connection().prepare_cached(&query).map_err(fault)?;
        statement.query_row([id], entry).optional().map_err(fault)
    }

    /// The highest number that was ever given out: one up to there that is not there was requeued
    /// or dropped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quarantine_last_id(&self) -> Result<QuarantineId, SpoolError> {
        let query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'quarantine'";
        self.connection().query_row(query, [], |row| row.get(0)).map_err(|error| schema::as_fault(self.file(), error))
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let (uuid, seq): (Option<Uuid>, Option<u64>) = (row.get(6)?, row.get(7)?);
    Ok(StoredEntry {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        reason: row.get(2)?,
        detail: row.get(3)?,
        query: row.get(4)?,
        body: row.get(5)?,
        name: uuid.zip(seq),
    })
}

/// Why entries stay in quarantine. Nothing was changed where nothing else is said.
#[derive(Debug, thiserror::Error)]
pub enum TakeOutError {
    /// There is no room for their events.
    #[error(transparent)]
    Full(#[from] AppendError),
    /// One of them is not there (any more).
    #[error("an entry is not in quarantine any more")]
    Gone,
    /// The commit failed, or the writer has ended: whether they stay is not known.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Spool {
    /// Takes entries out of quarantine and appends events in their stead, all in one commit or
    /// nothing of it; durable when it returns. Returns the number of the first event, or the one
    /// that comes next where there is no event.
    ///
    /// # Errors
    /// See [`TakeOutError`].
    pub fn take_out(&self, ids: BTreeSet<QuarantineId>, events: &[Vec<u8>]) -> Result<Seq, TakeOutError> {
        let mut group = Group::default();
        for event in events {
            push_event(&mut group.payload, |out| out.extend_from_slice(event));
            group.events += 1;
        }
        let shared = self.shared();
        let bytes = group.payload.len() as u64;
        // Given back by the writer where nothing comes of it.
        // What leaves the quarantine may have counted against the spool before: no more than that comes.
        shared.capacity.reserve(bytes, 0)?;
        let asked = self.command(|reply| Command::TakeOut { ids, group: Box::new(group), reply });
        asked?.ok_or(TakeOutError::Gone)
    }

    /// What is in quarantine, by reason.
    pub fn quarantine_tallies(&self) -> Tallies {
        self.shared().state().quarantine.clone()
    }
}
