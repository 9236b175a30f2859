//! Attackers that hold many connections.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::scene::{Attacker, survive};
use crate::sender::signed_query;

/// Opens the given number of connections, writes the same bytes on each, and holds them. Replaces each connection that
/// the bridge ends.
fn hold(address: SocketAddr, connections: usize, bytes: Vec<u8>) -> Attacker {
    Box::new(move |stop: &AtomicBool| {
        let mut held: Vec<TcpStream> = Vec::with_capacity(connections);
        while !stop.load(Relaxed) {
            held.retain(|stream| !ended(stream));
            if held.len() >= connections {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { continue };
            if stream.set_nonblocking(true).is_ok() && stream.write(&bytes).is_ok() {
                held.push(stream);
            }
        }
    })
}

fn ended(stream: &TcpStream) -> bool {
    !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        && matches!(stream.peek(&mut [0]), Ok(0) | Err(_))
}

fn divided(address: SocketAddr, connections: usize, bytes: &[u8]) -> Vec<Attacker> {
    (0..2).map(|_| hold(address, connections / 2, bytes.to_vec())).collect()
}

#[test]
fn the_bridge_survives_ten_thousand_silent_connections() {
    survive(|target| divided(target.webhook, 10_000, b""));
}

#[test]
fn the_bridge_survives_ten_thousand_heads_that_never_end() {
    let head = format!("POST /?{} HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(300), "b".repeat(3000));
    survive(|target| divided(target.webhook, 10_000, head.as_bytes()));
}

#[test]
fn the_bridge_survives_large_heads_that_never_end() {
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nX: {}", "b".repeat(60_000));
    survive(|target| divided(target.webhook, 4_000, head.as_bytes()));
}

#[test]
fn the_bridge_survives_four_thousand_large_unsigned_bodies() {
    let head = b"POST /?SdkAppid=1400000001&CallbackCommand=x HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n";
    let request = [&head[..], &b"x".repeat(65_000)].concat();
    survive(|target| divided(target.webhook, 4_000, &request));
}

#[test]
fn the_bridge_survives_large_endless_bodies_with_a_copied_sign() {
    survive(|target| {
        let query = signed_query(crate::bridge::APP, crate::bridge::TOKEN);
        let head = format!("POST /?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n");
        divided(target.webhook, 2_000, &[head.as_bytes(), &b"x".repeat(60_000)].concat())
    });
}

#[test]
fn the_bridge_survives_connections_that_stop_in_their_second_head() {
    survive(|target| divided(target.webhook, 5_000, b"GET / HTTP/1.1\r\nHost: h\r\n\r\nP"));
}

#[test]
fn the_bridge_survives_chunked_bodies_that_stop_after_their_response() {
    let request = b"POST /nowhere HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    survive(|target| divided(target.webhook, 5_000, request));
}
