//! Requests historical metrics. Finds out how far back the API answers, and how
//! much at once, because both are undocumented.

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::MetricRows;
use super::grouping;
use super::misses::{Reply, give_up, may_be_the_time, reply};
use super::reach::Reach;
use super::slice_rows::{Query, Time, rows};
use super::slices::{Interval, Slices};
use super::table::GroupBy;
use crate::error::Result;
use crate::freshchat::{Api, Get};
use crate::timestamp;

/// The maximum number of slices per request: two weeks of hours, or a year of
/// days. An answer has a value for each slice and each agent.
pub const MOST_SLICES: i64 = 366;

/// Sends the requests of one run.
pub struct Asker<'a> {
    pub api: &'a Api<'a>,
    /// Values are accurate up to this time.
    pub accurate_to: DateTime<Utc>,
    /// All slices to read.
    pub slices: Slices,
}

/// A question to the API.
#[derive(Clone, Copy)]
pub struct HistoricalQuestion<'a> {
    pub asker: &'a Asker<'a>,
    pub query: &'a Query,
    pub time: Time,
    /// What an earlier question found out.
    pub reach: Option<&'a Reach>,
}

impl grouping::Grouped for HistoricalQuestion<'_> {
    fn group_by(&self) -> GroupBy {
        self.query.group_by
    }

    fn ask(&self, filter: Option<&str>) -> Result<Reply<MetricRows>> {
        match self.time {
            Time::Slices(slices) => self.read(slices, filter),
            moment @ Time::Moment { .. } => self.send(moment, filter),
        }
    }
}

impl HistoricalQuestion<'_> {
    /// Describes the question.
    pub fn words(&self) -> String {
        let metric = self.query.name();
        match self.time {
            Time::Slices(slices) => format!(
                "`{metric}` from {} to {}",
                timestamp::format(slices.from()),
                timestamp::format(slices.to())
            ),
            Time::Moment { at, .. } => format!("`{metric}` at {}", timestamp::format(at)),
        }
    }

    /// Reads the slices, or those that the API answers. If it refuses a
    /// request, either the oldest slice is too far back, or there are too many.
    fn read(&self, slices: Slices, filter: Option<&str>) -> Result<Reply<MetricRows>> {
        let is_first = self.reach.is_none();
        let mut reach = self.reach.cloned().unwrap_or(Reach {
            refused: None,
            size: MOST_SLICES,
        });
        let mut so_far: Option<MetricRows> = None;
        let mut left = reach.of(slices);
        while !left.is_empty() {
            let part = left.first(reach.size);
            let error = match self.send(Time::Slices(part), filter)? {
                Ok(rows) => {
                    so_far.get_or_insert_with(MetricRows::new).add(rows);
                    left = left.skip(part.len());
                    continue;
                }
                Err(error) if !may_be_the_time(&error) => return Ok(give_up(so_far, error)),
                Err(error) => error,
            };
            match self.oldest_answered(left.from(), filter)? {
                Some(oldest) if oldest > left.from() => reach.refused = Some((oldest, error)),
                Some(_) if part.len() > 1 => reach.size = part.len() / 2,
                // The very first refusal may be about the length of a slice.
                None if is_first && self.answers_last_hour(filter)? => {
                    reach.refused = Some((self.asker.slices.to(), error));
                }
                _ => return Ok(give_up(so_far, error)),
            }
            left = reach.of(left);
        }
        let mut rows = so_far.unwrap_or_else(MetricRows::new);
        rows.reach = Some(reach);
        Ok(Ok(rows))
    }

    /// The start of the oldest slice since a time that the API answers on its
    /// own. `None` if it refuses even the newest.
    fn oldest_answered(
        &self,
        from: DateTime<Utc>,
        filter: Option<&str>,
    ) -> Result<Option<DateTime<Utc>>> {
        let Slices { interval, .. } = self.asker.slices;
        let slices = Slices::between(from, self.asker.slices.to(), interval);
        let answers = |slice: Slices| self.answers(slice.first(1), filter);
        if slices.len() <= 1 {
            return Ok(None);
        }
        if answers(slices)? {
            return Ok(Some(from));
        }
        if !answers(slices.last())? {
            return Ok(None);
        }
        let (mut refused, mut answered) = (0, slices.len() - 1);
        while answered - refused > 1 {
            let middle = (refused + answered) / 2;
            match answers(slices.skip(middle))? {
                true => answered = middle,
                false => refused = middle,
            }
        }
        Ok(Some(slices.skip(answered).from()))
    }

    /// Whether the refusal of the newest slice was about the time, and not
    /// about the metric.
    fn answers_last_hour(&self, filter: Option<&str>) -> Result<bool> {
        let to = self.asker.accurate_to;
        let hour = Slices::between(to - TimeDelta::hours(1), to, Interval::Hour);
        match self.asker.slices.interval {
            Interval::Hour => Ok(false),
            Interval::Day | Interval::Week | Interval::Month => self.answers(hour, filter),
        }
    }

    fn answers(&self, slices: Slices, filter: Option<&str>) -> Result<bool> {
        self.send(Time::Slices(slices), filter)
            .map(|reply| reply.is_ok())
    }

    fn send(&self, time: Time, filter: Option<&str>) -> Result<Reply<MetricRows>> {
        let query = self.query;
        let mut get = Get::new("metrics/historical").with("metric", query.metric.asked_for());
        get = match time {
            Time::Slices(slices) => get
                .with("start", timestamp::format(slices.from()))
                .with("end", timestamp::format(slices.to()))
                .with("interval", slices.interval.name()),
            // The API ignores this time, but requires one.
            Time::Moment { at, x_time } => get
                .with(
                    "start",
                    timestamp::format(at - TimeDelta::minutes(x_time.into())),
                )
                .with("end", timestamp::format(at))
                .with("x_time", x_time),
        };
        if let Some(aggregator) = query.aggregator {
            get = get.with("aggregator", aggregator.name());
        }
        if query.group_by != GroupBy::None {
            get = get.with("group_by", query.group_by.name());
        }
        if let Some(filter) = filter {
            get = get.with("filter_by", filter);
        }
        reply(self.asker.api.get(&get, |body| rows(&body, query, time)))
    }
}
