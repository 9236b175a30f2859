//! The operations listener: health, status and metrics, on a separate port.
//!
//! It opens before the spool: opening a spool can take a while, and the process is alive meanwhile.

use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use serde::Serialize;

use super::history::MINUTES_MAX;
use super::panel::Panel;
use super::verdict::NodeVerdict;
use crate::edge::{self, Body, Head, HeadError, Method, Response, Server, Service};

/// The limit of connections of scrapers, health checks and people. Older idle ones make room for new ones.
const CONNECTIONS: usize = 128;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
const METHODS: &str = "GET, HEAD, OPTIONS";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// The content of the listener, once the components have started.
#[derive(Clone, Default)]
pub struct OpsService(Arc<OnceLock<Panel>>);

impl OpsService {
    /// Sets the content. Before this call, the listener reports that the process is starting.
    pub fn show(&self, panel: Panel) {
        let _ = self.0.set(panel);
    }
}

/// Starts the listener on one worker.
///
/// # Errors
/// The socket cannot be used.
pub fn run(listener: TcpListener, service: &OpsService) -> std::io::Result<Server> {
    let service = service.clone();
    let limits =
        edge::Limits { workers: 1, connections: CONNECTIONS, keep_alive: KEEP_ALIVE, stop_timeout: STOP_TIMEOUT };
    let options = edge::ListenerOptions { name: "operations", listener, tls: None, limits, counters: Arc::default() };
    edge::run(options, move || {
        crate::priority::give_way("operations");
        service.clone()
    })
}

impl Service for OpsService {
    async fn call(&self, head: &Head, _: &mut Body<'_>) -> Response {
        let path = head.path();
        if !matches!(path, b"/livez" | b"/readyz" | b"/status" | b"/metrics" | b"/history") {
            return error(
                StatusCode::NOT_FOUND,
                "path: this listener has /livez, /readyz, /status, /history and /metrics",
            );
        }
        match head.method() {
            Method::Get | Method::Head => {}
            Method::Options => return Response::new(StatusCode::OK, TEXT, "").allowing(METHODS),
            _ => return error(StatusCode::METHOD_NOT_ALLOWED, "method: use GET or HEAD").allowing(METHODS),
        }
        if path == b"/livez" {
            return Response::new(StatusCode::OK, TEXT, "ok\n");
        }
        let Some(panel) = self.0.get() else {
            let starting = serde_json::json!({
                "ready": false,
                "reasons": ["starting: the spool is being opened"],
                "verdict": NodeVerdict::opening(),
            });
            return json(StatusCode::SERVICE_UNAVAILABLE, &starting);
        };
        match path {
            b"/readyz" => {
                let readiness = panel.readiness();
                let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                json(status, &readiness)
            }
            b"/status" => json(StatusCode::OK, &panel.status()),
            b"/history" => match minutes(head.query()) {
                Some(minutes) => json(StatusCode::OK, &panel.history(minutes)),
                None => error(StatusCode::BAD_REQUEST, &format!("minutes: a number from 1 to {MINUTES_MAX}")),
            },
            _ => match panel.metrics.render(&panel.view()) {
                Ok(text) => Response::new(StatusCode::OK, METRICS, text),
                Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
            },
        }
    }

    fn bad_request(&self, wrong: &HeadError, _: IpAddr) -> Response {
        error(StatusCode::BAD_REQUEST, &wrong.to_string())
    }
}

/// `minutes` of a query; an hour without it.
fn minutes(query: &[u8]) -> Option<u64> {
    let given = query.split(|byte| *byte == b'&').find_map(|part| part.strip_prefix(b"minutes="));
    let Some(given) = given else { return Some(60) };
    let minutes = std::str::from_utf8(given).ok()?.parse().ok()?;
    (1..=MINUTES_MAX).contains(&minutes).then_some(minutes)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => Response::new(status, JSON, body),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    Response::new(status, JSON, serde_json::json!({ "error": text }).to_string())
}
