//! Handles webhooks: the checks, the spool, exactly one outcome for each webhook.

mod acceptance;
mod answer;
pub mod checks;
pub mod direct;
mod durable;
mod outcome;
mod path;
mod refusals;
mod refused;
mod shared;
mod worker;

pub use outcome::Outcome;
pub use shared::Shared;

use std::sync::Arc;

use crate::edge;
use crate::spool::{Appender, Published};
use durable::Storage;
use worker::IngestWorker;

/// Starts the webhook listener.
///
/// # Errors
/// The socket cannot be used, or the TLS configuration is not valid.
pub fn run(options: edge::ListenerOptions, shared: &Arc<Shared>) -> std::io::Result<edge::Server> {
    let shared = Arc::clone(shared);
    edge::run(options, move || {
        let appender = Appender::new(&shared.spool);
        let published = shared.ack_after_published.then(|| Published::new(&shared.spool));
        IngestWorker { storage: Storage { appender, published }, shared: Arc::clone(&shared) }
    })
}
