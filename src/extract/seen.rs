//! Remembers which ids were seen, with low memory use.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The random seed of this run, so that no account's ids collide in every run.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// A set of ids of any form. It stores 16 bytes for each, a hash. A million ids
/// take less than 64 MiB.
#[derive(Default)]
pub struct Seen(HashSet<u128, BuildHasherDefault<HashPart>>);

/// The hash by which an id is remembered. It differs between runs.
pub fn hash(id: &str) -> u128 {
    xxh3_128_with_seed(id.as_bytes(), *SEED)
}

/// The hash of a hash: a part of it.
#[derive(Default)]
struct HashPart(u64);

impl Hasher for HashPart {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, hash: &[u8]) {
        if let Some(part) = hash.first_chunk() {
            self.0 = u64::from_ne_bytes(*part);
        }
    }
}

impl Seen {
    /// Adds an id. Returns false if it was already there.
    pub fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(hash(id))
    }

    /// Adds an id by its hash. Returns false if it was already there.
    pub fn insert_hash(&mut self, hash: u128) -> bool {
        self.0.insert(hash)
    }

    /// Adds the ids of another set.
    pub fn add(&mut self, other: &Seen) {
        self.0.extend(&other.0);
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all ids.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_ids_are_told_apart_in_64_mib() {
        let mut seen = Seen::default();
        let ids = || (0..1_000_000).map(|n| format!("59b838d2-f0ce-4a08-b037-{n:012}"));
        assert!(ids().all(|id| seen.insert(&id)));
        assert!(ids().step_by(100).all(|id| !seen.insert(&id)));
        // The table has a slot and a byte for each id, with an eighth of the
        // slots unused. While it grows, half of it exists twice.
        let table = seen.0.capacity() * 8 / 7 * (size_of::<u128>() + 1);
        assert!(table * 3 / 2 < 64 << 20, "{table}");
        seen.clear();
        assert!(ids().take(9).all(|id| seen.insert(&id)));
    }
}
