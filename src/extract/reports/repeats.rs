//! Tells identical rows of one job apart.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Counts how often a row was seen, by its hash.
///
/// Identical rows have the same time. As long as the rows come in the order of
/// their times, forwards or backwards, only those of the current time are
/// remembered, and memory is bounded whatever the job's length. Else every row
/// has to be, at about 40 bytes each.
#[derive(Default)]
pub struct Repeats {
    time: Option<Vec<u8>>,
    direction: Option<Ordering>,
    seen: HashMap<u128, u32>,
    /// Whether all rows are remembered.
    all: bool,
}

impl Repeats {
    /// Remembers every row, whatever their order.
    pub fn of_all_rows() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// How many identical rows came before this one; `time` is the row's time,
    /// as the file has it. None: it is out of order, and identical rows may
    /// have been forgotten.
    pub fn count(&mut self, time: &[u8], hash: u128) -> Option<u32> {
        if !self.all && !self.follows(time) {
            return None;
        }
        let seen = self.seen.entry(hash).or_insert(0);
        let earlier = *seen;
        *seen += 1;
        Some(earlier)
    }

    /// Whether the row is in order; it is the last one then.
    fn follows(&mut self, time: &[u8]) -> bool {
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
        self.seen.clear();
        *self.direction.get_or_insert(order) == order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mut repeats: Repeats, rows: &[(&str, u128)]) -> Option<Vec<u32>> {
        let count = |(time, hash): &(&str, u128)| repeats.count(time.as_bytes(), *hash);
        rows.iter().map(count).collect()
    }

    #[test]
    fn counts_identical_rows_in_both_orders() {
        let rows = [("1", 7), ("1", 8), ("1", 7), ("2", 7), ("3", 9), ("3", 9)];
        let in_order = counts(Repeats::default(), &rows);
        assert_eq!(in_order, Some(vec![0, 0, 1, 0, 0, 1]));
        let rows = [("3", 9), ("3", 9), ("2", 7), ("1", 5), ("1", 5)];
        assert_eq!(counts(Repeats::default(), &rows), Some(vec![0, 1, 0, 0, 1]));
    }

    #[test]
    fn says_when_it_may_have_forgotten_a_row() {
        let rows = [("1", 7), ("2", 8), ("1", 7), ("1", 7), ("2", 8)];
        assert_eq!(counts(Repeats::default(), &rows), None);
        assert_eq!(
            counts(Repeats::of_all_rows(), &rows),
            Some(vec![0, 0, 1, 2, 1])
        );
    }

    #[test]
    fn remembers_one_time_while_rows_are_in_order() {
        let mut repeats = Repeats::default();
        for row in 0..1000 {
            let time = format!("{:04}", row / 2);
            assert_eq!(repeats.count(time.as_bytes(), row), Some(0));
        }
        assert!(repeats.seen.len() <= 2);
    }
}
