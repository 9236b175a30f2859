//! `spool verify`: verifies the whole spool.

use anyhow::anyhow;
use serde_json::json;

use crate::commands::output::Output;
use crate::commands::{CommandError, Place};
use crate::quarantine::view::{entries, plain};
use crate::spool::{Hold, verify};

/// Arguments of `spool verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Verify {
    /// Exits with 1 if the verification found an error. If the file is not a spool of this release, the exit code is
    /// 70, as at the start of the bridge.
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
                "watermark": report.published_end,
                "quarantine_events": report.quarantine_entries,
                "faults_total": report.faults_total,
                "faults": report.faults,
            }));
        } else {
            for error in &report.faults {
                output.line(format_args!("error: {}", plain(error)));
            }
            let unnamed = report.faults_total - report.faults.len() as u64;
            if unnamed > 0 {
                output.line(format_args!("and {unnamed} more errors"));
            }
            let last = report.next_seq.saturating_sub(1);
            let span = if report.rows > 0 { format!(" from {} to {last}", report.first_seq) } else { String::new() };
            output.line(format_args!(
                "{} row(s), {} event(s){span}, {} bytes; accepted up to {last}, published up to {}; {} in quarantine",
                report.rows,
                report.events,
                report.bytes,
                report.published_end.saturating_sub(1),
                entries(report.quarantine_entries)
            ));
            output.line(match report.faults_total {
                0 => "the spool is intact".to_owned(),
                errors => format!("the spool is NOT intact: {errors} error(s)"),
            });
        }
        output.finish()?;
        if report.faults_total == 0 {
            Ok(())
        } else {
            Err(CommandError::Negative(anyhow!("the spool is not intact; keep the file and see docs/operations.md")))
        }
    }
}
