//! A set of sequence numbers: one bit each if they are dense, some bytes each otherwise.

use std::collections::BTreeMap;

/// A set of numbers at or above a base. Ten million numbers without a gap take about 4 MB. A number far from all
/// others takes about 24 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeqSet {
    base: u64,
    /// Words of 64 numbers, by the first number divided by 64. No word is zero.
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl SeqSet {
    /// An empty set of numbers from `base` on.
    pub fn new(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds a number. Returns `false` if the set has it already, or if it is below the base.
    pub fn insert(&mut self, seq: u64) -> bool {
        if seq < self.base {
            return false;
        }
        let bits = self.words.entry(seq / 64).or_insert(0);
        let mask = 1 << (seq % 64);
        let fresh = *bits & mask == 0;
        *bits |= mask;
        self.len += u64::from(fresh);
        fresh
    }

    /// Whether the set has a number.
    pub fn contains(&self, seq: u64) -> bool {
        self.words.get(&(seq / 64)).is_some_and(|bits| bits & (1 << (seq % 64)) != 0)
    }

    /// The highest number.
    pub fn highest(&self) -> Option<u64> {
        self.words.last_key_value().map(|(word, bits)| word * 64 + 63 - u64::from(bits.leading_zeros()))
    }

    /// The lowest number.
    pub fn lowest(&self) -> Option<u64> {
        self.words.first_key_value().map(|(word, bits)| word * 64 + u64::from(bits.trailing_zeros()))
    }

    /// The number of elements.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The lowest number at or above `from` in the set.
    pub fn next_present(&self, from: u64) -> Option<u64> {
        let here = self.words.get(&(from / 64)).map_or(0, |bits| bits & (u64::MAX << (from % 64)));
        if here != 0 {
            return Some(from / 64 * 64 + u64::from(here.trailing_zeros()));
        }
        let (word, bits) = self.words.range((from / 64).checked_add(1)?..).next()?;
        Some(word * 64 + u64::from(bits.trailing_zeros()))
    }

    /// The lowest number at or above `from` that is not in the set; `None` if all of them are.
    pub fn next_missing(&self, from: u64) -> Option<u64> {
        let mut word = from / 64;
        let mut not_asked = !(u64::MAX << (from % 64));
        for (&found, bits) in self.words.range(word..) {
            if found != word || bits | not_asked != u64::MAX {
                break;
            }
            word = word.checked_add(1).filter(|word| *word <= u64::MAX / 64)?;
            not_asked = 0;
        }
        let bits = self.words.get(&word).map_or(0, |bits| *bits) | not_asked;
        Some(word * 64 + u64::from(bits.trailing_ones()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_set_behaves_like_a_btree_set(base in 0_u64..1000, numbers in prop::collection::vec(0_u64..3000, 0..200)) {
            let mut set = SeqSet::new(base);
            let mut model = std::collections::BTreeSet::new();
            for number in numbers {
                let fresh = number >= base && model.insert(number);
                prop_assert_eq!(set.insert(number), fresh);
            }
            prop_assert_eq!((set.len(), set.is_empty()), (model.len() as u64, model.is_empty()));
            prop_assert_eq!(set.highest(), model.last().copied());
            prop_assert_eq!(set.lowest(), model.first().copied());
            prop_assert!((0..3000).all(|number| set.contains(number) == model.contains(&number)));
            for from in 0..3100 {
                prop_assert_eq!(set.next_present(from), model.range(from..).next().copied());
                prop_assert_eq!(set.next_missing(from), (from..4000).find(|number| !model.contains(number)));
            }
        }
    }

    #[test]
    fn numbers_of_any_size_take_little_memory() {
        let mut set = SeqSet::default();
        for number in [0, 1_000_000_000_000, u64::MAX - 1, u64::MAX] {
            assert!(set.insert(number) && set.contains(number) && !set.insert(number), "{number}");
        }
        assert_eq!((set.lowest(), set.highest(), set.len(), set.words.len()), (Some(0), Some(u64::MAX), 4, 3));
        assert_eq!(set.next_present(1), Some(1_000_000_000_000));
        assert_eq!((set.next_missing(u64::MAX - 1), set.next_missing(0)), (None, Some(1)));
    }
}
