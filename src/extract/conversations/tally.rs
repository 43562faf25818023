//! How an endpoint answered for single users or conversations, and whether it
//! is the endpoint that is broken.

use crate::error::{Error, Result};

/// So many must have been asked for before the endpoint is judged.
const LEAST: u64 = 20;

/// After so many failures in a row that took all retries, the API itself is in
/// trouble.
const OUTAGE: u64 = 20;

/// The answers of one endpoint in a walk.
#[derive(Default)]
pub struct Tally {
    answered: u64,
    /// 403
    refused: u64,
    /// 404 or 410
    absent: u64,
    failed: u64,
    in_a_row: u64,
    /// The first answer that was no answer.
    first: Option<Error>,
}

/// Why a stream ends before its walk.
pub enum GivenUp {
    /// The endpoint is broken or refused: what the run found of it means
    /// nothing.
    Broken(Error),
    /// The API fails: what could be read until then stays true.
    Outage(Error),
}

impl Tally {
    pub fn answer(&mut self) {
        self.answered += 1;
        self.in_a_row = 0;
    }

    /// Counts one that can't be read; tells when it is of no use to go on.
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

    /// Judges the endpoint at the end of a walk; `worked` says whether an
    /// earlier walk was complete.
    ///
    /// # Errors
    /// The endpoint is broken, or refused to this token.
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
