//! Asks for slices of historical metrics, and finds out how far back the API
//! answers, which no document says.

use chrono::{DateTime, Utc};

use super::refusals::{Reply, reply};
use super::rows::{Query, Rows, rows};
use super::slices::{Interval, Slices};
use super::table::GroupBy;
use crate::error::{Error, Result};
use crate::freshchat::{Api, Get};
use crate::timestamp;

/// Sends the requests of one run.
pub struct Asker<'a> {
    pub api: &'a Api<'a>,
    /// The minutes that metrics of the moment look at.
    pub x_time: u32,
    /// Up to here, values are accurate.
    pub accurate_to: DateTime<Utc>,
}

/// A time that the API refuses to answer.
pub struct Cut {
    pub to: DateTime<Utc>,
    pub error: Error,
}

/// What the first request brought.
pub enum Reach {
    /// All of the slices are answered, or all after a cut; so many of them in
    /// one request. The rows are those of the first request.
    Found {
        slices: Slices,
        size: i64,
        cut: Option<Cut>,
        rows: Rows,
    },
    /// The API answers the last hour, but not one whole slice.
    TooShort(Cut),
    /// The metric is refused, whatever the time.
    Refused(Error),
}

impl Asker<'_> {
    /// The rows of the slices.
    pub fn ask(&self, query: &Query, slices: Slices) -> Result<Reply<Rows>> {
        let mut get = Get::new("metrics/historical")
            .with("metric", query.metric.asked_for())
            .with("start", timestamp::format(slices.from))
            .with("end", timestamp::format(slices.to))
            .with("interval", slices.interval.name());
        if let Some(aggregator) = query.aggregator {
            get = get.with("aggregator", aggregator.name());
        }
        if query.group_by != GroupBy::None {
            get = get.with("group_by", query.group_by.name());
        }
        if query.metric.needs_x_time {
            get = get.with("x_time", self.x_time);
        }
        let parse = |body: String| rows(&body, query, slices, self.x_time);
        reply(self.api.get(&get, parse))
    }

    /// Asks for the first `size` slices. Where the API refuses them, finds out
    /// why: each further try is for fewer slices, or for fewer at once.
    pub fn reach(&self, query: &Query, mut slices: Slices, mut size: i64) -> Result<Reach> {
        let mut cut = None;
        loop {
            let error = match self.ask(query, slices.first(size))? {
                Ok(rows) => {
                    return Ok(Reach::Found {
                        slices,
                        size,
                        cut,
                        rows,
                    });
                }
                Err(error) if !may_be_the_time(&error) => return Ok(Reach::Refused(error)),
                Err(error) => error,
            };
            size = size.min(slices.len());
            match self.within_reach(query, slices)? {
                None if self.answers_last_hour(query, slices.interval)? => {
                    let to = slices.to;
                    return Ok(Reach::TooShort(Cut { to, error }));
                }
                None => return Ok(Reach::Refused(error)),
                Some(answered) if answered != slices => {
                    let to = answered.from;
                    cut = Some(Cut { to, error });
                    slices = answered;
                }
                Some(_) if size > 1 => size /= 2,
                Some(_) => return Ok(Reach::Refused(error)),
            }
        }
    }

    /// The rows of the slices, or of those that the API answers: the oldest
    /// one may have become too old since the run began. Where they are too
    /// many at once, they are read in halves.
    pub fn read(&self, query: &Query, slices: Slices) -> Result<(Reply<Rows>, Option<Cut>)> {
        let error = match self.ask(query, slices)? {
            Err(error) if may_be_the_time(&error) => error,
            reply => return Ok((reply, None)),
        };
        match self.within_reach(query, slices)? {
            Some(answered) if answered != slices => {
                let to = answered.from;
                Ok((self.ask(query, answered)?, Some(Cut { to, error })))
            }
            Some(_) => self.read_halves(query, slices),
            None => Ok((Err(error), None)),
        }
    }

    fn read_halves(&self, query: &Query, slices: Slices) -> Result<(Reply<Rows>, Option<Cut>)> {
        let half = slices.len() / 2;
        let (older, cut) = self.read(query, slices.first(half))?;
        let (newer, _) = self.read(query, slices.skip(half))?;
        let both = older.and_then(|older| newer.map(|newer| older.and(newer)));
        Ok((both, cut))
    }

    /// Those of the slices that the API answers one by one, after it refused
    /// to answer them at once; none where it refuses the newest.
    fn within_reach(&self, query: &Query, slices: Slices) -> Result<Option<Slices>> {
        if slices.len() == 1 {
            return Ok(None);
        }
        if self.answers(query, slices.first(1))? {
            return Ok(Some(slices));
        }
        if !self.answers(query, slices.last())? {
            return Ok(None);
        }
        let (mut refused, mut answered) = (0, slices.len() - 1);
        while answered - refused > 1 {
            let middle = (refused + answered) / 2;
            match self.answers(query, slices.skip(middle).first(1))? {
                true => answered = middle,
                false => refused = middle,
            }
        }
        Ok(Some(slices.skip(answered)))
    }

    fn answers(&self, query: &Query, slices: Slices) -> Result<bool> {
        self.ask(query, slices).map(|reply| reply.is_ok())
    }

    /// Whether the refusal of a newest slice of this length was about the time
    /// and not about the metric.
    fn answers_last_hour(&self, query: &Query, refused: Interval) -> Result<bool> {
        let hour = Interval::Hour;
        let hours = Slices::between(self.accurate_to - hour.length(), self.accurate_to, hour);
        match refused {
            Interval::Hour => Ok(false),
            Interval::Day | Interval::Week => self.answers(query, hours),
        }
    }
}

/// Whether a refusal can be one of the time that was asked for.
fn may_be_the_time(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 422))
}
