//! Where the records of a replay go.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use uuid::Uuid;

use crate::clock;
use crate::commands::CommandError;
use crate::config::{Config, Delivery};
use crate::control::{self, ControlError};
use crate::publisher::kafka::probe;
use crate::publisher::replay::ReplayProducer;
use crate::quarantine::RecordName;
use crate::record::restamp;
use crate::replay::{PublishTarget, Republished};
use crate::spool::Hold;

/// The pause before a batch is passed again to a node whose earlier events wait for Kafka.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest time for which a node may take no record.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The receiver of the records.
pub(super) enum Destination {
    /// The spool of the running node.
    Node { dir: PathBuf },
    /// Another topic, with a producer as soon as records are published.
    Topic { topic: String, producer: Option<Box<ReplayProducer>> },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { dir } => write!(f, "the topic of the node of {}", dir.display()),
            Self::Topic { topic, .. } => write!(f, "topic {topic}"),
        }
    }
}

impl Destination {
    /// The node that runs on this spool directory.
    pub(super) fn node(config: &Config, dir: PathBuf) -> Result<Self, CommandError> {
        let hold = Hold::take(&dir)?;
        if hold.running().is_none() {
            return Err(CommandError::Outside(anyhow!(
                "no node runs on the spool {}; start it, or publish to another topic with --to-topic",
                dir.display()
            )));
        }
        drop(hold);
        let node = control::target(&dir).map_err(|error| CommandError::Outside(anyhow!(error)))?;
        let here = PublishTarget { topic: config.topic.clone(), brokers: config.kafka.bootstrap_servers().to_owned() };
        if node.is_same(&here) {
            return Ok(Self::Node { dir });
        }
        Err(CommandError::Outside(anyhow!(
            "the node of {} publishes to topic {} on {}, but this environment names topic {} on {}; set BRIDGE_TOPIC and \
             KAFKA_BOOTSTRAP_SERVERS as the node has them",
            dir.display(),
            node.topic,
            node.brokers,
            here.topic,
            here.brokers
        )))
    }

    /// Another topic.
    pub(super) fn topic(config: &Config, topic: &str) -> anyhow::Result<Self> {
        let found = probe::partitions(&config.kafka.client_config(), topic);
        match found.with_context(|| format!("--to-topic {topic}"))? {
            Some(_) => Ok(Self::Topic { topic: topic.to_owned(), producer: None }),
            None => bail!("--to-topic: topic {topic} does not exist; create it first"),
        }
    }

    /// Connects, where this is needed.
    pub(super) fn open(&mut self, config: &Config, replay: Uuid) -> anyhow::Result<()> {
        if let Self::Topic { topic, producer } = self {
            let transactional = config.delivery == Delivery::ExactlyOnce;
            let connected = ReplayProducer::connect(&config.kafka.client_config(), topic, replay, transactional)?;
            *producer = Some(Box::new(connected));
        }
        Ok(())
    }

    /// Passes encoded records on: all of them or none. Returns the number of the first one; `None` if `stop` was set
    /// before.
    pub(super) fn put(
        &mut self,
        replay: Uuid,
        events: &[Vec<u8>],
        stop: &AtomicBool,
    ) -> anyhow::Result<Option<RecordName>> {
        match self {
            Self::Node { dir } => {
                let since = Instant::now();
                while !stop.load(Relaxed) {
                    match control::republish(dir, replay, events) {
                        Ok(Republished::Appended { bridge_spool, bridge_seq }) => {
                            return Ok(Some(RecordName { bridge_spool, bridge_seq }));
                        }
                        Ok(Republished::Wait { waiting }) if since.elapsed() > WAIT_MAX => {
                            bail!("the node publishes nothing: {waiting} events wait for Kafka; see its /status");
                        }
                        Ok(Republished::Wait { .. }) => std::thread::sleep(PAUSE),
                        Err(ControlError::Silent(error)) => {
                            let count = events.len();
                            bail!(
                                "the node did not respond ({error}); it may have taken the last {count} records or not"
                            );
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(None)
            }
            Self::Topic { producer, .. } => {
                let producer = producer.as_mut().context("not connected")?;
                let mut events = events.to_vec();
                let now = clock::now_ms();
                for event in &mut events {
                    restamp(event, now)?;
                }
                let first = RecordName { bridge_spool: replay, bridge_seq: producer.next_seq() };
                producer.publish(&events)?;
                Ok(Some(first))
            }
        }
    }

    /// What happened to the records, for a person.
    pub(super) fn done(&self) -> String {
        match self {
            Self::Node { .. } => "are in the spool of the node, which publishes them again".to_owned(),
            Self::Topic { topic, .. } => format!("are published again to topic {topic}"),
        }
    }
}
