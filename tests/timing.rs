//! Tests that the duration of a check does not depend on the number of correct digits of a Sign: Welch's t-test over two
//! kinds of wrong Signs, in random order (after Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017).
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a test fails by panicking")]

use std::hint::black_box;
use std::time::Instant;

use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::{Apps, Token, verify};
use test_support::random::Random;

const TOKEN: &str = "xxxxyyyy";
const TIME: &str = "1669872112";
/// Measurements of each kind.
const SAMPLES: usize = 60_000;
/// Above this the two kinds differ. Dudect's is 4.5 for one test on a quiet machine; this one shares its
/// machine, and what is to be found is far above it.
const DIFFERS: f64 = 10.0;

/// Mean and variance of the faster nine tenths: the rest was interrupted.
fn moments(mut samples: Vec<u64>) -> (f64, f64, f64) {
    samples.sort_unstable();
    samples.truncate(samples.len() * 9 / 10);
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<u64>() as f64 / count;
    let variance = samples.iter().map(|&sample| (sample as f64 - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance, count)
}

/// How far the times for the two inputs are apart, in standard errors.
fn t_of(inputs: [&str; 2], check: impl Fn(&str) -> bool) -> f64 {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut random = Random::seeded(1);
    while times.iter().any(|kind| kind.len() < SAMPLES) {
        // Which kind comes next follows from nothing that the machine does meanwhile.
        let kind = random.below(2);
        let started = Instant::now();
        let passed = black_box(check(black_box(inputs[kind])));
        let took = started.elapsed();
        assert!(!passed);
        times[kind].push(u64::try_from(took.as_nanos()).unwrap());
    }
    let [first, second] = times.map(moments);
    (first.0 - second.0) / (first.1 / first.2 + second.1 / second.2).sqrt()
}

/// The right Sign with its first, and with its last digit changed.
fn wrong_signs() -> [String; 2] {
    let sign = TOKEN.parse::<Token>().unwrap().sign(TIME);
    let changed = |at: usize| {
        let digit = if &sign[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &sign[..at], &sign[at + 1..])
    };
    [changed(0), changed(sign.len() - 1)]
}

#[test]
fn the_time_of_a_check_does_not_tell_how_much_of_a_sign_is_right() {
    let apps = Apps::parse(&format!("1:{TOKEN}|another"), false).unwrap();
    let query = |sign: &str| format!("SdkAppid=1&CallbackCommand={RECALL_COMMAND}&Sign={sign}&RequestTime={TIME}");
    let [first, last] = wrong_signs().map(|sign| query(&sign));
    let t = t_of([&first, &last], |query| verify(query.as_bytes(), &apps, 1_669_872_112, 60, |_| true).is_ok());
    assert!(t.abs() < DIFFERS, "t = {t}");
}

#[test]
fn the_check_detects_a_comparison_that_stops_at_the_first_difference() {
    let token: Token = TOKEN.parse().unwrap();
    let early_exit = |given: &str| {
        let right = token.sign(TIME);
        given.len() == right.len() && given.bytes().zip(right.bytes()).all(|(given, right)| black_box(given) == right)
    };
    let [first, last] = wrong_signs();
    let t = t_of([&first, &last], early_exit);
    assert!(t.abs() > DIFFERS, "t = {t}");
}
