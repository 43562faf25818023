//! Historical metrics, in closed slices of time.
//!
//! A slice is closed when its end is five minutes past: the API's values are
//! accurate only up to then. One request is for one metric, one aggregator and
//! one grouping, and for many slices. All requests for a chunk of slices come
//! before the next chunk, and after each chunk stands a checkpoint, so that
//! the one bookmark holds for all metrics.
//!
//! Metrics with an `x_time` are values of the moment of the call, whatever
//! time is asked for. They are asked for once in a run, for the newest slice,
//! and stand under it; a run that doesn't reach up to now leaves them out.

use chrono::{DateTime, TimeDelta, Utc};

use super::asking::{Asker, Cut, Reach};
use super::refusals::{Refusals, Reply};
use super::rows::{Query, Rows};
use super::slices::{Interval, Slices};
use crate::config::Settings;
use crate::error::Result;
use crate::extract::pool::in_order;
use crate::extract::{Sink, StreamRun};
use crate::timestamp;

/// The API document, "Metrics": "accurate up to five minutes before the
/// current instant".
const SETTLING: TimeDelta = TimeDelta::minutes(5);

/// Slices asked for at once: two weeks of hours, a year of days. An answer has
/// a value for each slice and each agent.
const MOST_SLICES: i64 = 366;

/// Reads the closed slices since the bookmark, and the one before it again.
///
/// # Errors
/// Any error of the API; a refusal only where every metric is refused.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let stream = stream_run.stream.name;
    let settings = stream_run.run.settings;
    let interval = settings.metrics_interval;
    let window = stream_run.window_back(interval.length())?;
    let accurate_to = stream_run.run.started_at()? - SETTLING;
    let slices = Slices::between(window.from, window.to.min(accurate_to), interval);
    let queries = queries(settings, slices.to == interval.floor(accurate_to));
    if queries.is_empty() {
        log::warn!(
            "stream `{stream}`: the settings `metrics` and `metrics_group_by` leave nothing \
             to ask for"
        );
    }
    if queries.is_empty() || slices.is_empty() {
        return Ok(());
    }
    let bookmark = stream_run.bookmark().unwrap_or(slices.from);
    let (api, sink) = stream_run.split();
    let mut reading = Reading {
        queries,
        asker: Asker {
            api,
            x_time: settings.metrics_x_time_minutes,
            accurate_to,
        },
        workers: settings.concurrency,
        writing: Writing {
            sink,
            refusals: Refusals::new(stream),
            cut: None,
            oldest: None,
        },
    };
    let result = reading.read(slices);
    let new = Slices::between(bookmark, slices.to, interval);
    reading.writing.warn_of_gap(stream, new, result.is_ok());
    result
}

/// All that the settings ask for.
fn queries(settings: &Settings, reaches_now: bool) -> Vec<Query> {
    let mut queries = Vec::new();
    for metric in &settings.metrics {
        if metric.needs_x_time && !reaches_now {
            continue;
        }
        for aggregator in metric.aggregators(&settings.metrics_aggregators) {
            for group_by in metric.groupings(&settings.metrics_group_by) {
                queries.push(Query {
                    metric,
                    aggregator,
                    group_by,
                });
            }
        }
    }
    queries
}

/// The reading of one run.
struct Reading<'a> {
    asker: Asker<'a>,
    queries: Vec<Query>,
    workers: usize,
    writing: Writing<'a>,
}

impl Reading<'_> {
    fn read(&mut self, slices: Slices) -> Result<()> {
        let mut asked = Vec::new();
        let Some((mut slices, size)) = self.begin(slices, &mut asked)? else {
            return Ok(());
        };
        while !slices.is_empty() {
            self.writing.refusals.settle()?;
            let chunk = slices.first(size);
            slices = slices.skip(size);
            self.read_chunk(chunk, &std::mem::take(&mut asked), slices.is_empty())?;
            self.writing.refusals.settle()?;
            self.writing.sink.checkpoint(chunk.to)?;
        }
        Ok(())
    }

    /// Asks for one metric after the other until one is answered, to learn how
    /// far back the API reaches before all the others are asked for: the
    /// slices, and how many of them at once. None: the API answers not one
    /// slice. `asked` are the queries that the first chunk is done with.
    fn begin(&mut self, slices: Slices, asked: &mut Vec<usize>) -> Result<Option<(Slices, i64)>> {
        let mut refused = Vec::new();
        for (at, query) in self.queries.iter().enumerate() {
            let name = query.metric.name;
            if query.metric.needs_x_time || refused.contains(&name) {
                continue;
            }
            asked.push(at);
            match self.asker.reach(query, slices, MOST_SLICES)? {
                Reach::Found {
                    slices,
                    size,
                    cut,
                    rows,
                } => {
                    self.writing.take(query, Ok(rows), cut)?;
                    return Ok(Some((slices, size)));
                }
                Reach::TooShort(cut) => {
                    self.writing.cut = Some(cut);
                    return Ok(None);
                }
                Reach::Refused(error) => {
                    self.writing.take(query, Err(error), None)?;
                    refused.push(name);
                }
            }
        }
        Ok(Some((slices, MOST_SLICES)))
    }

    /// Reads a chunk but for what was asked already; metrics of the moment
    /// come with the last chunk.
    fn read_chunk(&mut self, chunk: Slices, asked: &[usize], is_last: bool) -> Result<()> {
        let part = |query: &Query| match query.metric.needs_x_time {
            true => is_last.then(|| chunk.last()),
            false => Some(chunk),
        };
        let queries = self.queries.iter().enumerate();
        let wanted = queries
            .filter(|(at, _)| !asked.contains(at))
            .filter_map(|(_, query)| Some((query, part(query)?)));
        in_order(
            self.workers,
            wanted,
            |(query, slices)| Ok((query, self.asker.read(query, slices)?)),
            |(query, (reply, cut))| self.writing.take(query, reply, cut),
        )
    }
}

/// What is done with the answers.
struct Writing<'a> {
    sink: Sink<'a>,
    refusals: Refusals,
    /// The longest time that the API refuses to answer.
    cut: Option<Cut>,
    /// The oldest slice with a value.
    oldest: Option<DateTime<Utc>>,
}

impl Writing<'_> {
    fn take(&mut self, query: &Query, reply: Reply<Rows>, cut: Option<Cut>) -> Result<()> {
        if let Some(cut) = cut
            && self.cut.as_ref().is_none_or(|longest| longest.to < cut.to)
        {
            self.cut = Some(cut);
        }
        let Some(rows) = self.refusals.note(query.metric.name, reply) else {
            return Ok(());
        };
        self.oldest = [self.oldest, rows.oldest].into_iter().flatten().min();
        self.sink.rows(rows.read_at, rows.text.lines(), &[])
    }

    /// Says once which of the new slices the API refused, or had no value for
    /// before its first one.
    fn warn_of_gap(&self, stream: &str, new: Slices, complete: bool) {
        let from = timestamp::format(new.from);
        match &self.cut {
            Some(cut) if cut.to > new.from => {
                let hint = match new.interval {
                    Interval::Day | Interval::Week if cut.to == new.to => {
                        "; with the `metrics_interval` `1h` it does answer"
                    }
                    _ => "",
                };
                log::warn!(
                    "stream `{stream}`: the API doesn't answer that far back: {from} to {} is \
                     left out{hint} ({})",
                    timestamp::format(cut.to),
                    cut.error
                );
            }
            Some(_) => {}
            None => {
                let to = self.oldest.unwrap_or(new.to);
                if complete && to > new.from {
                    log::warn!(
                        "stream `{stream}`: the API has no values from {from} to {}: it keeps \
                         none that old, or nothing happened",
                        timestamp::format(to)
                    );
                }
            }
        }
    }
}
