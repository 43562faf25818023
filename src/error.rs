//! The error type, its messages and its exit codes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::freshchat::clock::ClocksDiffer;
use crate::timestamp;

/// Everything that can end a stream or the run.
#[derive(Debug, Clone)]
pub enum Error {
    /// The command line is wrong.
    Usage(String),
    /// A file given on the command line can't be read.
    File {
        what: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },
    /// A file isn't JSON, or doesn't have the expected shape.
    Shape {
        what: &'static str,
        path: PathBuf,
        field: String,
        problem: String,
    },
    /// A setting is missing or invalid.
    Setting {
        origin: String,
        setting: String,
        problem: String,
    },
    /// The catalog names a stream that this tap doesn't have.
    UnknownStream { path: PathBuf, stream: String },
    /// The API answered with an error status that retries can't fix.
    Api(Box<ApiError>),
    /// The account has no report for this event.
    UnknownEvent(Box<ApiError>),
    /// The API refused the token.
    Unauthorized { host: String, trace: Option<String> },
    /// This machine's clock and the server's are too far apart.
    Clocks(ClocksDiffer),
    /// The API redirects to another host, where the token must not go.
    Redirected { request: String, to: String },
    /// The answer isn't JSON. Usually the host is not a Freshchat account.
    NotJson {
        request: String,
        host: String,
        problem: String,
    },
    /// The answer is JSON, but not what the API document describes.
    Unexpected { request: String, problem: String },
    /// No answer arrived.
    Transport { request: String, problem: String },
    /// So many users or conversations answered 403, 404 or 410 that the
    /// endpoint itself seems broken.
    EndpointBroken {
        unreadable: u64,
        asked: u64,
        first: Box<Error>,
    },
    /// Some users or conversations can't be read; the state names them.
    ChildrenMissed { children: String, last: Box<Error> },
    /// More users or conversations can't be read than the state can hold.
    TooManyMissed { children: String, last: Box<Error> },
    /// The bookmark of a stream contains something invalid.
    BadBookmark {
        stream: &'static str,
        problem: String,
    },
    /// A raw report can't be obtained or read.
    Report {
        event: &'static str,
        problem: String,
    },
    /// A raw report that names the conversations to read can't be obtained.
    Discovery(Box<Error>),
    /// A temporary file can't be created, read or written.
    TemporaryFile(Arc<io::Error>),
    /// A bookmark is later than the start of the run.
    Ahead {
        stream: &'static str,
        bookmark: DateTime<Utc>,
        started_at: DateTime<Utc>,
    },
    /// Writing to stdout failed.
    Output(Arc<io::Error>),
    /// The reader of stdout is gone.
    StdoutClosed,
    /// Something else ended first, such as the run or the consumer of a
    /// producer thread. Its error is the one to show.
    Stopped,
    /// Some streams failed. Each was reported at that time.
    StreamsFailed {
        failed: Vec<String>,
        selected: usize,
    },
    /// The API refused every selected stream.
    NothingReadable { selected: usize },
    /// `--test` found an endpoint that doesn't answer as expected.
    TestFailed { failed: usize },
}

/// An error answer of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The endpoint's template, such as `users/{id}/conversations`.
    pub endpoint: &'static str,
    /// Method and path, such as `GET /v2/users`.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The API's error code, such as `WRONG_PAGE`, or empty.
    pub code: String,
    /// The API's error message, or the beginning of the body.
    pub message: String,
    /// The `X-Trace-ID` header, which Freshchat's support asks for.
    pub trace: Option<String>,
    /// How long the API asks to wait before a retry.
    pub retry_after: Option<Duration>,
}

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit code of the process: 2 for errors found before any request, 1
    /// for a failed stream, 0 if the reader of stdout is gone.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_)
            | Error::File { .. }
            | Error::Shape { .. }
            | Error::Setting { .. }
            | Error::UnknownStream { .. } => 2,
            Error::Api(_)
            | Error::UnknownEvent(_)
            | Error::Unauthorized { .. }
            | Error::Clocks(_)
            | Error::Redirected { .. }
            | Error::NotJson { .. }
            | Error::Unexpected { .. }
            | Error::Transport { .. }
            | Error::EndpointBroken { .. }
            | Error::ChildrenMissed { .. }
            | Error::TooManyMissed { .. }
            | Error::BadBookmark { .. }
            | Error::Report { .. }
            | Error::Discovery(_)
            | Error::TemporaryFile(_)
            | Error::Ahead { .. }
            | Error::Output(_)
            | Error::Stopped
            | Error::StreamsFailed { .. }
            | Error::NothingReadable { .. }
            | Error::TestFailed { .. } => 1,
            Error::StdoutClosed => 0,
        }
    }

    /// Whether no other stream can succeed after this error.
    pub fn ends_run(&self) -> bool {
        matches!(
            self,
            Error::Stopped
                | Error::Unauthorized { .. }
                | Error::Clocks(_)
                | Error::Output(_)
                | Error::StdoutClosed
        )
    }

    pub fn temporary_file(source: io::Error) -> Self {
        Error::TemporaryFile(Arc::new(source))
    }

    /// The answer, if it refuses a whole endpoint and not a single object. A
    /// 403 is never about a single object.
    pub fn refusal(&self) -> Option<&ApiError> {
        match self {
            Error::Api(error) => Some(&**error),
            _ => None,
        }
        .filter(|error| error.status == 403 || !error.endpoint.contains('{'))
    }

    /// The HTTP status, if this is an error answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Api(error) => Some(error.status),
            _ => None,
        }
    }

    /// Whether the requested object doesn't exist.
    pub fn is_absent(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether the account or the token lacks something: a permission, an
    /// endpoint, or an event of the reports.
    pub fn is_lack(&self) -> bool {
        let refusal = self.refusal();
        matches!(self, Error::UnknownEvent(_))
            || refusal.is_some_and(|answer| matches!(answer.status, 403 | 404))
    }

    /// Whether the request failed even after all retries that the settings
    /// allow.
    pub fn took_all_retries(&self) -> bool {
        match self {
            Error::Transport { .. } | Error::NotJson { .. } => true,
            error => matches!(error.status(), Some(408 | 429 | 500..=599)),
        }
    }

    /// Whether the error concerns a single request, and says nothing about
    /// others.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Error::Api(_)
                | Error::NotJson { .. }
                | Error::Unexpected { .. }
                | Error::Transport { .. }
                | Error::Redirected { .. }
        )
    }
}

impl From<io::Error> for Error {
    /// Plain I/O errors come only from stdout.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Error::StdoutClosed,
            _ => Error::Output(Arc::new(error)),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(problem) => f.write_str(problem),
            Error::File { what, path, source } => {
                write!(f, "{what} {}: {source}", path.display())
            }
            Error::Shape {
                what,
                path,
                field,
                problem,
            } => {
                write!(f, "{what} {}: ", path.display())?;
                match field.as_str() {
                    "" | "." => f.write_str(problem),
                    field => write!(f, "`{field}`: {problem}"),
                }
            }
            Error::Setting {
                origin,
                setting,
                problem,
            } => write!(f, "config {origin}: `{setting}` {problem}"),
            Error::UnknownStream { path, stream } => write!(
                f,
                "catalog {}: `{stream}` is not a stream of this tap; --discover lists them",
                path.display()
            ),
            Error::Api(error) | Error::UnknownEvent(error) => error.fmt(f),
            Error::Unauthorized { host, trace } => {
                write!(
                    f,
                    "{host} refused the token (401): `api_token` is wrong or expired; \
                     make a new one in Freshchat under Admin > CONFIGURE > API Tokens"
                )?;
                write_trace(f, trace.as_deref())
            }
            Error::Clocks(differ) => write!(
                f,
                "{differ}; with a wrong clock, bookmarks skip records. Set the clocks right and \
                 run again"
            ),
            Error::Redirected { request, to } => write!(
                f,
                "{request}: the host redirects to {to}, where the token is not sent; \
                 set `domain` to the account's own host"
            ),
            Error::NotJson {
                request,
                host,
                problem,
            } => write!(
                f,
                "{request}: {host} answered without JSON ({problem}); is this the account's \
                 host? Check `domain`"
            ),
            Error::Unexpected { request, problem } | Error::Transport { request, problem } => {
                write!(f, "{request}: {problem}")
            }
            Error::EndpointBroken {
                unreadable,
                asked,
                first,
            } => write!(
                f,
                "{unreadable} of {asked} requests answered 403, 404 or 410, so the endpoint \
                 itself seems to be broken; the first answer: {first}"
            ),
            Error::ChildrenMissed { children, last } => write!(
                f,
                "{children} could not be read; the next run tries again, and everything else is \
                 complete; the last answer: {last}"
            ),
            Error::TooManyMissed { children, last } => write!(
                f,
                "{children} could not be read, which is more than the state can hold; the \
                 bookmark doesn't move; the last answer: {last}"
            ),
            Error::BadBookmark { stream, problem } => {
                write!(f, "state: stream `{stream}`: {problem}")
            }
            Error::Report { event, problem } => write!(f, "report {event}: {problem}"),
            Error::Discovery(error) => write!(
                f,
                "the reports that name the conversations can't all be read: {error}; set \
                 `conversation_discovery` to `users` to run without them"
            ),
            Error::TemporaryFile(source) => write!(
                f,
                "temporary file: {source}; is there space in the folder for temporary files \
                 (TMPDIR)?"
            ),
            Error::Ahead {
                stream,
                bookmark,
                started_at,
            } => write!(
                f,
                "its bookmark, {}, is ahead of this run's start, {}, by more than \
                 `lookback_seconds`: a clock is or was wrong. Set \
                 `bookmarks.{stream}.replication_key_value` in the state to a time before that, \
                 or remove `bookmarks.{stream}` to begin at `start_date`",
                timestamp::format(*bookmark),
                timestamp::format(*started_at)
            ),
            Error::Output(source) => write!(f, "stdout: {source}"),
            Error::StdoutClosed => f.write_str("stdout was closed"),
            Error::Stopped => f.write_str("stopped"),
            Error::StreamsFailed { failed, selected } if failed.len() == *selected => {
                write!(
                    f,
                    "all of the selected streams failed: {}",
                    failed.join(", ")
                )
            }
            Error::StreamsFailed { failed, selected } => write!(
                f,
                "{} of {selected} streams failed: {}; the others are complete and the state is valid",
                failed.len(),
                failed.join(", ")
            ),
            Error::NothingReadable { selected } => write!(
                f,
                "none of the {selected} selected streams can be read with this token"
            ),
            Error::TestFailed { failed } => {
                write!(
                    f,
                    "{failed} of the tested endpoints did not answer as they should"
                )
            }
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.request, self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write_trace(f, self.trace.as_deref())
    }
}

fn write_trace(f: &mut fmt::Formatter<'_>, trace: Option<&str>) -> fmt::Result {
    match trace {
        Some(trace) => write!(f, " (X-Trace-ID {trace})"),
        None => Ok(()),
    }
}
