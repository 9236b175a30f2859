//! The write-ahead log of the database (`spool.db-wal`): bounded while the process runs, and at its start.
//!
//! A WAL grows with each commit. A checkpoint copies it into the database; when all of it is copied and no reader is at
//! work, the next commit writes from its start again. The writer makes a checkpoint each time the WAL has grown by 2 MiB,
//! also under load. From 32 MiB on it waits for readers, for a short time. Only a reader that holds its snapshot
//! for long (a backup, say) lets the WAL grow beyond that.
//! Source: SQLite, "Write-Ahead Logging", sections 2.1, 2.3 and 6.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::schema::{BUSY_TIMEOUT, PAGE_BYTES};

/// From this size on, a checkpoint waits for readers, so that the WAL begins again at its start.
pub(super) const RESTART_BYTES: u64 = 32 << 20;
/// How long such a checkpoint waits. Readers of the bridge take less; another reader may hold on for longer,
/// and no acknowledgement waits for that.
pub(super) const RESTART_WAIT: Duration = Duration::from_millis(50);
/// What the file shrinks to when it begins again.
pub(super) const KEPT_BYTES: u64 = 8 << 20;
/// How much of the WAL is read at once when it is rewritten.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a start that takes long tells how far it has come.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// The file of the WAL.
pub(super) fn log_file(dir: &Path) -> PathBuf {
    dir.join("spool.db-wal")
}

/// Writes the WAL that another process has left over itself, and syncs it.
///
/// If a sync of that process failed, the system may go on showing what was not written, and no later
/// sync would write it. It would be taken for durable, and with it go, when the power fails, all
/// commits behind it. What is rewritten is synced again. While connections are open this is not
/// needed: they know where the WAL ended before the sync that failed, and go on there.
pub(super) fn rewrite(dir: &Path) -> std::io::Result<()> {
    let log = match OpenOptions::new().read(true).write(true).open(log_file(dir)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        log => log?,
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, end) = (0, log.metadata()?.len());
    let mut told = Instant::now();
    while at < end {
        let read = log.read_at(&mut chunk, at)?;
        if read == 0 {
            break;
        }
        log.write_all_at(chunk.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            tracing::info!(event = "wal_recovery", done_bytes = at, bytes = end, "recovering the WAL of the spool");
        }
    }
    log.sync_all()
}

/// Copies a WAL that was left behind into the database and empties it, before anything is accepted: afterwards
/// only what this process writes has to be copied. A failure is found again by the first commit.
pub(super) fn empty(connection: &Connection) {
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = emptied {
        tracing::warn!(event = "checkpoint_failed", %error, "the WAL could not be copied into the database");
    }
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpoint {
    /// Bytes in the WAL that are not yet in the database: a reader still needs what they replace.
    pub(super) left_bytes: u64,
    /// Bytes in the WAL.
    pub(super) wal_bytes: u64,
    /// The next commit writes from the start of the WAL.
    pub(super) is_restarted: bool,
}

/// Copies the WAL into the database. With `wait`, waits so long for readers, and lets the WAL begin again.
pub(super) fn checkpoint(connection: &Connection, wait: Option<Duration>) -> rusqlite::Result<Checkpoint> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let (busy, frames, copied) = match wait {
        None => connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?,
        Some(wait) => {
            connection.busy_timeout(wait)?;
            let result = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], read);
            connection.busy_timeout(BUSY_TIMEOUT)?;
            result?
        }
    };
    let bytes = |frames: i64| u64::try_from(frames).unwrap_or(0) * u64::from(PAGE_BYTES);
    Ok(Checkpoint {
        left_bytes: bytes(frames - copied),
        wal_bytes: bytes(frames),
        is_restarted: wait.is_some() && busy == 0 && frames == copied,
    })
}
