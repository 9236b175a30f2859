//! `refused replay`. If the node runs, it makes the change on request; otherwise this process makes it.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::RefusedFilterArgs;
use super::list::RefusedLines;
use super::source::each_refused;
use crate::clock;
use crate::commands::changes::{Preview, check_selection, open_stopped};
use crate::commands::output::{Output, note};
use crate::commands::{CommandError, Place};
use crate::config::SpoolConfig;
use crate::control;
use crate::escape::plain;
use crate::quarantine::view::entries;
use crate::refused::{RefusedFilter, RefusedId, RefusedJournal, ReplayDone, ReplayResult, ReplayedView, replay};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// Ids of the entries.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["outcome", "account", "key", "since", "through"])]
    ids: Vec<RefusedId>,
    #[command(flatten)]
    filter: RefusedFilterArgs,
    /// Apply to all matching entries; requires --through.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Replay {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let by_filter = self.ids.is_empty();
        if by_filter {
            check_selection("refused list", self.filter.is_given(), self.yes, self.filter.through.is_some());
        }
        let config = self.place.config()?;
        if by_filter && !self.yes {
            return self.preview(&config);
        }
        let mut ids: BTreeSet<RefusedId> = self.ids.iter().copied().collect();
        if by_filter {
            each_refused(&config.dir, &self.matching(), |entry| {
                if entry.replayable {
                    ids.insert(entry.id);
                }
                true
            })?;
        }
        let mut results = ReplayOutput { output: Output::new(), json: self.json, counts: [0; 4] };
        let replayed = run(&config, &ids, |done| results.put(&done));
        results.finish(replayed)
    }

    /// The filter, for entries with a valid `Sign`: no other can be replayed.
    fn matching(&self) -> RefusedFilter {
        RefusedFilter { authentic: true, ..self.filter.filter() }
    }

    /// Lists the entries that can be replayed, and prints the command that replays exactly these.
    fn preview(&self, config: &SpoolConfig) -> Result<(), CommandError> {
        let (mut output, mut lines, mut last) = (Output::new(), RefusedLines::new(self.json), 0);
        each_refused(&config.dir, &self.matching(), |entry| {
            if !entry.replayable {
                return true;
            }
            last = entry.id;
            lines.put(&mut output, entry)
        })?;
        let preview = Preview {
            command: ["refused", "replay"],
            filter: self.filter.arguments(),
            last: last.to_string(),
            place: &self.place,
            count: lines.count,
            nothing: "no entries that can be replayed",
        };
        preview.print(&mut output, self.json);
        output.finish()
    }
}

/// Replays the entries in this process or through the running node. Calls `each` after each step.
fn run(
    config: &SpoolConfig,
    ids: &BTreeSet<RefusedId>,
    mut each: impl FnMut(Vec<ReplayResult>),
) -> Result<(), CommandError> {
    let Some((spool, writer)) = open_stopped(config)? else {
        let asked = control::replay(&config.dir, ids, each);
        return asked.map_err(|error| CommandError::Outside(anyhow!(error)));
    };
    let (reader, journal) = (spool.reader()?, RefusedJournal::open(&config.dir));
    let ids: Vec<RefusedId> = ids.iter().copied().collect();
    let mut result = Ok(());
    for some in ids.chunks(control::REQUEST_MAX_IDS) {
        let find = |id| journal.get(id);
        match replay(&spool, &reader, some, clock::now_ms(), find, |entry, done| journal.mark(entry, done)) {
            Ok(done) => each(done),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    drop(reader);
    journal.stop();
    note("the node is stopped; it publishes the replayed entries after its next start");
    Ok(result.and(writer.stop())?)
}

/// The results: one line for each entry, and totals.
struct ReplayOutput {
    output: Output,
    json: bool,
    /// Replayed now, replayed before, kept, unknown.
    counts: [u64; 4],
}

impl ReplayOutput {
    fn put(&mut self, results: &[ReplayResult]) {
        for one in results {
            let (place, text) = match &one.done {
                ReplayDone::Replayed(replayed) => (0, format!("replayed: {}", numbers(replayed))),
                ReplayDone::Before(replayed) => (1, format!("was replayed at {}: {}", replayed.at, numbers(replayed))),
                ReplayDone::Kept { why } => (2, format!("cannot be published: {}", plain(why))),
                ReplayDone::Unknown => (3, "unknown: the journal has no entry with this id".to_owned()),
            };
            self.counts[place] += 1;
            if self.json {
                self.output.json(one);
            } else {
                self.output.line(format_args!("{:>6}  {text}", one.id));
            }
        }
    }

    fn finish(self, replayed: Result<(), CommandError>) -> Result<(), CommandError> {
        let [now, before, kept, unknown] = self.counts;
        // The replays that were made are printed, also after an error.
        let written = self.output.finish();
        replayed?;
        note(format_args!("replayed: {now} of {}", entries(now + before + kept + unknown)));
        written?;
        if kept + unknown == 0 {
            return Ok(());
        }
        Err(CommandError::Negative(anyhow!("not replayed: {}", entries(kept + unknown))))
    }
}

/// The sequence numbers of a replay.
fn numbers(replayed: &ReplayedView) -> String {
    let ReplayedView { records, duplicates, bridge_spool, bridge_seq, .. } = replayed;
    let last = bridge_seq + records.saturating_sub(1);
    let new = match records {
        0 => "nothing to publish".to_owned(),
        1 => format!("bridge_seq {bridge_seq} of {bridge_spool}"),
        _ => format!("bridge_seq {bridge_seq}-{last} of {bridge_spool}"),
    };
    match duplicates {
        0 => new,
        _ => format!("{new}; {duplicates} recall(s) had been accepted before"),
    }
}
