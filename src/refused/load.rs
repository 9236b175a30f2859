//! Reads the journal's files.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{RefusedEntry, RefusedId, Replayed};
use super::file::{self, AUTHENTIC, OUTSIDE_WINDOW};
use super::line::JournalLine;

/// The content of the files.
#[derive(Debug, Default)]
pub struct StoredJournal {
    /// The entries, ordered by id.
    pub entries: Vec<Arc<RefusedEntry>>,
    /// The next id.
    pub next: RefusedId,
    /// Lines that are corrupted or not complete.
    pub unreadable: u64,
}

impl StoredJournal {
    /// Reads the files of a spool directory. Changes nothing.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let (mut entries, mut replays) = (Vec::new(), HashMap::<RefusedId, Replayed>::new());
        let (mut next, mut unreadable) = (1, 0);
        for pair in [AUTHENTIC, OUTSIDE_WINDOW] {
            unreadable += file::load(dir, pair, |line| match line {
                JournalLine::Entry(entry) => entries.push(entry.into_owned()),
                JournalLine::Replayed { id, replayed } => drop(replays.insert(id, replayed)),
                // The other pair has it too, from the time when the file was created.
                JournalLine::Next(stored) if pair == AUTHENTIC => next = stored,
                JournalLine::Next(_) => {}
            })?;
        }
        entries.sort_unstable_by_key(|entry: &RefusedEntry| entry.id);
        entries.dedup_by_key(|entry| entry.id);
        for entry in &mut entries {
            entry.replayed = replays.get(&entry.id).copied();
        }
        next = next.max(entries.last().map_or(1, |entry| entry.id.saturating_add(1)));
        Ok(Self { entries: entries.into_iter().map(Arc::new).collect(), next, unreadable })
    }
}
