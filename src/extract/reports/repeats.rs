//! Numbers the rows of a job that share their identity.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use super::filter::{Counting, Filter};
use super::hash_tally::{HashTally, IN_MEMORY};
use super::identity::{Key, Stamp};

/// How many bytes of the log are written at once.
const CHUNK: usize = 64 * 1024;

/// Numbers the rows of a job that share an identity, in the order of its parts.
///
/// Rows with the same identity have the same time. While the rows of a part are
/// sorted by time, in either direction, only those of the current time are
/// remembered. If they are not sorted, a pass over the part's file finds the
/// rows that may share their identity ([`Counting`]), and only these are
/// counted. In both cases, memory is bounded for any length of the job.
pub struct Repeats {
    earlier: Earlier,
    numbering: Numbering,
}

enum Numbering {
    InOrder(InOrder),
    Counted { again: Filter, tally: HashTally },
}

impl Repeats {
    /// For a job with this many parts.
    pub fn new(parts: usize) -> Self {
        Self {
            earlier: Earlier {
                logged: parts > 1,
                parts: RowSpan::default(),
                part: RowSpan::default(),
                log: None,
                buffer: Vec::new(),
                length: 0,
            },
            numbering: Numbering::InOrder(InOrder::default()),
        }
    }

    /// Begins the next part.
    ///
    /// # Errors
    /// If a temporary file can't be created or written.
    pub fn begin_part(&mut self) -> io::Result<()> {
        self.numbering = Numbering::InOrder(InOrder::default());
        self.earlier.close_part()
    }

    /// Checks the order of the part's rows before they are numbered.
    pub fn order(&self) -> Order<'_> {
        Order {
            earlier: &self.earlier,
            rows: InOrder::default(),
        }
    }

    /// Switches to counting the part's rows that may share their identity, in
    /// any order.
    ///
    /// # Errors
    /// If a temporary file can't be created, read or written.
    pub fn count(&mut self, again: Filter) -> io::Result<()> {
        let mut tally = HashTally::default();
        self.earlier.replay(|hash| match again.contains(hash) {
            true => tally.add(hash).map(drop),
            false => Ok(()),
        })?;
        self.numbering = Numbering::Counted { again, tally };
        Ok(())
    }

    /// How many rows with the same identity came before in the job. `None` if
    /// the part is out of order, and must be counted.
    ///
    /// # Errors
    /// If a temporary file can't be created, read or written.
    pub fn number(&mut self, key: Key) -> io::Result<Option<u32>> {
        match &mut self.numbering {
            Numbering::InOrder(rows) => Ok(rows.number(key, &self.earlier)),
            Numbering::Counted { again, .. } if !again.contains(key.hash) => Ok(Some(0)),
            Numbering::Counted { tally, .. } => tally.add(key.hash).map(Some),
        }
    }

    /// Records a written row, for the parts that follow.
    ///
    /// # Errors
    /// If a temporary file can't be created or written.
    pub fn written(&mut self, key: Key) -> io::Result<()> {
        self.earlier.note(key)
    }
}

/// Checks the rows of a part before they are numbered.
pub struct Order<'a> {
    earlier: &'a Earlier,
    rows: InOrder,
}

impl Order<'_> {
    /// Whether this row continues the order, and can't have occurred in an
    /// earlier part.
    pub fn follows(&mut self, key: Key) -> bool {
        self.rows.number(key, self.earlier).is_some()
    }

    /// Adds a row of a part that is out of order.
    pub fn note(&self, key: Key, counting: &mut Counting) {
        counting.note(key.hash, self.earlier.parts.may_have(key));
    }
}

/// Rows sorted by time.
#[derive(Default)]
struct InOrder {
    time: Option<Stamp>,
    direction: Option<Ordering>,
    /// The rows of the current time.
    seen: HashMap<u128, u32>,
}

impl InOrder {
    fn number(&mut self, key: Key, earlier: &Earlier) -> Option<u32> {
        // A row without a time may be anywhere.
        let time = key.time.filter(|_| !earlier.parts.may_have(key))?;
        let order = self.time.map_or(Ordering::Equal, |last| time.cmp(&last));
        self.time = Some(time);
        if order != Ordering::Equal {
            self.seen.clear();
            if *self.direction.get_or_insert(order) != order {
                return None;
            }
        }
        let seen = self.seen.entry(key.hash).or_default();
        let before = *seen;
        *seen += 1;
        (self.seen.len() <= IN_MEMORY).then_some(before)
    }
}

/// The rows of earlier parts with which later ones may share their identity.
struct Earlier {
    /// Whether more parts follow, so that rows must be recorded.
    logged: bool,
    parts: RowSpan,
    /// The current part, which is not included in `parts`.
    part: RowSpan,
    /// The hashes of all rows so far.
    log: Option<File>,
    buffer: Vec<u8>,
    /// The length of the log for earlier parts, in bytes.
    length: u64,
}

impl Earlier {
    fn note(&mut self, key: Key) -> io::Result<()> {
        if !self.logged {
            return Ok(());
        }
        self.part.extend(key.time, key.time);
        self.part.timeless |= key.time.is_none();
        self.buffer.extend_from_slice(&key.hash.to_le_bytes());
        match self.buffer.len() < CHUNK {
            true => Ok(()),
            false => self.write_buffer(),
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(tempfile::tempfile()?),
        };
        log.seek(SeekFrom::End(0))?;
        log.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Adds the current part to the earlier ones.
    fn close_part(&mut self) -> io::Result<()> {
        self.write_buffer()?;
        if let Some(log) = &mut self.log {
            self.length = log.seek(SeekFrom::End(0))?;
        }
        let part = std::mem::take(&mut self.part);
        self.parts.extend(part.first, part.last);
        self.parts.timeless |= part.timeless;
        Ok(())
    }

    /// Calls `each` with the hash of each row of earlier parts.
    fn replay(&mut self, mut each: impl FnMut(u128) -> io::Result<()>) -> io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.seek(SeekFrom::Start(0))?;
        let mut hashes = BufReader::with_capacity(CHUNK, log).take(self.length);
        let mut hash = [0; size_of::<u128>()];
        for _ in 0..self.length / size_of::<u128>() as u64 {
            hashes.read_exact(&mut hash)?;
            each(u128::from_le_bytes(hash))?;
        }
        Ok(())
    }
}

/// The time range of some rows.
#[derive(Default)]
struct RowSpan {
    first: Option<Stamp>,
    last: Option<Stamp>,
    /// Whether some rows have no time.
    timeless: bool,
}

impl RowSpan {
    fn extend(&mut self, first: Option<Stamp>, last: Option<Stamp>) {
        self.first = [self.first, first].into_iter().flatten().min();
        self.last = self.last.max(last);
    }

    /// Whether a row with this time may be among them.
    fn may_have(&self, key: Key) -> bool {
        match key.time {
            None => self.timeless,
            Some(_) => self.first <= key.time && key.time <= self.last && self.first.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// Numbers rows as a writer does. Each is a time (0 for none) and a hash.
    fn number(parts: &[&[(i64, u128)]]) -> Vec<u32> {
        let mut repeats = Repeats::new(parts.len());
        let mut numbers = Vec::new();
        for part in parts {
            repeats.begin_part().unwrap();
            let keys = || {
                part.iter().map(|(time, hash)| Key {
                    hash: *hash,
                    time: DateTime::from_timestamp(*time, 0)
                        .filter(|_| *time != 0)
                        .map(Stamp::at),
                })
            };
            let mut own: Vec<Option<u32>> =
                keys().map(|key| repeats.number(key).unwrap()).collect();
            if own.contains(&None) {
                let mut counting = Counting::new();
                keys().for_each(|key| repeats.order().note(key, &mut counting));
                repeats.count(counting.finish()).unwrap();
                own = keys().map(|key| repeats.number(key).unwrap()).collect();
            }
            keys().for_each(|key| repeats.written(key).unwrap());
            numbers.extend(own.into_iter().flatten());
        }
        numbers
    }

    #[test]
    fn numbers_rows_in_any_order() {
        let rows: &[(i64, u128)] = &[(1, 7), (1, 8), (1, 7), (2, 9), (3, 5), (3, 5)];
        let backwards: Vec<_> = rows.iter().rev().copied().collect();
        let mixed: &[(i64, u128)] = &[(3, 5), (1, 7), (2, 9), (1, 8), (3, 5), (1, 7)];
        let timeless: &[(i64, u128)] = &[(0, 4), (1, 7), (0, 4)];
        for (rows, expected) in [
            (rows, vec![0, 0, 1, 0, 0, 1]),
            (&backwards, vec![0, 1, 0, 0, 0, 1]),
            (mixed, vec![0, 0, 0, 0, 1, 1]),
            (timeless, vec![0, 0, 1]),
        ] {
            assert_eq!(number(&[rows]), expected);
        }
    }

    #[test]
    fn numbers_rows_over_all_parts_of_a_job() {
        let first: &[(i64, u128)] = &[(1, 7), (2, 8), (0, 4)];
        let later: &[(i64, u128)] = &[(3, 9), (3, 9)];
        assert_eq!(
            number(&[first, later, first, later, first]),
            [0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 2, 2, 2]
        );
    }

    #[test]
    fn remembers_one_time_while_rows_are_in_order() {
        let mut rows = InOrder::default();
        let earlier = Repeats::new(1).earlier;
        for row in 0..1000 {
            let time = DateTime::from_timestamp(row / 2, 0).map(Stamp::at);
            let hash = row as u128;
            assert_eq!(rows.number(Key { hash, time }, &earlier), Some(0));
        }
        assert!(rows.seen.len() <= 2);
    }
}
