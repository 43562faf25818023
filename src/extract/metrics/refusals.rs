//! Metrics that the API refuses.

use std::collections::HashSet;

use crate::error::{Error, Result};

/// What a request brings: what was asked for, or the API's refusal.
pub type Reply<T> = std::result::Result<T, Error>;

/// Tells a refusal of what was asked for from an error that ends the stream.
///
/// # Errors
/// The errors that are no refusals.
pub fn reply<T>(result: Result<T>) -> Result<Reply<T>> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if matches!(error.status(), Some(400 | 403 | 404 | 422)) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// The refusals of one stream. A refused metric doesn't fail the others: it is
/// left out with a warning. Where all are refused, the stream is.
pub struct Refusals {
    stream: &'static str,
    /// Whether any metric was answered.
    answered: bool,
    pending: Vec<(&'static str, Error)>,
    warned: HashSet<&'static str>,
}

impl Refusals {
    pub fn new(stream: &'static str) -> Self {
        Self {
            stream,
            answered: false,
            pending: Vec::new(),
            warned: HashSet::new(),
        }
    }

    /// Takes note of a metric's reply; the answer, if it is one.
    pub fn note<T>(&mut self, metric: &'static str, reply: Reply<T>) -> Option<T> {
        match reply {
            Ok(answer) => {
                self.answered = true;
                Some(answer)
            }
            Err(error) => {
                self.pending.push((metric, error));
                None
            }
        }
    }

    /// Warns of each refused metric, once.
    ///
    /// # Errors
    /// If no metric was answered: the first refusal that is not about the
    /// permission, else the first one.
    pub fn settle(&mut self) -> Result<()> {
        if !self.answered {
            let other = |(_, error): &(_, Error)| error.status() != Some(403);
            let first = self.pending.iter().position(other).unwrap_or_default();
            return match self.pending.is_empty() {
                true => Ok(()),
                false => Err(self.pending.swap_remove(first).1),
            };
        }
        for (metric, error) in self.pending.drain(..) {
            if self.warned.insert(metric) {
                let stream = self.stream;
                log::warn!("stream `{stream}`: `{metric}` is left out, or a part of it: {error}");
            }
        }
        Ok(())
    }
}
