//! The account's rate limit and the bound on requests under way, for all
//! threads together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use ureq::http::HeaderMap;

use super::clock;
use crate::progress;

/// No wait is longer, whatever a header says: the limits are hourly.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Waits from this length on are logged.
const LOGGED_WAIT: Duration = Duration::from_secs(5);

/// From here on a reset header is a Unix time and no number of seconds left.
const FIRST_UNIX_TIME: f64 = 1e9;

/// The gate that every API request passes.
pub struct Limits {
    concurrency: usize,
    /// Share of the hourly limit at which to wait for its reset, 0 to 1.
    reserve: f64,
    /// How long to wait at the reserve where no header says when the limit
    /// is reset.
    fallback: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    under_way: usize,
    closed_until: Option<Instant>,
    hourly: Option<HourlyLimit>,
}

/// The hourly limit, as the last answer named it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourlyLimit {
    /// Calls in an hour.
    pub limit: f64,
    /// What is left of them.
    pub remaining: f64,
}

/// A place among the requests under way; given back when dropped.
pub struct Permit<'a>(&'a Limits);

impl Limits {
    /// `reserve_percent` of the hourly limit is left to others. `fallback` is
    /// waited where the API doesn't say when the limit is reset.
    pub fn new(concurrency: usize, reserve_percent: f64, fallback: Duration) -> Self {
        Self {
            concurrency,
            reserve: reserve_percent / 100.0,
            fallback,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Requests that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The hourly limit; none where answers don't name it.
    pub fn hourly(&self) -> Option<HourlyLimit> {
        self.lock().hourly
    }

    /// Calls an hour, without those that are reserved for others.
    pub fn calls_per_hour(&self) -> Option<f64> {
        Some(self.hourly()?.limit * (1.0 - self.reserve))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the limit lets a request through and a place is free.
    pub fn enter(&self) -> Permit<'_> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state = match state.closed_until {
                Some(until) if until > now => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ if state.under_way < self.concurrency => {
                    state.under_way += 1;
                    return Permit(self);
                }
                _ => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Lets no request through for this long. All threads wait together; the
    /// log says so once.
    pub fn close(&self, wait: Duration, reason: &str) {
        let wait = wait.min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        let mut state = self.lock();
        let longer = state
            .closed_until
            .is_none_or(|closed| until > closed + LOGGED_WAIT);
        state.closed_until = state.closed_until.max(Some(until));
        self.changed.notify_all();
        drop(state);
        progress::waiting(wait, reason);
        if wait >= LOGGED_WAIT && longer {
            log::info!("waiting {:.0} s: {reason}", wait.as_secs_f64());
        }
    }

    /// Takes in the rate-limit headers of an answer, and closes the gate when
    /// only the reserve is left.
    pub fn observe(&self, headers: &HeaderMap) {
        let (Some(limit), Some(remaining)) = (
            number(headers, "x-ratelimit-limit"),
            number(headers, "x-ratelimit-remaining"),
        ) else {
            return;
        };
        self.lock().hourly = Some(HourlyLimit { limit, remaining });
        if remaining <= limit * self.reserve {
            let wait = reset_after(headers).unwrap_or(self.fallback);
            let reason = format!(
                "{remaining:.0} of {limit:.0} calls of the hourly limit are left, \
                 the share that is reserved for others"
            );
            self.close(wait, &reason);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_all();
    }
}

/// How long an answer asks to wait: `Retry-After` (seconds or a date), else
/// the reset of the rate limit.
pub fn wait_asked_for(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).or_else(|| reset_after(headers))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, "retry-after")?;
    match text.parse::<f64>() {
        Ok(seconds) => duration(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?;
            (date.to_utc() - clock::now()).to_std().ok()
        }
    }
}

/// `X-RateLimitReset` holds the seconds left; `X-RateLimit-Reset`, those or a
/// Unix time in seconds or milliseconds.
fn reset_after(headers: &HeaderMap) -> Option<Duration> {
    let reset =
        number(headers, "x-ratelimitreset").or_else(|| number(headers, "x-ratelimit-reset"))?;
    if reset < FIRST_UNIX_TIME {
        return duration(reset);
    }
    let seconds = if reset < FIRST_UNIX_TIME * 1000.0 {
        reset
    } else {
        reset / 1000.0
    };
    duration(seconds - clock::now().timestamp_millis() as f64 / 1000.0)
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT.as_secs_f64())).ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &'static str, value: String) -> Option<f64> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        wait_asked_for(&headers).map(|wait| wait.as_secs_f64().round())
    }

    #[test]
    fn reads_every_form_of_wait() {
        let later = clock::now() + chrono::Duration::seconds(100);
        assert_eq!(wait("retry-after", "7".into()), Some(7.0));
        assert_eq!(wait("x-ratelimitreset", "30".into()), Some(30.0));
        assert_eq!(wait("x-ratelimit-reset", "30".into()), Some(30.0));
        let close = |seconds: Option<f64>| (98.0..=101.0).contains(&seconds.unwrap());
        assert!(close(wait("retry-after", later.to_rfc2822())));
        assert!(close(wait(
            "x-ratelimit-reset",
            later.timestamp().to_string()
        )));
        assert!(close(wait(
            "x-ratelimit-reset",
            later.timestamp_millis().to_string()
        )));
        assert_eq!(wait("x-other", "1".into()), None);
        assert_eq!(wait("retry-after", "soon".into()), None);
    }
}
