//! Tells waiting threads that the run has ended.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// What ended the run, once something did. All waits of the run's threads also
/// wait for this.
#[derive(Default)]
pub struct Stop {
    reason: Mutex<Option<Error>>,
    changed: Condvar,
}

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run. Only the first reason is kept.
    pub fn set(&self, reason: &Error) {
        self.lock().get_or_insert_with(|| reason.clone());
        self.changed.notify_all();
    }

    /// What ended the run, if anything did.
    pub fn reason(&self) -> Option<Error> {
        self.lock().clone()
    }

    /// Waits until the run ends, and returns the reason.
    pub fn wait(&self) -> Error {
        let mut reason = self.lock();
        loop {
            if let Some(reason) = &*reason {
                return reason.clone();
            }
            let waited = self.changed.wait(reason);
            reason = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps.
    ///
    /// # Errors
    /// [`Error::Stopped`], immediately, when the run ends.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let running = |reason: &mut Option<Error>| reason.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), time, running);
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            None => Ok(()),
            Some(_) => Err(Error::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_wakes_who_sleeps() {
        let stop = Stop::default();
        assert!(stop.sleep(Duration::from_millis(1)).is_ok());
        std::thread::scope(|scope| {
            let sleeping = scope.spawn(|| stop.sleep(Duration::MAX));
            let waiting = scope.spawn(|| stop.wait());
            stop.set(&Error::StdoutClosed);
            stop.set(&Error::Stopped);
            assert!(matches!(sleeping.join(), Ok(Err(Error::Stopped))));
            assert!(matches!(waiting.join(), Ok(Error::StdoutClosed)));
        });
        assert!(matches!(stop.sleep(Duration::MAX), Err(Error::Stopped)));
    }
}
