//! What goes into the quarantine, and how it leaves it.

use std::collections::BTreeSet;

use super::tests::{append, open, options, read, with_appender};
use super::*;

fn entry(reason: &'static str, size: usize) -> QuarantineEntry {
    QuarantineEntry { at_ms: 5, reason, detail: "d".into(), query: "q".into(), body: vec![7; size - 2] }
}

pub(super) fn put(spool: &Spool, reason: &'static str, size: usize) -> Result<Durable, AppendError> {
    with_appender(spool, async |appender| appender.quarantine(entry(reason, size)).await)
}

pub(super) fn ids(ids: &[QuarantineId]) -> BTreeSet<QuarantineId> {
    ids.iter().copied().collect()
}

pub(super) fn kept(spool: &Spool) -> Vec<QuarantineId> {
    spool.reader().unwrap().quarantine_after(0).unwrap().into_iter().map(|entry| entry.id).collect()
}

fn tally(events: u64, bytes: u64) -> Tally {
    Tally { events, bytes }
}

#[test]
fn entries_leave_and_events_come_in_their_stead_in_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a"]]);
    for (reason, size) in [("malformed", 100), ("stale", 50), ("malformed", 30)] {
        put(&spool, reason, size).unwrap();
    }
    assert_eq!(
        spool.quarantine_tallies(),
        [("malformed".into(), tally(2, 130)), ("stale".into(), tally(1, 50))].into()
    );
    let first = spool.take_out(ids(&[1, 2]), &[b"b".to_vec(), b"c".to_vec()]).unwrap();
    assert_eq!((first, kept(&spool)), (2, vec![3]));
    let dropped = spool.take_out(ids(&[3]), &[]).unwrap();
    assert_eq!((dropped, kept(&spool), spool.usage().quarantine_bytes), (4, vec![], 0));
    assert_eq!(spool.quarantine_tallies(), Tallies::new());
    let progress = spool.progress();
    assert_eq!((progress.accepted(), progress.depth(), progress.published()), (3, 3, 0));
    let all = [(1, "a".into()), (2, "b".into()), (3, "c".into())];
    assert_eq!(read(&spool, 1), all);
    writer.stop().unwrap();

    let (spool, _writer) = open(dir.path());
    assert_eq!((read(&spool, 1), kept(&spool)), (all.to_vec(), vec![]));
    assert_eq!((spool.usage().quarantine_events, spool.usage().quarantine_bytes), (0, 0));
    assert_eq!(spool.reader().unwrap().quarantine_last_id().unwrap(), 3);
    // A number is never given out again: who repeats a requeue does not hit another entry.
    put(&spool, "malformed", 10).unwrap();
    assert_eq!(kept(&spool), [4]);
}

#[test]
fn where_one_entry_is_gone_or_there_is_no_room_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = Spool::open(options(dir.path(), 30), || ()).unwrap();
    put(&spool, "malformed", 100).unwrap();
    let gone = spool.take_out(ids(&[1, 2]), &[b"0123456789".to_vec()]);
    assert!(matches!(gone, Err(TakeOutError::Gone)), "{gone:?}");
    let full = spool.take_out(ids(&[1]), &[vec![b'x'; 40]]);
    assert!(matches!(full, Err(TakeOutError::Full(AppendError::Full { what: "spool", bytes: 0, .. }))), "{full:?}");
    assert_eq!((kept(&spool), spool.progress().next_seq, spool.usage().bytes), (vec![1], 1, 0));
    assert_eq!(spool.fault(), None);
    spool.take_out(ids(&[1]), &[b"0123456789".to_vec()]).unwrap();
    assert_eq!((kept(&spool), spool.usage().bytes), (vec![], 14));
    let again = spool.take_out(ids(&[1]), &[b"0".to_vec()]);
    assert!(matches!(again, Err(TakeOutError::Gone)), "{again:?}");
    assert_eq!(spool.progress().next_seq, 2);
}

#[test]
fn stale_entries_have_a_quarter_and_push_nothing_else_out() {
    let dir = tempfile::tempdir().unwrap();
    // The whole is 1000 bytes.
    let (spool, writer) = open(dir.path());
    put(&spool, STALE, 150).unwrap();
    put(&spool, STALE, 100).unwrap();
    let full = put(&spool, STALE, 2);
    let expected = AppendError::Full { what: "quarantine's part for stale deliveries", bytes: 250, max_bytes: 250 };
    assert_eq!(full, Err(expected.clone()));
    put(&spool, "malformed", 750).unwrap();
    let whole = put(&spool, "malformed", 2);
    assert_eq!(whole, Err(AppendError::Full { what: "quarantine", bytes: 1000, max_bytes: 1000 }));
    writer.stop().unwrap();

    let (spool, _writer) = open(dir.path());
    assert_eq!(put(&spool, STALE, 2), Err(expected));
    // What leaves makes room, for its own part and the whole.
    spool.take_out(ids(&[1]), &[]).unwrap();
    put(&spool, STALE, 150).unwrap();
    spool.take_out(ids(&[3]), &[]).unwrap();
    assert!(matches!(put(&spool, STALE, 2), Err(AppendError::Full { .. })));
    put(&spool, "malformed", 750).unwrap();
    // Refused by the whole, a stale one must not keep its part of the room.
    spool.take_out(ids(&[2]), &[]).unwrap();
    put(&spool, "malformed", 60).unwrap();
    assert_eq!(put(&spool, STALE, 60), Err(AppendError::Full { what: "quarantine", bytes: 960, max_bytes: 1000 }));
    put(&spool, STALE, 40).unwrap();
    spool.take_out(ids(&[6]), &[]).unwrap();
    put(&spool, STALE, 60).unwrap();
}
