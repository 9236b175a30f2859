//! `recall-bridge quarantine`: lists, requeues, drops and exports quarantine entries.

mod alter;
mod read;
pub(in crate::commands) mod select;

use super::{CommandError, Place};
use crate::quarantine::EntryAction;
use crate::spool::{Hold, Reader, SpoolError};

/// Arguments of `quarantine`.
#[derive(Debug, clap::Args)]
pub struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Debug, clap::Subcommand)]
enum QuarantineCommand {
    /// List entries, oldest first: id, time, reason, account.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine list\n  recall-bridge quarantine list --reason stale --since 24h --json"
    )]
    List(read::List),
    /// Show entries completely.
    #[command(after_help = "Example:\n  recall-bridge quarantine show 3")]
    Show(read::Show),
    /// Publish entries: append them to the spool like newly accepted recalls. Can be repeated safely.
    ///
    /// Entries that are given by id are requeued immediately. A filter changes nothing: it lists the matching
    /// entries, and prints the command that requeues exactly these.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine requeue 3 7\n  recall-bridge quarantine requeue --reason kafka_too_large\n  recall-bridge quarantine requeue --reason kafka_too_large --through 41 --yes"
    )]
    Requeue(alter::Alter),
    /// Delete entries permanently.
    ///
    /// Entries that are given by id are dropped immediately. A filter changes nothing: it lists the matching entries,
    /// and prints the command that drops exactly these.
    #[command(
        after_help = "Example:\n  recall-bridge quarantine drop 3 7\n  recall-bridge quarantine drop --reason malformed --account '#TOA#_1'\n  recall-bridge quarantine drop --reason malformed --account '#TOA#_1' --through 41 --yes"
    )]
    Drop(alter::Alter),
    /// Write complete entries as JSON lines. Bodies that are not text are written as Base64.
    #[command(after_help = "Example:\n  recall-bridge quarantine export >quarantine.jsonl")]
    Export(read::QuarantineExport),
}

/// Runs a subcommand of `quarantine`.
///
/// # Errors
/// No spool exists, or it cannot be read or reached; a given entry does not exist, or stays in quarantine.
pub fn run(args: &QuarantineArgs) -> Result<(), CommandError> {
    match &args.command {
        QuarantineCommand::List(list) => list.run(),
        QuarantineCommand::Show(show) => show.run(),
        QuarantineCommand::Requeue(alter) => alter.run(EntryAction::Requeue),
        QuarantineCommand::Drop(alter) => alter.run(EntryAction::Drop),
        QuarantineCommand::Export(export) => export.run(),
    }
}

/// A spool opened for reading. If the node is stopped, it cannot start meanwhile.
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
