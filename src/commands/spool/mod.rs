//! `recall-bridge spool`: reads a spool. The node may run or be stopped.

mod export;
mod status;
mod verify;

use super::CommandError;

/// Arguments of `spool`.
#[derive(Debug, clap::Args)]
pub struct SpoolArgs {
    #[command(subcommand)]
    command: SpoolCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SpoolCommand {
    /// Show the backlog and its age, the quarantine, and the next offsets in the topic.
    #[command(after_help = "Example:\n  recall-bridge spool status\n  recall-bridge spool status --json")]
    Status(status::Status),
    /// Verify the whole spool: structure, checksums, sequence numbers, totals. Exit 1 on an error.
    #[command(after_help = "Example:\n  recall-bridge spool verify --dir /var/lib/recall-bridge")]
    Verify(verify::Verify),
    /// Write the unpublished events as JSON lines.
    #[command(after_help = "Example:\n  recall-bridge spool export >events.jsonl")]
    Export(export::SpoolExport),
}

/// Runs a subcommand of `spool`.
///
/// # Errors
/// No spool exists, it cannot be read, or `verify` found an error.
pub fn run(args: &SpoolArgs) -> Result<(), CommandError> {
    match &args.command {
        SpoolCommand::Status(status) => status.run(),
        SpoolCommand::Verify(verify) => verify.run(),
        SpoolCommand::Export(export) => export.run(),
    }
}
