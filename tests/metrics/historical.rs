//! Which records there are, and what is asked for.

use chrono::{TimeDelta, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::{Map, Value, json};

use super::{
    Expected, HISTORICAL, REQUESTS, STREAM, asked, bookmark, floor, is_of_the_moment, last_closed,
    length, moment, tap, team, text, warnings,
};
use crate::tap::{Tap, account, by_key};

#[test]
fn every_documented_metric_with_every_grouping() {
    for (interval, null_grouping) in [("1h", false), ("1d", true), ("1w", false), ("1mo", false)] {
        let mut options = team();
        options.quirks.metrics.null_grouping = null_grouping;
        let sandbox = Sandbox::start(options);
        let now = Utc::now();
        let start = now - length(interval) * 9;
        let run = tap(&sandbox)
            .set("metrics_interval", interval)
            .set("start_date", text(start))
            .succeed();
        let to = bookmark(&run);
        assert!(
            [now, Utc::now()]
                .map(|now| last_closed(interval, now))
                .contains(&to)
        );
        let expected = Expected {
            interval,
            ..Expected::new(&sandbox, floor(interval, start), to)
        };
        let records = run.records(STREAM);
        let moment = moment(&records).unwrap();
        assert!(now - TimeDelta::seconds(2) <= moment && moment <= Utc::now());
        expected.assert(records);
        // One request for all slices of one metric and grouping.
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
        assert_eq!(warnings(&run), [] as [&str; 0]);
        for request in asked(&sandbox) {
            let metric = request.query("metric").unwrap();
            let (from, to, interval, x_time) = match is_of_the_moment(metric) {
                true => (moment - TimeDelta::minutes(15), moment, None, Some("15")),
                false => (expected.from, to, Some(interval), None),
            };
            assert_eq!(request.query("start"), Some(text(from).as_str()));
            assert_eq!(request.query("end"), Some(text(to).as_str()));
            assert_eq!(request.query("interval"), interval);
            assert_eq!(request.query("x_time"), x_time);
            assert_eq!(request.query("filter_by"), None);
        }
    }
}

#[test]
fn each_aggregator_is_a_value_of_its_own() {
    let sandbox = Sandbox::start(team());
    let aggregators = ["min", "max", "avg", "median", "p90"];
    let run = tap(&sandbox)
        .set("metrics_aggregators", json!(aggregators))
        .set("metrics", json!(["team_performance"]))
        .succeed();
    Expected {
        aggregators: &aggregators,
        prefix: "team_performance",
        ..Expected::new(
            &sandbox,
            sandbox.options().today - TimeDelta::days(60),
            bookmark(&run),
        )
    }
    .assert(run.records(STREAM));
    // Five aggregate metrics and one count, each in three groupings.
    assert_eq!(sandbox.count(HISTORICAL), (5 * 5 + 1) * 3);
}

#[test]
fn the_settings_choose_metrics_and_groupings() {
    let sandbox = Sandbox::start(team());
    let run = tap(&sandbox)
        .set(
            "metrics",
            json!([
                "csat_metrics.rating",
                "conversation_metrics.created_interactions"
            ]),
        )
        .set("metrics_group_by", json!(["rating", "none"]))
        .succeed();
    let mut asked: Vec<(String, String)> = asked(&sandbox)
        .iter()
        .map(|request| {
            let of = |name| request.query(name).unwrap_or_default().to_owned();
            (of("metric"), of("group_by"))
        })
        .collect();
    asked.sort();
    let pair = |metric: &str, group_by: &str| (metric.to_owned(), group_by.to_owned());
    assert_eq!(
        asked,
        [
            pair("conversation_metrics.created_interactions", ""),
            pair("csat_metrics.rating", ""),
            pair("csat_metrics.rating", "rating"),
        ]
    );
    let days = (bookmark(&run) - (sandbox.options().today - TimeDelta::days(60))).num_days();
    assert_eq!(run.records(STREAM).len() as i64, days * 7);
    // Not one of the metrics has this grouping.
    let run = tap(&sandbox)
        .set(
            "metrics",
            json!(["conversation_metrics.created_interactions"]),
        )
        .set("metrics_group_by", json!(["rating"]))
        .succeed();
    assert_eq!(run.records(STREAM).len(), 0);
    assert!(warnings(&run)[0].contains("`metrics_group_by`"));
}

#[test]
fn a_name_that_no_document_has_is_refused_with_the_closest() {
    let sandbox = Sandbox::start(account(1));
    for (name, closest) in [
        ("csat_metric.rating", "csat_metrics.rating"),
        ("resolution_times", "team_performance.resolution_time"),
        (
            "conversation_metrics.createdinteractions",
            "conversation_metrics.created_interactions",
        ),
    ] {
        let run = tap(&sandbox)
            .set("metrics", json!(["csat_metrics", name]))
            .run();
        let words = [
            "config.json",
            "`metrics`",
            "entry 2",
            &format!("`{closest}`"),
        ];
        run.assert_failed(2, &words);
        assert!(!run.stderr.contains(&format!("`{name}`")), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    for (setting, value) in [
        ("metrics_interval", json!("1m")),
        ("metrics_group_by", json!(["channel"])),
        ("metrics_group_by", json!([])),
        ("metrics_aggregators", json!(["sum"])),
        ("metrics_x_time_minutes", json!(0)),
    ] {
        tap(&sandbox)
            .set(setting, value)
            .run()
            .assert_failed(2, &[setting]);
    }
    assert_eq!(sandbox.total(), 0);
}

#[test]
fn values_that_are_no_numbers_go_to_extra() {
    let mut options = team();
    options.quirks.metrics.odd_values = true;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    let of = |extra: Value| {
        let records = run.records(STREAM).into_iter();
        records
            .filter(|record| record["_extra"] == extra && record["value"].is_null())
            .count()
    };
    assert!(of(json!({"value": ""})) > 100);
    assert!(of(json!({"value": null})) > 100);
    assert_eq!(warnings(&run).len(), 1, "{:?}", warnings(&run));
    assert!(warnings(&run)[0].contains("`value`"));
}

#[test]
fn slices_that_the_answer_leaves_out_are_no_records() {
    let mut options = team();
    options.quirks.metrics.sparse = true;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    let records = run.records(STREAM);
    let expected = Expected::new(&sandbox, from, bookmark(&run)).records(moment(&records));
    let expected = by_key(STREAM, &expected);
    let records = by_key(STREAM, records);
    assert!(records.len() > expected.len() / 2 && records.len() < expected.len());
    for (key, record) in records {
        assert_eq!(record, expected[&key]);
    }
    assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
}

#[test]
fn an_account_without_groups_has_the_rest() {
    let mut options = account(1);
    options.sizes.agents = 0;
    options.sizes.groups = 0;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&[STREAM, "metrics_instant"])
        .succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
    let instant = run.records("metrics_instant");
    assert_eq!(instant.len(), 5);
    assert!(instant.iter().all(|record| record["group_id"] == "all"));
    assert_eq!(warnings(&run), [] as [&str; 0]);
}

#[test]
fn fields_can_be_deselected() {
    let sandbox = Sandbox::start(team());
    let mut catalog = crate::tap::discovered().clone();
    let streams = catalog["streams"].as_array_mut().unwrap();
    streams.retain(|stream| stream["tap_stream_id"] == STREAM);
    let off: Map<String, Value> = [("selected".to_owned(), json!(false))]
        .into_iter()
        .collect();
    for property in ["end", "metric_family", "start"] {
        let breadcrumb = ["properties", property];
        catalog = crate::tap::with_metadata(&catalog, STREAM, &breadcrumb, off.clone());
    }
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    for record in run.records(STREAM) {
        assert!(record.get("end").is_none() && record.get("metric_family").is_none());
        assert!(record["start"].is_string(), "the key is always in");
    }
}
