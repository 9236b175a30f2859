//! Creates the components, connects them, and starts and stops them in order.
//!
//! Start: ports, operations listener, spool, publisher, webhook listener. Stop: refuse new webhooks with
//! 503 for a moment, close the port, answer the current webhooks, publish the backlog within the shutdown
//! grace period, close the spool. When a component exits unexpectedly, the process exits.

mod error;
mod parts;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_server::ServerHandle;
use tokio::sync::mpsc;

use crate::config::{Config, Delivery};
use crate::control::Control;
use crate::edge::{self, Limits, descriptors};
use crate::events;
use crate::ingest::{self, Outcome};
use crate::ops::metrics::{Labels, Metrics};
use crate::ops::panel::Panel;
use crate::ops::recorder::{Recorder, RecorderSources};
use crate::ops::sampler::{Probe, Sampler};
use crate::ops::server::OpsService;
use crate::ops::status::KafkaCell;
use crate::published::PublishedRing;
use crate::publisher::kafka::errors::KINDS;
use crate::publisher::kafka::topic::Creation;
use crate::publisher::{self, PublisherError, PublisherHandle};
use crate::spool::WriterHandle;
use crate::tls;
use crate::watchdog::Health;
pub use error::AppError;
use parts::{bind, control, end, open_spool, start_bypass, tables, watch, watch_threads};

/// The component whose error is known only after it has exited.
const PUBLISHER: &str = "publisher";
/// A stop waits for current requests this much longer than the longest response time.
const STOP_MARGIN: Duration = Duration::from_secs(1);
const STOP_POLL: Duration = Duration::from_millis(10);

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
    /// `None` if the file system does not support sockets.
    control: Option<Control>,
    sampler: Arc<Sampler>,
    recorder: Arc<Recorder>,
    kafka: KafkaCell,
    exits: mpsc::UnboundedReceiver<&'static str>,
    drain: Duration,
    health: Health,
    grace: Duration,
}

impl App {
    /// Binds the ports, opens the spool, starts the publisher and the listeners. Must be called
    /// inside an actix system. Dropping the future while the spool is being opened cancels the start.
    ///
    /// # Errors
    /// See [`AppError`]. After an error, no component is running.
    pub async fn start(config: &Config) -> Result<Self, AppError> {
        let connections = descriptors::connections(config.workers)?;
        let webhook_listener = bind("BRIDGE_LISTEN", config.listen)?;
        let ops_listener = bind("BRIDGE_OPS_LISTEN", config.ops_listen)?;
        let (exit_sender, exits) = mpsc::unbounded_channel();
        let ops_service = OpsService::default();
        let ops_address = ops_listener.local_addr().map_err(AppError::Server)?;
        let ops = crate::ops::server::run(ops_listener, &ops_service).map_err(AppError::Server)?;
        let handle = ops.handle();
        watch("operations listener", ops, &exit_sender);
        let started = Self::start_behind(
            config,
            connections,
            webhook_listener,
            ops_address,
            &handle,
            &ops_service,
            exit_sender,
            exits,
        );
        match started.await {
            Ok(app) => Ok(app),
            Err(error) => {
                handle.stop(false).await;
                Err(error)
            }
        }
    }

    /// Starts everything that follows the operations listener.
    #[expect(clippy::too_many_arguments, reason = "the components that `start` has created so far")]
    async fn start_behind(
        config: &Config,
        connections_max: usize,
        webhook_listener: TcpListener,
        ops_address: SocketAddr,
        ops: &ServerHandle,
        ops_service: &OpsService,
        exit_sender: mpsc::UnboundedSender<&'static str>,
        exits: mpsc::UnboundedReceiver<&'static str>,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new(Labels {
            outcomes: &Outcome::labels(),
            commands: &events::unpublished(),
            kafka_errors: &KINDS,
        })?);
        let (spool, writer, journal) = open_spool(config, &metrics, &exit_sender).await?;
        let webhook_address = webhook_listener.local_addr().map_err(AppError::Server)?;

        let kafka = KafkaCell::default();
        let ring = PublishedRing::default();
        let options = publisher::PublisherOptions {
            spool: spool.clone(),
            topic: config.topic.clone(),
            config: config.kafka.client_config(),
            transactional: config.delivery == Delivery::ExactlyOnce,
            creation: config
                .topic_create
                .then_some(Creation { partitions: config.topic_partitions, replication: config.topic_replication }),
            metrics: Arc::clone(&metrics),
            kafka: kafka.clone(),
            published: ring.clone(),
        };
        let publisher = publisher::start(options, end(PUBLISHER, &exit_sender))?;
        let direct = start_bypass(config, &metrics)?;
        let probe = direct
            .clone()
            .map(|direct| -> Probe { Box::new(move || direct.probe().map_err(|error| error.to_string())) });
        let sampler = Sampler::start(spool.clone(), spool.reader()?, probe).map_err(AppError::Thread)?;
        let recorder = Recorder::start(RecorderSources {
            spool: spool.clone(),
            sampler: Arc::clone(&sampler),
            kafka: kafka.clone(),
            metrics: Arc::clone(&metrics),
        })
        .map_err(AppError::Thread)?;

        let shared = Arc::new(ingest::Shared::new(
            config,
            spool.clone(),
            direct.map(|direct| direct as _),
            Arc::clone(&metrics),
            Arc::clone(&journal),
        ));
        let tls = config.tls.as_ref().map(|tls| tls::Listener::new(tls.material.clone()));
        let counters = Arc::new(edge::Counters::default());
        let limits = Limits {
            workers: config.workers,
            connections: connections_max,
            keep_alive: config.keep_alive,
            stop_timeout: config.ack_timeout + STOP_MARGIN,
        };
        let listener = edge::ListenerOptions {
            name: "webhook",
            listener: webhook_listener,
            tls: tls.clone(),
            limits,
            counters: Arc::clone(&counters),
        };
        let webhook = ingest::run(listener, &shared).map_err(AppError::Server)?;
        let draining = Arc::clone(&shared);
        let watched = Arc::clone(&metrics);
        ops_service.show(Panel {
            spool: spool.clone(),
            sampler: Arc::clone(&sampler),
            kafka: kafka.clone(),
            metrics,
            tls: tls.clone(),
            draining: Box::new(move || draining.is_draining()),
            connections: counters,
            connections_max,
            journal: Arc::clone(&journal),
            recorder: Arc::clone(&recorder),
            tables: tables(config, &spool, &journal, ring)?,
            actions: config.ops_actions,
        });

        let control = control(config, spool.clone(), journal);
        let health = watch_threads(config, &spool, control.as_ref(), &watched).map_err(PublisherError::Thread)?;
        let app = Self {
            shared,
            tls,
            webhook_address,
            ops_address,
            webhook: webhook.handle(),
            ops: ops.clone(),
            publisher,
            writer,
            control,
            sampler,
            recorder,
            kafka,
            exits,
            drain: config.drain,
            health,
            grace: config.shutdown_grace,
        };
        watch("webhook listener", webhook, &exit_sender);
        Ok(app)
    }

    /// The address of the webhook listener.
    pub fn webhook_address(&self) -> SocketAddr {
        self.webhook_address
    }

    /// The address of the operations listener.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Whether any required component is stuck.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The state that all workers share: replaceable apps, metrics, the spool.
    pub fn shared(&self) -> &Arc<ingest::Shared> {
        &self.shared
    }

    /// The state of the publisher.
    pub fn kafka(&self) -> &KafkaCell {
        &self.kafka
    }

    /// The certificates of the webhook listener, if it uses TLS.
    pub fn tls(&self) -> Option<&Arc<tls::Listener>> {
        self.tls.as_ref()
    }

    /// Runs until `stop` resolves, then stops in order. Dropping the future during the stop cancels
    /// the rest of it.
    ///
    /// # Errors
    /// A component exited unexpectedly, or failed during the stop.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let exited = tokio::select! {
            () = stop => None,
            component = self.exits.recv() => Some(component.unwrap_or("process")),
        };
        if let Some(component) = exited {
            tracing::error!(event = "component_exited", component, "component exited unexpectedly; shutting down");
        }
        let result = self.stop(exited).await;
        match exited {
            // The component's own error, if it has one, says more.
            Some(component) => Err(result.err().unwrap_or(AppError::ComponentExited(component))),
            None => result,
        }
    }

    async fn stop(self, exited: Option<&'static str>) -> Result<(), AppError> {
        // The publisher reports its exit shortly before its thread ends. Its error is known only after that.
        let least = if exited == Some(PUBLISHER) { STOP_MARGIN } else { Duration::ZERO };
        tracing::info!(
            event = "stopping",
            drain_seconds = self.drain.as_secs(),
            grace_seconds = self.grace.as_secs(),
            "shutting down; new webhooks are refused"
        );
        self.shared.drain();
        if exited.is_none() {
            // `/readyz` returns 503 from now on, so the load balancer has time to remove this node.
            tokio::time::sleep(self.drain).await;
        }
        let until = Instant::now() + self.grace.max(least);
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
            tracing::warn!(
                event = "grace_period_expired",
                left,
                "shutdown grace period expired; the next start publishes the backlog"
            );
            Ok(())
        };
        // A running command gets its response, and its connection to the database is closed.
        let answered = Instant::now() + STOP_MARGIN;
        while self.control.as_ref().is_some_and(|control| !control.is_finished()) && Instant::now() < answered {
            tokio::time::sleep(STOP_POLL).await;
        }
        self.sampler.stop();
        self.recorder.stop();
        self.shared.journal.stop();
        // The writer stops last: until now the publisher may have had something to store.
        let written = self.writer.stop().map_err(AppError::from);
        self.ops.stop(false).await;
        written.and(published)?;
        tracing::info!(event = "stopped", "stopped");
        Ok(())
    }
}
