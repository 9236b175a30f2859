use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use crate::channel::{Channel, wait_purged};
use crate::stack::{Stack, eventually};
use crate::topic::prove;

const BOARD: &str = include_str!("../../deploy/grafana/dashboards/recall-bridge.json");

/// One test, because the machine has capacity for one stack. Each part prints its name when it begins.
#[test]
fn a_recall_reaches_the_cache_and_no_restart_loses_one() {
    let stack = Stack::new();
    let mut channel = Channel::default();
    let started = Instant::now();
    let part = |name: &str| eprintln!("{:>5} s  {name}", started.elapsed().as_secs());

    part("up");
    stack.up("");
    part("a recalled message leaves the cache");
    channel.purges(&stack);
    part("Prometheus and Grafana");
    prometheus_has_it(&stack);
    grafana_has_the_dashboard(&stack);
    for service in ["consumer", "redis", "prometheus", "grafana", "kafka"] {
        part(&format!("{service} restarts, and every webhook is acknowledged meanwhile"));
        recalled_meanwhile(&stack, &mut channel, || stack.run(&["restart", service]));
        channel.purges(&stack);
    }
    part("the bridge restarts");
    stack.run(&["restart", "bridge"]);
    let log = stack.run(&["logs", "bridge"]);
    assert!(log.contains(r#""message":"stopped""#), "SIGTERM did not stop it cleanly: {log}");
    wait_ready(&stack);
    channel.purges(&stack);

    part("Kafka stops, a recall waits, and the whole stack goes down and up");
    stack.run(&["stop", "kafka"]);
    let waiting = channel.publish(&stack);
    channel.recall(&stack, waiting.clone());
    stack.down();
    stack.up("");
    wait_purged(&stack, &waiting);
    channel.purges(&stack);
    nothing_is_lost(&stack, &channel);

    part("the profile demo");
    stack.up("demo");
    demo_shows_something(&stack);

    part("down");
    assert_ne!(containers(&stack), 0);
    stack.run(&["down", "-v"]);
    assert_eq!(containers(&stack), 0);
}

/// Returns the number of containers. Docker lists stopped containers only with `-a`. podman-compose does not accept
/// `-a`, and always lists them.
fn containers(stack: &Stack) -> usize {
    let output = stack.output(&["ps", "-q"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.trim().is_empty()).count()
}

fn wait_ready(stack: &Stack) {
    eventually("the bridge is ready", || stack.json("OPS_PORT", "/readyz"));
}

/// Recalls one message after the other while `what` runs.
fn recalled_meanwhile(stack: &Stack, channel: &mut Channel, what: impl FnOnce() -> String) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let recalls = scope.spawn(|| {
            while !over.load(SeqCst) {
                channel.recall_another(stack);
            }
        });
        what();
        over.store(true, SeqCst);
        recalls.join().expect("every webhook is acknowledged");
    });
}

fn prometheus_has_it(stack: &Stack) {
    eventually("the bridge is scraped", || stack.query("up{job=\"recall-bridge\"} == 1"));
    eventually("the record is counted", || stack.query("sum(recall_bridge_records_published_total) >= 1"));
    eventually("the rules are evaluated", || stack.query("recall_bridge:spool_fill:ratio"));
}

/// Checks that Grafana, or its substitute, has read the provisioning.
fn grafana_has_the_dashboard(stack: &Stack) {
    let board: serde_json::Value = serde_json::from_str(BOARD).unwrap();
    let there =
        eventually("Grafana has the dashboard", || stack.json("GRAFANA_PORT", "/api/dashboards/uid/recall-bridge"));
    assert_eq!(there["dashboard"]["title"], board["title"]);
    assert_eq!(there["dashboard"]["panels"].as_array().map(Vec::len), board["panels"].as_array().map(Vec::len));
    let log = stack.run(&["logs", "grafana"]);
    assert!(!log.contains("unknown datasource"), "{log}");
}

/// Reads the topic from the host, and with the command in the container.
fn nothing_is_lost(stack: &Stack, channel: &Channel) {
    let records = stack.topic().read_count(channel.recalled.len());
    prove(&records);
    let there: BTreeSet<String> = records.iter().map(|record| record.msg_key().to_owned()).collect();
    assert_eq!((records.len(), there), (channel.recalled.len(), channel.recalled.clone()));
    let tail = ["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"];
    stack.run(&[&["exec", "-T", "bridge", "/usr/local/bin/recall-bridge"][..], &tail].concat());
}

fn demo_shows_something(stack: &Stack) {
    let published = "sum(recall_bridge_records_published_total)";
    let before = eventually("there is a count", || stack.query(published));
    eventually("the counters move", || stack.query(published).filter(|now| *now > before + 100.0));
    let log = eventually("the channel purges", || {
        let log = stack.run(&["logs", "channel"]);
        log.contains("purged after").then_some(log)
    });
    assert!(!log.contains("STILL VISIBLE"), "{log}");
}
