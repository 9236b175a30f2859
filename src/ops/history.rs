//! The last 24 hours, in memory: one sample per 10 seconds.
//!
//! The memory is a fixed ring of [`SAMPLES_MAX`] samples of at most [`SAMPLE_MAX_BYTES`], allocated at the start:
//! 8,640 × 136 bytes, 1.1 MiB. The thread `ops-recorder` fills it; nothing on the path of a webhook touches it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::status::KafkaState;
use crate::clock;

/// Seconds between two samples.
pub const STEP_SECONDS: u64 = 10;
/// The samples of 24 hours.
pub const SAMPLES_MAX: usize = 8640;
/// The largest size of a sample in memory.
pub const SAMPLE_MAX_BYTES: usize = 136;
/// Outcomes of a sample.
pub const OUTCOMES_MAX: usize = 20;
/// The longest `?minutes=`.
pub const MINUTES_MAX: u64 = 1440;
/// A response has at most this many points; longer times have longer steps.
const POINTS_MAX: usize = 720;

/// Ten seconds.
#[derive(Debug, Clone, Copy)]
pub struct HistorySample {
    /// Its end, in UNIX seconds.
    pub at_seconds: u32,
    /// Acknowledged webhooks of published commands.
    pub accepted: u32,
    /// Refused webhooks by outcome, in the order of the history's outcomes; acknowledged outcomes are 0.
    pub refused: [u32; OUTCOMES_MAX],
    /// Seconds until the response: median and 99th percentile. NaN: none.
    pub ack: [f32; 2],
    /// Seconds from receipt to the commit in Kafka: median and 99th percentile. NaN: none.
    pub lag: [f32; 2],
    /// Unpublished events at its end.
    pub backlog: u64,
    /// Age of the oldest one, in seconds.
    pub oldest_age_seconds: u32,
    /// The publisher's state at its end.
    pub kafka: KafkaState,
    /// Whether the process started in it.
    pub started: bool,
}

const _: () = assert!(size_of::<HistorySample>() <= SAMPLE_MAX_BYTES);

/// The ring.
#[derive(Debug)]
pub struct History {
    outcomes: Vec<&'static str>,
    samples: VecDeque<HistorySample>,
}

/// The response of `/history`: one column per value, all of the same length, oldest first. `null`: no observation.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct HistoryView {
    /// The time of the response.
    now: String,
    /// The same in UNIX milliseconds.
    now_ms: i64,
    /// Seconds of each point.
    step_seconds: u64,
    /// The end of each point, in UNIX seconds.
    at: Vec<u32>,
    /// Acknowledged webhooks that name a published command.
    accepted: Vec<u32>,
    /// Refused ones, by outcome; an outcome without any is left out.
    refused: BTreeMap<&'static str, Vec<u32>>,
    ack_p50_seconds: Vec<Option<f32>>,
    ack_p99_seconds: Vec<Option<f32>>,
    publish_lag_p50_seconds: Vec<Option<f32>>,
    publish_lag_p99_seconds: Vec<Option<f32>>,
    backlog: Vec<u64>,
    oldest_age_seconds: Vec<u32>,
    kafka: Vec<KafkaState>,
    /// Whether the process started within the time of this point.
    started: Vec<bool>,
}

impl History {
    /// An empty ring for these outcomes; further ones than [`OUTCOMES_MAX`] are left out.
    pub fn new(outcomes: Vec<&'static str>) -> Self {
        Self { outcomes, samples: VecDeque::with_capacity(SAMPLES_MAX) }
    }

    /// Adds a sample, and removes the oldest one of a full ring.
    pub fn push(&mut self, sample: HistorySample) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The last `minutes`, in at most 720 points: sums of counts, the largest of the other values, and the
    /// worst state of Kafka.
    pub fn view(&self, minutes: u64, now_ms: i64) -> HistoryView {
        let wanted = usize::try_from(minutes.saturating_mul(60) / STEP_SECONDS).unwrap_or(SAMPLES_MAX);
        let kept = wanted.clamp(1, SAMPLES_MAX).min(self.samples.len());
        let step = wanted.clamp(1, SAMPLES_MAX).div_ceil(POINTS_MAX);
        let points: Vec<HistorySample> = self
            .samples
            .range(self.samples.len() - kept..)
            .copied()
            .collect::<Vec<_>>()
            .rchunks(step)
            .rev()
            .filter_map(|chunk| chunk.iter().copied().reduce(merge))
            .collect();
        let column = |place: usize| -> Vec<u32> { points.iter().map(|point| point.refused[place]).collect() };
        let refused =
            self.outcomes.iter().take(OUTCOMES_MAX).enumerate().map(|(place, outcome)| (*outcome, column(place)));
        HistoryView {
            now: clock::iso8601(now_ms),
            now_ms,
            step_seconds: STEP_SECONDS * step as u64,
            at: points.iter().map(|point| point.at_seconds).collect(),
            accepted: points.iter().map(|point| point.accepted).collect(),
            refused: refused.filter(|(_, counts)| counts.iter().any(|count| *count > 0)).collect(),
            ack_p50_seconds: points.iter().map(|point| known(point.ack[0])).collect(),
            ack_p99_seconds: points.iter().map(|point| known(point.ack[1])).collect(),
            publish_lag_p50_seconds: points.iter().map(|point| known(point.lag[0])).collect(),
            publish_lag_p99_seconds: points.iter().map(|point| known(point.lag[1])).collect(),
            backlog: points.iter().map(|point| point.backlog).collect(),
            oldest_age_seconds: points.iter().map(|point| point.oldest_age_seconds).collect(),
            kafka: points.iter().map(|point| point.kafka).collect(),
            started: points.iter().map(|point| point.started).collect(),
        }
    }
}

fn known(seconds: f32) -> Option<f32> {
    Some(seconds).filter(|seconds| !seconds.is_nan())
}

/// Merges two samples into one. `second` is the later one.
fn merge(mut first: HistorySample, second: HistorySample) -> HistorySample {
    for (sum, count) in first.refused.iter_mut().zip(second.refused) {
        *sum = sum.saturating_add(count);
    }
    // `max` of a number and NaN is the number.
    let largest = |one: [f32; 2], other: [f32; 2]| [one[0].max(other[0]), one[1].max(other[1])];
    HistorySample {
        at_seconds: second.at_seconds,
        accepted: first.accepted.saturating_add(second.accepted),
        refused: first.refused,
        ack: largest(first.ack, second.ack),
        lag: largest(first.lag, second.lag),
        backlog: first.backlog.max(second.backlog),
        oldest_age_seconds: first.oldest_age_seconds.max(second.oldest_age_seconds),
        kafka: if rank(first.kafka) > rank(second.kafka) { first.kafka } else { second.kafka },
        started: first.started || second.started,
    }
}

fn rank(state: KafkaState) -> u8 {
    match state {
        KafkaState::Ready => 0,
        KafkaState::Stopped => 1,
        KafkaState::ReadingBack => 2,
        KafkaState::Connecting => 3,
        KafkaState::Failing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_seconds: u32) -> HistorySample {
        let mut refused = [0; OUTCOMES_MAX];
        refused[1] = 1;
        HistorySample {
            at_seconds,
            accepted: 2,
            refused,
            ack: [f32::NAN, 0.5],
            lag: [f32::NAN; 2],
            backlog: u64::from(at_seconds),
            oldest_age_seconds: 1,
            kafka: if at_seconds == 20 { KafkaState::Failing } else { KafkaState::Ready },
            started: at_seconds == 10,
        }
    }

    #[test]
    fn the_ring_keeps_a_day_and_a_view_has_few_points() {
        let mut history = History::new(vec!["accepted", "bad_sign", "stale"]);
        for place in 1..=10_000 {
            history.push(sample(place * 10));
        }
        assert_eq!(history.samples.len(), SAMPLES_MAX);
        assert_eq!(history.samples.capacity(), SAMPLES_MAX);
        let day = history.view(MINUTES_MAX, 0);
        assert_eq!((day.at.len(), day.step_seconds, day.at.last()), (720, 120, Some(&100_000)));
        assert_eq!((day.accepted[0], day.refused["bad_sign"][0]), (24, 12));
        assert_eq!(day.refused.len(), 1);
        let minute = history.view(1, 0);
        assert_eq!((minute.at.len(), minute.step_seconds), (6, 10));
        assert_eq!((minute.ack_p50_seconds[0], minute.ack_p99_seconds[0]), (None, Some(0.5)));
    }

    #[test]
    fn a_point_of_several_samples_has_the_worst_of_them() {
        let mut history = History::new(vec!["accepted", "bad_sign"]);
        for place in 1..=4 {
            history.push(sample(place * 10));
        }
        let day = history.view(MINUTES_MAX, 0);
        assert_eq!((day.at.len(), &day.kafka[..], &day.started[..]), (1, &[KafkaState::Failing][..], &[true][..]));
        assert_eq!((day.backlog[0], day.accepted[0]), (40, 8));
    }
}
