//! One process per spool directory: an advisory lock on the file `spool.lock`.
//!
//! The kernel releases the lock when the process ends, even after SIGKILL, so a lock is never stale. The directory
//! and its files belong to their owner alone; see `access`.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::access;
use crate::spool::error::SpoolError;

const LOCK_FILE: &str = "spool.lock";

/// The lock of a spool directory; released on drop.
#[derive(Debug)]
pub(in crate::spool) struct DirectoryLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DirectoryLock {
    /// Takes the lock of `dir` without waiting. Creates the directory if it is missing.
    pub(in crate::spool) fn acquire(dir: &Path) -> Result<Self, SpoolError> {
        let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
        if !dir.is_dir() {
            access::create(dir).map_err(fault)?;
            if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_directory(parent).map_err(fault)?;
            }
        }
        for warning in access::secure(dir).map_err(fault)? {
            tracing::warn!(event = "spool_directory_open_to_others", "{warning}");
        }
        let mut file = access::open_or_create(dir, LOCK_FILE).map_err(fault)?;
        take(&file, dir)?;
        file.set_len(0).map_err(fault)?;
        file.rewind().map_err(fault)?;
        writeln!(file, "{}", std::process::id()).map_err(fault)?;
        Ok(Self(file))
    }

    /// Takes the lock without writing. `None`: no lock file exists, so no process uses the directory.
    pub(in crate::spool) fn try_existing(dir: &Path) -> Result<Option<Self>, SpoolError> {
        let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
        let Some(file) = access::open_existing(dir, LOCK_FILE).map_err(fault)? else { return Ok(None) };
        take(&file, dir)?;
        Ok(Some(Self(file)))
    }
}

fn take(file: &File, dir: &Path) -> Result<(), SpoolError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The process id is only for the error text; the lock decides.
            let _ = file.take(20).read_to_string(&mut pid);
            let holder = match pid.trim().parse::<u32>() {
                Ok(pid) => format!(" (pid {pid})"),
                Err(_) => String::new(),
            };
            Err(SpoolError::Locked { dir: dir.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(SpoolError::Directory { dir: dir.to_owned(), source }),
    }
}

/// Makes the file names in a directory durable (`fsync` of the directory).
pub(in crate::spool) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
