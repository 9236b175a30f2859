//! A set of sequence numbers, one bit each.

/// Numbers at or above a base. Ten million of them take 1.25 MB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeqSet {
    base: u64,
    bits: Vec<u64>,
    highest: Option<u64>,
}

impl SeqSet {
    /// An empty set of numbers from `base` on.
    pub fn new(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds a number; `false` where it was there already, or lies below the base.
    pub fn insert(&mut self, seq: u64) -> bool {
        let Some((word, mask)) = self.place(seq) else { return false };
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let fresh = self.bits[word] & mask == 0;
        self.bits[word] |= mask;
        self.highest = self.highest.max(Some(seq));
        fresh
    }

    /// Whether a number is there.
    pub fn contains(&self, seq: u64) -> bool {
        self.place(seq).is_some_and(|(word, mask)| self.bits.get(word).is_some_and(|bits| bits & mask != 0))
    }

    /// The highest number.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The lowest number.
    pub fn lowest(&self) -> Option<u64> {
        let word = self.bits.iter().position(|bits| *bits != 0)?;
        Some(self.base + word as u64 * 64 + u64::from(self.bits[word].trailing_zeros()))
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.bits.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.highest.is_none()
    }

    fn place(&self, seq: u64) -> Option<(usize, u64)> {
        let bit = seq.checked_sub(self.base)?;
        Some((usize::try_from(bit / 64).ok()?, 1 << (bit % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_set(base in 0_u64..1000, numbers in prop::collection::vec(0_u64..3000, 0..200)) {
            let mut set = SeqSet::new(base);
            let mut model = std::collections::BTreeSet::new();
            for number in numbers {
                let fresh = number >= base && model.insert(number);
                prop_assert_eq!(set.insert(number), fresh);
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.highest(), model.last().copied());
            prop_assert_eq!(set.lowest(), model.first().copied());
            prop_assert!((0..3000).all(|number| set.contains(number) == model.contains(&number)));
        }
    }
}
