//! Looking into a spool from outside, whether or not a bridge works on it.

use std::path::Path;

use crate::spool::error::SpoolError;
use crate::spool::store::access;
use crate::spool::store::files::database_file;
use crate::spool::store::lock::DirectoryLock;
use crate::spool::store::open::open_first;

/// Who has a spool directory while a command looks into it. A node that is stopped stays so as long
/// as this lives.
#[derive(Debug)]
pub struct Hold {
    running: Option<String>,
    _lock: Option<DirectoryLock>,
}

impl Hold {
    /// Takes the lock of the directory, or finds that a running process has it. Creates no spool.
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

    /// ` (pid N)`, or nothing where the number is not known, of the process that has the directory;
    /// `None`: nobody had it.
    pub fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }
}

/// Whether a directory can be used: made, locked, written. A database that is there is checked.
///
/// # Errors
/// What [`Spool::open`](crate::spool::Spool::open) would say.
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
