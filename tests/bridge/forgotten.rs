//! Tests that replaced secrets are no longer in the memory of the process.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::process::Signal;

use crate::bridge::{APP, Bridge};
use crate::mock::Kafka;

/// Returns whether the writable memory of the process contains a text.
fn is_in_memory(bridge: &Bridge, text: &str) -> bool {
    let pid = bridge.process.pid();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().filter(|line| line.contains(" rw-p ")).any(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let at = |text| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(at(to) - at(from)).unwrap()];
        // Unmapped pages contain no secret.
        let read = memory.read_at(&mut bytes, at(from)).unwrap_or(0);
        bytes[..read].windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_token_that_was_replaced_is_gone_from_the_memory() {
    let kafka = Kafka::start();
    let setup = kafka.setup().without("BRIDGE_APPS");
    let file = setup.home().join("apps");
    let write = |token: &str| std::fs::write(&file, format!("{APP}:{token}\n")).unwrap();
    write("replaced-t0ken-7c1f55ab");
    let bridge = setup.env("BRIDGE_APPS_FILE", file.display()).start();
    assert!(is_in_memory(&bridge, "replaced-t0ken-7c1f55ab"), "the search finds nothing");
    write("present-t0ken-0d92e4b3");
    bridge.process.signal(Signal::HUP);
    bridge.process.wait_for_line("apps_reloaded");
    assert!(is_in_memory(&bridge, "present-t0ken-0d92e4b3"));
    assert!(!is_in_memory(&bridge, "replaced-t0ken-7c1f55ab"));
}
