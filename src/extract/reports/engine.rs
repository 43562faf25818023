//! Requests the reports, polls their jobs and downloads them, for all report
//! streams together.
//!
//! One thread sends requests and polls ([`asking`](super::asking)), because the
//! API accepts one request per minute over all streams. Two more threads write
//! finished jobs, so that a long download doesn't delay the next request.
//! Streams take turns. Within a stream, rows are written in order of time.

use std::io;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::download::{Downloads, NotWritten};
use super::report::ReportRun;
use super::rows::RowWriter;
use super::schedule::{Schedule, Track, lane};
use super::slots::{Search, forget_found};
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::ids::Ids;
use crate::extract::window::Window;
use crate::freshchat::{Api, RetryPolicy, Storage};
use crate::singer::Bookmark;
use crate::streams::{self, ReportSource};

/// The number of threads that write finished jobs.
const WRITERS: usize = 2;

/// The outcome of a report stream.
pub struct Finished {
    pub stream: &'static streams::Stream,
    pub selected: bool,
    pub records: u64,
    pub requests: u64,
    pub took: Duration,
    pub result: Result<()>,
}

/// The report streams of a run.
pub struct Engine<'a> {
    pub(super) run: &'a Run<'a>,
    downloads: Downloads<'a>,
    pub(super) reports: Vec<Report<'a>>,
    started: Instant,
    pub(super) schedule: Mutex<Schedule>,
    pub(super) changed: Condvar,
    /// The conversations that the reports have named so far.
    conversations: Mutex<Ids>,
}

/// The part of a report stream that doesn't change.
pub struct Report<'a> {
    pub stream: &'static streams::Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    selected: bool,
}

/// Ends all streams if a thread panics. Otherwise, the others would wait for it
/// forever.
pub struct StopOnPanic<'e, 'a>(pub(super) &'e Engine<'a>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> Engine<'a> {
    /// Plans the windows of the streams. `conversations` is the time to search
    /// for conversations.
    ///
    /// # Errors
    /// Those of [`Run::started_at`].
    pub fn new(
        run: &'a Run<'a>,
        storage: &'a Storage,
        reports: Vec<ReportRun<'a>>,
        conversations: Option<Search>,
    ) -> Result<Self> {
        let mut tracks = Vec::new();
        let mut kept = Vec::new();
        for report in reports {
            let source = report.source;
            let lane = lane(run, &report, conversations)?;
            let writer =
                RowWriter::new(report.writer, source.event, source.aliases, source.identity);
            tracks.push(Track {
                lane,
                writer: Some(writer),
                ended: None,
                tried_both_names: false,
            });
            kept.push(Report {
                stream: report.stream,
                source,
                api: report.api,
                selected: report.selected,
            });
        }
        Ok(Self {
            run,
            downloads: Downloads {
                storage,
                retry: RetryPolicy {
                    max_retries: run.settings.max_retries,
                    base: run.settings.retry_base,
                    max: run.settings.retry_max,
                },
                most: run.settings.report_max_unpacked_bytes,
                output: run.output,
                stop: run.client.stop(),
            },
            reports: kept,
            started: Instant::now(),
            schedule: Mutex::new(Schedule::new(run, tracks)),
            changed: Condvar::new(),
            conversations: Mutex::default(),
        })
    }

    /// Extracts all streams, and returns when all have ended.
    pub fn run(&self) -> Vec<Finished> {
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| self.write_jobs());
            }
            self.ask();
        });
        let mut state = self.lock();
        let tracks = mem::take(&mut state.tracks);
        let finished = |(report, track): (&Report, Track)| {
            let ended = track
                .ended
                .unwrap_or((Err(Error::Stopped), self.started.elapsed()));
            Finished {
                stream: report.stream,
                selected: report.selected,
                records: track.writer.map_or(0, |writer| writer.written()),
                requests: report.api.requests(),
                took: ended.1,
                result: ended.0,
            }
        };
        self.reports.iter().zip(tracks).map(finished).collect()
    }

    /// Ends all streams if the thread that holds the result panics.
    pub fn stop_on_panic(&self) -> StopOnPanic<'_, 'a> {
        StopOnPanic(self)
    }

    /// Ends all streams as soon as the current work allows it.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The conversations that the reports name. Waits until all are found.
    ///
    /// # Errors
    /// [`Error::Discovery`] if a report can't be read.
    pub fn conversations(&self) -> Result<Ids> {
        let mut state = self.lock();
        loop {
            match state.unsearched.take() {
                Some(error) if error.ends_run() => return Err(error),
                Some(error) => return Err(Error::Discovery(Box::new(error))),
                None if state.stopped => return Err(Error::Stopped),
                None if !state.is_searched() => break,
                None => {}
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let found = self.conversations.lock();
        Ok(mem::take(
            &mut found.unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Cancels all reports that are needed only for their conversations.
    pub fn end_search(&self) {
        let mut state = self.lock();
        // If all have ended, there are none left.
        for at in 0..state.tracks.len() {
            if !self.reports[at].selected {
                self.end(&mut state, at, Ok(()));
            }
        }
    }

    /// Sets these bookmarks when the found conversations have been read, and
    /// forgets the jobs that named them.
    ///
    /// # Errors
    /// If stdout can't be written to.
    pub fn conversations_read(&self, bookmarks: Vec<(&'static str, Bookmark)>) -> io::Result<()> {
        // While this lock is held, no stream of the engine changes its
        // bookmark.
        let mut state = self.lock();
        for track in &mut state.tracks {
            track.lane.forget_found();
        }
        let output = self.run.output;
        output.checkpoint_all(
            bookmarks
                .into_iter()
                .chain(forget_found(output))
                .collect::<Vec<_>>(),
        )
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A writer thread: writes the head of a stream whenever one is ready.
    fn write_jobs(&self) {
        let _guard = StopOnPanic(self);
        let mut state = self.lock();
        loop {
            if state.is_finished() {
                return;
            }
            let Some(mut ready) = state.take_ready() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let at = ready.at;
            let Report { api, source, .. } = &self.reports[at];
            let before = ready.writer.written();
            let written =
                self.downloads
                    .write_job(api, source.event, &mut ready, &self.conversations);
            let rows = ready.writer.written() - before;
            state = self.lock();
            state.tracks[at].writer = Some(ready.writer);
            match written {
                Ok(()) => self.written(&mut state, at, rows),
                Err(NotWritten::Pending) => self.look_later(&mut state, at, ready.job),
                Err(NotWritten::Lost(problem)) => {
                    self.redo(&mut state, at, format!("job {} {problem}", ready.job.id));
                }
                Err(NotWritten::Failed(error)) => self.end(&mut state, at, Err(error)),
            }
            self.changed.notify_all();
        }
    }

    /// Moves the bookmark to the end of the head, after all of its rows were
    /// written.
    fn written(&self, state: &mut Schedule, at: usize, rows: u64) {
        let Some(slot) = state.tracks[at].lane.finish_head() else {
            return;
        };
        if slot.is_hole && slot.rows && rows == 0 {
            let Window { from, to } = slot.window;
            log::warn!(
                "report {}: {from} to {to} was requested separately, because no part covered it, \
                 and has no rows; it counts as empty",
                self.reports[at].source.event
            );
        }
        let stream = self.reports[at].stream;
        let mut bookmark = self.run.output.bookmark(stream.name);
        if slot.rows {
            bookmark.advance(stream.replication_key.unwrap_or_default(), slot.complete_to);
        }
        state.tracks[at].lane.save(&mut bookmark);
        if let Err(error) = self.run.output.checkpoint(stream.name, bookmark) {
            self.end(state, at, Err(error.into()));
        }
    }

    /// Saves a stream's jobs in the state. An error ends the stream.
    pub(super) fn save(&self, state: &mut Schedule, at: usize) -> std::result::Result<(), ()> {
        let stream = self.reports[at].stream;
        let mut bookmark = self.run.output.bookmark(stream.name);
        state.tracks[at].lane.save(&mut bookmark);
        self.run
            .output
            .checkpoint(stream.name, bookmark)
            .map_err(|error| {
                self.end(state, at, Err(error.into()));
            })
    }

    /// Ends a stream. An error that makes it pointless to continue ends all
    /// streams.
    pub(super) fn end(&self, state: &mut Schedule, at: usize, result: Result<()>) {
        let track = &mut state.tracks[at];
        if track.ended.is_some() {
            return;
        }
        if track.lane.is_searched() {
            let spent = || Error::Report {
                event: self.reports[at].source.event,
                problem: "all of today's jobs are used".to_owned(),
            };
            let error = result.as_ref().err().cloned().unwrap_or_else(spent);
            state.unsearched.get_or_insert(error);
        }
        let ends_run = result.as_ref().is_err_and(Error::ends_run);
        let track = &mut state.tracks[at];
        track.ended = Some((result, self.started.elapsed()));
        state.stopped |= ends_run;
        self.changed.notify_all();
    }
}
