//! What the report streams of a run do next, whichever thread does it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::lane::{Lane, ReadBack, last_read_back, last_requested_at};
use super::plan::{Cut, oldest_start};
use super::report::{Ready, ReportRun};
use super::rows::RowWriter;
use super::slots::{Job, Rows, Search, Step, Wanted};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::window::Window;
use crate::freshchat::clock;
use crate::singer::Bookmark;
use crate::streams::{ReportSource, STREAMS, Source, Stream};

/// Jobs that are under way at once, of all streams: each stands in the state,
/// which stays under 64 KiB. At one request a minute, it is hours until so
/// many are.
const MOST_UNDER_WAY: usize = 200;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A lookback that is longer than this is applied by one run of a UTC day; the
/// others go back this far.
const DAILY_FROM: Duration = Duration::from_secs(48 * 3600);

/// The report streams of a run, as far as threads change them.
pub struct Schedule {
    pub tracks: Vec<Track>,
    /// No report is asked for before.
    pub next_request: Instant,
    /// Since when reports are refused for a limit, without a word on how long.
    pub spent_since: Option<Instant>,
    pub stopped: bool,
    /// Why a report isn't complete that conversations are searched for in.
    pub unsearched: Option<Error>,
    /// The stream whose turn it is.
    turn: usize,
}

/// One report stream.
pub struct Track {
    pub lane: Lane,
    /// Away while the stream's rows are written.
    pub writer: Option<RowWriter>,
    pub ended: Option<(Result<()>, Duration)>,
    /// Whether the event was asked for by both of its names.
    pub tried_both_names: bool,
}

/// What the asking thread does next.
pub enum Action {
    Request(usize),
    Look(usize, Job),
    /// Nothing before then; none: until a writer is done.
    Wait(Option<Instant>),
    Finished,
}

impl Schedule {
    /// The schedule of these streams, of which each is to be begun.
    pub fn new(run: &Run, tracks: Vec<Track>) -> Self {
        Self {
            tracks,
            unsearched: None,
            next_request: Instant::now() + wait_of_earlier_runs(run),
            spent_since: None,
            stopped: false,
            turn: 0,
        }
    }

    /// Whether conversations are yet to be found.
    pub fn is_searched(&self) -> bool {
        let mut tracks = self.tracks.iter();
        tracks.any(|track| track.ended.is_none() && track.lane.is_searched())
    }

    pub fn is_finished(&self) -> bool {
        self.stopped || self.tracks.iter().all(|track| track.ended.is_some())
    }

    /// Looks first for a stream to ask for, since there is a minute between
    /// two requests, and then for a job to look at.
    pub fn next_action(&mut self) -> Action {
        if self.is_finished() {
            return Action::Finished;
        }
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        if let Some(at) = self.next_to_ask() {
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

    /// The next stream, in turn, that a report may be asked for.
    fn next_to_ask(&self) -> Option<usize> {
        let count = self.tracks.len();
        let under_way: usize = self.tracks.iter().map(|track| track.lane.under_way()).sum();
        let mut turns = (self.turn..self.turn + count).map(|at| at % count);
        turns.find(|at| {
            let track = &self.tracks[*at];
            // A window that its whole stream waits for is always asked for.
            let head = track.lane.head().map(|slot| &slot.step);
            let urgent = matches!(head, Some(Step::Planned));
            track.can_ask() && (urgent || under_way < MOST_UNDER_WAY)
        })
    }

    /// A head that is ready; it is being written from here on.
    pub fn take_ready(&mut self) -> Option<Ready> {
        for (at, track) in self.tracks.iter_mut().enumerate() {
            let slot = track.lane.head_mut().filter(|_| track.ended.is_none());
            let Some(slot) = slot.filter(|slot| matches!(slot.step, Step::Ready { .. })) else {
                continue;
            };
            let Some(writer) = track.writer.take() else {
                continue;
            };
            if let Step::Ready { job, parts } = std::mem::replace(&mut slot.step, Step::Planned) {
                slot.step = Step::Writing { job: job.clone() };
                return Some(Ready {
                    at,
                    writer,
                    job,
                    parts,
                    rows: slot.rows,
                    conversations: slot.conversations,
                });
            }
        }
        None
    }
}

impl Track {
    fn can_ask(&self) -> bool {
        self.ended.is_none() && self.lane.has_planned() && !self.lane.is_spent(clock::now())
    }

    /// Whether nothing is left to do, or nothing today.
    pub fn is_done(&self, event: &str) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match self.lane.head().map(|slot| &slot.step) {
            None => true,
            Some(Step::Planned) if self.lane.is_spent(clock::now()) => {
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

/// The lane of a report, which may be searched for conversations.
///
/// # Errors
/// Those of [`Run::started_at`].
pub fn lane(run: &Run, report: &ReportRun, conversations: Option<Search>) -> Result<Lane> {
    let bookmark = run.output.bookmark(report.stream.name);
    let conversations = conversations.filter(|_| report.source.names_conversations);
    let mut lookback = lookback(run, report.source);
    let started_at = run.started_at()?;
    // Due is a long one that this day had not, or not as long.
    let long = (lookback > DAILY_FROM).then(|| ReadBack {
        on: started_at.date_naive(),
        hours: lookback.as_secs() / 3600,
    });
    let last = last_read_back(&bookmark);
    let due = long.filter(|long| !last.is_some_and(|last| last.covers(*long)));
    if long.is_some() && due.is_none() {
        lookback = DAILY_FROM;
    }
    // With one lookback for both, one job serves both.
    if conversations.is_some() {
        lookback = lookback.max(search_lookback(run.settings));
    }
    let rows = match report.selected {
        true => Some(rows(run, report, &bookmark, lookback)?),
        false => None,
    };
    let wanted = Wanted {
        rows,
        conversations,
    };
    let mut lane = Lane::new(
        &bookmark,
        wanted,
        report.source.cut,
        lookback,
        run.settings.report_jobs_per_event_per_day,
        started_at,
    );
    if let Some(due) = due.filter(|_| report.selected) {
        lane.note_long_lookback(due);
    }
    Ok(lane)
}

/// How far before its bookmark a report is read again: as the setting has it,
/// or for as long as its rows may change. It leaves half of the day's jobs to
/// what is new.
fn lookback(run: &Run, source: &ReportSource) -> Duration {
    let wanted = run.settings.report_lookback.of(source);
    let budget = run.settings.report_jobs_per_event_per_day;
    if budget == 0 || source.cut == Cut::Months {
        return wanted;
    }
    let most = DAY * (budget / 2);
    if wanted > most {
        log::warn!(
            "report {}: {} h before the bookmark are read again, and not {}, since \
             `report_jobs_per_event_per_day` is {budget}",
            source.event,
            most.as_secs() / 3600,
            wanted.as_secs() / 3600
        );
    }
    wanted.min(most)
}

/// How far back the reports are searched for conversations again.
pub fn search_lookback(settings: &Settings) -> Duration {
    let lookback = |stream: &Stream| match &stream.source {
        Source::Report(source) if source.names_conversations => {
            Some(settings.report_lookback.of(source))
        }
        _ => None,
    };
    let lookbacks = STREAMS.iter().filter_map(lookback);
    lookbacks.fold(settings.lookback, Duration::max)
}

/// The rows of a stream: from its bookmark minus the lookback, or from the
/// start date, but no further back than the API takes.
fn rows(run: &Run, report: &ReportRun, bookmark: &Bookmark, lookback: Duration) -> Result<Rows> {
    let event = report.source.event;
    let reached = bookmark.value().filter(|_| !report.full_table);
    let window = run.window(report.stream.name, reached, lookback)?;
    let oldest = oldest_start(run.started_at()?);
    if window.from < oldest {
        log::warn!("report {event}: the API gives no rows before {oldest}; it starts there");
    }
    let whole = Window {
        from: window.from.max(oldest),
        ..window
    };
    Ok(Rows { reached, whole })
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
    let passed = (clock::now() - last).max(TimeDelta::zero());
    let passed = passed.to_std().unwrap_or_default();
    // Each of the two times may be too early by so much.
    let unsure = clock::RESOLUTION.min(interval);
    interval.saturating_sub(passed.saturating_sub(unsure))
}
