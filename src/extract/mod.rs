//! A module for each kind of source. Each reads from the API, and writes the
//! records and checkpoints of a stream, or of several streams that are read
//! together.

mod business_hours;
pub mod conversations;
mod counted;
mod deletions;
mod ids;
mod list;
pub mod metrics;
mod overlap;
mod pager;
mod pool;
pub mod reports;
mod seen;
mod users;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::freshchat::{Api, Client, Page, clock};
use crate::json::Object;
use crate::singer::{Bookmark, Output, RecordWriter};
use crate::streams::{Source, Stream};
use crate::timestamp;
pub use deletions::Deletions;
use window::Window;

/// What all streams of a run share.
pub struct Run<'a> {
    pub settings: &'a Settings,
    pub output: &'a Output,
    pub client: &'a Client,
    /// The ids of lists that other streams need, so that each list is read once
    /// per run.
    pub parents: Mutex<HashMap<&'static str, Parents>>,
    /// The stream `deletions`, which other streams write to.
    pub deletions: Deletions,
}

/// The ids of a list's records.
#[derive(Clone)]
pub struct Parents {
    /// Each once, in order of first occurrence.
    pub ids: Vec<String>,
    /// Whether nothing suggests that the list is incomplete.
    pub certain: bool,
}

impl Parents {
    /// A list that was read more than once contains most ids twice.
    fn new(mut ids: Vec<String>, certain: bool) -> Self {
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        Self { ids, certain }
    }
}

impl Run<'_> {
    /// The ids of a list, if a stream of this run has read it.
    fn parents(&self, path: &str) -> Option<Parents> {
        let parents = self.parents.lock();
        let parents = parents.unwrap_or_else(PoisonError::into_inner);
        parents.get(path).cloned()
    }

    fn set_parents(&self, path: &'static str, ids: Parents) {
        let parents = self.parents.lock();
        let mut parents = parents.unwrap_or_else(PoisonError::into_inner);
        parents.insert(path, ids);
    }

    /// The time from which to read a stream that is complete up to `reached`:
    /// `reached` minus the lookback, or else the start date.
    fn first_time(&self, reached: Option<DateTime<Utc>>, lookback: Duration) -> DateTime<Utc> {
        let start_date = self.settings.start_date;
        // The lookback doesn't go back beyond the start date. But if the start
        // date is after the bookmark, reading starts at the bookmark, to leave
        // no gap.
        reached.map_or(start_date, |reached| {
            (reached - lookback).max(start_date.min(reached))
        })
    }

    /// The start of the run, which no bookmark passes. Before the first answer
    /// of the API, this makes a request, because the server's clock is needed
    /// too.
    ///
    /// # Errors
    /// What ends the run, such as a refused token.
    pub fn started_at(&self) -> Result<DateTime<Utc>> {
        if let Some(started_at) = clock::started_at() {
            return Ok(started_at);
        }
        match self.client.ask_for_account() {
            Err(error) if error.ends_run() => return Err(error),
            Err(error) => log::warn!("can't get the server's time: {error}"),
            Ok(()) => {}
        }
        Ok(clock::started_at().unwrap_or_else(clock::started_without_answer))
    }

    /// Checks that a bookmark is not later than the start of the run.
    /// Otherwise, changes between the two would be missed.
    ///
    /// # Errors
    /// [`Error::Ahead`] if it is later by more than the lookback, and those of
    /// [`Self::started_at`].
    pub fn check_bookmark(&self, stream: &'static str) -> Result<()> {
        let Some(bookmark) = self.output.bookmark(stream).value() else {
            return Ok(());
        };
        let started_at = self.started_at()?;
        // The server's time is in whole seconds, so the order of two runs
        // within a second is unknown.
        match bookmark - self.settings.lookback - 2 * clock::RESOLUTION > started_at {
            true => Err(Error::Ahead {
                stream,
                bookmark,
                started_at,
            }),
            false => Ok(()),
        }
    }

    /// The window to read for a stream that is complete up to `reached`: from
    /// `reached` minus the lookback, or else the start date, to the end date or
    /// the start of the run.
    ///
    /// # Errors
    /// Those of [`Self::started_at`].
    fn window(
        &self,
        stream: &str,
        reached: Option<DateTime<Utc>>,
        lookback: Duration,
    ) -> Result<Window> {
        let settings = self.settings;
        let from = self.first_time(reached, lookback);
        let now = self.started_at()?;
        if from > now {
            log::warn!(
                "stream `{stream}`: its bookmark or start is in the future, at {}; nothing is \
                 read before then",
                timestamp::format(from)
            );
        }
        Ok(Window {
            from,
            to: settings.end_date.map_or(now, |end| end.min(now)),
        })
    }
}

/// A stream of a run.
pub struct StreamRun<'a> {
    pub run: &'a Run<'a>,
    pub stream: &'static Stream,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether to start at the start date, whatever the bookmark.
    pub full_table: bool,
    /// Whether records may be missing even without an error. Then no
    /// ACTIVATE_VERSION may be written, because the target would delete the
    /// missing ones.
    pub partial: bool,
    /// The error that ended this stream alone, if it is read together with
    /// others.
    pub error: Option<Error>,
}

/// What a producer passes to the writing thread.
enum Produced {
    Page(Page),
    /// Everything before this time was handed over.
    Done(DateTime<Utc>),
}

/// Reads a stream to its end.
///
/// # Errors
/// The error that ended it early. Records and bookmarks written before remain
/// valid.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    match &stream_run.stream.source {
        Source::List(source) => list::extract(stream_run, source),
        Source::Users => users::extract(stream_run),
        Source::BusinessHours => business_hours::extract(stream_run),
        Source::MetricsHistorical => metrics::historical::extract(stream_run),
        Source::MetricsInstant => metrics::instant::extract(stream_run),
        Source::Deletions => unreachable!("other streams write it"),
        Source::Walk(_) => unreachable!("the streams of the walk are read together"),
        Source::Report(_) => unreachable!("the engine extracts the reports"),
    }
}

/// Writes pages and checkpoints in the order in which a producer hands them
/// over. It doesn't borrow the API, which the producer's thread uses.
struct Sink<'a> {
    run: &'a Run<'a>,
    stream: &'static Stream,
    writer: &'a mut RecordWriter,
    lines: Vec<u8>,
}

impl StreamRun<'_> {
    fn split(&mut self) -> (&Api<'_>, Sink<'_>) {
        let sink = Sink {
            run: self.run,
            stream: self.stream,
            writer: &mut self.writer,
            lines: Vec::new(),
        };
        (&self.api, sink)
    }

    /// The value of the bookmark, unless the whole stream is to be read.
    fn bookmark(&self) -> Option<DateTime<Utc>> {
        match self.full_table {
            true => None,
            false => self.run.output.bookmark(self.stream.name).value(),
        }
    }

    /// The window to read, with a lookback.
    fn window_back(&self, lookback: Duration) -> Result<Window> {
        let name = self.stream.name;
        self.run.window(name, self.bookmark(), lookback)
    }
}

impl Sink<'_> {
    fn take(&mut self, step: Produced) -> Result<()> {
        match step {
            Produced::Page(page) => self.page(&page, &[]),
            Produced::Done(to) => self.checkpoint(to),
        }
    }

    /// Writes the records of a page. `added` are properties that the API
    /// doesn't send, with JSON values.
    fn page(&mut self, page: &Page, added: &[(&str, &str)]) -> Result<()> {
        self.begin(page.read_at);
        let mut records = page.records();
        records.try_for_each(|record| self.record(record, added))?;
        self.end()
    }

    /// Writes records that were read at the same time, each the JSON of an
    /// object.
    fn rows<'r>(
        &mut self,
        read_at: DateTime<Utc>,
        mut rows: impl Iterator<Item = &'r str>,
    ) -> Result<()> {
        self.begin(read_at);
        rows.try_for_each(|row| self.json(row, &[]))?;
        self.end()
    }

    /// Begins a batch of records that were read at the same time.
    fn begin(&mut self, read_at: DateTime<Utc>) {
        self.writer.extracted_at(read_at);
        self.lines.clear();
    }

    /// Adds a record to the batch.
    fn record(&mut self, record: Object, added: &[(&str, &str)]) -> Result<()> {
        let written = self.writer.write(record, added, &mut self.lines);
        written.map_err(|error| self.not_a_record(&error))
    }

    /// Adds a record to the batch, the JSON of an object.
    fn json(&mut self, record: &str, added: &[(&str, &str)]) -> Result<()> {
        let written = self.writer.write_json(record, added, &mut self.lines);
        written.map_err(|error| self.not_a_record(&error))
    }

    fn not_a_record(&self, error: &serde_json::Error) -> Error {
        Error::Unexpected {
            request: format!("stream `{}`", self.stream.name),
            problem: format!("a record is not an object: {error}"),
        }
    }

    /// Writes the batch.
    fn end(&mut self) -> Result<()> {
        Ok(self.run.output.records(&self.lines)?)
    }

    /// Moves the stream's bookmark to `to`. All records before it must have
    /// been written.
    fn checkpoint(&mut self, to: DateTime<Utc>) -> Result<()> {
        self.checkpoint_with(Some(to), |_| {})
    }

    /// Changes the stream's bookmark, and moves it if `to` is given.
    fn checkpoint_with(
        &self,
        to: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut Bookmark),
    ) -> Result<()> {
        let Some(key) = self.stream.replication_key else {
            return Ok(());
        };
        let mut bookmark = self.run.output.bookmark(self.stream.name);
        change(&mut bookmark);
        if let Some(to) = to {
            bookmark.advance(key, to);
        }
        Ok(self.run.output.checkpoint(self.stream.name, bookmark)?)
    }
}
