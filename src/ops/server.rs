//! The operations listener: `/livez`, `/readyz`, `/status`, `/metrics`.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Serialize;
use uuid::Uuid;

use super::metrics::{Metrics, TlsView, View};
use super::status::{KafkaCell, KafkaState, KafkaStatus, unix_ms};
use crate::spool::{Reader, RecentUsage, Spool, Tallies};
use crate::tls::Listener;

/// Asks whether deliveries can go past the spool; blocks for a moment.
pub type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the listener shows.
pub struct Panel {
    /// Asked at each request.
    pub spool: Spool,
    /// For the age of the oldest event, on a connection of its own.
    pub reader: Mutex<Reader>,
    /// The publisher's state.
    pub kafka: KafkaCell,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// What TLS connections to the webhook listener get, where it takes them.
    pub tls: Option<Arc<Listener>>,
    /// Whether the process is ending.
    pub draining: Box<dyn Fn() -> bool + Send + Sync>,
    /// The way past the spool, where deliveries take it while the spool cannot be written.
    pub bypass: Option<Probe>,
}

/// The answer of `/status`.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    commit: &'static str,
    spool_uuid: Uuid,
    depth: u64,
    bytes: u64,
    capacity_bytes: u64,
    oldest_age_seconds: f64,
    /// The last sequence number given out, and the last one published (or quarantined).
    accepted_seq: u64,
    published_seq: u64,
    kafka: KafkaStatus,
    dedup: Dedup,
    quarantine_events: u64,
    quarantine_bytes: u64,
    /// By reason; a reason of which there is none is not there.
    quarantine: Tallies,
    ready: bool,
    reasons: Vec<String>,
    degraded: Vec<String>,
}

/// How far a repeat of the sender is recognized, and what that takes.
#[derive(Debug, Serialize)]
struct Dedup {
    window_seconds: u64,
    /// Below the window where there was no room for all of it.
    covers_seconds: f64,
    ids: u64,
    bytes: u64,
}

impl From<RecentUsage> for Dedup {
    fn from(usage: RecentUsage) -> Self {
        Self {
            window_seconds: usage.window.as_secs(),
            covers_seconds: usage.covers.as_secs_f64(),
            ids: usage.ids,
            bytes: usage.bytes,
        }
    }
}

impl Panel {
    fn oldest_age(&self) -> Duration {
        let progress = self.spool.progress();
        if progress.depth() == 0 {
            return Duration::ZERO;
        }
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = reader.accepted_at_ms(progress.watermark).ok().flatten();
        let now = unix_ms(SystemTime::now());
        accepted.map_or(Duration::ZERO, |at| Duration::from_millis(u64::try_from(now - at).unwrap_or(0)))
    }

    fn view(&self) -> View {
        let up = matches!(self.kafka.get().state, KafkaState::Ready | KafkaState::ReadingBack);
        let oldest_age = self.oldest_age();
        View {
            progress: self.spool.progress(),
            usage: self.spool.usage(),
            recent: self.spool.recent(),
            oldest_age,
            kafka_up: up,
            tls: self.tls.as_ref().map(|tls| TlsView {
                begun: tls.begun(),
                done: tls.done(),
                expires: tls.present().certificate().not_after,
            }),
        }
    }

    /// Why deliveries cannot be accepted, which is empty while they can; and what is broken though
    /// they can.
    fn reasons(&self) -> (Vec<String>, Vec<String>) {
        let (mut reasons, mut degraded) = (Vec::new(), Vec::new());
        if (self.draining)() {
            reasons.push("draining: the process is shutting down".to_owned());
        }
        let usage = self.spool.usage();
        if usage.full {
            reasons.push(format!("spool full: {} of {} bytes", usage.bytes, usage.max_bytes));
        }
        if let Some(fault) = self.spool.fault() {
            let broken = format!("spool broken: {fault}");
            match self.bypass.as_ref().map(|probe| probe()) {
                None => reasons.push(broken),
                Some(Err(error)) => reasons.push(format!("{broken}; nor can Kafka be reached directly: {error}")),
                Some(Ok(())) => degraded.push(format!("{broken}; recalls are published to Kafka directly")),
            }
        }
        (reasons, degraded)
    }

    fn status(&self) -> Status {
        let (progress, usage) = (self.spool.progress(), self.spool.usage());
        let (reasons, degraded) = self.reasons();
        Status {
            version: crate::version::VERSION,
            commit: crate::version::COMMIT,
            spool_uuid: self.spool.identities().last().map(|identity| identity.uuid).unwrap_or_default(),
            depth: progress.depth(),
            bytes: usage.bytes,
            capacity_bytes: usage.max_bytes,
            oldest_age_seconds: self.oldest_age().as_secs_f64(),
            accepted_seq: progress.next_seq - 1,
            published_seq: progress.watermark - 1,
            kafka: self.kafka.get(),
            dedup: self.spool.recent().into(),
            quarantine_events: usage.quarantine_events,
            quarantine_bytes: usage.quarantine_bytes,
            quarantine: self.spool.quarantine_tallies(),
            ready: reasons.is_empty(),
            reasons,
            degraded,
        }
    }
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    degraded: Vec<String>,
    kafka: KafkaStatus,
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

// To look is to ask Kafka sometimes, which takes a moment that `/livez` does not have.
async fn readyz(panel: web::Data<Panel>) -> actix_web::Result<HttpResponse> {
    let kafka = panel.kafka.get();
    let (reasons, degraded) = web::block(move || panel.reasons()).await?;
    let answer = Readiness { ready: reasons.is_empty(), reasons, degraded, kafka };
    let mut response = if answer.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.json(answer))
}

async fn status(panel: web::Data<Panel>) -> actix_web::Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(web::block(move || panel.status()).await?))
}

async fn metrics(panel: web::Data<Panel>) -> HttpResponse {
    match panel.metrics.render(&panel.view()) {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    }
}

/// Starts the listener on one worker.
pub fn run(listener: TcpListener, panel: Panel) -> std::io::Result<Server> {
    let panel = web::Data::new(panel);
    Ok(HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&panel))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/status", web::get().to(status))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run())
}
