//! The line to Kafka is too thin for a transaction of any size but a small one: it gets smaller until it fits.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::{Broker, free_port};
use crate::scene;
use crate::sender::Sender;
use crate::topic::{Record, prove};
use crate::wait::{count, until_drained};

/// Of each connection, towards the broker.
const BYTES_PER_SECOND: u64 = 2_000;
const RECORDS: usize = 30;

fn relay(port: u16, upstream: SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(upstream) else { continue };
            let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || pass(near, far, Some(BYTES_PER_SECOND)));
            std::thread::spawn(move || pass(far_again, near_again, None));
        }
    });
}

/// Passes on what comes; what a thin line cannot take waits before it.
fn pass(mut from: TcpStream, mut to: TcpStream, rate: Option<u64>) {
    let mut buffer = [0; 200];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        if let Some(rate) = rate {
            // This is the line, not a wait of the test.
            std::thread::sleep(Duration::from_micros(bytes as u64 * 1_000_000 / rate));
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn transactions_that_are_too_large_for_a_thin_line_shrink_until_they_fit() {
    const TOPIC: &str = "thin-line";
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    relay(port, broker.upstream());
    broker.create_topic(TOPIC, 1, &[]);
    let setup = Setup::new(&format!("127.0.0.1:{port}")).env("BRIDGE_TOPIC", TOPIC);
    let setup = scene::quick(setup).env("KAFKA_COMPRESSION_TYPE", "none");
    // All of it waits when the line is there.
    let mut bridge = setup.clone().env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1").start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let keys: Vec<String> = (0..RECORDS).map(|number| format!("{number}_{}", "k".repeat(300))).collect();
    sender.acknowledged("#TOA#_1", &keys);
    bridge.kill();
    let mut bridge = setup.start();
    until_drained(&bridge);
    assert!(count(&bridge, "kafka_transactions_total{result=\"doubt\"}") >= 1, "the line is not too thin");
    scene::terminate(&mut bridge);
    let records = scene::read(&broker, TOPIC);
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), keys);
}
