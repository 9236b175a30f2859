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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::spool::Identity;

    const SPOOL: Uuid = Uuid::from_u128(1);

    /// Compares records 1, 2 and 3 of the topic, whose hashes are 10, 20 and 30. Returns the first number that differs, and
    /// the numbers that were asked for.
    fn compared(mut held: impl FnMut(Seq) -> Held) -> (Option<Seq>, Vec<Seq>) {
        let mut found = RecoveredSet::new(1, Seq::MAX, &[Identity { first_seq: 1, uuid: SPOOL }]);
        for seq in 1..4 {
            found.note(SPOOL, seq, u32::try_from(seq * 10).unwrap());
        }
        let mut asked = Vec::new();
        let held = |from, below| {
            assert_eq!(below, 4);
            asked.push(from);
            Ok::<_, ()>(held(from))
        };
        compare(&mut found, 1, held).unwrap();
        (found.foreign_from(), asked)
    }

    #[test]
    fn every_recovered_record_is_compared_up_to_the_highest() {
        assert_eq!(compared(|_| Held::Events(vec![10, 20, 30])), (None, vec![1]));
        assert_eq!(compared(|_| Held::Events(vec![10, 20, 31])), (Some(3), vec![1]));
        let one_by_one = |from| Held::Events(vec![u32::try_from(from * 10).unwrap()]);
        assert_eq!(compared(one_by_one), (None, vec![1, 2, 3]));
    }

    #[test]
    fn a_record_without_an_event_in_the_spool_is_of_another_spool() {
        let only_first = |from| Held::Events(if from == 1 { vec![10] } else { vec![] });
        assert_eq!(compared(only_first), (Some(2), vec![1, 2]));
    }

    #[test]
    fn a_corrupted_row_is_skipped_and_the_comparison_always_advances() {
        let corrupted = |from| if from < 3 { Held::Damaged(1) } else { Held::Events(vec![31]) };
        assert_eq!(compared(corrupted), (Some(3), vec![1, 2, 3]));
        let to_the_end = |from| if from == 1 { Held::Damaged(3) } else { Held::Events(vec![30]) };
        assert_eq!(compared(to_the_end), (None, vec![1, 3]));
    }
}
