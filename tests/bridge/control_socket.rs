//! Tests of the control socket, by which a command asks the running node for a change. The socket is private, exists
//! as long as the process, and its peers cannot block the node.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;

use crate::bridge::{APP, PATIENCE, Setup, TOKEN};
use crate::cli::{entries, expect, malformed, run, stderr, stop};
use crate::sender::Sender;

/// No process listens at this address.
const NO_KAFKA: &str = "127.0.0.1:1";

#[test]
fn the_control_socket_is_private_and_goes_with_the_process() {
    let setup = Setup::new(NO_KAFKA).env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
    let socket = setup.spool_dir().join("control.sock");
    let mut bridge = setup.start();
    let meta = socket.metadata().unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    malformed(&bridge, "no");
    // A killed process leaves its socket; the next process replaces it.
    bridge.kill();
    assert!(socket.exists());
    bridge = bridge.restart();
    run(&setup, 0, &["quarantine", "drop", "1"]);
    stop(&mut bridge);
    assert!(!socket.exists());

    // The node works without the socket, and the error names the alternative.
    let bridge = setup.start();
    malformed(&bridge, "no");
    std::fs::remove_file(&socket).unwrap();
    let lost = setup.run(&["quarantine", "drop", "2"]);
    expect(&lost, 75);
    assert!(stderr(&lost).contains("stop the node first"), "{lost:?}");
    assert_eq!(entries(&setup).len(), 1);
}

#[test]
fn a_spool_whose_path_is_longer_than_a_sockets_address_works_too() {
    let setup = Setup::new(NO_KAFKA);
    let dir = setup.home().join("d".repeat(100)).join("e".repeat(100));
    let setup = setup.env("BRIDGE_SPOOL_DIR", dir.display());
    let mut bridge = setup.start();
    malformed(&bridge, "no");
    run(&setup, 0, &["quarantine", "drop", "1"]);
    assert!(bridge.process.log_of("entry_dropped").len() == 1, "the running node did it");
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    assert!(!dir.join("control.sock").exists());
}

#[test]
fn a_file_system_without_sockets_only_disables_the_changing_commands() {
    let setup = Setup::new(NO_KAFKA);
    // A directory has the name of the socket, so the node cannot remove it.
    std::fs::create_dir_all(setup.spool_dir().join("control.sock/inside")).unwrap();
    let bridge = setup.start();
    assert!(
        bridge.process.log_lines().iter().any(|line| line.contains("control_socket_unavailable")),
        "{}",
        bridge.process.tail()
    );
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    malformed(&bridge, "no");
    assert_eq!(entries(&setup).len(), 1);
    expect(&setup.run(&["quarantine", "drop", "1"]), 75);
}

#[test]
fn bad_and_silent_peers_of_the_control_socket_delay_no_command_for_long() {
    let setup = Setup::new(NO_KAFKA);
    let bridge = setup.start();
    malformed(&bridge, "no");
    let connect = || {
        let stream = UnixStream::connect(setup.spool_dir().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let many: Vec<i64> = (1..1000).collect();
    for nonsense in [
        "hello\n".to_owned(),
        "{\"action\":\"explode\",\"ids\":[1]}\n".to_owned(),
        json!({ "action": "drop", "ids": many }).to_string() + "\n",
        "x".repeat(20_000),
    ] {
        let mut stream = connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        // A peer that sends too much may be disconnected before it has read the response.
        if stream.read_to_string(&mut answer).is_ok() {
            assert!(answer.contains("error"), "{answer}");
        }
    }
    let silent = [connect(), connect()];
    run(&setup, 0, &["quarantine", "drop", "1"]);
    drop(silent);
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
}
