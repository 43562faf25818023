//! Remembers which ids were seen, with low memory use.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The random hash keys of this run, so that no account's ids collide in every
/// run.
static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();

/// A set of ids of any form. It stores 16 bytes for each: two hashes with
/// random keys. A million ids take less than 64 MiB.
#[derive(Default)]
pub struct Seen(HashSet<u128>);

impl Seen {
    /// Adds an id. Returns false if it was already there.
    pub fn insert(&mut self, id: &str) -> bool {
        let keys = KEYS.get_or_init(Default::default);
        let [high, low] = keys.each_ref().map(|key| u128::from(key.hash_one(id)));
        self.0.insert(high << 64 | low)
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
