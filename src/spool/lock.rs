//! One process per spool directory: an advisory lock on a file beside the database.
//!
//! The kernel drops the lock with the process, however it dies, so a lock is never stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::SpoolError;

const LOCK_FILE: &str = "spool.lock";

/// The exclusive hold on a spool directory; released on drop.
#[derive(Debug)]
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DirectoryLock {
    /// Creates `dir` where it is missing, and takes its lock without waiting.
    pub(super) fn acquire(dir: &Path) -> Result<Self, SpoolError> {
        let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
        if !dir.is_dir() {
            std::fs::create_dir_all(dir).map_err(fault)?;
            if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_directory(parent).map_err(fault)?;
            }
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The number is a courtesy; the lock is what counts.
                let _ = (&file).take(20).read_to_string(&mut pid);
                let holder = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (pid {pid})"),
                };
                return Err(SpoolError::Locked { dir: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        file.set_len(0).map_err(fault)?;
        file.rewind().map_err(fault)?;
        writeln!(file, "{}", std::process::id()).map_err(fault)?;
        Ok(Self(file))
    }
}

/// Makes the names in a directory durable (`fsync` of the directory itself).
pub(super) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
