//! Decides what the report streams of a run do next, for all threads.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::lane::{Lane, ReadBack, last_read_back, last_requested_at};
use super::report::{Ready, ReportRun};
use super::rows::RowWriter;
use super::slots::{Job, Search, Wanted, WantedRows, WindowStep};
use super::windows::{Cut, oldest_start};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::window::Window;
use crate::freshchat::clock;
use crate::singer::Bookmark;
use crate::streams::{ReportSource, STREAMS, Source, Stream};

/// The maximum number of unfinished jobs over all streams. Each is in the
/// state, which must stay below 64 KiB. At one request per minute, it takes
/// hours to reach this.
const MOST_UNDER_WAY: usize = 200;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A longer lookback is used by one run per UTC day. The other runs go back
/// only this far.
const DAILY_FROM: Duration = Duration::from_secs(48 * 3600);

/// The part of the report streams that threads change.
pub struct Schedule {
    pub tracks: Vec<Track>,
    /// The earliest time of the next request for a report.
    pub next_request: Instant,
    /// Since when requests have been refused because of the rate limit, without
    /// a wait in the answer.
    pub spent_since: Option<Instant>,
    pub stopped: bool,
    /// The error of an incomplete report that was searched for conversations.
    pub unsearched: Option<Error>,
    /// The stream whose turn it is.
    turn: usize,
}

/// A report stream.
pub struct Track {
    pub lane: Lane,
    /// `None` while the stream's rows are being written.
    pub writer: Option<RowWriter>,
    pub ended: Option<(Result<()>, Duration)>,
    /// Whether the event was requested by both of its names.
    pub tried_both_names: bool,
}

/// What the request thread does next.
pub enum Action {
    Request(usize),
    Look(usize, Job),
    /// Wait until this time or, without one, until a writer is done.
    Wait(Option<Instant>),
    Finished,
}

impl Schedule {
    /// A schedule for streams that are yet to begin.
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

    /// Whether more conversations may be found.
    pub fn is_searched(&self) -> bool {
        let mut tracks = self.tracks.iter();
        tracks.any(|track| track.ended.is_none() && track.lane.is_searched())
    }

    pub fn is_finished(&self) -> bool {
        self.stopped || self.tracks.iter().all(|track| track.ended.is_some())
    }

    /// First tries to request a report, because requests are a minute apart,
    /// and then to poll a job.
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
            // Only the head's job is needed now.
            let head = track.lane.head().filter(|_| track.ended.is_none());
            if let Some(WindowStep::Requested { job, look_at }) = head.map(|slot| &slot.step) {
                if *look_at <= now {
                    return Action::Look(at, job.clone());
                }
                next = Some(next.map_or(*look_at, |next| next.min(*look_at)));
            }
        }
        Action::Wait(next)
    }

    /// The next stream, in turn, for which a report may be requested.
    fn next_to_ask(&self) -> Option<usize> {
        let count = self.tracks.len();
        let under_way: usize = self.tracks.iter().map(|track| track.lane.under_way()).sum();
        let mut turns = (self.turn..self.turn + count).map(|at| at % count);
        turns.find(|at| {
            let track = &self.tracks[*at];
            // A window that blocks its whole stream is always requested.
            let head = track.lane.head().map(|slot| &slot.step);
            let urgent = matches!(head, Some(WindowStep::Planned));
            track.can_ask() && (urgent || under_way < MOST_UNDER_WAY)
        })
    }

    /// Takes a head that is ready, and marks it as being written.
    pub fn take_ready(&mut self) -> Option<Ready> {
        for (at, track) in self.tracks.iter_mut().enumerate() {
            let slot = track.lane.head_mut().filter(|_| track.ended.is_none());
            let Some(slot) = slot.filter(|slot| matches!(slot.step, WindowStep::Ready { .. }))
            else {
                continue;
            };
            let Some(writer) = track.writer.take() else {
                continue;
            };
            if let WindowStep::Ready { job, parts } =
                std::mem::replace(&mut slot.step, WindowStep::Planned)
            {
                slot.step = WindowStep::Writing { job: job.clone() };
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

    /// Whether nothing is left to do, at all or for today.
    pub fn is_done(&self, event: &str) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match self.lane.head().map(|slot| &slot.step) {
            None => true,
            Some(WindowStep::Planned) if self.lane.is_spent(clock::now()) => {
                log::warn!(
                    "report {event}: all of today's jobs are used; the first run after midnight \
                     UTC continues"
                );
                true
            }
            Some(_) => false,
        }
    }
}

/// The lane of a report, whose rows may be searched for conversations.
///
/// # Errors
/// Those of [`Run::started_at`].
pub fn lane(run: &Run, report: &ReportRun, conversations: Option<Search>) -> Result<Lane> {
    let bookmark = run.output.bookmark(report.stream.name);
    let conversations = conversations.filter(|_| report.source.names_conversations);
    let mut lookback = lookback(run, report.source);
    let started_at = run.started_at()?;
    // A long lookback is due if this day had none that was at least as long.
    let long = (lookback > DAILY_FROM).then(|| ReadBack {
        on: started_at.date_naive(),
        hours: lookback.as_secs() / 3600,
    });
    let last = last_read_back(&bookmark);
    let due = long.filter(|long| !last.is_some_and(|last| last.covers(*long)));
    if long.is_some() && due.is_none() {
        lookback = DAILY_FROM;
    }
    // With the same lookback for both, one job serves both.
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

/// How far before its bookmark a report is read again: as set, or as long as
/// its rows may change. It uses at most half of the day's jobs, to leave the
/// rest for new rows.
fn lookback(run: &Run, source: &ReportSource) -> Duration {
    let wanted = run.settings.report_lookback.of(source);
    let budget = run.settings.report_jobs_per_event_per_day;
    if budget == 0 || source.cut == Cut::Months {
        return wanted;
    }
    let most = DAY * (budget / 2);
    if wanted > most {
        log::warn!(
            "report {}: the lookback is {} h instead of {} h, because \
             `report_jobs_per_event_per_day` is {budget}",
            source.event,
            most.as_secs() / 3600,
            wanted.as_secs() / 3600
        );
    }
    wanted.min(most)
}

/// How far back the reports are searched again for conversations.
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
/// start date, but no earlier than the API accepts.
fn rows(
    run: &Run,
    report: &ReportRun,
    bookmark: &Bookmark,
    lookback: Duration,
) -> Result<WantedRows> {
    let event = report.source.event;
    let reached = bookmark.value().filter(|_| !report.full_table);
    let window = run.window(report.stream.name, reached, lookback)?;
    let oldest = oldest_start(run.started_at()?);
    if window.from < oldest {
        log::warn!(
            "report {event}: the API has no rows from before {oldest}; reading starts there"
        );
    }
    let whole = Window {
        from: window.from.max(oldest),
        ..window
    };
    Ok(WantedRows { reached, whole })
}

/// How long the first request must still wait because of earlier runs'
/// requests, for any stream.
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
    // Each of the two times may be too early by this much.
    let unsure = clock::RESOLUTION.min(interval);
    interval.saturating_sub(passed.saturating_sub(unsure))
}
