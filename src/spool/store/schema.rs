//! The tables of the database and their format version.

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::errors::{as_spool_error, corrupt};
use crate::spool::error::SpoolError;

/// `rcbr`: identifies a spool among SQLite files.
const APPLICATION_ID: i32 = 0x7263_6272;
/// The format version, raised with every change of the tables or their content. Version 2 added the table of the
/// deduplication window; version 3 changed its ids; version 4 added events that are stored as fields, which earlier
/// releases cannot publish; version 5 stores the ids with the events first.
const SCHEMA_VERSION: i32 = 5;
/// The first version with the table of the deduplication window.
const WITH_DEDUP: i32 = 2;
/// The first version with the present ids.
const WITH_PRESENT_IDS: i32 = 3;
/// The first version whose groups hold the ids of their events.
const WITH_IDS_OF_GROUPS: i32 = 5;
/// The oldest version that this release reads. It is migrated when the spool is opened.
const OLDEST_VERSION: i32 = 1;
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

/// The ids of the events in the deduplication window: one row per group.
const DEDUP_TABLE: &str = "
CREATE TABLE recent (
    first_seq INTEGER PRIMARY KEY,
    accepted_at_ms INTEGER NOT NULL,
    ids BLOB NOT NULL
) STRICT;
";

/// The ids of the events of a group; and the sequence number below which they are in `recent`, too.
const IDS_COLUMN: &str = "ids BLOB NOT NULL DEFAULT x''";
const IDS_END_COLUMN: &str = "ids_end INTEGER NOT NULL DEFAULT 1";

/// The statements that create the tables of a format version: the same text as after a migration.
fn statements(version: i32) -> String {
    let mut tables = TABLES.to_owned();
    if version >= WITH_IDS_OF_GROUPS {
        let last = [("payload BLOB NOT NULL\n", IDS_COLUMN), ("quarantine_bytes INTEGER NOT NULL\n", IDS_END_COLUMN)];
        for (last, column) in last {
            tables = tables.replace(last, &format!("{last}, {column}"));
        }
    }
    if version >= WITH_DEDUP {
        tables += DEDUP_TABLE;
    }
    tables
}

/// Creates the tables of a new spool, in one transaction.
pub(in crate::spool) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION};
         {}
         INSERT INTO progress VALUES (1, 1, 0, 0, 1);",
        statements(SCHEMA_VERSION)
    ))?;
    connection.execute("INSERT INTO identity VALUES (1, ?1)", [Uuid::now_v7()])?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// The tables of a format version: name and `CREATE TABLE` statement.
pub(in crate::spool) fn tables(version: i32) -> rusqlite::Result<Vec<(String, String)>> {
    let memory = Connection::open_in_memory()?;
    memory.execute_batch(&statements(version))?;
    memory
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Migrates a file of an earlier version, in one transaction.
///
/// In version 2 two recalls could have the same id, and the ids of later versions cannot be computed from them: they
/// are removed. If the sender sends a recall before and after the migration, it is published twice, with one
/// `event_id`; nothing is lost.
pub(in crate::spool) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version < SCHEMA_VERSION {
        let recent = match version {
            ..WITH_DEDUP => DEDUP_TABLE,
            WITH_DEDUP..WITH_PRESENT_IDS => "DELETE FROM recent;",
            WITH_PRESENT_IDS.. => "",
        };
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {recent}
             ALTER TABLE event_group ADD COLUMN {IDS_COLUMN};
             ALTER TABLE progress ADD COLUMN {IDS_END_COLUMN};
             UPDATE progress SET ids_end = max(watermark, (SELECT coalesce(max(first_seq + events), 1) FROM event_group));
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT"
        ))?;
        tracing::info!(event = "spool_migrated", from = version, to = SCHEMA_VERSION, "spool file migrated");
    }
    Ok(())
}

/// Whether the file is a spool that this release can read.
pub(in crate::spool) fn check_format(connection: &Connection, file: &Path) -> Result<(), SpoolError> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = read("application_id").map_err(|error| as_spool_error(file, error))?;
    let version = read("user_version").map_err(|error| as_spool_error(file, error))?;
    let reason = match (application, version) {
        (APPLICATION_ID, OLDEST_VERSION..=SCHEMA_VERSION) => return Ok(()),
        (APPLICATION_ID, _) => {
            format!("its format is version {version}, this release reads up to version {SCHEMA_VERSION}")
        }
        _ => "it is a SQLite file, but not a spool".to_owned(),
    };
    Err(corrupt(file, reason))
}
