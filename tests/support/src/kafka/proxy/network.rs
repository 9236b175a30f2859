//! An unreliable network: it cuts, delays and stalls connections of any protocol.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::random::Random;
use crate::wait::DEADLINE;

/// The state of a network, and the connections through it.
pub(super) struct Network {
    clients: Mutex<Clients>,
    state: Mutex<State>,
    changed: Condvar,
    random: Mutex<Random>,
}

#[derive(Default)]
struct Clients {
    last: u64,
    open: HashMap<u64, TcpStream>,
}

#[derive(Default)]
struct State {
    stalled: bool,
    /// The maximum delay of a request or a response.
    delay_ms: u64,
}

impl Network {
    pub(super) fn new(random: Random) -> Self {
        Self { clients: Mutex::default(), state: Mutex::default(), changed: Condvar::new(), random: Mutex::new(random) }
    }

    /// Returns a number of `from ..= to`.
    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        self.random.lock().unwrap().between(from, to)
    }

    /// Registers a connection and returns its number for [`Network::left`].
    pub(super) fn joined(&self, client: &TcpStream) -> std::io::Result<u64> {
        let client = client.try_clone()?;
        let mut clients = self.clients.lock().unwrap();
        clients.last += 1;
        let number = clients.last;
        clients.open.insert(number, client);
        Ok(number)
    }

    pub(super) fn left(&self, number: u64) {
        self.clients.lock().unwrap().open.remove(&number);
    }

    /// Cuts connections between client and proxy, each with a probability of 1 in `one_of`. Returns the number of
    /// connections that were cut.
    pub(super) fn cut(&self, one_of: u64) -> u64 {
        let mut cut = 0;
        for client in self.clients.lock().unwrap().open.values() {
            if self.between(1, one_of) == 1 {
                // Fails only if the client has closed the connection already.
                cut += u64::from(client.shutdown(Shutdown::Both).is_ok());
            }
        }
        cut
    }

    pub(super) fn delay(&self, at_most: Duration) {
        self.state.lock().unwrap().delay_ms = u64::try_from(at_most.as_millis()).expect("a short delay");
    }

    pub(super) fn stall(&self, stalled: bool) {
        self.state.lock().unwrap().stalled = stalled;
        self.changed.notify_all();
    }

    /// Waits until data may be forwarded. It is called before every forwarding.
    pub(super) fn pass(&self) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, DEADLINE, |state| state.stalled).unwrap();
        let delay = state.delay_ms;
        drop(state);
        if delay > 0 {
            thread::sleep(Duration::from_millis(self.between(0, delay)));
        }
    }
}
