//! The time: the earlier of the server's clock and this machine's.
//!
//! It is used for bookmarks and windows. If it is too early, the next run
//! repeats records; if it is too late, the next run misses some. The server's
//! time is the `Date` header of an answer (RFC 9110, 6.6.1), in whole seconds,
//! rounded down. After the first answer the monotonic clock continues it, so
//! that changes of the system clock don't affect it.
//!
//! This is the only file that reads the system's time of day. `clippy.toml`
//! enforces it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, NaiveTime, SubsecRound, TimeDelta, Utc};
use ureq::http::{HeaderMap, header};

use crate::timestamp;

/// The resolution of the server's time.
pub const RESOLUTION: Duration = Duration::from_secs(1);

/// A larger difference between the clocks is logged.
const NOTABLE: TimeDelta = TimeDelta::minutes(1);

/// A larger difference ends the run, because one of the dates must be wrong.
const LARGEST: TimeDelta = TimeDelta::days(1);

static CLOCK: Clock = Clock::new();

/// The two clocks of a run.
struct Clock(Mutex<Clocks>);

struct Clocks {
    /// The time when the first request was sent, or the first one whose answer
    /// had a `Date`.
    anchor: Option<(Instant, DateTime<Utc>)>,
    /// This machine's time minus the server's.
    difference: Option<TimeDelta>,
    /// The start of the run, once it was used.
    started_at: Option<DateTime<Utc>>,
}

/// The two clocks are too far apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClocksDiffer {
    machine: DateTime<Utc>,
    server: DateTime<Utc>,
}

impl fmt::Display for ClocksDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this machine's clock is at {}, and the server's at {}",
            timestamp::format(self.machine),
            timestamp::format(self.server)
        )
    }
}

/// The current time. Before the first answer, it is this machine's.
pub fn now() -> DateTime<Utc> {
    CLOCK.now()
}

/// The start of the run, in whole milliseconds: the time when the request was
/// sent whose answer was the first with a `Date`. `None` before the first
/// answer.
pub fn started_at() -> Option<DateTime<Utc>> {
    CLOCK.started_at()
}

/// The start of the run if there may be no answer: this machine's time, unless
/// an answer came.
pub fn started_without_answer() -> DateTime<Utc> {
    CLOCK.started_without_answer(machine())
}

/// How far this machine's clock is ahead of the server's, to the second. `None`
/// before an answer with a `Date`.
pub fn ahead_of_server() -> Option<TimeDelta> {
    CLOCK.lock().difference
}

/// Reads the time from the headers of an answer. The answer shows the account
/// as it was at `sent`, when the request was sent, or later. So `sent` is the
/// moment that counts.
///
/// # Errors
/// If the clocks are more than a day apart; or if they are more than a minute
/// apart and the start of the run, taken from this machine's clock, is too
/// late.
pub fn observe(headers: &HeaderMap, sent: Instant) -> Result<(), ClocksDiffer> {
    CLOCK.observe(date_of(headers), machine(), sent)
}

/// This machine's time, for log lines.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn machine() -> DateTime<Utc> {
    Utc::now()
}

/// The local time of day after a wait, for messages.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn local_time_after(wait: Duration) -> NaiveTime {
    let wait = TimeDelta::from_std(wait).unwrap_or_default();
    (Local::now() + wait).time()
}

/// The `Date` of an answer. An answer with an `Age` comes from a cache, so its
/// date is too old.
fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    if headers.contains_key(header::AGE) {
        return None;
    }
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(date.trim()).ok()?;
    Some(date.to_utc())
}

impl Clock {
    const fn new() -> Self {
        Self(Mutex::new(Clocks {
            anchor: None,
            difference: None,
            started_at: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Clocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> DateTime<Utc> {
        match self.lock().anchor {
            Some((at, time)) => time + at.elapsed(),
            None => machine(),
        }
    }

    fn started_at(&self) -> Option<DateTime<Utc>> {
        let mut state = self.lock();
        if state.started_at.is_none() {
            let (_, time) = state.anchor?;
            if state.difference.is_none() {
                log::warn!(
                    "the server's answers have no time: the run uses this machine's clock, {}; \
                     if it is ahead of the server's by more than `lookback_seconds`, records are \
                     missed",
                    timestamp::format(time)
                );
            }
            state.started_at = Some(time.trunc_subsecs(3));
        }
        state.started_at
    }

    fn started_without_answer(&self, machine: DateTime<Utc>) -> DateTime<Utc> {
        let mut state = self.lock();
        state.anchor.get_or_insert((Instant::now(), machine));
        drop(state);
        self.started_at().unwrap_or(machine)
    }

    fn observe(
        &self,
        date: Option<DateTime<Utc>>,
        machine: DateTime<Utc>,
        sent: Instant,
    ) -> Result<(), ClocksDiffer> {
        let took = sent.elapsed();
        let mut state = self.lock();
        state.anchor.get_or_insert((sent, machine - took));
        let (Some(server), None) = (date, state.difference) else {
            return Ok(());
        };
        let difference = machine - server;
        state.difference = Some(difference);
        state.anchor = Some((sent, server.min(machine) - took));
        let too_late = state.started_at.is_some() && difference > NOTABLE;
        if too_late || difference.abs() > LARGEST {
            return Err(ClocksDiffer { machine, server });
        }
        if difference.abs() > NOTABLE {
            log::warn!(
                "this machine's clock is {} s {} the server's; the run uses the earlier one",
                difference.num_seconds().abs(),
                match difference > TimeDelta::zero() {
                    true => "ahead of",
                    false => "behind",
                }
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 123_456_789).unwrap_or_default()
    }

    #[test]
    fn the_earlier_clock_counts() {
        for (server, machine, earlier) in [(-600, 0, -600), (600, 0, 0)] {
            let clock = Clock::new();
            assert_eq!(clock.started_at(), None);
            clock.observe(None, time(machine), Instant::now()).unwrap();
            clock
                .observe(Some(time(server)), time(machine), Instant::now())
                .unwrap();
            // Later answers change nothing.
            clock
                .observe(Some(time(50)), time(70), Instant::now())
                .unwrap();
            assert_eq!(clock.started_at(), Some(time(earlier).trunc_subsecs(3)));
            assert!(clock.now() >= time(earlier) && clock.now() < time(earlier + 60));
            let difference = TimeDelta::seconds(machine - server);
            assert_eq!(clock.lock().difference, Some(difference));
        }
    }

    #[test]
    fn without_a_date_this_machine_counts() {
        let clock = Clock::new();
        clock.observe(None, time(0), Instant::now()).unwrap();
        clock.observe(None, time(9), Instant::now()).unwrap();
        assert_eq!(clock.started_at(), Some(time(0).trunc_subsecs(3)));
        assert_eq!(
            Clock::new().started_without_answer(time(5)),
            time(5).trunc_subsecs(3)
        );
    }

    #[test]
    fn a_clock_that_is_wrong_by_the_date_is_an_error() {
        let day = 24 * 3600;
        for (server, wrong) in [
            (day, false),
            (-day, false),
            (day + 1, true),
            (-day - 1, true),
        ] {
            let observed = Clock::new().observe(Some(time(server)), time(0), Instant::now());
            assert_eq!(observed.is_err(), wrong, "{server}");
        }
    }

    #[test]
    fn a_start_that_turns_out_too_late_is_an_error() {
        for (server, wrong) in [(-30, false), (-90, true), (90, false)] {
            let clock = Clock::new();
            clock.started_without_answer(time(0));
            let observed = clock.observe(Some(time(server)), time(0), Instant::now());
            assert_eq!(observed.is_err(), wrong, "{server}");
        }
    }

    #[test]
    fn a_date_from_a_cache_does_not_count() {
        let mut headers = HeaderMap::new();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        headers.insert(header::DATE, date.parse().unwrap());
        let read = timestamp::parse("1994-11-06T08:49:37Z");
        assert_eq!(date_of(&headers), read);
        headers.insert(header::AGE, "0".parse().unwrap());
        assert_eq!(date_of(&headers), None);
    }
}
