//! Writes the rows of a report's files as RECORD messages.

use std::borrow::Cow;
use std::fs::File;
use std::io;

use csv::StringRecord;

use super::check::check;
use super::columns::{Aliases, Columns, nameless};
use super::csv_rows::{CsvRows, without_nul};
use super::filter::{Counting, Filter};
use super::identity::{Identity, RowTime, Stamp, row_id};
use super::job_rows::JobRows;
use super::layout::Layout;
use super::unpack::{BadFile, for_each_member};
use crate::error::Error;
use crate::extract::ids::Ids;
use crate::freshchat::clock;
use crate::singer::{Output, RecordWriter};

/// How many bytes are written at once.
const BATCH: usize = 64 * 1024;

/// The column with the conversation of a row.
const CONVERSATION_ID: &str = "conversation_id";

/// Why not all rows of a file were written.
#[derive(Debug)]
pub enum RowError {
    File(BadFile),
    /// A temporary file can't be created, read or written.
    Local(io::Error),
    Run(Error),
}

/// Why a pass over a file ended early.
enum Halt {
    Error(RowError),
    /// The file is out of order at this row, counted from 0.
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

/// The time range of a part.
pub struct Bounds {
    pub from: Stamp,
    pub to: Stamp,
    /// Whether another part begins where this one ends.
    pub is_followed: bool,
}

impl Bounds {
    fn exclude(&self, time: Stamp) -> bool {
        time < self.from || time > self.to || (time == self.to && self.is_followed)
    }
}

/// Writes the files of a report stream.
pub struct RowWriter {
    records: RecordWriter,
    layout: Layout,
}

impl RowWriter {
    /// A writer for the report of an event.
    pub fn new(
        records: RecordWriter,
        event: &'static str,
        aliases: Aliases,
        identity: Identity,
    ) -> Self {
        let layout = Layout::new(&records, event, aliases, identity);
        Self { records, layout }
    }

    /// The number of rows written.
    pub fn written(&self) -> u64 {
        self.records.written()
    }

    /// Whether rows are sums over the requested period.
    pub fn sums_over_period(&self) -> bool {
        self.layout.period.iter().any(Option::is_some)
    }

    /// Begins the next part of a job.
    ///
    /// # Errors
    /// [`RowError::Local`].
    pub fn begin_part(&self, job: &mut JobRows) -> Result<(), RowError> {
        job.repeats.begin_part().map_err(RowError::Local)
    }

    /// Reads the file of a part completely, without writing any rows; see
    /// [`check`].
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn check(
        &self,
        file: &mut File,
        most: u64,
        job: &JobRows,
    ) -> Result<Option<Filter>, BadFile> {
        check(&self.layout, &self.records, file, most, job)
    }

    /// Writes all rows of a part's file, which must have been
    /// [checked](Self::check).
    ///
    /// # Errors
    /// See [`RowError`].
    pub fn write(
        &mut self,
        file: &mut File,
        again: Option<Filter>,
        bounds: &Bounds,
        job: &mut JobRows,
        output: &Output,
    ) -> Result<(), RowError> {
        self.records.extracted_at(clock::now());
        if let Some(again) = again {
            job.repeats.count(again).map_err(RowError::Local)?;
        }
        let first = match self.write_from(0, file, bounds, job, output) {
            Ok(()) => return Ok(()),
            Err(Halt::Error(error)) => return Err(error),
            Err(Halt::OutOfOrder(row)) => row,
        };
        let again = self.count(file, job)?;
        job.repeats.count(again).map_err(RowError::Local)?;
        self.write_from(first, file, bounds, job, output)
            .map_err(|halt| match halt {
                Halt::Error(error) => error,
                Halt::OutOfOrder(_) => unreachable!("the rows were counted"),
            })
    }

    /// Finds the rows of a file that may share their identity.
    fn count(&self, file: &mut File, job: &JobRows) -> Result<Filter, BadFile> {
        let mut counting = Counting::new();
        let order = job.repeats.order();
        for_each_member(file, |name, content| {
            let mut rows = CsvRows::new(content);
            let Some(columns) = self.layout.columns_of(&self.records, name, &mut rows)? else {
                return Ok(());
            };
            let mut keys = self.layout.keys(&columns, job.window);
            while let Some(row) = rows.next()? {
                order.note(keys.of(&without_nul(row)), &mut counting);
            }
            Ok::<_, BadFile>(())
        })?;
        Ok(counting.finish())
    }

    /// Collects the conversations that a checked file names.
    ///
    /// # Errors
    /// See [`RowError`].
    pub fn find_conversations(&self, file: &mut File, found: &mut Ids) -> Result<(), RowError> {
        for_each_member(file, |name, content| {
            let mut rows = CsvRows::new(content);
            let Some(columns) = self.layout.columns_of(&self.records, name, &mut rows)? else {
                return Ok(());
            };
            let Some(column) = columns.find(CONVERSATION_ID) else {
                let problem = format!("{name} lacks `{CONVERSATION_ID}`");
                return Err(BadFile::Unusable(problem).into());
            };
            while let Some(row) = rows.next()? {
                if let Some(id) = row.get(column).map(str::trim).filter(|id| !id.is_empty()) {
                    found.insert(id).map_err(RowError::Local)?;
                }
            }
            Ok(())
        })
    }

    /// Writes the rows from number `first`. Earlier ones are only numbered.
    fn write_from(
        &mut self,
        first: u64,
        file: &mut File,
        bounds: &Bounds,
        job: &mut JobRows,
        output: &Output,
    ) -> Result<(), Halt> {
        let stdout = |error: io::Error| Halt::Error(RowError::Run(error.into()));
        let local = |error| Halt::Error(RowError::Local(error));
        let mut lines = Vec::with_capacity(2 * BATCH);
        let mut number = 0;
        for_each_member(file, |name, content| {
            let mut rows = CsvRows::new(content);
            let Some(columns) = self.layout.columns_of(&self.records, name, &mut rows)? else {
                return Ok(());
            };
            let mut keys = self.layout.keys(&columns, job.window);
            while let Some(sent) = rows.next()? {
                let row = without_nul(sent);
                let key = keys.of(&row);
                let mut id = None;
                if self.layout.row_id.is_some() {
                    let Some(earlier) = job.repeats.number(key).map_err(local)? else {
                        output.records(&lines).map_err(stdout)?;
                        return Err(Halt::OutOfOrder(number));
                    };
                    id = Some(row_id(key.hash, earlier));
                }
                number += 1;
                if number <= first {
                    continue;
                }
                job.repeats.written(key).map_err(local)?;
                let windowed = key.time.filter(|_| self.layout.is_windowed_by_row());
                job.outside += u64::from(windowed.is_some_and(|time| bounds.exclude(time)));
                if key.time.is_none() {
                    self.warn_of_missing_identity();
                }
                let removed = sent.as_slice().len() - row.as_slice().len();
                self.records.count_nuls(removed as u64);
                self.write_row(&columns, &row, id.as_ref(), &job.period, &mut lines);
                if lines.len() >= BATCH {
                    output.records(&lines).map_err(stdout)?;
                    lines.clear();
                }
            }
            Ok(())
        })?;
        output.records(&lines).map_err(stdout)
    }

    fn warn_of_missing_identity(&mut self) {
        let of = self.layout.identity.of.iter();
        let mut names: Vec<&str> = of.map(|columns| columns[0]).collect();
        if let RowTime::Column(time) = self.layout.identity.time {
            names.push(time);
        }
        let names = names.join("`, `");
        self.records.warn_once(
            "\0identity",
            &format!(
                "a row lacks one of `{names}`: its `_row_id` is computed from all its cells, and \
                 changes if any of them does"
            ),
        );
    }

    fn write_row(
        &mut self,
        columns: &Columns,
        row: &StringRecord,
        id: Option<&[u8; 32]>,
        period: &[String; 2],
        lines: &mut Vec<u8>,
    ) {
        let layout = self.layout;
        let made = |field: usize| match Some(field) {
            at if at == layout.row_id => id.and_then(|id| std::str::from_utf8(id).ok()),
            at if at == layout.period[0] => Some(period[0].as_str()),
            at if at == layout.period[1] => Some(period[1].as_str()),
            _ => None,
        };
        let cell = |field: usize| match columns.of_field[field] {
            Some(column) => row.get(column).unwrap_or_default(),
            None => made(field).unwrap_or_default(),
        };
        let named = columns
            .unknown
            .iter()
            .map(|(name, at)| (Cow::Borrowed(name.as_str()), *at));
        // Cells after the last column of the header have no name, only a
        // position.
        let nameless = (columns.hashed.len()..row.len()).map(|at| (Cow::Owned(nameless(at)), at));
        let unknown = named
            .chain(nameless)
            .filter_map(|(name, at)| Some((name, row.get(at).filter(|cell| !cell.is_empty())?)));
        if row.len() < columns.hashed.len() {
            self.records.warn_once(
                "\0short",
                "a row has fewer cells than the header; the rest is null",
            );
        }
        self.records.write_texts(cell, unknown, lines);
    }
}
