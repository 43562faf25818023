//! The failed requests of a stream: metrics that the API refuses, and answers
//! that can't be read.

use std::collections::HashSet;

use super::answer::MetricRows;
use crate::error::{Error, Result};

/// How many queries may fail on the server before the stream ends. A single
/// broken metric doesn't affect the others, but a broken server isn't used any
/// further.
const MOST_FAILURES: usize = 6;

/// The same limit before the first answer.
const MOST_FAILURES_AT_FIRST: usize = 3;

/// The result of a request: the answer, or why there is none.
pub type Reply<T> = std::result::Result<T, Error>;

/// Separates errors of a single request from those that end the stream.
///
/// # Errors
/// The errors that end the stream.
pub fn reply<T>(result: Result<T>) -> Result<Reply<T>> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if is_refusal(&error) || is_failure(&error) || is_odd(&error) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Whether an answer doesn't have the documented shape.
fn is_odd(error: &Error) -> bool {
    matches!(error, Error::Unexpected { .. })
}

/// Whether the API will never answer the request.
fn is_refusal(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 403 | 404 | 413 | 414 | 422))
}

/// Whether the refusal can be due to the time of the question.
pub fn may_be_the_time(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 422))
}

/// Whether the refusal can be due to the filter of the question: its absence,
/// its length, or its ids.
pub fn may_be_the_filter(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 413 | 414 | 422))
}

/// Whether the server failed in all tries.
fn is_failure(error: &Error) -> bool {
    matches!(error.status(), Some(500..)) || matches!(error, Error::NotJson { .. })
}

/// Keeps the earlier part of an answer that takes several requests, together
/// with the error of a later one.
pub fn give_up(so_far: Option<MetricRows>, error: Error) -> Reply<MetricRows> {
    let mut rows = so_far.ok_or_else(|| error.clone())?;
    rows.problem.get_or_insert_with(|| error.to_string());
    Ok(rows)
}

/// How to handle a reply.
pub enum Noted {
    /// The answer, or a part of it, was read.
    Rows(MetricRows),
    /// There is no readable answer.
    Missed,
    /// There is no readable answer, and other times would give none either: the
    /// API refuses the metric, or fails on it.
    GivenUp,
}

/// The replies of a stream. A metric that is refused or has an unexpected
/// answer doesn't affect the others. If none is answered, the stream has
/// failed.
pub struct Misses {
    stream: &'static str,
    /// Whether any answer was as documented.
    pub answered: bool,
    ever_answered: bool,
    refused: Vec<(&'static str, Error)>,
    warned: HashSet<&'static str>,
    odd: u64,
    failures: usize,
    first_odd: Option<Error>,
}

impl Misses {
    pub fn new(stream: &'static str) -> Self {
        Self {
            stream,
            answered: false,
            ever_answered: false,
            refused: Vec::new(),
            warned: HashSet::new(),
            odd: 0,
            failures: 0,
            first_odd: None,
        }
    }

    /// Records a reply to a question about a metric. `question` describes what
    /// was requested.
    ///
    /// # Errors
    /// If the server has failed too often.
    pub fn note(
        &mut self,
        metric: &'static str,
        question: &str,
        reply: Reply<MetricRows>,
    ) -> Result<Noted> {
        let error = match reply {
            Ok(rows) => {
                match &rows.problem {
                    None => {
                        self.answered = true;
                        self.ever_answered = true;
                    }
                    Some(problem) => self.note_odd(
                        question,
                        Error::Unexpected {
                            request: "a part of the answer".into(),
                            problem: problem.clone(),
                        },
                    ),
                }
                return Ok(Noted::Rows(rows));
            }
            Err(error) => error,
        };
        if is_refusal(&error) {
            self.refused.push((metric, error));
            return Ok(Noted::GivenUp);
        }
        if !is_failure(&error) {
            self.note_odd(question, error);
            return Ok(Noted::Missed);
        }
        self.failures += 1;
        let most = match self.ever_answered {
            true => MOST_FAILURES,
            false => MOST_FAILURES_AT_FIRST,
        };
        if self.failures >= most {
            return Err(error);
        }
        self.note_odd(question, error);
        Ok(Noted::GivenUp)
    }

    fn note_odd(&mut self, question: &str, error: Error) {
        log::warn!(stream = self.stream; "{question} can't be read: {error}");
        self.odd += 1;
        self.first_odd.get_or_insert(error);
    }

    /// Warns about each refused metric, once.
    ///
    /// # Errors
    /// If nothing was answered: the first refusal that is not about the
    /// permission, or else any refusal or unexpected answer.
    pub fn settle(&mut self) -> Result<()> {
        if !self.answered {
            let other = |(_, error): &(_, Error)| error.status() != Some(403);
            let first = self.refused.iter().position(other).unwrap_or_default();
            let refused = (!self.refused.is_empty()).then(|| self.refused.swap_remove(first).1);
            return self.first_odd.clone().or(refused).map_or(Ok(()), Err);
        }
        for (metric, error) in self.refused.drain(..) {
            if self.warned.insert(metric) {
                log::warn!(
                    stream = self.stream;
                    "`{metric}` is left out, at least in part: {error}"
                );
            }
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// If there were unexpected answers. Each has been logged.
    pub fn conclude(&self, what_now: &str) -> Result<()> {
        match self.odd {
            0 => Ok(()),
            odd => Err(Error::Unexpected {
                request: "metrics".into(),
                problem: format!("{odd} answers can't be read, as warned above; {what_now}"),
            }),
        }
    }
}
