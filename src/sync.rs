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
    /// Why nothing can be read any more, if so.
    ended: Option<Error>,
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
    let mut rows = thread::scope(|scope| {
        let extracting = scope.spawn(|| engine.run());
        let rows = run_others(&run, &client, others);
        if !matches!(&rows, Ok(rows) if rows.iter().all(|row| row.ended.is_none())) {
            engine.stop();
        }
        let finished = extracting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        let mut rows = rows?;
        for finished in finished {
            rows.push(report_row(finished)?);
        }
        Ok::<_, Error>(rows)
    })?;
    output.state()?;
    rows.sort_by_key(|row| {
        STREAMS
            .iter()
            .position(|stream| stream.name == row.stream.name)
    });
    print_table(&rows);
    conclude(rows)
}

/// Syncs the streams that aren't reports, one after the other, until one ends
/// the run.
fn run_others(run: &Run, client: &Client, others: Vec<Selected>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for selected in others {
        rows.push(run_stream(run, client, selected)?);
        if rows.iter().any(|row| row.ended.is_some()) {
            break;
        }
    }
    Ok(rows)
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

/// Syncs one stream.
fn run_stream(run: &Run, client: &Client, selected: Selected) -> Result<Row> {
    let started = Instant::now();
    let stream = selected.stream;
    let full_table = selected.full_table || stream.replication_key.is_none();
    let version = (full_table && run.settings.emit_activate_version_messages)
        .then(|| run.started_at.timestamp_millis());
    let mut stream_run = StreamRun {
        run,
        stream,
        api: client.api(),
        writer: begin(run, selected, version)?,
        full_table,
    };
    let result = extract::extract(&mut stream_run);
    if let (Ok(()), Some(version)) = (&result, version) {
        run.output.activate_version(stream.name, version)?;
    }
    let (records, requests) = (stream_run.writer.written(), stream_run.api.requests());
    row(stream, records, requests, started.elapsed(), result)
}

/// Writes a stream's schema, and makes the writer of its records.
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

fn begin_report<'a>(
    run: &Run,
    client: &'a Client,
    selected: Selected,
    source: &'static ReportSource,
) -> Result<ReportRun<'a>> {
    Ok(ReportRun {
        stream: selected.stream,
        source,
        api: client.api(),
        full_table: selected.full_table,
        writer: begin(run, selected, None)?,
    })
}

fn report_row(finished: Finished) -> Result<Row> {
    let Finished {
        stream,
        records,
        requests,
        took,
        result,
    } = finished;
    row(stream, records, requests, took, result)
}

/// Says what became of a stream; errors of stdout go through.
fn row(
    stream: &'static Stream,
    records: u64,
    requests: u64,
    took: Duration,
    result: Result<()>,
) -> Result<Row> {
    let (status, ended) = judge(stream, result)?;
    metrics::record_count(stream.name, records);
    log::info!("stream `{}`: {}", stream.name, status.name());
    Ok(Row {
        stream,
        records,
        requests,
        took,
        status,
        ended,
    })
}

/// The status that a stream's result means; errors of stdout go through.
fn judge(stream: &Stream, result: Result<()>) -> Result<(Status, Option<Error>)> {
    let error = match result {
        Ok(()) => return Ok((Status::Complete, None)),
        Err(error @ (Error::Output(_) | Error::StdoutClosed)) => return Err(error),
        Err(error) => error,
    };
    let optional = matches!(&stream.source, Source::List(source) if source.optional);
    let name = stream.name;
    match error.status() {
        Some(403) => log::warn!("stream `{name}`: this token may not read it: {error}"),
        Some(404) if optional => {
            log::warn!("stream `{name}`: this account doesn't have it: {error}")
        }
        _ if is_unknown_event(&error) => {
            log::warn!("stream `{name}`: this account doesn't have it: {error}");
        }
        _ => {
            log::error!("stream `{name}`: {error}");
            let ended = error.ends_run().then_some(error);
            return Ok((Status::Failed, ended));
        }
    }
    Ok((Status::Unavailable, None))
}

/// The run's result.
fn conclude(mut rows: Vec<Row>) -> Result<()> {
    if let Some(error) = rows.iter_mut().find_map(|row| row.ended.take()) {
        return Err(error);
    }
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
