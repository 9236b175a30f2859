//! Start without Kafka, every kind of stop, and reload of the tokens.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rustix::process::Signal;

use crate::bridge::{APP, Bridge, PATIENCE, TOKEN, eventually};
use crate::mock::Kafka;
use crate::raw;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::{Record, prove};

fn send(bridge: &Bridge, numbers: std::ops::Range<u32>) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in numbers {
        sender.acknowledged(&format!("#TOA#_{}", number % 3), &[format!("{number}_1_1")]);
    }
}

#[track_caller]
fn expect_records(kafka: &Kafka, count: usize) {
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), count);
}

#[test]
fn without_kafka_it_starts_accepts_and_publishes_once_kafka_appears() {
    let kafka = Kafka::start();
    kafka.down();
    let bridge = kafka.setup().start();
    send(&bridge, 0..20);
    assert_eq!(bridge.ops_get("/readyz").0, 200);
    assert_eq!(bridge.metric("kafka_up"), 0.0);
    assert_eq!(bridge.metric("spool_events"), 20.0);
    kafka.up();
    bridge.wait_published();
    expect_records(&kafka, 20);
    assert_eq!(bridge.metric("kafka_up"), 1.0);
}

#[test]
fn sigterm_and_sigint_finish_current_webhooks_and_publish_the_backlog() {
    for signal in [Signal::TERM, Signal::INT] {
        let kafka = Kafka::start();
        let mut bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 10_000).start();
        send(&bridge, 0..5);
        let body = recall_body("#TOA#_1", &["in-flight"]);
        let headers = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
        let mut stream = raw::connect(&bridge);
        stream.write_all(raw::head(&signed_query(APP, TOKEN), &headers).as_bytes()).unwrap();
        // Asked to go on: the request is in the bridge's hands.
        assert_eq!(raw::read_answer(&mut stream).expect("leave to go on").status, 100);
        bridge.process.signal(signal);
        eventually("it drains", || {
            let (status, text) = bridge.ops_get("/readyz");
            (status == 503 && text.contains("draining")).then_some(())
        });
        eventually("no further connection is taken", || TcpStream::connect(bridge.webhook_address()).err());
        let next = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &["too-late"]));
        stream.write_all(format!("{body}{next}").as_bytes()).unwrap();
        let answer = raw::read_answer(&mut stream).expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
        assert_eq!(raw::read_to_close(&mut stream), "", "what came behind it is not begun");
        assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
        expect_records(&kafka, 6);
        assert!(kafka.records().iter().any(|record| record.msg_key() == "in-flight"));
        assert_eq!(bridge.process.log_of("stopped").len(), 1);
    }
}

#[test]
fn a_stop_under_load_publishes_every_acknowledged_recall() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let count = AtomicUsize::new(0);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|nth| {
                let (url, count) = (bridge.url(), &count);
                scope.spawn(move || {
                    let sender = Sender::new(&url, APP, TOKEN);
                    let mut keys = Vec::new();
                    for number in 0.. {
                        let key = format!("{number}_{nth}_1");
                        let Ok(answer) = sender.try_recall(&format!("#TOA#_{nth}"), &[&key]) else { break };
                        if answer.is_ok() {
                            keys.push(key);
                            count.fetch_add(1, SeqCst);
                        } else {
                            let said = (answer.status, answer.code(), answer.connection.as_deref());
                            assert_eq!(said, (503, 120_003, Some("close")));
                        }
                    }
                    keys
                })
            })
            .collect();
        eventually("some are acknowledged", || (count.load(SeqCst) > 200).then_some(()));
        bridge.process.signal(Signal::TERM);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    let records = kafka.records();
    prove(&records);
    let published: BTreeSet<&str> = records.iter().map(Record::msg_key).collect();
    assert!(acknowledged.iter().all(|key| published.contains(key.as_str())));
}

#[test]
fn the_next_start_publishes_the_backlog_of_a_stop() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 1).start();
    send(&bridge, 0..3);
    bridge.wait_published();
    // Kafka is there, but does not answer.
    kafka.delay(Duration::from_secs(60));
    send(&bridge, 3..10);
    let mut bridge = bridge;
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    assert!(bridge.process.tail().contains("the next start publishes"), "{}", bridge.process.tail());
    kafka.delay(Duration::ZERO);
    kafka.down();
    kafka.up();
    let bridge = bridge.restart();
    bridge.wait_published();
    expect_records(&kafka, 10);
}

#[test]
fn a_second_signal_exits_at_once_with_an_error_and_no_loss() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 3600).start();
    send(&bridge, 0..3);
    bridge.wait_published();
    kafka.delay(Duration::from_secs(60));
    send(&bridge, 3..10);
    bridge.process.signal(Signal::TERM);
    bridge.process.wait_for_line("stopping");
    bridge.process.signal(Signal::INT);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 70);
    assert!(bridge.process.tail().contains("second signal"), "{}", bridge.process.tail());
    kafka.delay(Duration::ZERO);
    kafka.down();
    kafka.up();
    let bridge = bridge.restart();
    bridge.wait_published();
    expect_records(&kafka, 10);
}

#[test]
fn a_suspended_process_continues_when_it_is_resumed() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    send(&bridge, 0..5);
    bridge.process.signal(Signal::STOP);
    bridge.process.signal(Signal::CONT);
    send(&bridge, 5..10);
    bridge.wait_published();
    expect_records(&kafka, 10);
}

#[test]
fn sighup_reads_the_tokens_again_and_a_faulty_file_changes_nothing() {
    let kafka = Kafka::start();
    let setup = kafka.setup();
    let file = setup.home().join("apps");
    std::fs::write(&file, format!("{APP}:old-t0ken\n")).unwrap();
    let bridge = setup.without("BRIDGE_APPS").env("BRIDGE_APPS_FILE", file.display()).start();
    let accepts = |token: &str| Sender::new(&bridge.url(), APP, token).recall("#TOA#_1", &["1_1_1"]).is_ok();
    let reload = |text: &str, message: &str, times: usize| {
        std::fs::write(&file, text).unwrap();
        bridge.process.signal(Signal::HUP);
        eventually(message, || (bridge.process.log_of(message).len() >= times).then_some(()));
    };
    assert_eq!((accepts("old-t0ken"), accepts("new-t0ken")), (true, false));
    reload(&format!("{APP}:old-t0ken|new-t0ken"), "apps_reloaded", 1);
    assert_eq!((accepts("old-t0ken"), accepts("new-t0ken")), (true, true));
    reload(&format!("{APP}:new-t0ken"), "apps_reloaded", 2);
    assert_eq!((accepts("old-t0ken"), accepts("new-t0ken")), (false, true));
    reload("nonsense-t0ken", "reload_refused", 1);
    std::fs::remove_file(&file).unwrap();
    bridge.process.signal(Signal::HUP);
    eventually("the missing file is named", || (bridge.process.log_of("reload_refused").len() == 2).then_some(()));
    assert_eq!((accepts("old-t0ken"), accepts("new-t0ken")), (false, true));
    assert!(!bridge.process.log_lines().join("").contains("t0ken"), "{}", bridge.process.tail());
}

#[test]
fn one_line_tells_of_each_change_of_kafkas_state_not_of_each_attempt() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_TOPIC", "not-there-yet").start();
    send(&bridge, 0..3);
    let attempts = || bridge.metric("kafka_errors_total{kind=\"unknown_topic\"}");
    eventually("it has tried several times", || (attempts() >= 5.0).then_some(()));
    let lines = bridge.process.log_of("kafka_needs_you");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["kind"], "unknown_topic");
    assert!(lines[0]["error"].as_str().unwrap().contains("not-there-yet"), "{lines:?}");
    let kafka_status = &bridge.status()["kafka"];
    assert_eq!(
        (&kafka_status["state"], &kafka_status["last_error"]["kind"]),
        (&"failing".into(), &"unknown_topic".into())
    );
    assert_eq!(bridge.ops_get("/readyz").0, 200);

    kafka.create_topic("not-there-yet");
    bridge.wait_published();
    eventually("the recovery is told", || (bridge.process.log_of("kafka_recovered").len() == 1).then_some(()));
    assert_eq!(bridge.process.log_of("kafka_needs_you").len(), 1);
    let records = kafka.topic_named("not-there-yet").read();
    prove(&records);
    assert_eq!(records.iter().filter(|record: &&Record| record.key == "#TOA#_0").count(), 1);
}
