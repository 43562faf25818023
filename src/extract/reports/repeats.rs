//! Tells rows of one job apart that share their identity.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use super::filter::{Counting, Filter};
use super::identity::{Key, Stamp};
use super::tally::{IN_MEMORY, Tally};

/// Bytes of the log that are written at once.
const CHUNK: usize = 64 * 1024;

/// Numbers the rows of a job that share an identity, in the order of its parts.
///
/// Rows that share an identity have the same time. As long as the rows of a
/// part come in the order of their times, forwards or backwards, only those of
/// the current time are remembered. Where they don't, a pass over the part's
/// file finds the rows that may share theirs ([`Counting`]), and these are
/// counted. Memory is bounded either way, whatever the job's length.
pub struct Repeats {
    earlier: Earlier,
    numbering: Numbering,
}

enum Numbering {
    InOrder(InOrder),
    Counted { again: Filter, tally: Tally },
}

impl Repeats {
    /// For a job of so many parts.
    pub fn new(parts: usize) -> Self {
        Self {
            earlier: Earlier {
                logged: parts > 1,
                parts: Span::default(),
                part: Span::default(),
                log: None,
                buffer: Vec::new(),
                length: 0,
            },
            numbering: Numbering::InOrder(InOrder::default()),
        }
    }

    /// Begins with the next part.
    ///
    /// # Errors
    /// A temporary file can't be made or written.
    pub fn begin_part(&mut self) -> io::Result<()> {
        self.numbering = Numbering::InOrder(InOrder::default());
        self.earlier.close_part()
    }

    /// A tracker of the part's order, which is told of its rows before they
    /// are numbered.
    pub fn order(&self) -> Order<'_> {
        Order {
            earlier: &self.earlier,
            rows: InOrder::default(),
        }
    }

    /// Goes by the part's rows that may share their identity, whatever their
    /// order.
    ///
    /// # Errors
    /// A temporary file can't be made, read or written.
    pub fn count(&mut self, again: Filter) -> io::Result<()> {
        let mut tally = Tally::default();
        self.earlier.replay(|hash| match again.contains(hash) {
            true => tally.add(hash).map(drop),
            false => Ok(()),
        })?;
        self.numbering = Numbering::Counted { again, tally };
        Ok(())
    }

    /// How many rows with the same identity came before this one in the job.
    /// None: the part is out of order, and has to be counted.
    ///
    /// # Errors
    /// A temporary file can't be made, read or written.
    pub fn number(&mut self, key: Key) -> io::Result<Option<u32>> {
        match &mut self.numbering {
            Numbering::InOrder(rows) => Ok(rows.number(key, &self.earlier)),
            Numbering::Counted { again, .. } if !again.contains(key.hash) => Ok(Some(0)),
            Numbering::Counted { tally, .. } => tally.add(key.hash).map(Some),
        }
    }

    /// Notes a row that was written, for the parts behind.
    ///
    /// # Errors
    /// A temporary file can't be made or written.
    pub fn written(&mut self, key: Key) -> io::Result<()> {
        self.earlier.note(key)
    }
}

/// Looks at a part's rows before they are numbered.
pub struct Order<'a> {
    earlier: &'a Earlier,
    rows: InOrder,
}

impl Order<'_> {
    /// Whether this row follows the ones before, and can't have come with an
    /// earlier part.
    pub fn follows(&mut self, key: Key) -> bool {
        self.rows.number(key, self.earlier).is_some()
    }

    /// Notes a row of a part that is out of order.
    pub fn note(&self, key: Key, counting: &mut Counting) {
        counting.note(key.hash, self.earlier.parts.may_have(key));
    }
}

/// Rows in the order of their times.
#[derive(Default)]
struct InOrder {
    time: Option<Stamp>,
    direction: Option<Ordering>,
    /// Those of the current time.
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

/// The rows of the parts before, as far as later ones may share their identity.
struct Earlier {
    /// Whether parts come behind, so that rows have to be noted.
    logged: bool,
    parts: Span,
    /// The part at hand, which is not among those.
    part: Span,
    /// The hashes of all rows so far.
    log: Option<File>,
    buffer: Vec<u8>,
    /// Bytes of the log that are of the parts before.
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

    /// Puts the part at hand to those before.
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

    /// Calls `each` with the hash of each row of the parts before.
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

/// The times of some rows.
#[derive(Default)]
struct Span {
    first: Option<Stamp>,
    last: Option<Stamp>,
    /// Whether some have none.
    timeless: bool,
}

impl Span {
    fn extend(&mut self, first: Option<Stamp>, last: Option<Stamp>) {
        self.first = [self.first, first].into_iter().flatten().min();
        self.last = self.last.max(last);
    }

    /// Whether a row may be among these, going by its time.
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

    /// Numbers rows, each a time (0: none) and a hash, as a writer does.
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
