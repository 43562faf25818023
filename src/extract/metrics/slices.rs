//! Time in slices of one length, aligned in UTC.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// The Unix epoch was a Thursday; weeks begin on Mondays, four days later.
const FIRST_MONDAY: i64 = 4 * 86_400;

/// The length of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub enum Interval {
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
    /// From Monday, 00:00 UTC.
    #[serde(rename = "1w")]
    Week,
}

impl Interval {
    /// The word of the API.
    pub fn name(self) -> &'static str {
        match self {
            Interval::Hour => "1h",
            Interval::Day => "1d",
            Interval::Week => "1w",
        }
    }

    pub fn length(self) -> Duration {
        Duration::from_secs(self.seconds().unsigned_abs())
    }

    fn seconds(self) -> i64 {
        match self {
            Interval::Hour => 3_600,
            Interval::Day => 86_400,
            Interval::Week => 7 * 86_400,
        }
    }

    /// The start of the slice that a time falls into.
    pub fn floor(self, time: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = time.timestamp() - FIRST_MONDAY;
        let into = seconds.rem_euclid(self.seconds());
        let fraction = i64::from(time.timestamp_subsec_nanos());
        time - TimeDelta::seconds(into) - TimeDelta::nanoseconds(fraction)
    }
}

/// Slices one after the other; both ends are edges of slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slices {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub interval: Interval,
}

impl Slices {
    /// The slice that `from` falls into, and those after it that have ended at `to`.
    pub fn between(from: DateTime<Utc>, to: DateTime<Utc>, interval: Interval) -> Self {
        Self {
            from: interval.floor(from),
            to: interval.floor(to),
            interval,
        }
    }

    /// The number of slices.
    pub fn len(&self) -> i64 {
        let time = (self.to - self.from).max(TimeDelta::zero());
        time.num_seconds() / self.interval.seconds()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest `count` slices, or all if there are fewer.
    pub fn first(&self, count: i64) -> Self {
        let to = self.edge(count.min(self.len()));
        Self { to, ..*self }
    }

    /// All but the oldest `count` slices.
    pub fn skip(&self, count: i64) -> Self {
        let from = self.edge(count.min(self.len()));
        Self { from, ..*self }
    }

    /// The newest slice.
    pub fn last(&self) -> Self {
        self.skip(self.len() - 1)
    }

    fn edge(&self, number: i64) -> DateTime<Utc> {
        self.from + TimeDelta::seconds(self.interval.seconds() * number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp;

    fn time(text: &str) -> DateTime<Utc> {
        timestamp::parse(text).unwrap()
    }

    #[test]
    fn slices_are_aligned_in_utc() {
        // A Wednesday.
        let at = time("2026-05-06T13:45:59.123456Z");
        for (interval, start) in [
            (Interval::Hour, "2026-05-06T13:00:00Z"),
            (Interval::Day, "2026-05-06"),
            (Interval::Week, "2026-05-04"),
        ] {
            let start = time(start);
            assert_eq!(interval.floor(at), start);
            assert_eq!(interval.floor(start), start);
            let before = start - TimeDelta::milliseconds(1);
            assert_eq!(interval.floor(before), start - interval.length());
        }
        assert_eq!(Interval::Week.floor(time("1969-12-31")), time("1969-12-29"));
    }

    #[test]
    fn only_ended_slices_count() {
        let day = |from: &str, to: &str| Slices::between(time(from), time(to), Interval::Day);
        let slices = day("2026-05-01T10:00:00Z", "2026-05-04T23:59:59Z");
        assert_eq!(slices, day("2026-05-01", "2026-05-04"));
        assert_eq!(slices.len(), 3);
        assert_eq!(slices.first(2), day("2026-05-01", "2026-05-03"));
        assert_eq!(slices.skip(2), slices.last());
        assert_eq!(slices.first(9), slices);
        assert!(slices.skip(9).is_empty());
        assert!(day("2026-05-04T01:00:00Z", "2026-05-04T02:00:00Z").is_empty());
        assert!(day("2026-05-04", "2026-05-01").is_empty());
    }
}
