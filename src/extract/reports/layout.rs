//! What the columns of a report's files mean.

use csv::StringRecord;

use super::columns::{Aliases, Columns};
use super::csv_rows::CsvRows;
use super::identity::{Identity, Keys, RowTime};
use super::unpack::{BadFile, is_csv};
use crate::extract::window::Window;
use crate::singer::RecordWriter;

/// The property that names a row for good.
const ROW_ID: &str = "_row_id";

/// The properties that carry the period that was asked for.
const PERIOD: [&str; 2] = ["_period_start", "_period_end"];

/// The beginning of an unusable header that is shown, in characters.
const SHOWN_HEADER: usize = 200;

/// The layout of one report stream.
#[derive(Clone, Copy)]
pub struct Layout {
    pub event: &'static str,
    pub aliases: Aliases,
    pub identity: Identity,
    /// The place of `_row_id`, if it is wanted.
    pub row_id: Option<usize>,
    /// The places of the period's properties, in reports that have them.
    pub period: [Option<usize>; 2],
}

impl Layout {
    /// For the report of an event whose records are written so.
    pub fn new(
        records: &RecordWriter,
        event: &'static str,
        aliases: Aliases,
        identity: Identity,
    ) -> Self {
        let fields = records.fields();
        let row_id = fields.find(ROW_ID, 0);
        Self {
            event,
            aliases,
            identity,
            row_id: row_id.filter(|at| fields.list()[*at].selected),
            period: PERIOD.map(|name| fields.find(name, 0)),
        }
    }

    /// Makes the keys of a file's rows, from a job of this window.
    pub fn keys<'a>(&self, columns: &'a Columns, window: Window) -> Keys<'a> {
        Keys::new(self.event, &self.identity, columns, window)
    }

    /// Whether each row says which time it belongs to.
    pub fn is_windowed_by_row(&self) -> bool {
        matches!(self.identity.time, RowTime::Column(_))
    }

    /// Reads the header of a file's member. None: it is empty, or another kind
    /// of file beside the report.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn columns_of(
        &self,
        records: &RecordWriter,
        member: &str,
        rows: &mut CsvRows,
    ) -> Result<Option<Columns>, BadFile> {
        let Some(header) = rows.next()? else {
            return Ok(None);
        };
        match self.columns(records, member, header) {
            Err(problem) if is_csv(member) => Err(problem),
            columns => Ok(columns.ok()),
        }
    }

    /// The columns of a member with this header.
    ///
    /// # Errors
    /// [`BadFile::Foreign`]: none of its columns is known;
    /// [`BadFile::Unusable`]: it lacks a key.
    pub fn columns(
        &self,
        records: &RecordWriter,
        member: &str,
        header: &StringRecord,
    ) -> Result<Columns, BadFile> {
        let fields = records.fields();
        let Some(columns) = Columns::new(header, fields, self.aliases) else {
            let problem = format!("no column of {member} is known");
            return Err(BadFile::Foreign(with_header(&problem, header)));
        };
        let name = |key: &usize| fields.list()[*key].name.as_str();
        let is_made = |key: &usize| name(key) == ROW_ID || PERIOD.contains(&name(key));
        let mut keys = records.keys().iter();
        match keys.find(|key| columns.of_field[**key].is_none() && !is_made(key)) {
            None => Ok(columns),
            Some(key) => {
                let problem = format!("{member} lacks the key `{}`", name(key));
                Err(BadFile::Unusable(with_header(&problem, header)))
            }
        }
    }
}

fn with_header(problem: &str, header: &StringRecord) -> String {
    let header: String = header.iter().collect::<Vec<_>>().join(",");
    let shown: String = header.chars().take(SHOWN_HEADER).collect();
    format!("{problem}; its header is: {shown}")
}
