//! Tests of reads of the spool that fail: waiting events are published later, and the file does not count as corrupted.

use crate::bridge::eventually;
use crate::faulty_disk::Action::Eio;
use crate::faulty_disk::{DATABASE, LOG, Rule, call};
use crate::io_errors::Scene;

#[test]
fn failed_reads_delay_waiting_events_and_lose_none() {
    let mut scene = Scene::start();
    scene.kafka.down();
    for nth in 0..20 {
        scene.accepts(&nth.to_string());
    }
    // The process has the rows in its cache; only another process must read them.
    scene.restart(|_, _, _| ());
    scene.disk.set(Rule { times: 25, ..Rule::next(call::READ, LOG | DATABASE, Eio) });
    scene.kafka.up();
    scene.until_hit();
    eventually("it gave up failing", || {
        let _ = scene.bridge().ops_get("/status");
        (scene.disk.hits() == 25).then_some(())
    });
    scene.until_ready();
    scene.accepts("after");
    scene.proves_itself();
}

/// SQLite reports a failed read like a corrupted file.
#[test]
fn failed_reads_are_not_taken_for_corruption() {
    let mut scene = Scene::start();
    // Each event takes half a page, so that the publisher has to read some.
    let long = "k".repeat(4000);
    // The later the first failed read is, the deeper in the file it is.
    for skip in 0..4 {
        scene.kafka.down();
        for nth in 0..20 {
            scene.accepts(&format!("{skip} {nth} {long}"));
        }
        scene.restart(|_, _, _| ());
        scene.disk.set(Rule { skip, times: 10, ..Rule::next(call::READ, LOG | DATABASE, Eio) });
        scene.kafka.up();
        scene.until_hit();
        scene.until_ready();
        scene.disk.heal();
    }
    scene.proves_itself();
}
