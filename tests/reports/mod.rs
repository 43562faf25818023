//! Raw reports: what comes out, and what the account saw of it.

mod bad_files;
pub mod files;
mod identity;
mod jobs;
mod kills;
mod limits;
mod links;
mod lookback;
mod pace;
mod resume;
mod shapes;
mod switches;
mod windows;

use std::collections::{BTreeMap, HashSet};

use freshchat_sandbox::{Options, Request, Sandbox, Sizes};
use serde_json::Value;

use crate::tap::{Run, Tap, discovered, typed};

/// The 16 report streams.
pub fn all() -> Vec<&'static str> {
    let streams = discovered()["streams"].as_array().unwrap();
    let names = streams
        .iter()
        .map(|entry| entry["stream"].as_str().unwrap());
    let reports: Vec<&str> = names.filter(|name| name.starts_with("report_")).collect();
    assert_eq!(reports.len(), 16);
    reports
}

/// A small account of so many days.
pub fn account(days: u32) -> Options {
    Options {
        days,
        sizes: Sizes {
            users: 20,
            agents: 4,
            report_rows: 30,
            ..Sizes::default()
        },
        ..Options::default()
    }
}

/// A run of report streams that reads nothing twice.
pub fn tap(sandbox: &Sandbox, streams: &[&str]) -> Tap {
    Tap::new(sandbox)
        .set("report_lookback_hours", 0)
        .streams(streams)
}

/// A time so many days before the end of the account's data.
pub fn day(sandbox: &Sandbox, back: i64) -> String {
    let day = sandbox.options().today - chrono::TimeDelta::days(back);
    day.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The POSTs that asked for a report, in order.
pub fn posts(sandbox: &Sandbox) -> Vec<Request> {
    let mut requests = sandbox.requests();
    requests.retain(|request| request.endpoint == "reports/raw");
    requests
}

/// What was asked for: event, start and end of each POST, in order.
pub fn asked(sandbox: &Sandbox) -> Vec<(String, String, String)> {
    let asked = |request: &Request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("event"), text("start"), text("end"))
    };
    posts(sandbox).iter().map(asked).collect()
}

/// What was asked for, each with how often.
pub fn asked_counts(sandbox: &Sandbox) -> BTreeMap<(String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for window in asked(sandbox) {
        *counts.entry(window).or_insert(0) += 1;
    }
    counts
}

/// Checks that the runs delivered the truth of a report stream: each row once,
/// in the order of time, with every value as its type wants it and nothing
/// beside, and each under an id of its own.
pub fn assert_rows(sandbox: &Sandbox, stream: &str, runs: &[&Run]) {
    assert_rows_with(sandbox, stream, runs, |_, record| record);
}

/// The same, where the expected records are not quite the truth.
pub fn assert_rows_with(
    sandbox: &Sandbox,
    stream: &str,
    runs: &[&Run],
    change: impl Fn(usize, Value) -> Value,
) {
    let records: Vec<&Value> = runs.iter().flat_map(|run| run.records(stream)).collect();
    let truth = sandbox.truth(stream);
    assert_eq!(records.len(), truth.len(), "{stream}");
    let mut ids = HashSet::new();
    for (at, (record, row)) in records.iter().zip(&truth).enumerate() {
        let mut expected = change(at, typed(stream, row));
        if let Some(id) = record.get("_row_id") {
            assert!(ids.insert(id.as_str().unwrap()), "{stream}: {id} again");
            expected["_row_id"] = id.clone();
        }
        assert_eq!(**record, expected, "{stream} {at}");
    }
}

/// Checks that a run delivered the truth of a report stream in any order, each
/// row once and under an id of its own; the ids, sorted.
pub fn assert_rows_in_any_order(sandbox: &Sandbox, stream: &str, run: &Run) -> Vec<String> {
    let mut ids = Vec::new();
    let mut records = Vec::new();
    for record in run.records(stream) {
        let mut record = record.clone();
        let id = record
            .as_object_mut()
            .unwrap()
            .insert("_row_id".into(), Value::Null);
        ids.push(id.unwrap().as_str().unwrap().to_owned());
        records.push(record.to_string());
    }
    let truth = sandbox.truth(stream);
    let mut expected: Vec<String> = truth
        .iter()
        .map(|row| typed(stream, row).to_string())
        .collect();
    records.sort();
    expected.sort();
    assert_eq!(records, expected, "{stream}");
    ids.sort();
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "{stream}: an id comes again"
    );
    ids
}
