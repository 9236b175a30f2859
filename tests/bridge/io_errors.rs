//! Tests of each kind of disk error below SQLite. Refused recalls are not published. Acknowledged recalls are
//! published once and in order, also after a crash and after a power cut.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bridge::{APP, Bridge, PATIENCE, Process, TOKEN, eventually};
use crate::faulty_disk::Action::{Dropped, Eio, Enospc, Hang, Short, Torn, YetThere};
use crate::faulty_disk::{DATABASE, FaultyDisk, LOG, Rule, call};
use crate::mock::Kafka;
use crate::random::Random;
use crate::sender::{Answer, Sender};
use crate::topic::{Record, prove};

/// A bridge on a disk that can fail, a sender, and the responses to it.
pub(crate) struct Scene {
    pub(crate) kafka: Kafka,
    pub(crate) disk: FaultyDisk,
    bridge: Option<Bridge>,
    acknowledged: Vec<String>,
    random: Random,
}

impl Scene {
    pub(crate) fn start() -> Self {
        let kafka = Kafka::start();
        let disk = FaultyDisk::new();
        let bridge = disk.under(kafka.setup()).start();
        let mut scene = Self { kafka, disk, bridge: Some(bridge), acknowledged: Vec::new(), random: Random::new() };
        scene.accepts("before");
        scene
    }

    pub(crate) fn bridge(&self) -> &Bridge {
        self.bridge.as_ref().unwrap()
    }

    fn send(&self, keys: &[String]) -> Answer {
        send(&self.bridge().url(), keys)
    }

    #[track_caller]
    pub(crate) fn accepts(&mut self, key: &str) {
        let answer = self.send(&[key.to_owned()]);
        assert!(answer.is_ok(), "{answer:?}");
        self.acknowledged.push(key.to_owned());
    }

    #[track_caller]
    fn refuses(&self, key: &str) {
        refuses(&self.bridge().url(), key);
    }

    /// Waits until a call has failed.
    #[track_caller]
    pub(crate) fn until_hit(&self) {
        eventually("a call has failed", || (self.disk.hits() > 0).then_some(()));
    }

    /// Waits until the bridge reports that it can accept, without sending a webhook.
    #[track_caller]
    pub(crate) fn until_ready(&self) {
        eventually("it is ready", || (self.bridge().ops_get("/readyz").0 == 200).then_some(()));
    }

    /// Kills the process, calls the function on the disk, and starts another process.
    pub(crate) fn restart(&mut self, meanwhile: impl FnOnce(&FaultyDisk, &Bridge, &mut Random)) {
        let mut bridge = self.bridge.take().unwrap();
        bridge.kill();
        meanwhile(&self.disk, &bridge, &mut self.random);
        self.bridge = Some(bridge.restart());
    }

    fn cut_power(&mut self) {
        self.restart(|disk, bridge, random| disk.cut_power(bridge.setup(), random));
    }

    /// Checks that the topic has exactly the acknowledged recalls in this order, and that the metrics agree.
    #[track_caller]
    pub(crate) fn proves_itself(&self) {
        self.kafka.up();
        let bridge = self.bridge();
        eventually("Kafka is reached", || (bridge.metric("kafka_up") > 0.5).then_some(()));
        bridge.wait_published();
        let records = self.kafka.records();
        prove(&records);
        assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), self.acknowledged);
        let metrics = bridge.metrics();
        let of = |name: &str| metrics[&format!("recall_bridge_{name}")];
        let inside = of("spool_recovered_events") + of("events_accepted_total")
            - of("records_published_total")
            - of("records_quarantined_total");
        assert_eq!(inside, of("spool_events"));
        // The bytes are released when the published sequence is stored, some milliseconds later.
        eventually("no byte is in use", || (bridge.metric("spool_bytes") < 1.0).then_some(()));
    }

    /// Fills the WAL until a checkpoint has failed.
    fn until_a_copy_fails(&mut self) {
        let mut number = 0;
        eventually("copying the log has failed", || {
            number += 1;
            let keys: Vec<String> = (0..10).map(|nth| format!("{number}_{nth}_{}", "k".repeat(5000))).collect();
            if self.send(&keys).is_ok() {
                self.acknowledged.extend(keys);
            }
            (self.disk.hits() > 0).then_some(())
        });
    }
}

fn send(url: &str, keys: &[String]) -> Answer {
    Sender::new(url, APP, TOKEN).recall("#TOA#_1", keys)
}

#[track_caller]
fn refuses(url: &str, key: &str) {
    let answer = send(url, &[format!("refused {key}"), format!("refused, too {key}")]);
    assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
}

#[test]
fn a_group_with_a_failed_fsync_is_neither_acknowledged_nor_published() {
    for action in [Eio, Dropped, YetThere] {
        let mut scene = Scene::start();
        scene.kafka.down();
        scene.disk.set(Rule::next(call::SYNC, LOG, action));
        scene.refuses("alone");
        assert_eq!(scene.disk.hits(), 1, "{action:?}");
        scene.accepts("healed at once");
        // While the sync of one webhook hangs, the others form a group.
        scene.disk.set(Rule::all(call::SYNC, LOG, Hang));
        let (url, disk) = (&scene.bridge().url(), &scene.disk);
        let first = std::thread::scope(|scope| {
            let first = scope.spawn(|| send(url, &["first".to_owned()]));
            eventually("it hangs", || (disk.hanging() > 0).then_some(()));
            for nth in 0..6 {
                scope.spawn(move || refuses(url, &format!("of sender {nth}")));
            }
            disk.set(Rule::all(call::SYNC, LOG, action));
            first.join().unwrap()
        });
        assert!(first.is_ok(), "{first:?}");
        scene.acknowledged.push("first".into());
        scene.disk.heal();
        scene.until_ready();
        scene.accepts("after");
        scene.restart(|_, _, _| ());
        scene.accepts("after a crash");
        scene.cut_power();
        scene.accepts("after a power cut");
        scene.proves_itself();
    }
}

#[test]
fn after_permanent_fsync_errors_and_a_kill_no_refused_recall_is_published() {
    for action in [Eio, Dropped, YetThere] {
        let mut scene = Scene::start();
        scene.kafka.down();
        scene.accepts("waiting");
        scene.disk.set(Rule::all(call::SYNC, LOG, action));
        scene.refuses("first");
        scene.refuses("second");
        assert_eq!(scene.bridge().ops_get("/readyz").0, 503);
        scene.restart(|disk, _, _| disk.heal());
        scene.accepts("after a crash");
        // The next process cannot know that the sync of a page has failed.
        scene.cut_power();
        scene.accepts("after a power cut");
        scene.proves_itself();
    }
}

#[test]
fn the_bridge_recovers_when_fsync_works_again() {
    for action in [Eio, Dropped, YetThere] {
        let mut scene = Scene::start();
        scene.disk.set(Rule::all(call::SYNC, LOG, action));
        for nth in 0..5 {
            scene.refuses(&nth.to_string());
        }
        scene.disk.heal();
        scene.until_ready();
        scene.accepts("after");
        scene.cut_power();
        scene.proves_itself();
    }
}

#[test]
fn a_failed_write_anywhere_in_a_commit_refuses_only_its_group() {
    for action in [Eio, Enospc, Torn] {
        let mut scene = Scene::start();
        scene.kafka.down();
        // The loop ends when a whole commit succeeds before the failing call.
        for skip in 0.. {
            scene.disk.set(Rule { skip, ..Rule::next(call::WRITE, LOG, action) });
            let key = format!("with call {skip}");
            let answer = scene.send(std::slice::from_ref(&key));
            let hit = scene.disk.hits() > 0;
            scene.disk.heal();
            if answer.is_ok() {
                scene.acknowledged.push(key);
            } else {
                assert!(hit && (answer.status, answer.code()) == (503, 120_011), "{answer:?}");
            }
            scene.accepts(&format!("after {skip}"));
            if skip % 3 == 1 {
                scene.restart(|_, _, _| ());
            }
            if !hit {
                assert!(skip > 0, "{action:?}: a commit writes nothing");
                break;
            }
        }
        scene.cut_power();
        scene.proves_itself();
    }
}

#[test]
fn failing_writes_refuse_webhooks_until_they_work_again() {
    for (files, action) in [(LOG, Eio), (LOG, Enospc), (LOG, Torn), (LOG | DATABASE, Eio)] {
        let mut scene = Scene::start();
        scene.disk.set(Rule::all(call::WRITE | call::TRUNCATE, files, action));
        for nth in 0..3 {
            scene.refuses(&nth.to_string());
        }
        assert_eq!(scene.bridge().ops_get("/readyz").0, 503);
        scene.disk.heal();
        scene.until_ready();
        scene.accepts("after");
        scene.disk.set(Rule::all(call::WRITE, files, action));
        scene.refuses("last");
        scene.restart(|disk, _, _| disk.heal());
        scene.accepts("after a crash");
        scene.proves_itself();
    }
}

#[test]
fn short_writes_are_finished() {
    let mut scene = Scene::start();
    // Each write writes half of the rest, so the writes end.
    scene.disk.set(Rule { times: 40, ..Rule::next(call::WRITE, LOG | DATABASE, Short) });
    for nth in 0..20 {
        scene.accepts(&nth.to_string());
    }
    assert!(scene.disk.hits() > 3);
    scene.cut_power();
    scene.proves_itself();
}

#[test]
fn a_log_that_cannot_be_copied_into_the_database_harms_nothing() {
    let ways = [
        (call::WRITE, Eio),
        (call::WRITE, Enospc),
        (call::WRITE, Torn),
        (call::SYNC, Eio),
        (call::SYNC, Dropped),
        (call::SYNC, YetThere),
    ];
    for (nth, (calls, action)) in ways.into_iter().enumerate() {
        let mut scene = Scene::start();
        scene.kafka.down();
        // The checkpoint also fails in the middle.
        scene.disk.set(Rule { skip: nth as u64 % 2 * 7 * (calls & call::WRITE), ..Rule::all(calls, DATABASE, action) });
        scene.until_a_copy_fails();
        scene.accepts("meanwhile");
        if nth % 2 == 0 {
            scene.disk.heal();
            scene.accepts("healed");
        }
        scene.restart(|disk, _, _| disk.heal());
        scene.accepts("after a crash");
        scene.cut_power();
        scene.accepts("after a power cut");
        scene.proves_itself();
    }
}

#[test]
fn a_hanging_fsync_gives_503_in_time_and_no_partial_webhook() {
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let timeout = Duration::from_millis(400);
    let bridge = disk.under(kafka.setup()).env("BRIDGE_ACK_TIMEOUT_MS", timeout.as_millis()).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    disk.set(Rule::all(call::SYNC, LOG, Hang));
    for keys in [["1 a", "1 b"], ["2 a", "2 b"]] {
        let started = Instant::now();
        let answer = sender.recall("#TOA#_1", &keys);
        let took = started.elapsed();
        assert_eq!((answer.status, answer.code()), (503, 120_011), "{answer:?}");
        assert!(took >= timeout, "{took:?}");
    }
    assert_eq!(disk.hanging(), 1);
    assert_eq!(bridge.metric("webhooks_total{outcome=\"unavailable\"}"), 2.0);
    disk.heal();
    eventually("it accepts again", || sender.recall("#TOA#_1", &["after"]).is_ok().then_some(()));
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    // The disk received these rows before the sender's timeout, and kept them.
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    assert_eq!(keys, ["before", "1 a", "1 b", "2 a", "2 b", "after"]);
}

/// The result of a start.
#[derive(Debug, PartialEq)]
enum Begun {
    Serves,
    Ended(i32),
}

/// Waits until a process is ready and kills it, or until it exits itself.
fn begin(process: &mut Process) -> Begun {
    let begun = eventually("the process serves, or has ended", || {
        let serves = !process.log_of("operations listener ready").is_empty();
        process.try_exit().map(Begun::Ended).or_else(|| serves.then_some(Begun::Serves))
    });
    process.kill();
    begun
}

#[test]
fn a_disk_that_fails_at_the_start_ends_the_bridge_without_damage() {
    let mut scene = Scene::start();
    scene.kafka.down();
    for nth in 0..5 {
        scene.accepts(&nth.to_string());
    }
    for clean in [false, true] {
        let mut bridge = scene.bridge.take().unwrap();
        if clean {
            bridge.process.signal(Signal::TERM);
            assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
        } else {
            bridge.kill();
        }
        // A stop does not wait for the unreachable Kafka.
        let setup = bridge.setup().clone().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
        drop(bridge);
        for (calls, action) in [(call::OPEN, Eio), (call::READ, Eio), (call::WRITE, Eio), (call::SYNC, Dropped)] {
            for files in [DATABASE, LOG] {
                scene.disk.set(Rule::all(calls, files, action));
                let mut process = setup.launch(&["serve"]);
                let begun = begin(&mut process);
                assert!(scene.disk.hits() > 0, "{calls} {files}: no call failed");
                // Commits go to the WAL. A WAL without a checkpoint stays, and contains all events.
                let copies = files == DATABASE && (calls == call::WRITE || calls == call::SYNC);
                let expected = if copies { Begun::Serves } else { Begun::Ended(75) };
                assert_eq!(begun, expected, "clean stop before: {clean}, calls {calls}, files {files}");
            }
        }
        scene.disk.heal();
        scene.bridge = Some(setup.start());
        scene.accepts(if clean { "after a stop" } else { "after a crash" });
    }
    scene.cut_power();
    scene.proves_itself();
}
