//! Asks for reports, looks at their jobs, and has them downloaded, for all
//! report streams together.
//!
//! One thread asks and looks: the API takes one request a minute, whatever
//! the stream. Two more write finished jobs, so that a long download doesn't
//! hold up the next request. Streams take turns; within a stream, rows leave
//! in the order of time.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};

use super::download::{Downloads, NotWritten};
use super::rows::RowWriter;
use super::schedule::{Action, Schedule, Track, lane};
use super::slots::{Job, Slot, Step};
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::ids::Ids;
use crate::extract::window::Window;
use crate::freshchat::reports::{Progress, look, request};
use crate::freshchat::{Api, RetryPolicy, Storage};
use crate::singer::RecordWriter;
use crate::streams::{self, ReportSource};

/// Threads that write finished jobs.
const WRITERS: usize = 2;

/// A job is looked at after this share of the time that it has taken so far:
/// often while it is young, and less often the longer it takes.
const LOOK_SHARE: u32 = 20;

/// The rate limits are hourly: no answer makes the next request wait longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 3600);

/// One report stream of a run.
pub struct ReportRun<'a> {
    pub stream: &'static streams::Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether its rows are wanted, and not only the conversations that they name.
    pub selected: bool,
    /// Whether to begin at the start date whatever the bookmark says.
    pub full_table: bool,
}

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
    run: &'a Run<'a>,
    downloads: Downloads<'a>,
    reports: Vec<Report<'a>>,
    started: Instant,
    schedule: Mutex<Schedule>,
    changed: Condvar,
    /// The conversations that the reports named so far.
    conversations: Mutex<Ids>,
}

/// The part of a report stream that no thread changes.
struct Report<'a> {
    stream: &'static streams::Stream,
    source: &'static ReportSource,
    api: Api<'a>,
    selected: bool,
}

/// Ends the run where a thread of it panics, for which the others would wait
/// for ever.
struct StopOnPanic<'e, 'a>(&'e Engine<'a>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> Engine<'a> {
    /// Plans the streams' windows; `conversations` is the time in which those
    /// are wanted that the reports name.
    pub fn new(
        run: &'a Run<'a>,
        storage: &'a Storage,
        reports: Vec<ReportRun<'a>>,
        conversations: Option<Window>,
    ) -> Self {
        let mut tracks = Vec::new();
        let mut kept = Vec::new();
        for report in reports {
            let source = report.source;
            let key = report.stream.replication_key.unwrap_or_default();
            let lane = lane(run, &report, conversations);
            let writer = RowWriter::new(report.writer, source.event, source.aliases, key);
            tracks.push(Track {
                lane,
                writer: Some(writer),
                ended: None,
            });
            kept.push(Report {
                stream: report.stream,
                source,
                api: report.api,
                selected: report.selected,
            });
        }
        Self {
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
            },
            reports: kept,
            started: Instant::now(),
            schedule: Mutex::new(Schedule::new(run, tracks)),
            changed: Condvar::new(),
            conversations: Mutex::default(),
        }
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

    /// Ends all streams as soon as what is under way allows it.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The conversations that the reports name. Waits until these reports have
    /// ended.
    ///
    /// # Errors
    /// [`Error::Discovery`]: not all of them could be read.
    pub fn conversations(&self) -> Result<Ids> {
        let mut state = self.lock();
        loop {
            match state.search.failed.take() {
                Some(error) if error.ends_run() => return Err(error),
                Some(error) => return Err(Error::Discovery(Box::new(error))),
                None if state.search.left == 0 => break,
                None if state.stopped => return Err(Error::Stopped),
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

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The asking thread.
    fn ask(&self) {
        let _guard = StopOnPanic(self);
        loop {
            let mut state = self.lock();
            let action = self.next_action(&mut state);
            super::lines::show(self.reports.iter().map(|it| it.stream.name), &state);
            match action {
                Action::Finished => {
                    // Wakes the writers, which see that all has ended.
                    self.changed.notify_all();
                    return;
                }
                Action::Wait(until) => self.wait(state, until),
                Action::Request(at) => {
                    drop(state);
                    self.request(at);
                }
                Action::Look(at, job) => {
                    drop(state);
                    self.look(at, job);
                }
            }
        }
    }

    fn wait(&self, state: MutexGuard<'_, Schedule>, until: Option<Instant>) {
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(wait) => drop(self.changed.wait_timeout(state, wait)),
            None => drop(self.changed.wait(state)),
        }
    }

    fn next_action(&self, state: &mut Schedule) -> Action {
        for at in 0..self.reports.len() {
            if state.tracks[at].is_done(self.reports[at].source.event) {
                self.end(state, at, Ok(()));
            }
        }
        state.next_action()
    }

    /// Asks for the first planned window of a stream. That it was asked for is
    /// in the state before the request goes out, so that a run that is killed
    /// and started again keeps the pace too.
    fn request(&self, at: usize) {
        let (api, event) = (&self.reports[at].api, self.reports[at].source.event);
        let now = Utc::now().trunc_subsecs(3);
        let mut state = self.lock();
        let lane = &mut state.tracks[at].lane;
        lane.count_request(now);
        let window = lane.first_planned().map(|slot| slot.window);
        let (Some(window), Ok(())) = (window, self.save(&mut state, at)) else {
            return;
        };
        drop(state);
        let Window { from, to } = window;
        let requested = request(api, event, from, to);
        let mut state = self.lock();
        let pause = asked_pause(&requested).max(self.run.settings.report_request_interval);
        state.next_request = Instant::now() + pause;
        let answered_at = Utc::now().trunc_subsecs(3);
        state.tracks[at].lane.note_answer(answered_at);
        match requested {
            Ok(id) => {
                log::info!("report {event}: job {id} asked for, {from} to {to}");
                let job = Job {
                    id,
                    from,
                    to,
                    requested_at: answered_at,
                };
                let look_at = Instant::now() + self.run.settings.report_poll_interval;
                if let Some(slot) = state.tracks[at].lane.first_planned() {
                    slot.step = Step::Requested { job, look_at };
                }
                // An error has ended the stream.
                let _ = self.save(&mut state, at);
            }
            Err(error) => {
                let _ = self.save(&mut state, at);
                self.refused(&mut state, at, error);
            }
        }
    }

    /// A request for a report that was not answered with a job.
    fn refused(&self, state: &mut Schedule, at: usize, error: Error) {
        let event = self.reports[at].source.event;
        let passing = match &error {
            // A permission of its own: no other report may be read either.
            Error::Api(api) if api.status == 403 => {
                for at in 0..self.reports.len() {
                    if state.tracks[at].lane.has_planned() {
                        self.end(state, at, Err(Error::Api(api.clone())));
                    }
                }
                return;
            }
            Error::Api(api) => matches!(api.status, 408 | 429 | 500..=599),
            Error::Transport { .. } | Error::NotJson { .. } | Error::Unexpected { .. } => true,
            _ => false,
        };
        if !passing {
            return self.end(state, at, Err(error));
        }
        let Some(slot) = state.tracks[at].lane.first_planned() else {
            return;
        };
        slot.failed_requests += 1;
        if slot.failed_requests > self.run.settings.max_retries {
            return self.end(state, at, Err(error));
        }
        log::info!("report {event}: {error}; asking again at the next turn");
    }

    /// Looks at a job.
    fn look(&self, at: usize, job: Job) {
        let settings = self.run.settings;
        let looked = look(&self.reports[at].api, &job.id);
        let mut state = self.lock();
        let Some(slot) = state.tracks[at].lane.head_mut() else {
            return;
        };
        let taken = (Utc::now() - job.requested_at).to_std().unwrap_or_default();
        let problem = match looked {
            Ok(Progress::Done(links)) => {
                slot.step = Step::Ready { job, links };
                self.changed.notify_all();
                return;
            }
            Ok(Progress::Pending) if taken < settings.report_timeout => {
                let wait = settings.report_poll_interval.max(taken / LOOK_SHARE);
                let look_at = Instant::now() + wait;
                slot.step = Step::Requested { job, look_at };
                return;
            }
            Ok(Progress::Pending) => format!("was not done after {} minutes", taken.as_secs() / 60),
            Ok(Progress::Failed) => "failed".to_owned(),
            Err(error) if error.status() == Some(404) => "is not known any more".to_owned(),
            Err(error) => return self.end(&mut state, at, Err(error)),
        };
        self.redo(&mut state, at, format!("job {} {problem}", job.id));
    }

    /// Gives the head's job up, to be asked for anew unless that was done often.
    fn redo(&self, state: &mut Schedule, at: usize, problem: String) {
        let event = self.reports[at].source.event;
        let Some(again) = state.tracks[at].lane.head_mut().map(Slot::redo) else {
            return;
        };
        // Out of the state in any case: the next run asks for it anew.
        let _ = self.save(state, at);
        if again {
            log::warn!("report {event}: {problem}; asking for it anew");
        } else {
            self.end(state, at, Err(Error::Report { event, problem }));
        }
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
            let written =
                self.downloads
                    .write_job(api, source.event, &mut ready, &self.conversations);
            state = self.lock();
            state.tracks[at].writer = Some(ready.writer);
            match written {
                Ok(()) => self.written(&mut state, at),
                Err(NotWritten::Lost(problem)) => {
                    self.redo(&mut state, at, format!("job {} {problem}", ready.job.id));
                }
                Err(NotWritten::Failed(error)) => self.end(&mut state, at, Err(error)),
            }
            self.changed.notify_all();
        }
    }

    /// Moves the bookmark to the end of the head, whose rows are all out.
    fn written(&self, state: &mut Schedule, at: usize) {
        let Some(slot) = state.tracks[at].lane.finish_head() else {
            return;
        };
        let stream = self.reports[at].stream;
        let mut bookmark = self.run.output.bookmark(stream.name);
        if slot.rows {
            bookmark.advance(stream.replication_key.unwrap_or_default(), slot.window.to);
        }
        state.tracks[at].lane.save(&mut bookmark);
        if let Err(error) = self.run.output.checkpoint(stream.name, bookmark) {
            self.end(state, at, Err(error.into()));
        }
    }

    /// Writes a stream's jobs into the state; an error ends the stream.
    fn save(&self, state: &mut Schedule, at: usize) -> std::result::Result<(), ()> {
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
    fn end(&self, state: &mut Schedule, at: usize, result: Result<()>) {
        let track = &mut state.tracks[at];
        if track.ended.is_some() {
            return;
        }
        if track.lane.finds_conversations() {
            let failed = result.as_ref().err().cloned();
            let event = self.reports[at].source.event;
            // Where windows are left, today's jobs are all asked for.
            let spent = track.lane.head().map(|_| Error::Report {
                event,
                problem: "today's jobs are all asked for".to_owned(),
            });
            let failed = failed.or(spent);
            state.search.left -= 1;
            state.search.failed = state.search.failed.take().or(failed);
        }
        let ends_run = result.as_ref().is_err_and(Error::ends_run);
        track.ended = Some((result, self.started.elapsed()));
        state.stopped |= ends_run;
        self.changed.notify_all();
    }
}

/// How long an answer asks to wait before the next request.
fn asked_pause(requested: &Result<String>) -> Duration {
    match requested {
        Err(Error::Api(api)) => api.retry_after.unwrap_or_default().min(LONGEST_PAUSE),
        _ => Duration::ZERO,
    }
}
