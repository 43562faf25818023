//! What the API refuses, or has no values for.

use chrono::{DateTime, TimeDelta, Utc};
use freshchat_sandbox::{Fault, FaultKind, MetricRange, Sandbox};
use serde_json::json;

use super::{
    DAY, Expected, HISTORICAL, INSTANT, REQUESTS, STREAM, bookmark, floor, last_closed, length,
    moment, tap, team, text, warnings,
};
use crate::tap::{Run, Tap, by_key};

/// An account whose historical metrics reach so far back.
fn reaching(range: MetricRange) -> Sandbox {
    let mut options = team();
    options.quirks.metrics.range = range;
    Sandbox::start(options)
}

/// Checks the one warning, which names the time that is left out.
fn assert_warned(run: &Run, from: DateTime<Utc>, to: DateTime<Utc>) {
    let warnings = warnings(run);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for time in [from, to] {
        assert!(
            warnings[0].contains(&text(time)),
            "{} in {warnings:?}",
            text(time)
        );
    }
}

#[test]
fn what_lies_too_far_back_is_left_out_with_a_warning() {
    for (interval, slices, most_tries) in [
        ("1h", 23, 16),
        ("1h", 60, 16),
        ("1d", 6, 10),
        ("1d", 8, 10),
        ("1w", 3, 8),
    ] {
        // The API's edge lies in the middle of a slice, far from the test's.
        let now = Utc::now();
        let from = last_closed(interval, now) - length(interval) * slices;
        let back = now - from + length(interval) / 2;
        let sandbox = reaching(MetricRange::Refuse(back.to_std().unwrap()));
        let tap = || tap(&sandbox).set("metrics_interval", interval);
        let first = tap().succeed();
        let to = bookmark(&first);
        let expected = Expected {
            interval,
            ..Expected::new(&sandbox, from, to)
        };
        expected.assert(first.records(STREAM));
        let start = sandbox.options().today - TimeDelta::days(60);
        assert_warned(&first, floor(interval, start), from);
        let tries = sandbox.count(HISTORICAL) - REQUESTS;
        assert!(
            (3..=most_tries).contains(&tries),
            "{tries} tries for {interval}"
        );
        // The next run asks for what is in reach, also where seven days aren't,
        // and has nothing to warn of.
        sandbox.clear_requests();
        let second = tap().state(&first.state()).succeed();
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
        assert_eq!(warnings(&second), [] as [&str; 0]);
    }
}

#[test]
fn an_account_that_answers_less_than_one_slice_says_so() {
    let sandbox = reaching(MetricRange::Refuse(DAY));
    let tap = || tap(&sandbox).set("metrics", json!(["csat_metrics", "team_performance"]));
    let run = tap().succeed();
    assert_eq!(run.records(STREAM).len(), 0);
    let now = Utc::now();
    let start = sandbox.options().today - TimeDelta::days(60);
    assert_warned(&run, start, last_closed("1d", now));
    assert!(warnings(&run)[0].contains("`metrics_interval`"));
    // The whole, its oldest and its newest day, and the last hour.
    assert_eq!(sandbox.count(HISTORICAL), 4);
    // Nothing was read, and nothing is claimed: hours begin where they can.
    assert_eq!(run.bookmark(STREAM), json!(null));
    let hours = tap()
        .set("metrics_interval", "1h")
        .state(&run.state())
        .succeed();
    assert_eq!(bookmark(&hours), last_closed("1h", now));
}

#[test]
fn empty_answers_are_left_out_with_a_warning() {
    let sandbox = reaching(MetricRange::Empty(DAY * 9));
    let run = tap(&sandbox).succeed();
    let today = sandbox.options().today;
    let from = today - TimeDelta::days(8);
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    assert_warned(&run, today - TimeDelta::days(60), from);
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
    let second = tap(&sandbox).state(&run.state()).succeed();
    assert_eq!(warnings(&second), [] as [&str; 0]);
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS * 2);
    // Not one slice has a value.
    let sandbox = reaching(MetricRange::Empty(DAY));
    let run = tap(&sandbox).succeed();
    let records = run.records(STREAM);
    assert!(records.iter().all(|record| !record["x_time"].is_null()));
    assert_warned(&run, today - TimeDelta::days(60), bookmark(&run));
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
}

#[test]
fn an_api_that_answers_few_slices_at_once_is_asked_for_few() {
    let mut options = team();
    options.quirks.metrics.most_intervals = Some(15);
    let sandbox = Sandbox::start(options);
    let today = sandbox.options().today;
    let from = today - TimeDelta::days(60);
    let run = tap(&sandbox)
        .set("end_date", text(today - TimeDelta::days(20)))
        .succeed();
    assert_eq!(bookmark(&run), today - TimeDelta::days(20));
    assert_eq!(warnings(&run), [] as [&str; 0]);
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    // 40 days, then 20 are too many: each time the oldest is looked at.
    assert_eq!(sandbox.count(HISTORICAL), 4 * (REQUESTS - 6) + 4);
    // One request alone is too much: it is read in halves.
    let sandbox = Sandbox::start(team());
    sandbox.with_options(|options| {
        options.faults = vec![Fault::new(HISTORICAL, 20, FaultKind::Status(400))];
    });
    let run = tap(&sandbox).set("concurrency", 1).succeed();
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    assert_eq!(warnings(&run), [] as [&str; 0]);
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS + 3);
}

#[test]
fn a_token_without_the_permission_skips_the_streams() {
    let mut options = team();
    options.quirks.forbidden = vec![HISTORICAL.to_owned(), INSTANT.to_owned()];
    let sandbox = Sandbox::start(options);
    let streams = ["roles", STREAM, "metrics_instant"];
    let run = Tap::new(&sandbox).streams(&streams).succeed();
    assert_eq!(run.records("roles").len(), 6);
    assert_eq!(run.state()["bookmarks"][STREAM], json!(null));
    let warnings = warnings(&run);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, stream) in warnings.iter().zip(&streams[1..]) {
        assert!(warning.contains(&format!("`{stream}`")) && warning.contains("403"));
    }
    // Each metric is tried once, but for those of the moment.
    assert_eq!(sandbox.count(HISTORICAL), 15);
    assert_eq!(sandbox.count(INSTANT), 10);
}

#[test]
fn a_refused_metric_does_not_fail_the_others() {
    for status in [400, 403, 404] {
        for nth in [1, 7, 44] {
            let sandbox = Sandbox::start(team());
            sandbox.with_options(|options| {
                let fault = Fault::new(HISTORICAL, nth, FaultKind::Status(status));
                // A 400 may be about the time: the oldest and the newest day
                // are tried, and at the beginning also the last hour.
                options.faults = vec![fault.times(match (status, nth) {
                    (400, 1) => 4,
                    (400, _) => 3,
                    _ => 1,
                })];
            });
            let run = tap(&sandbox)
                .set("concurrency", 1)
                .set(
                    "start_date",
                    text(sandbox.options().today - TimeDelta::days(3)),
                )
                .succeed();
            let warnings = warnings(&run);
            assert_eq!(warnings.len(), 1, "{status} {nth} {warnings:?}");
            assert!(warnings[0].contains(&status.to_string()));
            let from = sandbox.options().today - TimeDelta::days(3);
            let records = run.records(STREAM);
            let expected = Expected::new(&sandbox, from, bookmark(&run));
            let expected = expected.records(moment(&records));
            let expected = by_key(STREAM, &expected);
            let missing = expected.len() - by_key(STREAM, records).len();
            assert!(missing > 0 && missing <= 9, "{status} {nth}: {missing}");
            // The next run fills the gap.
            let second = tap(&sandbox).state(&run.state()).succeed();
            let both = run.records(STREAM).into_iter();
            let both = by_key(STREAM, both.chain(second.records(STREAM)));
            let slices = expected
                .iter()
                .filter(|(_, record)| record["x_time"].is_null());
            for (key, record) in slices {
                assert_eq!(both.get(key), Some(record), "{status} {nth}: {key}");
            }
            let unread = |run: &Run| run.state()["bookmarks"][STREAM].get("unread").is_some();
            assert_eq!((unread(&run), unread(&second)), (true, false));
        }
    }
}

#[test]
fn a_failing_request_fails_the_stream_and_keeps_the_bookmark() {
    let mut options = team();
    options.faults = vec![Fault::new(HISTORICAL, 20, FaultKind::Status(500)).times(1000)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).set("max_retries", 2).run();
    run.assert_failed(1, &[STREAM]);
    assert!(!run.records(STREAM).is_empty());
    assert_eq!(run.state(), json!({}));
}
