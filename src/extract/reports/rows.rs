//! Writes the rows of a report's files as RECORD messages.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use xxhash_rust::xxh3::xxh3_128;

use super::columns::{Aliases, Columns, nameless};
use super::repeats::Repeats;
use super::unpack::{self, BadFile, for_each_csv};
use crate::error::Error;
use crate::extract::ids::Ids;
use crate::freshchat::clock;
use crate::singer::{Output, RecordWriter};

/// Written at once, in bytes.
const BATCH: usize = 64 * 1024;

/// The property that names a row for good.
const ROW_ID: &str = "_row_id";

/// The property that names the conversation of a row.
const CONVERSATION_ID: &str = "conversation_id";

/// Stands before each cell that is hashed; no UTF-8 text has it.
const SEPARATOR: u8 = 0xff;

/// Before this row, all are only counted.
const NO_ROW: u64 = u64::MAX;

/// The beginning of an unusable header that is shown, in characters.
const SHOWN_HEADER: usize = 200;

/// Why the rows of a file weren't written to the end.
#[derive(Debug)]
pub enum RowError {
    File(BadFile),
    Run(Error),
}

/// Why a pass over a file ended early.
enum Halt {
    Error(RowError),
    /// At this row, counted from 0: its time is out of order, and identical
    /// rows may have been forgotten.
    OutOfOrder(u64),
}

impl From<BadFile> for RowError {
    fn from(error: BadFile) -> Self {
        RowError::File(error)
    }
}

impl From<BadFile> for Halt {
    fn from(error: BadFile) -> Self {
        Halt::Error(error.into())
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        Halt::Error(RowError::Run(error.into()))
    }
}

/// Writes the files of one report stream.
pub struct RowWriter {
    records: RecordWriter,
    layout: Layout,
}

/// What the columns of the report's files mean.
#[derive(Clone, Copy)]
struct Layout {
    event: &'static str,
    aliases: Aliases,
    /// The place of `_row_id`, for reports whose rows have no key of their own.
    row_id: Option<usize>,
    /// The place of the property that the rows may be ordered by.
    time: Option<usize>,
}

impl RowWriter {
    /// A writer for the report of an event; `time` is the replication key.
    pub fn new(records: RecordWriter, event: &'static str, aliases: Aliases, time: &str) -> Self {
        let layout = Layout {
            event,
            aliases,
            row_id: records.fields().find(ROW_ID, 0),
            time: records.fields().find(time, 0),
        };
        Self { records, layout }
    }

    /// Number of rows written.
    pub fn written(&self) -> u64 {
        self.records.written()
    }

    /// Reads a file to its end without writing any row, so that a damaged one
    /// is found before, or one that is none of this report. `most` bounds what
    /// it may unpack to, in bytes.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn check(&self, file: &mut File, most: u64) -> Result<(), BadFile> {
        unpack::check(file, most, |name, content| {
            match read_header(&mut csv_reader(content))? {
                Some(header) => self.columns(name, &header).map(drop),
                None => Ok(()),
            }
        })
    }

    /// Writes all rows of the last of a job's files, which was checked; those
    /// of the files before are written, and counted in `repeats`.
    ///
    /// # Errors
    /// [`RowError::File`] where a file can't be read, [`RowError::Run`] where
    /// stdout can't be written to.
    pub fn write(
        &mut self,
        files: &mut [File],
        repeats: &mut Repeats,
        output: &Output,
    ) -> Result<(), RowError> {
        let Some((last, earlier)) = files.split_last_mut() else {
            return Ok(());
        };
        self.records.extracted_at(clock::now());
        let written = match self.write_from(0, repeats, last, output) {
            Err(Halt::OutOfOrder(row)) => {
                *repeats = Repeats::of_all_rows();
                let mut counted = earlier
                    .iter_mut()
                    .map(|file| self.write_from(NO_ROW, repeats, file, output));
                let counted = counted.try_for_each(|counted| counted);
                counted.and_then(|()| self.write_from(row, repeats, last, output))
            }
            written => written,
        };
        written.map_err(|halt| match halt {
            Halt::Error(error) => error,
            Halt::OutOfOrder(_) => unreachable!("all rows are remembered"),
        })
    }

    /// Adds the conversations that a file names, which was checked.
    ///
    /// # Errors
    /// [`RowError::File`] where it can't be read.
    pub fn find_conversations(&self, file: &mut File, found: &mut Ids) -> Result<(), RowError> {
        let find = |name: &str, content: &mut dyn Read| {
            let mut reader = csv_reader(content);
            let Some(header) = read_header(&mut reader)? else {
                return Ok(());
            };
            let columns = self.columns(name, &header)?;
            let field = self.records.fields().find(CONVERSATION_ID, 0);
            let Some(column) = field.and_then(|field| columns.of_field[field]) else {
                return Err(unusable(&header, &format!("{name} lacks `{CONVERSATION_ID}`")).into());
            };
            for_each_row(&mut reader, |row| {
                if let Some(id) = row.get(column).map(str::trim).filter(|id| !id.is_empty()) {
                    found.insert(id);
                }
                Ok(())
            })
        };
        for_each_csv(file, find)
    }

    /// Writes the rows from the `first` one on; those before are only counted.
    fn write_from(
        &mut self,
        first: u64,
        repeats: &mut Repeats,
        file: &mut File,
        output: &Output,
    ) -> Result<(), Halt> {
        let layout = self.layout;
        let mut hashed = Vec::new();
        let mut lines = Vec::with_capacity(2 * BATCH);
        let mut number = 0;
        for_each_csv(file, |name, content| {
            let mut reader = csv_reader(content);
            let Some(header) = read_header(&mut reader)? else {
                return Ok(());
            };
            let columns = self.columns(name, &header)?;
            for_each_row(&mut reader, |row| {
                let row = without_nul(row, &mut self.records);
                let mut row_id = None;
                if let Some(at) = layout.row_id {
                    let hash = layout.hash(&columns, &row, &mut hashed);
                    let Some(earlier) = repeats.count(layout.time_of(&columns, &row), hash) else {
                        output.records(&lines)?;
                        return Err(Halt::OutOfOrder(number));
                    };
                    row_id = Some((at, hex(numbered(hash, earlier))));
                }
                number += 1;
                if number > first {
                    write_row(&mut self.records, &columns, &row, &row_id, &mut lines);
                }
                if lines.len() >= BATCH {
                    output.records(&lines)?;
                    lines.clear();
                }
                Ok(())
            })
        })?;
        Ok(output.records(&lines)?)
    }

    /// The columns of a file with this header.
    fn columns(&self, file: &str, header: &StringRecord) -> Result<Columns, BadFile> {
        let fields = self.records.fields();
        let Some(columns) = Columns::new(header, fields, self.layout.aliases) else {
            return Err(unusable(header, &format!("no column of {file} is known")));
        };
        let missing = self
            .records
            .keys()
            .iter()
            .find(|key| Some(**key) != self.layout.row_id && columns.of_field[**key].is_none());
        match missing {
            None => Ok(columns),
            Some(key) => {
                let name = &fields.list()[*key].name;
                Err(unusable(header, &format!("{file} lacks the key `{name}`")))
            }
        }
    }
}

impl Layout {
    fn time_of<'a>(&self, columns: &Columns, row: &'a StringRecord) -> &'a [u8] {
        let column = self.time.and_then(|time| columns.of_field[time]);
        column
            .and_then(|column| row.get(column))
            .unwrap_or_default()
            .as_bytes()
    }

    /// The hash of the event and of each cell that isn't empty, in the order
    /// of the columns' hashed names: the same row has the same hash in every
    /// file, also if columns move, or new ones come that are empty.
    fn hash(&self, columns: &Columns, row: &StringRecord, hashed: &mut Vec<u8>) -> u128 {
        hashed.clear();
        hashed.extend_from_slice(self.event.as_bytes());
        let mut take = |column: u64, cell: &str| {
            if !cell.is_empty() {
                hashed.push(SEPARATOR);
                hashed.extend_from_slice(&column.to_le_bytes());
                hashed.extend_from_slice(cell.as_bytes());
            }
        };
        for (column, at) in &columns.hashed {
            take(*column, row.get(*at).unwrap_or_default());
        }
        for at in columns.hashed.len()..row.len() {
            take(at as u64, &row[at]);
        }
        xxh3_128(hashed)
    }
}

fn unusable(header: &StringRecord, problem: &str) -> BadFile {
    let header: String = header.iter().collect::<Vec<_>>().join(",");
    let shown: String = header.chars().take(SHOWN_HEADER).collect();
    BadFile::Unusable(format!("{problem}; its header is: {shown}"))
}

/// The row's hash, or for the second and later identical row of a job, one of
/// the hash and how many came before.
fn numbered(hash: u128, earlier: u32) -> u128 {
    match earlier {
        0 => hash,
        _ => xxh3_128(&[hash.to_le_bytes().as_slice(), &earlier.to_le_bytes()].concat()),
    }
}

/// The text of a row's id.
fn hex(hash: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = hash.to_be_bytes();
    std::array::from_fn(|at| {
        let shift = if at % 2 == 0 { 4 } else { 0 };
        DIGITS[usize::from(bytes[at / 2] >> shift & 15)]
    })
}

/// A row that is too short or too long is a matter of that row.
fn csv_reader(content: &mut dyn Read) -> Reader<&mut dyn Read> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BATCH)
        .from_reader(content)
}

/// The first row; none in an empty file.
fn read_header(reader: &mut Reader<&mut dyn Read>) -> Result<Option<StringRecord>, BadFile> {
    let mut header = ByteRecord::new();
    let read = reader.read_byte_record(&mut header).map_err(damaged)?;
    Ok(read.then(|| StringRecord::from_byte_record_lossy(header)))
}

/// Calls `each` with the further rows, in one buffer. Bytes that are no UTF-8
/// are replaced.
fn for_each_row<E: From<BadFile>>(
    reader: &mut Reader<&mut dyn Read>,
    mut each: impl FnMut(&StringRecord) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes = ByteRecord::new();
    while reader.read_byte_record(&mut bytes).map_err(damaged)? {
        let row = StringRecord::from_byte_record(bytes)
            .unwrap_or_else(|error| StringRecord::from_byte_record_lossy(error.into_byte_record()));
        each(&row)?;
        bytes = row.into_byte_record();
    }
    Ok(())
}

fn damaged(error: csv::Error) -> BadFile {
    BadFile::Damaged(error.to_string())
}

fn write_row(
    records: &mut RecordWriter,
    columns: &Columns,
    row: &StringRecord,
    row_id: &Option<(usize, [u8; 32])>,
    lines: &mut Vec<u8>,
) {
    let cell = |field: usize| match row_id {
        Some((at, id)) if *at == field => std::str::from_utf8(id).unwrap_or_default(),
        _ => {
            let column = columns.of_field[field];
            column.and_then(|at| row.get(at)).unwrap_or_default()
        }
    };
    let named = columns
        .unknown
        .iter()
        .map(|(name, at)| (Cow::Borrowed(name.as_str()), *at));
    // Cells behind the header's last column have no name but their place.
    let nameless = (columns.hashed.len()..row.len()).map(|at| (Cow::Owned(nameless(at)), at));
    let unknown = named
        .chain(nameless)
        .filter_map(|(name, at)| Some((name, row.get(at).filter(|cell| !cell.is_empty())?)));
    if row.len() < columns.hashed.len() {
        records.warn_once(
            "\0short",
            "a row has fewer cells than the header; the rest is null",
        );
    }
    records.write_texts(cell, unknown, lines);
}

/// The row without NUL characters, which PostgreSQL refuses.
fn without_nul<'a>(row: &'a StringRecord, records: &mut RecordWriter) -> Cow<'a, StringRecord> {
    let text = row.as_slice();
    match memchr::memchr(0, text.as_bytes()) {
        None => Cow::Borrowed(row),
        Some(_) => {
            records.count_nuls(text.matches('\0').count() as u64);
            Cow::Owned(row.iter().map(|cell| cell.replace('\0', "")).collect())
        }
    }
}
