//! Commands as processes, and what they said.

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

/// Runs a command that must end with this code; what it wrote to stdout.
#[track_caller]
pub fn run(setup: &Setup, code: i32, args: &[&str]) -> String {
    let output = setup.run(args);
    expect(&output, code);
    stdout(&output)
}

/// The same for one that writes JSON lines.
#[track_caller]
pub fn json(setup: &Setup, code: i32, args: &[&str]) -> Vec<Value> {
    run(setup, code, args).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// An environment with the spool's directory only: what commands that look into it may need.
pub fn only_spool(setup: &Setup) -> Setup {
    ["BRIDGE_APPS", "BRIDGE_LISTEN", "BRIDGE_OPS_LISTEN", "BRIDGE_TOPIC", "KAFKA_BOOTSTRAP_SERVERS"]
        .into_iter()
        .fold(setup.clone(), Setup::without)
}

/// Ends a bridge as an operator does.
#[track_caller]
pub fn stop(bridge: &mut Bridge) {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
}

/// Numbers and reasons of all entries.
#[track_caller]
pub fn entries(setup: &Setup) -> Vec<(i64, String)> {
    let listed = json(setup, 0, &["quarantine", "list", "--json"]);
    listed.iter().map(|entry| (entry["id"].as_i64().unwrap(), entry["reason"].as_str().unwrap().to_owned())).collect()
}

/// Delivers a recall an hour late; tells the answer's code.
pub fn stale(bridge: &Bridge, account: &str, msg_keys: &[&str]) -> u64 {
    let query = query_at(APP, TOKEN, recall_bridge::events::RECALL_COMMAND, unix_now() - 3600);
    Sender::new(&bridge.url(), APP, TOKEN).post(&query, recall_body(account, msg_keys)).code()
}

/// Delivers what is authentic and no recall; tells the answer's code.
pub fn malformed(bridge: &Bridge, body: impl Into<reqwest::Body>) -> u64 {
    Sender::new(&bridge.url(), APP, TOKEN).post(&signed_query(APP, TOKEN), body).code()
}
