//! What is known about how far back the API answers, and how much at once.

use chrono::{DateTime, Utc};

use super::slices::Slices;
use crate::error::Error;

/// The known limits of the API.
#[derive(Clone)]
pub struct Reach {
    /// The API refuses slices before this time, with this error.
    pub refused: Option<(DateTime<Utc>, Error)>,
    /// The number of slices that it answers at once.
    pub size: i64,
}

impl Reach {
    /// The slices that the API answers.
    pub fn of(&self, slices: Slices) -> Slices {
        match &self.refused {
            Some((to, _)) => slices.since(*to),
            None => slices,
        }
    }
}
