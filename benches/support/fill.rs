//! Spools with a backlog.

use std::path::Path;
use std::time::Duration;

use super::kafka::NOBODY;
use super::load::Load;
use super::process::bridge;

/// MsgKeys of one webhook: as many as one recall by REST has.
const KEYS: u64 = 10;
const TIME_MAX: Duration = Duration::from_secs(1800);

/// Fills a spool with this number of records, through a bridge without a broker that is killed afterwards.
pub(crate) fn fill(spool: &Path, records: u64) {
    if records == 0 {
        return;
    }
    let bridge = bridge(spool, NOBODY, &[]);
    let load = Load { keys: KEYS as usize, count: records / KEYS, ..Load::closed(128, TIME_MAX) };
    let run = load.run(bridge.webhook);
    assert_eq!(run.failed, 0, "every webhook is acknowledged");
    assert_eq!(bridge.status("depth"), records / KEYS * KEYS, "BENCH_RECORDS is a multiple of {KEYS}");
    eprintln!(
        "filled with {} records in {:.1} s: {:.0} webhooks/s, p50 {:.2} ms, p99 {:.2} ms; resident {} MB",
        run.answers * KEYS,
        run.seconds,
        run.rate(),
        run.ms(0.5),
        run.ms(0.99),
        bridge.resident() >> 20
    );
}
