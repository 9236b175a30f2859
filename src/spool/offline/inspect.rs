//! Holds and checks a spool directory for commands, with or without a running node.

use std::path::Path;

use crate::spool::error::SpoolError;
use crate::spool::store::access;
use crate::spool::store::files::database_file;
use crate::spool::store::lock::DirectoryLock;
use crate::spool::store::open::open_first;

/// The lock of a spool directory for a command. No node can start while this value exists.
#[derive(Debug)]
pub struct Hold {
    running: Option<String>,
    _lock: Option<DirectoryLock>,
}

impl Hold {
    /// Takes the lock of the directory, or finds the process that has it. Creates no spool.
    ///
    /// # Errors
    /// There is no spool, or the directory cannot be used.
    pub fn take(dir: &Path) -> Result<Self, SpoolError> {
        if !database_file(dir).exists() {
            return Err(SpoolError::NoSpool { dir: dir.to_owned() });
        }
        match DirectoryLock::acquire(dir) {
            Ok(lock) => Ok(Self { running: None, _lock: Some(lock) }),
            Err(SpoolError::Locked { holder, .. }) => Ok(Self { running: Some(holder), _lock: None }),
            Err(error) => Err(error),
        }
    }

    /// ` (pid N)`, or an empty text if the process id is unknown, of the process that has the directory. `None`: no
    /// process has it.
    pub fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }
}

/// Checks that a directory can be created, locked and written, and checks an existing database. Returns warnings.
///
/// # Errors
/// The errors of [`Spool::open`](crate::spool::Spool::open).
pub fn probe(dir: &Path) -> Result<Vec<String>, SpoolError> {
    let fault = |source| SpoolError::Directory { dir: dir.to_owned(), source };
    if !dir.exists() {
        access::could_create(dir).map_err(fault)?;
        return Ok(Vec::new());
    }
    let warnings = access::look(dir).map_err(fault)?;
    let _lock = DirectoryLock::try_existing(dir)?;
    access::can_write(dir).map_err(fault)?;
    if database_file(dir).exists() {
        open_first(dir)?;
    }
    Ok(warnings)
}
