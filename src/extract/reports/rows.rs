//! Writes the rows of a report's files as RECORD messages.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use xxhash_rust::xxh3::xxh3_128;

use super::columns::{Aliases, Columns};
use super::repeats::{Order, Repeats};
use super::unpack::{BadFile, for_each_csv};
use crate::error::Error;
use crate::singer::{Output, RecordWriter};

/// Written at once, in bytes.
const BATCH: usize = 64 * 1024;

/// The property that names a row for good.
const ROW_ID: &str = "_row_id";

/// Stands between texts that are hashed; no UTF-8 text has it.
const SEPARATOR: u8 = 0xff;

/// The beginning of an unusable header that is shown, in characters.
const SHOWN_HEADER: usize = 200;

/// Why the rows of a file weren't written to the end.
#[derive(Debug)]
pub enum RowError {
    File(BadFile),
    Run(Error),
}

impl From<BadFile> for RowError {
    fn from(error: BadFile) -> Self {
        RowError::File(error)
    }
}

impl From<std::io::Error> for RowError {
    fn from(error: std::io::Error) -> Self {
        RowError::Run(error.into())
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
    /// is found before; true: its rows are in the order of their times.
    ///
    /// # Errors
    /// [`BadFile`]; also where no column of a CSV is known.
    pub fn check(&self, file: &mut File) -> Result<bool, BadFile> {
        let mut order = Order::default();
        let mut ordered = true;
        self.for_each_row(file, |columns, row| {
            ordered &= order.takes(self.layout.time_of(columns, row));
            Ok::<(), BadFile>(())
        })?;
        Ok(ordered)
    }

    /// Writes all rows of a file that was checked; `ordered` is what the check
    /// said.
    ///
    /// # Errors
    /// [`RowError::File`] where the file can't be read, [`RowError::Run`]
    /// where stdout can't be written to.
    pub fn write(
        &mut self,
        file: &mut File,
        ordered: bool,
        output: &Output,
    ) -> Result<(), RowError> {
        let layout = self.layout;
        let mut repeats = Repeats::new(ordered);
        let mut hashed = Vec::new();
        let mut lines = Vec::with_capacity(2 * BATCH);
        self.records.extracted_at(chrono::Utc::now());
        let fields = self.records.fields().clone();
        for_each_row(file, &fields, layout.aliases, |columns, row| {
            let row_id = layout.row_id.map(|at| {
                let hash = layout.hash(columns, row, &mut hashed);
                let earlier = repeats.count(layout.time_of(columns, row), hash);
                (at, row_id(hash, earlier))
            });
            write_row(&mut self.records, columns, row, row_id, &mut lines);
            if lines.len() >= BATCH {
                output.records(&lines)?;
                lines.clear();
            }
            Ok::<(), RowError>(())
        })?;
        Ok(output.records(&lines)?)
    }

    fn for_each_row<E: From<BadFile> + Send>(
        &self,
        file: &mut File,
        each: impl FnMut(&Columns, &ByteRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        for_each_row(file, self.records.fields(), self.layout.aliases, each)
    }
}

impl Layout {
    fn time_of<'a>(&self, columns: &Columns, row: &'a ByteRecord) -> &'a [u8] {
        let column = self.time.and_then(|time| columns.of_field[time]);
        column
            .and_then(|column| row.get(column))
            .unwrap_or_default()
    }

    /// The hash of the event and of each cell that isn't empty, in the order
    /// of the columns' normalised names: the same row has the same hash in
    /// every file, also if columns move, or new ones come that are empty.
    fn hash(&self, columns: &Columns, row: &ByteRecord, hashed: &mut Vec<u8>) -> u128 {
        hashed.clear();
        hashed.extend_from_slice(self.event.as_bytes());
        for (name, at) in &columns.sorted {
            let cell = row.get(*at).unwrap_or_default();
            if !cell.is_empty() {
                hashed.push(SEPARATOR);
                hashed.extend_from_slice(name.as_bytes());
                hashed.push(SEPARATOR);
                hashed.extend_from_slice(cell);
            }
        }
        xxh3_128(hashed)
    }
}

/// The row's id: its hash, or for the second and later identical row of a
/// file, one of the hash and how many came before.
fn row_id(hash: u128, earlier: u32) -> String {
    let hash = match earlier {
        0 => hash,
        _ => xxh3_128(&[hash.to_le_bytes().as_slice(), &earlier.to_le_bytes()].concat()),
    };
    format!("{hash:032x}")
}

/// Calls `each` with the rows of each CSV of a file.
fn for_each_row<E: From<BadFile> + Send>(
    file: &mut File,
    fields: &crate::singer::Fields,
    aliases: Aliases,
    mut each: impl FnMut(&Columns, &ByteRecord) -> Result<(), E>,
) -> Result<(), E> {
    for_each_csv(file, |name, content| {
        // A row that is too short is a matter of that row.
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(content as &mut dyn Read);
        let mut row = ByteRecord::new();
        let mut next = |row: &mut ByteRecord| {
            let read = reader.read_byte_record(row);
            read.map_err(|error| E::from(BadFile::Damaged(error.to_string())))
        };
        if !next(&mut row)? {
            return Ok(());
        }
        let header = StringRecord::from_byte_record_lossy(row.clone());
        let columns =
            Columns::new(&header, fields, aliases).ok_or_else(|| unusable(name, &header))?;
        while next(&mut row)? {
            each(&columns, &row)?;
        }
        Ok(())
    })
}

fn unusable(name: &str, header: &StringRecord) -> BadFile {
    let header: String = header.iter().collect::<Vec<_>>().join(",");
    let shown: String = header.chars().take(SHOWN_HEADER).collect();
    BadFile::Unusable(format!(
        "no column of {name} is known; its header is: {shown}"
    ))
}

fn write_row(
    records: &mut RecordWriter,
    columns: &Columns,
    row: &ByteRecord,
    row_id: Option<(usize, String)>,
    lines: &mut Vec<u8>,
) {
    let text = |at: usize| Some(without_nul(String::from_utf8_lossy(row.get(at)?)));
    let mut cells: Vec<Option<Cow<str>>> = columns
        .of_field
        .iter()
        .map(|column| text((*column)?))
        .collect();
    if let Some((at, id)) = row_id {
        cells[at] = Some(Cow::Owned(id));
    }
    let named = columns
        .unknown
        .iter()
        .map(|(name, at)| (Cow::Borrowed(name.as_str()), *at));
    // Cells behind the header's last column have no name but their place.
    let nameless =
        (columns.sorted.len()..row.len()).map(|at| (Cow::Owned(format!("column_{}", at + 1)), at));
    let unknown: Vec<(Cow<str>, Cow<str>)> = named
        .chain(nameless)
        .filter_map(|(name, at)| Some((name, text(at).filter(|cell| !cell.is_empty())?)))
        .collect();
    if row.len() < columns.sorted.len() {
        records.warn_once(
            "\0short",
            "a row has fewer cells than the header; the rest is null",
        );
    }
    let unknown = unknown
        .iter()
        .map(|(name, cell)| (name.clone(), cell.as_ref()));
    records.write_texts(&cells, unknown, lines);
}

/// The text without NUL characters, which PostgreSQL refuses.
fn without_nul(text: Cow<str>) -> Cow<str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "")),
        false => text,
    }
}
