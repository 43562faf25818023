//! Asks for reports, looks at their jobs, and has them downloaded, for all
//! report streams together.
//!
//! One thread asks and looks: the API takes one request a minute, whatever
//! the stream. Two more write finished jobs, so that a long download doesn't
//! hold up the next request. Streams take turns; within a stream, rows leave
//! in the order of time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};

use super::download::Downloads;
use super::lane::{Job, Lane, Step, last_requested_at};
use super::lines;
use super::plan::oldest_start;
use super::rows::RowWriter;
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::window::Window;
use crate::freshchat::reports::{Progress, look, request};
use crate::freshchat::{Api, RetryPolicy, Storage};
use crate::progress;
use crate::singer::RecordWriter;
use crate::streams::{self, ReportSource, STREAMS};

/// Threads that write finished jobs.
const WRITERS: usize = 2;

/// A job is looked at after this share of the time that it has taken so far:
/// often while it is young, and less often the longer it takes.
const LOOK_SHARE: u32 = 20;

/// One report stream of a run.
pub struct ReportRun<'a> {
    pub stream: &'static streams::Stream,
    pub source: &'static ReportSource,
    pub api: Api<'a>,
    pub writer: RecordWriter,
    /// Whether to begin at the start date whatever the bookmark says.
    pub full_table: bool,
}

/// What became of a report stream.
pub struct Finished {
    pub stream: &'static streams::Stream,
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
    state: Mutex<State>,
    changed: Condvar,
}

/// The part of a report stream that no thread changes.
struct Report<'a> {
    stream: &'static streams::Stream,
    source: &'static ReportSource,
    api: Api<'a>,
}

struct State {
    tracks: Vec<Track>,
    /// No report is asked for before.
    next_request: Instant,
    /// The stream whose turn it is.
    turn: usize,
    stopped: bool,
}

/// The part of a report stream that threads change.
struct Track {
    lane: Lane,
    /// Away while the stream's rows are written.
    writer: Option<RowWriter>,
    ended: Option<(Result<()>, Duration)>,
}

/// What the asking thread does next.
enum Action {
    Request(usize),
    Look(usize, Job),
    /// Nothing before then; none: until a writer is done.
    Wait(Option<Instant>),
    Finished,
}

impl<'a> Engine<'a> {
    /// Plans the streams' windows.
    pub fn new(run: &'a Run<'a>, storage: &'a Storage, reports: Vec<ReportRun<'a>>) -> Self {
        let mut tracks = Vec::new();
        let mut kept = Vec::new();
        for report in reports {
            let source = report.source;
            let key = report.stream.replication_key.unwrap_or_default();
            tracks.push(Track {
                lane: lane(run, &report),
                writer: Some(RowWriter::new(
                    report.writer,
                    source.event,
                    source.aliases,
                    key,
                )),
                ended: None,
            });
            kept.push(Report {
                stream: report.stream,
                source,
                api: report.api,
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
            state: Mutex::new(State {
                tracks,
                next_request: Instant::now() + wait_of_earlier_runs(run),
                turn: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
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
        let tracks = std::mem::take(&mut state.tracks);
        let finished = |(report, track): (&Report, Track)| {
            let ended = track
                .ended
                .unwrap_or((Err(Error::Stopped), self.started.elapsed()));
            Finished {
                stream: report.stream,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The asking thread.
    fn ask(&self) {
        loop {
            let mut state = self.lock();
            let action = self.next_action(&mut state);
            self.show(&state);
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

    /// Shows a line for each job on a terminal.
    fn show(&self, state: &State) {
        for (report, track) in self.reports.iter().zip(&state.tracks) {
            progress::jobs(report.stream.name, || {
                lines::of(track.lane.slots(), state.next_request)
            });
        }
    }

    fn wait(&self, state: MutexGuard<'_, State>, until: Option<Instant>) {
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(wait) => drop(self.changed.wait_timeout(state, wait)),
            None => drop(self.changed.wait(state)),
        }
    }

    fn next_action(&self, state: &mut State) -> Action {
        for (at, report) in self.reports.iter().enumerate() {
            if state.tracks[at].is_done(report.source.event) {
                self.end(state, at, Ok(()));
            }
        }
        state.next_action()
    }

    /// Asks for the first planned window of a stream. That it was asked for is
    /// in the state before the request goes out, so that a run that is killed
    /// and started again keeps the pace too.
    fn request(&self, at: usize) {
        let report = &self.reports[at];
        let now = Utc::now();
        let mut state = self.lock();
        let lane = &mut state.tracks[at].lane;
        lane.count_request(now);
        let window = lane.first_planned().map(|slot| slot.window);
        let (Some(window), Ok(())) = (window, self.save(&mut state, at)) else {
            return;
        };
        drop(state);
        let requested = request(&report.api, report.source.event, window.from, window.to);
        let mut state = self.lock();
        state.next_request = Instant::now() + self.run.settings.report_request_interval;
        match requested {
            Ok(id) => {
                log::info!(
                    "report {}: job {id} asked for, {} to {}",
                    report.source.event,
                    window.from,
                    window.to
                );
                let job = Job {
                    id,
                    from: window.from,
                    to: window.to,
                    requested_at: now,
                };
                let look_at = Instant::now() + self.run.settings.report_poll_interval;
                if let Some(slot) = state.tracks[at].lane.first_planned() {
                    slot.step = Step::Requested { job, look_at };
                }
                // An error has ended the stream.
                let _ = self.save(&mut state, at);
            }
            Err(error) => self.refused(&mut state, at, error),
        }
    }

    /// A request for a report that was not answered with a job.
    fn refused(&self, state: &mut State, at: usize, error: Error) {
        let event = self.reports[at].source.event;
        match &error {
            // A permission of its own: no other report may be read either.
            Error::Api(api) if api.status == 403 => {
                let others = (0..self.reports.len()).filter(|other| *other != at);
                for other in others.collect::<Vec<_>>() {
                    if state.tracks[other].lane.has_planned() {
                        self.end(state, other, Err(Error::Api(api.clone())));
                    }
                }
            }
            Error::Api(api) if matches!(api.status, 408 | 429 | 500..=599) => {}
            Error::Transport { .. } | Error::NotJson { .. } | Error::Unexpected { .. } => {}
            _ => return self.end(state, at, Err(error)),
        }
        if error.status() == Some(403) {
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
        let report = &self.reports[at];
        let settings = self.run.settings;
        let looked = look(&report.api, &job.id);
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
        let event = report.source.event;
        let problem = format!("job {} {problem}", job.id);
        if slot.redo() {
            log::warn!("report {event}: {problem}; asking for it anew");
            let _ = self.save(&mut state, at);
        } else {
            // Out of the state too: the next run asks for it anew.
            let _ = self.save(&mut state, at);
            self.end(&mut state, at, Err(Error::Report { event, problem }));
        }
    }

    /// A writing thread: writes the head of a stream whenever one is ready.
    fn write_jobs(&self) {
        let mut state = self.lock();
        loop {
            if state.is_finished() {
                return;
            }
            let Some((at, job, links, mut writer)) = state.take_ready() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let report = &self.reports[at];
            let event = report.source.event;
            let written = self
                .downloads
                .write_job(&report.api, &job.id, event, links, &mut writer);
            state = self.lock();
            state.tracks[at].writer = Some(writer);
            match written {
                Ok(()) => self.written(&mut state, at),
                Err(error) => self.end(&mut state, at, Err(error)),
            }
            self.changed.notify_all();
        }
    }

    /// Moves the bookmark to the end of the head, whose rows are all out.
    fn written(&self, state: &mut State, at: usize) {
        let Some(slot) = state.tracks[at].lane.finish_head() else {
            return;
        };
        let stream = self.reports[at].stream;
        let mut bookmark = self.run.output.bookmark(stream.name);
        bookmark.advance(stream.replication_key.unwrap_or_default(), slot.window.to);
        state.tracks[at].lane.save(&mut bookmark);
        if let Err(error) = self.run.output.checkpoint(stream.name, bookmark) {
            self.end(state, at, Err(error.into()));
        }
    }

    /// Writes a stream's jobs into the state; an error ends the stream.
    fn save(&self, state: &mut State, at: usize) -> std::result::Result<(), ()> {
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
    fn end(&self, state: &mut State, at: usize, result: Result<()>) {
        let track = &mut state.tracks[at];
        if track.ended.is_some() {
            return;
        }
        let ends_run = result.as_ref().is_err_and(Error::ends_run);
        track.ended = Some((result, self.started.elapsed()));
        progress::end(self.reports[at].stream.name);
        state.stopped |= ends_run;
        self.changed.notify_all();
    }
}

impl State {
    fn is_finished(&self) -> bool {
        self.stopped || self.tracks.iter().all(|track| track.ended.is_some())
    }

    /// Looks first for a stream to ask for, since there is a minute between
    /// two requests, and then for a job to look at.
    fn next_action(&mut self) -> Action {
        if self.is_finished() {
            return Action::Finished;
        }
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let count = self.tracks.len();
        let mut turns = (self.turn..self.turn + count).map(|at| at % count);
        if let Some(at) = turns.find(|at| self.tracks[*at].can_ask()) {
            if self.next_request <= now {
                self.turn = at + 1;
                return Action::Request(at);
            }
            next = Some(self.next_request);
        }
        for (at, track) in self.tracks.iter().enumerate() {
            // Only the head's rows are waited for.
            let head = track.lane.head().filter(|_| track.ended.is_none());
            if let Some(Step::Requested { job, look_at }) = head.map(|slot| &slot.step) {
                if *look_at <= now {
                    return Action::Look(at, job.clone());
                }
                next = Some(next.map_or(*look_at, |next| next.min(*look_at)));
            }
        }
        Action::Wait(next)
    }

    /// A head that is ready, with the stream's writer; it is being written
    /// from here on.
    fn take_ready(&mut self) -> Option<(usize, Job, Vec<String>, RowWriter)> {
        for (at, track) in self.tracks.iter_mut().enumerate() {
            let slot = track.lane.head_mut().filter(|_| track.ended.is_none());
            let Some(slot) = slot.filter(|slot| matches!(slot.step, Step::Ready { .. })) else {
                continue;
            };
            let Some(writer) = track.writer.take() else {
                continue;
            };
            if let Step::Ready { job, links } = std::mem::replace(&mut slot.step, Step::Planned) {
                slot.step = Step::Writing { job: job.clone() };
                return Some((at, job, links, writer));
            }
        }
        None
    }
}

impl Track {
    fn can_ask(&self) -> bool {
        self.ended.is_none() && self.lane.has_planned() && !self.lane.is_spent(Utc::now())
    }

    /// Whether nothing is left to do, or nothing today.
    fn is_done(&self, event: &str) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match self.lane.head().map(|slot| &slot.step) {
            None => true,
            Some(Step::Planned) if self.lane.is_spent(Utc::now()) => {
                log::warn!(
                    "report {event}: today's jobs are all asked for; it goes on with the first \
                     run after midnight UTC"
                );
                true
            }
            Some(_) => false,
        }
    }
}

/// The windows of a stream: from its bookmark minus the lookback, or from the
/// start date, but no further back than the API takes.
fn lane(run: &Run, report: &ReportRun) -> Lane {
    let settings = run.settings;
    let event = report.source.event;
    let bookmark = run.output.bookmark(report.stream.name);
    let value = bookmark.value().filter(|_| !report.full_table);
    let from = match value {
        Some(value) => (value - settings.report_lookback).max(settings.start_date.min(value)),
        None => settings.start_date,
    };
    let oldest = oldest_start(run.started_at);
    if from < oldest {
        log::warn!("report {event}: the API gives no rows before {oldest}; it starts there");
    }
    let whole = Window {
        from: from.max(oldest),
        to: settings
            .end_date
            .map_or(run.started_at, |end| end.min(run.started_at)),
    };
    let budget = settings.report_jobs_per_event_per_day;
    Lane::new(&bookmark, report.source.cut, whole, budget, run.started_at)
}

/// How long the requests of earlier runs still hold up the first one, whatever
/// stream they were for.
fn wait_of_earlier_runs(run: &Run) -> Duration {
    let interval = run.settings.report_request_interval;
    let bookmarks = STREAMS
        .iter()
        .map(|stream| run.output.bookmark(stream.name));
    let Some(last) = bookmarks
        .filter_map(|bookmark| last_requested_at(&bookmark))
        .max()
    else {
        return Duration::ZERO;
    };
    let passed = (Utc::now() - last).max(TimeDelta::zero());
    interval.saturating_sub(passed.to_std().unwrap_or_default())
}

/// Whether the error says that the account has no such report.
pub fn is_unknown_event(error: &Error) -> bool {
    matches!(error, Error::Api(api) if api.message.eq_ignore_ascii_case("No matching event name"))
}
