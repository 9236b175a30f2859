//! The report of a run: a table for people, one line of JSON for scripts, one row for the documents.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::Verdict;
use crate::load::Ledger;
use crate::options::Options;

/// The faults of a run, and the bridge's results.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) end_txn_held: u64,
    pub(crate) end_txn_answered: u64,
    pub(crate) end_txn_accepted: u64,
    pub(crate) clock_steps: u64,
    pub(crate) unavailable: u64,
    pub(crate) doubts: u64,
    pub(crate) found: u64,
    pub(crate) refused_starts: u64,
    pub(crate) reader_resets: u64,
}

impl Tally {
    fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    brokers: usize,
    minutes: f64,
    verdict: Verdict,
    tally: Tally,
    /// The times from SIGKILL to the next acknowledgement, the shortest first.
    recoveries: Vec<Duration>,
    /// Milliseconds to the acknowledgement: median, 99th percentile, maximum.
    answers: [f64; 3],
    unanswered_webhooks: u64,
    /// Events that no fault explains.
    problems: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        seed: u64,
        verdict: Verdict,
        tally: Tally,
        ledger: &Ledger,
        problems: Vec<String>,
    ) -> Self {
        let mut recoveries = ledger.recoveries.clone();
        recoveries.sort();
        let times = &ledger.phases[0];
        let answers = percentiles(&times.answer);
        let (brokers, minutes, unanswered_webhooks) = (options.brokers, options.minutes, times.unanswered);
        Self { seed, brokers, minutes, verdict, tally, recoveries, answers, unanswered_webhooks, problems }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.problems.is_empty() && self.verdict.acknowledged > 0
    }

    fn recovery(&self, per_cent: usize) -> f64 {
        let last = self.recoveries.len().saturating_sub(1);
        let at = last * per_cent / 100;
        self.recoveries.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }

    /// Returns all results as one line of JSON.
    pub(crate) fn json(&self) -> Value {
        let Self { verdict, tally, .. } = self;
        json!({
            "seed": self.seed, "brokers": self.brokers, "minutes": self.minutes, "clean": self.is_clean(),
            "acknowledged": verdict.acknowledged, "published": verdict.published,
            "unanswered": verdict.unanswered, "unanswered_published": verdict.unanswered_published,
            "refused": verdict.refused,
            "lost": verdict.lost, "duplicated": verdict.duplicated, "reordered": verdict.reordered,
            "gaps": verdict.gaps, "false_recalls": verdict.false_recalls, "torn": verdict.torn,
            "moved": verdict.moved, "spools": verdict.spools,
            "injected": tally.counts, "clock_steps": tally.clock_steps,
            "webhooks_unavailable": tally.unavailable,
            "end_txn_held": tally.end_txn_held, "end_txn_answered": tally.end_txn_answered,
            "end_txn_accepted": tally.end_txn_accepted,
            "doubts": tally.doubts, "read_back_found": tally.found,
            "starts_refused_by_full_disk": tally.refused_starts, "reader_resets": tally.reader_resets,
            "recovery_ms": {"count": self.recoveries.len(), "median": self.recovery(50), "p99": self.recovery(99),
                "max": self.recovery(100)},
            "answer_ms": {"median": self.answers[0], "p99": self.answers[1], "max": self.answers[2]},
            "unanswered_webhooks": self.unanswered_webhooks,
            "problems": self.problems,
        })
    }

    /// Returns a row for the table of docs/reliability.md.
    pub(crate) fn row(&self) -> String {
        let Self { verdict, tally, .. } = self;
        let cells = [
            self.seed.to_string(),
            format!("{}, {}", self.brokers, self.minutes),
            verdict.acknowledged.to_string(),
            format!("{}, {}, {}", tally.of("bridge_kills"), tally.of("bridge_freezes"), tally.of("bridge_stops")),
            format!("{}, {}", tally.of("broker_kills"), tally.of("broker_freezes")),
            tally.of("broker_leader_kills").to_string(),
            format!("{}, {}, {}", tally.end_txn_held, tally.end_txn_answered, tally.end_txn_accepted),
            format!("{}, {}, {}", tally.of("connections_cut"), tally.of("network_delays"), tally.of("network_stalls")),
            tally.of("disk_full").to_string(),
            tally.clock_steps.to_string(),
            verdict.lost.to_string(),
            verdict.duplicated.to_string(),
            verdict.reordered.to_string(),
            verdict.gaps.to_string(),
            verdict.false_recalls.to_string(),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

/// Returns median, 99th percentile and maximum in milliseconds.
pub(crate) fn percentiles(histogram: &hdrhistogram::Histogram<u64>) -> [f64; 3] {
    let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1000.0;
    [millis(histogram.value_at_quantile(0.5)), millis(histogram.value_at_quantile(0.99)), millis(histogram.max())]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, tally, .. } = self;
        let mut row = |name: &str, value: String| writeln!(f, "| {name} | {value} |");
        row("what", "how many".to_owned())?;
        row("---", "---".to_owned())?;
        row("seed", self.seed.to_string())?;
        row("brokers", self.brokers.to_string())?;
        row("minutes of faults", self.minutes.to_string())?;
        row("recalls acknowledged", verdict.acknowledged.to_string())?;
        row("records in the topic", verdict.published.to_string())?;
        row("recalls without an answer (in the topic)", {
            format!("{} ({})", verdict.unanswered, verdict.unanswered_published)
        })?;
        row("recalls refused", verdict.refused.to_string())?;
        row("SIGKILL of the bridge", tally.of("bridge_kills").to_string())?;
        row("SIGSTOP of the bridge", tally.of("bridge_freezes").to_string())?;
        row("SIGKILL of a broker (of a partition's leader among several)", {
            format!("{} ({})", tally.of("broker_kills"), tally.of("broker_leader_kills"))
        })?;
        row("SIGSTOP of a broker", tally.of("broker_freezes").to_string())?;
        row("EndTxn delivered late (answered by the broker, without an error)", {
            format!("{} ({}, {})", tally.end_txn_held, tally.end_txn_answered, tally.end_txn_accepted)
        })?;
        row("connections cut", tally.of("connections_cut").to_string())?;
        row("network slow", tally.of("network_delays").to_string())?;
        row("network silent", tally.of("network_stalls").to_string())?;
        row("of all that stood still, longer than a transaction may last", {
            tally.of("outlasting_a_transaction").to_string()
        })?;
        row("SIGTERM of the bridge", tally.of("bridge_stops").to_string())?;
        row("disk full (webhooks answered `unavailable`; starts of the bridge that it refused)", {
            format!("{} ({}; {})", tally.of("disk_full"), tally.unavailable, tally.refused_starts)
        })?;
        row("webhooks with a clock that is off", tally.clock_steps.to_string())?;
        row("transactions in doubt, at least", tally.doubts.to_string())?;
        row("records found when reading back, at least", tally.found.to_string())?;
        row("ms from SIGKILL to an acknowledgement: median, 99 %, most", {
            format!("{:.0}, {:.0}, {:.0}", self.recovery(50), self.recovery(99), self.recovery(100))
        })?;
        row("ms to an acknowledgement: median, 99 %, most", {
            let [median, most_of, most] = self.answers;
            format!("{median:.1}, {most_of:.1}, {most:.1}")
        })?;
        row("**lost**", verdict.lost.to_string())?;
        row("**duplicated**", verdict.duplicated.to_string())?;
        row("**reordered**", verdict.reordered.to_string())?;
        row("**gaps**", verdict.gaps.to_string())?;
        row("**false recalls**", verdict.false_recalls.to_string())?;
        row("webhooks in part, accounts moved, further names of the spool", {
            format!("{}, {}, {}", verdict.torn, verdict.moved, verdict.spools.saturating_sub(1))
        })?;
        for text in verdict.examples.iter().chain(&self.problems).take(40) {
            writeln!(f, "! {text}")?;
        }
        Ok(())
    }
}
