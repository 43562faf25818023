//! Time slices of equal length, aligned in UTC.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

/// The Unix epoch was a Thursday. Weeks begin on Monday, four days later.
const FIRST_MONDAY: i64 = 4 * 86_400;

/// The length of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub enum Interval {
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
    /// From Monday 00:00 UTC.
    #[serde(rename = "1w")]
    Week,
    /// From the first day of a month, 00:00 UTC.
    #[serde(rename = "1mo")]
    Month,
}

impl Interval {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Interval::Hour => "1h",
            Interval::Day => "1d",
            Interval::Week => "1w",
            Interval::Month => "1mo",
        }
    }

    /// The length in seconds. `None` for months, whose length differs.
    fn seconds(self) -> Option<i64> {
        match self {
            Interval::Hour => Some(3_600),
            Interval::Day => Some(86_400),
            Interval::Week => Some(7 * 86_400),
            Interval::Month => None,
        }
    }

    /// The number of the slice that contains a time.
    fn number(self, time: DateTime<Utc>) -> i64 {
        match self.seconds() {
            Some(seconds) => (time.timestamp() - FIRST_MONDAY).div_euclid(seconds),
            None => i64::from(time.year()) * 12 + i64::from(time.month0()),
        }
    }

    /// The start of the slice with this number.
    fn start(self, number: i64) -> DateTime<Utc> {
        let start = match self.seconds() {
            Some(seconds) => DateTime::from_timestamp(FIRST_MONDAY + number * seconds, 0),
            None => first_of_month(number),
        };
        start.expect("slices are numbered by times of the calendar")
    }

    /// The start of the slice that contains a time.
    pub fn floor(self, time: DateTime<Utc>) -> DateTime<Utc> {
        self.start(self.number(time))
    }
}

/// The start of a month, counted from January of the year 0.
fn first_of_month(number: i64) -> Option<DateTime<Utc>> {
    let year = i32::try_from(number.div_euclid(12)).ok()?;
    let month = u32::try_from(number.rem_euclid(12)).ok()? + 1;
    let date = NaiveDate::from_ymd_opt(year, month, 1)?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

/// Consecutive slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slices {
    pub interval: Interval,
    /// The number of the oldest one.
    oldest: i64,
    /// The number of the one after the newest.
    end: i64,
}

impl Slices {
    /// The slice that contains `from`, and those after it that have ended by
    /// `to`.
    pub fn between(from: DateTime<Utc>, to: DateTime<Utc>, interval: Interval) -> Self {
        let oldest = interval.number(from);
        Self {
            interval,
            oldest,
            end: interval.number(to).max(oldest),
        }
    }

    /// The start of the oldest slice.
    pub fn from(&self) -> DateTime<Utc> {
        self.interval.start(self.oldest)
    }

    /// The end of the newest slice.
    pub fn to(&self) -> DateTime<Utc> {
        self.interval.start(self.end)
    }

    /// The number of slices.
    pub fn len(&self) -> i64 {
        self.end - self.oldest
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest `count` slices, or all if there are fewer.
    pub fn first(&self, count: i64) -> Self {
        let end = self.oldest + count.min(self.len());
        Self { end, ..*self }
    }

    /// All but the oldest `count` slices.
    pub fn skip(&self, count: i64) -> Self {
        let oldest = self.oldest + count.min(self.len());
        Self { oldest, ..*self }
    }

    /// The newest slice.
    pub fn last(&self) -> Self {
        self.skip(self.len() - 1)
    }

    /// The slices that begin at this time or later.
    pub fn since(&self, time: DateTime<Utc>) -> Self {
        let number = self.interval.number(time);
        let cut = i64::from(self.interval.start(number) < time);
        self.skip((number + cut - self.oldest).max(0))
    }

    /// The slices that begin before this time.
    pub fn before(&self, time: DateTime<Utc>) -> Self {
        let later = self.since(time).len();
        self.first(self.len() - later)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::timestamp;

    fn time(text: &str) -> DateTime<Utc> {
        timestamp::parse(text).unwrap()
    }

    #[test]
    fn slices_are_aligned_in_utc() {
        // A Wednesday.
        let at = time("2026-05-06T13:45:59.123456Z");
        for (interval, start, before) in [
            (
                Interval::Hour,
                "2026-05-06T13:00:00Z",
                "2026-05-06T12:00:00Z",
            ),
            (Interval::Day, "2026-05-06", "2026-05-05"),
            (Interval::Week, "2026-05-04", "2026-04-27"),
            (Interval::Month, "2026-05-01", "2026-04-01"),
        ] {
            let start = time(start);
            assert_eq!(interval.floor(at), start);
            assert_eq!(interval.floor(start), start);
            let last = start - TimeDelta::milliseconds(1);
            assert_eq!(interval.floor(last), time(before));
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
        assert_eq!(slices.since(time("2026-05-02")), slices.skip(1));
        assert_eq!(slices.since(time("2026-05-02T00:00:01Z")), slices.skip(2));
        assert_eq!(slices.since(time("2026-04-01")), slices);
        assert!(slices.since(time("2026-06-01")).is_empty());
        assert_eq!(slices.before(time("2026-05-02T00:00:01Z")), slices.first(2));
        assert!(day("2026-05-04T01:00:00Z", "2026-05-04T02:00:00Z").is_empty());
        assert!(day("2026-05-04", "2026-05-01").is_empty());
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let months = Slices::between(time("2024-01-31"), time("2024-04-01"), Interval::Month);
        assert_eq!(months.len(), 3);
        assert_eq!(months.from(), time("2024-01-01"));
        assert_eq!(months.skip(1).first(1).to(), time("2024-03-01"));
        assert_eq!(months.to(), time("2024-04-01"));
    }
}
