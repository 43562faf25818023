//! Runs the selected streams, and records the outcome of each.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::{Config, Settings};
use crate::error::{Error, Result};
use crate::extract::conversations::{self, Plan};
use crate::extract::reports::{Engine, Finished, ReportRun};
use crate::extract::{self, Deletions, Run, StreamRun};
use crate::freshchat::{Client, Exchange, Limits, Options, RetryPolicy, Storage, clock};
use crate::outcome::{Outcome, conclude, print_table};
use crate::progress;
use crate::select::Selected;
use crate::singer::{Output, RecordWriter, State, metrics};
use crate::streams::{STREAMS, Source, Stream};
use crate::watch;

/// Syncs the streams. Raw reports run alongside all others, because they mostly
/// wait.
///
/// # Errors
/// [`Error::StreamsFailed`] and [`Error::NothingReadable`] at the end; earlier
/// only errors that end the run, such as a refused token.
pub fn run(config: &Config, selected: Vec<Selected>, state: State) -> Result<()> {
    let output = Arc::new(Output::new(state));
    let client = client(config, |exchange| {
        metrics::http_request(exchange.endpoint, exchange.status, exchange.took);
    });
    watch::start(&output, client.stop());
    let storage = storage(config);
    let run = Run {
        settings: &config.settings,
        output: &output,
        client: &client,
        parents: Mutex::new(HashMap::new()),
        deletions: Deletions::default(),
    };
    if selected.is_empty() {
        log::warn!("no stream is selected");
    }
    let (deletions, selected): (Vec<_>, Vec<_>) = selected
        .into_iter()
        .partition(|it| matches!(it.stream.source, Source::Deletions));
    let deletions = begin_deletions(&run, deletions)?;
    let mut rows = Vec::new();
    let ended = sync_all(&run, &storage, selected, &mut rows);
    watch::claim_end();
    // Report what stopped all threads, whichever of them saw it first.
    let ended = client.stop().reason().or(ended?);
    for told in deletions {
        rows.push(told.end(&run, ended.is_some())?);
    }
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

/// Syncs the streams, and adds a row for each. Returns the error that ended the
/// run early, if any.
fn sync_all(
    run: &Run,
    storage: &Storage,
    selected: Vec<Selected>,
    rows: &mut Vec<Outcome>,
) -> Result<Option<Error>> {
    let (reports, mut others): (Vec<_>, Vec<_>) = selected
        .into_iter()
        .partition(|it| matches!(it.stream.source, Source::Report(_)));
    // Plans need the server's time. The first plain stream's answer provides
    // it, which saves a request.
    if others.first().is_some_and(is_plain) {
        let first = vec![others.remove(0)];
        let ended = sync_group(run, first, rows, extract_each)?;
        if ended.is_some() {
            return Ok(ended);
        }
    }
    let mut others = with_sound_bookmarks(run, others, rows)?;
    let reports = with_sound_bookmarks(run, reports, rows)?;
    let plan = plan(run, &others)?;
    let conversations = match &plan {
        Some(plan) => plan.search(run)?,
        None => None,
    };
    let reports = begin_reports(run, reports, conversations.is_some())?;
    let engine = Engine::new(run, storage, reports, conversations)?;
    if conversations.is_some() {
        // Streams that don't wait for reports go first.
        others.sort_by_key(is_walked);
    }
    let entities = Entities {
        run,
        plan,
        engine: &engine,
    };
    thread::scope(|scope| {
        let extracting = scope.spawn(|| engine.run());
        let _guard = engine.stop_on_panic();
        let ended = entities.sync(others, rows);
        if !matches!(ended, Ok(None)) {
            engine.stop();
        }
        let finished = extracting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        let reports_ended = add_reports(run, finished, rows)?;
        Ok(reports_ended.or(ended?))
    })
}

/// Returns the streams whose bookmark is not later than the start of the run.
/// The others fail, and get a row.
fn with_sound_bookmarks(
    run: &Run,
    selected: Vec<Selected>,
    rows: &mut Vec<Outcome>,
) -> Result<Vec<Selected>> {
    let mut sound = Vec::new();
    for selected in selected {
        let stream = selected.stream;
        // `users` checks its bookmark after the first page, which provides the
        // server's time.
        let is_unchecked = selected.full_table || matches!(stream.source, Source::Users);
        let checked = match is_unchecked {
            true => Ok(()),
            false => run.check_bookmark(stream.name),
        };
        match checked {
            Ok(()) => sound.push(selected),
            Err(error @ Error::Ahead { .. }) => {
                let completed_at = run.output.bookmark(stream.name).completed_at();
                rows.push(Outcome::new(
                    stream,
                    0,
                    0,
                    Duration::ZERO,
                    Some(&error),
                    completed_at,
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sound)
}

/// The streams that aren't reports.
struct Entities<'a> {
    run: &'a Run<'a>,
    plan: Option<Plan>,
    engine: &'a Engine<'a>,
}

impl Entities<'_> {
    /// Syncs the streams, one group after another. Returns the error that ended
    /// the run early, if any.
    fn sync(&self, selected: Vec<Selected>, rows: &mut Vec<Outcome>) -> Result<Option<Error>> {
        for group in groups(selected) {
            let ended = match &self.plan {
                Some(plan) if group.iter().all(is_walked) => {
                    sync_group(self.run, group, rows, |group| {
                        conversations::extract(group, plan, self.engine)
                    })?
                }
                _ => sync_group(self.run, group, rows, extract_each)?,
            };
            if ended.is_some() {
                return Ok(ended);
            }
        }
        Ok(None)
    }
}

/// Syncs the streams of a group, and adds a row for each. If the run can't
/// continue, returns the error: as `Ok` if the summary table can still be
/// shown, and as `Err` if not.
fn sync_group<'a>(
    run: &'a Run<'a>,
    group: Vec<Selected>,
    rows: &mut Vec<Outcome>,
    extract: impl FnOnce(&mut [StreamRun<'a>]) -> Result<()>,
) -> Result<Option<Error>> {
    let started = Instant::now();
    let begin = |selected| begin_stream(run, selected);
    let mut group = group.into_iter().map(begin).collect::<Result<Vec<_>>>()?;
    let result = extract(&mut group);
    if matches!(result, Err(Error::Output(_) | Error::StdoutClosed)) {
        return result.map(|()| None);
    }
    let mut completed = Vec::new();
    for stream_run in &group {
        let error = stream_run.error.as_ref().or(result.as_ref().err());
        let (writer, stream) = (&stream_run.writer, stream_run.stream);
        let complete = error.is_none() && !stream_run.partial;
        if let (true, Some(version)) = (complete, writer.version()) {
            run.output.activate_version(stream.name, version)?;
        }
        rows.push(Outcome::new(
            stream,
            writer.written(),
            stream_run.api.requests(),
            started.elapsed(),
            error,
            run.output.bookmark(stream.name).completed_at(),
        ));
        completed.extend(error.is_none().then_some(stream.name));
    }
    if !completed.is_empty() {
        run.output.complete(completed, clock::now())?;
    }
    Ok(result.err().filter(Error::ends_run))
}

fn extract_each(group: &mut [StreamRun]) -> Result<()> {
    group.iter_mut().try_for_each(extract::extract)
}

/// The stream `deletions`, whose records are written by other streams.
struct Told {
    stream: &'static Stream,
    records: progress::Counter,
    started: Instant,
}

impl Told {
    /// Ends the stream at the end of the run, when all others have reported
    /// their deletions.
    fn end(self, run: &Run, is_cut_short: bool) -> Result<Outcome> {
        let stream = self.stream;
        if !is_cut_short {
            let mut bookmark = run.output.bookmark(stream.name);
            bookmark.advance(
                stream.replication_key.unwrap_or_default(),
                run.started_at()?,
            );
            run.output.checkpoint(stream.name, bookmark)?;
            run.output.complete([stream.name], clock::now())?;
        }
        let error = is_cut_short.then_some(&Error::Stopped);
        let (records, took) = (self.records.load(Ordering::Relaxed), self.started.elapsed());
        let completed_at = run.output.bookmark(stream.name).completed_at();
        Ok(Outcome::new(stream, records, 0, took, error, completed_at))
    }
}

/// Begins the stream `deletions`, if it is selected, before the streams that
/// write to it.
fn begin_deletions(run: &Run, selected: Vec<Selected>) -> Result<Vec<Told>> {
    let begin = |selected: Selected| {
        let stream = selected.stream;
        let writer = begin(run, selected, None)?;
        let records = writer.counter();
        run.deletions.begin(writer);
        Ok(Told {
            stream,
            records,
            started: Instant::now(),
        })
    };
    selected.into_iter().map(begin).collect()
}

/// Adds a row for each report. Returns the error that ended the run, if any.
fn add_reports(
    run: &Run,
    finished: Vec<Finished>,
    rows: &mut Vec<Outcome>,
) -> Result<Option<Error>> {
    let mut ended = None;
    let mut completed = Vec::new();
    for report in finished {
        let error = report.result.err();
        if let Some(error @ (Error::Output(_) | Error::StdoutClosed)) = error {
            return Err(error);
        }
        if !report.selected {
            let (name, requests) = (report.stream.name, report.requests);
            progress::end(name);
            log::info!(stream = name; "read only to find conversations, {requests} requests");
            ended = ended.or(error.filter(Error::ends_run));
            continue;
        }
        rows.push(Outcome::new(
            report.stream,
            report.records,
            report.requests,
            report.took,
            error.as_ref(),
            run.output.bookmark(report.stream.name).completed_at(),
        ));
        completed.extend(error.is_none().then_some(report.stream.name));
        ended = ended.or(error.filter(Error::ends_run));
    }
    if !completed.is_empty() {
        run.output.complete(completed, clock::now())?;
    }
    Ok(ended)
}

/// The storage that serves the report files.
fn storage(config: &Config) -> Storage {
    let settings = &config.settings;
    let loopback = config.address.is_loopback();
    Storage::new(&settings.user_agent, settings.request_timeout, loopback)
}

/// A client with these settings, which reports each exchange to `observe`.
pub fn client(config: &Config, observe: fn(&Exchange)) -> Client {
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
            retry_base,
            progress::waiting,
        ),
    };
    Client::new(options, observe)
}

/// The plan of the walk, if any selected stream is part of it.
fn plan(run: &Run, selected: &[Selected]) -> Result<Option<Plan>> {
    let walked = selected.iter().filter(|selected| is_walked(selected));
    let streams: Vec<_> = walked.map(|it| (it.stream, it.full_table)).collect();
    match streams.is_empty() {
        true => Ok(None),
        false => Plan::new(run, &streams).map(Some),
    }
}

/// Whether the stream is read from a list or a single object, without a time
/// range.
fn is_plain(selected: &Selected) -> bool {
    matches!(selected.stream.source, Source::List(_))
}

/// Whether the stream is read in the walk over all conversations.
fn is_walked(selected: &Selected) -> bool {
    matches!(selected.stream.source, Source::Walk(_))
}

/// The streams in groups. Those of the walk form one group.
fn groups(selected: Vec<Selected>) -> Vec<Vec<Selected>> {
    let mut groups: Vec<Vec<Selected>> = Vec::new();
    for stream in selected {
        match groups.last_mut() {
            Some(group) if is_walked(&stream) && group.iter().all(is_walked) => group.push(stream),
            _ => groups.push(vec![stream]),
        }
    }
    groups
}

fn begin_stream<'a>(run: &'a Run<'a>, selected: Selected) -> Result<StreamRun<'a>> {
    let stream = selected.stream;
    let full_table = selected.full_table || stream.replication_key.is_none();
    // For a stream with a replication key, only a time range is read, so
    // missing rows are not deleted ones.
    let whole = stream.replication_key.is_none();
    let version = match whole && run.settings.emit_activate_version_messages {
        true => Some(run.started_at()?.timestamp_millis()),
        false => None,
    };
    let stream_run = StreamRun {
        run,
        stream,
        api: run.client.api(),
        writer: begin(run, selected, version)?,
        full_table,
        partial: false,
        error: None,
    };
    let requests = stream_run.api.counter();
    progress::follow(stream.name, stream_run.writer.counter(), requests);
    Ok(stream_run)
}

/// Begins the selected reports and, if `for_conversations`, the others that
/// name conversations. These come first, because more depends on them.
fn begin_reports<'a>(
    run: &'a Run,
    selected: Vec<Selected>,
    for_conversations: bool,
) -> Result<Vec<ReportRun<'a>>> {
    let mut selected: HashMap<&str, Selected> = selected
        .into_iter()
        .map(|selected| (selected.stream.name, selected))
        .collect();
    let mut reports = Vec::new();
    for stream in &STREAMS {
        let Source::Report(source) = &stream.source else {
            continue;
        };
        let selected = selected.remove(stream.name);
        let (full_table, is_selected) = match &selected {
            Some(selected) => (selected.full_table, true),
            None if for_conversations && source.names_conversations => (false, false),
            None => continue,
        };
        let writer = match selected {
            Some(selected) => begin(run, selected, None)?,
            None => RecordWriter::new(stream.name, stream.fields(), &[], None),
        };
        let api = run.client.api();
        progress::follow(stream.name, writer.counter(), api.counter());
        reports.push(ReportRun {
            stream,
            source,
            api,
            writer,
            selected: is_selected,
            full_table,
        });
    }
    if for_conversations {
        reports.sort_by_key(|report| !report.source.names_conversations);
    }
    Ok(reports)
}

/// Writes a stream's SCHEMA message, and creates the writer for its records.
fn begin(run: &Run, selected: Selected, version: Option<i64>) -> Result<RecordWriter> {
    let stream = selected.stream;
    log::info!(stream = stream.name; "started");
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
