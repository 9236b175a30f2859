//! Notifications to systemd, received on a socket like systemd's own.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::bridge::{PATIENCE, Setup};
use crate::faulty_disk::{Action, DATABASE, FaultyDisk, LOG, Rule, call};

/// The next datagram.
fn hear(socket: &UnixDatagram) -> String {
    let mut text = [0; 256];
    let length = socket.recv(&mut text).expect("a notification");
    String::from_utf8_lossy(&text[..length]).trim().to_owned()
}

#[test]
fn systemd_is_notified_of_readiness_watchdog_and_stop() {
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 1);
    let path = setup.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bridge = setup.env("NOTIFY_SOCKET", path.display()).env("WATCHDOG_USEC", 20_000).start();
    assert_eq!(hear(&socket), "READY=1");
    for _ in 0..3 {
        assert_eq!(hear(&socket), "WATCHDOG=1");
    }
    bridge.process.signal(Signal::TERM);
    let mut notice = hear(&socket);
    while notice == "WATCHDOG=1" {
        notice = hear(&socket);
    }
    assert_eq!(notice, "STOPPING=1");
    // As systemd does. An unread socket would fill.
    std::thread::spawn(move || while socket.recv(&mut [0; 256]).is_ok() {});
    assert_eq!(bridge.process.wait_exit(Duration::from_secs(20)), 0);
}

#[test]
fn a_start_that_takes_long_asks_systemd_for_more_time() {
    let setup = Setup::new("127.0.0.1:1");
    let disk = FaultyDisk::new();
    drop(disk.under(setup.clone()).start());
    disk.set(Rule::all(call::OPEN | call::READ, DATABASE | LOG, Action::Hang));
    let path = setup.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut process = disk.under(setup.clone()).env("NOTIFY_SOCKET", path.display()).launch(&["serve"]);
    assert_eq!(hear(&socket), "EXTEND_TIMEOUT_USEC=60000000");
    process.signal(Signal::TERM);
    assert_eq!(process.wait_exit(PATIENCE), 0);
    disk.heal();
}
