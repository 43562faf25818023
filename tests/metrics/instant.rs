//! Instant metrics.

use chrono::{SubsecRound, TimeDelta, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use super::time;
use crate::tap::{Tap, account, by_key, calls};

#[test]
fn instant_metrics_are_one_look_at_all_groups() {
    for null_grouping in [false, true] {
        let mut options = account(1);
        options.quirks.metrics.null_grouping = null_grouping;
        let sandbox = Sandbox::start(options);
        let tap = || Tap::new(&sandbox).streams(&["metrics_instant"]);
        let before = Utc::now().trunc_subsecs(0);
        let first = tap().succeed();
        let records = first.records("metrics_instant");
        let retrieved_at = &records[0]["retrieved_at"];
        assert!((before - TimeDelta::milliseconds(1)..Utc::now()).contains(&time(retrieved_at)));
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
        assert_eq!(calls(&sandbox), 10);
        for request in sandbox.requests() {
            assert_eq!(request.query("summary"), Some("false"));
        }
        assert!(time(&first.bookmark("metrics_instant")) <= time(retrieved_at));
        // Each run appends rows of its own.
        let second = tap().state(&first.state()).succeed();
        let both = first.records("metrics_instant").into_iter();
        let both = both.chain(second.records("metrics_instant"));
        assert_eq!(by_key("metrics_instant", both).len(), 50);
    }
}
