//! A spool is moved as docs/operations.md describes: its files are copied, and another directory is used.

use rustix::process::Signal;

use crate::bridge::{APP, PATIENCE, Setup, TOKEN};
use crate::mock::Kafka;
use crate::sender::Sender;
use crate::topic::{Record, prove};

/// What need not be copied; the log is copied where it is there.
const LEFT_OUT: [&str; 3] = ["spool.db-shm", "spool.lock", "control.sock"];

#[test]
fn a_moved_spool_publishes_its_backlog_once_under_the_same_uuid() {
    // Stopped while no broker answers: all of it is still in the spool.
    let old = Setup::new("127.0.0.1:1").env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 1);
    let mut bridge = old.start();
    let uuid = bridge.status()["spool_uuid"].clone();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..10 {
        sender.acknowledged("#TOA#_moved", &[format!("key-{number:02}")]);
    }
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);

    let kafka = Kafka::start();
    let new = kafka.setup();
    std::fs::create_dir_all(new.spool_dir()).unwrap();
    for file in old.spool_dir().read_dir().unwrap().map(Result::unwrap) {
        if !LEFT_OUT.iter().any(|name| file.file_name() == *name) {
            std::fs::copy(file.path(), new.spool_dir().join(file.file_name())).unwrap();
        }
    }
    std::fs::remove_dir_all(old.spool_dir()).unwrap();

    assert_eq!(new.run(&["spool", "verify"]).status.code(), Some(0));
    let bridge = new.start();
    assert_eq!(bridge.status()["spool_uuid"], uuid);
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_moved", &["key-10".to_owned()]);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    let sent: Vec<String> = (0..11).map(|number| format!("key-{number:02}")).collect();
    assert_eq!(keys, sent);
}
