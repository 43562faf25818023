//! How often to retry, and how long to wait. The only file that uses `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The number of retries, and the random waits before them.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The maximum number of retries.
    pub max_retries: u32,
    /// The maximum of the first wait. It doubles with each retry.
    pub base: Duration,
    /// The maximum of any wait.
    pub max: Duration,
}

impl RetryPolicy {
    /// The retries of a request.
    pub fn start(&self) -> Retries {
        // A randomization factor of 1 draws from zero to twice the interval.
        // With half of the base as the interval, this is full jitter up to the
        // base.
        let mut backoff = ExponentialBackoff {
            current_interval: self.base / 2,
            initial_interval: self.base / 2,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: self.max / 2,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        backoff.reset();
        Retries {
            left: self.max_retries,
            backoff,
            max: self.max,
        }
    }
}

/// The retries that a request has left.
pub struct Retries {
    left: u32,
    backoff: ExponentialBackoff,
    max: Duration,
}

impl Retries {
    /// Uses up a retry, and returns the wait before it. `None` if no retry is
    /// left.
    pub fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.backoff.next_backoff().unwrap_or(self.max);
        Some(wait.min(self.max))
    }

    /// Limits the remaining retries.
    pub fn at_most(&mut self, tries: u32) {
        self.left = self.left.min(tries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let policy = RetryPolicy {
            max_retries: 20,
            base: Duration::from_secs(1),
            max: Duration::from_secs(4),
        };
        let mut retries = policy.start();
        let waits: Vec<_> = std::iter::from_fn(|| retries.next()).collect();
        assert_eq!(waits.len(), 20);
        assert!(waits[0] <= Duration::from_millis(1001), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= policy.max), "{waits:?}");
    }
}
