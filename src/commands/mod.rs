//! The commands, one file each.

mod changes;
pub mod check_config;
mod check_tls;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod find;
pub mod health;
pub mod http_client;
mod node_client;
mod node_status;
pub mod output;
pub mod quarantine;
pub mod refused;
mod reload;
pub mod replay;
pub mod send;
pub mod serve;
pub mod spool;
mod start_report;
pub mod status;
pub mod tail;
pub mod top;
mod topic;

use std::path::PathBuf;

use anyhow::anyhow;

use crate::app::AppError;
use crate::config::{ConfigErrors, SpoolConfig};
use crate::spool::SpoolError;

/// The directory of a spool, for commands that read one.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Directory of the spool; replaces `BRIDGE_SPOOL_DIR`. No other variable is required.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

impl Place {
    fn config(&self) -> Result<SpoolConfig, ConfigErrors> {
        SpoolConfig::from_env(self.dir.clone())
    }
}

/// The error of a command. It determines the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is invalid. Contains every error.
    #[error("invalid configuration, {} error(s):\n{_0}", _0.len())]
    Config(#[from] ConfigErrors),
    /// The bridge could not start, or a component exited.
    #[error(transparent)]
    App(#[from] AppError),
    /// A second signal ended the shutdown early.
    #[error("second signal: shutdown skipped; acknowledged recalls are in the spool")]
    Forced,
    /// An external condition is not met: the port, the broker, a file.
    #[error("{0:#}")]
    Outside(anyhow::Error),
    /// Durable data is corrupted.
    #[error("{0:#}")]
    Damaged(anyhow::Error),
    /// An argument cannot be read.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// The command succeeded, and its result is negative.
    #[error("{0:#}")]
    Negative(anyhow::Error),
}

impl From<SpoolError> for CommandError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoSpool { .. } => {
                Self::Outside(anyhow!("{error}; name the directory of a spool with --dir or BRIDGE_SPOOL_DIR"))
            }
            error => Self::App(error.into()),
        }
    }
}

impl CommandError {
    /// The exit code, after sysexits(3): 78 invalid configuration; 75 external condition not met; 70 component exited
    /// or data corrupted; 2 an argument that
    /// cannot be read; 1 negative result of a check.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::App(error) if error.is_outside() => 75,
            Self::Outside(_) => 75,
            Self::App(_) | Self::Forced | Self::Damaged(_) => 70,
            Self::Usage(_) => 2,
            Self::Negative(_) => 1,
        }
    }
}
