//! The text of the live lines, fitted to the terminal. A number is shown
//! completely or not at all.

use std::iter;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Counter, Line, time_of};

/// The columns after the name, from the widest form to the narrowest.
const FORMS: [fn(&Cells) -> Vec<String>; 4] = [
    |it| {
        vec![
            format!("{} records", it.records),
            format!("{} requests", it.requests),
            it.time.clone(),
        ]
    },
    |it| {
        vec![
            format!("{} rec", it.records),
            format!("{} req", it.requests),
            it.time.clone(),
        ]
    },
    |it| vec![format!("{} rec", it.records), it.time.clone()],
    |it| vec![format!("{} rec", it.records)],
];

/// The cells of a stream.
struct Cells {
    records: String,
    requests: String,
    time: String,
}

/// A line, and its priority if there is no room for all.
struct Ranked {
    rank: Rank,
    text: String,
}

#[derive(Clone, Copy, PartialEq, PartialOrd, Eq, Ord)]
enum Rank {
    Wait,
    Working,
    FirstJob,
    /// A report for which nothing was requested yet, as is usual for most of
    /// them.
    Planned,
    Rest,
}

/// The lines: what the run waits for, the streams, and the jobs of each.
pub fn of(
    streams: &[Line],
    wait: Option<(Instant, &str)>,
    now: Instant,
    (width, rows): (usize, usize),
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |rank, text: String| lines.push(Ranked { rank, text });
    if let Some((until, reason)) = wait {
        let left = until.saturating_duration_since(now).as_secs();
        let text = format!("waiting until {} ({left} s): {reason}", time_of(until));
        add(Rank::Wait, cut(&text, width));
    }
    let mut streams: Vec<&Line> = streams.iter().collect();
    // Reports with jobs come after the others, so that these keep their place.
    streams.sort_by_key(|line| (line.rank(), !line.jobs.under_way.is_empty()));
    for (line, text) in streams.iter().zip(table(&streams, now, width)) {
        add(line.rank(), text);
        let jobs = line.jobs.under_way.iter();
        let ranks = iter::once(Rank::FirstJob).chain(iter::repeat(Rank::Rest));
        let planned = line.jobs.planned.iter().map(|text| (Rank::Rest, text));
        for (rank, job) in ranks.zip(jobs).chain(planned) {
            add(rank, cut(&format!("  {job}"), width));
        }
    }
    fit(lines, rows)
}

/// Drops the lines that don't fit, and adds a line with their number.
fn fit(lines: Vec<Ranked>, rows: usize) -> Vec<String> {
    let texts = |lines: Vec<Ranked>| lines.into_iter().map(|line| line.text);
    if lines.len() <= rows {
        return texts(lines).collect();
    }
    if rows < 2 {
        return texts(lines).take(rows).collect();
    }
    let more = lines.len() - (rows - 1);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&at| lines[at].rank);
    let mut shown = order[..rows - 1].to_vec();
    shown.sort_unstable();
    let mut fitting: Vec<String> = shown.iter().map(|&at| lines[at].text.clone()).collect();
    fitting.push(format!("... and {more} more"));
    fitting
}

/// A row for each stream, in the widest form that leaves room for the names.
fn table(streams: &[&Line], now: Instant, width: usize) -> Vec<String> {
    let cells: Vec<Cells> = streams.iter().map(|line| line.cells(now)).collect();
    let longest = streams.iter().map(|line| line.name.len()).max();
    let longest = longest.unwrap_or_default();
    let mut columns = Vec::new();
    for form in FORMS {
        columns = align(cells.iter().map(form).collect());
        let rest = columns.first().map_or(0, String::len);
        if longest + rest <= width {
            break;
        }
    }
    let names = streams.iter().map(|line| line.name);
    names
        .zip(columns)
        .map(|(name, columns)| match width.checked_sub(columns.len()) {
            Some(room @ 1..) => {
                let room = room.min(longest);
                format!("{:room$}{columns}", cut(name, room))
            }
            _ => cut(name, width),
        })
        .collect()
}

/// Right-aligns the cells of each column.
fn align(rows: Vec<Vec<String>>) -> Vec<String> {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
    let widths: Vec<usize> = (0..count).map(|it| width(it).unwrap_or_default()).collect();
    let text = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        cells
            .map(|(cell, width)| format!("  {cell:>width$}"))
            .collect()
    };
    rows.iter().map(text).collect()
}

/// Cuts a text to a width, at the end of a word.
fn cut(text: &str, width: usize) -> String {
    const MORE: &str = "...";
    let Some((end, _)) = text.char_indices().nth(width) else {
        return text.to_owned();
    };
    let words = text[..end]
        .rmatch_indices(' ')
        .map(|(at, _)| text[..at].trim_end());
    let mut fitting = words.filter(|words| words.chars().count() + 1 + MORE.len() <= width);
    match fitting.next() {
        Some(words) if !words.is_empty() => format!("{words} {MORE}"),
        // A single word, such as a stream's name.
        _ => {
            let part: String = text
                .chars()
                .take(width.saturating_sub(MORE.len()))
                .collect();
            format!("{part}{MORE:.width$}")
        }
    }
}

impl Line {
    fn rank(&self) -> Rank {
        let waits = self.jobs.under_way.is_empty() && self.jobs.planned.is_some();
        if waits { Rank::Planned } else { Rank::Working }
    }

    fn cells(&self, now: Instant) -> Cells {
        let count = |counter: &Counter| grouped(counter.load(Ordering::Relaxed));
        Cells {
            records: count(&self.records),
            requests: count(&self.requests),
            time: clock(now.saturating_duration_since(self.started)),
        }
    }
}

/// Hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A number with thousands separators: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::progress::Jobs;

    const WIDE: (usize, usize) = (100, 100);

    fn line(name: &'static str, records: u64, requests: u64, jobs: (&[&str], bool)) -> Line {
        let (under_way, planned) = jobs;
        Line {
            name,
            started: Instant::now(),
            records: Arc::new(AtomicU64::new(records)),
            requests: Arc::new(AtomicU64::new(requests)),
            jobs: Jobs {
                under_way: under_way.iter().map(ToString::to_string).collect(),
                planned: planned.then(|| "2 more to request".to_owned()),
            },
        }
    }

    /// One stream of each kind.
    fn streams() -> Vec<Line> {
        vec![
            line("report_conversation_created", 0, 0, (&[], true)),
            line("report_csat_score", 29, 3, (&["job one", "job two"], true)),
            line("users", 1_234_567, 89, (&[], false)),
        ]
    }

    fn lines(room: (usize, usize)) -> Vec<String> {
        let streams = streams();
        let now = streams[2].started + Duration::from_secs(3661);
        of(&streams, None, now, room)
    }

    #[test]
    fn what_works_comes_before_what_is_planned() {
        assert_eq!(
            lines(WIDE),
            [
                "users                        1,234,567 records  89 requests  1:01:01",
                "report_csat_score                   29 records   3 requests  1:01:01",
                "  job one",
                "  job two",
                "  2 more to request",
                "report_conversation_created          0 records   0 requests  1:01:01",
                "  2 more to request",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_no_part_of_a_number() {
        let users = |width| lines((width, 100)).swap_remove(0);
        let name = format!("{:27}", "users");
        assert_eq!(
            users(68),
            format!("{name}  1,234,567 records  89 requests  1:01:01")
        );
        assert_eq!(users(67), format!("{name}  1,234,567 rec  89 req  1:01:01"));
        assert_eq!(users(59), format!("{name}  1,234,567 rec  89 req  1:01:01"));
        assert_eq!(users(58), format!("{name}  1,234,567 rec  1:01:01"));
        assert_eq!(users(50), format!("{name}  1,234,567 rec"));
        for width in 0..70 {
            for line in lines((width, 100)) {
                assert!(line.len() <= width, "{width}: {line:?}");
                for number in line.split(|it: char| !it.is_ascii_digit() && !",:".contains(it)) {
                    let whole = ["", "0", "1,234,567", "29", "3", "89", "2", "1:01:01"];
                    assert!(whole.contains(&number), "{width}: {line:?}");
                }
            }
        }
        assert_eq!(lines((24, 100))[1], "report...         29 rec");
    }

    #[test]
    fn what_has_no_place_is_counted() {
        let first = |text: &str| text.split("  ").next().unwrap().to_owned();
        let shown = |rows| lines((100, rows)).iter().map(|it| first(it)).collect();
        let shown: Vec<Vec<String>> = (0..=4).map(shown).collect();
        assert_eq!(shown[0], [""; 0]);
        assert_eq!(shown[1], ["users"]);
        assert_eq!(shown[2], ["users", "... and 6 more"]);
        assert_eq!(shown[3], ["users", "report_csat_score", "... and 5 more"]);
        assert_eq!(lines((100, 4))[2..], ["  job one", "... and 4 more"]);
        let all = lines((100, 5));
        assert!(
            all[3].starts_with("report_conversation_created "),
            "{all:?}"
        );
    }

    #[test]
    fn the_wait_is_first_and_always_there() {
        let streams = streams();
        let now = Instant::now();
        let wait = Some((now + Duration::from_secs(40), "3 of 100 calls are left"));
        for rows in 1..10 {
            let lines = of(&streams, wait, now, (80, rows));
            assert!(lines[0].starts_with("waiting until "), "{lines:?}");
            assert!(lines[0].ends_with(" (40 s): 3 of 100 calls are left"));
            assert!(lines.len() <= rows, "{lines:?}");
        }
        let narrow = of(&streams, wait, now, (40, 2)).swap_remove(0);
        assert!(narrow.ends_with(" (40 s): 3 of ..."), "{narrow}");
    }
}
