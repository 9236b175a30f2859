//! The threads of a listener: they accept connections, perform TLS handshakes, and serve requests.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix_service::{fn_factory, fn_service};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use super::input::Input;
use super::limits::{BUDGET_BYTES, Counters, HANDSHAKE_TIMEOUT, Limits};
use super::registry::{ConnectionEntry, Registry};
use super::service::Service;
use super::stream::Stream;
use super::worker::EdgeWorker;
use crate::tls;

/// The limit of the accept loop per worker. The registry has the effective limit, and closes older connections.
const NO_BOUND: usize = 1 << 24;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The settings of a listener.
pub struct ListenerOptions {
    /// Shown in thread names and errors.
    pub name: &'static str,
    /// The bound socket.
    pub listener: TcpListener,
    /// If set, the listener accepts only TLS.
    pub tls: Option<Arc<tls::Listener>>,
    /// The limits of the listener.
    pub limits: Limits,
    /// The counters of the listener.
    pub counters: Arc<Counters>,
}

/// A running listener. The future resolves when the listener has ended.
pub type Server = actix_server::Server;

/// Starts the worker threads, and calls `service` once on each of them.
///
/// # Errors
/// The socket cannot be used, or the TLS configuration is not valid.
pub fn run<S: Service>(
    options: ListenerOptions,
    service: impl Fn() -> S + Clone + Send + 'static,
) -> io::Result<Server> {
    let ListenerOptions { name, listener, tls, limits, counters } = options;
    let config = tls.as_ref().map(|tls| tls.server_config().map_err(io::Error::other)).transpose()?;
    let tls = config.map(|config| TlsAcceptor::from(Arc::new(config))).zip(tls);
    let budget = Arc::new(Semaphore::new(BUDGET_BYTES));
    let builder = Server::build();
    let stopping = Arc::new(builder.graceful_shutdown_signal());
    let factory = move || {
        let (service, counters, tls) = (service.clone(), Arc::clone(&counters), tls.clone());
        let (budget, stopping) = (Arc::clone(&budget), Arc::clone(&stopping));
        fn_factory(move || {
            let worker = Rc::new(EdgeWorker {
                service: service(),
                registry: Registry::new(limits.connections.div_ceil(limits.workers)),
                counters: Arc::clone(&counters),
                keep_alive: limits.keep_alive,
                budget: Arc::clone(&budget),
                tls: tls.clone(),
            });
            let (closing, signal) = (Rc::clone(&worker), (*stopping).clone());
            actix_rt::spawn(async move {
                signal.notified().await;
                closing.registry.close();
            });
            let service = fn_service(move |stream: TcpStream| {
                let worker = Rc::clone(&worker);
                async move {
                    accepted(stream, &worker).await;
                    Ok::<(), Infallible>(())
                }
            });
            async move { Ok::<_, ()>(service) }
        })
    };
    Ok(builder
        .workers(limits.workers)
        .max_concurrent_connections(NO_BOUND)
        .shutdown_timeout(limits.stop_timeout.as_secs().max(1))
        // `app` handles signals, for all components.
        .disable_signals()
        .listen(name, listener, factory)?
        .run())
}

/// Counts a connection as open for as long as it lives.
struct Open<'w, S> {
    worker: &'w EdgeWorker<S>,
    key: usize,
}

impl<S> Drop for Open<'_, S> {
    fn drop(&mut self) {
        self.worker.counters.open.fetch_sub(1, Relaxed);
        self.worker.registry.remove(self.key);
    }
}

async fn accepted<S: Service>(stream: TcpStream, worker: &EdgeWorker<S>) {
    let Ok(peer) = stream.peer_addr().map(|address| address.ip().to_canonical()) else { return };
    let Ok((key, entry, evicted)) = worker.registry.add() else {
        worker.counters.evicted.fetch_add(1, Relaxed);
        return;
    };
    worker.counters.open.fetch_add(1, Relaxed);
    worker.counters.evicted.fetch_add(evicted as u64, Relaxed);
    let _open = Open { worker, key };
    // With Nagle's algorithm, the second of two small writes would wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = match &worker.tls {
        None => Stream::Plain(stream),
        Some((acceptor, tls)) => match handshake(stream, acceptor, tls, peer, &entry).await {
            Some(stream) => stream,
            None => return,
        },
    };
    serve(Input::new(stream, Arc::clone(&worker.budget)), peer, worker, &entry).await;
}

/// Performs the TLS handshake of a connection. A connection that closes before its first byte does not count as a
/// handshake: balancers and monitors connect only to check that the port is open.
async fn handshake(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    tls: &tls::Listener,
    peer: IpAddr,
    entry: &ConnectionEntry,
) -> Option<Stream> {
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)) => peeked,
        () = entry.ended() => return None,
    };
    if !matches!(peeked, Ok(Ok(1..))) {
        return None;
    }
    let is_tls = first == [TLS_HANDSHAKE];
    if is_tls {
        tls.note_begun();
    }
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => shaken,
        () = entry.ended() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => {
            tls.note_done();
            return Some(Stream::Tls(Box::new(stream)));
        }
        Ok(Err(error)) if !is_tls => {
            tls.note_failed(
                peer,
                &io::Error::new(error.kind(), format!("plain HTTP or another protocol instead of TLS: {error}")),
            );
        }
        Ok(Err(error)) => tls.note_failed(peer, &error),
        Err(_) => {
            let slow = format!("not complete after {} s", HANDSHAKE_TIMEOUT.as_secs());
            tls.note_failed(peer, &io::Error::new(io::ErrorKind::TimedOut, slow));
        }
    }
    None
}
