//! Compares the recovered set with the events of the same numbers in the spool.

use super::recovered::RecoveredSet;
use crate::spool::Seq;

/// The content of the spool from a number on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The content hash ([`content_hash()`](super::recovered::content_hash)) of each event, in sequence. Empty: the spool has never
    /// assigned this number, or has deleted its event.
    Events(Vec<u32>),
    /// A corrupted row, which ends before this number and cannot be compared.
    Damaged(Seq),
}

/// Compares from `from` on. `held` returns the content of the spool from one number up to another. The first
/// number whose record in the topic differs from the spool's event, or has no event in the spool, is
/// [disowned](RecoveredSet::disown).
///
/// # Errors
/// The errors of `held`.
pub fn compare<E>(
    found: &mut RecoveredSet,
    mut from: Seq,
    mut held: impl FnMut(Seq, Seq) -> Result<Held, E>,
) -> Result<(), E> {
    let below = found.highest().map_or(0, |highest| highest + 1);
    while from < below {
        match held(from, below)? {
            Held::Events(hashes) if !hashes.is_empty() => {
                for hash in hashes {
                    if !found.compare(from, hash) {
                        return Ok(());
                    }
                    from += 1;
                }
            }
            Held::Damaged(until) => from = until.max(from + 1),
            Held::Events(_) => {
                found.disown(from);
                return Ok(());
            }
        }
    }
    Ok(())
}
