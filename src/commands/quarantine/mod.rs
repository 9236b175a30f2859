//! `recall-bridge quarantine`: what could not be published, and what is to become of it.

mod alter;
mod read;
mod select;

use super::{CommandError, Place};
use crate::quarantine::Action;
use crate::spool::{Hold, Reader, SpoolError};

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List entries, the oldest first: number, time, reason, account.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine list\n  recall-bridge quarantine list --reason stale --since 24h --json"
    )]
    List(read::List),
    /// Show all of some entries.
    #[command(after_help = "Example:\n  recall-bridge quarantine show 3")]
    Show(read::Show),
    /// Publish entries after all: append them to the spool as if newly accepted. Safe to repeat.
    ///
    /// Entries named by number are requeued at once. A filter only shows which ones it means, and the
    /// command line that requeues exactly these.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine requeue 3 7\n  recall-bridge quarantine requeue --reason kafka_too_large\n  recall-bridge quarantine requeue --reason kafka_too_large --through 41 --yes"
    )]
    Requeue(alter::Alter),
    /// Forget entries, after a look at them: what is dropped is gone.
    ///
    /// Entries named by number are dropped at once. A filter only shows which ones it means, and the
    /// command line that drops exactly these.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine drop 3 7\n  recall-bridge quarantine drop --reason malformed --account '#TOA#_1'\n  recall-bridge quarantine drop --reason malformed --account '#TOA#_1' --through 41 --yes"
    )]
    Drop(alter::Alter),
    /// Write entries as JSON lines, with all that was kept; bodies that are no text as Base64.
    #[command(after_help = "Example:\n  recall-bridge quarantine export >quarantine.jsonl")]
    Export(read::Export),
}

/// Does it.
///
/// # Errors
/// There is no spool, or it cannot be read or reached; an entry that was named is not there, or
/// stays in quarantine.
pub fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::List(list) => list.run(),
        Command::Show(show) => show.run(),
        Command::Requeue(alter) => alter.run(Action::Requeue),
        Command::Drop(alter) => alter.run(Action::Drop),
        Command::Export(export) => export.run(),
    }
}

/// A spool that is looked into; where nobody works on it, nobody begins to.
pub(super) struct Opened {
    pub(super) reader: Reader,
    _hold: Hold,
}

impl Opened {
    pub(super) fn at(place: &Place) -> Result<Self, CommandError> {
        let dir = place.config()?.dir;
        let open = || -> Result<Self, SpoolError> {
            Ok(Self { _hold: Hold::take(&dir)?, reader: Reader::open_beside(&dir)? })
        };
        Ok(open()?)
    }
}
