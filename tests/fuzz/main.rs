//! The fuzz targets with a driver that needs only a stable toolchain: it changes the inputs of the corpora at random.
//! It does not measure coverage; libFuzzer, in `fuzz/`, does.
//!
//! `FUZZ_SECONDS` is the time per target in seconds (default 1), `FUZZ_SEED` repeats a run, and `FUZZ_TARGET` selects
//! one target.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;
use targets::{TARGETS, Target};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

fn corpus_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = corpus_dir(name).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs one input. If the target fails, writes the input to a file.
fn run(name: &str, target: Target, input: &[u8], seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let file = std::env::temp_dir().join(format!("fuzz-{name}-{seed}"));
        std::fs::write(&file, input).unwrap();
        panic!("{name} fails with FUZZ_SEED={seed} on {} ({})", file.display(), input.escape_ascii());
    }
}

#[test]
fn no_target_fails_on_its_corpus_or_on_mutations_of_it() {
    let seed = number("FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap()
    });
    let time = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let only = std::env::var("FUZZ_TARGET").ok();
    for (name, target, words) in TARGETS.into_iter().filter(|(name, ..)| only.as_ref().is_none_or(|only| only == name))
    {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for input in &corpus {
            run(name, target, input, seed);
        }
        let mut mutator = Mutator::new(seed, &corpus, words);
        let until = Instant::now() + time;
        let mut runs = 0_u64;
        while Instant::now() < until {
            for _ in 0..100 {
                run(name, target, mutator.next(), seed);
            }
            runs += 100;
        }
        println!("{name}: {runs} inputs of {} in {} s, FUZZ_SEED={seed}", corpus.len(), time.as_secs());
    }
}

#[test]
fn the_runner_detects_a_target_that_fails_on_a_rare_input() {
    let fails: Target = |input| assert!(!(input.contains(&b'%') && input.first() == Some(&b'x')));
    let corpus = vec![b"abcdef".to_vec(), b"x".to_vec()];
    let mut mutator = Mutator::new(1, &corpus, &["%"]);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let found = (0..10_000).any(|_| catch_unwind(AssertUnwindSafe(|| fails(mutator.next()))).is_err());
    std::panic::set_hook(hook);
    assert!(found);
}
