//! Duplicates, as callers of the spool see them.

use std::path::Path;

use crate::spool::tests::{advance, join_all, open, read, with_appender};
use crate::spool::{AppendError, Durable, Seq, Spool};

/// Appends events under ids while no commit is possible: the first webhook, then all others at once. `meanwhile` permits
/// commits again. Returns for each webhook whether it was a duplicate.
fn append_together(
    spool: &Spool,
    deliveries: &[&[u8]],
    meanwhile: impl FnOnce(&rusqlite::Connection),
) -> Vec<Result<bool, AppendError>> {
    let held = rusqlite::Connection::open(spool.dir().join("spool.db")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    with_appender(spool, async |appender| {
        let one = |ids: &'static [u8]| {
            appender.append(move |writer| {
                for id in ids {
                    writer.event(|out| {
                        out.push(*id);
                        Some([*id; 16])
                    });
                }
            })
        };
        let mut all: Vec<_> = deliveries.iter().map(|ids| one(Vec::leak(ids.to_vec()))).collect();
        let rest = all.split_off(1);
        let (mut first, mut rest) = (Box::pin(join_all(all)), Box::pin(join_all(rest)));
        // The first poll passes a webhook to the writer. The first webhook is a group of its own: the writer has it before
        // the others arrive.
        std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_ready())).await;
        while spool.shared().queue.lock().webhooks() > 0 {
            std::thread::yield_now();
        }
        if deliveries.len() > 1 {
            std::future::poll_fn(|cx| std::task::Poll::Ready(rest.as_mut().poll(cx).is_ready())).await;
        }
        meanwhile(&held);
        let results = first.await.into_iter().chain(rest.await);
        results.map(|result| result.map(Durable::is_duplicate)).collect()
    })
}

/// Permits commits again.
fn release(held: &rusqlite::Connection) {
    held.execute_batch("ROLLBACK").unwrap();
}

fn text(events: &[(Seq, String)]) -> String {
    events.iter().map(|(_, event)| event.as_str()).collect()
}

#[test]
fn webhooks_of_the_same_commit_add_each_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    let results = append_together(&spool, &[b"a", b"bc", b"cb", b"a", b"bdc", b"c"], release);
    assert_eq!(results, [false, false, true, true, false, true].map(Ok));
    assert_eq!(append_together(&spool, &[b"ad", b"ea", b"e"], release), [true, false, true].map(Ok));
    assert_eq!(text(&read(&spool, 1)), "abcde");
    let bytes = spool.usage().bytes;
    assert_eq!(bytes, 5 * 5, "only what was added takes room");
    assert_eq!((spool.dedup().ids, spool.dedup().duplicates), (5, 6 + 4));
    writer.stop().unwrap();
    let (spool, _writer) = open(dir.path());
    assert_eq!((spool.dedup().ids, spool.usage().bytes), (5, bytes));
}

#[test]
fn a_failed_commit_fails_its_duplicates_and_leaves_no_event_in_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    append_together(&spool, &[b"k"], release);
    // The first webhook is a group of its own. The others share the next group, which fails.
    let results = append_together(&spool, &[b"l", b"x", b"ax", b"x", b"k", b"ka", b"b", b"kl"], |held| {
        held.execute_batch(
            "CREATE TRIGGER fail BEFORE INSERT ON event_group WHEN instr(new.payload, 'x')
             BEGIN SELECT RAISE(ABORT, 'no disk'); END;
             COMMIT",
        )
        .unwrap();
    });
    let failed = || Err(AppendError::Failed("no disk".into()));
    let expected = [Ok(false), failed(), failed(), failed(), Ok(true), failed(), failed(), Ok(true)];
    assert_eq!(results, expected);
    assert_eq!((spool.dedup().ids, text(&read(&spool, 1))), (2, "kl".to_owned()));
    assert_eq!(spool.usage().bytes, 2 * 5, "what failed takes no room");
    assert_eq!(spool.dedup().duplicates, 1 + 2, "only what was answered with OK is counted");
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    connection.execute_batch("DROP TRIGGER fail").unwrap();
    assert_eq!(append_together(&spool, &[b"x", b"ab", b"k"], release), [Ok(false), Ok(false), Ok(true)]);
    assert_eq!(text(&read(&spool, 1)), "klxab");
}

#[test]
fn events_of_a_rolled_back_row_leave_the_window_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append_together(&spool, &[b"a"], release);
    // As after a commit that failed but is in the file: the connection is discarded.
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO event_group SELECT 2, 1, accepted_at_ms, bytes_through + 5, checksum, payload, ids FROM event_group;
             INSERT INTO recent SELECT 2, accepted_at_ms, zeroblob(16) FROM recent;
             CREATE TRIGGER fail BEFORE INSERT ON event_group BEGIN SELECT RAISE(ABORT, 'no disk'); END",
        )
        .unwrap();
    append_together(&spool, &[b"b"], release)[0].clone().unwrap_err();
    connection.execute_batch("DROP TRIGGER fail").unwrap();
    assert_eq!(append_together(&spool, &[b"c"], release), [Ok(false)]);
    writer.stop().unwrap();
    let (spool, _writer) = open(dir.path());
    assert_eq!((text(&read(&spool, 1)), spool.dedup().ids), ("ac".to_owned(), 2));
    assert_eq!(append_together(&spool, &[b"c", b"b"], release), [Ok(true), Ok(false)]);
}

/// What a crash leaves of a spool.
fn crashed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn rows(dir: &Path, table: &str) -> u64 {
    let connection = rusqlite::Connection::open(dir.join("spool.db")).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn ids_that_were_stored_with_their_group_only_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    append_together(&spool, &[b"ab"], release);
    let mut crash = crashed(dir.path());
    for _ in 0..3 {
        assert_eq!(rows(crash.path(), "recent"), 0, "not saved yet");
        let (spool, _writer) = open(crash.path());
        assert_eq!(spool.dedup().ids, 2);
        assert_eq!(append_together(&spool, &[b"a", b"b"], release), [Ok(true), Ok(true)]);
        crash = crashed(crash.path());
    }
}

#[test]
fn a_group_is_removed_only_after_its_ids_were_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append_together(&spool, &[b"a"], release);
    append_together(&spool, &[b"b"], release);
    append_together(&spool, &[b"c"], release);
    advance(&spool, 3);
    writer.stop().unwrap();
    assert_eq!((rows(dir.path(), "event_group"), rows(dir.path(), "recent")), (1, 1), "one row for all ids");
    let (spool, _writer) = open(dir.path());
    assert_eq!(spool.dedup().ids, 3);
    let results = append_together(&spool, &[b"a", b"b", b"c", b"d"], release);
    assert_eq!(results, [true, true, true, false].map(Ok));
}

#[test]
fn ids_are_saved_while_nothing_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    append_together(&spool, &[b"a"], release);
    let started = std::time::Instant::now();
    while rows(dir.path(), "recent") == 0 {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the ids are not saved");
        std::thread::yield_now();
    }
}
