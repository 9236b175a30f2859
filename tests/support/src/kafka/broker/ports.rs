//! Ports that stay free while nobody listens on them.

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

/// A port that is free now, and that this process is not given twice.
///
/// Not one that the system hands out (`bind` to port 0): while the broker is down, a client that
/// reconnects to such a port can be given the very same one as its own, connect to itself, and
/// keep the broker from ever coming back.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;

    // Processes that run at the same time start at different places.
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
