//! The variables of commands that read a spool. These commands need no apps and no Kafka.

use std::ffi::OsString;
use std::path::PathBuf;

use super::errors::{ConfigError, ConfigErrors};
use super::names::{self, Kind};
use super::values::VariableReader;
use super::variables::{QUARANTINE_MAX_BYTES, Raw, SPOOL_DIR, SPOOL_MAX_BYTES, Variable};

const OF_SPOOL: [&Variable; 3] = [SPOOL_DIR, SPOOL_MAX_BYTES, QUARANTINE_MAX_BYTES];

/// The directory of the spool, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The directory (`BRIDGE_SPOOL_DIR`).
    pub dir: PathBuf,
    /// The limit of unpublished payload, in bytes (`BRIDGE_SPOOL_MAX_BYTES`).
    pub max_bytes: u64,
    /// The limit of the quarantine, in bytes (`BRIDGE_QUARANTINE_MAX_BYTES`).
    pub quarantine_max_bytes: u64,
}

impl SpoolConfig {
    /// Reads the environment of this process. `dir`, if given, replaces `BRIDGE_SPOOL_DIR`.
    ///
    /// # Errors
    /// All errors of these variables. An unknown `BRIDGE_` name is an error too: it can be a misspelled one of them.
    pub fn from_env(dir: Option<PathBuf>) -> Result<Self, ConfigErrors> {
        Self::from_os(std::env::vars_os(), dir)
    }

    pub(super) fn from_os(
        vars: impl Iterator<Item = (OsString, OsString)>,
        dir: Option<PathBuf>,
    ) -> Result<Self, ConfigErrors> {
        let (mut raw, mut errors) = (Raw::default(), ConfigErrors::default());
        for (name, value) in vars.filter(|(_, value)| !value.is_empty()) {
            let name = name.to_string_lossy();
            let variable = match Variable::named(&name) {
                None if names::kind(&name) == Kind::UnknownBridge => {
                    errors.push(names::unknown(&name));
                    continue;
                }
                Some(variable) if OF_SPOOL.iter().any(|of_spool| of_spool.name == variable.name) => variable,
                _ => continue,
            };
            match value.into_string() {
                // `dir` replaces it.
                Ok(_) if dir.is_some() && variable.name == SPOOL_DIR.name => {}
                Ok(value) => raw.set(variable, value),
                Err(_) => errors.push(ConfigError::not_utf8(&name)),
            }
        }
        let mut reader = VariableReader::new(&raw, errors);
        let read = read_spool(&mut reader);
        if !reader.errors.is_empty() {
            return Err(reader.errors);
        }
        Ok(Self { dir: dir.unwrap_or(read.dir), ..read })
    }
}

/// Reads the settings of the spool.
pub(super) fn read_spool(r: &mut VariableReader<'_>) -> SpoolConfig {
    SpoolConfig {
        dir: r.checked(SPOOL_DIR, |text| Ok(text.to_owned())).into(),
        max_bytes: r.number(SPOOL_MAX_BYTES),
        quarantine_max_bytes: r.number(QUARANTINE_MAX_BYTES),
    }
}
