//! Instant metrics.

use chrono::{TimeDelta, Utc};
use freshchat_sandbox::{DateHeader, Nameless, Sandbox, Unfiltered};
use serde_json::{Value, json};

use super::{INSTANT, time, warnings};
use crate::tap::{Tap, account, by_key};

#[test]
fn instant_metrics_are_one_look_at_all_groups() {
    for null_grouping in [false, true] {
        let mut options = account(1);
        options.quirks.metrics.null_grouping = null_grouping;
        // Two runs in one second can be told apart by this machine's clock.
        options.quirks.date_header = DateHeader::Absent;
        let sandbox = Sandbox::start(options);
        let tap = || Tap::new(&sandbox).streams(&["metrics_instant"]);
        let before = Utc::now() - TimeDelta::milliseconds(1);
        let first = tap().succeed();
        let records = first.records("metrics_instant");
        let retrieved_at = &records[0]["retrieved_at"];
        assert!((before..=Utc::now()).contains(&time(retrieved_at)));
        let expected: Vec<Value> = sandbox
            .truth("metrics_instant")
            .iter()
            .map(|truth| {
                let ids = truth["resources"].as_array().unwrap().iter();
                json!({
                    "metric": truth["metric"],
                    "group_id": truth["group_id"],
                    "retrieved_at": retrieved_at,
                    "metric_family": "team_presence",
                    "count": truth["count"],
                    "agent_ids": ids.map(|agent| &agent["id"]).collect::<Vec<_>>(),
                    "_extra": null,
                })
            })
            .collect();
        assert_eq!(records.len(), 5 * 5);
        assert_eq!(
            by_key("metrics_instant", records.iter().copied()),
            by_key("metrics_instant", &expected)
        );
        assert_eq!(sandbox.count(INSTANT), 10);
        let mut requests = sandbox.requests();
        requests.retain(|request| request.endpoint == INSTANT);
        for request in requests {
            assert_eq!(request.query("summary"), Some("false"));
            assert_eq!(request.query("filter_by"), None);
        }
        assert!(time(&first.bookmark("metrics_instant")) <= time(retrieved_at));
        // Each run appends rows of its own.
        let second = tap().state(&first.state()).succeed();
        let both = first.records("metrics_instant").into_iter();
        let both = both.chain(second.records("metrics_instant"));
        assert_eq!(by_key("metrics_instant", both).len(), 50);
    }
}

#[test]
fn groups_are_found_in_every_kind_of_answer() {
    for (unfiltered, requests) in [
        (Unfiltered::Null, 11),
        (Unfiltered::Nothing, 15),
        (Unfiltered::Refused, 11),
    ] {
        let mut options = account(1);
        options.quirks.metrics.unfiltered = unfiltered;
        let sandbox = Sandbox::start(options);
        let tap = || {
            Tap::new(&sandbox)
                .streams(&["metrics_instant"])
                .set("concurrency", 1)
        };
        let run = tap().succeed();
        let counts = |records: &[&Value]| -> Vec<(String, Value)> {
            let by_key = by_key("metrics_instant", records.iter().copied());
            let count = |(_, record): (_, &Value)| {
                let of = |name: &str| record[name].as_str().unwrap().to_owned();
                (
                    of("metric") + " " + &of("group_id"),
                    record["count"].clone(),
                )
            };
            by_key.into_iter().map(count).collect()
        };
        let mut truth = sandbox.truth("metrics_instant");
        for record in &mut truth {
            record["retrieved_at"] = json!("");
        }
        let mut records = counts(&run.records("metrics_instant"));
        // What nobody of a quiet answer has is no more than was sent.
        records.retain(|(name, count)| !name.ends_with(" none") || *count != 0);
        assert_eq!(records, counts(&truth.iter().collect::<Vec<_>>()));
        assert!(sandbox.count(INSTANT) <= requests, "{unfiltered:?}");
        assert_eq!(warnings(&run), [] as [&str; 0]);
    }
}

#[test]
fn agents_without_a_group_are_counted_for_none() {
    let mut options = account(1);
    options.quirks.metrics.nameless = Nameless::Text;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["metrics_instant"]).succeed();
    let records = run.records("metrics_instant");
    let of_none = records.iter().filter(|record| record["group_id"] == "none");
    assert_eq!((records.len(), of_none.count()), (5 * 6, 5));
    sandbox.with_options(|options| options.quirks.metrics.nameless = Nameless::Both);
    let run = Tap::new(&sandbox).streams(&["metrics_instant"]).run();
    run.assert_failed(1, &["metrics_instant"]);
    assert_eq!(run.records("metrics_instant").len(), 5 * 6);
    assert_eq!(warnings(&run).len(), 5, "{}", run.stderr);
}
