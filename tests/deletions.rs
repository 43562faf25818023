//! The stream of what is gone.

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::json;

use crate::missed::{small, walk, walk_of};
use crate::tap::{Run, Tap, account, assert_complete};

/// The entity and the id of each record.
fn told(run: &Run) -> Vec<(String, String)> {
    let records = run.records("deletions").into_iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let pairs = records.map(|record| (text(&record["entity"]), text(&record["id"])));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs
}

#[test]
fn each_child_that_is_gone_is_told_once() {
    let mut options = small(40);
    options.quirks.deleted_conversations = 5;
    options.quirks.shared_conversations = 5;
    let sandbox = Sandbox::start(options);
    let run = walk(&sandbox).succeed();
    let told = told(&run);
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|(entity, _)| entity == "conversations"));
    for (_, id) in &told {
        let requests = sandbox.requests().into_iter();
        assert_eq!(requests.filter(|it| it.path.contains(id)).count(), 2);
    }
    let lines: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| line.contains("deletions"))
        .collect();
    let row: Vec<_> = lines.last().unwrap().split_whitespace().collect();
    assert_eq!(
        (row[1], row[2], row[3], row[5]),
        ("deletions", "5", "0", "complete")
    );
    assert_eq!(run.bookmark("deletions"), run.bookmark("messages"));
    let schema = run
        .messages
        .iter()
        .position(|it| it["type"] == "SCHEMA" && it["stream"] == "deletions");
    assert_eq!(
        run.messages[schema.unwrap()]["key_properties"],
        json!(["entity", "id"])
    );
}

#[test]
fn without_other_streams_it_is_complete() {
    let sandbox = Sandbox::start(account(5));
    let run = Tap::new(&sandbox).streams(&["deletions"]).succeed();
    assert_eq!(run.of_type("RECORD").len(), 0);
    assert_eq!(run.of_type("SCHEMA").len(), 1);
    assert!(run.bookmark("deletions").is_string());
}

#[test]
fn where_it_is_not_selected_nothing_fails() {
    let mut options = small(20);
    options.quirks.deleted_conversations = 2;
    let sandbox = Sandbox::start(options);
    let run = walk_of(&sandbox, &["messages"]).succeed();
    assert_eq!(run.records("deletions").len(), 0);
}

#[test]
fn a_group_that_is_gone_is_told() {
    let mut options = account(2);
    options.sizes.groups = 5;
    let sandbox = Sandbox::start(options);
    let endpoint = "business-hours/within-bh";
    let tap = || {
        Tap::new(&sandbox)
            .set("concurrency", 1)
            .streams(&["business_hours", "deletions"])
    };
    let faults = |faults: Vec<Fault>| sandbox.with_options(|options| options.faults = faults);
    // It passes.
    faults(vec![Fault::new(endpoint, 2, FaultKind::Status(404))]);
    let run = tap().succeed();
    assert_complete(&sandbox, "business_hours", run.records("business_hours"));
    assert_eq!(told(&run), []);
    // It stays: the second look comes behind the others.
    let twice = [2, 6].map(|nth| Fault::new(endpoint, nth, FaultKind::Status(410)));
    faults(twice.into());
    let run = tap().succeed();
    assert_eq!(run.records("business_hours").len(), 4);
    let group = sandbox.truth("groups")[1]["id"].clone();
    let group = group.as_str().map_or(group.to_string(), str::to_owned);
    assert_eq!(told(&run), [("groups".to_owned(), group)]);
    // Another failure ends the stream when the others are read.
    faults(vec![Fault::new(endpoint, 2, FaultKind::Status(400))]);
    let run = tap().run();
    run.assert_failed(1, &["1 of 2 streams failed: business_hours"]);
    assert_eq!(run.records("business_hours").len(), 4);
}

#[test]
fn an_account_without_business_hours_has_lost_no_group() {
    for status in [400, 404] {
        let mut options = account(1);
        options.sizes.groups = 4;
        options.quirks.lacking = vec![("business-hours/within-bh".into(), status)];
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .streams(&["groups", "business_hours", "deletions"])
            .succeed();
        assert_eq!(told(&run), []);
        assert!(
            run.stderr.contains("WARNING stream `business_hours`"),
            "{}",
            run.stderr
        );
        assert_eq!(run.records("groups").len(), 4);
    }
}
