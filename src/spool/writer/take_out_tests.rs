//! After a failed commit, the content of the disk decides.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::spool::frame::push_event;
use crate::spool::shared::SpoolShared;
use crate::spool::tests::put_aside::{ids, kept, put};
use crate::spool::tests::{append, open, options, read};
use crate::spool::{QuarantineEntry, Spool, verify};

/// A spool with one entry in quarantine. The test calls its writer; no thread runs it.
fn in_hands(dir: &Path) -> (Arc<SpoolShared>, Writer) {
    let (spool, writer) = open(dir);
    put(&spool, "malformed", 100).unwrap();
    writer.stop().unwrap();
    drop(spool);
    Spool::prepare(options(dir, 1 << 20)).unwrap()
}

/// The next commit reaches the disk but reports an error, as if its sync had failed.
fn fail_after_commit(writer: &mut Writer) {
    let fail = |_: &mut rusqlite::hooks::Wal, _| Err(rusqlite::Error::InvalidQuery);
    writer.connection.as_mut().unwrap().wal_hook(Some(fail)).unwrap();
}

/// The next commit fails and changes nothing.
fn fail_before_commit(writer: &mut Writer) {
    writer.connection.as_mut().unwrap().commit_hook(Some(|| true)).unwrap();
}

fn group() -> Group {
    let mut group = Group { events: 1, ..Group::default() };
    push_event(&mut group.payload, |out| out.push(b'a'));
    group
}

#[test]
fn a_commit_that_failed_but_is_on_disk_counts_as_done() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut writer) = in_hands(dir.path());
    shared.capacity.reserve(5, 0).unwrap();
    fail_after_commit(&mut writer);
    let failed = writer.take_out(&ids(&[1]), group().into());
    assert!(failed.is_err(), "{failed:?}");
    assert!(shared.state().fault.is_some());
    // Opening the file again found the commit; the next commits follow it.
    assert_eq!((shared.state().progress.next_seq, shared.capacity.used()), (2, 5));
    shared.capacity.reserve(5, 0).unwrap();
    writer.commit_group(&mut group(), None);
    assert_eq!((shared.state().progress.next_seq, shared.capacity.used()), (3, 10));
    let again = writer.take_out(&ids(&[1]), group().into());
    assert_eq!(again, Ok(None), "it is not there a second time");
    let state = shared.state();
    assert_eq!((state.progress.next_seq, state.quarantine.len(), shared.quarantine.used()), (3, 0, 0));
    drop(state);
    drop(writer);
    let (spool, _writer) = open(dir.path());
    assert_eq!((read(&spool, 1), kept(&spool)), (vec![(1, "a".into()), (2, "a".into())], vec![]));
}

#[test]
fn a_quarantine_commit_that_failed_but_is_on_disk_leaves_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b"]]);
    writer.stop().unwrap();
    drop(spool);
    let (shared, mut writer) = Spool::prepare(options(dir.path(), 1 << 20)).unwrap();
    let entry = QuarantineEntry {
        at_ms: 1,
        reason: "kafka_too_large".into(),
        detail: String::new(),
        query: String::new(),
        body: b"a".to_vec(),
    };
    fail_after_commit(&mut writer);
    for failed in [true, false] {
        shared.quarantine.reserve(&entry).unwrap();
        assert_eq!(writer.quarantine_events(&(1..2), &entry).is_err(), failed);
    }
    let state = shared.state();
    assert_eq!((state.progress.published_end, state.progress.quarantined, shared.quarantine.used()), (2, 1, 1));
    drop(state);
    drop(writer);
    let (spool, _writer) = open(dir.path());
    assert_eq!((kept(&spool), spool.usage().quarantine_events, spool.usage().quarantine_bytes), (vec![1], 1, 1));
    assert!(verify(dir.path()).unwrap().faults.is_empty());
}

#[test]
fn a_commit_that_failed_and_left_nothing_leaves_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut writer) = in_hands(dir.path());
    shared.capacity.reserve(5, 0).unwrap();
    fail_before_commit(&mut writer);
    let failed = writer.take_out(&ids(&[1]), group().into());
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(shared.capacity.used(), 0, "the file was opened again, and the commit was not in it");
    shared.capacity.reserve(5, 0).unwrap();
    assert_eq!(writer.take_out(&ids(&[1]), group().into()), Ok(Some(1)));
    assert_eq!((shared.capacity.used(), shared.state().progress.next_seq, shared.quarantine.used()), (5, 2, 0));
    drop(writer);
    let (spool, _writer) = open(dir.path());
    assert_eq!((read(&spool, 1), kept(&spool)), (vec![(1, "a".into())], vec![]));
}
