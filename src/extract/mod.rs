//! One module per kind of source. Each reads from the API and writes records
//! and checkpoints of one stream, or of the streams that are read together.

mod business_hours;
pub mod conversations;
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
use crate::singer::{Bookmark, Output, RecordWriter};
use crate::streams::{Source, Stream};
use crate::timestamp;
pub use deletions::Deletions;
use window::Window;

/// What all streams of one run share.
pub struct Run<'a> {
    pub settings: &'a Settings,
    pub output: &'a Output,
    pub client: &'a Client,
    /// Ids of the lists that other streams go by, so that each list is read
    /// once in a run.
    pub parents: Mutex<HashMap<&'static str, Parents>>,
    /// The stream `deletions`, which others write.
    pub deletions: Deletions,
}

/// The ids of a list's records.
#[derive(Clone)]
pub struct Parents {
    /// Each once, in the order of its first place.
    pub ids: Vec<String>,
    /// Whether nothing speaks against the list's being complete.
    pub certain: bool,
}

impl Parents {
    /// Most ids of a list that was read again are there twice.
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

    /// The time from which on to read a stream that is complete up to
    /// `reached`: from there minus the lookback, or from the start date.
    fn first_time(&self, reached: Option<DateTime<Utc>>, lookback: Duration) -> DateTime<Utc> {
        let start_date = self.settings.start_date;
        // The lookback doesn't reach behind the start date, but a start date
        // after the bookmark leaves no gap.
        reached.map_or(start_date, |reached| {
            (reached - lookback).max(start_date.min(reached))
        })
    }

    /// The run's start: no bookmark passes it. The first caller before any
    /// answer of the API makes a request for it, since it goes by the server's
    /// clock too.
    ///
    /// # Errors
    /// What ends the run, such as a refused token.
    pub fn started_at(&self) -> Result<DateTime<Utc>> {
        if let Some(started_at) = clock::started_at() {
            return Ok(started_at);
        }
        match self.client.ask_for_account() {
            Err(error) if error.ends_run() => return Err(error),
            Err(error) => log::warn!("the server's time can't be asked for: {error}"),
            Ok(()) => {}
        }
        Ok(clock::started_at().unwrap_or_else(clock::started_without_answer))
    }

    /// Checks that a bookmark is not ahead of the run's start: what changes in
    /// between would not be read.
    ///
    /// # Errors
    /// [`Error::Ahead`] where it is, by more than the lookback; and those of
    /// [`Self::started_at`].
    pub fn check_bookmark(&self, stream: &'static str) -> Result<()> {
        let Some(bookmark) = self.output.bookmark(stream).value() else {
            return Ok(());
        };
        let started_at = self.started_at()?;
        // Two runs within a second may start in any order by the server's clock.
        match bookmark - self.settings.lookback - 2 * clock::RESOLUTION > started_at {
            true => Err(Error::Ahead {
                stream,
                bookmark,
                started_at,
            }),
            false => Ok(()),
        }
    }

    /// The time to read of a stream that is complete up to `reached`: from
    /// there minus the lookback, or from the start date, to the end date or
    /// the run's start.
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
                "stream `{stream}`: its bookmark or start lies in the future, at {}; \
                 nothing is read before",
                timestamp::format(from)
            );
        }
        Ok(Window {
            from,
            to: settings.end_date.map_or(now, |end| end.min(now)),
        })
    }
}

/// One stream of a run.
pub struct StreamRun<'a> {
    pub run: &'a Run<'a>,
    pub stream: &'static Stream,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether to begin at the start date whatever the bookmark says.
    pub full_table: bool,
    /// Whether records may be missing although nothing failed: then no
    /// ACTIVATE_VERSION may let a target drop what did not come.
    pub partial: bool,
    /// What ended this stream alone, of those that are read together.
    pub error: Option<Error>,
}

/// What a producer hands to the thread that writes.
enum Step {
    Page(Page),
    /// Everything before this time was handed over.
    Done(DateTime<Utc>),
}

/// Reads a stream to the end.
///
/// # Errors
/// What ended it early; the records and bookmarks that were written stay true.
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
/// over. It borrows no API, which the producer's thread has.
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

    /// The bookmark's value, unless the whole stream is to be read.
    fn bookmark(&self) -> Option<DateTime<Utc>> {
        match self.full_table {
            true => None,
            false => self.run.output.bookmark(self.stream.name).value(),
        }
    }

    /// The time to read, with a lookback.
    fn window_back(&self, lookback: Duration) -> Result<Window> {
        let name = self.stream.name;
        self.run.window(name, self.bookmark(), lookback)
    }
}

impl Sink<'_> {
    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Page(page) => self.page(&page, &[]),
            Step::Done(to) => self.checkpoint(to),
        }
    }

    /// Writes the records of a page; `added` are properties that the API
    /// doesn't send, with their JSON values.
    fn page(&mut self, page: &Page, added: &[(&str, &str)]) -> Result<()> {
        self.rows(page.read_at, page.records(), added)
    }

    /// Writes records that were read at one time, each a JSON object.
    fn rows<'r>(
        &mut self,
        read_at: DateTime<Utc>,
        rows: impl Iterator<Item = &'r str>,
        added: &[(&str, &str)],
    ) -> Result<()> {
        self.begin(read_at);
        for record in rows {
            self.record(record, added)?;
        }
        self.end()
    }

    /// Begins with records that were read at one time.
    fn begin(&mut self, read_at: DateTime<Utc>) {
        self.writer.extracted_at(read_at);
        self.lines.clear();
    }

    /// Takes one of them, a JSON object.
    fn record(&mut self, record: &str, added: &[(&str, &str)]) -> Result<()> {
        let written = self.writer.write(record, added, &mut self.lines);
        written.map_err(|error| Error::Unexpected {
            request: format!("stream `{}`", self.stream.name),
            problem: format!("a record is no object: {error}"),
        })
    }

    /// Writes those that it took.
    fn end(&mut self) -> Result<()> {
        Ok(self.run.output.records(&self.lines)?)
    }

    /// Moves the stream's bookmark to `to`: every record before it was written.
    fn checkpoint(&mut self, to: DateTime<Utc>) -> Result<()> {
        self.checkpoint_with(Some(to), |_| {})
    }

    /// Changes what stands in the stream's bookmark, and moves it if there is
    /// a time to move it to.
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
