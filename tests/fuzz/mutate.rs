//! Creates inputs from other inputs.

use test_support::random::Random;

/// The maximum size of an input in bytes.
const MAX_BYTES: usize = 8 << 10;
/// The maximum of changes to one input.
const MAX_CHANGES: usize = 8;

/// Creates inputs. The same seed creates the same inputs.
pub struct Mutator<'c> {
    random: Random,
    corpus: &'c [Vec<u8>],
    words: &'c [&'c str],
    input: Vec<u8>,
}

impl<'c> Mutator<'c> {
    pub fn new(seed: u64, corpus: &'c [Vec<u8>], words: &'c [&'c str]) -> Self {
        Self { random: Random::seeded(seed), corpus, words, input: Vec::new() }
    }

    /// Returns the next input.
    pub fn next(&mut self) -> &[u8] {
        let start = self.below(self.corpus.len());
        self.input.clone_from(&self.corpus[start]);
        for _ in 0..=self.below(MAX_CHANGES) {
            self.change();
        }
        self.input.truncate(MAX_BYTES);
        &self.input
    }

    fn change(&mut self) {
        let at = self.below(self.input.len() + 1);
        let end = at + self.below(self.input.len() + 1 - at).min(64);
        match self.below(8) {
            0 if at < self.input.len() => self.input[at] ^= 1 << self.below(8),
            1 if at < self.input.len() => self.input[at] = self.byte(),
            2 => {
                let byte = self.byte();
                self.input.insert(at, byte);
            }
            3 => drop(self.input.drain(at..end)),
            4 => {
                let again = self.input[at..end].to_vec();
                self.input.splice(at..at, again);
            }
            5 => {
                let other = &self.corpus[self.below(self.corpus.len())];
                let from = self.below(other.len() + 1);
                self.input.splice(at..end, other[from..].iter().copied());
            }
            6 | 7 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                self.input.splice(at..at, word.bytes());
            }
            _ => self.input.truncate(at),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a byte of it")]
    fn byte(&mut self) -> u8 {
        self.random.next() as u8
    }

    /// Returns a random number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.random.below(end.max(1))
    }
}
