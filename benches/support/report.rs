//! The output: lines of a table on stdout, and one JSON object per measurement in the file `BENCH_JSON`.

use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::Value;

/// Appends one line to the file `BENCH_JSON`, if it is set.
pub(crate) fn json(value: &Value) {
    let Ok(path) = std::env::var("BENCH_JSON") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("BENCH_JSON can be written");
    writeln!(file, "{value}").expect("BENCH_JSON can be written");
}
