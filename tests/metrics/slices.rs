//! From one run to the next: closed slices, chunks and the bookmark.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use freshchat_sandbox::{DateHeader, Sandbox};
use serde_json::{Value, json};

use super::{
    Expected, REQUESTS, STREAM, asked, bookmark, floor, last_closed, tap, team, text, time,
};
use crate::tap::by_key;

#[test]
fn a_second_run_reads_seven_days_again_and_asks_no_more_often() {
    for interval in ["1h", "1d", "1w", "1mo"] {
        let sandbox = Sandbox::start(team());
        let tap = || {
            tap(&sandbox)
                .set("metrics_interval", interval)
                .set("metrics", json!(["csat_metrics"]))
                .set("start_date", text(Utc::now() - TimeDelta::days(40)))
        };
        let first = tap().succeed();
        sandbox.clear_requests();
        let second = tap().state(&first.state()).succeed();
        let from = floor(interval, bookmark(&first) - TimeDelta::days(7));
        let expected = Expected {
            interval,
            prefix: "csat_metrics",
            ..Expected::new(&sandbox, from, bookmark(&second))
        };
        expected.assert(second.records(STREAM));
        assert_eq!(asked(&sandbox).len(), 16);
        for request in asked(&sandbox) {
            assert_eq!(request.query("start"), Some(text(from).as_str()));
        }
        // What came twice came the same.
        let both = first
            .records(STREAM)
            .into_iter()
            .chain(second.records(STREAM));
        let repeated = by_key(STREAM, second.records(STREAM));
        for (key, record) in by_key(STREAM, both) {
            assert!(repeated.get(&key).is_none_or(|again| *again == record));
        }
        // Without a lookback there is nothing to read.
        sandbox.clear_requests();
        let third = tap()
            .set("metrics_lookback_days", 0)
            .state(&second.state())
            .succeed();
        assert_eq!(bookmark(&third), bookmark(&second));
        let records = third.records(STREAM).len();
        assert_eq!((records, asked(&sandbox).len()), (0, 0));
    }
}

#[test]
fn no_slice_is_read_before_it_is_closed() {
    let sandbox = Sandbox::start(team());
    let run = tap(&sandbox).set("start_date", text(Utc::now())).succeed();
    assert_eq!(run.bookmark(STREAM), json!(null));
    let records = run.records(STREAM);
    assert!(records.iter().all(|record| !record["x_time"].is_null()));
    assert_eq!(asked(&sandbox).len(), 6);
}

#[test]
fn each_run_has_its_own_values_of_the_moment() {
    let mut options = team();
    // Two runs in one second can be told apart by this machine's clock.
    options.quirks.date_header = DateHeader::Absent;
    let sandbox = Sandbox::start(options);
    let tap = || {
        let metrics = json!(["conversation_metrics.created_x_mins_ago_and_unassigned"]);
        tap(&sandbox).set("metrics", metrics)
    };
    let first = tap().succeed();
    let second = tap().state(&first.state()).succeed();
    let both = first.records(STREAM).into_iter();
    let both = both.chain(second.records(STREAM));
    assert_eq!(by_key(STREAM, both).len(), 2 * (1 + 2 + 3));
}

/// Sixty days of hours are four chunks.
#[test]
fn a_long_backfill_has_a_checkpoint_after_each_chunk() {
    let sandbox = Sandbox::start(team());
    let tap = || {
        tap(&sandbox)
            .set("metrics_interval", "1h")
            .set("metrics", json!(["csat_metrics.rating"]))
            .set("metrics_group_by", json!(["none", "group"]))
    };
    let whole = tap().succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    let truth = Expected {
        interval: "1h",
        prefix: "csat_metrics.rating",
        ..Expected::new(&sandbox, from, bookmark(&whole))
    };
    let mut truth = truth.records(None);
    truth.retain(|record| record["group_by"] == "none" || record["group_by"] == "group");
    assert_eq!(
        by_key(STREAM, whole.records(STREAM)),
        by_key(STREAM, &truth)
    );
    assert_eq!(asked(&sandbox).len(), 2 * 4);
    // No state claims more than the records before it.
    let mut seen: BTreeMap<String, &Value> = BTreeMap::new();
    let mut states = 0;
    for message in &whole.messages {
        if message["type"] == "RECORD" {
            seen.extend(by_key(STREAM, [&message["record"]]));
        } else if message["type"] == "STATE" {
            let claimed = &message["value"]["bookmarks"][STREAM]["replication_key_value"];
            let claimed = time(claimed);
            let before = truth
                .iter()
                .filter(|record| time(&record["end"]) <= claimed);
            assert!(
                by_key(STREAM, before)
                    .keys()
                    .all(|key| seen.contains_key(key))
            );
            states += 1;
        }
    }
    // One for each chunk, one for the complete stream, and the last one.
    assert_eq!(states, 4 + 1 + 1);
    for kill in 1..8 {
        let first = tap().kill_after(whole.messages.len() * kill / 8);
        let second = tap().state(&first.state()).succeed();
        let both = first
            .records(STREAM)
            .into_iter()
            .chain(second.records(STREAM));
        let both = by_key(STREAM, both);
        for (key, record) in by_key(STREAM, &truth) {
            assert_eq!(both.get(&key), Some(&record), "kill {kill}");
        }
        let again = second.records(STREAM).len() + first.records(STREAM).len();
        // A chunk, which is a quarter of it, and seven of the sixty days.
        assert!(again < truth.len() * 23 / 16, "kill {kill}");
    }
}

#[test]
fn a_bounded_backfill_has_no_metrics_of_the_moment() {
    let sandbox = Sandbox::start(team());
    let today = sandbox.options().today;
    let run = tap(&sandbox)
        .set(
            "end_date",
            text(today - TimeDelta::days(20) + TimeDelta::hours(7)),
        )
        .succeed();
    let to = today - TimeDelta::days(20);
    assert_eq!(bookmark(&run), to);
    Expected::new(&sandbox, today - TimeDelta::days(60), to).assert(run.records(STREAM));
    assert_eq!(asked(&sandbox).len(), REQUESTS - 6);
}

#[test]
fn a_changed_interval_goes_on_from_the_bookmark() {
    let sandbox = Sandbox::start(team());
    let days = tap(&sandbox).succeed();
    let weeks = tap(&sandbox)
        .set("metrics_interval", "1w")
        .state(&days.state())
        .succeed();
    let to = last_closed("1w", bookmark(&days) + TimeDelta::minutes(5));
    Expected {
        interval: "1w",
        ..Expected::new(
            &sandbox,
            floor("1w", bookmark(&days) - TimeDelta::days(7)),
            to,
        )
    }
    .assert(weeks.records(STREAM));
    assert_eq!(bookmark(&weeks), bookmark(&days), "it never goes back");
}
