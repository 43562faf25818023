//! Counts the answers of an endpoint for single users or conversations, to tell
//! whether the endpoint itself is broken.

use crate::error::{Error, Result};

/// The minimum number of requests before an endpoint is judged.
const LEAST: u64 = 20;

/// After this many consecutive failures with all retries, the API itself is in
/// trouble.
const OUTAGE: u64 = 20;

/// The answers of one endpoint in a walk.
#[derive(Default)]
pub struct EndpointTally {
    answered: u64,
    /// 403
    refused: u64,
    /// 404 or 410
    absent: u64,
    failed: u64,
    in_a_row: u64,
    /// The first error.
    first: Option<Error>,
}

/// Why a stream ends before its walk.
pub enum GivenUp {
    /// The endpoint is broken or refused. What the run found through it is
    /// invalid.
    Broken(Error),
    /// The API fails. What was read before remains valid.
    Outage(Error),
}

impl EndpointTally {
    pub fn answer(&mut self) {
        self.answered += 1;
        self.in_a_row = 0;
    }

    /// Counts a failed request. Returns a reason if continuing is pointless.
    pub fn miss(&mut self, error: &Error) -> Option<GivenUp> {
        match error.status() {
            Some(403) => self.refused += 1,
            Some(404 | 410) => self.absent += 1,
            _ => self.failed += 1,
        }
        self.first.get_or_insert_with(|| error.clone());
        if self.answered == 0 && self.refused >= LEAST {
            return Some(GivenUp::Broken(error.clone()));
        }
        match error.took_all_retries() {
            true => self.in_a_row += 1,
            false => self.in_a_row = 0,
        }
        (self.in_a_row >= OUTAGE).then(|| GivenUp::Outage(error.clone()))
    }

    /// Judges the endpoint at the end of a walk. `worked` is whether an earlier
    /// walk was complete.
    ///
    /// # Errors
    /// If the endpoint is broken, or the token may not use it.
    pub fn judge(&self, worked: bool) -> Result<()> {
        let Some(first) = &self.first else {
            return Ok(());
        };
        let unreadable = self.refused + self.absent;
        let asked = self.answered + unreadable + self.failed;
        let is_refused = self.refused == asked && (asked >= LEAST || !worked);
        if is_refused {
            return Err(first.clone());
        }
        if asked >= LEAST && unreadable * 2 > asked {
            return Err(Error::EndpointBroken {
                unreadable,
                asked,
                first: Box::new(first.clone()),
            });
        }
        Ok(())
    }
}
