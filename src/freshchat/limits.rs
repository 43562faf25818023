//! The account's rate limit and the maximum number of concurrent requests,
//! shared by all threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use ureq::http::HeaderMap;

use super::clock;
use crate::error::{Error, Result};

/// Longer waits in a header are wrong, because the limits are hourly.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Without a header that says when the limit is reset, waits grow up to this
/// length.
const LONGEST_BLIND_WAIT: Duration = Duration::from_secs(600);

/// After this time, an hourly limit should be reset.
pub const PATIENCE: Duration = Duration::from_secs(65 * 60);

/// Waits of at least this length are logged.
const LOGGED_WAIT: Duration = Duration::from_secs(5);

/// From this value on, a reset header is a Unix time, not a number of seconds.
const FIRST_UNIX_TIME: f64 = 1e9;

/// The rate limiter, which every API request passes.
pub struct Limits {
    concurrency: usize,
    /// The share of the hourly limit, from 0 to 1, at which requests wait for
    /// the reset.
    reserve: f64,
    /// The first wait if no header says when the limit is reset.
    base: Duration,
    /// Called for each wait, with its length and its reason.
    on_wait: fn(Duration, &str),
    state: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    under_way: usize,
    closed_until: Option<Instant>,
    hourly: Option<HourlyLimit>,
    spent: Option<Spent>,
    stopped: bool,
}

/// The hourly limit, as in the last answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourlyLimit {
    /// Calls per hour.
    pub limit: f64,
    /// Calls that are left.
    pub remaining: f64,
}

/// A used-up limit, if no answer says when it is reset.
#[derive(Clone, Copy)]
struct Spent {
    since: Instant,
    wait: Duration,
}

/// A slot for a concurrent request. It is released on drop.
pub struct Permit<'a>(&'a Limits);

impl Limits {
    /// `reserve_percent` of the hourly limit is left to others. `base` is the
    /// first wait if the API doesn't say when the limit is reset. `on_wait` is
    /// called for each wait, with its length and its reason.
    pub fn new(
        concurrency: usize,
        reserve_percent: f64,
        base: Duration,
        on_wait: fn(Duration, &str),
    ) -> Self {
        Self {
            concurrency,
            reserve: reserve_percent / 100.0,
            base,
            on_wait,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The maximum number of concurrent requests.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The hourly limit, if the API has sent it.
    pub fn hourly(&self) -> Option<HourlyLimit> {
        self.lock().hourly
    }

    /// The calls per hour, without those reserved for others.
    pub fn calls_per_hour(&self) -> Option<f64> {
        Some(self.hourly()?.limit * (1.0 - self.reserve))
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the rate limit allows a request and a slot is free.
    ///
    /// # Errors
    /// [`Error::Stopped`], immediately, after [`Self::stop`].
    pub fn enter(&self) -> Result<Permit<'_>> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Error::Stopped);
            }
            let now = Instant::now();
            state = match state.closed_until {
                Some(until) if until > now => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ if state.under_way < self.concurrency && self.is_affordable(&state) => {
                    state.under_way += 1;
                    return Ok(Permit(self));
                }
                _ => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Whether the requests under way leave one above the reserve. Without any
    /// under way, one is made, because the limit may have been reset.
    fn is_affordable(&self, state: &Gate) -> bool {
        let reserve_is_left = |hourly: HourlyLimit| {
            hourly.remaining - state.under_way as f64 > hourly.limit * self.reserve
        };
        state.under_way == 0 || state.hourly.is_none_or(reserve_is_left)
    }

    /// Blocks all further requests.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Blocks requests for this long. All threads wait together, and the log
    /// shows it once.
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
        self.tell(wait, reason);
        if wait >= LOGGED_WAIT && longer {
            log::info!("waiting {:.0} s: {reason}", wait.as_secs_f64());
        }
    }

    /// Reports a wait, which a caller does by itself.
    pub fn tell(&self, wait: Duration, reason: &str) {
        (self.on_wait)(wait, reason);
    }

    /// How long to wait for a used-up limit if no answer says when it is reset.
    /// The wait doubles with each round of such answers. `None` if the limit is
    /// still used up after more than an hour.
    pub fn blind_wait(&self) -> Option<Duration> {
        self.blind_wait_at(Instant::now())
    }

    fn blind_wait_at(&self, now: Instant) -> Option<Duration> {
        let mut state = self.lock();
        // Answers to other threads in the same round share the wait.
        if let (Some(until), Some(_)) = (state.closed_until, state.spent)
            && until > now
        {
            return Some(until - now);
        }
        let spent = match state.spent {
            None => Spent {
                since: now,
                wait: self.base,
            },
            Some(spent) => Spent {
                wait: (spent.wait * 2).min(LONGEST_BLIND_WAIT),
                ..spent
            },
        };
        state.spent = Some(spent);
        (now - spent.since < PATIENCE).then_some(spent.wait)
    }

    /// Reads the rate-limit headers of an answer other than a 429, and blocks
    /// requests when only the reserve is left.
    pub fn observe(&self, headers: &HeaderMap) {
        let hourly = hourly_limit(headers);
        let at_reserve = hourly.filter(|hourly| hourly.remaining <= hourly.limit * self.reserve);
        let mut state = self.lock();
        // Answers may arrive in another order than the requests. A reset adds
        // more calls than are under way.
        let is_late = |old: HourlyLimit, new: HourlyLimit| {
            let added = new.remaining - old.remaining;
            new.limit == old.limit && 0.0 < added && added < self.concurrency as f64
        };
        state.hourly = match (state.hourly, hourly) {
            (Some(old), Some(new)) if is_late(old, new) => Some(old),
            (old, new) => new.or(old),
        };
        if at_reserve.is_none() {
            state.spent = None;
        }
        drop(state);
        if let Some(HourlyLimit { limit, remaining }) = at_reserve {
            let wait = reset_after(headers);
            let wait = wait.or_else(|| self.blind_wait());
            let reason = format!(
                "{remaining:.0} of {limit:.0} calls of the hourly limit are left, which are \
                 reserved for others"
            );
            self.close(wait.unwrap_or(LONGEST_BLIND_WAIT), &reason);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_all();
    }
}

/// The hourly limit in the headers. A limit of zero or less means none.
fn hourly_limit(headers: &HeaderMap) -> Option<HourlyLimit> {
    let hourly = HourlyLimit {
        limit: number(headers, "x-ratelimit-limit")?,
        remaining: number(headers, "x-ratelimit-remaining")?,
    };
    (hourly.limit > 0.0).then_some(hourly)
}

/// The wait that an answer asks for: `Retry-After` (seconds or a date), or else
/// the reset of the rate limit. `None` if neither is usable.
pub fn wait_asked_for(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).or_else(|| reset_after(headers))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, "retry-after")?;
    match text.parse::<f64>() {
        Ok(seconds) => duration(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?;
            duration((date.to_utc() - clock::now()).as_seconds_f64())
        }
    }
}

/// `X-RateLimitReset` contains the remaining seconds. `X-RateLimit-Reset`
/// contains those, or a Unix time in seconds or milliseconds.
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

/// A plausible wait. A used-up limit is reset neither immediately nor after
/// several hours.
fn duration(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (!wait.is_zero() && wait <= LONGEST_WAIT).then_some(wait)
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

    fn limits(concurrency: usize, reserve_percent: f64) -> Limits {
        Limits::new(
            concurrency,
            reserve_percent,
            Duration::from_secs(1),
            |_, _| (),
        )
    }

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

    #[test]
    fn a_wait_that_can_not_be_meant_is_none() {
        let now = clock::now().timestamp();
        for value in [-1, 0, 7201, 999_999_999, now - 60, now + 7300] {
            assert_eq!(
                wait("x-ratelimit-reset", value.to_string()),
                None,
                "{value}"
            );
        }
        assert_eq!(wait("retry-after", "-1".into()), None);
        assert_eq!(wait("x-ratelimitreset", "NaN".into()), None);
    }

    #[test]
    fn who_waits_at_the_gate_hears_of_the_end() {
        let limits = limits(1, 10.0);
        let place = limits.enter().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| limits.enter().is_err());
            limits.close(LONGEST_WAIT, "spent");
            let waiting_longer = scope.spawn(|| limits.enter().is_err());
            limits.stop();
            assert!(waiting.join().unwrap() && waiting_longer.join().unwrap());
        });
        drop(place);
    }

    #[test]
    fn requests_under_way_count_against_the_limit() {
        let limits = limits(4, 25.0);
        let answer = |remaining: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-limit", "8".parse().unwrap());
            headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
            limits.observe(&headers);
        };
        let affordable = || limits.is_affordable(&limits.lock());
        answer("5");
        answer("4");
        // The answer to an earlier request.
        answer("5");
        let _first = limits.enter().unwrap();
        assert!(affordable());
        let second = limits.enter().unwrap();
        assert!(!affordable(), "2 of 8 are the reserve");
        drop(second);
        assert!(affordable());
        answer("8");
        assert!(affordable());
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        let limits = limits(4, 25.0);
        for limit in ["-1", "0"] {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-limit", limit.parse().unwrap());
            headers.insert("x-ratelimit-remaining", limit.parse().unwrap());
            limits.observe(&headers);
        }
        assert_eq!(limits.hourly(), None);
        assert_eq!(limits.lock().closed_until, None);
    }

    #[test]
    fn blind_waits_grow_round_by_round_and_end() {
        let limits = limits(4, 10.0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = limits.blind_wait().unwrap();
            waits.push(wait.as_secs());
            // The answer to another thread in the same round.
            limits.close(wait, "spent");
            assert!(limits.blind_wait().unwrap() <= wait);
            limits.lock().closed_until = None;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(limits.blind_wait_at(Instant::now() + PATIENCE), None);
        limits.observe(&HeaderMap::new());
        assert_eq!(limits.blind_wait(), Some(Duration::from_secs(1)));
    }
}
