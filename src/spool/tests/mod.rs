use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;

const TOPIC: &str = "topic";

pub(super) fn options(dir: &Path, max_bytes: u64) -> SpoolOptions {
    let dedup_window = Duration::from_secs(600);
    SpoolOptions {
        dir: dir.to_owned(),
        max_bytes,
        quarantine_max_bytes: 1000,
        dedup_window,
        on_commit: Box::new(|_, _| ()),
    }
}

pub(super) fn open(dir: &Path) -> (Spool, WriterHandle) {
    Spool::open(options(dir, 1 << 20), || ()).unwrap()
}

/// Runs `work` with an appender, as a worker would.
pub(super) fn with_appender<T>(spool: &Spool, work: impl AsyncFnOnce(&Appender) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async { work(&Appender::new(spool)).await })
}

pub(super) fn append(spool: &Spool, deliveries: &[&[&str]]) {
    with_appender(spool, async |appender| {
        for events in deliveries {
            appender.append(|writer| write(writer, events)).await.unwrap();
        }
    });
}

fn write(writer: &mut EventWriter<'_>, events: &[&str]) {
    for event in events {
        writer.event(|out| {
            out.extend_from_slice(event.as_bytes());
            None
        });
    }
}

pub(super) fn read(spool: &Spool, from: Seq) -> Vec<(Seq, String)> {
    let batch = spool.reader().unwrap().read(from, Seq::MAX, ReadLimit { events: 1000, bytes: 1 << 20 }).unwrap();
    batch.events().map(|(seq, event)| (seq, String::from_utf8(event.to_vec()).unwrap())).collect()
}

pub(in crate::spool) fn advance(spool: &Spool, published_end: Seq) {
    spool.advance(Advance { published_end, topic: TOPIC.into(), next_offsets: [(0, 7)].into() });
}

fn rows(dir: &Path) -> u64 {
    let connection = rusqlite::Connection::open(dir.join("spool.db")).unwrap();
    connection.query_row("SELECT count(*) FROM event_group", [], |row| row.get(0)).unwrap()
}

#[test]
fn events_are_numbered_without_gap_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b"], &["c"]]);
    writer.stop().unwrap();
    let (spool, _writer) = open(dir.path());
    append(&spool, &[&["d"]]);
    let all = read(&spool, 1);
    assert_eq!(all, [(1, "a".into()), (2, "b".into()), (3, "c".into()), (4, "d".into())]);
    assert_eq!(read(&spool, 2), all[1..]);
    let progress = spool.progress();
    assert_eq!((progress.recovered(), progress.accepted(), progress.depth()), (3, 1, 4));
}

#[test]
fn published_rows_are_removed_and_numbers_never_start_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a"], &["b"], &["c"]]);
    assert!(spool.usage().bytes > 0);
    advance(&spool, 4);
    writer.stop().unwrap();
    assert_eq!(rows(dir.path()), 0);
    let (spool, _writer) = open(dir.path());
    assert_eq!(spool.usage().bytes, 0);
    assert_eq!(spool.reader().unwrap().next_offsets(TOPIC).unwrap(), [(0, 7)].into());
    append(&spool, &[&["d"]]);
    assert_eq!(read(&spool, 4), [(4, "d".into())]);
}

#[test]
fn a_published_sequence_inside_a_row_keeps_the_row_and_reads_its_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b", "c"]]);
    advance(&spool, 2);
    writer.stop().unwrap();
    assert_eq!(rows(dir.path()), 1);
    let (spool, _writer) = open(dir.path());
    assert_eq!(spool.progress().published_end, 2);
    assert_eq!(read(&spool, 2), [(2, "b".into()), (3, "c".into())]);
}

#[test]
fn a_full_spool_refuses_at_once_until_records_are_published() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = Spool::open(options(dir.path(), 30), || ()).unwrap();
    append(&spool, &[&["0123456789"], &["0123456789"]]);
    let full = with_appender(&spool, async |appender| appender.append(|writer| write(writer, &["x"])).await);
    assert_eq!(full, Err(AppendError::Full { what: "spool", bytes: 28, max_bytes: 30 }));
    assert!(spool.begin(&TOPIC.into(), NextOffsets::new(), false).unwrap());
    advance(&spool, 2);
    // Durable when it returns, and with it the space that the published sequence frees.
    assert!(spool.begin(&TOPIC.into(), NextOffsets::new(), false).unwrap());
    append(&spool, &[&["y"]]);
}

#[test]
fn next_offsets_of_an_unused_spool_are_not_stored_after_it_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    let stored = || spool.reader().unwrap().next_offsets(TOPIC).unwrap();
    assert!(spool.begin(&TOPIC.into(), [(0, 7)].into(), true).unwrap());
    append(&spool, &[&["a"]]);
    assert!(!spool.begin(&TOPIC.into(), [(0, 9)].into(), true).unwrap());
    assert_eq!(stored(), NextOffsets::from([(0, 7)]));
    assert!(spool.begin(&TOPIC.into(), [(0, 9)].into(), false).unwrap());
    assert_eq!(stored(), NextOffsets::from([(0, 9)]));
}

#[test]
fn a_flipped_bit_is_found_when_the_row_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    append(&spool, &[&["event"]]);
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    connection
        .execute("UPDATE event_group SET payload = CAST(x'0500000045' || substr(payload, 6) AS BLOB)", [])
        .unwrap();
    let result = spool.reader().unwrap().read(1, Seq::MAX, ReadLimit { events: 1, bytes: 1 });
    let Err(SpoolError::CorruptedRow(damage)) = result else { panic!("{result:?}") };
    assert_eq!((damage.first_seq, damage.until, damage.bytes), (1, 2, b"\x05\0\0\0Event".to_vec()));
}

#[test]
fn an_unused_spool_takes_a_new_uuid_at_each_opening() {
    let dir = tempfile::tempdir().unwrap();
    let name = || {
        let (spool, writer) = open(dir.path());
        let (name, unused) = (spool.identities()[0].uuid, spool.was_unused());
        writer.stop().unwrap();
        (name, unused)
    };
    let (first, second) = (name(), name());
    assert!(first.1 && second.1 && first.0 != second.0);
    let (spool, writer) = open(dir.path());
    let kept = spool.identities()[0].uuid;
    append(&spool, &[&["a"]]);
    writer.stop().unwrap();
    assert_eq!(name(), (kept, false));
}

#[test]
fn a_new_identity_starts_at_its_sequence_number_and_replaces_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b", "c"]]);
    let old = spool.identities()[0];
    spool.renew_identity(Identity { first_seq: 3, uuid: Uuid::new_v4() }).unwrap();
    let both = spool.identities();
    assert_eq!((both.len(), both[0], both[1].first_seq), (2, old, 3));
    assert_ne!(both[1].uuid, old.uuid);
    advance(&spool, 2);
    writer.stop().unwrap();
    let (spool, writer) = open(dir.path());
    assert_eq!(spool.identities(), both);
    advance(&spool, 3);
    writer.stop().unwrap();
    assert_eq!(open(dir.path()).0.identities(), both[1..]);
}

#[test]
fn one_commit_quarantines_a_poison_record_and_advances_past_it() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b"]]);
    let entry = QuarantineEntry {
        at_ms: 5,
        reason: "kafka_too_large".into(),
        detail: "too large".into(),
        query: String::new(),
        body: b"a".to_vec(),
    };
    spool.quarantine_record(1, entry).unwrap();
    assert_eq!((spool.progress().published_end, spool.progress().quarantined, spool.progress().published()), (2, 1, 0));
    writer.stop().unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    let kept: (String, u64) = connection
        .query_row("SELECT reason, bridge_seq FROM quarantine", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(kept, ("kafka_too_large".into(), 1));
}

#[test]
fn many_workers_share_commits_and_every_webhook_gets_its_response() {
    const DELIVERIES: u64 = 500;
    let dir = tempfile::tempdir().unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let mut options = options(dir.path(), 1 << 20);
    options.on_commit = Box::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let (spool, _writer) = Spool::open(options, || ()).unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let spool = spool.clone();
            std::thread::spawn(move || {
                with_appender(&spool, async |appender| {
                    let all = (0..DELIVERIES).map(|_| appender.append(|writer| write(writer, &["e", "f"])));
                    for result in join_all(all.collect()).await {
                        result.unwrap();
                    }
                });
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(spool.progress().next_seq, 2 * 2 * DELIVERIES + 1);
    let commits = commits.load(Ordering::Relaxed);
    assert!(commits < DELIVERIES, "{commits} commits for {} deliveries", 2 * DELIVERIES);
}

/// Polls all of them until each is done.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *result = Some(output);
            }
        }
        if results.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[test]
fn the_second_process_is_refused_by_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let (_spool, _writer) = open(dir.path());
    let second = Spool::open(options(dir.path(), 1), || ());
    assert!(matches!(second, Err(SpoolError::Locked { .. })));
}

#[test]
fn a_file_that_is_no_spool_is_named_and_left_alone() {
    for content in [b"not a database, just some text that is long enough".repeat(40), sqlite_file()] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spool.db");
        std::fs::write(&file, &content).unwrap();
        let result = Spool::open(options(dir.path(), 1), || ());
        let error = result.err().unwrap();
        assert!(matches!(error, SpoolError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("spool.db"), "{error}");
        assert!(std::fs::read(&file).unwrap() == content, "the file was changed");
    }
}

fn sqlite_file() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE other (id INTEGER)").unwrap();
    std::fs::read(&file).unwrap()
}

mod damage;
mod loss;
mod model;
mod pages;
pub(super) mod put_aside;
mod verify;

#[test]
fn copies_with_the_same_events_take_the_same_new_spool_uuid() {
    let identities = [Identity { first_seq: 1, uuid: Uuid::from_u128(1) }];
    let renewed = |first_seq, event| Identity::renewed(&identities, first_seq, event);
    assert_eq!(renewed(3, Some(b"event")), renewed(3, Some(b"event")));
    assert_ne!(renewed(3, Some(b"event")), renewed(3, Some(b"other")));
    assert_ne!(renewed(3, Some(b"event")), renewed(4, Some(b"event")));
    assert_ne!(renewed(3, None), renewed(3, None));
    let again = [identities[0], Identity { first_seq: 3, uuid: renewed(3, Some(b"event")) }];
    assert_ne!(Identity::renewed(&again, 3, Some(b"event")), again[1].uuid);
}
