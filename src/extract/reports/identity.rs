//! The identity of a row, and the id computed from it.

use csv::StringRecord;
use xxhash_rust::xxh3::xxh3_128;

use super::columns::Columns;
use crate::extract::window::Window;
use crate::timestamp;

/// Separates hashed values. This byte doesn't occur in UTF-8.
const SEPARATOR: u8 = 0xff;

/// What permanently identifies a row of a report. Everything else in the row
/// may be renamed, reassigned or filled in later.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The columns that identify the row's subject. Each is a list of
    /// alternatives; the first non-empty one is used.
    pub of: &'static [&'static [&'static str]],
    pub time: RowTime,
}

/// The time by which a report is windowed. Rows with the same identity are
/// therefore in the same job.
#[derive(Debug, Clone, Copy)]
pub enum RowTime {
    Column(&'static str),
    /// The requested period, because the row is a sum over it.
    Period,
}

/// A time in the format of the records, in UTC with milliseconds. Its byte
/// order is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp([u8; 24]);

impl Stamp {
    /// Reads a cell. `None` if it is not a time.
    pub fn of(cell: &str) -> Option<Self> {
        let cell = cell.trim();
        if timestamp::is_canonical(cell.as_bytes()) {
            return cell.as_bytes().try_into().ok().map(Self);
        }
        timestamp::from_json(cell).map(Self::at)
    }

    /// The stamp of a time.
    pub fn at(time: chrono::DateTime<chrono::Utc>) -> Self {
        let mut stamp = [b'9'; 24];
        let text = timestamp::format(time);
        // Years with more than four digits are later than all others.
        if text.len() == stamp.len() {
            stamp.copy_from_slice(text.as_bytes());
        }
        Self(stamp)
    }
}

/// The key of a row.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The hash of its event and identity.
    pub hash: u128,
    /// The time of the row. `None` if the whole row is hashed.
    pub time: Option<Stamp>,
}

/// Computes the keys of a file's rows.
pub struct Keys<'a> {
    event: &'static str,
    columns: &'a Columns,
    /// The columns of each part of the identity, in order of preference.
    of: Vec<Vec<usize>>,
    time: Option<usize>,
    period: Option<Stamp>,
    buffer: Vec<u8>,
}

impl<'a> Keys<'a> {
    /// For a file with these columns, from a job with this window.
    pub fn new(
        event: &'static str,
        identity: &Identity,
        columns: &'a Columns,
        window: Window,
    ) -> Self {
        let places = |names: &&[&str]| names.iter().filter_map(|name| columns.find(name)).collect();
        let (time, period) = match identity.time {
            RowTime::Column(name) => (columns.find(name), None),
            RowTime::Period => (None, Some(Stamp::at(window.to))),
        };
        Self {
            event,
            columns,
            of: identity.of.iter().map(places).collect(),
            time,
            period,
            buffer: Vec::new(),
        }
    }

    /// The key of a row. If part of the identity is missing, the whole row is
    /// hashed.
    pub fn of(&mut self, row: &StringRecord) -> Key {
        match self.identity(row) {
            Some(time) => Key {
                hash: xxh3_128(&self.buffer),
                time: Some(time),
            },
            None => Key {
                hash: self.whole(row),
                time: None,
            },
        }
    }

    /// Writes the identity of the row into the buffer, with values as they are
    /// emitted. Returns its time, or `None` if part of the identity is missing.
    fn identity(&mut self, row: &StringRecord) -> Option<Stamp> {
        let cell = |column: &usize| {
            row.get(*column)
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
        };
        let time = match self.period {
            Some(period) => period,
            None => Stamp::of(row.get(self.time?)?)?,
        };
        self.buffer.clear();
        self.buffer.extend_from_slice(self.event.as_bytes());
        for columns in &self.of {
            self.buffer.push(SEPARATOR);
            let id = columns.iter().find_map(cell)?;
            self.buffer.extend_from_slice(id.as_bytes());
        }
        self.buffer.push(SEPARATOR);
        self.buffer.extend_from_slice(&time.0);
        Some(time)
    }

    /// Hashes the event and all non-empty cells, in the order of the columns'
    /// hashed names. The same row then has the same hash in every file, even if
    /// columns move or empty ones are added.
    fn whole(&mut self, row: &StringRecord) -> u128 {
        self.buffer.clear();
        self.buffer.extend_from_slice(self.event.as_bytes());
        let buffer = &mut self.buffer;
        let mut take = |column: u64, cell: &str| {
            if !cell.is_empty() {
                buffer.push(SEPARATOR);
                buffer.extend_from_slice(&column.to_le_bytes());
                buffer.extend_from_slice(cell.as_bytes());
            }
        };
        for (column, at) in &self.columns.hashed {
            take(*column, row.get(*at).unwrap_or_default());
        }
        for at in self.columns.hashed.len()..row.len() {
            take(at as u64, &row[at]);
        }
        xxh3_128(&self.buffer)
    }
}

/// The id of a row: its hash. If `earlier` rows of the job have the same hash,
/// it is a hash of both.
pub fn row_id(hash: u128, earlier: u32) -> [u8; 32] {
    hex(match earlier {
        0 => hash,
        _ => xxh3_128(&[hash.to_le_bytes().as_slice(), &earlier.to_le_bytes()].concat()),
    })
}

fn hex(hash: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = hash.to_be_bytes();
    std::array::from_fn(|at| {
        let shift = if at % 2 == 0 { 4 } else { 0 };
        DIGITS[usize::from(bytes[at / 2] >> shift & 15)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_time_in_any_form() {
        let stamp = Stamp::of("2020-01-23T12:04:48.800Z");
        for cell in [
            " 2020-01-23 12:04:48.8 ",
            "1579781088800",
            "2020-01-23T13:04:48.8+01:00",
        ] {
            assert_eq!(Stamp::of(cell), stamp, "{cell}");
        }
        assert_eq!(Stamp::of("soon"), None);
        assert!(stamp < Stamp::of("2020-01-23T12:04:48.801Z"));
    }
}
