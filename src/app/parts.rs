//! Starts each component, and reports its exit.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};

use super::error::AppError;
use crate::config::{Config, SpoolFailure};
use crate::control::{Changes, Control};
use crate::find::Finder;
use crate::ops::desk::Desk;
use crate::ops::metrics::Metrics;
use crate::ops::tables::Tables;
use crate::published::PublishedRing;
use crate::publisher::PublisherError;
use crate::publisher::direct::{self, DirectPublisher};
use crate::refused::RefusedJournal;
use crate::replay::PublishTarget;
use crate::spool::{self, Spool, WriterHandle};
use crate::watchdog::{self, Component, Health};

/// Connections that the kernel accepts while all workers are busy.
const BACKLOG: u32 = 4096;

/// Opens the spool and the refused journal beside it on a separate thread, so that the operations listener and signals keep working.
pub(super) async fn open_spool(
    config: &Config,
    metrics: &Arc<Metrics>,
    exits: &mpsc::UnboundedSender<&'static str>,
) -> Result<(Spool, WriterHandle, Arc<RefusedJournal>), AppError> {
    let metrics = Arc::clone(metrics);
    let options = spool::SpoolOptions {
        dir: config.spool_dir.clone(),
        max_bytes: config.spool_max_bytes,
        quarantine_max_bytes: config.quarantine_max_bytes,
        dedup_window: config.dedup_window,
        on_commit: Box::new(move |took, events| {
            metrics.spool_commit_seconds.observe(took.as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a group has far fewer than 2^52 events")]
            metrics.spool_group_events.observe(events as f64);
        }),
    };
    let (opened, opening) = oneshot::channel();
    let end = end("spool writer", exits);
    std::thread::Builder::new()
        .name("spool-open".to_owned())
        .spawn(move || {
            // The spool's lock covers the journal, too.
            let _ = opened.send(Spool::open(options, end).map(|(spool, writer)| {
                let journal = Arc::new(RefusedJournal::open(spool.dir()));
                (spool, writer, journal)
            }));
        })
        .map_err(AppError::Thread)?;
    let (spool, writer, journal) =
        opening.await.map_err(|_| AppError::ComponentExited("thread that opens the spool"))??;
    let progress = spool.progress();
    tracing::info!(
        event = "spool_opened",
        dir = %config.spool_dir.display(),
        spool = %spool.identities().last().map(|identity| identity.uuid).unwrap_or_default(),
        waiting = progress.depth(),
        "spool opened"
    );
    Ok((spool, writer, journal))
}

/// Starts the control socket, through which commands change something. A node also works without it.
pub(super) fn control(config: &Config, spool: Spool, journal: Arc<RefusedJournal>) -> Option<Control> {
    let dir = spool.dir().to_owned();
    let target = PublishTarget { topic: config.topic.clone(), brokers: config.kafka.bootstrap_servers().to_owned() };
    Control::start(spool, journal, target)
        .inspect_err(|error| {
            tracing::warn!(
                event = "control_socket_unavailable", %error, dir = %dir.display(),
                "no control socket; `quarantine requeue` and `quarantine drop` work only while this node is stopped"
            );
        })
        .ok()
}

/// Starts the watchdog of the threads that cannot be replaced. With direct publishing, the process can still
/// acknowledge webhooks while the spool's writer is stuck.
pub(super) fn watch_threads(
    config: &Config,
    spool: &Spool,
    control: Option<&Control>,
    metrics: &Arc<Metrics>,
) -> std::io::Result<Health> {
    let optional = config.spool_failure == SpoolFailure::Publish;
    let mut components = vec![Component { name: "spool_writer", pulse: spool.pulse(), optional }];
    components.extend(control.map(|control| Component { name: "control", pulse: control.pulse(), optional: true }));
    watchdog::start(components, Arc::clone(metrics))
}

/// Starts the thread that reads the disk for the page.
pub(super) fn tables(
    config: &Config,
    spool: &Spool,
    journal: &Arc<RefusedJournal>,
    published: PublishedRing,
) -> Result<Tables, AppError> {
    let changes = Changes { spool: spool.clone(), reader: spool.reader()?, journal: Arc::clone(journal) };
    let finder = Finder {
        spool: spool.clone(),
        journal: Arc::clone(journal),
        published,
        topic: config.topic.clone(),
        brokers: config.kafka.bootstrap_servers().to_owned(),
    };
    Ok(Tables { desk: Desk::start(changes).map_err(AppError::Thread)?, finder })
}

/// Starts direct publishing, if it is configured.
pub(super) fn start_bypass(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<DirectPublisher>>, AppError> {
    if config.spool_failure == SpoolFailure::Refuse {
        return Ok(None);
    }
    let options = direct::DirectOptions {
        topic: config.topic.clone(),
        config: config.kafka.client_config(),
        timeout: config.ack_timeout,
        metrics: Arc::clone(metrics),
    };
    let bypass = DirectPublisher::start(options).map_err(PublisherError::Thread)?;
    Ok(Some(Arc::new(bypass)))
}

/// Returns a function that reports the exit of a component.
pub(super) fn end(
    component: &'static str,
    exits: &mpsc::UnboundedSender<&'static str>,
) -> impl FnOnce() + Send + 'static {
    let exits = exits.clone();
    move || {
        // The receiver is gone once the process is stopping.
        let _ = exits.send(component);
    }
}

/// Reports the exit of a listener.
pub(super) fn watch(
    component: &'static str,
    server: actix_server::Server,
    exits: &mpsc::UnboundedSender<&'static str>,
) {
    let end = end(component, exits);
    actix_rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(event = "listener_failed", component, %error, "listener failed");
        }
        end();
    });
}

/// Binds the address of the variable `name`.
pub(super) fn bind(name: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    socket
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        })
        .map_err(|source| AppError::Bind { name, address, source })
}
