//! What happens to an account while it is served: the log, the rules broken, the hourly limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::changes::Changes;
use crate::faults::FaultCounts;
use crate::reports::Jobs;

/// One request that reached the sandbox.
#[derive(Clone, Debug)]
pub struct Request {
    /// From 1, over both origins; not set back by `clear_requests`.
    pub number: u64,
    pub method: String,
    /// The template, such as `users/{id}/conversations`; `storage`; `unknown`.
    pub endpoint: String,
    /// As it was sent, without the query.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// The answer's status; 0 while there is none, and where the connection closed instead.
    pub status: u16,
    pub had_authorization: bool,
    pub at: Instant,
    /// Requests over one connection share its number.
    pub connection: u64,
    /// The body of a POST.
    pub body: String,
}

impl Request {
    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The state of the service, apart from the account's data.
#[derive(Debug, Default)]
pub struct Control {
    pub requests: Vec<Request>,
    pub requests_ever: u64,
    pub violations: Vec<String>,
    pub violations_allowed: bool,
    pub faults: FaultCounts,
    pub limit: HourlyLimit,
    pub jobs: Jobs,
    pub edits_made: usize,
    pub users_deleted: usize,
    pub messages_arrived: usize,
    pub messages_deleted: usize,
    pub users_added: usize,
    /// What happens after the answers from now on.
    pub changes: Option<Changes>,
}

impl Control {
    /// Writes a request into the log, and gives it its number.
    pub fn log(&mut self, request: Request) -> u64 {
        self.requests_ever += 1;
        self.requests.push(Request {
            number: self.requests_ever,
            ..request
        });
        self.requests_ever
    }

    /// Notes the status of request `number`, if it is still in the log.
    pub fn set_status(&mut self, number: u64, status: u16) {
        let place = self
            .requests
            .binary_search_by_key(&number, |request| request.number);
        if let Ok(index) = place {
            self.requests[index].status = status;
        }
    }
}

/// Calls within the current simulated hour.
#[derive(Debug, Default)]
pub struct HourlyLimit {
    started: Option<Instant>,
    used: u32,
}

/// Where a call stands in its hour.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub limit: u32,
    pub granted: bool,
    pub remaining: u32,
    pub resets_in: Duration,
}

impl HourlyLimit {
    /// Takes one call of `limit`, if one is left in this `hour`. The first call starts it.
    pub fn take(&mut self, limit: u32, hour: Duration) -> Allowance {
        let now = Instant::now();
        let started = match self.started {
            Some(started) if now < started + hour => started,
            _ => {
                self.used = 0;
                now
            }
        };
        self.started = Some(started);
        let granted = self.used < limit;
        self.used += u32::from(granted);
        Allowance {
            limit,
            granted,
            remaining: limit.saturating_sub(self.used),
            resets_in: (started + hour).saturating_duration_since(now),
        }
    }
}

/// API requests under way, and the most there were at once.
#[derive(Debug, Default)]
pub struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl InFlight {
    /// Counts a request until the guard is dropped.
    pub fn enter(&self) -> InFlightGuard<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        InFlightGuard(self)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub fn forget(&self) {
        self.most.store(0, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub struct InFlightGuard<'a>(&'a InFlight);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The end of the sandbox, which wakes whoever waits.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or until the sandbox stops.
    pub fn wait(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self
            .changed
            .wait_timeout_while(stopped, time, |stopped| !*stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_spent_and_comes_again() {
        let mut limit = HourlyLimit::default();
        let hour = Duration::from_secs(3600);
        assert_eq!(limit.take(2, hour).remaining, 1);
        assert!(limit.take(2, hour).granted);
        let spent = limit.take(2, hour);
        assert!(!spent.granted && spent.remaining == 0);
        assert!(limit.take(2, Duration::ZERO).granted, "a new hour");
    }

    #[test]
    fn the_most_at_once_is_kept() {
        let flight = InFlight::default();
        let (first, second) = (flight.enter(), flight.enter());
        drop((first, second));
        drop(flight.enter());
        assert_eq!(flight.most(), 2);
    }
}
