//! `recall-bridge send`: sends signed webhooks, as the vendor does.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::CommandError;
use super::http_client::{self, ClientTls};
use super::output::Output;
use crate::clock;
use crate::config::{Config, read_secret_file};
use crate::escape::plain;
use crate::events::recall::RecallKind;
use crate::events::{EventKind as _, RECALL_COMMAND};
use crate::webhook::Token;

/// The timeout of a webhook, the same as the vendor's.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of `send`.
#[derive(Debug, Clone, clap::Args)]
pub struct SendArgs {
    /// Webhook URL of the bridge, without a query.
    #[arg(long, value_parser = webhook_url)]
    url: reqwest::Url,
    /// SdkAppid of the sender. Default: the first app of `BRIDGE_APPS`, with its first token.
    #[arg(long)]
    app: Option<u64>,
    /// Token of the app; without it, webhooks are not signed. Visible in the process list; prefer --token-file.
    #[arg(long, requires = "app", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token of the app.
    #[arg(long, value_name = "FILE", requires = "app")]
    token_file: Option<PathBuf>,
    /// Webhooks per second over all connections. Default: no limit.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Number of connections; each sends one webhook at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Number of webhooks.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Recalled messages per webhook; the vendor sends up to 10.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    keys_per_webhook: u16,
    /// Number of official accounts in the webhooks.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    accounts: u64,
    #[command(flatten)]
    tls: ClientTls,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The body of a response.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WebhookAnswer {
    action_status: String,
    error_code: u32,
    error_info: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    sent: u64,
    acknowledged: u64,
    seconds: f64,
    webhooks_per_second: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    answers: BTreeMap<String, u64>,
}

/// Sends webhooks and prints the responses.
///
/// # Errors
/// A webhook was not acknowledged.
pub fn run(args: &SendArgs) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Outside(error.into()))?;
    let (app, token) = identity(args)?;
    let summary = runtime.block_on(send(args, app, token)).map_err(CommandError::Outside)?;
    print(args, &summary)?;
    if summary.acknowledged == summary.sent {
        Ok(())
    } else {
        let refused = summary.sent - summary.acknowledged;
        Err(CommandError::Negative(anyhow!(
            "{refused} of {} webhooks were not acknowledged; see the responses above",
            summary.sent
        )))
    }
}

/// Returns app and token from the command line, or from the configuration of the bridge in this environment.
fn identity(args: &SendArgs) -> Result<(u64, Option<Token>), CommandError> {
    if let Some(app) = args.app {
        return Ok((app, given_token(args).map_err(CommandError::Outside)?));
    }
    let config = Config::from_env_with(&[("KAFKA_BOOTSTRAP_SERVERS", "unused:1")])?;
    let app = config
        .apps
        .ids()
        .next()
        .context("BRIDGE_APPS contains no app; set it, or give --app")
        .map_err(CommandError::Outside)?;
    Ok((app, config.apps.get(app).and_then(<[Token]>::first).cloned()))
}

fn given_token(args: &SendArgs) -> anyhow::Result<Option<Token>> {
    if let Some(file) = &args.token_file {
        let text = read_secret_file("--token-file", file).map_err(|error| anyhow!("{error}"))?;
        return Ok(Some(text.expose().parse().context("--token-file")?));
    }
    args.token.as_deref().map(str::parse).transpose().context("--token")
}

async fn send(args: &SendArgs, app: u64, token: Option<Token>) -> anyhow::Result<Summary> {
    let webhook = Arc::new(Webhook::new(args.url.clone(), app, token, &args.tls)?);
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(args.count) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}")?);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let seconds_now = clock::now_seconds();
    // Each run sends other recalls, so that they are not duplicates.
    let run = RandomState::new().hash_one(seconds_now) >> 32;
    let (interrupt, stop) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupt.send_replace(true);
        }
        // Keeps the sender of the channel, so that the tasks can wait for it.
        interrupt.closed().await;
    });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..args.connections {
        let (args, webhook, bar, next) = (args.clone(), Arc::clone(&webhook), bar.clone(), Arc::clone(&next));
        let mut stop = stop.clone();
        tasks.spawn(async move {
            let mut latencies = latencies()?;
            let mut answers = BTreeMap::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= args.count || *stop.borrow() {
                    return anyhow::Ok((latencies, answers));
                }
                if let Some(rate) = args.rate {
                    let due = started + Duration::from_secs_f64(seconds(number, rate));
                    tokio::select! {
                        () = tokio::time::sleep_until(due.into()) => {}
                        // The webhooks that were sent are reported.
                        _ = stop.wait_for(|stopped| *stopped) => return Ok((latencies, answers)),
                    }
                }
                let account = format!("#TOA#_{}", number % args.accounts);
                let first = number * u64::from(args.keys_per_webhook);
                let keys = (first..).take(args.keys_per_webhook.into());
                let keys: Vec<String> = keys.map(|seq| format!("{seq}_{run}_{seconds_now}")).collect();
                let before = Instant::now();
                let answer = webhook.send(&account, &keys).await;
                latencies.saturating_record(micros(before.elapsed()));
                *answers.entry(answer).or_insert(0) += 1;
                bar.inc(1);
            }
        });
    }
    let (mut all, mut answers) = (latencies()?, BTreeMap::<String, u64>::new());
    while let Some(task) = tasks.join_next().await {
        let (latencies, kinds) = task??;
        all.add(latencies)?;
        for (kind, count) in kinds {
            *answers.entry(kind).or_insert(0) += count;
        }
    }
    bar.finish_and_clear();
    let elapsed = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    Ok(Summary {
        sent: all.len(),
        acknowledged: answers.get(ACKNOWLEDGED).copied().unwrap_or(0),
        seconds: elapsed,
        webhooks_per_second: all.len() as f64 / elapsed,
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        max_ms: ms(1.0),
        answers,
    })
}

fn print(args: &SendArgs, summary: &Summary) -> Result<(), CommandError> {
    let mut output = Output::new();
    if args.json {
        output.json(summary);
        return output.finish();
    }
    output.line(format_args!(
        "{} webhooks in {:.2} s, {:.0}/s",
        summary.sent, summary.seconds, summary.webhooks_per_second
    ));
    output.line(format_args!(
        "latency  p50 {:.2} ms  p90 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms  max {:.2} ms",
        summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.p999_ms, summary.max_ms
    ));
    for (kind, count) in &summary.answers {
        output.line(format_args!("{count:>9}  {}", plain(kind)));
    }
    output.finish()
}

/// The text of a response that acknowledges.
pub(super) const ACKNOWLEDGED: &str = "200 OK";

/// Sends signed webhooks to one URL.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: reqwest::Url,
    app: u64,
    token: Option<Token>,
}

impl Webhook {
    pub(super) fn new(url: reqwest::Url, app: u64, token: Option<Token>, tls: &ClientTls) -> anyhow::Result<Self> {
        let client = http_client::for_url(&url, tls)?.timeout(TIMEOUT).tcp_nodelay(true).build()?;
        Ok(Self { client, url, app, token })
    }

    /// Sends a webhook. Returns the response as a short text.
    pub(super) async fn send(&self, account: &str, msg_keys: &[String]) -> String {
        let request = self.client.post(self.signed_url()).header("content-type", "application/json");
        match request.body(body(account, msg_keys)).send().await {
            Ok(answer) => {
                let status = answer.status();
                match answer.bytes().await.ok().and_then(|text| serde_json::from_slice::<WebhookAnswer>(&text).ok()) {
                    Some(reply) if reply.action_status == "OK" && status.is_success() => ACKNOWLEDGED.to_owned(),
                    Some(reply) => format!("{status} {} {}", reply.error_code, reply.error_info),
                    None => format!("{status} with an invalid body"),
                }
            }
            Err(error) if error.is_timeout() => "no response within 2 s".to_owned(),
            Err(error) => http_client::failure(&error),
        }
    }

    /// Returns the same webhook as a shell command.
    pub(super) fn curl(&self, account: &str, msg_keys: &[String]) -> String {
        format!("curl -d '{}' '{}'", body(account, msg_keys), self.signed_url())
    }

    fn signed_url(&self) -> reqwest::Url {
        let mut url = self.url.clone();
        let mut query = format!(
            "SdkAppid={}&CallbackCommand={RECALL_COMMAND}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI",
            self.app
        );
        if let Some(token) = &self.token {
            let time = (clock::now_seconds()).to_string();
            query = format!("{query}&Sign={}&RequestTime={time}", token.sign(&time));
        }
        url.set_query(Some(&query));
        url
    }
}

/// The body of a recall.
fn body(account: &str, msg_keys: &[String]) -> String {
    RecallKind.sample_body(account, msg_keys, clock::now_ms()).to_string()
}

fn webhook_url(text: &str) -> Result<reqwest::Url, String> {
    match text.parse::<reqwest::Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err("give the full URL, for example http://localhost:8080/".to_owned()),
        Err(error) => Err(format!("{error}; give the full URL, for example http://localhost:8080/")),
    }
}

fn latencies() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a schedule, far below 2^52")]
fn seconds(number: u64, rate: u64) -> f64 {
    number as f64 / rate as f64
}
