//! Builds the parts, connects them, runs and stops them in order.
//!
//! Start: spool, ports, publisher, listeners. Stop: refuse new deliveries, answer those in
//! flight, publish what remains within the grace time, close the spool. A part that ends by itself
//! ends the process.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use crate::config::{Config, Delivery, SpoolFailure};
use crate::control::Control;
use crate::ingest::{self, Limits, Outcome};
use crate::ops::metrics::{Labels, Metrics};
use crate::ops::server::{Panel, Probe};
use crate::ops::status::KafkaCell;
use crate::publisher::bypass::{self, Bypass};
use crate::publisher::kafka::errors::KINDS;
use crate::publisher::kafka::topic::Creation;
use crate::publisher::{self, PublisherError, PublisherHandle};
use crate::spool::{self, Spool, SpoolError, WriterHandle};
use crate::tls;
use crate::watchdog::{self, Component, Health};

/// The part that has an error to tell when it ends.
const PUBLISHER: &str = "publisher";
/// Connections that the kernel completes while all workers are busy.
const BACKLOG: u32 = 4096;
/// Beyond the longest answer: what a stop waits for requests in flight.
const STOP_MARGIN: Duration = Duration::from_secs(1);
const STOP_POLL: Duration = Duration::from_millis(10);

/// Why the process could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be bound.
    #[error("{name}: {address} cannot be listened on: {source}")]
    Bind {
        /// The variable.
        name: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The publisher cannot be started, or failed.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// A listener failed.
    #[error("a listener failed: {0}")]
    Server(std::io::Error),
    /// The metrics are declared wrongly.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part ended while it was needed.
    #[error("the {0} has ended")]
    PartEnded(&'static str),
}

impl AppError {
    /// Whether the process never came to run, for a reason outside of it.
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. }
                | Self::Spool(
                    SpoolError::Locked { .. }
                        | SpoolError::NoSpool { .. }
                        | SpoolError::Directory { .. }
                        | SpoolError::Sqlite(_)
                )
        )
    }
}

/// The running bridge.
pub struct App {
    shared: Arc<ingest::Shared>,
    tls: Option<Arc<tls::Listener>>,
    webhook_address: SocketAddr,
    ops_address: SocketAddr,
    webhook: ServerHandle,
    ops: ServerHandle,
    publisher: PublisherHandle,
    writer: WriterHandle,
    /// None where the file system has no sockets.
    control: Option<Control>,
    ended: mpsc::UnboundedReceiver<&'static str>,
    health: Health,
    grace: Duration,
}

impl App {
    /// Opens the spool, binds the ports, starts the publisher and the listeners. Must be called
    /// inside an actix system.
    ///
    /// # Errors
    /// See [`AppError`]; nothing is left running.
    pub fn start(config: &Config) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new(Labels { outcomes: &Outcome::labels(), kafka_errors: &KINDS })?);
        let (ends, ended) = mpsc::unbounded_channel();
        let (spool, writer) = open_spool(config, &metrics, &ends)?;
        let webhook_listener = bind("BRIDGE_LISTEN", config.listen)?;
        let ops_listener = bind("BRIDGE_OPS_LISTEN", config.ops_listen)?;
        let webhook_address = webhook_listener.local_addr().map_err(AppError::Server)?;
        let ops_address = ops_listener.local_addr().map_err(AppError::Server)?;

        let kafka = KafkaCell::default();
        let options = publisher::Options {
            spool: spool.clone(),
            topic: config.topic.clone(),
            config: config.kafka.client_config(),
            transactional: config.delivery == Delivery::ExactlyOnce,
            creation: config
                .topic_create
                .then_some(Creation { partitions: config.topic_partitions, replication: config.topic_replication }),
            metrics: Arc::clone(&metrics),
            kafka: kafka.clone(),
        };
        let publisher = publisher::start(options, end(PUBLISHER, &ends))?;
        let bypass = start_bypass(config, &metrics)?;

        let shared = Arc::new(ingest::Shared::new(config, spool.clone(), bypass.clone(), Arc::clone(&metrics)));
        let limits = Limits { workers: config.workers, stop_timeout: config.ack_timeout + STOP_MARGIN };
        let tls = config.tls.as_ref().map(|tls| tls::Listener::new(tls.material.clone()));
        let webhook = ingest::run(webhook_listener, tls.as_ref(), Arc::clone(&shared), limits);
        let webhook = webhook.map_err(AppError::Server)?;
        let draining = Arc::clone(&shared);
        let watched = Arc::clone(&metrics);
        let panel = Panel {
            reader: Mutex::new(spool.reader()?),
            spool: spool.clone(),
            kafka,
            metrics,
            tls: tls.clone(),
            draining: Box::new(move || draining.is_draining()),
            bypass: bypass
                .map(|bypass| -> Probe { Box::new(move || bypass.probe().map_err(|error| error.to_string())) }),
        };
        let ops = crate::ops::server::run(ops_listener, panel).map_err(AppError::Server)?;

        let control = control(spool.clone());
        let health = watch_threads(config, &spool, control.as_ref(), &watched).map_err(PublisherError::Thread)?;
        let app = Self {
            shared,
            tls,
            webhook_address,
            ops_address,
            webhook: webhook.handle(),
            ops: ops.handle(),
            publisher,
            writer,
            control,
            ended,
            health,
            grace: config.shutdown_grace,
        };
        watch("webhook listener", webhook, &ends);
        watch("operations listener", ops, &ends);
        Ok(app)
    }

    /// Where webhooks are taken.
    pub fn webhook_address(&self) -> SocketAddr {
        self.webhook_address
    }

    /// Where metrics and health are.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Whether every component gets on.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// What the workers share: apps that can be replaced, metrics, the spool.
    pub fn shared(&self) -> &Arc<ingest::Shared> {
        &self.shared
    }

    /// What TLS connections get, where the webhook listener takes them.
    pub fn tls(&self) -> Option<&Arc<tls::Listener>> {
        self.tls.as_ref()
    }

    /// Runs until `stop` resolves, then stops in order. Dropping the future while it stops gives
    /// up the rest at once.
    ///
    /// # Errors
    /// A part ended by itself, or failed while it was being stopped.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let died = tokio::select! {
            () = stop => None,
            part = self.ended.recv() => Some(part.unwrap_or("process")),
        };
        if let Some(part) = died {
            tracing::error!(part, "a part ended; stopping");
        }
        let result = self.stop(died).await;
        match died {
            // The part's own error says more, where it has one.
            Some(part) => Err(result.err().unwrap_or(AppError::PartEnded(part))),
            None => result,
        }
    }

    async fn stop(self, died: Option<&'static str>) -> Result<(), AppError> {
        // What tells its own end is gone only a moment later, and has then an error to tell.
        let least = if died == Some(PUBLISHER) { STOP_MARGIN } else { Duration::ZERO };
        let until = Instant::now() + self.grace.max(least);
        tracing::info!(grace_seconds = self.grace.as_secs(), "stopping: no new deliveries");
        self.shared.drain();
        if let Some(control) = &self.control {
            control.stop();
        }
        self.webhook.stop(true).await;
        self.publisher.stop();
        while !self.publisher.is_finished() && Instant::now() < until {
            tokio::time::sleep(STOP_POLL).await;
        }
        let published = if self.publisher.is_finished() {
            self.publisher.join().map_err(AppError::from)
        } else {
            let left = self.shared.spool.progress().depth();
            tracing::warn!(left, "the grace time is over; the next start publishes what is left");
            Ok(())
        };
        // A command that is at work gets its answer, and its connection to the file is closed.
        let answered = Instant::now() + STOP_MARGIN;
        while self.control.as_ref().is_some_and(|control| !control.is_finished()) && Instant::now() < answered {
            tokio::time::sleep(STOP_POLL).await;
        }
        // Last: until here the publisher may have had something to store.
        let written = self.writer.stop().map_err(AppError::from);
        self.ops.stop(false).await;
        written.and(published)?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn open_spool(
    config: &Config,
    metrics: &Arc<Metrics>,
    ends: &mpsc::UnboundedSender<&'static str>,
) -> Result<(Spool, WriterHandle), AppError> {
    let metrics = Arc::clone(metrics);
    let options = spool::Options {
        dir: config.spool_dir.clone(),
        max_bytes: config.spool_max_bytes,
        quarantine_max_bytes: config.quarantine_max_bytes,
        repeat_window: config.dedup_window,
        on_commit: Box::new(move |took, events| {
            metrics.spool_commit_seconds.observe(took.as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a group has far fewer than 2^52 events")]
            metrics.spool_group_events.observe(events as f64);
        }),
    };
    let (spool, writer) = Spool::open(options, end("spool writer", ends))?;
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
fn control(spool: Spool) -> Option<Control> {
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
fn watch_threads(
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
fn start_bypass(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Bypass>>, AppError> {
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
fn end(part: &'static str, ends: &mpsc::UnboundedSender<&'static str>) -> impl FnOnce() + Send + 'static {
    let ends = ends.clone();
    move || {
        // Nobody listens any more once the process is stopping.
        let _ = ends.send(part);
    }
}

fn watch(part: &'static str, server: actix_web::dev::Server, ends: &mpsc::UnboundedSender<&'static str>) {
    let end = end(part, ends);
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(part, %error, "a listener failed");
        }
        end();
    });
}

fn bind(name: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    socket
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        })
        .map_err(|source| AppError::Bind { name, address, source })
}
