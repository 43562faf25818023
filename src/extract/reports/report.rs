//! A report stream of a run, and a finished job of it.

use super::rows::RowWriter;
use super::slots::Job;
use crate::freshchat::Api;
use crate::freshchat::reports::ReportPart;
use crate::singer::RecordWriter;
use crate::streams::{ReportSource, Stream};

/// A report stream of a run.
pub struct ReportRun<'a> {
    pub stream: &'static Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether its rows are wanted, and not only the conversations that they
    /// name.
    pub selected: bool,
    /// Whether to start at the start date, whatever the bookmark.
    pub full_table: bool,
}

/// A finished job, and what is wanted from it.
pub struct Ready {
    /// The index of its track, ...
    pub at: usize,
    /// ... and the writer of that track.
    pub writer: RowWriter,
    pub job: Job,
    pub parts: Vec<ReportPart>,
    pub rows: bool,
    pub conversations: bool,
}
