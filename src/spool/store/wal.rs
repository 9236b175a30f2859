//! The write-ahead log of the database (`spool.db-wal`): bounded while the process runs, and at its start.
//!
//! A WAL grows with each commit. A checkpoint copies it into the database; when all of it is copied and no reader is at
//! work, the next commit writes from its start again. `writer::checkpoints` decides when, and bounds what a reader that
//! holds its snapshot for long (a backup) makes of it.
//! Source: SQLite, "Write-Ahead Logging", sections 2.1, 2.3 and 6.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::files::{BUSY_TIMEOUT, database_file, page_bytes, wal_file};

/// How long a checkpoint waits for readers. Readers of the bridge take less; another reader may hold on for longer,
/// and no acknowledgement waits for that.
const RESTART_WAIT: Duration = Duration::from_millis(50);
/// The size that the file has from the start on, and to which it shrinks when it begins again.
pub(in crate::spool) const KEPT_BYTES: u64 = 8 << 20;
/// With less free space, the WAL begins with nothing.
const FREE_BYTES_MIN: u64 = 8 * KEPT_BYTES;
/// The kernel's page on common machines.
const PAGE_BYTES: usize = 4096;
/// How much of the WAL is read at once when it is rewritten.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a start that takes long tells how far it has come.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Writes the WAL that another process has left over itself, and syncs it.
///
/// If a sync of that process failed, the system may go on showing what was not written, and no later
/// sync would write it. It would be taken for durable, and with it go, when the power fails, all
/// commits behind it. What is rewritten is synced again. While connections are open this is not
/// needed: they know where the WAL ended before the sync that failed, and go on there.
pub(in crate::spool) fn rewrite(dir: &Path) -> std::io::Result<()> {
    let log = match OpenOptions::new().read(true).write(true).open(wal_file(dir)) {
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
/// only what this process writes has to be copied.
///
/// # Errors
/// The disk fails. A full disk is not an error here: the spool refuses webhooks until it has space.
pub(in crate::spool) fn empty(connection: &Connection) -> rusqlite::Result<()> {
    let (ended, waiting) = channel::<()>();
    let began = Instant::now();
    let emptied = std::thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(TOLD_EVERY) == Err(RecvTimeoutError::Timeout) {
                let seconds = began.elapsed().as_secs();
                tracing::info!(event = "wal_recovery", seconds, "copying the WAL of the spool into the database");
            }
        });
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(ended);
        emptied
    });
    match emptied {
        Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)) => {
            tracing::warn!(event = "checkpoint_failed", %error, "cannot copy the WAL into the database");
            Ok(())
        }
        emptied => emptied,
    }
}

/// Fills the file up to [`KEPT_BYTES`] with zeros, before the first commit. SQLite takes what follows its last commit for
/// free space.
///
/// The sync of a file that has grown waits for the journal of the file system, and so for other files: on a busy machine
/// that took some commits seconds. `fallocate` would not help, because the first write to such a block is a change of the
/// journal, too.
pub(in crate::spool) fn reserve(dir: &Path) {
    if let Err(error) = fill(dir) {
        tracing::info!(event = "wal_not_reserved", %error, "cannot reserve space for the WAL; it grows with the commits");
    }
}

fn fill(dir: &Path) -> std::io::Result<()> {
    let log = OpenOptions::new().write(true).open(wal_file(dir))?;
    let free = rustix::fs::fstatvfs(&log)?;
    if free.f_bavail.saturating_mul(free.f_frsize) < FREE_BYTES_MIN {
        return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, "less than 64 MiB are free"));
    }
    // Page by page: the kernel keeps a larger write as one unit, and counts all of it for each commit that changes a part.
    let zeros = [0; PAGE_BYTES];
    let mut at = usize::try_from(log.metadata()?.len()).unwrap_or(usize::MAX);
    while (at as u64) < KEPT_BYTES {
        let rest_of_page = zeros.split_at(at % PAGE_BYTES).1;
        log.write_all_at(rest_of_page, at as u64)?;
        at += rest_of_page.len();
    }
    log.sync_all()
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy)]
pub(in crate::spool) struct Checkpoint {
    /// None: another checkpoint was at work.
    pub(in crate::spool) bytes: Option<WalBytes>,
    /// The next commit writes from the start of the WAL.
    pub(in crate::spool) is_restarted: bool,
}

/// The WAL after a checkpoint, in bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::spool) struct WalBytes {
    /// Not yet in the database: a reader still needs what they replace.
    pub(in crate::spool) left: u64,
    /// All of it.
    pub(in crate::spool) size: u64,
}

/// Copies the WAL into the database. With `waits`, waits for readers for 50 ms, so that the next commit writes from the
/// start of the WAL and shrinks the file.
///
/// It does not truncate the file: the next commit shrinks it.
pub(in crate::spool) fn checkpoint(connection: &Connection, waits: bool) -> rusqlite::Result<Checkpoint> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let (busy, frames, copied) = if waits {
        connection.busy_timeout(RESTART_WAIT)?;
        let result = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], read);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        result?
    } else {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?
    };
    let page = page_bytes(connection)?;
    // SQLite says -1 where it could not look.
    let bytes = |frames: i64| Some(u64::try_from(frames).ok()? * page);
    let counted = bytes(frames).zip(bytes(copied)).map(|(size, copied)| WalBytes { left: size - copied, size });
    Ok(Checkpoint { bytes: counted, is_restarted: waits && busy == 0 && frames == copied })
}

/// The same on a connection of its own, without waiting for readers.
pub(in crate::spool) fn checkpoint_alone(dir: &Path) -> rusqlite::Result<Checkpoint> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database_file(dir), flags)?;
    // The writer may be gone when this connection is closed; the next start copies what is left then.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    checkpoint(&connection, false)
}
