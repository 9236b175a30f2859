//! The database file: how it is made, opened and checked.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::lock::sync_directory;
use super::quarantine::{self, Tallies, Tally};
use super::wal::log_file;
use super::{Identity, Seq, SpoolError, recent, wal};

/// `rcbr`: tells a spool from any other SQLite file.
const APPLICATION_ID: i32 = 0x7263_6272;
/// Raised with every change of the tables below, or of what is in them: 2 brought the table of the events
/// accepted lately, 3 other ids in it.
const SCHEMA_VERSION: i32 = 3;
/// The first version that has that table.
const WITH_RECENT: i32 = 2;
/// The oldest version that this release can read, and brings up to date when it opens the spool.
const OLDEST_VERSION: i32 = 1;
/// How long a connection waits for a lock of another one of this process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pages of a file made by this release. A group of some tens of events fills one or two: fewer
/// writes for a commit than SQLite's 4 KiB. A file made with other pages keeps them.
pub(super) const PAGE_BYTES: u32 = 16 << 10;
/// The writer's page cache: holds what is on its way to Kafka, so that removing it reads nothing.
const CACHE_KIB: i64 = 8 << 10;

const TABLES: &str = "
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    watermark INTEGER NOT NULL,
    quarantine_events INTEGER NOT NULL,
    quarantine_bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE identity (
    first_seq INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL
) STRICT;
CREATE TABLE event_group (
    first_seq INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE position (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    query TEXT NOT NULL,
    body BLOB NOT NULL,
    spool_uuid BLOB,
    bridge_seq INTEGER
) STRICT;
";

/// The name of the database inside the spool directory.
pub(super) fn database_file(dir: &Path) -> PathBuf {
    dir.join("spool.db")
}

/// Tells a file from another one that has its name: device and inode.
pub(super) type FileId = (u64, u64);

/// The database that has the name now, if there is one.
pub(super) fn file_id(dir: &Path) -> Option<FileId> {
    std::fs::metadata(database_file(dir)).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// What one O(1) look at the file tells.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The next sequence number to publish.
    pub(super) watermark: Seq,
    /// The next sequence number to give out.
    pub(super) next_seq: Seq,
    /// Running total of payload bytes through the newest row.
    pub(super) bytes_through: u64,
    /// Running total through the last row that is published whole.
    pub(super) bytes_released: u64,
    /// Entries by reason.
    pub(super) quarantine: Tallies,
    /// Who publishes which sequence numbers, oldest first.
    pub(super) identities: Vec<Identity>,
}

/// Opens the database for writing, making it where it is missing, and checks it at a cost that
/// does not depend on its size.
pub(super) fn open_writer(dir: &Path) -> Result<(Connection, Found), SpoolError> {
    let file = database_file(dir);
    if !is_there(dir, &file)? {
        make(dir, &file)?;
    }
    let connection = Connection::open(&file).map_err(|error| as_fault(&file, error))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // What is refused stays as it is: otherwise SQLite empties the log into the file as it closes it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Before anything is changed: it may be another program's file.
    check_format(&connection, &file)?;
    prepare(&connection).map_err(|error| as_fault(&file, error))?;
    let found = check(&connection, &file)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok((connection, found))
}

/// The same for the first connection of a process.
pub(super) fn open_first(dir: &Path) -> Result<(Connection, Found), SpoolError> {
    wal::rewrite(dir).map_err(|source| SpoolError::Directory { dir: dir.to_owned(), source })?;
    let (connection, found) = open_writer(dir)?;
    wal::empty(&connection).map_err(|error| as_fault(&database_file(dir), error))?;
    Ok((connection, found))
}

/// Whether there is a database. An empty file is none, and was one: SQLite would delete its log.
pub(super) fn is_there(dir: &Path, file: &Path) -> Result<bool, SpoolError> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() > 0 => Ok(true),
        Ok(_) => Err(corrupt(file, "it is empty: something has cut it off".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SpoolError::Directory { dir: dir.to_owned(), source }),
    }
}

/// Makes a new spool under another name and gives it its own when it is complete and synced: what is
/// found under that name and holds no spool was damaged, and is not taken for a new one.
fn make(dir: &Path, file: &Path) -> Result<(), SpoolError> {
    let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
    let log = log_file(dir);
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(corrupt(file, format!("it is missing, and its log {} is there", log.display())));
    }
    let new = dir.join("spool.db.new");
    for leftover in [&new, &dir.join("spool.db.new-journal")] {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    // Who sent what, and from where, is for the bridge alone to read; SQLite gives its other files the
    // mode of this one.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(fault)?;
    let as_fault = |error| as_fault(file, error);
    let connection = Connection::open(&new).map_err(as_fault)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(as_fault)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(as_fault)?;
    create(&connection).map_err(as_fault)?;
    connection.close().map_err(|(_, error)| as_fault(error))?;
    std::fs::rename(&new, file).map_err(fault)?;
    sync_directory(dir).map_err(fault)
}

/// Opens the database for reading, on a connection of its own.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, SpoolError> {
    let file = database_file(dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: COMMIT returns only after the log has been synced to the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The writer decides when to checkpoint; the WAL shrinks back to this after a burst.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", wal::KEPT_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(())
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION};
         {TABLES}
         {}",
        recent::TABLE
    ))?;
    connection.execute("INSERT INTO progress VALUES (1, 1, 0, 0)", [])?;
    connection.execute("INSERT INTO identity VALUES (1, ?1)", [Uuid::now_v7()])?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// The tables that a file of `version` holds: name, and the statement that made it.
pub(super) fn tables(version: i32) -> rusqlite::Result<Vec<(String, String)>> {
    let memory = Connection::open_in_memory()?;
    memory.execute_batch(TABLES)?;
    if version >= WITH_RECENT {
        memory.execute_batch(recent::TABLE)?;
    }
    memory
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Brings a file of an earlier version up to date, in one transaction.
///
/// Ids of version 2 could be the same for two recalls, and those of this version do not follow from
/// them: they are forgotten. What the sender repeats across the upgrade is published again, with the same
/// `event_id`; nothing is lost.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version < SCHEMA_VERSION {
        let recent = if version < WITH_RECENT { recent::TABLE } else { "DELETE FROM recent;" };
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {recent}
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT"
        ))?;
        tracing::info!(from = version, to = SCHEMA_VERSION, "the spool file was brought up to date");
    }
    Ok(())
}

/// Whether the file is a spool that this release can read.
pub(super) fn check_format(connection: &Connection, file: &Path) -> Result<(), SpoolError> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = read("application_id").map_err(|error| as_fault(file, error))?;
    let version = read("user_version").map_err(|error| as_fault(file, error))?;
    let reason = match (application, version) {
        (APPLICATION_ID, OLDEST_VERSION..=SCHEMA_VERSION) => return Ok(()),
        (APPLICATION_ID, _) => {
            format!("its format is version {version}, this release reads up to version {SCHEMA_VERSION}")
        }
        _ => "it is a SQLite file, but not a spool".to_owned(),
    };
    Err(corrupt(file, reason))
}

fn corrupt(file: &Path, reason: String) -> SpoolError {
    SpoolError::Corrupt { file: file.to_owned(), reason }
}

/// Takes a new name where nothing was ever accepted under the present one: nobody knows it but a copy
/// of this file (a machine made from an image, say), and two that publish under one name would get
/// into each other's way.
pub(super) fn rename_unused(connection: &Connection, found: &mut Found) -> rusqlite::Result<()> {
    let [identity] = found.identities.as_mut_slice() else { return Ok(()) };
    if found.next_seq > identity.first_seq {
        return Ok(());
    }
    identity.uuid = Uuid::now_v7();
    connection
        .execute("UPDATE identity SET uuid = ?1 WHERE first_seq = ?2", params![identity.uuid, identity.first_seq])?;
    Ok(())
}

/// Reads the head and the tail of the spool.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<Found, SpoolError> {
    let found = look(connection).map_err(|error| as_fault(file, error))?;
    let Some(first) = found.identities.first() else {
        return Err(corrupt(file, "it has no identity".to_owned()));
    };
    if found.watermark < 1 || found.next_seq < found.watermark || first.first_seq > found.watermark {
        return Err(corrupt(
            file,
            format!(
                "its numbers contradict each other: identity from {}, published below {}, given out below {}",
                first.first_seq, found.watermark, found.next_seq
            ),
        ));
    }
    if found.bytes_released > found.bytes_through {
        return Err(corrupt(
            file,
            format!(
                "its totals contradict each other: {} bytes published of {}",
                found.bytes_released, found.bytes_through
            ),
        ));
    }
    Ok(found)
}

fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let (watermark, quarantine_events, quarantine_bytes): (Seq, u64, u64) = connection.query_row(
        "SELECT watermark, quarantine_events, quarantine_bytes FROM progress WHERE id = 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let newest = connection
        .query_row(
            "SELECT first_seq + events, bytes_through FROM event_group ORDER BY first_seq DESC LIMIT 1",
            [],
            |row| Ok((row.get::<_, Seq>(0)?, row.get::<_, u64>(1)?)),
        )
        .optional()?;
    let (next_seq, bytes_through) = newest.unwrap_or((watermark, 0));
    let bytes_released = match released(connection, watermark)? {
        Some(bytes) => bytes,
        None => connection
            .query_row(
                "SELECT bytes_through - length(payload) FROM event_group ORDER BY first_seq LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?
            .unwrap_or(bytes_through),
    };
    let identities = identities(connection)?;
    let quarantine = quarantine::tallies(connection).unwrap_or_else(|error| {
        // Recalls are accepted all the same; nothing but what is in quarantine is in question.
        tracing::error!(%error, "the quarantine cannot be read");
        [("unreadable".into(), Tally { events: quarantine_events, bytes: quarantine_bytes })].into()
    });
    Ok(Found { watermark, next_seq, bytes_through, bytes_released, quarantine, identities })
}

/// Who publishes which sequence numbers, oldest first.
pub(super) fn identities(connection: &Connection) -> rusqlite::Result<Vec<Identity>> {
    connection
        .prepare_cached("SELECT first_seq, uuid FROM identity ORDER BY first_seq")?
        .query_map([], |row| Ok(Identity { first_seq: row.get(0)?, uuid: row.get(1)? }))?
        .collect()
}

/// The running total through the last row that lies whole below the watermark, if there is one.
pub(super) fn released(connection: &Connection, watermark: Seq) -> rusqlite::Result<Option<u64>> {
    // The rows come newest first: the one that holds the watermark, if any, then the one wanted.
    let mut statement = connection.prepare_cached(
        "SELECT bytes_through, first_seq + events <= ?1 FROM event_group
         WHERE first_seq < ?1 ORDER BY first_seq DESC LIMIT 2",
    )?;
    let mut rows = statement.query(params![watermark])?;
    while let Some(row) = rows.next()? {
        if row.get(1)? {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

/// A damaged file is named as such; every other fault stays what it is.
pub(super) fn as_fault(file: &Path, error: rusqlite::Error) -> SpoolError {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, Unknown};
    let directory = |text: String| SpoolError::Directory {
        dir: file.parent().unwrap_or(file).to_owned(),
        source: std::io::Error::other(text),
    };
    match error.sqlite_error_code() {
        // `Unknown` is what a missing table or column gives.
        Some(DatabaseCorrupt | NotADatabase | Unknown) => corrupt(file, error.to_string()),
        Some(CannotOpen | DiskFull | ReadOnly) => directory(error.to_string()),
        _ if matches!(error, rusqlite::Error::SqliteFailure(..)) => SpoolError::Sqlite(error),
        // A value of another type, no row where one must be: the file holds something else.
        _ => corrupt(file, error.to_string()),
    }
}
