//! The windows of one report, and the jobs that were asked for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::Cut;
use crate::extract::window::Window;
use crate::freshchat::reports::Part;
use crate::singer::{Bookmark, Output};
use crate::streams::STREAMS;

/// A job from an earlier run that is older than this is asked for anew: rows
/// that arrived late are not in it.
const OLDEST_JOB: TimeDelta = TimeDelta::hours(24);

/// How often one window is asked for before its stream fails.
const MOST_JOBS: u32 = 3;

/// Names within the bookmark.
const JOBS: &str = "jobs";
const JOBS_FROM: &str = "jobs_from";
/// Jobs of which only the conversations are wanted that they name. They stay
/// until those are read, so that a run that is stopped before asks for none anew.
const JOBS_OF_CONVERSATIONS: &str = "jobs_of_conversations";
/// A job, as the bookmark keeps it from the moment of the API's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub requested_at: DateTime<Utc>,
}

impl Job {
    /// The time that was asked for.
    pub fn window(&self) -> Window {
        Window {
            from: self.from,
            to: self.to,
        }
    }
}

/// What is wanted of a report.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The rows, for the report's own stream.
    pub rows: Option<Rows>,
    /// The conversations that it names.
    pub conversations: Option<Search>,
}

/// The time whose reports are searched for conversations.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    pub window: Window,
    /// Whether an earlier run began with just this window: its jobs are what
    /// is wanted.
    pub resumed: bool,
}

/// The rows that are wanted of a report.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// The bookmark; none where there is none to go by.
    pub reached: Option<DateTime<Utc>>,
    /// From the bookmark minus the lookback, or from the start date, on.
    pub whole: Window,
}

/// One window of the stream.
#[derive(Debug)]
pub struct Slot {
    pub window: Window,
    /// Whether its rows are wanted.
    pub rows: bool,
    /// Whether the conversations are wanted that it names.
    pub conversations: bool,
    /// Up to where the stream is complete when its rows are out.
    pub complete_to: DateTime<Utc>,
    /// Whether it is what another job left out.
    pub is_hole: bool,
    /// Answers to its job that were doubted: it was looked at again.
    pub doubts: u32,
    /// Jobs of this window that came to nothing.
    pub failed_jobs: u32,
    /// Requests for a job that were not answered with one.
    pub failed_requests: u32,
    pub step: Step,
}

/// What has become of a window.
#[derive(Debug)]
pub enum Step {
    Planned,
    Requested {
        job: Job,
        look_at: Instant,
    },
    Ready {
        job: Job,
        parts: Vec<Part>,
    },
    /// Its rows are being written.
    Writing {
        job: Job,
    },
}

impl Slot {
    fn new(window: Window, step: Step) -> Self {
        Self {
            window,
            rows: true,
            conversations: false,
            complete_to: window.to,
            is_hole: false,
            doubts: 0,
            failed_jobs: 0,
            failed_requests: 0,
            step,
        }
    }

    /// Its job, where one was asked for.
    pub fn job(&self) -> Option<&Job> {
        match &self.step {
            Step::Planned => None,
            Step::Requested { job, .. } | Step::Ready { job, .. } | Step::Writing { job } => {
                Some(job)
            }
        }
    }

    /// A window for a time within this one that its job left out.
    pub fn hole(&self, window: Window) -> Self {
        Self {
            rows: self.rows,
            conversations: self.conversations,
            is_hole: true,
            ..Self::new(window, Step::Planned)
        }
    }

    /// Gives the job up, to be asked for anew. False: that was the last one.
    pub fn redo(&mut self) -> bool {
        self.failed_jobs += 1;
        self.doubts = 0;
        self.step = Step::Planned;
        self.failed_jobs < MOST_JOBS
    }
}

/// Writes the jobs into the bookmark; those whose conversations are `found`
/// stand with those of which only these are wanted.
pub fn save(slots: &VecDeque<Slot>, wanted: Wanted, found: &[Job], bookmark: &mut Bookmark) {
    let jobs = |of_rows: bool| {
        let slots = slots.iter().filter(move |slot| slot.rows == of_rows);
        slots.filter_map(Slot::job)
    };
    if wanted.rows.is_some() {
        let first = slots.iter().find(|slot| slot.rows);
        // Windows before the first job are planned again where one was given up.
        let from = first.filter(|_| jobs(true).next().is_some());
        let from = from.map(|slot| json!(slot.window.from));
        set_or_remove(bookmark, JOBS_FROM, from);
        set_jobs(bookmark, JOBS, jobs(true));
    }
    if wanted.conversations.is_some() {
        let all = found.iter().chain(jobs(false));
        set_jobs(bookmark, JOBS_OF_CONVERSATIONS, all);
    }
}

/// The bookmarks of those streams that have jobs whose conversations were
/// found, and are read now, without them.
pub fn forget_found(output: &Output) -> impl Iterator<Item = (&'static str, Bookmark)> {
    STREAMS.iter().filter_map(|stream| {
        let mut bookmark = output.bookmark(stream.name);
        bookmark.get(JOBS_OF_CONVERSATIONS)?;
        bookmark.remove(JOBS_OF_CONVERSATIONS);
        Some((stream.name, bookmark))
    })
}

fn set_jobs<'a>(bookmark: &mut Bookmark, name: &str, jobs: impl Iterator<Item = &'a Job>) {
    let jobs: Vec<Value> = jobs.map(|job| json!(job)).collect();
    set_or_remove(bookmark, name, (!jobs.is_empty()).then(|| jobs.into()));
}

fn set_or_remove(bookmark: &mut Bookmark, name: &str, value: Option<Value>) {
    match value {
        Some(value) => bookmark.set(name, value),
        None => bookmark.remove(name),
    }
}

/// Jobs of an earlier run that are of use yet, in the order of time.
fn jobs(
    bookmark: &Bookmark,
    name: &str,
    now: DateTime<Utc>,
    is_of_use: impl Fn(&Job) -> bool,
) -> Vec<Job> {
    let mut jobs: Vec<Job> = bookmark.progress(name).unwrap_or_default();
    jobs.retain(|job| is_of_use(job) && job.from < job.to);
    jobs.sort_by_key(|job| job.from);
    for job in &mut jobs {
        // A clock that went ahead must not keep a job from growing too old.
        job.requested_at = job.requested_at.min(now);
    }
    jobs
}

/// The windows of a report: those of its rows, and before them those of which
/// only the conversations are wanted.
pub fn plan(
    bookmark: &Bookmark,
    wanted: Wanted,
    cut: Cut,
    lookback: Duration,
    now: DateTime<Utc>,
) -> VecDeque<Slot> {
    let mut of_rows = match wanted.rows {
        None => VecDeque::new(),
        Some(Rows { reached, whole }) => {
            let is_young = |job: &Job| now - job.requested_at < OLDEST_JOB;
            let jobs = jobs(bookmark, JOBS, now, is_young);
            fill(cut, jobs, bookmark.progress(JOBS_FROM), reached, whole)
        }
    };
    let Some(Search { window, resumed }) = wanted.conversations else {
        return of_rows;
    };
    // A job that was asked for before all of its rows were there is of no use
    // to another search, which goes on behind it.
    let is_settled = |job: &Job| job.requested_at - lookback >= job.to;
    let mut known = jobs(bookmark, JOBS_OF_CONVERSATIONS, now, |job| {
        job.window().overlaps(window) && (resumed || is_settled(job))
    });
    let covered_to = match resumed {
        true => covered_to(window, &known),
        false => window.from,
    };
    let uncovered = Window {
        from: covered_to,
        ..window
    };
    for slot in &mut of_rows {
        slot.conversations = slot.window.overlaps(uncovered);
    }
    // Up to where the windows of the rows serve the search, too.
    let first = of_rows.front().map_or(window.to, |slot| slot.window.from);
    let rest = Window {
        to: first.max(covered_to).min(window.to),
        ..window
    };
    known.retain(|job| job.window().overlaps(rest));
    let mut slots = fill(cut, known, None, None, rest);
    for slot in &mut slots {
        (slot.rows, slot.conversations) = (false, true);
    }
    slots.append(&mut of_rows);
    slots
}

/// Up to where the jobs, which are in order, cover a window from its start on.
fn covered_to(window: Window, jobs: &[Job]) -> DateTime<Utc> {
    jobs.iter()
        .fold(window.from, |to, job| match job.from <= to {
            true => to.max(job.to),
            false => to,
        })
}

/// The jobs where they are, and windows for the time that no job covers.
/// `resume_at` is where the earlier run stood.
fn fill(
    cut: Cut,
    jobs: Vec<Job>,
    resume_at: Option<DateTime<Utc>>,
    reached: Option<DateTime<Utc>>,
    whole: Window,
) -> VecDeque<Slot> {
    let planned = |from, to| {
        let windows = cut.windows(Window { from, to }).into_iter();
        windows.map(|window| Slot::new(window, Step::Planned))
    };
    // Without a gap between the bookmark and where the earlier run stood, that
    // run's lookback holds.
    let mut from = match resume_at {
        Some(resume_at) if !jobs.is_empty() && resume_at <= reached.unwrap_or(whole.from) => {
            resume_at
        }
        _ => whole.from,
    };
    let mut slots = VecDeque::new();
    for job in jobs {
        if job.to <= from {
            continue;
        }
        slots.extend(planned(from, job.from));
        from = job.to;
        let look_at = Instant::now();
        slots.push_back(Slot::new(job.window(), Step::Requested { job, look_at }));
    }
    slots.extend(planned(from, whole.to));
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::{format, parse};

    fn time(day: &str) -> DateTime<Utc> {
        parse(&format!("2026-01-{day}")).unwrap()
    }

    fn job(from: &str, to: &str) -> Job {
        Job {
            id: "j".into(),
            from: time(from),
            to: time(to),
            requested_at: time(to),
        }
    }

    fn slots(
        jobs: Vec<Job>,
        resume_at: Option<&str>,
        reached: Option<&str>,
        from: &str,
        to: &str,
    ) -> Vec<String> {
        let whole = Window {
            from: time(from),
            to: time(to),
        };
        let day = |time| format(time)[8..10].to_owned();
        let text = |slot: Slot| {
            let sign = if matches!(slot.step, Step::Planned) {
                ""
            } else {
                "*"
            };
            format!("{}-{}{sign}", day(slot.window.from), day(slot.window.to))
        };
        fill(
            Cut::Days,
            jobs,
            resume_at.map(time),
            reached.map(time),
            whole,
        )
        .into_iter()
        .map(text)
        .collect()
    }

    #[test]
    fn jobs_are_taken_up_and_gaps_are_planned() {
        let reached = Some("05");
        assert_eq!(slots(vec![], None, reached, "03", "05"), ["03-04", "04-05"]);
        // The lookback of the first run holds.
        assert_eq!(
            slots(vec![job("03", "04")], Some("03"), reached, "02", "06"),
            ["03-04*", "04-05", "05-06"]
        );
        // Also where its first window was given up, or its job is too old.
        assert_eq!(
            slots(vec![job("04", "05")], Some("03"), reached, "01", "06"),
            ["03-04", "04-05*", "05-06"]
        );
        assert_eq!(
            slots(vec![], Some("03"), reached, "04", "05"),
            ["04-05"],
            "nothing to take up"
        );
        // Someone set the bookmark back.
        assert_eq!(
            slots(vec![job("04", "05")], Some("04"), Some("03"), "02", "06"),
            ["02-03", "03-04", "04-05*", "05-06"]
        );
        // No bookmark yet, or the whole stream is wanted: from the start date.
        assert_eq!(
            slots(vec![job("03", "04")], Some("03"), None, "01", "05"),
            ["01-02", "02-03", "03-04*", "04-05"]
        );
        // A job between.
        let jobs = || vec![job("01", "02"), job("03", "04")];
        assert_eq!(
            slots(jobs(), Some("01"), None, "01", "05"),
            ["01-02*", "02-03", "03-04*", "04-05"]
        );
        // Every job is covered by the one before.
        assert_eq!(
            slots(
                vec![job("01", "03"), job("02", "03")],
                Some("01"),
                None,
                "01",
                "03"
            ),
            ["01-03*"]
        );
    }
}
