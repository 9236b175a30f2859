//! Attackers that send as fast as they can.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::bridge::{APP, TOKEN};
use crate::scene::{Attacker, survive};
use crate::sender::{recall_body, signed_query};

const STEP: Duration = Duration::from_millis(100);

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_write_timeout(Some(STEP)).ok()?;
    stream.set_read_timeout(Some(STEP)).ok()?;
    Some(stream)
}

/// Writes the same bytes repeatedly on one connection, and opens another connection when it ends.
fn write_for_ever(address: SocketAddr, first: Vec<u8>, bytes: Vec<u8>, reads: bool) -> Attacker {
    Box::new(move |stop| {
        while !stop.load(Relaxed) {
            let Some(mut stream) = connect(address) else { continue };
            if stream.write_all(&first).is_err() {
                continue;
            }
            let mut answers = vec![0; 64 * 1024];
            while !stop.load(Relaxed) {
                let wrote = stream.write(&bytes);
                let blocked = |kind| matches!(kind, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                if wrote.is_err_and(|error| !blocked(error.kind())) {
                    break;
                }
                if reads && matches!(stream.read(&mut answers), Ok(0)) {
                    break;
                }
            }
        }
    })
}

/// Opens a connection, writes, reads the response, and repeats this.
fn one_after_the_other(address: SocketAddr, bytes: Vec<u8>) -> Attacker {
    Box::new(move |stop| {
        let mut answer = vec![0; 4096];
        while !stop.load(Relaxed) {
            if let Some(mut stream) = connect(address) {
                let _ = stream.write_all(&bytes);
                let _ = stream.read(&mut answer);
            }
        }
    })
}

fn get() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(500)
}

fn post(query: &str, body: &str) -> String {
    format!("POST /?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn signed() -> Vec<u8> {
    post(&signed_query(APP, TOKEN), &recall_body("#TOA#_a", &["1_1_1"])).into_bytes().repeat(100)
}

#[test]
fn the_bridge_survives_unauthenticated_pipelines_that_read_nothing() {
    survive(|target| (0..40).map(|_| write_for_ever(target.webhook, vec![], get(), false)).collect());
}

#[test]
fn the_bridge_survives_unauthenticated_pipelines_that_read_responses() {
    survive(|target| (0..4).map(|_| write_for_ever(target.webhook, vec![], get(), true)).collect());
}

#[test]
fn the_bridge_survives_pipelines_with_a_copied_sign_that_read_nothing() {
    survive(|target| (0..40).map(|_| write_for_ever(target.webhook, vec![], signed(), false)).collect());
}

#[test]
fn the_bridge_survives_endless_chunked_bodies() {
    let head = b"POST /?SdkAppid=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [&b"10000\r\n"[..], &b"x".repeat(65536), b"\r\n"].concat();
    survive(|target| (0..4).map(|_| write_for_ever(target.webhook, head.clone(), chunk.clone(), false)).collect());
}

#[test]
fn the_bridge_survives_endless_chunked_bodies_with_a_copied_sign() {
    let chunk = [&b"10000\r\n"[..], &b"x".repeat(65536), b"\r\n"].concat();
    survive(|target| {
        let head =
            format!("POST /?{} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", signed_query(APP, TOKEN));
        (0..4).map(|_| write_for_ever(target.webhook, head.clone().into_bytes(), chunk.clone(), false)).collect()
    });
}

#[test]
fn the_bridge_survives_junk_on_fresh_connections() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(60_000));
    let junk: [Vec<u8>; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\0\0\0".to_vec(),
        long.into(),
    ];
    survive(|target| junk.into_iter().map(|junk| one_after_the_other(target.webhook, junk)).collect());
}

#[test]
fn the_bridge_survives_scrapes_that_read_no_response() {
    let scrape = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    survive(|target| (0..20).map(|_| write_for_ever(target.ops, vec![], scrape.clone(), false)).collect());
}
