//! Tests of a wall clock that is set back while the bridge connects, reconciles or publishes. The bridge continues to
//! publish, although librdkafka waits on that clock. `stepped_clock.c` replaces the clock functions of the C library.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bridge::{APP, Bridge, Setup, TOKEN};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::Sender;
use crate::topic::prove;

const EIGHT_HOURS: i64 = 8 * 60 * 60;
/// The bridge abandons a stuck client after 15 to 20 s.
const WITHIN: Duration = Duration::from_secs(60);

/// The wall clock of a bridge.
struct Clock {
    dir: TempDir,
    offset: File,
}

impl Clock {
    fn new() -> Self {
        let dir = TempDir::with_prefix("stepped-clock-").unwrap();
        let offset = File::options().read(true).write(true).create_new(true).open(dir.path().join("offset")).unwrap();
        offset.set_len(4096).unwrap();
        Self { dir, offset }
    }

    fn under(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", library().display())
            .env("STEPPED_CLOCK", self.dir.path().join("offset").display())
            // Only the bridge's clock is set back.
            .env("BRIDGE_REQUEST_TIME_WINDOW_SECONDS", 86_400)
    }

    fn step(&self, seconds: i64) {
        self.offset.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let dir = TempDir::with_prefix_in("stepped-clock-library-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = dir.path().join("stepped_clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bridge/stepped_clock.c");
        let output = Command::new("cc")
            .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
            .args([path.as_os_str(), source.as_ref(), "-ldl".as_ref()])
            .run()
            .expect("cc, which the build of SQLite needs as well");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (dir, path)
    });
    path
}

fn send(bridge: &Bridge, numbers: std::ops::Range<u32>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in numbers {
        sender.acknowledged("#TOA#_1", &[format!("{number}_0_1")]);
    }
}

#[track_caller]
fn published_within_a_minute(kafka: &Kafka, bridge: &Bridge, records: usize) {
    let until = Instant::now() + WITHIN;
    while bridge.metric("spool_events") > 0.0 {
        assert!(Instant::now() < until, "{}\n{}", bridge.status(), bridge.process.tail());
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = kafka.records();
    prove(&found);
    assert_eq!(found.len(), records);
}

#[test]
fn a_clock_step_while_the_publisher_connects_delays_it_by_seconds() {
    let (kafka, clock) = (Kafka::start(), Clock::new());
    kafka.down();
    let bridge = clock.under(kafka.setup()).start();
    send(&bridge, 0..3);
    // The publisher waits for Kafka most of the time. The clock is set back until that happens during a wait.
    let (until, mut steps) = (Instant::now() + WITHIN, 0);
    while bridge.metric("component_stuck_total{component=\"publisher\"}") < 1.0 {
        assert!(Instant::now() < until, "{}", bridge.process.tail());
        steps += 1;
        clock.step(-EIGHT_HOURS * steps);
        std::thread::sleep(Duration::from_secs(1));
    }
    kafka.up();
    published_within_a_minute(&kafka, &bridge, 3);
    // The abandoned client does not delay the stop.
    let mut bridge = bridge;
    bridge.process.signal(rustix::process::Signal::TERM);
    assert_eq!(bridge.process.wait_exit(WITHIN), 0, "{}", bridge.process.tail());
}

#[test]
fn a_clock_set_back_during_a_reconciliation_delays_it_by_seconds() {
    let (kafka, clock) = (Kafka::start(), Clock::new());
    let mut bridge = clock.under(kafka.setup()).start();
    send(&bridge, 0..3);
    bridge.wait_published();
    bridge.kill();
    kafka.delay(Duration::from_millis(500));
    let bridge = bridge.restart();
    send(&bridge, 3..6);
    crate::bridge::eventually("it has connected", || {
        let state = bridge.status()["kafka"]["state"].clone();
        (state != "connecting").then_some(())
    });
    kafka.down();
    clock.step(-EIGHT_HOURS);
    kafka.delay(Duration::ZERO);
    kafka.up();
    published_within_a_minute(&kafka, &bridge, 6);
}

#[test]
fn clock_steps_under_load_delay_recalls_by_seconds_only() {
    let (kafka, clock) = (Kafka::start(), Clock::new());
    let bridge = clock.under(kafka.setup()).start();
    let steps = [-EIGHT_HOURS, 0, -EIGHT_HOURS, 3600, -60];
    for (round, step) in (0..).zip(steps) {
        send(&bridge, round * 20..round * 20 + 10);
        clock.step(step);
        send(&bridge, round * 20 + 10..round * 20 + 20);
    }
    published_within_a_minute(&kafka, &bridge, 100);
    assert_eq!(bridge.ops_get("/livez").0, 200);
}
