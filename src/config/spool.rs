//! The few variables of commands that look into a spool: they need no apps and no Kafka.

use std::ffi::OsString;
use std::path::PathBuf;

use super::names::{self, Kind};
use super::raw::Raw;
use super::read::read_spool;
use super::values::Reader;
use super::{Fault, Faults};

/// Where the spool is, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The directory (`BRIDGE_SPOOL_DIR`).
    pub dir: PathBuf,
    /// The bound of unpublished payload, in bytes (`BRIDGE_SPOOL_MAX_BYTES`).
    pub max_bytes: u64,
    /// The bound of the quarantine, in bytes (`BRIDGE_QUARANTINE_MAX_BYTES`).
    pub quarantine_max_bytes: u64,
}

impl SpoolConfig {
    /// Reads this process's environment; `dir`, where it is given, stands for `BRIDGE_SPOOL_DIR`.
    ///
    /// # Errors
    /// What is wrong with these variables; a `BRIDGE_` name that there is not is a fault, too, as
    /// it may be one of them, mistyped.
    pub fn from_env(dir: Option<PathBuf>) -> Result<Self, Faults> {
        Self::from_os(std::env::vars_os(), dir)
    }

    pub(super) fn from_os(
        vars: impl Iterator<Item = (OsString, OsString)>,
        dir: Option<PathBuf>,
    ) -> Result<Self, Faults> {
        let mut reader = Reader::default();
        let mut raw = Raw::default();
        for (name, value) in vars.filter(|(_, value)| !value.is_empty()) {
            let name = name.to_string_lossy();
            let field = match name.as_ref() {
                "BRIDGE_SPOOL_DIR" if dir.is_none() => &mut raw.spool_dir,
                "BRIDGE_SPOOL_MAX_BYTES" => &mut raw.spool_max_bytes,
                "BRIDGE_QUARANTINE_MAX_BYTES" => &mut raw.quarantine_max_bytes,
                _ => {
                    if names::kind(&name) == Kind::UnknownBridge {
                        reader.faults.push(Fault::unknown(&name));
                    }
                    continue;
                }
            };
            match value.into_string() {
                Ok(value) => *field = Some(value),
                Err(_) => reader.faults.push(Fault::not_utf8(&name)),
            }
        }
        let read = read_spool(&raw, &mut reader);
        if !reader.faults.is_empty() {
            return Err(reader.faults);
        }
        Ok(Self { dir: dir.unwrap_or(read.dir), ..read })
    }
}
