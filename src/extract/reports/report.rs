//! A report stream of a run, and a job of it that is done.

use super::rows::RowWriter;
use super::slots::Job;
use crate::freshchat::Api;
use crate::freshchat::reports::Part;
use crate::singer::RecordWriter;
use crate::streams::{ReportSource, Stream};

/// One report stream of a run.
pub struct ReportRun<'a> {
    pub stream: &'static Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether its rows are wanted, and not only the conversations that they name.
    pub selected: bool,
    /// Whether to begin at the start date whatever the bookmark says.
    pub full_table: bool,
}

/// A job that is done, and what is wanted of it.
pub struct Ready {
    /// The place of its track, ...
    pub at: usize,
    /// ... whose writer this is.
    pub writer: RowWriter,
    pub job: Job,
    pub parts: Vec<Part>,
    pub rows: bool,
    pub conversations: bool,
}
