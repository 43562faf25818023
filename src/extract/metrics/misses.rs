//! What became of the requests of one stream: metrics that the API refuses,
//! and answers that can't be read.

use std::collections::HashSet;

use super::answer::Rows;
use crate::error::{Error, Result};

/// So many queries may fail on the server's side before the stream ends: one
/// broken metric leaves the others, and a broken server isn't asked on.
const MOST_FAILURES: usize = 6;

/// The same before the first answer.
const MOST_FAILURES_AT_FIRST: usize = 3;

/// What a request brings: what was asked for, or why it can't be had.
pub type Reply<T> = std::result::Result<T, Error>;

/// Tells an error that is about one request from one that ends the stream.
///
/// # Errors
/// The errors that end it.
pub fn reply<T>(result: Result<T>) -> Result<Reply<T>> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if is_refusal(&error) || is_failure(&error) || is_odd(&error) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Whether an answer came that is not of the documented shape.
fn is_odd(error: &Error) -> bool {
    matches!(error, Error::Unexpected { .. })
}

/// Whether the API won't answer the request, whenever it is sent.
fn is_refusal(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 403 | 404 | 422))
}

/// Whether a refusal can be one of what was asked for: its time, or a filter
/// that is missing.
pub fn may_be_the_question(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 422))
}

/// Whether the server couldn't answer, in any of the tries.
fn is_failure(error: &Error) -> bool {
    matches!(error.status(), Some(500..)) || matches!(error, Error::NotJson { .. })
}

/// Several requests make up one answer: where one of the later ones has none,
/// what came before it stays, with the problem.
pub fn give_up(so_far: Option<Rows>, error: Error) -> Reply<Rows> {
    let mut rows = so_far.ok_or_else(|| error.clone())?;
    rows.problem.get_or_insert_with(|| error.to_string());
    Ok(rows)
}

/// What is to be done about a reply.
pub enum Noted {
    /// The answer was read, or a part of it.
    Rows(Rows),
    /// There is no answer that can be read.
    Missed,
    /// Neither is there, and another time would bring none: the API refuses the
    /// metric, or fails at it.
    GivenUp,
}

/// The replies of one stream. A metric that is refused, or whose answer is
/// odd, doesn't fail the others. Where none is answered, the stream has failed.
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

    /// Takes note of a reply to a question about a metric; `question` says
    /// what was asked, in words.
    ///
    /// # Errors
    /// The server has failed too often.
    pub fn note(
        &mut self,
        metric: &'static str,
        question: &str,
        reply: Reply<Rows>,
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
        log::warn!(
            "stream `{}`: {question} can't be read: {error}",
            self.stream
        );
        self.odd += 1;
        self.first_odd.get_or_insert(error);
    }

    /// Warns of each refused metric, once.
    ///
    /// # Errors
    /// If nothing was answered: the first refusal that is not about the
    /// permission, else any refusal or odd answer.
    pub fn settle(&mut self) -> Result<()> {
        if !self.answered {
            let other = |(_, error): &(_, Error)| error.status() != Some(403);
            let first = self.refused.iter().position(other).unwrap_or_default();
            let refused = (!self.refused.is_empty()).then(|| self.refused.swap_remove(first).1);
            return self.first_odd.clone().or(refused).map_or(Ok(()), Err);
        }
        for (metric, error) in self.refused.drain(..) {
            if self.warned.insert(metric) {
                let stream = self.stream;
                log::warn!("stream `{stream}`: `{metric}` is left out, or a part of it: {error}");
            }
        }
        Ok(())
    }

    /// The end of the stream.
    ///
    /// # Errors
    /// There were odd answers, each of which was warned of.
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
