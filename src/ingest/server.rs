//! The webhook listener.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Request;
use actix_web::HttpServer;
use actix_web::dev::{Server, fn_service};

use super::Shared;
use super::handler::{Worker, handle};
use crate::spool::{Appender, Published};
use crate::tls::Listener;

/// Connections per worker; beyond it the kernel's queue holds new ones.
const CONNECTIONS_PER_WORKER: usize = 8192;
/// How long a connection may stay idle. The vendor keeps connections alive.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The bounds of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Worker threads.
    pub workers: usize,
    /// How long requests in flight may take once the server stops.
    pub stop_timeout: Duration,
}

/// Starts workers on a listener that is bound already.
/// With `tls`, it takes nothing else.
pub fn run(
    listener: TcpListener,
    tls: Option<&Arc<Listener>>,
    shared: Arc<Shared>,
    limits: Limits,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        // Called once on each worker's thread.
        let appender = Appender::new(&shared.spool);
        let published = shared.ack_after_published.then(|| Published::new(&shared.spool));
        let worker = Rc::new(Worker { shared: Arc::clone(&shared), appender, published });
        // One handler for every path needs no router, no extractors and no boxed body.
        fn_service(move |request: Request| handle(request, Rc::clone(&worker)))
    })
    .workers(limits.workers)
    .max_connections(CONNECTIONS_PER_WORKER)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(limits.stop_timeout.as_secs().max(1))
    // The process decides when to stop, for all its parts.
    .disable_signals();
    let server = match tls {
        Some(tls) => {
            let shaken = Arc::clone(tls);
            server
                .tls_handshake_timeout(HANDSHAKE_TIMEOUT)
                // Handshakes at a time: no other bound than that of connections, so that those which
                // stall hold up none.
                .max_connection_rate(CONNECTIONS_PER_WORKER)
                .on_connect(move |_, _| shaken.note_done())
                .listen_rustls_0_23(listener, tls.server_config().map_err(std::io::Error::other)?)?
        }
        None => server.listen(listener)?,
    };
    Ok(server.run())
}
