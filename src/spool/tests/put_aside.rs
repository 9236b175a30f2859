//! Entries of the quarantine: how they are added, limited and removed.

use std::collections::BTreeSet;

use super::*;

fn entry(reason: &'static str, size: usize) -> QuarantineEntry {
    QuarantineEntry { at_ms: 5, reason: reason.into(), detail: "d".into(), query: "q".into(), body: vec![7; size - 2] }
}

pub(in crate::spool) fn put(spool: &Spool, reason: &'static str, size: usize) -> Result<QuarantineId, AppendError> {
    with_appender(spool, async |appender| appender.quarantine(entry(reason, size)).await)
}

pub(in crate::spool) fn ids(ids: &[QuarantineId]) -> BTreeSet<QuarantineId> {
    ids.iter().copied().collect()
}

pub(in crate::spool) fn kept(spool: &Spool) -> Vec<QuarantineId> {
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
    // An id is never used again, so a repeated requeue cannot affect another entry.
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

/// The limit is 1000 bytes: 375 for malformed webhooks, 250 for stale ones, 62 each for expired ones and near misses, 250
/// for entries of the publisher.
#[test]
fn a_full_share_takes_no_space_from_the_others() {
    let shares = [("malformed", 375), ("stale", 250), ("expired", 62), ("near_miss", 62)];
    for (first, _) in shares {
        let dir = tempfile::tempdir().unwrap();
        let (spool, writer) = open(dir.path());
        let fill = |reason, max: u64| {
            put(&spool, reason, 40).unwrap();
            put(&spool, reason, usize::try_from(max).unwrap() - 40).unwrap();
            let full = put(&spool, reason, 2).unwrap_err();
            assert!(
                matches!(full, AppendError::Full { bytes, max_bytes, .. } if (bytes, max_bytes) == (max, max)),
                "{full}"
            );
            full
        };
        let of_first = shares.iter().find(|(reason, _)| *reason == first).unwrap().1;
        let refusal = fill(first, of_first);
        for (other, max) in shares.into_iter().filter(|(other, _)| *other != first) {
            fill(other, max);
        }
        writer.stop().unwrap();

        // The counts survive a restart, and a removed entry frees space in its own share.
        let (spool, _writer) = open(dir.path());
        assert_eq!(put(&spool, first, 2), Err(refusal));
        spool.take_out(ids(&[1]), &[]).unwrap();
        put(&spool, first, 40).unwrap();
        for (other, _) in shares.into_iter().filter(|(other, _)| *other != first) {
            assert!(put(&spool, other, 2).is_err(), "{other}");
        }
    }
}

#[test]
fn the_publisher_quarantines_beyond_its_share_at_the_spools_expense() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = Spool::open(options(dir.path(), 500), || ()).unwrap();
    put(&spool, "malformed", 375).unwrap();
    put(&spool, "stale", 250).unwrap();
    let aside = |seq, size| spool.quarantine_record(seq, entry("kafka_too_large", size));
    append(&spool, &[&["a"], &["b"], &["c"]]);
    aside(1, 250).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (10, false));
    // Its share is full, and all others are full, except the two small ones.
    aside(2, 300).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (305, false));
    let refused = spool.usage().quarantine_shares[Share::Refused as usize];
    assert_eq!((refused.bytes, refused.max_bytes), (550, 250));
    let too_much = with_appender(&spool, async |appender| {
        appender
            .append(|writer| {
                writer.event(|out| {
                    out.extend_from_slice(&[7; 192]);
                    None
                });
            })
            .await
    });
    assert_eq!(too_much, Err(AppendError::Full { what: "spool", bytes: 305, max_bytes: 500 }));
    aside(3, 300).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (600, true));
    writer.stop().unwrap();

    let (spool, _writer) = Spool::open(options(dir.path(), 500), || ()).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (600, true));
    // A requeued entry that was beyond its share needs no additional space.
    spool.take_out(ids(&[5]), &[vec![7; 280]]).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (584, true));
    spool.take_out(ids(&[4]), &[]).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().full), (284, false));
}
