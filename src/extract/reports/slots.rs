//! The windows of a report, and the jobs requested for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::windows::Cut;
use crate::extract::window::Window;
use crate::freshchat::reports::ReportPart;
use crate::singer::{Bookmark, Output};
use crate::streams::STREAMS;

/// Older jobs from earlier runs are requested again, because they lack rows
/// that arrived late.
const OLDEST_JOB: TimeDelta = TimeDelta::hours(24);

/// How often a window is requested before its stream fails.
const MOST_JOBS: u32 = 3;

/// Members of the bookmark.
const JOBS: &str = "jobs";
const JOBS_FROM: &str = "jobs_from";
/// Jobs that are needed only for the conversations that they name. They are
/// kept until these are read, so that a run that continues after a stop doesn't
/// request them again.
const JOBS_OF_CONVERSATIONS: &str = "jobs_of_conversations";
/// A job, saved in the bookmark as soon as the API has accepted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub requested_at: DateTime<Utc>,
}

impl Job {
    /// The requested time.
    pub fn window(&self) -> Window {
        Window {
            from: self.from,
            to: self.to,
        }
    }
}

/// What is wanted from a report.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The rows, for the report's own stream.
    pub rows: Option<WantedRows>,
    /// The conversations that it names.
    pub conversations: Option<Search>,
}

/// The time to search for conversations in the reports.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    pub window: Window,
    /// Whether an earlier run began with exactly this window, so that its jobs
    /// can be used.
    pub resumed: bool,
}

/// The rows that are wanted from a report.
#[derive(Debug, Clone, Copy)]
pub struct WantedRows {
    /// The bookmark, if there is one.
    pub reached: Option<DateTime<Utc>>,
    /// From the bookmark minus the lookback, or from the start date.
    pub whole: Window,
}

/// A window of the stream.
#[derive(Debug)]
pub struct Slot {
    pub window: Window,
    /// Whether its rows are wanted.
    pub rows: bool,
    /// Whether the conversations that it names are wanted.
    pub conversations: bool,
    /// The time up to which the stream is complete when its rows are written.
    pub complete_to: DateTime<Utc>,
    /// Whether another job left this window out.
    pub is_hole: bool,
    /// How many doubtful answers its job gave. The job is polled again after
    /// one.
    pub doubts: u32,
    /// How many jobs of this window failed.
    pub failed_jobs: u32,
    /// How many requests for a job failed.
    pub failed_requests: u32,
    pub step: WindowStep,
}

/// The progress of a window.
#[derive(Debug)]
pub enum WindowStep {
    Planned,
    Requested {
        job: Job,
        look_at: Instant,
    },
    Ready {
        job: Job,
        parts: Vec<ReportPart>,
    },
    /// Its rows are being written.
    Writing {
        job: Job,
    },
}

impl Slot {
    fn new(window: Window, step: WindowStep) -> Self {
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

    /// The job, if one was requested.
    pub fn job(&self) -> Option<&Job> {
        match &self.step {
            WindowStep::Planned => None,
            WindowStep::Requested { job, .. }
            | WindowStep::Ready { job, .. }
            | WindowStep::Writing { job } => Some(job),
        }
    }

    /// A window for a time within this one that its job left out.
    pub fn hole(&self, window: Window) -> Self {
        Self {
            rows: self.rows,
            conversations: self.conversations,
            is_hole: true,
            ..Self::new(window, WindowStep::Planned)
        }
    }

    /// Gives up the job, and plans the window again. Returns false if the limit
    /// is reached.
    pub fn redo(&mut self) -> bool {
        self.failed_jobs += 1;
        self.doubts = 0;
        self.step = WindowStep::Planned;
        self.failed_jobs < MOST_JOBS
    }
}

/// Saves the jobs in the bookmark. Those in `found` are saved with the jobs
/// that are needed only for conversations.
pub fn save(slots: &VecDeque<Slot>, wanted: Wanted, found: &[Job], bookmark: &mut Bookmark) {
    let jobs = |of_rows: bool| {
        let slots = slots.iter().filter(move |slot| slot.rows == of_rows);
        slots.filter_map(Slot::job)
    };
    if wanted.rows.is_some() {
        let first = slots.iter().find(|slot| slot.rows);
        // If a job was given up, the windows before the first remaining one are
        // planned again.
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

/// The bookmarks of streams that have jobs whose conversations were found and
/// read, with these jobs removed.
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

/// The useful jobs of an earlier run, in order of time.
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
        // Otherwise, if the clock was ahead, a job would never be too old.
        job.requested_at = job.requested_at.min(now);
    }
    jobs
}

/// The windows of a report: first those that are needed only for conversations,
/// and then those of its rows.
pub fn plan(
    bookmark: &Bookmark,
    wanted: Wanted,
    cut: Cut,
    lookback: Duration,
    now: DateTime<Utc>,
) -> VecDeque<Slot> {
    let mut of_rows = match wanted.rows {
        None => VecDeque::new(),
        Some(WantedRows { reached, whole }) => {
            let is_young = |job: &Job| now - job.requested_at < OLDEST_JOB;
            let jobs = jobs(bookmark, JOBS, now, is_young);
            fill(cut, jobs, bookmark.progress(JOBS_FROM), reached, whole)
        }
    };
    let Some(Search { window, resumed }) = wanted.conversations else {
        return of_rows;
    };
    // A job that was requested before all of its rows had arrived is useless to
    // another search, which starts after it.
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
    // From here on, the windows of the rows serve the search too.
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

/// The time up to which the jobs, which are in order, cover a window without a
/// gap.
fn covered_to(window: Window, jobs: &[Job]) -> DateTime<Utc> {
    jobs.iter()
        .fold(window.from, |to, job| match job.from <= to {
            true => to.max(job.to),
            false => to,
        })
}

/// The jobs, and new windows for the time that no job covers. `resume_at` is
/// the position of the earlier run.
fn fill(
    cut: Cut,
    jobs: Vec<Job>,
    resume_at: Option<DateTime<Utc>>,
    reached: Option<DateTime<Utc>>,
    whole: Window,
) -> VecDeque<Slot> {
    let planned = |from, to| {
        let windows = cut.windows(Window { from, to }).into_iter();
        windows.map(|window| Slot::new(window, WindowStep::Planned))
    };
    // Without a gap between the bookmark and the earlier run's position, the
    // lookback of that run is used.
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
        slots.push_back(Slot::new(
            job.window(),
            WindowStep::Requested { job, look_at },
        ));
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
            let sign = if matches!(slot.step, WindowStep::Planned) {
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
        // The lookback of the first run is used.
        assert_eq!(
            slots(vec![job("03", "04")], Some("03"), reached, "02", "06"),
            ["03-04*", "04-05", "05-06"]
        );
        // Also if its first window was given up, or its job is too old.
        assert_eq!(
            slots(vec![job("04", "05")], Some("03"), reached, "01", "06"),
            ["03-04", "04-05*", "05-06"]
        );
        assert_eq!(
            slots(vec![], Some("03"), reached, "04", "05"),
            ["04-05"],
            "nothing to take up"
        );
        // The bookmark was set back.
        assert_eq!(
            slots(vec![job("04", "05")], Some("04"), Some("03"), "02", "06"),
            ["02-03", "03-04", "04-05*", "05-06"]
        );
        // Without a bookmark, or if the whole stream is wanted: from the start
        // date.
        assert_eq!(
            slots(vec![job("03", "04")], Some("03"), None, "01", "05"),
            ["01-02", "02-03", "03-04*", "04-05"]
        );
        // With a job in between.
        let jobs = || vec![job("01", "02"), job("03", "04")];
        assert_eq!(
            slots(jobs(), Some("01"), None, "01", "05"),
            ["01-02*", "02-03", "03-04*", "04-05"]
        );
        // Each job is covered by an earlier one.
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
