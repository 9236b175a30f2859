//! What commands that change entries share: the rules of their arguments, the preview with its confirmation, and the
//! spool of a stopped node. For `quarantine requeue`, `quarantine drop` and `refused replay`.

use clap::error::ErrorKind;
use serde_json::json;

use super::output::Output;
use super::quarantine::select::quoted;
use super::{CommandError, Place};
use crate::config::SpoolConfig;
use crate::escape::plain;
use crate::quarantine::view::entries;
use crate::spool::{Hold, Spool, SpoolError, SpoolOptions, WriterHandle};

/// For a command line without ids: ends the process if it is incomplete. `list` names the command that lists entries.
pub(super) fn check_selection(list: &str, has_filter: bool, is_confirmed: bool, has_through: bool) {
    if !has_filter {
        refuse(&format!("no entries given; give ids (see `{list}`) or a filter"));
    }
    if is_confirmed && !has_through {
        refuse(
            "--yes requires --through with the last id that the preview listed; run the command without --yes first",
        );
    }
}

fn refuse(text: &str) -> ! {
    clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{text}\n")).exit()
}

/// The end of a preview: how many entries match, and the command line that changes exactly these.
pub(super) struct Preview<'p> {
    /// The command: `quarantine drop`.
    pub(super) command: [&'static str; 2],
    /// The filter as arguments.
    pub(super) filter: Vec<String>,
    /// The last id that was listed.
    pub(super) last: String,
    /// The spool directory, if it was given.
    pub(super) place: &'p Place,
    /// Entries that were listed.
    pub(super) count: u64,
    /// The text if no entry matches.
    pub(super) nothing: &'static str,
}

impl Preview<'_> {
    pub(super) fn print(self, output: &mut Output, json: bool) {
        let Self { command, filter, last, place, count, nothing } = self;
        let mut confirm = ["recall-bridge", command[0], command[1]].map(str::to_owned).to_vec();
        confirm.extend(filter);
        confirm.extend(["--through".to_owned(), last, "--yes".to_owned()]);
        if let Some(dir) = &place.dir {
            confirm.extend(["--dir".to_owned(), dir.display().to_string()]);
        }
        if json {
            let confirm = (count > 0).then_some(confirm);
            output.json(&json!({ "matching": count, "changed": false, "confirm": confirm }));
        } else if count == 0 {
            output.line(format_args!("{nothing}; nothing was changed"));
        } else {
            output.line(format_args!(
                "\n{}; nothing was changed. To {} exactly {}:\n  {}",
                entries(count),
                command[1],
                if count == 1 { "this one" } else { "these" },
                plain(&quoted(&confirm))
            ));
        }
    }
}

/// Opens the spool of a stopped node. `None`: a node runs, which has to make the change.
///
/// # Errors
/// No spool exists, or it cannot be opened.
pub(super) fn open_stopped(config: &SpoolConfig) -> Result<Option<(Spool, WriterHandle)>, CommandError> {
    // Opening would create a missing spool.
    drop(Hold::take(&config.dir)?);
    let options = SpoolOptions {
        dir: config.dir.clone(),
        max_bytes: config.max_bytes,
        quarantine_max_bytes: config.quarantine_max_bytes,
        // The window of the node is unknown here. A shorter one would delete ids that the node needs.
        dedup_window: crate::config::MAX_DEDUP_WINDOW,
        on_commit: Box::new(|_, _| ()),
    };
    match Spool::open(options, || ()) {
        Ok(opened) => Ok(Some(opened)),
        Err(SpoolError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
