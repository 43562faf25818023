//! Reads a file completely before any of its rows is written.

use std::fs::File;
use std::mem;

use csv::StringRecord;

use super::csv_rows::{CsvRows, without_nul};
use super::filter::{Counting, Filter};
use super::identity::{Key, Keys};
use super::job_rows::JobRows;
use super::layout::Layout;
use super::quotes::Checked;
use super::repeats::Order;
use super::unpack::{self, BadFile, for_each_member, is_csv};
use crate::singer::RecordWriter;

/// How many rows are checked to see whether a file is sorted by time.
const PEEKED: usize = 1000;

/// The read buffer in bytes.
const BUFFER: usize = 64 * 1024;

/// Checks that the file of a part is complete and belongs to this report.
/// `most` limits its unpacked size in bytes. If its rows are not sorted by
/// time, returns a filter for those that may share their identity.
///
/// # Errors
/// [`BadFile`].
pub fn check(
    layout: &Layout,
    records: &RecordWriter,
    file: &mut File,
    most: u64,
    job: &JobRows,
) -> Result<Option<Filter>, BadFile> {
    let mut seen = match layout.row_id {
        None => RowOrder::Enough,
        Some(_) => RowOrder::InOrder(job.repeats.order(), Vec::new()),
    };
    let (mut is_report, mut others) = (false, Vec::new());
    let mut is_open = false;
    let mut rest = vec![0; BUFFER];
    unpack::check(file, most, |name, content| {
        let mut content = Checked::new(content);
        let mut rows = CsvRows::new(&mut content);
        let columns = match rows.next()? {
            None => {
                is_report |= is_csv(name);
                return Ok(());
            }
            Some(header) => layout.columns(records, name, header),
        };
        let columns = match columns {
            Ok(columns) => columns,
            Err(problem) if is_csv(name) => return Err(problem),
            Err(problem) => {
                others.push((name.to_owned(), problem));
                return Ok(());
            }
        };
        is_report = true;
        seen.look(&mut rows, layout.keys(&columns, job.window))?;
        drop(rows);
        content.finish(&mut rest)?;
        is_open |= !content.ends_line();
        Ok(())
    })?;
    if is_open {
        check_last_row(file)?;
    }
    for (name, problem) in others {
        if !is_report {
            return Err(problem);
        }
        log::info!(
            "report {}: {name} is not a CSV of this report and is left out",
            layout.event
        );
    }
    Ok(seen.finish())
}

/// Checks that a file doesn't end in the middle of a row.
///
/// # Errors
/// [`BadFile::Damaged`].
fn check_last_row(file: &mut File) -> Result<(), BadFile> {
    for_each_member(file, |name, content| {
        let mut rows = CsvRows::new(content);
        let header = rows.next()?.map_or(0, StringRecord::len);
        let mut last = header;
        while let Some(row) = rows.next()? {
            last = row.len();
        }
        match last < header {
            true => Err(BadFile::Damaged(format!(
                "{name} ends in the middle of a row"
            ))),
            false => Ok(()),
        }
    })
}

/// What the rows seen so far show about their order.
enum RowOrder<'a> {
    InOrder(Order<'a>, Vec<Key>),
    OutOfOrder(Order<'a>, Counting),
    /// The rows are in order, or their order doesn't matter.
    Enough,
}

impl RowOrder<'_> {
    /// Reads further rows, as far as needed.
    fn look(&mut self, rows: &mut CsvRows, mut keys: Keys) -> Result<(), BadFile> {
        while !matches!(self, RowOrder::Enough) {
            let Some(row) = rows.next()? else {
                return Ok(());
            };
            let key = keys.of(&without_nul(row));
            match self {
                RowOrder::OutOfOrder(order, counting) => order.note(key, counting),
                _ => self.peek(key),
            }
        }
        Ok(())
    }

    /// Checks one of the first rows.
    fn peek(&mut self, key: Key) {
        let RowOrder::InOrder(mut order, mut peeked) = mem::replace(self, RowOrder::Enough) else {
            return;
        };
        peeked.push(key);
        if !order.follows(key) {
            let mut counting = Counting::new();
            for key in peeked {
                order.note(key, &mut counting);
            }
            *self = RowOrder::OutOfOrder(order, counting);
        } else if peeked.len() < PEEKED {
            *self = RowOrder::InOrder(order, peeked);
        }
    }

    fn finish(self) -> Option<Filter> {
        match self {
            RowOrder::OutOfOrder(_, counting) => Some(counting.finish()),
            RowOrder::InOrder(..) | RowOrder::Enough => None,
        }
    }
}
