//! `spool verify`: is all of it sound?

use anyhow::anyhow;
use serde_json::json;

use crate::commands::output::Output;
use crate::commands::{CommandError, Place};
use crate::quarantine::view::{entries, plain};
use crate::spool::{Hold, verify};

/// How to tell.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Verify {
    /// Exit 1 where something is wrong: the question was answered, and the answer is no. That the
    /// file is no spool of this release at all is 70, as when the bridge starts on it.
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let dir = self.place.config()?.dir;
        let _hold = Hold::take(&dir)?;
        let report = verify(&dir)?;
        let mut output = Output::new();
        if self.json {
            output.json(&json!({
                "rows": report.rows,
                "events": report.events,
                "bytes": report.bytes,
                "first_seq": report.first_seq,
                "next_seq": report.next_seq,
                "watermark": report.watermark,
                "quarantine_events": report.quarantine_entries,
                "faults_total": report.faults_total,
                "faults": report.faults,
            }));
        } else {
            for fault in &report.faults {
                output.line(format_args!("fault: {}", plain(fault)));
            }
            let unnamed = report.faults_total - report.faults.len() as u64;
            if unnamed > 0 {
                output.line(format_args!("and {unnamed} faults more"));
            }
            let last = report.next_seq.saturating_sub(1);
            let span = if report.rows > 0 { format!(" from {} to {last}", report.first_seq) } else { String::new() };
            output.line(format_args!(
                "{} row(s), {} event(s){span}, {} bytes; accepted up to {last}, published up to {}; {} in quarantine",
                report.rows,
                report.events,
                report.bytes,
                report.watermark.saturating_sub(1),
                entries(report.quarantine_entries)
            ));
            output.line(match report.faults_total {
                0 => "the spool is sound".to_owned(),
                faults => format!("NOT sound: {faults} fault(s)"),
            });
        }
        output.finish()?;
        if report.faults_total == 0 { Ok(()) } else { Err(CommandError::Negative(anyhow!("the spool is not sound"))) }
    }
}
