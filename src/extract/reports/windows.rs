//! The windows for which a report is requested.

use chrono::{DateTime, Days, Months, NaiveTime, SubsecRound, TimeDelta, Utc};

use crate::extract::window::Window;
use crate::freshchat::reports::ReportPart;

/// The API refuses an earlier start (API document, "Extract a report").
const OLDEST: Months = Months::new(15);

/// A safety margin to that limit, because windows may be requested long after
/// they were planned.
const EDGE: TimeDelta = TimeDelta::days(1);

/// The largest gap between adjacent parts: their times may be in whole seconds,
/// or their end may be inclusive.
const COARSEST: TimeDelta = TimeDelta::seconds(1);

/// How the time of a report is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// Into months at most.
    Months,
    /// Into 24 hours at most.
    Days,
    /// Into complete UTC days, because rows are sums over the window.
    ClosedDays,
}

impl Cut {
    /// Splits a window. The resulting windows are in order, not empty, and
    /// don't overlap.
    pub fn windows(self, whole: Window) -> Vec<Window> {
        let whole = match self {
            Cut::ClosedDays => Window {
                from: midnight(whole.from),
                to: midnight(whole.to),
            },
            // The API's resolution is no finer. A shorter window would be empty
            // there.
            Cut::Months | Cut::Days => Window {
                from: whole.from.trunc_subsecs(3),
                to: whole.to.trunc_subsecs(3),
            },
        };
        let mut windows = Vec::new();
        let mut from = whole.from;
        while from < whole.to {
            let to = self.longest_from(from).min(whole.to);
            windows.push(Window { from, to });
            from = to;
        }
        windows
    }

    /// The end of the longest window that starts here, later than its start.
    fn longest_from(self, from: DateTime<Utc>) -> DateTime<Utc> {
        let to = match self {
            // The API allows a calendar month, which is 31 days at most.
            Cut::Months => from.checked_add_months(Months::new(1)),
            Cut::Days | Cut::ClosedDays => from.checked_add_days(Days::new(1)),
        };
        to.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// The times in a job's window that no part covers. Parts without times are
/// assumed to cover all of it.
pub fn holes(job: Window, parts: &[ReportPart]) -> Vec<Window> {
    let mut times = Vec::new();
    for part in parts {
        let (Some(from), Some(to)) = (part.from, part.to) else {
            return Vec::new();
        };
        times.push(Window { from, to });
    }
    if times.is_empty() {
        return Vec::new();
    }
    times.sort_by_key(|time| time.from);
    times.push(Window {
        from: job.to,
        to: job.to,
    });
    let mut holes = Vec::new();
    let mut from = job.from;
    for time in times {
        let to = time.from.min(job.to);
        if to - from > COARSEST {
            holes.push(Window { from, to });
        }
        from = from.max(time.to);
    }
    holes
}

/// The first time that two parts of a job both cover.
pub fn overlap(parts: &[ReportPart]) -> Option<Window> {
    let mut reached: Option<DateTime<Utc>> = None;
    for part in parts {
        let (Some(from), Some(to)) = (part.from, part.to) else {
            continue;
        };
        if let Some(reached) = reached.filter(|reached| *reached > from) {
            let to = reached.min(to);
            return Some(Window { from, to });
        }
        reached = reached.max(Some(to));
    }
    None
}

/// The earliest start that the API accepts now.
pub fn oldest_start(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_months(OLDEST)
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
        + EDGE
}

fn midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    time.date_naive().and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::{format, parse};

    fn windows(cut: Cut, from: &str, to: &str) -> Vec<String> {
        let whole = Window {
            from: parse(from).unwrap(),
            to: parse(to).unwrap(),
        };
        let day = |time| format(time)[5..16].to_owned();
        let text = |window: Window| format!("{} {}", day(window.from), day(window.to));
        cut.windows(whole).into_iter().map(text).collect()
    }

    #[test]
    fn cuts_as_the_api_allows() {
        assert_eq!(
            windows(Cut::Months, "2026-01-31T10:00:00Z", "2026-04-02"),
            [
                "01-31T10:00 02-28T10:00",
                "02-28T10:00 03-28T10:00",
                "03-28T10:00 04-02T00:00"
            ]
        );
        assert_eq!(
            windows(Cut::Days, "2026-01-01T10:00:00Z", "2026-01-02T11:00:00Z"),
            ["01-01T10:00 01-02T10:00", "01-02T10:00 01-02T11:00"]
        );
        assert_eq!(
            windows(
                Cut::ClosedDays,
                "2026-01-01T10:00:00Z",
                "2026-01-03T11:00:00Z"
            ),
            ["01-01T00:00 01-02T00:00", "01-02T00:00 01-03T00:00"]
        );
        for cut in [Cut::Months, Cut::Days, Cut::ClosedDays] {
            assert!(windows(cut, "2026-01-01", "2026-01-01").is_empty());
        }
        assert!(windows(Cut::ClosedDays, "2026-01-01", "2026-01-01T23:00:00Z").is_empty());
        let (from, to) = ("2026-01-01T00:00:00.0001Z", "2026-01-01T00:00:00.0009Z");
        assert!(windows(Cut::Months, from, to).is_empty());
    }

    #[test]
    fn finds_what_no_part_is_about() {
        let day = |day: i64| parse("2026-01-01").unwrap() + TimeDelta::days(day);
        let window = |from, to| Window {
            from: day(from),
            to: day(to),
        };
        let part = |from, to| ReportPart {
            link: String::new(),
            from: Some(day(from)),
            to: Some(day(to)),
        };
        let mut inclusive = part(0, 4);
        inclusive.to = inclusive.to.map(|to| to - TimeDelta::milliseconds(1000));
        let mut unknown = part(0, 1);
        unknown.to = None;
        for (parts, expected) in [
            (vec![part(0, 4), part(4, 9)], vec![]),
            (vec![part(5, 9), part(-1, 5)], vec![]),
            (vec![inclusive, part(4, 20)], vec![]),
            (vec![unknown], vec![]),
            (vec![], vec![]),
            (
                vec![part(2, 4), part(1, 3), part(6, 7)],
                vec![window(0, 1), window(4, 6), window(7, 9)],
            ),
            (vec![part(-5, -3)], vec![window(0, 9)]),
            (vec![part(12, 13)], vec![window(0, 9)]),
        ] {
            assert_eq!(holes(window(0, 9), &parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn finds_what_two_parts_are_about() {
        let day = |day: i64| parse("2026-01-01").unwrap() + TimeDelta::days(day);
        let part = |from, to| ReportPart {
            link: String::new(),
            from: Some(day(from)),
            to: Some(day(to)),
        };
        let unknown = ReportPart {
            to: None,
            ..part(1, 1)
        };
        for (parts, expected) in [
            (vec![], None),
            (vec![part(0, 2), unknown, part(2, 5)], None),
            (vec![part(0, 2), part(0, 2)], Some((0, 2))),
            (vec![part(0, 5), part(1, 3), part(4, 6)], Some((1, 3))),
            (vec![part(0, 5), part(4, 6)], Some((4, 5))),
        ] {
            let expected = expected.map(|(from, to)| Window {
                from: day(from),
                to: day(to),
            });
            assert_eq!(overlap(&parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn every_window_is_a_month_at_most_and_follows_the_one_before() {
        let whole = Window {
            from: parse("2024-01-31").unwrap(),
            to: parse("2026-03-01").unwrap(),
        };
        let windows = Cut::Months.windows(whole);
        assert_eq!(
            (windows[0].from, windows[windows.len() - 1].to),
            (whole.from, whole.to)
        );
        assert!(
            windows
                .iter()
                .all(|window| window.to - window.from <= TimeDelta::days(31))
        );
        assert!(windows.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
