//! A second process starts on a spool that is in use.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::bridge::{APP, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::wait::until_drained;

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    // The control socket is not a regular file and has no contents.
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap()).filter(|file| file.path().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[test]
fn a_second_bridge_on_a_spool_exits_with_75_and_changes_nothing() {
    let broker = Broker::shared();
    let setup = scene::setup(broker, "spool-shared");
    let mut bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["before"]);
    until_drained(&bridge);
    // The first bridge is frozen, so only the second bridge can change the files. The first still holds the lock.
    bridge.process.signal(Signal::STOP);
    let before = contents(&setup.spool_dir());

    let mut second = setup.launch(&["serve"]);
    assert_eq!(second.wait_exit(Duration::from_secs(30)), 75);
    let said = second.log_lines().join("\n");
    assert!(said.contains(&format!("pid {}", bridge.process.pid())), "{said}");
    assert_eq!(contents(&setup.spool_dir()), before);
    bridge.process.signal(Signal::CONT);

    sender.acknowledged("#TOA#_1", &["after"]);
    scene::stop(&mut bridge);
    let records = scene::read(broker, "spool-shared");
    crate::topic::prove(&records);
    assert_eq!(records.iter().map(crate::topic::Record::msg_key).collect::<Vec<_>>(), ["before", "after"]);
}
