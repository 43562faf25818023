//! Timestamps, as the API returns them and as the records contain them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Timelike, Utc};

/// Numbers below this are seconds, others milliseconds. 1e11 ms is in 1973;
/// 1e11 s is in the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// Formats a timestamp in the form used in all output:
/// `2026-01-02T03:04:05.678Z`.
pub fn format(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether the text already has the form of [`format()`] and is a valid time.
/// Checks only the shape and the range of each number, because it runs for
/// every timestamp of every record.
pub fn is_canonical(text: &[u8]) -> bool {
    const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
    let in_range = |at: usize, least: &[u8], most: &[u8]| {
        let digits = &text[at..at + least.len()];
        least <= digits && digits <= most
    };
    text.len() == SHAPE.len()
        && text.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        })
        && in_range(0, b"0001", b"9999")
        && in_range(5, b"01", b"12")
        && in_range(8, b"01", last_day(text))
        && in_range(11, b"00", b"23")
        && in_range(14, b"00", b"59")
        && in_range(17, b"00", b"59")
}

/// The last day of the month of a date that begins with `yyyy-mm`.
fn last_day(date: &[u8]) -> &'static [u8] {
    match &date[5..7] {
        b"04" | b"06" | b"09" | b"11" => b"30",
        b"02" => {
            let year = date[..4]
                .iter()
                .fold(0, |year, digit| year * 10 + u32::from(digit - b'0'));
            let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            if leaps { b"29" } else { b"28" }
        }
        _ => b"31",
    }
}

/// Reads RFC 3339 with any offset, a date and time without a zone (UTC),
/// separated by a space or `T`, or a date alone (midnight UTC). Refuses leap
/// seconds, as databases and most languages do.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    parse_any(text.trim()).filter(is_usual)
}

fn parse_any(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc());
        }
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.to_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc())
}

/// Whether the year has four digits and the second is not a leap second.
/// Databases accept nothing else.
fn is_usual(time: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year()) && time.nanosecond() < 1_000_000_000
}

/// Reads an epoch number in seconds or milliseconds, told apart by size.
pub fn from_epoch(number: i64) -> Option<DateTime<Utc>> {
    let time = if number.unsigned_abs() < FIRST_MILLISECONDS {
        DateTime::from_timestamp(number, 0)
    } else {
        DateTime::from_timestamp_millis(number)
    };
    time.filter(is_usual)
}

/// Reads a JSON value that is a time: in any form of [`parse()`], or an epoch
/// number.
pub fn from_json(value: &str) -> Option<DateTime<Utc>> {
    let text = value.trim_matches('"');
    parse(text).or_else(|| from_epoch(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_documented_form() {
        for (text, expected) in [
            ("2020-01-23T12:04:48.868Z", "2020-01-23T12:04:48.868Z"),
            ("2020-01-23T12:04:48Z", "2020-01-23T12:04:48.000Z"),
            ("2020-01-23T12:04:48.868+02:00", "2020-01-23T10:04:48.868Z"),
            ("2020-01-23T12:04:48+0530", "2020-01-23T06:34:48.000Z"),
            ("2020-01-23 12:04:48.8", "2020-01-23T12:04:48.800Z"),
            ("2020-01-23", "2020-01-23T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(format).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse("2020-13-01"), None);
        assert_eq!(parse("-262143-01-01"), None);
        assert_eq!(from_epoch(i64::MIN), None);
        assert_eq!(from_epoch(1_566_970_961_000_000), None);
    }

    #[test]
    fn tells_seconds_from_milliseconds() {
        let expected = "2019-08-28T05:42:41.000Z";
        assert_eq!(from_epoch(1_566_970_961).map(format).unwrap(), expected);
        assert_eq!(from_epoch(1_566_970_961_000).map(format).unwrap(), expected);
    }

    #[test]
    fn reads_json_values() {
        for value in [
            "\"2019-08-28T05:42:41Z\"",
            "1566970961",
            "\"1566970961000\"",
        ] {
            assert_eq!(
                from_json(value).map(format).as_deref(),
                Some("2019-08-28T05:42:41.000Z"),
                "{value}"
            );
        }
        assert_eq!(from_json("null"), None);
        assert_eq!(from_json("{}"), None);
    }

    #[test]
    fn knows_its_own_form() {
        assert!(is_canonical(b"2026-01-02T03:04:05.678Z"));
        assert!(!is_canonical(b"2026-01-02T03:04:05Z"));
        assert!(!is_canonical(b"2026-01-02T03:04:05.678+"));
        assert!(!is_canonical(b"0000-00-00T00:00:00.000Z"));
    }

    #[test]
    fn knows_the_calendar() {
        for (date, exists) in [
            ("2024-02-29", true),
            ("2000-02-29", true),
            ("2025-02-29", false),
            ("1900-02-29", false),
            ("2024-02-30", false),
            ("2026-04-30", true),
            ("2026-04-31", false),
            ("2026-12-31", true),
            ("2026-12-32", false),
        ] {
            let text = format!("{date}T10:00:00.000Z");
            assert_eq!(is_canonical(text.as_bytes()), exists, "{date}");
            assert_eq!(parse(&text).is_some(), exists, "{date}");
        }
        assert_eq!(parse("2016-12-31T23:59:60Z"), None);
    }
}
