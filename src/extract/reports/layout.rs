//! The meaning of the columns in a report's files.

use csv::StringRecord;

use super::columns::{Aliases, Columns};
use super::csv_rows::CsvRows;
use super::identity::{Identity, Keys, RowTime};
use super::unpack::{BadFile, is_csv};
use crate::extract::window::Window;
use crate::singer::RecordWriter;

/// The property with the permanent id of a row.
const ROW_ID: &str = "_row_id";

/// The properties with the requested period.
const PERIOD: [&str; 2] = ["_period_start", "_period_end"];

/// How much of an unusable header is shown, in characters.
const SHOWN_HEADER: usize = 200;

/// The layout of a report stream.
#[derive(Clone, Copy)]
pub struct Layout {
    pub event: &'static str,
    pub aliases: Aliases,
    pub identity: Identity,
    /// The position of `_row_id`, if it is selected.
    pub row_id: Option<usize>,
    /// The positions of the period's properties, in reports that have them.
    pub period: [Option<usize>; 2],
}

impl Layout {
    /// The layout for an event's report with these records.
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

    /// Computes the keys of a file's rows, from a job with this window.
    pub fn keys<'a>(&self, columns: &'a Columns, window: Window) -> Keys<'a> {
        Keys::new(self.event, &self.identity, columns, window)
    }

    /// Whether each row contains its own time.
    pub fn is_windowed_by_row(&self) -> bool {
        matches!(self.identity.time, RowTime::Column(_))
    }

    /// Reads the header of a file's member. `None` if the member is empty, or
    /// not part of the report.
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
    /// [`BadFile::Foreign`] if no column is known; [`BadFile::Unusable`] if a
    /// key is missing.
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
