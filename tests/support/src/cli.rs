//! Runs commands as processes, and returns their output.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN};
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", stdout(output), stderr(output));
}

/// Runs a command that must end with this exit code, and returns its stdout.
#[track_caller]
pub fn run(setup: &Setup, code: i32, args: &[&str]) -> String {
    let output = setup.run(args);
    expect(&output, code);
    stdout(&output)
}

/// Runs a command that writes JSON lines, and returns them.
#[track_caller]
pub fn json(setup: &Setup, code: i32, args: &[&str]) -> Vec<Value> {
    run(setup, code, args).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Returns an environment with the spool directory only. The commands that read the spool need no other variable.
pub fn only_spool(setup: &Setup) -> Setup {
    ["BRIDGE_APPS", "BRIDGE_LISTEN", "BRIDGE_OPS_LISTEN", "BRIDGE_TOPIC", "KAFKA_BOOTSTRAP_SERVERS"]
        .into_iter()
        .fold(setup.clone(), Setup::without)
}

/// Stops a bridge as an operator does.
#[track_caller]
pub fn stop(bridge: &mut Bridge) {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
}

/// Returns numbers and reasons of all entries.
#[track_caller]
pub fn entries(setup: &Setup) -> Vec<(i64, String)> {
    let listed = json(setup, 0, &["quarantine", "list", "--json"]);
    listed.iter().map(|entry| (entry["id"].as_i64().unwrap(), entry["reason"].as_str().unwrap().to_owned())).collect()
}

/// Sends a recall that is an hour old, and returns the code of the response.
pub fn stale(bridge: &Bridge, account: &str, msg_keys: &[&str]) -> u64 {
    let query = query_at(APP, TOKEN, recall_bridge::events::RECALL_COMMAND, unix_now() - 3600);
    Sender::new(&bridge.url(), APP, TOKEN).post(&query, recall_body(account, msg_keys)).code()
}

/// Sends an authentic webhook that is not a recall, and returns the code of the response.
pub fn malformed(bridge: &Bridge, body: impl Into<reqwest::Body>) -> u64 {
    Sender::new(&bridge.url(), APP, TOKEN).post(&signed_query(APP, TOKEN), body).code()
}
