//! Asks for reports, looks at their jobs, and has them downloaded, for all
//! report streams together.
//!
//! One thread asks and looks ([`asking`](super::asking)): the API takes one
//! request a minute, whatever the stream. Two more write finished jobs, so that
//! a long download doesn't hold up the next request. Streams take turns; within
//! a stream, rows leave in the order of time.

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

/// Threads that write finished jobs.
const WRITERS: usize = 2;

/// What became of a report stream.
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
    /// The conversations that the reports named so far.
    conversations: Mutex<Ids>,
}

/// The part of a report stream that no thread changes.
pub struct Report<'a> {
    pub stream: &'static streams::Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    selected: bool,
}

/// Ends the run where a thread of it panics, for which the others would wait
/// for ever.
pub struct StopOnPanic<'e, 'a>(pub(super) &'e Engine<'a>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> Engine<'a> {
    /// Plans the streams' windows; `conversations` is where those are searched
    /// for.
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

    /// Extracts all streams; returns when each has ended.
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

    /// Ends all streams where the thread panics that has the result.
    pub fn stop_on_panic(&self) -> StopOnPanic<'_, 'a> {
        StopOnPanic(self)
    }

    /// Ends all streams as soon as what is under way allows it.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The conversations that the reports name. Waits until all are found.
    ///
    /// # Errors
    /// [`Error::Discovery`]: a report couldn't be read.
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

    /// Asks for no further report that is wanted for its conversations alone.
    pub fn end_search(&self) {
        let mut state = self.lock();
        // None is left where all have ended.
        for at in 0..state.tracks.len() {
            if !self.reports[at].selected {
                self.end(&mut state, at, Ok(()));
            }
        }
    }

    /// Sets these bookmarks: the conversations that were found are read, and
    /// the jobs that they were found with aren't kept any longer.
    ///
    /// # Errors
    /// Stdout can't be written to.
    pub fn conversations_read(&self, bookmarks: Vec<(&'static str, Bookmark)>) -> io::Result<()> {
        // Under this lock, no stream of the engine changes its bookmark.
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

    /// A writing thread: writes the head of a stream whenever one is ready.
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

    /// Moves the bookmark to the end of the head, whose rows are all out.
    fn written(&self, state: &mut Schedule, at: usize, rows: u64) {
        let Some(slot) = state.tracks[at].lane.finish_head() else {
            return;
        };
        if slot.is_hole && slot.rows && rows == 0 {
            let Window { from, to } = slot.window;
            log::warn!(
                "report {}: {from} to {to} was asked for on its own, since no part was about it, \
                 and has no rows; it is taken to be empty",
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

    /// Writes a stream's jobs into the state; an error ends the stream.
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

    /// Ends a stream; one that leaves nothing to go on with ends all.
    pub(super) fn end(&self, state: &mut Schedule, at: usize, result: Result<()>) {
        let track = &mut state.tracks[at];
        if track.ended.is_some() {
            return;
        }
        if track.lane.is_searched() {
            let spent = || Error::Report {
                event: self.reports[at].source.event,
                problem: "today's jobs are all asked for".to_owned(),
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
