//! What a crash loses of the WAL that was not yet synced.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Debug, Clone)]
pub(super) enum Loss {
    Nothing,
    Cut(Index),
    /// Sectors of 512 bytes that never reached the disk, and what is there instead.
    Sectors(Vec<Index>, u8),
    Garbage(Vec<u8>),
}

/// Any loss.
pub(super) fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::Nothing),
        any::<Index>().prop_map(Loss::Cut),
        (vec(any::<Index>(), 1..10), any::<u8>()).prop_map(|(sectors, byte)| Loss::Sectors(sectors, byte)),
        vec(any::<u8>(), 1..5000).prop_map(Loss::Garbage),
    ]
}

/// The synced part of the WAL: its salts, which change when the WAL restarts, and its length.
pub(super) fn synced(dir: &Path) -> (Vec<u8>, u64) {
    let connection = rusqlite::Connection::open(dir.join("spool.db")).unwrap();
    let frames: i64 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap();
    let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let log = std::fs::read(dir.join("spool.db-wal")).unwrap();
    let end = u64::try_from(frames).map_or(0, |frames| if frames == 0 { 0 } else { 32 + frames * (24 + page) });
    (salts(&log), end)
}

pub(super) fn salts(log: &[u8]) -> Vec<u8> {
    log.get(16..24).unwrap_or_default().to_vec()
}

pub(super) fn lose(log: &mut Vec<u8>, synced: usize, loss: &Loss) {
    let open = log.len() - synced;
    match loss {
        Loss::Nothing => {}
        Loss::Cut(at) => log.truncate(synced + at.index(open + 1)),
        Loss::Sectors(_, _) if open == 0 => {}
        Loss::Sectors(sectors, byte) => {
            for at in sectors {
                let start = (synced + at.index(open)) / 512 * 512;
                let end = (start + 512).min(log.len());
                log[start.max(synced)..end].fill(*byte);
            }
        }
        Loss::Garbage(bytes) => log.extend_from_slice(bytes),
    }
}
