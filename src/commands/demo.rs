//! `recall-bridge demo`: all of it on one machine, without configuration or broker.
//!
//! The parts are the real ones: the bridge, its spool on a disk, HTTP and Kafka's protocol over
//! TCP. Only the broker is librdkafka's mock cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::CommandError;
use super::http_client::Tls;
use super::output::Output;
use super::send::Webhook;
use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::escape::plain;
use crate::telemetry;

const TOPIC: &str = "official-account.recalls";
const PARTITIONS: i32 = 4;
const APP: u64 = 1_400_000_001;
const TOKEN: &str = "demo-token";
const ACCOUNTS: [&str; 4] = ["#TOA#_news", "#TOA#_shop", "@TOA#_weather", "@TOA#_公告"];
const WEBHOOKS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(80);
/// Webhooks sent while Kafka is away, after as many while it is there.
const OUTAGE: std::ops::Range<usize> = 8..13;
/// How long the last records may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to leave running.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave bridge and broker up afterwards, and print how to try them.
    #[arg(long)]
    keep_running: bool,
}

/// A record as the consumer saw it.
struct Arrival {
    msg_key: String,
    partition: i32,
    offset: i64,
    at: Instant,
}

/// A recalled message as it was sent.
struct Sent {
    account: &'static str,
    msg_key: String,
    ack: Duration,
    at: Instant,
    during_outage: bool,
}

/// Runs the demo.
///
/// # Errors
/// A part could not be started, or a recall did not arrive exactly once.
pub fn run(args: &Args) -> Result<(), CommandError> {
    let _ = telemetry::init("error,rdkafka=off,librdkafka=off", LogFormat::Text);
    let mut output = Output::live();
    let clean = actix_web::rt::System::new().block_on(show(args, &mut output)).map_err(CommandError::Outside)?;
    output.finish()?;
    match clean {
        Some(true) => Ok(()),
        Some(false) => Err(CommandError::Negative(anyhow!("a recall did not arrive exactly once"))),
        None => Err(CommandError::Negative(anyhow!("stopped before the end: nothing is proven"))),
    }
}

/// Whether all arrived exactly once; none where it was stopped before that was known.
async fn show(args: &Args, output: &mut Output) -> anyhow::Result<Option<bool>> {
    let cluster = MockCluster::new(1).context("the embedded broker")?;
    cluster.create_topic(TOPIC, PARTITIONS, 1)?;
    let spool = tempfile::tempdir().context("a directory for the spool")?;
    let config = config(&cluster.bootstrap_servers(), spool.path())?;
    let app = App::start(&config).await?;
    let url = format!("http://{}/", app.webhook_address());
    introduce(output, &url, app.ops_address(), &cluster.bootstrap_servers());

    let (stop, stopping) = oneshot::channel::<()>();
    let ops = app.ops_address();
    let running = actix_web::rt::spawn(app.run(async {
        let _ = stopping.await;
    }));
    let (arrivals, consumer) = consume(&cluster.bootstrap_servers())?;
    let clean = tokio::select! {
        shown = act(&cluster, &url, arrivals, output) => shown?,
        // Not by the signal itself: the spool's directory is to be removed.
        stopped = tokio::signal::ctrl_c() => return Ok(stopped.map(|()| None)?),
    };

    if args.keep_running {
        invite(output, &url, ops, &cluster.bootstrap_servers())?;
        tokio::signal::ctrl_c().await?;
    }
    consumer.store(true, Relaxed);
    drop(stop);
    running.await??;
    Ok(Some(clean))
}

fn config(bootstrap: &str, spool: &std::path::Path) -> anyhow::Result<Config> {
    let apps = format!("{APP}:{TOKEN}");
    let spool = spool.display().to_string();
    let variables = [
        ("BRIDGE_APPS", apps.as_str()),
        ("BRIDGE_LISTEN", "127.0.0.1:0"),
        ("BRIDGE_OPS_LISTEN", "127.0.0.1:0"),
        ("BRIDGE_SPOOL_DIR", spool.as_str()),
        ("BRIDGE_DRAIN_SECONDS", "0"),
        ("BRIDGE_TOPIC", TOPIC),
        ("KAFKA_BOOTSTRAP_SERVERS", bootstrap),
    ];
    Ok(Config::load(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())))?)
}

fn introduce(output: &mut Output, url: &str, ops: std::net::SocketAddr, bootstrap: &str) {
    output.line(format_args!(
        "Somebody takes back messages of an official channel. The chat service tells us by a webhook,
once. recall-bridge checks its signature, writes it to disk, answers, and then publishes
one record per message to Kafka, so that every cache and archive can purge its copy.

  webhooks    {url}
  operations  http://{ops}/metrics
  Kafka       {bootstrap}, topic {TOPIC} (embedded)

  account            message              answered in   in Kafka after   partition@offset"
    ));
}

/// Sends recalls, takes Kafka away in between, and waits until all have arrived.
async fn act(
    cluster: &MockCluster<'_, DefaultProducerContext>,
    url: &str,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    output: &mut Output,
) -> anyhow::Result<bool> {
    let webhook = Webhook::new(url.parse()?, APP, Some(TOKEN.parse()?), &Tls::default())?;
    let mut board = Board::new(output);
    for number in 0..WEBHOOKS {
        if number == OUTAGE.start {
            cluster.broker_down(1)?;
            board.output.line("  -- Kafka is taken away; recalls are still answered, from disk --");
        }
        if number == OUTAGE.end {
            cluster.broker_up(1)?;
            board.output.line("  -- Kafka is back --");
        }
        let account = ACCOUNTS[number % ACCOUNTS.len()];
        let keys: Vec<String> = (0..=number % 3).map(|key| format!("{number}_{key}_1698741698")).collect();
        let at = Instant::now();
        let answer = webhook.send(account, &keys).await;
        let ack = at.elapsed();
        if answer != super::send::ACKNOWLEDGED {
            board.output.line(format_args!("  {account}: refused: {}", plain(&answer)));
            board.refused += 1;
            continue;
        }
        for msg_key in keys {
            board.send(Sent { account, msg_key, ack, at, during_outage: OUTAGE.contains(&number) });
        }
        let until = tokio::time::Instant::now() + BETWEEN;
        while let Ok(Some(arrival)) = tokio::time::timeout_at(until, arrivals.recv()).await {
            board.arrive(arrival);
        }
    }
    let forged = Webhook::new(url.parse()?, APP, Some("another-token".parse()?), &Tls::default())?;
    let answer = forged.send(ACCOUNTS[0], &["1_1_1".to_owned()]).await;
    board.output.line(format_args!("  a webhook with a wrong signature: {}", plain(&answer)));

    let until = tokio::time::Instant::now() + PATIENCE;
    while !board.is_complete() {
        match tokio::time::timeout_at(until, arrivals.recv()).await {
            Ok(Some(arrival)) => board.arrive(arrival),
            _ => break,
        }
    }
    Ok(board.sum_up())
}

/// What was sent, and what arrived of it.
struct Board<'o> {
    output: &'o mut Output,
    sent: HashMap<String, (Sent, u64)>,
    early: Vec<Arrival>,
    records: u64,
    unknown: u64,
    refused: u64,
    acks: Vec<Duration>,
    lags: Vec<Duration>,
}

impl<'o> Board<'o> {
    fn new(output: &'o mut Output) -> Self {
        let (sent, early, acks, lags) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { output, sent, early, records: 0, unknown: 0, refused: 0, acks, lags }
    }

    fn send(&mut self, sent: Sent) {
        self.acks.push(sent.ack);
        if sent.during_outage {
            self.output.line(format_args!(
                "  {:<18} {:<20} {:>8.2} ms   waits on disk",
                sent.account,
                sent.msg_key,
                ms(sent.ack)
            ));
        }
        let key = sent.msg_key.clone();
        self.sent.insert(key.clone(), (sent, 0));
        if let Some(at) = self.early.iter().position(|arrival| arrival.msg_key == key) {
            let arrival = self.early.swap_remove(at);
            self.arrive(arrival);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Some((sent, times)) = self.sent.get_mut(&arrival.msg_key) else {
            // The record overtook the answer to its webhook.
            self.early.push(arrival);
            return;
        };
        *times += 1;
        self.records += 1;
        let lag = arrival.at.saturating_duration_since(sent.at);
        self.lags.push(lag);
        self.output.line(format_args!(
            "  {:<18} {:<20} {:>8.2} ms   {:>10.2} ms   {:>10}@{}{}",
            sent.account,
            sent.msg_key,
            ms(sent.ack),
            ms(lag),
            arrival.partition,
            arrival.offset,
            if *times > 1 { "  AGAIN" } else { "" },
        ));
    }

    fn is_complete(&self) -> bool {
        self.sent.values().all(|(_, times)| *times > 0)
    }

    /// Prints the summary; tells whether all arrived exactly once.
    fn sum_up(mut self) -> bool {
        self.unknown += self.early.len() as u64;
        let missing = self.sent.values().filter(|(_, times)| *times == 0).count();
        let doubled = self.sent.values().filter(|(_, times)| *times > 1).count();
        let lines = [
            String::new(),
            format!("  recalled messages acknowledged   {}", self.sent.len()),
            format!("  records in Kafka                 {}", self.records),
            format!("  missing                          {missing}"),
            format!("  doubled                          {doubled}"),
            format!("  answered in (median, max)        {} ms", spread(&mut self.acks)),
            format!("  in Kafka after (median, max)     {} ms, the outage included", spread(&mut self.lags)),
        ];
        for line in lines {
            self.output.line(line);
        }
        missing == 0 && doubled == 0 && self.unknown == 0 && self.refused == 0
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(max)) => format!("{:.2}, {:.2}", ms(*median), ms(*max)),
        _ => "-".to_owned(),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Reads the topic on a thread of its own, as any consumer would.
fn consume(bootstrap: &str) -> anyhow::Result<(mpsc::UnboundedReceiver<Arrival>, Arc<AtomicBool>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "demo")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "5")
        .set("reconnect.backoff.max.ms", "100")
        .set("log_level", "0")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (arrivals, receiver) = mpsc::unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::Builder::new().name("consumer".to_owned()).spawn(move || {
        while !stopped.load(Relaxed) {
            // An error is the outage; the consumer comes back by itself.
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
            let value: serde_json::Value =
                serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
            let msg_key = value["msg_key"].as_str().unwrap_or_default().to_owned();
            let arrival =
                Arrival { msg_key, partition: message.partition(), offset: message.offset(), at: Instant::now() };
            if arrivals.send(arrival).is_err() {
                return;
            }
        }
    })?;
    Ok((receiver, stop))
}

/// How to go on by hand.
fn invite(output: &mut Output, url: &str, ops: std::net::SocketAddr, bootstrap: &str) -> anyhow::Result<()> {
    output.line(format_args!(
        "
Still running; Ctrl-C ends it. Send more from another terminal:

  recall-bridge send --url {url} --app {APP} --token {TOKEN} --count 100

or a single one, not signed for longer than 60 s:

  {}

and look:

  KAFKA_BOOTSTRAP_SERVERS={bootstrap} recall-bridge tail --from beginning
  curl -s http://{ops}/status",
        Webhook::new(url.parse()?, APP, Some(TOKEN.parse()?), &Tls::default())?
            .curl("#TOA#_news", &["99_1_1698741698".to_owned()])
    ));
    Ok(())
}
