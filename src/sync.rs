//! Runs the selected streams, one after the other, and says what became of
//! each.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};

use crate::config::{Config, Settings};
use crate::error::{Error, Result};
use crate::extract::reports::{Engine, Finished, ReportRun};
use crate::extract::{self, Run, StreamRun};
use crate::freshchat::reports::is_unknown_event;
use crate::freshchat::{Client, Exchange, Limits, Options, RetryPolicy, Storage};
use crate::progress;
use crate::select::Selected;
use crate::singer::{Output, RecordWriter, State, metrics};
use crate::streams::{ReportSource, STREAMS, Source, Stream};
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
struct Row {
    stream: &'static Stream,
    records: u64,
    requests: u64,
    took: Duration,
    status: Status,
}

/// Syncs the streams: the raw reports, which are waiting most of the time,
/// beside all others.
///
/// # Errors
/// [`Error::StreamsFailed`] and [`Error::NothingReadable`] at the end; earlier
/// only what leaves nothing to go on with, such as a refused token.
pub fn run(config: &Config, selected: Vec<Selected>, state: State) -> Result<()> {
    let output = Arc::new(Output::new(state));
    watch::start(&output);
    let client = client(config);
    let storage = storage(config);
    let run = Run {
        settings: &config.settings,
        output: &output,
        started_at: Utc::now().trunc_subsecs(3),
        parents: Mutex::new(HashMap::new()),
    };
    if selected.is_empty() {
        log::warn!("no stream is selected");
    }
    let mut reports = Vec::new();
    let mut others = Vec::new();
    for selected in selected {
        match &selected.stream.source {
            Source::Report(source) => reports.push(begin_report(&run, &client, selected, source)?),
            _ => others.push(selected),
        }
    }
    let engine = Engine::new(&run, &storage, reports);
    let mut rows = Vec::new();
    let ended = thread::scope(|scope| {
        let extracting = scope.spawn(|| engine.run());
        let ended = run_others(&run, &client, others, &mut rows);
        if !matches!(ended, Ok(None)) {
            engine.stop();
        }
        let finished = extracting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        let reports_ended = add_reports(finished, &mut rows)?;
        Ok::<_, Error>(ended?.or(reports_ended))
    })?;
    output.state()?;
    rows.sort_by_key(|row| {
        STREAMS
            .iter()
            .position(|stream| stream.name == row.stream.name)
    });
    print_table(&rows);
    match ended {
        Some(error) => Err(error),
        None => conclude(&rows),
    }
}

/// Syncs the streams that aren't reports, one group after the other. The
/// result is what ended the run early, if anything did.
fn run_others(
    run: &Run,
    client: &Client,
    others: Vec<Selected>,
    rows: &mut Vec<Row>,
) -> Result<Option<Error>> {
    for group in groups(others) {
        let ended = run_group(run, client, group, rows)?;
        if ended.is_some() {
            return Ok(ended);
        }
    }
    Ok(None)
}

/// Adds a row for each report. The result is what ended the run, if anything
/// did.
fn add_reports(finished: Vec<Finished>, rows: &mut Vec<Row>) -> Result<Option<Error>> {
    let mut ended = None;
    for report in finished {
        let error = report.result.err();
        if let Some(error @ (Error::Output(_) | Error::StdoutClosed)) = error {
            return Err(error);
        }
        rows.push(Row::new(
            report.stream,
            report.records,
            report.requests,
            report.took,
            error.as_ref(),
        ));
        ended = ended.or(error.filter(Error::ends_run));
    }
    Ok(ended)
}

/// Where the files of the reports are.
fn storage(config: &Config) -> Storage {
    let settings = &config.settings;
    let loopback = config.address.is_loopback();
    Storage::new(&settings.user_agent, settings.request_timeout, loopback)
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

/// Syncs the streams of a group, and adds a row for each. An error is in the
/// result where the run can't go on: within it where the closing table can
/// still be shown.
fn run_group(
    run: &Run,
    client: &Client,
    group: Vec<Selected>,
    rows: &mut Vec<Row>,
) -> Result<Option<Error>> {
    let started = Instant::now();
    let begin = |selected| begin_stream(run, client, selected);
    let mut group = group.into_iter().map(begin).collect::<Result<Vec<_>>>()?;
    let result = extract::extract(&mut group);
    if matches!(result, Err(Error::Output(_) | Error::StdoutClosed)) {
        return result.map(|()| None);
    }
    for stream_run in &group {
        let error = stream_run.error.as_ref().or(result.as_ref().err());
        let (writer, stream) = (&stream_run.writer, stream_run.stream);
        let complete = error.is_none() && !stream_run.partial;
        if let (true, Some(version)) = (complete, writer.version()) {
            run.output.activate_version(stream.name, version)?;
        }
        let requests = stream_run.api.requests();
        rows.push(Row::new(
            stream,
            writer.written(),
            requests,
            started.elapsed(),
            error,
        ));
    }
    Ok(result.err().filter(Error::ends_run))
}

fn begin_stream<'a>(run: &'a Run, client: &'a Client, selected: Selected) -> Result<StreamRun<'a>> {
    let stream = selected.stream;
    let full_table = selected.full_table || stream.replication_key.is_none();
    // Of a stream with a replication key only a span of time is read, so that
    // rows which didn't come are not gone.
    let whole = stream.replication_key.is_none();
    let version = (whole && run.settings.emit_activate_version_messages)
        .then(|| run.started_at.timestamp_millis());
    let stream_run = StreamRun {
        run,
        stream,
        api: client.api(),
        writer: begin(run, selected, version)?,
        full_table,
        partial: false,
        error: None,
    };
    let requests = stream_run.api.counter();
    progress::follow(stream.name, stream_run.writer.counter(), requests);
    Ok(stream_run)
}

fn begin_report<'a>(
    run: &Run,
    client: &'a Client,
    selected: Selected,
    source: &'static ReportSource,
) -> Result<ReportRun<'a>> {
    let report = ReportRun {
        stream: selected.stream,
        source,
        api: client.api(),
        full_table: selected.full_table,
        writer: begin(run, selected, None)?,
    };
    let requests = report.api.counter();
    progress::follow(report.stream.name, report.writer.counter(), requests);
    Ok(report)
}

/// Writes a stream's SCHEMA message, and makes the writer of its records.
fn begin(run: &Run, selected: Selected, version: Option<i64>) -> Result<RecordWriter> {
    let stream = selected.stream;
    log::info!("stream `{}`: started", stream.name);
    let key = stream.replication_key;
    run.output
        .schema(stream.name, &selected.schema, &selected.keys, key)?;
    Ok(RecordWriter::new(
        stream.name,
        selected.fields,
        &selected.keys,
        version,
    ))
}

impl Row {
    /// Says what became of a stream.
    fn new(
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
fn conclude(rows: &[Row]) -> Result<()> {
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

fn print_table(rows: &[Row]) {
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
