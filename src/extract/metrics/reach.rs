//! How far back the API answers, and how much at once, as far as it is known.

use chrono::{DateTime, Utc};

use super::slices::Slices;
use crate::error::Error;

/// What the API answers.
#[derive(Clone)]
pub struct Reach {
    /// It refuses slices that begin earlier, and this is what it says.
    pub refused: Option<(DateTime<Utc>, Error)>,
    /// So many slices at once.
    pub size: i64,
}

impl Reach {
    /// Those of the slices that the API answers.
    pub fn of(&self, slices: Slices) -> Slices {
        match &self.refused {
            Some((to, _)) => slices.since(*to),
            None => slices,
        }
    }
}
