//! Searches the files of a spool directory, and the refused journal of the running node.

use std::path::Path;

use super::KeySearch;
use crate::commands::CommandError;
use crate::commands::output::note;
use crate::commands::refused::source::each_refused;
use crate::refused::RefusedFilter;
use crate::spool::{Hold, Identity, Reader};

/// Passes everything in the directory to the search: unpublished events, quarantine, refused journal. Called before the
/// topic is read, so an event that is published meanwhile is found there.
///
/// # Errors
/// No spool exists, or it cannot be read.
pub(super) fn search(dir: &Path, search: &mut KeySearch<'_>) -> Result<(), CommandError> {
    {
        let _hold = Hold::take(dir)?;
        let reader = Reader::open_beside(dir)?;
        spool(&reader, search)?;
        quarantine(&reader, search)?;
    }
    each_refused(dir, &RefusedFilter::default(), |entry| search.put(|sought| sought.refused(entry)))
}

fn spool(reader: &Reader, search: &mut KeySearch<'_>) -> Result<(), CommandError> {
    let (mut after, mut corrupted) = (None, 0_u64);
    loop {
        let waiting = reader.waiting(after)?;
        let Some(last) = waiting.rows.last() else { break };
        after = Some(last.first_seq);
        for row in &waiting.rows {
            if !row.is_sound {
                corrupted += 1;
                continue;
            }
            for (seq, event) in row.events() {
                let name = Identity::name(&waiting.identities, seq);
                if !search.put(|sought| sought.event(event, name)) {
                    return Ok(());
                }
            }
        }
    }
    if corrupted > 0 {
        note(format_args!("{corrupted} row(s) of the spool are corrupted and were not searched"));
    }
    Ok(())
}

fn quarantine(reader: &Reader, search: &mut KeySearch<'_>) -> Result<(), CommandError> {
    let mut after = 0;
    loop {
        let entries = reader.quarantine_after(after)?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.id;
        for entry in &entries {
            if !search.put(|sought| sought.entry(entry)) {
                return Ok(());
            }
        }
    }
}
