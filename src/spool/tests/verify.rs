//! `verify` finds each kind of corruption, reports no error for an intact spool, and changes nothing.

use std::sync::atomic::AtomicBool;

use super::*;

fn entry(body: &str) -> QuarantineEntry {
    QuarantineEntry {
        at_ms: 5, reason: "malformed".into(), detail: "é".into(), query: "q=1".into(), body: body.into()
    }
}

/// A stopped spool: events 1 to 6 in three rows, 1 and 2 published, two entries in quarantine.
fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a", "b", "c"], &["d", "e"], &["f"]]);
    with_appender(&spool, async |appender| {
        for body in ["one", "another"] {
            appender.quarantine(entry(body)).await.unwrap();
        }
    });
    advance(&spool, 3);
    writer.stop().unwrap();
    dir
}

fn change(dir: &Path, sql: &str) {
    assert_eq!(rusqlite::Connection::open(dir.join("spool.db")).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"))
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_intact_spool_has_no_error_and_stays_unchanged() {
    let dir = stopped();
    let before = files(dir.path());
    let sound = VerifyReport {
        rows: 3,
        events: 6,
        bytes: 6 * 5,
        first_seq: 1,
        next_seq: 7,
        published_end: 3,
        quarantine_entries: 2,
        ..VerifyReport::default()
    };
    assert_eq!(verify(dir.path()).unwrap(), sound);
    assert!(files(dir.path()) == before, "it was changed");

    // A running spool, and one after a crash: its newest rows are only in the WAL.
    let (spool, _writer) = open(dir.path());
    append(&spool, &[&["g"]]);
    let grown = VerifyReport { rows: 4, events: 7, bytes: 7 * 5, next_seq: 8, ..sound };
    assert_eq!(verify(dir.path()).unwrap(), grown);
    let crashed = tempfile::tempdir().unwrap();
    for (name, bytes) in files(dir.path()) {
        std::fs::write(crashed.path().join(name), bytes).unwrap();
    }
    let before = files(crashed.path());
    assert!(before.iter().any(|(name, bytes)| name == "spool.db-wal" && !bytes.is_empty()), "there is no log");
    assert_eq!(verify(crashed.path()).unwrap(), grown);
    assert!(files(crashed.path()) == before, "it was changed");
}

#[test]
fn an_empty_spool_has_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).1.stop().unwrap();
    let empty = VerifyReport { first_seq: 1, next_seq: 1, published_end: 1, ..VerifyReport::default() };
    assert_eq!(verify(dir.path()).unwrap(), empty);
}

#[test]
fn each_kind_of_corruption_is_named() {
    let kinds = [
        (
            "UPDATE event_group SET payload = CAST(substr(payload, 1, 4) || 'D' || substr(payload, 6) AS BLOB)
             WHERE first_seq = 4",
            &["the row of event 4 is corrupted: the checksum does not match"][..],
        ),
        (
            "UPDATE event_group SET checksum = checksum + 1 WHERE first_seq = 4",
            &["the row of event 4 is corrupted: the checksum"],
        ),
        (
            "UPDATE event_group SET events = 1 WHERE first_seq = 4",
            &["the row of event 4 is corrupted: the number of events", "events 5 to 5 are missing"],
        ),
        (
            "UPDATE event_group SET events = 3 WHERE first_seq = 4",
            &[
                "the row of event 4 is corrupted: the number of events",
                "the row of event 6 starts within the previous row",
            ],
        ),
        (
            "UPDATE event_group SET first_seq = 7 WHERE first_seq = 6",
            &["events 6 to 6 are missing", "the row of event 7 is corrupted: the checksum"],
        ),
        ("DELETE FROM event_group WHERE first_seq = 4", &["events 4 to 5 are missing"]),
        ("DELETE FROM event_group WHERE first_seq = 1", &["events 3 to 3 are missing"]),
        (
            "UPDATE event_group SET bytes_through = bytes_through + 1 WHERE first_seq = 4",
            &[
                "the running total of bytes is wrong at event 4: 26",
                "the running total of bytes is wrong at event 6: 30",
            ],
        ),
        (
            "UPDATE event_group SET bytes_through = 1 WHERE first_seq = 1",
            &["total of bytes is wrong at event 1: 1", "event 4"],
        ),
        (
            "UPDATE event_group SET first_seq = -5 WHERE first_seq = 1",
            &["a row has the number -5", "events 3 to 3 are missing"],
        ),
        ("UPDATE event_group SET checksum = -1 WHERE first_seq = 4", &["the row of event 4 cannot be read"]),
        (
            "UPDATE progress SET quarantine_events = 3",
            &["the quarantine holds 2 entries with 20 bytes, but its counters say 3 with 20"],
        ),
        (
            "UPDATE progress SET quarantine_bytes = 7",
            &["the quarantine holds 2 entries with 20 bytes, but its counters say 2 with 7"],
        ),
        (
            "DELETE FROM quarantine WHERE id = 2",
            &["the quarantine holds 1 entries with 8 bytes, but its counters say 2 with 20"],
        ),
        ("UPDATE progress SET watermark = 8", &["the next event is 7, but all events below 8 count"]),
        (
            "DELETE FROM progress",
            &["the identities cannot be read", "the quarantine cannot be read", "the rows cannot be read"],
        ),
        ("DELETE FROM identity", &["the spool has no UUID, but event 3 needs one"]),
        ("UPDATE identity SET first_seq = 4", &["the spool has UUIDs from event 4 on, but event 3 needs one"]),
        ("UPDATE identity SET uuid = x'00'", &["the identities cannot be read"]),
    ];
    for (sql, faults) in kinds {
        let dir = stopped();
        change(dir.path(), sql);
        let before = files(dir.path());
        let report = verify(dir.path()).unwrap();
        assert_eq!(report.faults_total, report.faults.len() as u64, "{sql}: {report:?}");
        assert_eq!(report.faults.len(), faults.len(), "{sql}: {report:?}");
        for (fault, expected) in report.faults.iter().zip(faults) {
            assert!(fault.contains(expected), "{sql}: {report:?}");
        }
        assert!(files(dir.path()) == before, "{sql}: it was changed");
    }
}

#[test]
fn corruption_of_sqlites_structure_is_reported_and_rows_are_still_checked() {
    let dir = stopped();
    let file = dir.path().join("spool.db");
    let page: u64 = rusqlite::Connection::open(&file)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'quarantine'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let start = (usize::try_from(page).unwrap() - 1) * size;
    bytes[start..start + size].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let report = verify(dir.path()).unwrap();
    assert!(report.faults[0].starts_with("SQLite"), "{report:?}");
    assert!(report.faults.iter().any(|fault| fault.starts_with("the quarantine cannot be read")), "{report:?}");
    assert_eq!((report.rows, report.events, report.published_end), (3, 6, 3));
}

#[test]
fn errors_are_listed_up_to_a_limit_and_counted_beyond_it() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[["x"].as_slice(); 130]);
    writer.stop().unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    assert_eq!(connection.execute("UPDATE event_group SET checksum = 0", []).unwrap(), 130);
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.faults.len(), report.faults_total, report.rows), (100, 130, 130));
}

#[test]
fn verify_reports_a_missing_spool_and_creates_none() {
    let dir = tempfile::tempdir().unwrap();
    for dir in [dir.path().to_owned(), dir.path().join("missing")] {
        let error = verify(&dir).unwrap_err();
        assert!(matches!(error, SpoolError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("spool.db"), "{error}");
    }
    assert_eq!(files(dir.path()), []);
    for content in [b"not a database, just some text that is long enough".repeat(40), sqlite_file()] {
        std::fs::write(dir.path().join("spool.db"), content).unwrap();
        assert!(matches!(verify(dir.path()), Err(SpoolError::Corrupt { .. })));
    }
}

#[test]
fn changes_by_a_running_node_during_verify_are_no_errors() {
    const BACKLOG: u64 = 700;
    let dir = tempfile::tempdir().unwrap();
    let (spool, _writer) = open(dir.path());
    append(&spool, &vec![["x", "y"].as_slice(); 1000]);
    let stop = Arc::new(AtomicBool::new(false));
    let node = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                append(&spool, &[["x", "y"].as_slice(); 20]);
                // To the middle of a row. The check needs more than one read for the remaining rows.
                advance(&spool, spool.progress().next_seq - BACKLOG);
                spool.begin(&TOPIC.into(), NextOffsets::new(), false).unwrap();
            }
        }
    });
    let (mut rounds, mut last) = (0, 0);
    while rounds < 30 || last < 3000 {
        let report = verify(dir.path()).unwrap();
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(report.next_seq >= last && report.published_end <= report.next_seq, "{report:?}");
        last = report.next_seq;
        rounds += 1;
        assert!(!node.is_finished(), "the node has failed");
    }
    stop.store(true, Ordering::Relaxed);
    node.join().unwrap();
}
