//! The full check of a spool's file, including everything that opening it does not read.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use crate::spool::error::SpoolError;
use crate::spool::frame;
use crate::spool::store::errors::as_spool_error;
use crate::spool::store::files::{database_file, wal_file};
use crate::spool::store::open::is_there;
use crate::spool::store::schema::check_format;
use crate::spool::store::{self, check, rows};
use crate::spool::terms::Seq;

/// Errors that are listed; further ones are only counted.
const FAULTS_MAX: usize = 100;
/// Limits of one read transaction: a long one would keep a running node from restarting its WAL.
const STEP_ROWS: u32 = 512;
const STEP_BYTES: u64 = 8 << 20;

/// The result of [`verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Checked rows: unpublished ones, and published ones not yet removed.
    pub rows: u64,
    /// Their events.
    pub events: u64,
    /// Their bytes of payload.
    pub bytes: u64,
    /// The first sequence number in the file; `next_seq` without any row.
    pub first_seq: Seq,
    /// The sequence number of the next accepted event.
    pub next_seq: Seq,
    /// The stored published sequence.
    pub published_end: Seq,
    /// Entries in quarantine.
    pub quarantine_entries: u64,
    /// The first 100 errors, one sentence each.
    pub faults: Vec<String>,
    /// The number of all errors; 0: the spool is intact.
    pub faults_total: u64,
}

/// Checks the whole file of the spool in `dir`: SQLite's structure, the tables, the checksum of every row, the
/// sequence without gaps from the published sequence on, the running totals, and the counters of the quarantine.
///
/// Changes nothing and takes no lock on the directory, so it works on a stopped and on a running node. Rows are read
/// in short transactions. SQLite's own check is one long transaction; the WAL of a running node grows meanwhile. Rows
/// that the node adds or removes during the check are no errors.
///
/// # Errors
/// There is no spool, or the file cannot be opened as one. All other errors are in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, SpoolError> {
    let file = database_file(dir);
    if !is_there(dir, &file)? {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, format!("{} does not exist", file.display()));
        return Err(SpoolError::Directory { dir: dir.to_owned(), source });
    }
    let log = wal_file(dir);
    let stopped = !log.exists();
    let report = verify_file(&file, stopped)?;
    // A node that started meanwhile may have written during the check.
    if stopped && log.exists() { verify_file(&file, false) } else { Ok(report) }
}

fn verify_file(file: &Path, stopped: bool) -> Result<VerifyReport, SpoolError> {
    let connection = check::open(file, stopped).map_err(|error| as_spool_error(file, error))?;
    check_format(&connection, file)?;
    let mut check = Check { report: VerifyReport::default(), connection: &connection };
    check.part("SQLite's structure", Check::structure);
    check.part("the tables", Check::tables);
    check.part("the identities", Check::identities);
    check.part("the quarantine", Check::quarantine);
    check.part("the rows", Check::rows);
    Ok(check.report)
}

struct Check<'c> {
    connection: &'c Connection,
    report: VerifyReport,
}

/// The state of the walk along the rows.
#[derive(Default)]
struct Walk {
    /// The key of the last row.
    last: Option<i64>,
    /// The expected start of the next row; 0 before the first.
    expected: Option<Seq>,
    /// The running total of the last row, if it could be read.
    through: Option<u64>,
}

impl Check<'_> {
    fn fault(&mut self, text: String) {
        self.report.faults_total += 1;
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(text);
        }
    }

    /// A part that cannot be read is an error, too.
    fn part(&mut self, what: &str, look: impl FnOnce(&mut Self) -> rusqlite::Result<()>) {
        if let Err(error) = look(self) {
            self.fault(format!("{what} cannot be read: {error}"));
        }
    }

    fn structure(&mut self) -> rusqlite::Result<()> {
        for line in check::structure(self.connection, FAULTS_MAX)? {
            self.fault(format!("SQLite: {}", line.trim_end()));
        }
        Ok(())
    }

    /// SQLite does not check the text of the table definitions, and would use a corrupted one.
    fn tables(&mut self) -> rusqlite::Result<()> {
        for check::Table { name: table, made, found } in check::tables(self.connection)? {
            match found {
                Some(text) if text == made => {}
                Some(text) => self.fault(format!("table {table} has a changed definition: {text}")),
                None => self.fault(format!("table {table} is missing")),
            }
        }
        Ok(())
    }

    fn identities(&mut self) -> rusqlite::Result<()> {
        let tx = self.connection.unchecked_transaction()?;
        let published_end = check::published_end(&tx)?;
        let first = rows::identities(&tx)?.first().map(|identity| identity.first_seq);
        if first.is_none_or(|first| first > published_end) {
            let known = first.map_or("no UUID".to_owned(), |first| format!("UUIDs from event {first} on"));
            self.fault(format!("the spool has {known}, but event {published_end} needs one"));
        }
        Ok(())
    }

    fn quarantine(&mut self) -> rusqlite::Result<()> {
        let tx = self.connection.unchecked_transaction()?;
        let [said, held] = store::quarantine::counted_and_held(&tx)?;
        self.report.quarantine_entries = held.0;
        if said != held {
            self.fault(format!(
                "the quarantine holds {} entries with {} bytes, but its counters say {} with {}",
                held.0, held.1, said.0, said.1
            ));
        }
        Ok(())
    }

    fn rows(&mut self) -> rusqlite::Result<()> {
        let mut walk = Walk { expected: Some(0), ..Walk::default() };
        while self.step(&mut walk)? {}
        Ok(())
    }

    /// Checks the next rows in one read transaction. Returns whether there were any.
    fn step(&mut self, walk: &mut Walk) -> rusqlite::Result<bool> {
        let tx = self.connection.unchecked_transaction()?;
        let published_end = check::published_end(&tx)?;
        let newest = check::newest(&tx)?;
        self.report.published_end = published_end;
        self.report.next_seq = newest.unwrap_or(published_end);
        let keys = check::keys_after(&tx, walk.last.unwrap_or(i64::MIN), STEP_ROWS)?;
        if keys.is_empty() {
            self.end(walk, published_end);
        }
        let more = !keys.is_empty();
        let until = self.report.bytes + STEP_BYTES;
        for key in keys {
            self.row(&tx, walk, key, published_end);
            walk.last = Some(key);
            if self.report.bytes >= until {
                break;
            }
        }
        Ok(more)
    }

    fn end(&mut self, walk: &Walk, published_end: Seq) {
        if walk.last.is_none() {
            self.report.first_seq = self.report.next_seq;
        }
        if self.report.next_seq < published_end {
            self.fault(format!(
                "the next event is {}, but all events below {published_end} count as published",
                self.report.next_seq
            ));
        }
    }

    fn row(&mut self, tx: &Transaction<'_>, walk: &mut Walk, key: i64, published_end: Seq) {
        let Ok(first_seq) = Seq::try_from(key) else {
            self.fault(format!("a row has the number {key}"));
            return;
        };
        if self.report.rows == 0 {
            self.report.first_seq = first_seq;
        }
        self.report.rows += 1;
        // The node may have removed published rows meanwhile.
        let expected = walk.expected.map(|expected| expected.max(published_end.min(first_seq)));
        match expected {
            Some(expected) if expected < first_seq => {
                self.fault(format!("events {expected} to {} are missing", first_seq - 1));
            }
            Some(expected) if expected > first_seq => {
                self.fault(format!("the row of event {first_seq} starts within the previous row"));
            }
            _ => {}
        }
        let follows = walk.expected == Some(first_seq);
        let through = walk.through.take().filter(|_| follows);
        walk.expected = None;
        let row = match check::row(tx, key) {
            Ok(row) => row,
            Err(error) => {
                self.fault(format!("the row of event {first_seq} cannot be read: {error}"));
                return;
            }
        };
        let (bytes, end) = (row.payload.len() as u64, first_seq.saturating_add(row.events));
        if let Some(reason) = frame::fault(first_seq, row.events, row.checksum, &row.payload) {
            self.fault(format!("the row of event {first_seq} is corrupted: {reason}"));
        }
        let before = row.bytes_through.checked_sub(bytes);
        if before.is_none() || through.is_some_and(|through| before != Some(through)) {
            self.fault(format!("the running total of bytes is wrong at event {first_seq}: {}", row.bytes_through));
        }
        self.report.events = self.report.events.saturating_add(row.events);
        self.report.bytes += bytes;
        walk.expected = Some(end);
        walk.through = Some(row.bytes_through);
    }
}
