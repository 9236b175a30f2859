//! Restarts two nodes behind a load balancer in turn, under load. No webhook is refused, and no recall is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;

use crate::balancer::{Balancer, Node, free_address};
use crate::bridge::{Bridge, PATIENCE, Setup, eventually};
use crate::load::{Load, ResponseKind, SentWebhook};
use crate::mock::Kafka;
use crate::random::Random;

const SENDERS: usize = 6;
const RESTARTS: usize = 6;
/// Keeps the load far below the capacity of a busy machine, and below the 1,000 requests per second of deploy/nginx. The
/// test is about restarts, not about speed.
const PACE: Duration = Duration::from_millis(8);

/// The number of records of each recall in the topic, by account and MsgKey.
type Times = BTreeMap<(String, String), usize>;

/// Returns the settings of a node with fixed addresses, at which it can restart.
fn node(kafka: &Kafka) -> (Setup, Node) {
    let node = Node { webhook: free_address(), ops: free_address() };
    let setup = kafka.setup().env("BRIDGE_LISTEN", node.webhook).env("BRIDGE_OPS_LISTEN", node.ops);
    (setup, node)
}

/// Waits until the load balancer sends webhooks to this node, too.
fn until_it_takes_part(bridge: &Bridge) {
    eventually("the node gets webhooks again", || {
        (bridge.metric("webhooks_total{outcome=\"accepted\"}") > 0.0).then_some(())
    });
}

/// Ends and starts the nodes in turn, as an upgrade does. Each restart waits until both nodes get webhooks. Returns
/// the webhooks with their results, and the number of records of each recall.
fn restart_in_turn(
    balancer: impl FnOnce([Node; 2]) -> Balancer,
    end: impl Fn(&mut Bridge),
) -> (Vec<SentWebhook>, Times) {
    let kafka = Kafka::start();
    let ((one, first), (two, second)) = (node(&kafka), node(&kafka));
    let mut bridges = [one.start(), two.start()].map(Some);
    let balancer = balancer([first, second]);
    let load = Load::paced("proxy", SENDERS, PACE, balancer.address(), &mut Random::new());
    for restart in 0..RESTARTS {
        for bridge in bridges.iter().flatten() {
            until_it_takes_part(bridge);
        }
        load.until_acknowledged(200);
        let place = &mut bridges[restart % 2];
        let mut bridge = place.take().expect("it runs");
        end(&mut bridge);
        load.until_acknowledged(200);
        *place = Some(bridge.restart());
    }
    load.until_acknowledged(200);
    let sent = load.stop();
    balancer.assert_no_sign_in_logs();
    for bridge in bridges.iter().flatten() {
        bridge.wait_published();
    }
    let mut times = Times::new();
    for record in kafka.records() {
        *times.entry((record.key.clone(), record.msg_key().to_owned())).or_default() += 1;
    }
    let slowest = sent.iter().map(|delivery| delivery.took).max();
    eprintln!("{} webhooks, {} recalls in the topic, slowest {slowest:?}", sent.len(), times.len());
    (sent, times)
}

fn stop(bridge: &mut Bridge) {
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0, "{}", bridge.process.tail());
}

#[track_caller]
fn assert_none_refused_or_lost(sent: &[SentWebhook], times: &Times) {
    let failed: Vec<_> = sent.iter().filter(|delivery| delivery.response != ResponseKind::Acknowledged).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), sent.len());
    let recalls =
        sent.iter().flat_map(|delivery| delivery.keys.iter().map(|key| (delivery.account.clone(), key.clone())));
    let lost: Vec<_> = recalls.filter(|recall| !times.contains_key(recall)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[track_caller]
fn assert_once(times: &Times) {
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
}

#[test]
fn restarts_behind_haproxy_refuse_lose_and_repeat_nothing() {
    let (sent, times) = restart_in_turn(Balancer::haproxy, stop);
    assert_none_refused_or_lost(&sent, &times);
    assert_once(&times);
}

#[test]
fn restarts_behind_nginx_refuse_lose_and_repeat_nothing() {
    let (sent, times) = restart_in_turn(Balancer::nginx, stop);
    assert_none_refused_or_lost(&sent, &times);
    assert_once(&times);
}

/// A node can accept a webhook and be killed before it responds. The load balancer sends that webhook to the other
/// node, too, and the topic has its recalls twice, with the same `event_id`.
#[test]
fn behind_haproxy_killed_nodes_refuse_nothing_and_lose_nothing() {
    let (sent, times) = restart_in_turn(Balancer::haproxy, Bridge::kill);
    assert_none_refused_or_lost(&sent, &times);
}

#[test]
fn behind_nginx_killed_nodes_refuse_nothing_and_lose_nothing() {
    let (sent, times) = restart_in_turn(Balancer::nginx, Bridge::kill);
    assert_none_refused_or_lost(&sent, &times);
}
