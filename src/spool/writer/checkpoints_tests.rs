use super::*;
use crate::spool::store::wal::WalBytes;

const MIB: u64 = 1 << 20;

fn found(left: u64, size: u64, is_restarted: bool) -> Checkpoint {
    Checkpoint { bytes: Some(WalBytes { left, size }), is_restarted }
}

fn new() -> Checkpoints {
    Checkpoints::new(1 << 30, 0)
}

/// Makes the next attempt due now.
fn later(checkpoints: &mut Checkpoints) {
    checkpoints.tried_at = Instant::now().checked_sub(RETRY_DELAY).expect("the machine is up for longer");
}

#[test]
fn a_small_wal_is_copied_in_steps_on_the_writers_thread() {
    let mut checkpoints = new();
    checkpoints.wrote(MIB);
    assert_eq!(checkpoints.next(), None);
    checkpoints.wrote(MIB);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Here { waits: false }));
    checkpoints.ended(CheckpointStep::Here { waits: false }, &found(0, 2 * MIB, false));
    assert_eq!((checkpoints.next(), checkpoints.due()), (None, None));
}

#[test]
fn small_commits_let_the_wal_grow_further_between_checkpoints() {
    let mut checkpoints = new();
    checkpoints.wrote_again(6 * MIB - 1);
    assert_eq!(checkpoints.next(), None);
    checkpoints.wrote(1);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Here { waits: false }));
}

#[test]
fn a_wal_that_never_begins_again_waits_for_readers_from_32_mib_on() {
    let mut checkpoints = new();
    let here = CheckpointStep::Here { waits: false };
    for size in (2..=30).step_by(2) {
        checkpoints.wrote(2 * MIB);
        assert_eq!(checkpoints.next(), Some(here));
        checkpoints.ended(here, &found(0, size * MIB, false));
    }
    checkpoints.wrote(2 * MIB);
    let waiting = CheckpointStep::Here { waits: true };
    assert_eq!(checkpoints.next(), Some(waiting));
    // A reader keeps its snapshot: the steps before the next 32 MiB do not wait for it.
    checkpoints.ended(waiting, &found(4 * MIB, 32 * MIB, false));
    checkpoints.wrote(2 * MIB);
    assert_eq!(checkpoints.next(), Some(here));
}

#[test]
fn a_large_wal_is_copied_on_another_thread() {
    let mut checkpoints = new();
    checkpoints.wrote(2 * MIB);
    checkpoints.ended(CheckpointStep::Here { waits: false }, &found(17 * MIB, 40 * MIB, false));
    assert_eq!(checkpoints.next(), None, "not at once");
    checkpoints.wrote(MIB);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Beside));
    checkpoints.ended(CheckpointStep::Beside, &found(3 * MIB, 41 * MIB, false));
    later(&mut checkpoints);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Here { waits: true }), "also when no commit comes");
}

#[test]
fn a_checkpoint_blocked_by_another_process_keeps_the_known_wal_size() {
    let mut checkpoints = new();
    checkpoints.wrote(2 * MIB);
    let blocked = Checkpoint { bytes: None, is_restarted: false };
    checkpoints.ended(CheckpointStep::Here { waits: false }, &blocked);
    assert_eq!((checkpoints.left, checkpoints.size), (2 * MIB, 2 * MIB));
}

#[test]
fn a_wal_at_its_limit_is_full_until_it_restarts() {
    let mut checkpoints = Checkpoints::new(MIB, 0);
    checkpoints.wrote(LEAST_BOUND_BYTES);
    assert!(checkpoints.is_full());
    checkpoints.ended(CheckpointStep::Beside, &found(0, LEAST_BOUND_BYTES, false));
    assert!(checkpoints.is_full(), "a reader may need all of it");
    later(&mut checkpoints);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Here { waits: true }));
    checkpoints.ended(CheckpointStep::Here { waits: true }, &found(0, LEAST_BOUND_BYTES, true));
    assert!(!checkpoints.is_full());
}

#[test]
fn failed_checkpoints_on_a_full_disk_do_not_make_the_wal_look_larger() {
    let mut checkpoints = new();
    checkpoints.wrote(MIB);
    for _ in 0..1000 {
        checkpoints.hurry();
        assert!(checkpoints.next().is_some());
        checkpoints.failed();
        assert_eq!(checkpoints.next(), None);
    }
    assert_eq!(checkpoints.size, MIB);
}

#[test]
fn a_large_wal_that_the_start_could_not_copy_is_copied_on_another_thread() {
    let mut checkpoints = Checkpoints::new(1 << 30, 300 * MIB);
    later(&mut checkpoints);
    assert_eq!(checkpoints.next(), Some(CheckpointStep::Beside));
    assert!(Checkpoints::new(MIB, LEAST_BOUND_BYTES).is_full());
}
