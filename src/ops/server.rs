//! The operations listener: health, status and metrics, on a separate port.
//!
//! It opens before the spool: opening a spool can take a while, and the process is alive meanwhile.

use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::panel::Panel;
use super::tables::TableError;
use super::verdict::NodeVerdict;
use super::{actions, assets};
use crate::edge::{self, Body, Head, HeadError, Method, Response, Server, Service};

/// The limit of connections of scrapers, health checks and people. Older idle ones make room for new ones.
const CONNECTIONS: usize = 128;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
const METHODS: &str = "GET, HEAD, OPTIONS";
const ACTION_METHODS: &str = "POST, OPTIONS";
const ACTIONS: &[u8] = b"/actions";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const NO_SUCH_PATH: &str = "path: this listener has /, /livez, /readyz, /status, /history, /refused, /quarantine, \
                            /published, /accounts, /find and /metrics";

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
    async fn call(&self, head: &Head, body: &mut Body<'_>) -> Response {
        assets::protected(self.respond(head, body).await)
    }

    fn bad_request(&self, wrong: &HeadError, _: IpAddr) -> Response {
        assets::protected(error(StatusCode::BAD_REQUEST, &wrong.to_string()))
    }
}

impl OpsService {
    async fn respond(&self, head: &Head, body: &mut Body<'_>) -> Response {
        let path = head.path();
        let file = assets::file(path);
        let is_data = matches!(
            path,
            b"/livez"
                | b"/readyz"
                | b"/status"
                | b"/metrics"
                | b"/history"
                | b"/refused"
                | b"/quarantine"
                | b"/published"
                | b"/accounts"
                | b"/find"
        );
        if file.is_none() && !is_data && path != ACTIONS {
            return error(StatusCode::NOT_FOUND, NO_SUCH_PATH);
        }
        let methods = if path == ACTIONS { ACTION_METHODS } else { METHODS };
        match (head.method(), path == ACTIONS) {
            (Method::Options, _) => return Response::new(StatusCode::OK, TEXT, "").allowing(methods),
            (Method::Post, true) | (Method::Get | Method::Head, false) => {}
            (_, is_action) => {
                let text = if is_action { "method: use POST" } else { "method: use GET or HEAD" };
                return error(StatusCode::METHOD_NOT_ALLOWED, text).allowing(methods);
            }
        }
        if let Some(file) = file {
            return file;
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
        if path == ACTIONS {
            return match actions::read(panel.actions, head, body).await {
                Ok(action) => answer(panel.tables.act(action).await),
                Err((status, text)) => error(status, &text),
            };
        }
        let query = head.query();
        match path {
            b"/readyz" => {
                let readiness = panel.readiness();
                let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                json(status, &readiness)
            }
            b"/status" => json(StatusCode::OK, &panel.status()),
            b"/history" => answer(panel.history(query)),
            b"/refused" => answer(panel.tables.refused(query)),
            b"/published" => answer(panel.tables.published(query)),
            b"/accounts" => answer(panel.tables.accounts(query)),
            b"/quarantine" => answer(panel.tables.quarantine(query).await),
            b"/find" => answer(panel.tables.find(query).await),
            _ => match panel.metrics.render(&panel.view()) {
                Ok(text) => Response::new(StatusCode::OK, METRICS, text),
                Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
            },
        }
    }
}

fn answer(result: Result<impl Serialize, TableError>) -> Response {
    match result {
        Ok(value) => json(StatusCode::OK, &value),
        Err(failed) => error(failed.status(), &failed.to_string()),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match crate::escape::json(value) {
        Ok(body) => Response::new(status, JSON, body),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    Response::new(status, JSON, serde_json::json!({ "error": text }).to_string())
}
