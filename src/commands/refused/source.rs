//! Reads the refused journal: from the running node, or from the file of a stopped one.

use std::path::Path;

use anyhow::anyhow;

use crate::commands::CommandError;
use crate::commands::output::note;
use crate::control::{self, ControlError};
use crate::refused::{RefusedFilter, RefusedView, StoredJournal};
use crate::spool::Hold;

/// Passes the matching entries to `each`, in the order of ids, until it returns `false`.
///
/// # Errors
/// No spool exists, or the node or the file cannot be read.
pub(in crate::commands) fn each_refused(
    dir: &Path,
    filter: &RefusedFilter,
    mut each: impl FnMut(&RefusedView) -> bool,
) -> Result<(), CommandError> {
    let hold = Hold::take(dir)?;
    if hold.running().is_some() {
        match control::refused(dir, filter, &mut each) {
            Err(ControlError::Unreachable(error)) => note(format_args!(
                "the running node cannot be reached ({error}); the list is that of its file, without unauthenticated webhooks"
            )),
            asked => return asked.map_err(|error| CommandError::Outside(anyhow!(error))),
        }
    }
    let stored = StoredJournal::read(dir)
        .map_err(|error| CommandError::Outside(anyhow!(error).context("the refused journal cannot be read")))?;
    if stored.unreadable > 0 {
        note(format_args!("{} line(s) of the refused journal are corrupted and left out", stored.unreadable));
    }
    for entry in stored.entries.iter().filter(|entry| filter.matches(entry)) {
        if !each(&RefusedView::from(&**entry)) {
            break;
        }
    }
    Ok(())
}
