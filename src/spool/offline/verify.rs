//! The full check of a spool's file: all that opening it does not look at.

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

/// Faults told one by one; further ones are counted.
const FAULTS_MAX: usize = 100;
/// What one read transaction looks at: a long one would keep a running node's log from starting anew.
const STEP_ROWS: u32 = 512;
const STEP_BYTES: u64 = 8 << 20;

/// What [`verify`] has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Rows looked at: those not yet published, and published ones not yet removed.
    pub rows: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// The first sequence number that is there; `next_seq` where there is none.
    pub first_seq: Seq,
    /// The next sequence number to give out.
    pub next_seq: Seq,
    /// The next sequence number to publish, as stored.
    pub watermark: Seq,
    /// Entries in quarantine.
    pub quarantine_entries: u64,
    /// What is wrong, a sentence each; the first 100.
    pub faults: Vec<String>,
    /// How many there are in all; 0 means that the spool is sound.
    pub faults_total: u64,
}

/// Checks the whole file of the spool in `dir`: SQLite's own structure, the tables, the checksum of every row, the
/// sequence without a gap from the watermark on, the running totals, the counters of the quarantine.
///
/// Changes nothing and takes no lock on the directory: it works on a stopped node and on a running one.
/// Rows are read in short transactions; SQLite's own check is one, which a running node's log outgrows
/// meanwhile. What the node removes or adds while it is checked is no fault.
///
/// # Errors
/// There is no spool, or the file cannot be opened as one. Whatever else is wrong is in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, SpoolError> {
    let file = database_file(dir);
    if !is_there(dir, &file)? {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, format!("there is no {}", file.display()));
        return Err(SpoolError::Directory { dir: dir.to_owned(), source });
    }
    let log = wal_file(dir);
    let stopped = !log.exists();
    let report = verify_file(&file, stopped)?;
    // A node that was started meanwhile may have written below the reading.
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

/// How far the walk along the rows has come.
#[derive(Default)]
struct Walk {
    /// The key of the last row seen.
    last: Option<i64>,
    /// What the next row must begin with; 0 before the first.
    expected: Option<Seq>,
    /// The running total so far, where the last row said it.
    through: Option<u64>,
}

impl Check<'_> {
    fn fault(&mut self, text: String) {
        self.report.faults_total += 1;
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(text);
        }
    }

    /// A part that cannot be looked at is a fault like any other.
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

    /// SQLite does not check the text that names the columns: it would be believed, damaged as it is.
    fn tables(&mut self) -> rusqlite::Result<()> {
        for check::Table { name: table, made, found } in check::tables(self.connection)? {
            match found {
                Some(text) if text == made => {}
                Some(text) => self.fault(format!("table {table} is not what it was made as: {text}")),
                None => self.fault(format!("table {table} is missing")),
            }
        }
        Ok(())
    }

    fn identities(&mut self) -> rusqlite::Result<()> {
        let tx = self.connection.unchecked_transaction()?;
        let watermark = check::watermark(&tx)?;
        let first = rows::identities(&tx)?.first().map(|identity| identity.first_seq);
        if first.is_none_or(|first| first > watermark) {
            let from = first.map_or("nowhere".to_owned(), |first| format!("event {first}"));
            self.fault(format!("the spool has a UUID from {from} on, and event {watermark} needs one"));
        }
        Ok(())
    }

    fn quarantine(&mut self) -> rusqlite::Result<()> {
        let tx = self.connection.unchecked_transaction()?;
        let [said, held] = store::quarantine::counted_and_held(&tx)?;
        self.report.quarantine_entries = held.0;
        if said != held {
            self.fault(format!(
                "the quarantine holds {} entries of {} bytes, and is counted as {} of {}",
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

    /// Looks at the next rows, within one read transaction; tells whether there were any.
    fn step(&mut self, walk: &mut Walk) -> rusqlite::Result<bool> {
        let tx = self.connection.unchecked_transaction()?;
        let watermark = check::watermark(&tx)?;
        let newest = check::newest(&tx)?;
        self.report.watermark = watermark;
        self.report.next_seq = newest.unwrap_or(watermark);
        let keys = check::keys_after(&tx, walk.last.unwrap_or(i64::MIN), STEP_ROWS)?;
        if keys.is_empty() {
            self.end(walk, watermark);
        }
        let more = !keys.is_empty();
        let until = self.report.bytes + STEP_BYTES;
        for key in keys {
            self.row(&tx, walk, key, watermark);
            walk.last = Some(key);
            if self.report.bytes >= until {
                break;
            }
        }
        Ok(more)
    }

    fn end(&mut self, walk: &Walk, watermark: Seq) {
        if walk.last.is_none() {
            self.report.first_seq = self.report.next_seq;
        }
        if self.report.next_seq < watermark {
            self.fault(format!(
                "events below {} were given out, and all below {watermark} are said to be published",
                self.report.next_seq
            ));
        }
    }

    fn row(&mut self, tx: &Transaction<'_>, walk: &mut Walk, key: i64, watermark: Seq) {
        let Ok(first_seq) = Seq::try_from(key) else {
            self.fault(format!("a row has the number {key}"));
            return;
        };
        if self.report.rows == 0 {
            self.report.first_seq = first_seq;
        }
        self.report.rows += 1;
        // Rows below the watermark may have been removed meanwhile.
        let expected = walk.expected.map(|expected| expected.max(watermark.min(first_seq)));
        match expected {
            Some(expected) if expected < first_seq => {
                self.fault(format!("events {expected} to {} are missing", first_seq - 1));
            }
            Some(expected) if expected > first_seq => {
                self.fault(format!("the row of event {first_seq} begins within the row before it"));
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
            self.fault(format!("the row of event {first_seq} is damaged: {reason}"));
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
