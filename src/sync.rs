//! Runs the selected streams, one after the other or together where they come
//! from one walk, and says what became of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::config::{Config, Settings};
use crate::error::{Error, Result};
use crate::extract::{self, Run, StreamRun};
use crate::freshchat::{Client, Exchange, Limits, Options, RetryPolicy};
use crate::select::Selected;
use crate::singer::{Output, RecordWriter, State, metrics};
use crate::streams::{Source, Stream};
use crate::watch;

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Complete,
    /// The token may not read it, or the account doesn't have it.
    Unavailable,
    Failed,
}

/// A row of the closing table.
struct Report {
    stream: &'static str,
    records: u64,
    requests: u64,
    took: Duration,
    status: Status,
}

/// Syncs the streams.
///
/// # Errors
/// [`Error::StreamsFailed`] and [`Error::NothingReadable`] at the end; earlier
/// only what leaves nothing to go on with, such as a refused token.
pub fn run(config: &Config, selected: Vec<Selected>, state: State) -> Result<()> {
    let output = Arc::new(Output::new(state));
    watch::start(&output);
    let client = client(config);
    let run = Run {
        settings: &config.settings,
        output: &output,
        started_at: Utc::now(),
        parents: Mutex::new(HashMap::new()),
    };
    if selected.is_empty() {
        log::warn!("no stream is selected");
    }
    let mut reports = Vec::new();
    for group in groups(selected) {
        let ended = run_group(&run, &client, group, &mut reports)?;
        if let Some(error) = ended {
            output.state()?;
            print_table(&reports);
            return Err(error);
        }
    }
    output.state()?;
    print_table(&reports);
    conclude(&reports)
}

/// The client of a run, which logs a Singer metric for each exchange.
pub fn client(config: &Config) -> Client {
    let Settings {
        retry_base,
        retry_max,
        max_retries,
        ..
    } = config.settings;
    let options = Options {
        address: config.address.clone(),
        token: config.settings.api_token.clone(),
        user_agent: config.settings.user_agent.clone(),
        timeout: config.settings.request_timeout,
        retry: RetryPolicy {
            max_retries,
            base: retry_base,
            max: retry_max,
        },
        limits: Limits::new(
            config.settings.concurrency,
            config.settings.rate_limit_reserve_percent,
            retry_max,
        ),
    };
    let observe = |exchange: &Exchange| {
        metrics::http_request(exchange.endpoint, exchange.status, exchange.took);
    };
    Client::new(options, observe)
}

/// The streams, those that are read together in one group.
fn groups(selected: Vec<Selected>) -> Vec<Vec<Selected>> {
    let is_walked = |selected: &Selected| matches!(selected.stream.source, Source::Walk(_));
    let mut groups: Vec<Vec<Selected>> = Vec::new();
    for stream in selected {
        match groups.last_mut() {
            Some(group) if is_walked(&stream) && group.iter().all(is_walked) => group.push(stream),
            _ => groups.push(vec![stream]),
        }
    }
    groups
}

/// Syncs the streams of a group, and adds a report for each. An error is in
/// the result where the run can't go on: within it where the closing table can
/// still be shown.
fn run_group(
    run: &Run,
    client: &Client,
    group: Vec<Selected>,
    reports: &mut Vec<Report>,
) -> Result<Option<Error>> {
    let started = Instant::now();
    let begin = |selected| begin(run, client, selected);
    let mut group = group.into_iter().map(begin).collect::<Result<Vec<_>>>()?;
    let result = extract::extract(&mut group);
    if matches!(result, Err(Error::Output(_) | Error::StdoutClosed)) {
        return result.map(|()| None);
    }
    for stream_run in &group {
        let stream = stream_run.stream;
        let error = stream_run.error.as_ref().or(result.as_ref().err());
        let status = error.map_or(Status::Complete, |error| judge(stream, error));
        if let (Status::Complete, Some(version)) = (status, stream_run.writer.version()) {
            run.output.activate_version(stream.name, version)?;
        }
        let report = Report {
            stream: stream.name,
            records: stream_run.writer.written(),
            requests: stream_run.api.requests(),
            took: started.elapsed(),
            status,
        };
        metrics::record_count(report.stream, report.records);
        log::info!("stream `{}`: {}", report.stream, status.name());
        reports.push(report);
    }
    Ok(result.err().filter(Error::ends_run))
}

/// Makes a stream ready, and writes its SCHEMA message.
fn begin<'a>(run: &'a Run, client: &'a Client, selected: Selected) -> Result<StreamRun<'a>> {
    let stream = selected.stream;
    let full_table = selected.full_table || stream.replication_key.is_none();
    let version = (full_table && run.settings.emit_activate_version_messages)
        .then(|| run.started_at.timestamp_millis());
    log::info!("stream `{}`: started", stream.name);
    let key = stream.replication_key;
    run.output
        .schema(stream.name, &selected.schema, &selected.keys, key)?;
    Ok(StreamRun {
        run,
        stream,
        api: client.api(),
        writer: RecordWriter::new(stream.name, selected.fields, &selected.keys, version),
        full_table,
        error: None,
    })
}

/// The status that a stream's error means.
fn judge(stream: &Stream, error: &Error) -> Status {
    let optional = matches!(&stream.source, Source::List(source) if source.optional);
    match error.status() {
        Some(403) => log::warn!(
            "stream `{}`: this token may not read it: {error}",
            stream.name
        ),
        Some(404) if optional => {
            log::warn!(
                "stream `{}`: this account doesn't have it: {error}",
                stream.name
            );
        }
        _ => {
            log::error!("stream `{}`: {error}", stream.name);
            return Status::Failed;
        }
    }
    Status::Unavailable
}

fn conclude(reports: &[Report]) -> Result<()> {
    let with = |status: Status| reports.iter().filter(move |report| report.status == status);
    let failed: Vec<String> = with(Status::Failed)
        .map(|report| report.stream.to_owned())
        .collect();
    let selected = reports.len();
    if !failed.is_empty() {
        return Err(Error::StreamsFailed { failed, selected });
    }
    if selected > 0 && with(Status::Unavailable).count() == selected {
        return Err(Error::NothingReadable { selected });
    }
    Ok(())
}

fn print_table(reports: &[Report]) {
    let width = reports.iter().map(|report| report.stream.len()).max();
    let width = width.unwrap_or_default().max("stream".len());
    log::info!(
        "{:width$}  {:>10}  {:>8}  {:>8}  status",
        "stream",
        "records",
        "requests",
        "seconds"
    );
    for report in reports {
        log::info!(
            "{:width$}  {:>10}  {:>8}  {:>8.1}  {}",
            report.stream,
            report.records,
            report.requests,
            report.took.as_secs_f64(),
            report.status.name()
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
