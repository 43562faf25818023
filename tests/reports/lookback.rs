//! How far back reports are read again, and what that costs.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use super::{account, all, asked, day, posts, tap};
use crate::tap::Run;

const LATE: &str = "report_csat_score";

/// How many POSTs there were for each event.
fn posts_by_event(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (event, ..) in asked(sandbox) {
        *counts.entry(event).or_default() += 1;
    }
    counts
}

/// A run of the streams from a state up to so many days before today.
fn run_to(sandbox: &Sandbox, streams: &[&str], state: &Value, back: i64, lookback: Value) -> Run {
    sandbox.clear_requests();
    tap(sandbox, streams)
        .set("report_lookback_hours", lookback)
        .set("end_date", day(sandbox, back))
        .state(state)
        .succeed()
}

/// The state as if that day's run had been yesterday's.
fn of_yesterday(run: &Run) -> Value {
    let mut state = run.state();
    for (_, bookmark) in state["bookmarks"].as_object_mut().unwrap() {
        if bookmark.get("read_back").is_some() {
            bookmark["read_back"]["on"] = json!("2020-01-01");
        }
    }
    state
}

#[test]
fn a_daily_run_of_all_reports_costs_34_requests_and_the_next_one_that_day_22() {
    let mut options = account(40);
    options.sizes.users = 2;
    options.sizes.report_rows = 2;
    let sandbox = Sandbox::start(options);
    let first = tap(&sandbox, &all())
        .set("start_date", day(&sandbox, 1))
        .set("end_date", day(&sandbox, 1))
        .succeed();
    let mut state = first.state();
    for stream in all() {
        state["bookmarks"][stream]["replication_key_value"] = json!(day(&sandbox, 1));
    }
    // As it was: two days for all.
    run_to(&sandbox, &all(), &state, 0, json!(48));
    assert_eq!(posts(&sandbox).len(), 22);
    let daily = run_to(&sandbox, &all(), &state, 0, Value::Null);
    let counts = posts_by_event(&sandbox);
    assert_eq!(posts(&sandbox).len(), 34, "{counts:?}");
    assert_eq!((counts["Classic"], counts["Chat-Transcript"]), (15, 3));
    // The same day: the bookmarks moved by a day, as little as it needs here.
    let mut state = daily.state();
    for stream in all() {
        state["bookmarks"][stream]["replication_key_value"] = json!(day(&sandbox, 1));
    }
    run_to(&sandbox, &all(), &state, 0, Value::Null);
    assert_eq!(posts(&sandbox).len(), 22);
}

#[test]
fn a_long_lookback_is_applied_once_a_day() {
    let sandbox = Sandbox::start(account(40));
    let streams = [LATE, "report_message_sent"];
    let none = Value::Null;
    let first = run_to(&sandbox, &streams, &json!({}), 1, none.clone());
    let today = Utc::now().date_naive();
    assert_eq!(
        first.state()["bookmarks"][LATE]["read_back"],
        json!({"on": today, "hours": 14 * 24})
    );
    assert!(first.state()["bookmarks"][streams[1]]["read_back"].is_null());
    // A rating that came late.
    let late = sandbox.options().today - TimeDelta::days(10);
    sandbox.add_report_row("CSAT-Score", late);
    let hourly = run_to(&sandbox, &streams, &first.state(), 0, none.clone());
    let from: Vec<String> = asked(&sandbox)
        .into_iter()
        .map(|(_, from, _)| from)
        .collect();
    assert_eq!(from, [day(&sandbox, 3), day(&sandbox, 3)]);
    let daily = run_to(&sandbox, &streams, &of_yesterday(&hourly), 0, none);
    let from: BTreeMap<String, String> = asked(&sandbox)
        .into_iter()
        .map(|(event, from, _)| (event, from))
        .collect();
    assert_eq!(from["CSAT-Score"], day(&sandbox, 14));
    assert_eq!(from["Message-Sent"], day(&sandbox, 2));
    // A longer one is due at once.
    run_to(
        &sandbox,
        &[LATE],
        &daily.state(),
        0,
        json!({"CSAT-Score": 480}),
    );
    assert_eq!(asked(&sandbox)[0].1, day(&sandbox, 20));
    let all = [&first, &hourly, &daily];
    let records = all.iter().flat_map(|run| run.records(LATE));
    assert_eq!(
        crate::tap::by_key(LATE, records).len(),
        sandbox.truth(LATE).len()
    );
}

#[test]
fn a_long_lookback_that_was_not_finished_is_applied_again() {
    let sandbox = Sandbox::start(account(40));
    let first = run_to(&sandbox, &[LATE], &json!({}), 1, Value::Null);
    let state = of_yesterday(&first);
    sandbox.with_options(|options| options.quirks.reports.failed_jobs = 99);
    let failed = tap(&sandbox, &[LATE])
        .set("report_lookback_hours", Value::Null)
        .state(&state)
        .run();
    assert_eq!(failed.code, Some(1));
    sandbox.with_options(|options| options.quirks.reports.failed_jobs = 0);
    run_to(&sandbox, &[LATE], &failed.state(), 0, Value::Null);
    assert_eq!(asked(&sandbox)[0].1, day(&sandbox, 15));
}

#[test]
fn the_lookback_is_set_for_all_or_by_event() {
    let sandbox = Sandbox::start(account(40));
    let streams = [LATE, "report_message_sent", "report_classic"];
    let first = run_to(&sandbox, &streams, &json!({}), 1, json!(0));
    for (lookback, expected) in [
        (json!(24), [24, 24, 24]),
        (json!({}), [14 * 24, 48, 14 * 24]),
        (
            json!({"CSAT-Score": 12, "Message-Sent": 0, "Classic": 24.5}),
            [12, 0, 24],
        ),
    ] {
        run_to(&sandbox, &streams, &first.state(), 0, lookback.clone());
        let start = |event: &str| {
            let asked = asked(&sandbox);
            let mut starts = asked.iter().filter(|(own, ..)| own == event);
            chrono::DateTime::parse_from_rfc3339(&starts.next().unwrap().1)
                .unwrap()
                .to_utc()
        };
        let reached = sandbox.options().today - TimeDelta::days(1);
        let found = ["CSAT-Score", "Message-Sent", "Classic"]
            .map(|event| (reached - start(event)).num_hours());
        assert_eq!(found, expected, "{lookback}");
    }
    for (wrong, words) in [
        (json!({"CSAT": 1}), "it has a member with an unknown name"),
        (json!({"CSAT-Score": -1}), "-1 is less than"),
        (json!("long"), "is not of type"),
    ] {
        let run = tap(&sandbox, &streams)
            .set("report_lookback_hours", wrong)
            .run();
        run.assert_failed(2, &["`report_lookback_hours", words]);
    }
    let variable = "TAP_FRESHCHAT_REPORT_LOOKBACK_HOURS";
    for (text, from) in [("72", 4), (r#"{"CSAT-Score": 96}"#, 5)] {
        sandbox.clear_requests();
        tap(&sandbox, &[LATE])
            .set("report_lookback_hours", Value::Null)
            .set("end_date", day(&sandbox, 0))
            .state(&first.state())
            .arg("--config=ENV")
            .env(variable, text)
            .succeed();
        assert_eq!(asked(&sandbox)[0].1, day(&sandbox, from), "{text}");
    }
}

#[test]
fn a_lookback_leaves_half_of_the_budget_to_what_is_new() {
    let sandbox = Sandbox::start(account(40));
    let stream = "report_classic";
    let first = run_to(&sandbox, &[stream], &json!({}), 1, json!(0));
    sandbox.clear_requests();
    let run = tap(&sandbox, &[stream])
        .set("report_lookback_hours", Value::Null)
        .set("report_jobs_per_event_per_day", 8)
        .set("end_date", day(&sandbox, 0))
        .state(&{
            let mut state = first.state();
            state["bookmarks"][stream]["requested_today"]["count"] = json!(0);
            state
        })
        .succeed();
    assert_eq!(posts(&sandbox).len(), 5);
    assert_eq!(run.bookmark(stream), day(&sandbox, 0));
    assert!(
        run.stderr.contains("the lookback is 96 h instead of"),
        "{}",
        run.stderr
    );
}
