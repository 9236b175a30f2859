//! The command line.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Parser, ValueEnum};

/// Faults of every kind against bridge, broker, network, disk and clock, under load; then every
/// acknowledged recall is looked for in the topic. Exit code 0 only if all is as promised.
///
/// Example: scripts/torture --minutes 5 --seed 7 --brokers 3
#[derive(Debug, Clone, Parser)]
#[command(name = "torture", bin_name = "scripts/torture")]
pub(crate) struct Options {
    /// What to do
    #[arg(value_enum, default_value = "faults")]
    pub(crate) mode: Mode,
    /// How long faults go on; of an outage, how long it lasts
    #[arg(long, default_value_t = 1.0)]
    pub(crate) minutes: f64,
    /// Replays a plan of faults; the moments at which they meet the processes differ
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// One broker, or three with replication 3 and min.insync.replicas 2
    #[arg(long, default_value = "1", value_parser = PossibleValuesParser::new(["1", "3"]).map(|text| if text == "3" { 3_usize } else { 1 }))]
    pub(crate) brokers: usize,
    /// Webhooks in a second
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// Message keys of each webhook
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) keys: u16,
    /// Connections that send, one webhook at a time each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) connections: u16,
    /// Seconds between two faults of the bridge, on average; 0: none
    #[arg(long, default_value_t = 3.0)]
    pub(crate) bridge_every: f64,
    /// Seconds between two faults of a broker, on average; 0: none
    #[arg(long, default_value_t = 15.0)]
    pub(crate) broker_every: f64,
    /// Keep log, events and spool of a run that finds nothing, too
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Faults at random
    Faults,
    /// The broker is away for minutes: how long do acknowledgements take?
    Outage,
}

impl Options {
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
