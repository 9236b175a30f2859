//! Partitions are added to the topic. Accounts move to other partitions, and `tail --verify` reports no error.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{DEADLINE, ends, until_true};

const TOPIC: &str = "partitions-added";

fn add_partitions(broker: &Broker, count: usize) {
    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let added = runtime.block_on(admin.create_partitions([&NewPartitions::new(TOPIC, count)], &options));
    assert!(matches!(added.as_deref(), Ok([Ok(_)])), "{added:?}");
    until_true("the partitions are there", || ends(&broker.client(), TOPIC).len() == count);
}

#[test]
fn accounts_that_moved_when_partitions_were_added_are_no_fault() {
    let broker = Broker::start();
    broker.create_topic(TOPIC, 2, &[]);
    let setup = scene::quick(Setup::new(&broker.bootstrap()).env("BRIDGE_TOPIC", TOPIC));
    for (round, partitions) in [2, 5, 6].into_iter().enumerate() {
        if partitions > 2 {
            add_partitions(&broker, partitions);
        }
        let mut bridge = setup.start();
        let sender = Sender::new(&bridge.url(), APP, TOKEN);
        for account in 0..40 {
            sender.acknowledged(&format!("#TOA#_{account}"), &[format!("{round}_1_1698741698")]);
        }
        scene::stop(&mut bridge);
    }
    let output = setup.run(&["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("120 records, 0 errors: verified"), "{output:?}");
}
