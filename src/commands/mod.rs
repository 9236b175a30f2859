//! The commands, one file each.

pub mod check_config;
pub mod demo;
pub mod explain;
pub mod health;
pub mod send;
pub mod serve;
pub mod tail;

use crate::app::AppError;
use crate::config::Faults;

/// Why a command failed; decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong: every fault of it.
    #[error("the configuration has {} fault(s):\n{_0}", _0.len())]
    Config(#[from] Faults),
    /// The bridge could not start, or ended by a fault.
    #[error(transparent)]
    App(#[from] AppError),
    /// A second signal ended the stop early.
    #[error("stopped at once by a second signal; what was acknowledged is in the spool")]
    Forced,
    /// Something outside is not as it must be: the port, the broker.
    #[error("{0:#}")]
    Outside(anyhow::Error),
    /// The command did its work and the answer is no.
    #[error("{0:#}")]
    Negative(anyhow::Error),
}

impl CommandError {
    /// The exit code, after sysexits(3): 78 configuration, 75 could not start for a reason outside
    /// of it, 70 a part died or data could not be kept safe; 1 where a check says no.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::App(error) if error.is_outside() => 75,
            Self::Outside(_) => 75,
            Self::App(_) | Self::Forced => 70,
            Self::Negative(_) => 1,
        }
    }
}
