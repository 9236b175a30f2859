//! The Java process, and the guard that cleans up after it.

use crate::process::Start as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Measured on two cores: a start takes 2.4 s with these options and 3.3 s without. A broker that runs for a few
/// seconds does not benefit from the optimizing compiler. A benchmark does; it sets `BRIDGE_TEST_KAFKA_JVM`.
const JVM_OPTIONS: &str = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1";

/// The broker's process, and a shell (the guard) that outlives the test and cleans up.
pub(super) struct Process {
    java: Child,
    guard: Child,
}

impl Process {
    /// Starts the process and its guard. A killed test, or a test with its broker in a static, does not drop the
    /// broker. The guard's standard input closes when the test ends for any reason.
    pub(super) fn guarded(java: Child, dir: &Path) -> Self {
        let guard = Command::new("sh")
            .args(["-c", r#"trap "" INT TERM HUP; read -r _; kill -9 "$1"; rm -rf "$2""#, "broker-guard"])
            .arg(java.id().to_string())
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .start()
            .expect("sh starts");
        Self { java, guard }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.java), signal).expect("the broker's process is there");
    }

    /// Returns the exit status after the process has ended, and ends the guard.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.java.try_wait().expect("the broker's process is ours")?;
        self.dismiss_guard();
        Some(status)
    }

    pub(super) fn kill(mut self) {
        // The guard ends first: after the process is reaped, its id can belong to another process.
        self.dismiss_guard();
        // Fails only if the process has ended already.
        let _ = self.java.kill();
        let _ = self.java.wait();
    }

    fn dismiss_guard(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

pub fn java() -> Command {
    let libs = libs();
    let mut command = Command::new("java");
    let options = std::env::var("BRIDGE_TEST_KAFKA_JVM");
    command.args(options.as_deref().unwrap_or(JVM_OPTIONS).split_whitespace());
    // Measured: a start takes 2.5 s of processor time with this archive and 4.4 s without.
    let archive = libs.join("classes.jsa");
    if archive.exists() {
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.arg("-cp").arg(libs.join("*"));
    command
}

/// Returns Cargo's target directory.
fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// Returns the directory of the jars that `scripts/kafka-libs` downloads.
fn libs() -> PathBuf {
    let dir = std::env::var_os("BRIDGE_TEST_KAFKA_LIBS").map_or_else(|| target_dir().join("kafka/libs"), PathBuf::from);
    let has_jars = fs::read_dir(&dir)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kafka_")));
    assert!(has_jars, "no Kafka jars in {}: run scripts/kafka-libs (or set BRIDGE_TEST_KAFKA_LIBS)", dir.display());
    dir
}
