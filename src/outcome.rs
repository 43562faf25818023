//! The outcome of each stream and of the run.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::progress;
use crate::singer::metrics;
use crate::streams::Stream;
use crate::timestamp;

/// The outcome of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Complete,
    /// The token may not read the stream, or the account doesn't have it.
    Unavailable,
    Failed,
}

/// A row of the summary table.
pub struct Outcome {
    pub stream: &'static Stream,
    records: u64,
    requests: u64,
    took: Duration,
    status: Status,
}

impl Outcome {
    /// Logs and records the outcome of a stream. `completed_at` is the last
    /// time that an earlier run completed it.
    pub fn new(
        stream: &'static Stream,
        records: u64,
        requests: u64,
        took: Duration,
        error: Option<&Error>,
        completed_at: Option<DateTime<Utc>>,
    ) -> Self {
        progress::end(stream.name);
        let status = match error {
            None => Status::Complete,
            Some(error) => judge(stream, error, records, completed_at),
        };
        metrics::record_count(stream.name, records);
        log::info!(stream = stream.name; "{}", status.name());
        Self {
            stream,
            records,
            requests,
            took,
            status,
        }
    }
}

/// The status that follows from a stream's error. A stream is unavailable only
/// if it never worked: being refused now after it worked before is a failure.
fn judge(
    stream: &Stream,
    error: &Error,
    records: u64,
    completed_at: Option<DateTime<Utc>>,
) -> Status {
    let name = stream.name;
    let lacks = match error {
        Error::UnknownEvent(_) => true,
        error => error
            .refusal()
            .is_some_and(|answer| stream.may_lack(answer)),
    };
    match completed_at {
        _ if matches!(error, Error::Stopped) => {
            log::warn!(stream = name; "the run ended before it was complete");
            Status::Failed
        }
        None if lacks && records == 0 => {
            let why = match error.status() {
                Some(401 | 403) => "this token may not read it",
                _ => "this account doesn't have it",
            };
            log::warn!(stream = name; "{why}: {error}");
            Status::Unavailable
        }
        Some(completed_at) if lacks => {
            log::error!(
                stream = name;
                "it was complete at {}, but is refused now: {error}",
                timestamp::format(completed_at)
            );
            Status::Failed
        }
        _ => {
            log::error!(stream = name; "{error}");
            Status::Failed
        }
    }
}

/// The run's result.
pub fn conclude(rows: &[Outcome]) -> Result<()> {
    let with = |status: Status| rows.iter().filter(move |row| row.status == status);
    let failed: Vec<String> = with(Status::Failed)
        .map(|row| row.stream.name.to_owned())
        .collect();
    let selected = rows.len();
    if !failed.is_empty() {
        return Err(Error::StreamsFailed { failed, selected });
    }
    if selected > 0 && with(Status::Unavailable).count() == selected {
        return Err(Error::NothingReadable { selected });
    }
    Ok(())
}

pub fn print_table(rows: &[Outcome]) {
    let width = rows.iter().map(|row| row.stream.name.len()).max();
    let width = width.unwrap_or_default().max("stream".len());
    log::info!(
        "{:width$}  {:>10}  {:>8}  {:>8}  status",
        "stream",
        "records",
        "requests",
        "seconds"
    );
    for row in rows {
        log::info!(
            "{:width$}  {:>10}  {:>8}  {:>8.1}  {}",
            row.stream.name,
            row.records,
            row.requests,
            row.took.as_secs_f64(),
            row.status.name()
        );
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Complete => "complete",
            Status::Unavailable => "unavailable",
            Status::Failed => "failed",
        }
    }
}
