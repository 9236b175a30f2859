//! `recall-bridge demo`: demonstrates the bridge on one machine, without configuration or broker.
//!
//! It uses the real bridge with its spool on a disk, and HTTP and the Kafka protocol over TCP. Only the broker is
//! librdkafka's mock cluster.

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
use super::http_client::ClientTls;
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
/// The numbers of the webhooks that are sent while the broker is down.
const OUTAGE: std::ops::Range<usize> = 8..13;
/// The maximum wait for the last records.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep bridge and broker running at the end, and print commands to try.
    #[arg(long)]
    keep_running: bool,
}

/// A record that the consumer received.
struct Arrival {
    msg_key: String,
    partition: i32,
    offset: i64,
    at: Instant,
}

/// A recalled message that was sent.
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
/// A component could not start, or a recall did not arrive exactly once.
pub fn run(args: &DemoArgs) -> Result<(), CommandError> {
    let _ = telemetry::init("error,rdkafka=off,librdkafka=off", LogFormat::Text);
    let mut output = Output::live();
    let clean = actix_rt::System::new().block_on(show(args, &mut output)).map_err(CommandError::Outside)?;
    output.finish()?;
    match clean {
        Some(true) => Ok(()),
        Some(false) => Err(CommandError::Negative(anyhow!("a recall did not arrive exactly once"))),
        None => Err(CommandError::Negative(anyhow!("stopped before the end; nothing is verified"))),
    }
}

/// Returns whether every recall arrived exactly once; `None` if the demo was stopped before.
async fn show(args: &DemoArgs, output: &mut Output) -> anyhow::Result<Option<bool>> {
    let cluster = MockCluster::new(1).context("the embedded broker")?;
    cluster.create_topic(TOPIC, PARTITIONS, 1)?;
    let spool = tempfile::tempdir().context("a directory for the spool")?;
    let config = config(&cluster.bootstrap_servers(), spool.path())?;
    let app = App::start(&config).await?;
    let url = format!("http://{}/", app.webhook_address());
    introduce(output, &url, app.ops_address(), &cluster.bootstrap_servers());

    let (stop, stopping) = oneshot::channel::<()>();
    let ops = app.ops_address();
    let running = actix_rt::spawn(app.run(async {
        let _ = stopping.await;
    }));
    let (arrivals, consumer) = consume(&cluster.bootstrap_servers())?;
    let clean = tokio::select! {
        shown = act(&cluster, &url, arrivals, output) => shown?,
        // Returns instead of exiting, so that the directory of the spool is removed.
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
        "A user recalls messages of an official account. The chat service reports it by a webhook,
once. recall-bridge checks the signature, writes the recalls to disk, responds, and publishes
one record per message to Kafka, so that caches and archives can delete their copies.

  webhooks    {url}
  operations  http://{ops}/metrics
  Kafka       {bootstrap}, topic {TOPIC} (embedded)

  account            message              acknowledged  in Kafka after   partition@offset"
    ));
}

/// Sends recalls, stops the broker for some of them, and waits until all records have arrived.
async fn act(
    cluster: &MockCluster<'_, DefaultProducerContext>,
    url: &str,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    output: &mut Output,
) -> anyhow::Result<bool> {
    let webhook = Webhook::new(url.parse()?, APP, Some(TOKEN.parse()?), &ClientTls::default())?;
    let mut board = Board::new(output);
    for number in 0..WEBHOOKS {
        if number == OUTAGE.start {
            cluster.broker_down(1)?;
            board.output.line("  -- Kafka is down; recalls are still acknowledged, from disk --");
        }
        if number == OUTAGE.end {
            cluster.broker_up(1)?;
            board.output.line("  -- Kafka is up again --");
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
    let forged = Webhook::new(url.parse()?, APP, Some("another-token".parse()?), &ClientTls::default())?;
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

/// The recalls that were sent, and the records that arrived.
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
                "  {:<18} {:<20} {:>8.2} ms   waits in the spool",
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
            // The record arrived before the response to its webhook.
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
            if *times > 1 { "  DUPLICATE" } else { "" },
        ));
    }

    fn is_complete(&self) -> bool {
        self.sent.values().all(|(_, times)| *times > 0)
    }

    /// Prints the summary. Returns whether every recall arrived exactly once.
    fn sum_up(mut self) -> bool {
        self.unknown += self.early.len() as u64;
        let missing = self.sent.values().filter(|(_, times)| *times == 0).count();
        let duplicated = self.sent.values().filter(|(_, times)| *times > 1).count();
        let lines = [
            String::new(),
            format!("  recalled messages acknowledged   {}", self.sent.len()),
            format!("  records in Kafka                 {}", self.records),
            format!("  missing                          {missing}"),
            format!("  duplicated                       {duplicated}"),
            format!("  acknowledged in (median, max)    {} ms", spread(&mut self.acks)),
            format!("  in Kafka after (median, max)     {} ms, including the outage", spread(&mut self.lags)),
        ];
        for line in lines {
            self.output.line(line);
        }
        missing == 0 && duplicated == 0 && self.unknown == 0 && self.refused == 0
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

/// Reads the topic as a consumer, on a separate thread.
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
            // An error is part of the outage; the consumer reconnects by itself.
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

/// Prints commands to try.
fn invite(output: &mut Output, url: &str, ops: std::net::SocketAddr, bootstrap: &str) -> anyhow::Result<()> {
    output.line(format_args!(
        "
Still running; press Ctrl-C to stop. To send more webhooks from another terminal:

  recall-bridge send --url {url} --app {APP} --token {TOKEN} --count 100

To send one webhook (its signature is valid for 60 s):

  {}

To see the result:

  KAFKA_BOOTSTRAP_SERVERS={bootstrap} recall-bridge tail --from beginning
  curl -s http://{ops}/status",
        Webhook::new(url.parse()?, APP, Some(TOKEN.parse()?), &ClientTls::default())?
            .curl("#TOA#_news", &["99_1_1698741698".to_owned()])
    ));
    Ok(())
}
