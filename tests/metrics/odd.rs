//! Answers that are not of the documented shape.

use chrono::TimeDelta;
use freshchat_sandbox::{OddAnswer, Sandbox, ValueShape};
use serde_json::{Value, json};

use super::{
    Expected, HISTORICAL, METRICS, REQUESTS, STREAM, bookmark, moment, tap, team, text, warnings,
};
use crate::tap::{Run, by_key};

const ODD: &str = "team_performance.responses_sent";

/// An account that answers one metric in another way.
fn answering(odd: OddAnswer) -> Sandbox {
    let mut options = team();
    options.quirks.metrics.odd_metrics = vec![(ODD.to_owned(), odd)];
    Sandbox::start(options)
}

/// What could not be read, from the state.
fn unread(run: &Run) -> Value {
    run.state()["bookmarks"][STREAM]["unread"].clone()
}

#[test]
fn an_odd_answer_loses_nothing_but_itself() {
    for (odd, lost) in [
        (OddAnswer::NoData, 60),
        (OddAnswer::TextSeries, 60),
        (OddAnswer::NoTimes, 60),
        (OddAnswer::FirstWithoutStart, 1),
        (OddAnswer::Status(500), 60),
    ] {
        let sandbox = answering(odd);
        let tap = || {
            tap(&sandbox)
                .set("max_retries", 1)
                .set("retry_base_seconds", 0)
        };
        let run = tap().run();
        run.assert_failed(1, &[STREAM]);
        let from = sandbox.options().today - TimeDelta::days(60);
        let to = bookmark(&run);
        let records = run.records(STREAM);
        let mut expected = Expected::new(&sandbox, from, to).records(moment(&records));
        let lost = from + TimeDelta::days(lost);
        let is_lost = |record: &Value| {
            record["metric"] == ODD && record["start"].as_str().unwrap() < text(lost).as_str()
        };
        let gap: Vec<Value> = expected.iter().filter(|it| is_lost(it)).cloned().collect();
        expected.retain(|record| !is_lost(record));
        assert_eq!(
            by_key(STREAM, records),
            by_key(STREAM, &expected),
            "{odd:?}"
        );
        let span = json!({"from": text(from), "to": text(to)});
        let queries = ["none", "group", "agent"].map(|by| format!("{ODD} count {by}"));
        for query in &queries {
            let words = format!("`{query}` from {} to {}", text(from), text(to));
            let named = warnings(&run).into_iter();
            assert_eq!(named.filter(|it| it.contains(&words)).count(), 1, "{odd:?}");
            let known: Value = unread(&run)[query].clone();
            let time = |name: &str| text(super::time(&known[name]));
            assert_eq!(json!({"from": time("from"), "to": time("to")}), span);
        }
        assert_eq!(warnings(&run).len(), 3, "{:?}", warnings(&run));
        // It stays loud, and the state as it is.
        let second = tap().state(&run.state()).run();
        second.assert_failed(1, &[STREAM]);
        assert_eq!(unread(&second), unread(&run), "{odd:?}");
        // Once the API answers, what was lost comes, and nothing is left over.
        sandbox.with_options(|options| options.quirks.metrics.odd_metrics.clear());
        sandbox.clear_requests();
        let third = tap().state(&second.state()).succeed();
        let records = by_key(STREAM, third.records(STREAM));
        for (key, record) in by_key(STREAM, &gap) {
            assert_eq!(records.get(&key), Some(&record), "{odd:?}");
        }
        assert_eq!(unread(&third), json!(null));
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS + 3);
    }
}

#[test]
fn a_stream_with_no_answer_but_odd_ones_keeps_its_bookmark() {
    let mut options = team();
    options.quirks.metrics.odd_metrics = METRICS
        .iter()
        .map(|(name, ..)| name.split('.').next().unwrap().to_owned())
        .chain(METRICS.iter().map(|(name, ..)| (*name).to_owned()))
        .map(|name| (name, OddAnswer::TextSeries))
        .collect();
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).run();
    run.assert_failed(1, &[STREAM]);
    assert_eq!(run.records(STREAM).len(), 0);
    assert_eq!(run.bookmark(STREAM), json!(null));
}

#[test]
fn a_metric_that_becomes_readable_is_read_from_where_it_was_refused() {
    let sandbox = answering(OddAnswer::Status(403));
    let first = tap(&sandbox).succeed();
    assert_eq!(warnings(&first).len(), 1);
    assert!(warnings(&first)[0].contains(ODD));
    sandbox.clear_requests();
    let second = tap(&sandbox).state(&first.state()).succeed();
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
    sandbox.with_options(|options| options.quirks.metrics.odd_metrics.clear());
    let third = tap(&sandbox).state(&second.state()).succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    let expected = Expected {
        prefix: ODD,
        ..Expected::new(&sandbox, from, bookmark(&third))
    };
    let mut records = third.records(STREAM);
    records.retain(|record| record["metric"] == ODD);
    expected.assert(records);
    assert_eq!(unread(&third), json!(null));
}

#[test]
fn values_come_in_several_shapes() {
    for shape in [ValueShape::CountKey, ValueShape::CountMember] {
        let mut options = team();
        options.quirks.metrics.value_shape = shape;
        options.quirks.metrics.timeless_moments = true;
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox).succeed();
        let from = sandbox.options().today - TimeDelta::days(60);
        Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
        assert_eq!(warnings(&run), [] as [&str; 0]);
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
    }
}

#[test]
fn numbers_beyond_a_float_go_to_extra_as_text() {
    let mut options = team();
    options.quirks.metrics.huge_values = true;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    let is_huge = |record: &&Value| record["_extra"] == json!({"value": "1e999"});
    assert!(run.records(STREAM).into_iter().filter(is_huge).count() > 100);
    assert_eq!(warnings(&run).len(), 1, "{:?}", warnings(&run));
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
}
