//! What became of each stream, and of the run.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::freshchat::reports::is_unknown_event;
use crate::progress;
use crate::singer::metrics;
use crate::streams::{Source, Stream};

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Complete,
    /// The token may not read it, or the account doesn't have it.
    Unavailable,
    Failed,
}

/// A row of the closing table.
pub struct Row {
    pub stream: &'static Stream,
    records: u64,
    requests: u64,
    took: Duration,
    status: Status,
}

impl Row {
    /// Says what became of a stream.
    pub fn new(
        stream: &'static Stream,
        records: u64,
        requests: u64,
        took: Duration,
        error: Option<&Error>,
    ) -> Self {
        progress::end(stream.name);
        let status = error.map_or(Status::Complete, |error| judge(stream, error));
        metrics::record_count(stream.name, records);
        log::info!("stream `{}`: {}", stream.name, status.name());
        Self {
            stream,
            records,
            requests,
            took,
            status,
        }
    }
}

/// The status that a stream's error means.
fn judge(stream: &Stream, error: &Error) -> Status {
    let optional = matches!(&stream.source, Source::List(source) if source.optional);
    let name = stream.name;
    match error.status() {
        Some(403) => log::warn!("stream `{name}`: this token may not read it: {error}"),
        Some(404) if optional => {
            log::warn!("stream `{name}`: this account doesn't have it: {error}");
        }
        _ if matches!(error, Error::Stopped) => {
            log::warn!("stream `{name}`: the run ends before it is complete");
            return Status::Failed;
        }
        _ if is_unknown_event(error) => {
            log::warn!("stream `{name}`: this account doesn't have it: {error}");
        }
        _ => {
            log::error!("stream `{name}`: {error}");
            return Status::Failed;
        }
    }
    Status::Unavailable
}

/// The run's result.
pub fn conclude(rows: &[Row]) -> Result<()> {
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

pub fn print_table(rows: &[Row]) {
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
