//! Shared code of the benchmarks.
#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod disk;
pub(crate) mod fill;
pub(crate) mod handlers;
pub(crate) mod kafka;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod request;

use std::fmt::Debug;
use std::str::FromStr;

pub(crate) const APP: u64 = 1_400_000_001;
pub(crate) const TOKEN: &str = "benchmark";

/// Runs this process in its role (`BENCH_ROLE`): a broker or a handler.
pub(crate) fn run(role: &str) {
    kafka::run(role);
    handlers::run(role);
}

/// Returns the value of a variable, or the default.
pub(crate) fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}

/// Returns the values of a variable, separated by commas, or the default.
pub(crate) fn settings<T: FromStr<Err: Debug>>(name: &str, default: &str) -> Vec<T> {
    let text: String = setting(name, default.to_owned());
    let parse = |one: &str| one.trim().parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}"));
    text.split(',').map(parse).collect()
}

/// Returns a directory for a spool, on the disk of `BENCH_SPOOL` (default: the current directory).
pub(crate) fn spool() -> tempfile::TempDir {
    tempfile::tempdir_in(setting("BENCH_SPOOL", ".".to_owned())).expect("a spool directory")
}

/// Returns the median.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
