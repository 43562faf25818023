//! The engine's request thread: requests reports, and polls their jobs.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use chrono::SubsecRound;

use super::engine::{Engine, StopOnPanic};
use super::schedule::{Action, Schedule};
use super::slots::{Job, Slot, WindowStep};
use super::windows::{Cut, holes, overlap};
use crate::error::{Error, Result};
use crate::extract::window::Window;
use crate::freshchat::reports::{JobProgress, ReportPart, look, request};
use crate::freshchat::{PATIENCE, clock};

/// A job is polled again after this fraction (a tenth) of its age: often at
/// first, then less often.
const LOOK_SHARE: u32 = 10;

/// The maximum pause that an answer can cause. Rate limits are hourly.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 3600);

impl Engine<'_> {
    /// The request thread.
    pub(super) fn ask(&self) {
        let _guard = StopOnPanic(self);
        loop {
            let mut state = self.lock();
            let action = self.next_action(&mut state);
            super::live_lines::show(self.reports.iter().map(|it| it.stream.name), &state);
            match action {
                Action::Finished => {
                    // Wakes the writers, so that they see the end.
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

    /// Requests the first planned window of a stream. The state records the
    /// request before it is sent, so that a run that is killed and restarted
    /// also keeps the pace.
    fn request(&self, at: usize) {
        let (api, event) = (&self.reports[at].api, self.reports[at].source.event);
        let lower_case = event.to_ascii_lowercase();
        let now = clock::now().trunc_subsecs(3);
        let mut state = self.lock();
        let lane = &mut state.tracks[at].lane;
        lane.count_request(now);
        let name = match lane.is_lower_case() {
            true => lower_case.as_str(),
            false => event,
        };
        let window = lane.first_planned().map(|slot| slot.window);
        let (Some(window), Ok(())) = (window, self.save(&mut state, at)) else {
            return;
        };
        drop(state);
        let Window { from, to } = window;
        let requested = request(api, name, from, to);
        let mut state = self.lock();
        let pause = asked_pause(&requested).max(self.run.settings.report_request_interval);
        state.next_request = Instant::now() + pause;
        let answered_at = clock::now().trunc_subsecs(3);
        state.tracks[at].lane.note_answer(answered_at);
        match requested {
            Ok(id) => {
                state.spent_since = None;
                log::info!("report {event}: job {id} requested, {from} to {to}");
                let job = Job {
                    id,
                    from,
                    to,
                    requested_at: answered_at,
                };
                let look_at = Instant::now() + self.run.settings.report_poll_interval;
                if let Some(slot) = state.tracks[at].lane.first_planned() {
                    slot.step = WindowStep::Requested { job, look_at };
                }
                // An error has already ended the stream.
                let _ = self.save(&mut state, at);
            }
            Err(error) => {
                let track = &mut state.tracks[at];
                let has_other_name = self.reports[at].source.lower_case && !track.tried_both_names;
                if has_other_name && matches!(error, Error::UnknownEvent(_)) {
                    log::info!(
                        "report {event}: the account doesn't know `{name}`; trying its name in \
                         another case"
                    );
                    track.tried_both_names = true;
                    track.lane.change_case();
                    let _ = self.save(&mut state, at);
                    return;
                }
                let _ = self.save(&mut state, at);
                self.refused(&mut state, at, error);
            }
        }
    }

    /// Handles a request that was not answered with a job.
    fn refused(&self, state: &mut Schedule, at: usize, error: Error) {
        let event = self.reports[at].source.event;
        let passing = match &error {
            // Reports need a permission of their own. Without it, no other
            // report can be read either.
            Error::Api(api) if api.status == 403 => {
                for at in 0..self.reports.len() {
                    if state.tracks[at].lane.has_planned() {
                        self.end(state, at, Err(Error::Api(api.clone())));
                    }
                }
                return;
            }
            // The limit is hourly, so the number of tries within the hour
            // doesn't matter.
            Error::Api(api) if api.status == 429 && api.retry_after.is_none() => {
                let since = *state.spent_since.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE {
                    log::info!("report {event}: {error}; requesting it again later");
                    return;
                }
                false
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
        log::info!("report {event}: {error}; requesting it again later");
    }

    /// Polls a job.
    fn look(&self, at: usize, job: Job) {
        let settings = self.run.settings;
        let looked = look(&self.reports[at].api, &job.id);
        let mut state = self.lock();
        let Some(slot) = state.tracks[at].lane.head_mut() else {
            return;
        };
        let taken = (clock::now() - job.requested_at)
            .to_std()
            .unwrap_or_default();
        let problem = match looked {
            Ok(JobProgress::Done(parts)) => return self.done(&mut state, at, job, parts),
            Ok(JobProgress::Bare) if slot.doubts == 0 => {
                slot.doubts += 1;
                return self.look_later(&mut state, at, job);
            }
            Ok(JobProgress::Bare) => "is done, but its answer has no list of files".to_owned(),
            Ok(JobProgress::Pending) if taken < settings.report_timeout => {
                return self.look_later(&mut state, at, job);
            }
            Ok(JobProgress::Pending) => {
                format!("was not done after {} minutes", taken.as_secs() / 60)
            }
            Ok(JobProgress::Failed) => "failed".to_owned(),
            Err(error) if error.status() == Some(404) => "is no longer known".to_owned(),
            Err(error) => return self.end(&mut state, at, Err(error)),
        };
        self.redo(&mut state, at, format!("job {} {problem}", job.id));
    }

    /// Schedules the next poll of the head's job.
    pub(super) fn look_later(&self, state: &mut Schedule, at: usize, job: Job) {
        let taken = (clock::now() - job.requested_at)
            .to_std()
            .unwrap_or_default();
        let settings = self.run.settings;
        // A job of an earlier run may have been done for hours.
        let taken = taken.min(settings.report_timeout);
        let wait = settings.report_poll_interval.max(taken / LOOK_SHARE);
        let look_at = Instant::now() + wait;
        if let Some(slot) = state.tracks[at].lane.head_mut() {
            slot.step = WindowStep::Requested { job, look_at };
        }
    }

    /// Makes the head's job ready for writing. If its parts don't cover all of
    /// its time, it is polled once more, and then the missing time is requested
    /// as a job of its own.
    fn done(&self, state: &mut Schedule, at: usize, job: Job, parts: Vec<ReportPart>) {
        let source = self.reports[at].source;
        let lane = &mut state.tracks[at].lane;
        let Some(slot) = lane.head_mut() else {
            return;
        };
        let holes = holes(slot.window, &parts);
        if !holes.is_empty() && slot.doubts == 0 {
            slot.doubts += 1;
            return self.look_later(state, at, job);
        }
        let is_hole = slot.is_hole;
        let can_ask = source.cut != Cut::ClosedDays && !is_hole;
        for Window { from, to } in &holes {
            log::warn!(
                "report {}: no part of job {} covers {from} to {to}; {}",
                source.event,
                job.id,
                match (can_ask, is_hole) {
                    (true, _) => "this time is requested separately",
                    (_, true) => "it is not requested again, and its rows may be missing",
                    (_, false) => "its rows may be missing",
                }
            );
        }
        if let Some(Window { from, to }) = overlap(&parts) {
            log::warn!(
                "report {}: two parts of job {} cover {from} to {to}; rows that are in both will \
                 be in the target twice",
                source.event,
                job.id
            );
        }
        slot.step = WindowStep::Ready { job, parts };
        if can_ask {
            lane.insert_holes(&holes);
        }
        self.changed.notify_all();
    }

    /// Gives up the head's job. It is requested again, unless that has failed
    /// too often.
    pub(super) fn redo(&self, state: &mut Schedule, at: usize, problem: String) {
        let event = self.reports[at].source.event;
        let Some(again) = state.tracks[at].lane.head_mut().map(Slot::redo) else {
            return;
        };
        // Remove the job from the state in any case, so that the next run
        // requests it again.
        let _ = self.save(state, at);
        if again {
            log::warn!("report {event}: {problem}; requesting it again");
        } else {
            self.end(state, at, Err(Error::Report { event, problem }));
        }
    }
}

/// How long an answer asks to wait before the next request.
fn asked_pause(requested: &Result<String>) -> Duration {
    match requested {
        Err(Error::Api(api)) => api.retry_after.unwrap_or_default().min(LONGEST_PAUSE),
        _ => Duration::ZERO,
    }
}
