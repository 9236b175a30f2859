//! `requeue` and `drop`. If the node runs, it makes the change on request; otherwise this process makes it.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::Opened;
use super::read::Lines;
use super::select::{FilterArgs, each_match};
use crate::clock;
use crate::commands::changes::{Preview, check_selection, open_stopped};
use crate::commands::output::{Output, note};
use crate::commands::{CommandError, Place};
use crate::config::SpoolConfig;
use crate::control;
use crate::quarantine::view::{entries, plain};
use crate::quarantine::{Changed, Done, EntryAction, change};
use crate::spool::QuarantineId;

/// Arguments of `requeue` and `drop`.
#[derive(Debug, clap::Args)]
pub(super) struct Alter {
    /// Ids of the entries.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..), conflicts_with_all = ["reason", "account", "since", "through"])]
    ids: Vec<QuarantineId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Apply to all matching entries; requires --through.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Alter {
    pub(super) fn run(&self, action: EntryAction) -> Result<(), CommandError> {
        if self.ids.is_empty() {
            check_selection("quarantine list", self.filter.is_given(), self.yes, self.filter.through.is_some());
        }
        if self.ids.is_empty() && !self.yes {
            return self.preview(action);
        }
        let mut ids: BTreeSet<QuarantineId> = self.ids.iter().copied().collect();
        if self.ids.is_empty() {
            let open = Opened::at(&self.place)?;
            each_match(&open.reader, &self.filter.filter(), |entry| ids.insert(entry.id))?;
        }
        let mut results = Results { output: Output::new(), json: self.json, action, counts: [0; 5] };
        let changed = alter(&self.place.config()?, action, &ids, |changed| results.put(&changed));
        results.finish(changed)
    }

    /// Lists the matching entries, and prints the command that changes exactly these.
    fn preview(&self, action: EntryAction) -> Result<(), CommandError> {
        let open = Opened::at(&self.place)?;
        let (mut output, mut lines, mut last) = (Output::new(), Lines::new(self.json), 0);
        each_match(&open.reader, &self.filter.filter(), |entry| {
            last = entry.id;
            lines.put(&mut output, entry)
        })?;
        let preview = Preview {
            command: ["quarantine", word(action)],
            filter: self.filter.arguments(),
            last: last.to_string(),
            place: &self.place,
            count: lines.count,
            nothing: "no entries",
        };
        preview.print(&mut output, self.json);
        output.finish()
    }
}

fn word(action: EntryAction) -> &'static str {
    match action {
        EntryAction::Requeue => "requeue",
        EntryAction::Drop => "drop",
    }
}

/// Changes the entries in this process or through the running node. Calls `each` after each step.
fn alter(
    config: &SpoolConfig,
    action: EntryAction,
    ids: &BTreeSet<QuarantineId>,
    mut each: impl FnMut(Vec<Changed>),
) -> Result<(), CommandError> {
    let Some((spool, writer)) = open_stopped(config)? else {
        let asked = control::ask(&config.dir, action, ids, each);
        return asked.map_err(|error| CommandError::Outside(anyhow!(error)));
    };
    let reader = spool.reader()?;
    let ids: Vec<QuarantineId> = ids.iter().copied().collect();
    let mut result = Ok(());
    for some in ids.chunks(control::REQUEST_MAX_IDS) {
        let some = some.iter().copied().collect();
        match change(&spool, &reader, action, &some, clock::now_ms()) {
            Ok(changed) => each(changed),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    drop(reader);
    if action == EntryAction::Requeue {
        note("the node is stopped; it publishes the requeued entries after its next start");
    }
    Ok(result.and(writer.stop())?)
}

/// The results: one line for each entry, and totals.
struct Results {
    output: Output,
    json: bool,
    action: EntryAction,
    /// Requeued, dropped, kept, gone, unknown.
    counts: [u64; 5],
}

impl Results {
    fn put(&mut self, changed: &[Changed]) {
        for one in changed {
            let (place, text) = match &one.done {
                Done::Requeued { records, bridge_spool, bridge_seq, was } => {
                    let was = was.map(|was| format!("; was {} of {}", was.bridge_seq, was.bridge_spool));
                    let last = bridge_seq + records.saturating_sub(1);
                    let numbers = if last > *bridge_seq { format!("{bridge_seq}-{last}") } else { last.to_string() };
                    (0, format!("requeued as bridge_seq {numbers} of {bridge_spool}{}", was.unwrap_or_default()))
                }
                Done::Dropped => (1, "dropped".to_owned()),
                Done::Kept { why } => (2, format!("kept: {}", plain(why))),
                Done::Gone => (3, "gone: was requeued or dropped before".to_owned()),
                Done::Unknown => (4, "unknown: no entry ever had this id".to_owned()),
            };
            self.counts[place] += 1;
            if self.json {
                self.output.json(one);
            } else {
                self.output.line(format_args!("{:>6}  {text}", one.id));
            }
        }
    }

    fn finish(self, changed: Result<(), CommandError>) -> Result<(), CommandError> {
        let [requeued, dropped, kept, gone, unknown] = self.counts;
        // The changes that were made are printed, also after an error.
        let written = self.output.finish();
        changed?;
        let done = requeued + dropped;
        let past = if self.action == EntryAction::Requeue { "requeued" } else { "dropped" };
        note(format_args!("{past}: {done} of {}", entries(done + kept + gone + unknown)));
        written?;
        if kept + unknown == 0 {
            return Ok(());
        }
        Err(CommandError::Negative(anyhow!("not {past}: {}", entries(kept + unknown))))
    }
}
