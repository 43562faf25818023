//! Historical metrics, in closed time slices.
//!
//! A slice is closed five minutes after its end, because the API's values are
//! accurate only up to then. A request is for one metric, one aggregator, one
//! grouping and many slices. All requests for a chunk of slices are sent before
//! those for the next chunk. After each chunk there is a checkpoint, so that a
//! single bookmark is valid for all metrics. What can't be read of a chunk is
//! kept in the bookmark, and the next run requests it again.
//!
//! Metrics with an `x_time` are values at the time of the call, whatever time
//! is requested. They are requested once per run, and left out by a run that
//! ends before now.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::MetricRows;
use super::grouping::Groups;
use super::misses::{Misses, Noted, Reply};
use super::questions::{Asker, HistoricalQuestion, MOST_SLICES};
use super::reach::Reach;
use super::slice_rows::{Query, Time};
use super::slices::{Interval, Slices};
use super::unread::Unread;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::extract::{Sink, StreamRun};
use crate::freshchat::clock;
use crate::singer::Bookmark;
use crate::timestamp;

/// API document, "Metrics": "accurate up to five minutes before the current
/// instant".
const SETTLING: TimeDelta = TimeDelta::minutes(5);

/// In the bookmark: how far back the API answers, in seconds, if it refuses
/// more.
const REACH: &str = "reach_seconds";

/// Reads the closed slices since the bookmark, those within the lookback, and
/// what earlier runs could not read.
///
/// # Errors
/// Any error of the API, but a refusal only if every metric is refused. An
/// unexpected answer is an error at the end, after everything else was read.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let stream = stream_run.stream.name;
    let run = stream_run.run;
    let settings = run.settings;
    let queries = queries(settings);
    if queries.is_empty() {
        log::warn!(
            stream;
            "the settings `metrics` and `metrics_group_by` leave nothing to request"
        );
        return Ok(());
    }
    let started_at = run.started_at()?;
    let accurate_to = started_at - SETTLING;
    let slices = slices(stream_run, accurate_to)?;
    let reached = stream_run.bookmark().unwrap_or(slices.from());
    let new = Slices::between(reached, slices.to(), slices.interval);
    let mut unread = Unread::of(&run.output.bookmark(stream));
    if stream_run.full_table {
        for query in &queries {
            unread.forget(&query.name());
        }
    }
    let (api, sink) = stream_run.split();
    let asker = Asker {
        api,
        accurate_to,
        slices,
    };
    let mut reading = HistoricalReading {
        asker: &asker,
        groups: Groups::new(run, api),
        queries: &queries,
        workers: settings.concurrency,
        reach: None,
        writing: Writing {
            sink,
            misses: Misses::new(stream),
            unread,
            given_up: HashSet::new(),
            cut: None,
            oldest: None,
        },
    };
    let result = reading.read(slices);
    reading.writing.warn_of_gap(stream, new, result.is_ok());
    result?;
    if settings.end_date.is_none_or(|end| end >= started_at) {
        reading.read_moment(settings.metrics_x_time_minutes)?;
    }
    reading
        .writing
        .misses
        .conclude("the next run requests them again")
}

/// The slices to read. Those within the lookback that the API has refused
/// before are left out.
fn slices(stream_run: &StreamRun, accurate_to: DateTime<Utc>) -> Result<Slices> {
    let settings = stream_run.run.settings;
    let interval = settings.metrics_interval;
    let window = stream_run.window_back(settings.metrics_lookback)?;
    let slices = Slices::between(window.from, window.to.min(accurate_to), interval);
    let bookmark = stream_run.run.output.bookmark(stream_run.stream.name);
    Ok(match (stream_run.bookmark(), bookmark.progress(REACH)) {
        (Some(reached), Some(seconds)) => {
            let reach = accurate_to - TimeDelta::seconds(seconds);
            slices.since(reach.min(interval.floor(reached)))
        }
        _ => slices,
    })
}

/// Everything that the settings ask for.
fn queries(settings: &Settings) -> Vec<Query> {
    let mut queries = Vec::new();
    for metric in &settings.metrics {
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

/// The reading of a run.
struct HistoricalReading<'a> {
    asker: &'a Asker<'a>,
    groups: Groups<'a>,
    queries: &'a [Query],
    workers: usize,
    /// What the first answer has shown.
    reach: Option<Reach>,
    writing: Writing<'a>,
}

impl<'a> HistoricalReading<'a> {
    fn read(&mut self, slices: Slices) -> Result<()> {
        self.catch_up(slices)?;
        let mut left = slices;
        while !left.is_empty() {
            self.writing.misses.answered = false;
            let mut chunk = left.first(MOST_SLICES);
            let mut asked = HashSet::new();
            if self.reach.is_none() {
                asked = self.begin(chunk)?;
                self.writing.misses.settle()?;
            }
            if let Some(reach) = &self.reach {
                left = reach.of(left);
                chunk = reach.of(chunk);
            }
            if chunk.is_empty() {
                continue;
            }
            let rest = self.sliced();
            let rest = rest.filter(|query| !asked.contains(&query.name()));
            let questions = rest.map(|query| (query, chunk)).collect();
            self.ask_all(self.workers, questions)?;
            self.writing.misses.settle()?;
            left = left.skip(chunk.len());
            self.checkpoint(Some(chunk.to()))?;
        }
        Ok(())
    }

    /// The queries for slices.
    fn sliced(&self) -> impl Iterator<Item = &'a Query> + use<'a> {
        let queries = self.queries.iter();
        queries.filter(|query| !query.metric.needs_x_time)
    }

    /// Requests what earlier runs could not read, unless it is among the slices
    /// that are requested anyway.
    fn catch_up(&mut self, slices: Slices) -> Result<()> {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for query in self.sliced() {
            let Some(span) = self.writing.unread.get(&query.name()) else {
                continue;
            };
            let missed = Slices::between(span.from, slices.from(), slices.interval);
            let mut missed = missed.before(span.to);
            if !missed.is_empty() {
                first.push((query, missed.first(MOST_SLICES)));
            }
            while missed.len() > MOST_SLICES {
                missed = missed.skip(MOST_SLICES);
                later.push((query, missed.first(MOST_SLICES)));
            }
        }
        if first.is_empty() {
            return Ok(());
        }
        self.ask_all(self.workers, first)?;
        self.ask_all(self.workers, later)?;
        // The limits for old slices may not apply to new ones.
        self.reach = None;
        if let Some((to, error)) = self.writing.cut.take() {
            log::warn!(
                stream = self.writing.sink.stream.name;
                "what earlier runs could not read from before {} is lost: the API doesn't answer \
                 that far back ({error})",
                timestamp::format(to)
            );
        }
        self.checkpoint(None)
    }

    /// Requests one metric after another until one is answered, to learn how
    /// far back the API answers before all others are requested. Returns the
    /// names of the queries that were sent.
    fn begin(&mut self, chunk: Slices) -> Result<HashSet<String>> {
        let mut asked = HashSet::new();
        let mut tried = HashSet::new();
        for query in self.sliced() {
            if tried.insert(query.metric.name) {
                asked.insert(query.name());
                self.ask_all(1, vec![(query, chunk)])?;
            }
            if self.writing.misses.answered {
                break;
            }
        }
        Ok(asked)
    }

    fn ask_all(&mut self, workers: usize, questions: Vec<(&'a Query, Slices)>) -> Result<()> {
        let reach = self.reach.clone();
        let questions = questions
            .into_iter()
            .map(|(query, slices)| HistoricalQuestion {
                asker: self.asker,
                query,
                time: Time::Slices(slices),
                reach: reach.as_ref(),
            });
        let (given_up, questions): (Vec<_>, Vec<_>) =
            questions.partition(|it| self.writing.given_up.contains(&it.query.name()));
        for question in given_up {
            self.writing.miss(&question);
        }
        let learnt = &mut self.reach;
        let writing = &mut self.writing;
        self.groups.ask_all(workers, &questions, |question, reply| {
            if let (None, Ok(MetricRows { reach, .. })) = (&learnt, &reply) {
                learnt.clone_from(reach);
            }
            writing.take(question, reply)
        })
    }

    /// Reads the current metrics, all for the same moment.
    fn read_moment(&mut self, x_time: u32) -> Result<()> {
        let at = clock::now();
        // If slices were requested, their answers decide whether everything is
        // refused.
        self.writing.misses.answered |= self.sliced().next().is_some();
        let queries = self.queries.iter();
        let questions = queries.filter(|query| query.metric.needs_x_time);
        let questions: Vec<HistoricalQuestion> = questions
            .map(|query| HistoricalQuestion {
                asker: self.asker,
                query,
                time: Time::Moment { at, x_time },
                reach: None,
            })
            .collect();
        let writing = &mut self.writing;
        let groups = &self.groups;
        groups.ask_all(self.workers, &questions, |question, reply| {
            writing.take(question, reply)
        })?;
        self.writing.misses.settle()
    }

    /// Writes the bookmark, and moves it if `to` is given.
    fn checkpoint(&self, to: Option<DateTime<Utc>>) -> Result<()> {
        let reach = self.reach.as_ref().and_then(|reach| reach.refused.as_ref());
        self.writing
            .sink
            .checkpoint_with(to, |bookmark: &mut Bookmark| {
                self.writing.unread.keep(bookmark);
                if let Some((from, _)) = reach {
                    let back = self.asker.accurate_to - *from;
                    bookmark.set(REACH, back.num_seconds());
                }
            })
    }
}

/// The handling of answers.
struct Writing<'a> {
    sink: Sink<'a>,
    misses: Misses,
    unread: Unread,
    /// Queries that this run doesn't send again, for any time.
    given_up: HashSet<String>,
    /// The longest time that the API refuses to answer: its end, and the error.
    cut: Option<(DateTime<Utc>, Error)>,
    /// The oldest slice with a value.
    oldest: Option<DateTime<Utc>>,
}

impl Writing<'_> {
    fn take(&mut self, question: &HistoricalQuestion, reply: Reply<MetricRows>) -> Result<()> {
        let metric = question.query.metric.name;
        let rows = match self.misses.note(metric, &question.words(), reply)? {
            Noted::Rows(rows) => rows,
            Noted::Missed => {
                self.miss(question);
                return Ok(());
            }
            Noted::GivenUp => {
                self.given_up.insert(question.query.name());
                self.miss(question);
                return Ok(());
            }
        };
        match (question.time, &rows.problem) {
            (_, Some(_)) => self.miss(question),
            (Time::Slices(slices), None) => self.unread.read(&question.query.name(), slices),
            (Time::Moment { .. }, None) => {}
        }
        if let Some(Reach {
            refused: Some((to, error)),
            ..
        }) = &rows.reach
            && self.cut.as_ref().is_none_or(|(longest, _)| longest < to)
        {
            self.cut = Some((*to, error.clone()));
        }
        self.oldest = [self.oldest, rows.oldest].into_iter().flatten().min();
        self.sink.rows(rows.read_at, rows.text.lines())
    }

    /// Records slices that could not be read. A missed moment can't be read
    /// later.
    fn miss(&mut self, question: &HistoricalQuestion) {
        if let Time::Slices(slices) = question.time {
            self.unread.miss(&question.query.name(), slices);
        }
    }

    /// Logs, once, which of the new slices the API refused, or for which it had
    /// no value before the first one.
    fn warn_of_gap(&self, stream: &str, new: Slices, complete: bool) {
        let from = timestamp::format(new.from());
        match &self.cut {
            Some((to, error)) if *to > new.from() => {
                let hint = match new.interval {
                    Interval::Day | Interval::Week | Interval::Month if *to >= new.to() => {
                        "; with `metrics_interval` `1h`, it answers"
                    }
                    _ => "",
                };
                log::warn!(
                    stream;
                    "the API doesn't answer that far back: {from} to {} is left out{hint} ({error})",
                    timestamp::format(*to)
                );
            }
            Some(_) => {}
            None => {
                let to = self.oldest.unwrap_or(new.to());
                if complete && to > new.from() {
                    log::warn!(
                        stream;
                        "the API has no values from {from} to {}: either it keeps none that old, \
                         or nothing happened",
                        timestamp::format(to)
                    );
                }
            }
        }
    }
}
