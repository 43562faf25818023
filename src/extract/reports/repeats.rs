//! Tells identical rows of one file apart.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Whether rows come in the order of their times, forwards or backwards.
#[derive(Default)]
pub struct Order {
    time: Option<Vec<u8>>,
    direction: Option<Ordering>,
}

impl Order {
    /// Takes the next row's time, as the file has it. False: it is out of order.
    pub fn takes(&mut self, time: &[u8]) -> bool {
        let Some(last) = &mut self.time else {
            self.time = Some(time.to_vec());
            return true;
        };
        let order = time.cmp(last.as_slice());
        if order == Ordering::Equal {
            return true;
        }
        last.clear();
        last.extend_from_slice(time);
        *self.direction.get_or_insert(order) == order
    }
}

/// Counts how often a row was seen, by its hash.
///
/// Identical rows have the same time. Where the rows are ordered by it, only
/// those of the current time are remembered, and memory is bounded whatever
/// the file's length; else every row is, at about 40 bytes each.
pub struct Repeats {
    ordered: bool,
    time: Vec<u8>,
    seen: HashMap<u128, u32>,
}

impl Repeats {
    pub fn new(ordered: bool) -> Self {
        Self {
            ordered,
            time: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// How many identical rows came before this one.
    pub fn count(&mut self, time: &[u8], hash: u128) -> u32 {
        if self.ordered && time != self.time.as_slice() {
            self.seen.clear();
            self.time.clear();
            self.time.extend_from_slice(time);
        }
        let seen = self.seen.entry(hash).or_insert(0);
        let earlier = *seen;
        *seen += 1;
        earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ordered: bool, rows: &[(&str, u128)]) -> Vec<u32> {
        let mut repeats = Repeats::new(ordered);
        let count = |(time, hash): &(&str, u128)| repeats.count(time.as_bytes(), *hash);
        rows.iter().map(count).collect()
    }

    #[test]
    fn counts_identical_rows() {
        let rows = [("1", 7), ("1", 8), ("1", 7), ("2", 7), ("3", 9), ("3", 9)];
        assert_eq!(counts(true, &rows), [0, 0, 1, 0, 0, 1]);
        assert_eq!(
            counts(false, &[("1", 7), ("2", 8), ("1", 7), ("1", 7)]),
            [0, 0, 1, 2]
        );
    }

    #[test]
    fn knows_both_orders() {
        let ordered = |times: &[&str]| {
            let mut order = Order::default();
            times.iter().all(|time| order.takes(time.as_bytes()))
        };
        assert!(ordered(&["1", "1", "2", "2", "3"]));
        assert!(ordered(&["3", "2", "2", "1"]));
        assert!(ordered(&["", "1", "2"]));
        assert!(ordered(&[]));
        assert!(!ordered(&["1", "2", "1"]));
        assert!(!ordered(&["2", "1", "2"]));
    }
}
