//! The windows of a report stream in order of time, and the progress of each.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::slots::{self, Job, Slot, Wanted, WindowStep};
use super::windows::Cut;
use crate::extract::window::Window;
use crate::singer::Bookmark;

/// Members of the bookmark.
const READ_BACK: &str = "read_back";
const LOWER_CASE: &str = "lower_case_event";
const REQUESTED_TODAY: &str = "requested_today";
const LAST_REQUESTED_AT: &str = "last_requested_at";

/// How many jobs were requested on a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Requested {
    day: NaiveDate,
    count: u32,
}

/// The last long lookback that was completed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// A UTC day.
    pub on: NaiveDate,
    pub hours: u64,
}

impl ReadBack {
    /// Whether it makes another one on the same day unnecessary.
    pub fn covers(self, other: ReadBack) -> bool {
        self.on == other.on && self.hours >= other.hours
    }
}

/// The windows of a stream.
#[derive(Debug)]
pub struct Lane {
    slots: VecDeque<Slot>,
    wanted: Wanted,
    /// Jobs whose conversations have been found.
    found: Vec<Job>,
    requested: Requested,
    last_requested_at: Option<DateTime<Utc>>,
    /// The maximum number of jobs per day. `None` means no limit.
    budget: Option<u32>,
    /// Whether the account knows the event by its lower-case name.
    lower_case: bool,
    /// The long lookback in progress, saved when all is done.
    reads_back: Option<ReadBack>,
}

impl Lane {
    /// Continues the jobs of an earlier run, and plans windows for the
    /// remaining time.
    pub fn new(
        bookmark: &Bookmark,
        wanted: Wanted,
        cut: Cut,
        lookback: Duration,
        budget: u32,
        now: DateTime<Utc>,
    ) -> Self {
        let requested = bookmark.progress(REQUESTED_TODAY);
        Self {
            slots: slots::plan(bookmark, wanted, cut, lookback, now),
            wanted,
            found: Vec::new(),
            requested: requested.unwrap_or(Requested {
                day: now.date_naive(),
                count: 0,
            }),
            last_requested_at: last_requested_at(bookmark),
            budget: (budget > 0).then_some(budget),
            lower_case: bookmark.progress(LOWER_CASE).unwrap_or_default(),
            reads_back: None,
        }
    }

    /// Saves this long lookback in the bookmark when all is done.
    pub fn note_long_lookback(&mut self, read_back: ReadBack) {
        self.reads_back = Some(read_back);
    }

    /// Whether the event is requested by its lower-case name.
    pub fn is_lower_case(&self) -> bool {
        self.lower_case
    }

    /// Uses the event's other name from now on.
    pub fn change_case(&mut self) {
        self.lower_case = !self.lower_case;
    }

    /// Whether the conversations named in some windows are wanted.
    pub fn is_searched(&self) -> bool {
        self.slots.iter().any(|slot| slot.conversations)
    }

    /// Forgets the jobs whose conversations have been found.
    pub fn forget_found(&mut self) {
        self.wanted.conversations = None;
        self.found.clear();
    }

    /// The window whose rows are written next.
    pub fn head(&self) -> Option<&Slot> {
        self.slots.front()
    }

    /// The window whose rows are written next.
    pub fn head_mut(&mut self) -> Option<&mut Slot> {
        self.slots.front_mut()
    }

    /// All windows, in order of time.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Whether some windows are not requested yet.
    pub fn has_planned(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot.step, WindowStep::Planned))
    }

    /// The next window to request.
    pub fn first_planned(&mut self) -> Option<&mut Slot> {
        self.slots
            .iter_mut()
            .find(|slot| matches!(slot.step, WindowStep::Planned))
    }

    /// Whether all of today's jobs have been requested.
    pub fn is_spent(&self, now: DateTime<Utc>) -> bool {
        let today = self.requested.day == now.date_naive();
        self.budget
            .is_some_and(|budget| today && self.requested.count >= budget)
    }

    /// The number of jobs that were requested and whose rows are not written
    /// yet.
    pub fn under_way(&self) -> usize {
        let planned = |slot: &&Slot| !matches!(slot.step, WindowStep::Planned);
        self.slots.iter().filter(planned).count()
    }

    /// Records when a request was answered. This may be long after it was
    /// counted, because the rate limit may have delayed it.
    pub fn note_answer(&mut self, now: DateTime<Utc>) {
        self.last_requested_at = Some(now);
    }

    /// Counts a request that is about to be sent.
    pub fn count_request(&mut self, now: DateTime<Utc>) {
        let day = now.date_naive();
        let count = match self.requested.day == day {
            true => self.requested.count + 1,
            false => 1,
        };
        self.requested = Requested { day, count };
        self.last_requested_at = Some(now);
    }

    /// Inserts windows after the head for the times that its job left out.
    /// Until they are extracted, the stream is complete only up to the start of
    /// each.
    pub fn insert_holes(&mut self, holes: &[Window]) {
        let Some(head) = self.slots.front_mut() else {
            return;
        };
        let mut complete_to = head.complete_to;
        let mut behind = Vec::new();
        for hole in holes.iter().rev() {
            let mut slot = head.hole(*hole);
            slot.complete_to = complete_to;
            complete_to = hole.from;
            behind.push(slot);
        }
        head.complete_to = complete_to;
        for slot in behind {
            self.slots.insert(1, slot);
        }
    }

    /// Removes the head, which is done.
    pub fn finish_head(&mut self) -> Option<Slot> {
        let head = self.slots.pop_front()?;
        if head.conversations {
            self.found.extend(head.job().cloned());
        }
        Some(head)
    }

    /// Saves jobs and counts in the bookmark.
    pub fn save(&self, bookmark: &mut Bookmark) {
        slots::save(&self.slots, self.wanted, &self.found, bookmark);
        bookmark.set(REQUESTED_TODAY, json!(self.requested));
        bookmark.set(LAST_REQUESTED_AT, json!(self.last_requested_at));
        match self.lower_case {
            true => bookmark.set(LOWER_CASE, true),
            false => bookmark.remove(LOWER_CASE),
        }
        if let Some(read_back) = self.reads_back.filter(|_| self.slots.is_empty()) {
            bookmark.set(READ_BACK, json!(read_back));
        }
    }
}

/// The last long lookback in a bookmark.
pub fn last_read_back(bookmark: &Bookmark) -> Option<ReadBack> {
    bookmark.progress(READ_BACK)
}

/// The last request for a report in a bookmark.
pub fn last_requested_at(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    bookmark.progress(LAST_REQUESTED_AT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::parse;

    fn time(day: &str) -> DateTime<Utc> {
        parse(&format!("2026-01-{day}")).unwrap()
    }

    #[test]
    fn the_budget_is_of_a_day() {
        let wanted = Wanted {
            rows: None,
            conversations: None,
        };
        let lane = |bookmark: &Bookmark| {
            Lane::new(bookmark, wanted, Cut::Days, Duration::ZERO, 2, time("05"))
        };
        let mut first = lane(&Bookmark::default());
        first.count_request(time("05"));
        assert!(!first.is_spent(time("05")));
        first.count_request(time("05"));
        assert!(first.is_spent(time("05")));
        let mut bookmark = Bookmark::default();
        first.save(&mut bookmark);
        let again = lane(&bookmark);
        assert!(again.is_spent(time("05")) && !again.is_spent(time("06")));
        assert_eq!(last_requested_at(&bookmark), Some(time("05")));
    }
}
