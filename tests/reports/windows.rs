//! Which windows are asked for.

use chrono::{DateTime, Months, TimeDelta, Timelike, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::json;

use super::{account, asked, assert_rows, day, tap};
use crate::tap::{calls, catalog_of, with_stream_metadata};

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn windows(sandbox: &Sandbox) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let times = |(_, from, to): (String, String, String)| (time(&from), time(&to));
    asked(sandbox).into_iter().map(times).collect()
}

#[test]
fn months_from_fifteen_months_back_at_most() {
    let sandbox = Sandbox::start(account(3));
    let run = tap(&sandbox, &["report_csat_score"])
        .set("start_date", "2015-05-31")
        .succeed();
    assert!(
        run.stderr
            .contains("WARNING report CSAT-Score: the API has no rows from before")
    );
    let windows = windows(&sandbox);
    let fifteen = Utc::now() - Months::new(15);
    let moved = windows[0].0 - fifteen;
    assert!(
        (TimeDelta::zero()..TimeDelta::days(3)).contains(&moved),
        "{moved}"
    );
    assert!(
        windows
            .iter()
            .all(|(from, to)| from < to && *to - *from <= TimeDelta::days(31))
    );
    assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0));
    let end = windows[windows.len() - 1].1;
    assert!(
        end <= Utc::now()
            && json!(run.bookmark("report_csat_score"))
                == json!(end.format("%FT%T%.3fZ").to_string())
    );
    assert!((15..=17).contains(&windows.len()));
    assert_rows(&sandbox, "report_csat_score", &[&run]);
}

#[test]
fn daily_reports_in_days_and_performance_in_closed_ones() {
    let sandbox = Sandbox::start(account(4));
    let start = sandbox.options().today - TimeDelta::hours(3 * 24 + 7);
    let start = start.format("%FT%TZ").to_string();
    for stream in ["report_chat_transcript", "report_classic"] {
        tap(&sandbox, &[stream])
            .set("start_date", start.as_str())
            .succeed();
        let windows = windows(&sandbox);
        assert_eq!(windows[0].0, time(&start));
        assert!(windows.len() == 4 || windows.len() == 5, "{windows:?}");
        let whole = &windows[..windows.len() - 1];
        assert!(
            whole
                .iter()
                .all(|(from, to)| *to - *from == TimeDelta::days(1))
        );
        assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0));
        sandbox.clear_requests();
    }
    let stream = "report_agent_performance";
    let run = tap(&sandbox, &[stream])
        .set("start_date", start.as_str())
        .succeed();
    let windows = windows(&sandbox);
    let today = sandbox.options().today;
    let expected: Vec<_> = (0..4)
        .map(|back| {
            (
                today - TimeDelta::days(4 - back),
                today - TimeDelta::days(3 - back),
            )
        })
        .collect();
    assert_eq!(windows, expected);
    assert!(
        windows
            .iter()
            .all(|(from, _)| from.num_seconds_from_midnight() == 0)
    );
    assert_eq!(run.bookmark(stream), day(&sandbox, 0));
    assert_rows(&sandbox, stream, &[&run]);
    // The day isn't over: there is nothing to ask for.
    sandbox.clear_requests();
    let second = tap(&sandbox, &[stream]).state(&run.state()).succeed();
    assert_eq!(
        (calls(&sandbox), second.bookmark(stream)),
        (0, run.bookmark(stream))
    );
}

#[test]
fn the_end_date_bounds_a_backfill() {
    let sandbox = Sandbox::start(account(40));
    let stream = "report_csat_score";
    let first = tap(&sandbox, &[stream])
        .set("end_date", day(&sandbox, 10))
        .succeed();
    assert_eq!(first.bookmark(stream), day(&sandbox, 10));
    assert!(
        windows(&sandbox)
            .iter()
            .all(|(_, to)| *to <= time(&day(&sandbox, 10)))
    );
    let later = |run: &crate::tap::Run| {
        let records = run.records(stream);
        records
            .iter()
            .any(|record| record["created_at"].as_str().unwrap() >= day(&sandbox, 10).as_str())
    };
    assert!(!first.records(stream).is_empty() && !later(&first));
    let second = tap(&sandbox, &[stream]).state(&first.state()).succeed();
    assert_rows(&sandbox, stream, &[&first, &second]);
    // A bookmark past the end date: nothing to do.
    sandbox.clear_requests();
    let third = tap(&sandbox, &[stream])
        .set("end_date", day(&sandbox, 10))
        .state(&second.state())
        .succeed();
    assert_eq!(
        (calls(&sandbox), third.bookmark(stream)),
        (0, second.bookmark(stream))
    );
}

#[test]
fn two_overlapping_extractions_give_the_same_ids() {
    let mut options = account(20);
    options.quirks.reports.duplicate_rows = true;
    let sandbox = Sandbox::start(options);
    let streams = ["report_csat_score", "report_message_sent"];
    let first = tap(&sandbox, &streams).succeed();
    let full = streams
        .iter()
        .fold(catalog_of(&streams), |catalog, stream| {
            let node = json!({"replication-method": "FULL_TABLE"});
            with_stream_metadata(&catalog, stream, node.as_object().unwrap().clone())
        });
    let lookback = tap(&sandbox, &streams)
        .set("report_lookback_hours", 10 * 24)
        .state(&first.state())
        .succeed();
    let again = crate::tap::Tap::new(&sandbox)
        .catalog(&full)
        .state(&first.state())
        .succeed();
    for stream in streams {
        assert_rows(&sandbox, stream, &[&first]);
        assert_rows(&sandbox, stream, &[&again]);
        let ids = |run: &crate::tap::Run| -> Vec<String> {
            let records = run.records(stream);
            records
                .iter()
                .map(|record| record["_row_id"].to_string())
                .collect()
        };
        let (first, lookback, again) = (ids(&first), ids(&lookback), ids(&again));
        assert_eq!(first, again);
        assert!(!lookback.is_empty() && lookback.len() < first.len());
        assert!(first.ends_with(&lookback));
    }
}

#[test]
fn rows_that_come_late_are_found_by_the_lookback() {
    let sandbox = Sandbox::start(account(10));
    let stream = "report_csat_score";
    let first = tap(&sandbox, &[stream]).succeed();
    let late = sandbox.options().today - TimeDelta::hours(30);
    sandbox.add_report_row("CSAT-Score", late);
    let second = crate::tap::Tap::new(&sandbox)
        .streams(&[stream])
        .set("report_lookback_hours", 24 * 4)
        .state(&first.state())
        .succeed();
    let both = first
        .records(stream)
        .into_iter()
        .chain(second.records(stream));
    let both = crate::tap::by_key(stream, both);
    assert_eq!(both.len(), sandbox.truth(stream).len());
    assert_eq!(both.len(), first.records(stream).len() + 1);
}
