//! `spool status`: shows the state of the spool file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use crate::clock;
use crate::commands::output::{Output, note};
use crate::commands::{CommandError, Place};
use crate::control::{self, SpoolLimits};
use crate::quarantine::view::{entries, plain, time};
use crate::spool::{Facts, Hold, NextOffsets, Reader, Seq, Tallies, Tally};

/// The database, its WAL, and the index of the WAL.
const FILES: [&str; 3] = ["spool.db", "spool.db-wal", "spool.db-shm"];

/// Arguments of `spool status`.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// The output of `--json`. Fields that `/status` has too have the same names.
#[derive(Debug, Serialize)]
struct SpoolReport {
    dir: String,
    running: bool,
    spool_uuid: Uuid,
    depth: u64,
    bytes: u64,
    capacity_bytes: u64,
    oldest_accepted_at: Option<String>,
    oldest_age_seconds: f64,
    accepted_seq: Seq,
    published_seq: Seq,
    identities: Vec<Name>,
    positions: BTreeMap<String, NextOffsets>,
    quarantine_events: u64,
    quarantine_bytes: u64,
    quarantine_capacity_bytes: u64,
    quarantine: Tallies,
    files: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Name {
    bridge_spool: Uuid,
    first_seq: Seq,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let config = self.place.config()?;
        let hold = Hold::take(&config.dir)?;
        let facts = Reader::open_beside(&config.dir)?.facts()?;
        let limits = match hold.running().map(|_| control::limits(&config.dir)) {
            Some(Ok(limits)) => limits,
            asked => {
                if let Some(Err(error)) = asked {
                    note(format_args!("recall-bridge: the limits are those of this environment: {error}"));
                }
                SpoolLimits { max_bytes: config.max_bytes, quarantine_max_bytes: config.quarantine_max_bytes }
            }
        };
        let report = report(&config.dir, limits, facts, hold.running().is_some());
        let mut output = Output::new();
        if self.json {
            output.json(&report);
        } else {
            print(&mut output, &report, hold.running());
        }
        output.finish()
    }
}

fn report(dir: &Path, limits: SpoolLimits, facts: Facts, running: bool) -> SpoolReport {
    let age_ms = facts.oldest_accepted_at_ms.map_or(0, |at| (clock::now_ms() - at).max(0));
    let sum = |of: fn(&Tally) -> u64| facts.quarantine.values().map(of).sum();
    let name = |identity: &crate::spool::Identity| Name { bridge_spool: identity.uuid, first_seq: identity.first_seq };
    #[expect(clippy::cast_precision_loss, reason = "an age, for display")]
    let oldest_age_seconds = age_ms as f64 / 1000.0;
    SpoolReport {
        dir: dir.display().to_string(),
        running,
        spool_uuid: facts.identities.last().map(|identity| identity.uuid).unwrap_or_default(),
        depth: facts.next_seq - facts.published_end,
        bytes: facts.bytes,
        capacity_bytes: limits.max_bytes,
        oldest_accepted_at: facts.oldest_accepted_at_ms.map(time),
        oldest_age_seconds,
        accepted_seq: facts.next_seq - 1,
        published_seq: facts.published_end - 1,
        identities: facts.identities.iter().map(name).collect(),
        quarantine_events: sum(|tally| tally.events),
        quarantine_bytes: sum(|tally| tally.bytes),
        quarantine_capacity_bytes: limits.quarantine_max_bytes,
        positions: facts.next_offsets,
        quarantine: facts.quarantine,
        files: sizes(dir),
    }
}

fn sizes(dir: &Path) -> BTreeMap<&'static str, u64> {
    let size = |name: &'static str| Some((name, dir.join(name).metadata().ok()?.len()));
    FILES.into_iter().filter_map(size).collect()
}

fn print(output: &mut Output, report: &SpoolReport, running: Option<&str>) {
    let mut line = |name: &str, text: std::fmt::Arguments<'_>| {
        output.line(format_args!("{name:<12} {text}"));
    };
    line("directory", format_args!("{}", plain(&report.dir)));
    line("node", format_args!("{}", running.map_or("stopped".to_owned(), |pid| format!("running{pid}"))));
    for identity in &report.identities {
        line("spool", format_args!("{}, from event {}", identity.bridge_spool, identity.first_seq));
    }
    line("accepted", format_args!("events up to {}", report.accepted_seq));
    line("published", format_args!("events up to {}, as stored; Kafka may have a few more", report.published_seq));
    line("waiting", format_args!("{} event(s), {} of {} bytes", report.depth, report.bytes, report.capacity_bytes));
    if let Some(at) = &report.oldest_accepted_at {
        line("oldest", format_args!("accepted {at}, {:.1} s ago", report.oldest_age_seconds));
    }
    line(
        "quarantine",
        format_args!(
            "{}, {} of {} bytes",
            entries(report.quarantine_events),
            report.quarantine_bytes,
            report.quarantine_capacity_bytes
        ),
    );
    for (reason, tally) in &report.quarantine {
        line("", format_args!("{}: {}, {} bytes", plain(reason.label()), entries(tally.events), tally.bytes));
    }
    for (topic, positions) in &report.positions {
        let positions: Vec<String> = positions.iter().map(|(partition, next)| format!("{partition}@{next}")).collect();
        line("next offset", format_args!("{} {}", plain(topic), positions.join(" ")));
    }
    for (name, bytes) in &report.files {
        line("file", format_args!("{name}: {bytes} bytes"));
    }
}
