//! How each component is started, and how its end is told.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};

use super::error::AppError;
use crate::config::{Config, SpoolFailure};
use crate::control::Control;
use crate::ops::metrics::Metrics;
use crate::publisher::PublisherError;
use crate::publisher::bypass::{self, Bypass};
use crate::spool::{self, Spool, WriterHandle};
use crate::watchdog::{self, Component, Health};

/// Connections that the kernel completes while all workers are busy.
const BACKLOG: u32 = 4096;

/// On a thread of its own: the operations listener answers meanwhile, and signals are heard.
pub(super) async fn open_spool(
    config: &Config,
    metrics: &Arc<Metrics>,
    ends: &mpsc::UnboundedSender<&'static str>,
) -> Result<(Spool, WriterHandle), AppError> {
    let metrics = Arc::clone(metrics);
    let options = spool::Options {
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
    let end = end("spool writer", ends);
    std::thread::Builder::new()
        .name("spool-open".to_owned())
        .spawn(move || {
            let _ = opened.send(Spool::open(options, end));
        })
        .map_err(AppError::Thread)?;
    let (spool, writer) = opening.await.map_err(|_| AppError::PartEnded("thread that opens the spool"))??;
    let progress = spool.progress();
    tracing::info!(
        dir = %config.spool_dir.display(),
        spool = %spool.identities().last().map(|identity| identity.uuid).unwrap_or_default(),
        waiting = progress.depth(),
        "spool open"
    );
    Ok((spool, writer))
}

/// The way for commands that change something; a node does its work without it.
pub(super) fn control(spool: Spool) -> Option<Control> {
    let dir = spool.dir().to_owned();
    Control::start(spool)
        .inspect_err(|error| {
            tracing::warn!(
                %error, dir = %dir.display(),
                "no control socket: `quarantine requeue` and `quarantine drop` need this node stopped"
            );
        })
        .ok()
}

/// Threads that cannot be replaced. Without the spool's writer, and with the way past the spool, the process
/// still acknowledges what is in Kafka.
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

/// The way past the spool, where it is wanted.
pub(super) fn start_bypass(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Bypass>>, AppError> {
    if config.spool_failure == SpoolFailure::Refuse {
        return Ok(None);
    }
    let options = bypass::Options {
        topic: config.topic.clone(),
        config: config.kafka.client_config(),
        timeout: config.ack_timeout,
        metrics: Arc::clone(metrics),
    };
    let bypass = Bypass::start(options).map_err(PublisherError::Thread)?;
    Ok(Some(Arc::new(bypass)))
}

/// Tells the process that a part has ended.
pub(super) fn end(part: &'static str, ends: &mpsc::UnboundedSender<&'static str>) -> impl FnOnce() + Send + 'static {
    let ends = ends.clone();
    move || {
        // Nobody listens any more once the process is stopping.
        let _ = ends.send(part);
    }
}

pub(super) fn watch(part: &'static str, server: actix_web::dev::Server, ends: &mpsc::UnboundedSender<&'static str>) {
    let end = end(part, ends);
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(part, %error, "a listener failed");
        }
        end();
    });
}

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
