//! The live lines of a report stream, one for each job.

use std::time::Instant;

use super::schedule::Schedule;
use super::slots::{Slot, WindowStep};
use crate::extract::window::Window;
use crate::progress::{self, Jobs, time_of};

/// Shows the jobs of each stream on a terminal. `streams` are those of the
/// tracks, in the same order.
pub fn show(streams: impl Iterator<Item = &'static str>, schedule: &Schedule) {
    for (stream, track) in streams.zip(&schedule.tracks) {
        match track.ended {
            Some(_) => progress::end(stream),
            None => progress::jobs(stream, || of(track.lane.slots(), schedule.next_request)),
        }
    }
}

/// Describes the windows of a stream. No report is requested before
/// `next_request`.
fn of<'a>(slots: impl Iterator<Item = &'a Slot>, next_request: Instant) -> Jobs {
    let mut under_way = Vec::new();
    let mut planned: usize = 0;
    for (at, slot) in slots.enumerate() {
        let step = match &slot.step {
            WindowStep::Planned => {
                planned += 1;
                continue;
            }
            WindowStep::Requested { look_at, .. } if at == 0 => {
                format!("in progress, next check at {}", time_of(*look_at))
            }
            // Rows are written in order of time, so only the head's job is
            // polled.
            WindowStep::Requested { .. } => "requested, waits for the one before".to_owned(),
            WindowStep::Ready { .. } => "ready".to_owned(),
            WindowStep::Writing { .. } => "being read".to_owned(),
        };
        // The window is last, because narrow terminals have no room for it.
        under_way.push(format!("job {step}: {}", text(slot.window)));
    }
    let next = || time_of(next_request);
    Jobs {
        under_way,
        planned: (planned > 0)
            .then(|| format!("{planned} more to request, the next at {}", next())),
    }
}

fn text(window: Window) -> String {
    let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M").to_string();
    format!("{} to {}", day(window.from), day(window.to))
}
