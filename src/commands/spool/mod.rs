//! `recall-bridge spool`: looking into a spool, whether the node runs or not.

mod export;
mod status;
mod verify;

use super::CommandError;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell how much waits and since when, what is in quarantine, and where in the topic it stands.
    #[command(after_help = "Example:\n  recall-bridge spool status\n  recall-bridge spool status --json")]
    Status(status::Status),
    /// Read all of the spool: structure, every checksum, the sequence, the totals. Exit 1 on a fault.
    #[command(after_help = "Example:\n  recall-bridge spool verify --dir /var/lib/recall-bridge")]
    Verify(verify::Verify),
    /// Write the events that wait to be published as JSON lines.
    #[command(after_help = "Example:\n  recall-bridge spool export >events.jsonl")]
    Export(export::Export),
}

/// Looks.
///
/// # Errors
/// There is no spool, or it cannot be read; `verify` finds a fault.
pub fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::Status(status) => status.run(),
        Command::Verify(verify) => verify.run(),
        Command::Export(export) => export.run(),
    }
}
