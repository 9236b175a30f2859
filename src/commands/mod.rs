//! The commands, one file each.

pub mod check_config;
mod check_tls;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod health;
pub mod http_client;
pub mod output;
pub mod quarantine;
mod reload;
pub mod send;
pub mod serve;
pub mod spool;
pub mod tail;

use std::path::PathBuf;

use crate::app::AppError;
use crate::config::{ConfigErrors, SpoolConfig};
use crate::spool::SpoolError;

/// Where a spool is, for commands that look into one.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The spool's directory, instead of `BRIDGE_SPOOL_DIR`. Nothing else need be set.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    fn config(&self) -> Result<SpoolConfig, ConfigErrors> {
        SpoolConfig::from_env(self.dir.clone())
    }
}

/// Why a command failed; decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong: every fault of it.
    #[error("the configuration has {} fault(s):\n{_0}", _0.len())]
    Config(#[from] ConfigErrors),
    /// The bridge could not start, or ended by a fault.
    #[error(transparent)]
    App(#[from] AppError),
    /// A second signal ended the stop early.
    #[error("stopped at once by a second signal; what was acknowledged is in the spool")]
    Forced,
    /// Something outside is not as it must be: the port, the broker.
    #[error("{0:#}")]
    Outside(anyhow::Error),
    /// Not all of what was durable is still as it was.
    #[error("{0:#}")]
    Damaged(anyhow::Error),
    /// The command did its work and the answer is no.
    #[error("{0:#}")]
    Negative(anyhow::Error),
}

impl From<SpoolError> for CommandError {
    fn from(error: SpoolError) -> Self {
        Self::App(error.into())
    }
}

impl CommandError {
    /// The exit code, after sysexits(3): 78 configuration, 75 could not start for a reason outside
    /// of it, 70 a part died or data could not be kept safe; 1 where a check says no.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::App(error) if error.is_outside() => 75,
            Self::Outside(_) => 75,
            Self::App(_) | Self::Forced | Self::Damaged(_) => 70,
            Self::Negative(_) => 1,
        }
    }
}
