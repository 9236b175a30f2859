//! The command line.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Parser, ValueEnum};

/// Injects faults of every kind into bridge, broker, network, disk and clock, under load. Then it searches the topic
/// for every acknowledged recall. The exit code is 0 only if no guarantee was violated.
///
/// Example: scripts/torture --minutes 5 --seed 7 --brokers 3
#[derive(Debug, Clone, Parser)]
#[command(name = "torture", bin_name = "scripts/torture")]
pub(crate) struct Options {
    /// The kind of run
    #[arg(value_enum, default_value = "faults")]
    pub(crate) mode: Mode,
    /// Duration of the faults or, with `outage`, of the outage
    #[arg(long, default_value_t = 1.0)]
    pub(crate) minutes: f64,
    /// The seed: repeats a plan of faults; the state of the processes at each fault differs
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// One broker, or three with replication 3 and min.insync.replicas 2
    #[arg(long, default_value = "1", value_parser = PossibleValuesParser::new(["1", "3"]).map(|text| if text == "3" { 3_usize } else { 1 }))]
    pub(crate) brokers: usize,
    /// Webhooks per second
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// Message keys per webhook
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) keys: u16,
    /// Connections; each sends one webhook at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) connections: u16,
    /// Average time in seconds between two faults of the bridge; 0: no faults
    #[arg(long, default_value_t = 3.0)]
    pub(crate) bridge_every: f64,
    /// Average time in seconds between two faults of a broker; 0: no faults
    #[arg(long, default_value_t = 15.0)]
    pub(crate) broker_every: f64,
    /// Keep log, events and spool also if the run finds no error
    #[arg(long)]
    pub(crate) keep: bool,
}

/// The kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Faults at random
    Faults,
    /// An outage of the broker for minutes: measures how long acknowledgements take
    Outage,
}

impl Options {
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
