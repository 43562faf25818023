//! The end of a run, for the threads that wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// What ended the run, once something did. Every wait of the run's threads is
/// a wait for it too.
#[derive(Default)]
pub struct Stop {
    reason: Mutex<Option<Error>>,
    changed: Condvar,
}

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run. The first reason counts.
    pub fn set(&self, reason: &Error) {
        self.lock().get_or_insert_with(|| reason.clone());
        self.changed.notify_all();
    }

    /// What ended the run, if anything did.
    pub fn reason(&self) -> Option<Error> {
        self.lock().clone()
    }

    /// Waits until the run is ended, and says what ended it.
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
    /// [`Error::Stopped`], at once, when the run is ended.
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
