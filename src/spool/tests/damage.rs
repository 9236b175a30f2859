//! Corrupted and truncated files: no event is ever read as another one, and nothing is deleted.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// Event `seq` of the corrupted spool. Some events fit into a page, others need a chain of pages.
fn event(seq: Seq) -> String {
    let size = [10, 500, 3000, 20_000][usize::try_from(seq % 4).unwrap()];
    format!("{seq}-{}", "x".repeat(size))
}

/// The files of a spool with these events. Each event has a row, except the last two, which share one. The spool is
/// stopped, or as a crash leaves it: then all events are in the WAL.
fn spool_of(events: u64, stop: bool) -> (tempfile::TempDir, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    let log = dir.path().join("spool.db-wal");
    let mut lengths = Vec::new();
    for seq in 1..events {
        let of_row: Vec<String> = (seq..if seq + 1 == events { events + 1 } else { seq + 1 }).map(event).collect();
        append(&spool, &[&of_row.iter().map(String::as_str).collect::<Vec<_>>()]);
        lengths.push(without_reserve(std::fs::read(&log).unwrap()));
    }
    if stop {
        writer.stop().unwrap();
        return (dir, lengths);
    }
    let crashed = tempfile::tempdir().unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        std::fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
    }
    (crashed, lengths)
}

/// The content of a WAL up to its last frame: zeros follow.
fn without_reserve(mut log: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 32;
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let last = log.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    log.truncate(HEADER + last.saturating_sub(HEADER).next_multiple_of(24 + page));
    log
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["spool.db", "spool.db-wal"].into_iter().filter(|name| dir.join(name).exists()) {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// Reads all events from number 1 on and skips corrupted rows. Asserts that each event has the content that was stored
/// under its number. Returns the number of events, and of corrupted rows.
fn survey(dir: &Path) -> Result<(u64, u64), SpoolError> {
    let (spool, writer) = Spool::open(options(dir, 1 << 30), || ())?;
    let mut reader = spool.reader()?;
    let (mut from, mut read, mut damaged) = (1, 0, 0);
    let result = loop {
        match reader.read(from, Seq::MAX, ReadLimit { events: 2, bytes: 1 }) {
            Ok(batch) if batch.is_empty() => break Ok((read, damaged)),
            Ok(batch) => {
                for (seq, bytes) in batch.events() {
                    assert_eq!(std::str::from_utf8(bytes), Ok(event(seq).as_str()), "event {seq}");
                    read += 1;
                }
                from = batch.until();
            }
            Err(SpoolError::CorruptedRow(damage)) => {
                assert!(damage.until > from, "{damage}");
                from = damage.until;
                damaged += 1;
            }
            Err(error) => break Err(error),
        }
    };
    drop(reader);
    let stopped = writer.stop();
    result.and_then(|found| stopped.map(|()| found))
}

/// The file of such a spool, created once.
fn sound() -> &'static [u8] {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    FILE.get_or_init(|| std::fs::read(spool_of(12, true).0.path().join("spool.db")).unwrap())
}

/// A crashed spool, created once: its file holds the first events, and its WAL holds the others.
fn with_both() -> &'static tempfile::TempDir {
    static CRASHED: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    CRASHED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _writer) = open(dir.path());
        for seq in 1..=12 {
            append(&spool, &[&[event(seq).as_str()]]);
            if seq == 7 {
                let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            }
        }
        copy_of(dir.path())
    })
}

fn page_size(file: &[u8]) -> usize {
    // 1 stands for 65536.
    match u16::from_be_bytes([file[16], file[17]]) {
        1 => 65536,
        size => size.into(),
    }
}

fn with_file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spool.db");
    std::fs::write(&file, bytes).unwrap();
    (dir, file)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_anywhere_in_the_file_makes_no_event_another_one(
        at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let mut bytes = sound().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (dir, _) = with_file(&bytes);
        let verified = verify(dir.path());
        let read = survey(dir.path());
        // If verify finds no error, every event is intact. No checksum covers SQLite's own pages, so an error in them may
        // be visible only to verify.
        if verified.is_ok_and(|report| report.faults_total == 0) {
            prop_assert!(matches!(read, Ok((12, 0))), "byte {}: {:?}", at, read);
        }
    }

    #[test]
    fn a_flipped_bit_in_the_table_of_tables_is_found_or_harms_nothing(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = sound().to_vec();
        let text = b"CREATE TABLE";
        let tables: Vec<_> = (0..page_size(&bytes)).filter(|&at| bytes[at..].starts_with(text)).collect();
        let (first, last) = (tables[0], tables[tables.len() - 1] + text.len());
        prop_assert_eq!(tables.len(), 7, "including SQLite's own table sqlite_sequence");
        bytes[first + at.index(last - first)] ^= 1 << bit;
        let (dir, _) = with_file(&bytes);
        if verify(dir.path()).is_ok_and(|report| report.faults_total == 0) {
            // The row number in SQLite's own table of tables has no meaning.
            prop_assert!(matches!(survey(dir.path()), Ok((12, 0))), "it passes for sound");
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_makes_no_event_another_one(at in any::<prop::sample::Index>(), last_page: bool) {
        let bytes = sound();
        let at = if last_page { bytes.len() - 1 - at.index(page_size(bytes) - 1) } else { at.index(bytes.len()) };
        let (dir, file) = with_file(&bytes[..at]);
        let verified = verify(dir.path());
        prop_assert!(!verified.is_ok_and(|report| report.faults_total == 0), "{} bytes pass for sound", at);
        match Spool::open(options(dir.path(), 1 << 30), || ()) {
            Err(error) => {
                prop_assert!(matches!(error, SpoolError::Corrupt { .. }), "{} bytes: {}", at, error);
                prop_assert!(error.to_string().contains(file.to_str().unwrap()), "{}", error);
                prop_assert!(std::fs::read(&file).unwrap() == bytes[..at], "the file was changed");
            }
            // Only its last page is cut.
            Ok((_, writer)) => {
                prop_assert!(at > bytes.len() - page_size(bytes), "{} of {} bytes were opened", at, bytes.len());
                writer.stop().unwrap();
                let read = survey(dir.path());
                prop_assert!(!matches!(read, Ok((12, _))), "{} of {}: {:?}", at, bytes.len(), read);
            }
        }
    }

    #[test]
    fn a_truncated_file_beside_its_wal_changes_no_event_or_is_refused(
        at in any::<prop::sample::Index>(),
    ) {
        let crashed = with_both();
        let dir = copy_of(crashed.path());
        let (file, log) = (dir.path().join("spool.db"), dir.path().join("spool.db-wal"));
        let whole = std::fs::read(&file).unwrap();
        let cut = &whole[..at.index(whole.len())];
        std::fs::write(&file, cut).unwrap();
        let verified = verify(dir.path());
        match Spool::open(options(dir.path(), 1 << 30), || ()) {
            Ok((_, writer)) => drop(writer.stop()),
            Err(error) => {
                prop_assert!(matches!(error, SpoolError::Corrupt { .. }), "{}", error);
                prop_assert!(std::fs::read(&file).unwrap() == cut, "the file was changed");
                prop_assert!(std::fs::read(&log).unwrap() == std::fs::read(crashed.path().join("spool.db-wal")).unwrap());
            }
        }
        let read = survey(dir.path());
        if verified.is_ok_and(|report| report.faults_total == 0) {
            prop_assert!(matches!(read, Ok((12, 0))), "{} bytes: {:?}", cut.len(), read);
        }
    }

    #[test]
    fn a_truncated_wal_holds_exactly_the_commits_before_the_cut(
        at in any::<prop::sample::Index>(), garbage in prop::collection::vec(any::<u8>(), 0..5000),
    ) {
        static CRASHED: std::sync::OnceLock<(tempfile::TempDir, Vec<Vec<u8>>)> = std::sync::OnceLock::new();
        let (crashed, logs) = CRASHED.get_or_init(|| spool_of(12, false));
        let whole = logs.last().unwrap();
        prop_assert!(logs.iter().all(|log| whole.starts_with(log)), "the WAL restarted");
        let at = at.index(whole.len() + 1);
        let dir = copy_of(crashed.path());
        std::fs::write(dir.path().join("spool.db-wal"), [&whole[..at], &garbage].concat()).unwrap();
        // One row for each commit; the last one holds two events.
        let rows = logs.iter().filter(|log| log.len() <= at).count() as u64;
        let events = if rows == 11 { 12 } else { rows };
        prop_assert_eq!(survey(dir.path()).unwrap(), (events, 0));
    }
}

#[test]
fn an_empty_file_is_not_a_new_spool_and_its_wal_is_kept() {
    let (dir, _) = spool_of(3, false);
    let (file, log) = (dir.path().join("spool.db"), dir.path().join("spool.db-wal"));
    let before = std::fs::read(&log).unwrap();
    std::fs::write(&file, "").unwrap();
    let refused = |what: &str| {
        let error = Spool::open(options(dir.path(), 1), || ()).unwrap_err();
        assert!(matches!(error, SpoolError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(verify(dir.path()).is_err());
        assert!(std::fs::read(&log).unwrap() == before, "the log was changed");
    };
    refused("it is empty");
    assert_eq!(std::fs::read(&file).unwrap(), b"");
    std::fs::remove_file(&file).unwrap();
    refused("it is missing, but its WAL");
    assert!(!file.exists());
}

#[test]
fn a_new_spool_that_a_crash_left_incomplete_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("spool.db.new");
    std::fs::write(&new, "half a page").unwrap();
    std::fs::write(dir.path().join("spool.db.new-journal"), "half a journal").unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a"]]);
    writer.stop().unwrap();
    let (spool, _writer) = open(dir.path());
    assert_eq!(read(&spool, 1), [(1, "a".into())]);
    assert!(!new.exists());
}

/// Events 1 to 5 in rows of 1, 3 and 1 events. An update corrupts them.
fn damaged(sql: &str) -> (tempfile::TempDir, Spool, WriterHandle) {
    let dir = tempfile::tempdir().unwrap();
    let (spool, writer) = open(dir.path());
    append(&spool, &[&["a"], &["b", "c", "d"], &["e"]]);
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    connection.execute_batch(sql).unwrap();
    (dir, spool, writer)
}

const FLIP: &str = "UPDATE event_group SET payload = CAST(substr(payload, 1, 4) || '!' || substr(payload, 6) AS BLOB)";

fn damage_at(spool: &Spool, from: Seq) -> Result<CorruptedRow, SpoolError> {
    match spool.reader().unwrap().read(from, Seq::MAX, ReadLimit { events: 1000, bytes: 1 << 20 }) {
        Err(SpoolError::CorruptedRow(damage)) => Ok(*damage),
        Err(error) => Err(error),
        Ok(batch) => panic!("{batch:?}"),
    }
}

#[test]
fn rows_before_and_after_a_corrupted_row_are_read() {
    let (_dir, spool, _writer) = damaged(&format!("{FLIP} WHERE first_seq = 2"));
    assert_eq!(read(&spool, 1), [(1, "a".into())]);
    for from in 2..5 {
        let damage = damage_at(&spool, from).unwrap();
        assert_eq!((damage.first_seq, damage.until), (2, 5), "from {from}");
        assert_eq!(damage.bytes, b"\x01\0\0\0!\x01\0\0\0c\x01\0\0\0d");
        assert!(damage.to_string().contains("events 2 to 4 in "), "{damage}");
    }
    assert_eq!(read(&spool, 5), [(5, "e".into())]);
}

#[test]
fn the_next_row_determines_the_end_of_a_corrupted_row() {
    for events in ["1", "9", "0", "-1", "9223372036854775807"] {
        let (_dir, spool, _writer) = damaged(&format!("UPDATE event_group SET events = {events} WHERE first_seq = 2"));
        let damage = damage_at(&spool, 2).unwrap();
        assert_eq!((damage.first_seq, damage.until), (2, 5), "{events}");
    }
}

#[test]
fn two_adjacent_corrupted_rows_are_separated_only_if_their_counts_fit() {
    let (_dir, spool, _writer) = damaged(FLIP);
    let ends = [1, 2, 5].map(|from| damage_at(&spool, from).unwrap().until);
    assert_eq!(ends, [2, 5, 6]);
    let (_dir, spool, _writer) = damaged(&format!("{FLIP}; UPDATE event_group SET events = 2 WHERE first_seq = 2"));
    let error = damage_at(&spool, 2).unwrap_err();
    assert!(matches!(error, SpoolError::Corrupt { .. }), "{error}");
}

#[test]
fn missing_events_are_not_reported_as_a_corrupted_row() {
    let (_dir, spool, _writer) = damaged("DELETE FROM event_group WHERE first_seq = 2");
    assert_eq!(read(&spool, 1), [(1, "a".into())]);
    let error = damage_at(&spool, 2).unwrap_err();
    assert!(matches!(error, SpoolError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("events 2 to 4 are missing"), "{error}");
}

fn entry(body: Vec<u8>) -> QuarantineEntry {
    QuarantineEntry { at_ms: 5, reason: "damaged".into(), detail: String::new(), query: String::new(), body }
}

#[test]
fn one_commit_quarantines_a_corrupted_row_and_advances_past_it() {
    let (dir, spool, writer) = damaged(&format!("{FLIP} WHERE first_seq = 2"));
    advance(&spool, 3);
    let damage = damage_at(&spool, 3).unwrap();
    spool.quarantine_events(3..damage.until, entry(damage.bytes.clone())).unwrap();
    let progress = spool.progress();
    assert_eq!((progress.published_end, progress.quarantined, progress.published(), progress.depth()), (5, 2, 2, 1));
    writer.stop().unwrap();
    let (spool, _writer) = open(dir.path());
    assert_eq!((spool.progress().published_end, spool.usage().quarantine_events), (5, 1));
    assert_eq!(spool.usage().quarantine_bytes, damage.bytes.len() as u64);
    assert_eq!(read(&spool, 5), [(5, "e".into())]);
    let connection = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    let kept: (u64, Vec<u8>) = connection
        .query_row("SELECT bridge_seq, body FROM quarantine", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(kept, (3, damage.bytes));
    assert_eq!(verify(dir.path()).unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_corrupted_row_never_takes_events_of_another_row_to_quarantine() {
    let (dir, spool, writer) = damaged("");
    advance(&spool, 2);
    for events in [2..6, 5..7, 2..u64::MAX] {
        let result = spool.quarantine_events(events.clone(), entry(vec![]));
        assert!(matches!(result, Err(SpoolError::NotWritten(_))), "{events:?}: {result:?}");
    }
    assert_eq!((spool.progress().published_end, spool.progress().quarantined), (2, 0));
    assert_eq!((spool.usage().quarantine_events, spool.usage().quarantine_bytes), (0, 0));
    writer.stop().unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.published_end, report.quarantine_entries, report.faults_total), (2, 0, 0), "{report:?}");
}

#[test]
fn a_corrupted_row_larger_than_the_quarantine_is_still_quarantined() {
    let (_dir, spool, _writer) = damaged(&format!("{FLIP} WHERE first_seq = 2"));
    advance(&spool, 2);
    spool.quarantine_events(2..5, entry(vec![0; 1001])).unwrap();
    assert_eq!((spool.progress().published_end, spool.usage().quarantine_events), (5, 1));
    assert!(spool.fault().is_none(), "{:?}", spool.fault());
}
