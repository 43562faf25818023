//! Timestamps: milliseconds since 1970 inside, text outside.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// The instant of the real clock, in milliseconds.
pub fn now() -> i64 {
    Utc::now().timestamp_millis()
}

/// The instant `millis` as a date-time; the epoch if it is out of range.
pub fn date_time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// `2026-01-02T03:04:05.678Z`, the form of every timestamp of the API.
pub fn text(millis: i64) -> String {
    date_time(millis).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads a "date-time value specified in the UTC format", with or without a fraction, or a date.
pub fn parse(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let date = text.parse::<NaiveDate>().ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// `2020-01-23 12:04:48.8`: a date of the reports without a zone, its fraction without the zeros
/// at the end.
pub fn bare_text(millis: i64) -> String {
    let text = date_time(millis)
        .format("%Y-%m-%d %H:%M:%S%.3f")
        .to_string();
    let short = text.trim_end_matches('0');
    if short.ends_with('.') {
        format!("{short}0")
    } else {
        short.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let time = parse("2020-01-23T12:04:48.800Z").unwrap();
        assert_eq!(text(time), "2020-01-23T12:04:48.800Z");
        assert_eq!(bare_text(time), "2020-01-23 12:04:48.8");
        assert_eq!(bare_text(time - 800), "2020-01-23 12:04:48.0");
        assert_eq!(parse("2020-01-23T14:04:48.8+02:00"), Some(time));
        assert_eq!(
            parse("2020-01-23").map(text).unwrap(),
            "2020-01-23T00:00:00.000Z"
        );
        assert_eq!(parse("yesterday"), None);
    }
}
