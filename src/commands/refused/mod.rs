//! `recall-bridge refused`: lists and replays the entries of the refused journal.

mod list;
mod replay;
pub(super) mod source;

use super::CommandError;
use super::quarantine::select::since;
use crate::quarantine::view::time;
use crate::refused::{RefusedFilter, RefusedId};

/// Arguments of `refused`.
#[derive(Debug, clap::Args)]
pub struct RefusedArgs {
    #[command(subcommand)]
    command: RefusedCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RefusedCommand {
    /// List refused webhooks, oldest first: id, time, outcome, app, account, keys.
    ///
    /// Of unauthenticated webhooks no body was read, so they have no account and no keys. These are in the memory of
    /// the running node only.
    #[command(
        after_help = "Example:\n  recall-bridge refused list\n  recall-bridge refused list --since 1h --outcome bad_sign --json"
    )]
    List(list::RefusedList),
    /// Publish authentic entries: append their recalls to the spool, except duplicates. Can be repeated safely.
    ///
    /// Entries that are given by id are replayed immediately. A filter changes nothing: it lists the matching entries,
    /// and prints the command that replays exactly these.
    #[command(
        after_help = "Example:\n  recall-bridge refused replay 17 21\n  recall-bridge refused replay --outcome spool_full\n  recall-bridge refused replay --outcome spool_full --through 41 --yes"
    )]
    Replay(replay::Replay),
}

/// Runs a subcommand of `refused`.
///
/// # Errors
/// No spool exists, or it cannot be read or reached; a given entry does not exist, or cannot be published.
pub fn run(args: &RefusedArgs) -> Result<(), CommandError> {
    match &args.command {
        RefusedCommand::List(list) => list.run(),
        RefusedCommand::Replay(replay) => replay.run(),
    }
}

/// Conditions of a filter. An entry matches if it meets all given conditions.
#[derive(Debug, Clone, Default, clap::Args)]
struct RefusedFilterArgs {
    /// Webhooks with this outcome: `bad_sign`, `spool_full` …
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Webhooks of this `Official_Account`.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Webhooks that recall this MsgKey.
    #[arg(long, value_name = "MSGKEY")]
    key: Option<String>,
    /// Webhooks since this time (2026-01-31T12:00:00Z) or of this last period (90s, 30m, 24h, 7d).
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Entries up to this id, inclusive.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    through: Option<RefusedId>,
}

impl RefusedFilterArgs {
    fn filter(&self) -> RefusedFilter {
        RefusedFilter {
            outcome: self.outcome.clone(),
            account: self.account.clone(),
            key: self.key.clone(),
            since_ms: self.since,
            from: None,
            through: self.through,
            authentic: false,
        }
    }

    fn is_given(&self) -> bool {
        self.filter() != RefusedFilter::default()
    }

    /// Returns the filter without `--through` as arguments of a command line. A period becomes a fixed time.
    fn arguments(&self) -> Vec<String> {
        let named = [
            ("--outcome", self.outcome.clone()),
            ("--account", self.account.clone()),
            ("--key", self.key.clone()),
            ("--since", self.since.map(time)),
        ];
        named.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten().collect()
    }
}
