//! Finds the rows of a file that may share their identity with another one, in
//! a fixed amount of memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of bits set for a hash.
const BITS: u32 = 4;

/// The number of bits in a block. All bits of a hash are in one block, and so
/// in one cache line.
const BLOCK: u32 = 512;

const WORDS: usize = (BLOCK / u64::BITS) as usize;

/// The size of the filter for all rows of a file. With ten million rows, one in
/// thirty is mistaken for a repeated one.
const SEEN_BYTES: usize = 8 << 20;

/// The size of the filter for rows that were, or may have been, seen before.
const AGAIN_BYTES: usize = 2 << 20;

/// A set of hashes with false positives, but without false negatives (a blocked
/// Bloom filter).
pub struct Filter(Vec<[u64; WORDS]>);

impl Filter {
    fn new(bytes: usize) -> Self {
        Self(vec![[0; WORDS]; bytes / size_of::<[u64; WORDS]>()])
    }

    /// Adds a hash. Returns whether it may have been there already.
    pub fn insert(&mut self, hash: u128) -> bool {
        let (block, bits) = self.place(hash);
        let block = &mut self.0[block];
        let mut there = true;
        for (word, bit) in bits {
            there &= block[word] & bit != 0;
            block[word] |= bit;
        }
        there
    }

    /// Whether a hash may be in the set.
    pub fn contains(&self, hash: u128) -> bool {
        let (block, mut bits) = self.place(hash);
        bits.all(|(word, bit)| self.0[block][word] & bit != 0)
    }

    /// The block of a hash, and its bits there.
    fn place(&self, hash: u128) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let (high, low) = ((hash >> 64) as u64, hash as u64);
        let block = high as usize % self.0.len();
        let bits = (0..BITS).map(move |number| {
            let bit = (low >> (number * BLOCK.ilog2())) as u32 % BLOCK;
            ((bit / u64::BITS) as usize, 1 << (bit % u64::BITS))
        });
        (block, bits)
    }
}

/// Only one file at a time is counted, so that memory is needed only once.
static TURN: Mutex<()> = Mutex::new(());

/// Finds the hashes that may occur more than once in a file.
pub struct Counting {
    seen: Filter,
    again: Filter,
    _turn: MutexGuard<'static, ()>,
}

impl Counting {
    /// Waits until no other file is being counted.
    pub fn new() -> Self {
        Self {
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
            seen: Filter::new(SEEN_BYTES),
            again: Filter::new(AGAIN_BYTES),
        }
    }

    /// Adds a row. `may_repeat` means that it may have occurred in an earlier
    /// file.
    pub fn note(&mut self, hash: u128, may_repeat: bool) {
        if self.seen.insert(hash) || may_repeat {
            self.again.insert(hash);
        }
    }

    /// A filter for the hashes that occur more than once, and a few others.
    pub fn finish(self) -> Filter {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn hash(number: u64) -> u128 {
        xxh3_128(&number.to_le_bytes())
    }

    #[test]
    fn finds_all_that_come_again_and_few_others() {
        let rows = 2_000_000;
        let mut counting = Counting::new();
        for number in (0..rows).chain((0..rows).step_by(100)) {
            counting.note(hash(number), number == 7);
        }
        let again = counting.finish();
        assert!(
            (0..rows)
                .step_by(100)
                .all(|number| again.contains(hash(number)))
        );
        assert!(again.contains(hash(7)));
        let found = (0..rows).filter(|number| again.contains(hash(*number)));
        assert!(found.count() < 23_000);
    }
}
