//! Missing sequence numbers.

use crate::seq_set::SeqSet;

/// The number of ranges of missing numbers that are named for each spool.
const RANGES_SHOWN: usize = 10;

/// The numbers that a set does not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// How many.
    pub(super) count: u64,
    /// The first ranges, as `3, 7-9`.
    pub(super) named: String,
}

impl Missing {
    /// The numbers from `first` to `last`, both inclusive, that the set does not have.
    pub(super) fn find(seqs: &SeqSet, first: u64, last: u64) -> Self {
        let (mut named, mut count, mut seq): (Vec<String>, u64, u64) = (Vec::new(), 0, first);
        while let Some(from) = seqs.next_missing(seq).filter(|from| *from <= last) {
            let (end, more) = match seqs.next_present(from) {
                Some(present) if present <= last => (present - 1, true),
                _ => (last, false),
            };
            count += end - from + 1;
            if named.len() < RANGES_SHOWN {
                named.push(if from == end { from.to_string() } else { format!("{from}-{end}") });
            } else if named.len() == RANGES_SHOWN {
                named.push("…".to_owned());
            }
            if !more {
                break;
            }
            seq = end + 1;
        }
        Self { count, named: named.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_counted_and_named_within_the_range() {
        let mut seqs = SeqSet::default();
        for seq in [2, 5, 7] {
            seqs.insert(seq);
        }
        let find = |first, last| {
            let Missing { count, named } = Missing::find(&seqs, first, last);
            (count, named)
        };
        assert_eq!(find(1, 7), (4, "1, 3-4, 6".to_owned()));
        assert_eq!(find(2, 9), (5, "3-4, 6, 8-9".to_owned()));
        assert_eq!(find(5, 5), (0, String::new()));
        assert_eq!(find(3, 2), (0, String::new()));
        assert_eq!(find(1, 0), (0, String::new()));
        assert_eq!(Missing::find(&SeqSet::default(), 1, 3).named, "1-3");
    }
}
