//! Duplicates, as callers of the spool see them.

use crate::spool::tests::{join_all, open, read, with_appender};
use crate::spool::{AppendError, Durable, Seq, Spool};

/// Appends events under ids while no commit is possible: the first webhook, then all others at once. `meanwhile` permits
/// commits again. Returns for each webhook whether it was a duplicate.
fn append_together(
    spool: &Spool,
    deliveries: &[&[u8]],
    meanwhile: impl FnOnce(rusqlite::Connection),
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
        meanwhile(held);
        let results = first.await.into_iter().chain(rest.await);
        results.map(|result| result.map(Durable::is_duplicate)).collect()
    })
}

fn text(events: &[(Seq, String)]) -> String {
    events.iter().map(|(_, event)| event.as_str()).collect()
}

#[test]
fn webhooks_of_the_same_commit_add_each_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    let release = |held: rusqlite::Connection| held.execute_batch("ROLLBACK").unwrap();
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
    let release = |held: rusqlite::Connection| held.execute_batch("ROLLBACK").unwrap();
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
    let release = |held: rusqlite::Connection| held.execute_batch("ROLLBACK").unwrap();
    append_together(&spool, &[b"a"], release);
    // As after a commit that failed but is in the file: the connection is discarded.
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO event_group SELECT 2, 1, accepted_at_ms, bytes_through + 5, checksum, payload FROM event_group;
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
