//! Ports that stay free while no process listens on them.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports of one broker.
#[derive(Clone, Copy)]
pub struct Ports {
    pub(super) clients: u16,
    pub controller: u16,
    pub(super) proxied: u16,
}

impl Ports {
    pub fn pick() -> Self {
        Self { clients: free_port(), controller: free_port(), proxied: free_port() }
    }
}

/// Returns a free port. It returns each port only once in this process.
///
/// The port is not one that the system assigns (`bind` to port 0). While the broker is down, a client that reconnects
/// to such a port can get the same port as its own local port. It then connects to itself, and the broker cannot bind
/// the port.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;

    // Concurrent processes begin at different ports.
    let offset = (std::process::id() % u32::from(COUNT)) * 37 % u32::from(COUNT);
    let offset = u16::try_from(offset).expect("an offset below COUNT");
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if TcpListener::bind(address(port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

pub(super) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
