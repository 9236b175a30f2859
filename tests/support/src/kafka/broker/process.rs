//! The Java process, and who cleans up after it.

use crate::process::Start as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Measured on two cores: a start takes 2.4 s with these, 3.3 s without, and a broker that lives
/// for a few seconds never earns back what the optimizing compiler costs.
const JVM_OPTIONS: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// The broker's process, and a shell that outlives the test to clean up after it.
pub(super) struct Process {
    java: Child,
    guard: Child,
}

impl Process {
    /// A test that is killed, or that keeps its broker in a static, drops nothing. The guard
    /// sees its standard input close, whatever ended the test.
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

    /// The exit status once the process is gone; the guard goes with it.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.java.try_wait().expect("the broker's process is ours")?;
        self.dismiss_guard();
        Some(status)
    }

    pub(super) fn kill(mut self) {
        // The guard first: its number to kill is only safe while the process is not reaped.
        self.dismiss_guard();
        // Fails only where the process has ended already.
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
    command.args(JVM_OPTIONS);
    // Measured: 2.5 s of processor time for a start, 4.4 s without.
    let archive = libs.join("classes.jsa");
    if archive.exists() {
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.arg("-cp").arg(libs.join("*"));
    command
}

/// Where scripts/kafka-libs puts the jars, as Cargo puts what it builds.
fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn libs() -> PathBuf {
    let dir = std::env::var_os("BRIDGE_TEST_KAFKA_LIBS").map_or_else(|| target_dir().join("kafka/libs"), PathBuf::from);
    let has_jars = fs::read_dir(&dir)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kafka_")));
    assert!(has_jars, "no Kafka jars in {}: run scripts/kafka-libs (or set BRIDGE_TEST_KAFKA_LIBS)", dir.display());
    dir
}
