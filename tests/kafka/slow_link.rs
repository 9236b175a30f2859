//! The link to Kafka is too slow for large transactions. The bridge reduces their size until they succeed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::{Broker, free_port};
use crate::scene;
use crate::sender::Sender;
use crate::topic::{Record, prove};
use crate::wait::{count, until_drained};

/// Forwards connections to the broker, and limits the rate of each connection in this direction.
fn relay(port: u16, upstream: SocketAddr, bytes_per_second: u64) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(upstream) else { continue };
            let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || pass(near, far, Some(bytes_per_second)));
            std::thread::spawn(move || pass(far_again, near_again, None));
        }
    });
}

/// Forwards data, at most `rate` bytes per second if there is a rate. Further data waits in the socket.
fn pass(mut from: TcpStream, mut to: TcpStream, rate: Option<u64>) {
    let mut buffer = [0; 200];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        if let Some(rate) = rate {
            // This delay simulates the link. The test does not wait for anything here.
            std::thread::sleep(Duration::from_micros(bytes as u64 * 1_000_000 / rate));
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn expect_all_through(topic: &str, bytes_per_second: u64, keys: &[String]) {
    let port = free_port();
    let broker = Broker::start_behind_proxy(port);
    relay(port, broker.upstream(), bytes_per_second);
    broker.create_topic(topic, 1, &[]);
    let setup = Setup::new(&format!("127.0.0.1:{port}")).env("BRIDGE_TOPIC", topic);
    let setup = scene::quick(setup).env("KAFKA_COMPRESSION_TYPE", "none");
    // The bridge accepts all recalls without Kafka, so that the backlog is complete before the slow link exists.
    let mut bridge = setup.clone().env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1").start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for keys in keys.chunks(if keys[0].len() > 1000 { 1 } else { keys.len() }) {
        sender.acknowledged("#TOA#_1", keys);
    }
    bridge.kill();
    let mut bridge = setup.start();
    until_drained(&bridge);
    assert!(count(&bridge, "kafka_transactions_total{result=\"doubt\"}") >= 1, "the line is not too thin");
    scene::terminate(&mut bridge);
    let records = scene::read(&broker, topic);
    prove(&records);
    assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), keys);
}

fn keys(count: usize, bytes: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}_{}", "k".repeat(bytes))).collect()
}

#[test]
fn transactions_that_are_too_large_for_a_thin_line_shrink_until_they_fit() {
    expect_all_through("thin-line", 2_000, &keys(30, 300));
}

#[test]
fn large_records_pass_a_line_that_takes_half_of_one_in_a_second() {
    expect_all_through("large-records", 32_000, &keys(20, 32_000));
}
