//! One report stream on its way: its windows, in the order of time, and what
//! has become of each.

use std::collections::VecDeque;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::Cut;
use crate::extract::window::Window;
use crate::singer::Bookmark;

/// A job from an earlier run that is older than this is asked for anew: rows
/// that arrived late are not in it.
const OLDEST_JOB: TimeDelta = TimeDelta::hours(24);

/// How often one window is asked for before its stream fails.
const MOST_JOBS: u32 = 3;

/// Names within the bookmark.
const JOBS: &str = "jobs";
const JOBS_FROM: &str = "jobs_from";
const REQUESTED_TODAY: &str = "requested_today";
const LAST_REQUESTED_AT: &str = "last_requested_at";

/// A job, as the bookmark keeps it from the moment of the API's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub requested_at: DateTime<Utc>,
}

/// How many jobs were asked for on a day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Requested {
    day: NaiveDate,
    count: u32,
}

/// One window of the stream.
#[derive(Debug)]
pub struct Slot {
    pub window: Window,
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
        links: Vec<String>,
    },
    /// Its rows are being written.
    Writing {
        job: Job,
    },
}

/// The windows of one stream.
#[derive(Debug)]
pub struct Lane {
    slots: VecDeque<Slot>,
    requested: Requested,
    last_requested_at: Option<DateTime<Utc>>,
    /// Jobs that may be asked for per day; none: no limit.
    budget: Option<u32>,
}

impl Lane {
    /// Takes up the jobs of an earlier run, and plans windows for the rest of
    /// the time. `whole` begins at the bookmark minus the lookback, or at the
    /// start date where there is no bookmark to go by: `reached` is none then.
    pub fn new(
        bookmark: &Bookmark,
        reached: Option<DateTime<Utc>>,
        cut: Cut,
        whole: Window,
        budget: u32,
        now: DateTime<Utc>,
    ) -> Self {
        let mut jobs: Vec<Job> = bookmark.progress(JOBS).unwrap_or_default();
        jobs.retain(|job| now - job.requested_at < OLDEST_JOB && job.from < job.to);
        jobs.sort_by_key(|job| job.from);
        for job in &mut jobs {
            // A clock that went ahead must not keep a job from growing too old.
            job.requested_at = job.requested_at.min(now);
        }
        let resume_at = bookmark.progress(JOBS_FROM);
        let requested = bookmark.progress(REQUESTED_TODAY);
        Self {
            slots: plan(cut, jobs, resume_at, reached, whole),
            requested: requested.unwrap_or(Requested {
                day: now.date_naive(),
                count: 0,
            }),
            last_requested_at: last_requested_at(bookmark),
            budget: (budget > 0).then_some(budget),
        }
    }

    /// The window whose rows come next.
    pub fn head(&self) -> Option<&Slot> {
        self.slots.front()
    }

    /// The window whose rows come next.
    pub fn head_mut(&mut self) -> Option<&mut Slot> {
        self.slots.front_mut()
    }

    /// All windows, in the order of time.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Whether a window is still to be asked for.
    pub fn has_planned(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot.step, Step::Planned))
    }

    /// The window that is to be asked for next.
    pub fn first_planned(&mut self) -> Option<&mut Slot> {
        self.slots
            .iter_mut()
            .find(|slot| matches!(slot.step, Step::Planned))
    }

    /// Whether today's jobs are all asked for.
    pub fn is_spent(&self, now: DateTime<Utc>) -> bool {
        let today = self.requested.day == now.date_naive();
        self.budget
            .is_some_and(|budget| today && self.requested.count >= budget)
    }

    /// Number of jobs that were asked for and whose rows aren't out.
    pub fn under_way(&self) -> usize {
        let planned = |slot: &&Slot| !matches!(slot.step, Step::Planned);
        self.slots.iter().filter(planned).count()
    }

    /// Notes when a request was answered, which may be long after it was
    /// counted: the rate limit may have held it up.
    pub fn note_answer(&mut self, now: DateTime<Utc>) {
        self.last_requested_at = Some(now);
    }

    /// Counts a request, which is about to be sent.
    pub fn count_request(&mut self, now: DateTime<Utc>) {
        let day = now.date_naive();
        let count = match self.requested.day == day {
            true => self.requested.count + 1,
            false => 1,
        };
        self.requested = Requested { day, count };
        self.last_requested_at = Some(now);
    }

    /// Takes the head away, whose rows are out.
    pub fn finish_head(&mut self) -> Option<Slot> {
        self.slots.pop_front()
    }

    /// Writes jobs and counts into the bookmark.
    pub fn save(&self, bookmark: &mut Bookmark) {
        let job = |slot: &Slot| match &slot.step {
            Step::Planned => None,
            Step::Requested { job, .. } | Step::Ready { job, .. } | Step::Writing { job } => {
                Some(json!(job))
            }
        };
        let jobs: Vec<Value> = self.slots.iter().filter_map(job).collect();
        // Windows before the first job are planned again where one was given up.
        match self.head().filter(|_| !jobs.is_empty()) {
            Some(head) => {
                bookmark.set(JOBS_FROM, json!(head.window.from));
                bookmark.set(JOBS, jobs);
            }
            None => {
                bookmark.remove(JOBS_FROM);
                bookmark.remove(JOBS);
            }
        }
        bookmark.set(REQUESTED_TODAY, json!(self.requested));
        bookmark.set(LAST_REQUESTED_AT, json!(self.last_requested_at));
    }
}

impl Slot {
    fn new(window: Window, step: Step) -> Self {
        Self {
            window,
            failed_jobs: 0,
            failed_requests: 0,
            step,
        }
    }

    /// Gives the job up, to be asked for anew. False: that was the last one.
    pub fn redo(&mut self) -> bool {
        self.failed_jobs += 1;
        self.step = Step::Planned;
        self.failed_jobs < MOST_JOBS
    }
}

/// When a report was last asked for, as far as a bookmark knows.
pub fn last_requested_at(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    bookmark.progress(LAST_REQUESTED_AT)
}

/// The jobs where they are, and windows for the time that no job covers.
/// `resume_at` is where the earlier run stood.
fn plan(
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
        let window = Window {
            from: job.from,
            to: job.to,
        };
        let look_at = Instant::now();
        slots.push_back(Slot::new(window, Step::Requested { job, look_at }));
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
        plan(
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

    #[test]
    fn the_budget_is_of_a_day() {
        let whole = Window {
            from: time("01"),
            to: time("05"),
        };
        let mut lane = Lane::new(&Bookmark::default(), None, Cut::Days, whole, 2, time("05"));
        lane.count_request(time("05"));
        assert!(!lane.is_spent(time("05")));
        lane.count_request(time("05"));
        assert!(lane.is_spent(time("05")));
        let mut bookmark = Bookmark::default();
        lane.save(&mut bookmark);
        let again = Lane::new(&bookmark, None, Cut::Days, whole, 2, time("05"));
        assert!(again.is_spent(time("05")) && !again.is_spent(time("06")));
        assert_eq!(last_requested_at(&bookmark), Some(time("05")));
    }
}
