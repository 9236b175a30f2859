//! State that the connections of one worker thread share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::limits::Counters;
use super::registry::Registry;
use crate::tls;

/// What the connections of one worker thread share.
pub(super) struct EdgeWorker<S> {
    pub(super) service: S,
    pub(super) registry: Registry,
    pub(super) counters: Arc<Counters>,
    pub(super) keep_alive: Duration,
    pub(super) budget: Arc<Semaphore>,
    pub(super) tls: Option<(TlsAcceptor, Arc<tls::Listener>)>,
}
