//! The metric streams are complete against the account, and ask for no more
//! than they need.

mod historical;
mod instant;
mod limits;
mod slices;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freshchat_sandbox::{Options, Request, Sandbox};
use serde_json::{Value, json};

use crate::tap::{Run, Tap, account, by_key};

const HISTORICAL: &str = "metrics/historical";
const INSTANT: &str = "metrics/instant";
const STREAM: &str = "metrics_historical";

const ALL: &[&str] = &["none", "group", "agent"];
const DAY: Duration = Duration::from_secs(86_400);

/// The metrics of the API document: name, whether aggregate, groupings.
const METRICS: [(&str, bool, &[&str]); 17] = [
    ("csat_metrics.satisfactory_interactions", false, ALL),
    ("csat_metrics.unsatisfactory_interactions", false, ALL),
    ("csat_metrics.total_rated_interactions", false, ALL),
    ("csat_metrics.count_per_rating", true, ALL),
    (
        "csat_metrics.rating",
        false,
        &["none", "group", "agent", "rating"],
    ),
    (
        "conversation_metrics.created_interactions",
        false,
        &["none"],
    ),
    ("conversation_metrics.assigned_interactions", false, ALL),
    ("conversation_metrics.resolved_interactions", false, ALL),
    (
        "conversation_metrics.assigned_x_mins_ago_and_not_replied_to",
        false,
        ALL,
    ),
    (
        "conversation_metrics.created_x_mins_ago_and_unassigned",
        false,
        ALL,
    ),
    ("conversation_metrics.wait_time", true, ALL),
    ("team_performance.first_response_time", true, ALL),
    ("team_performance.response_time", true, ALL),
    ("team_performance.resolution_time", true, ALL),
    ("team_performance.wait_time", true, ALL),
    ("team_performance.responses_sent", false, ALL),
    ("team_performance.concurrency_ratio", true, ALL),
];

/// Requests for all of them, by default: one for each metric and grouping.
const REQUESTS: usize = 50;

fn is_of_the_moment(metric: &str) -> bool {
    metric.contains("_x_mins_ago_")
}

/// What to expect of a run.
struct Expected<'a> {
    sandbox: &'a Sandbox,
    interval: &'a str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    aggregators: &'a [&'a str],
    /// What the names of the metrics begin with.
    prefix: &'a str,
}

impl<'a> Expected<'a> {
    fn new(sandbox: &'a Sandbox, from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self {
            sandbox,
            interval: "1d",
            from,
            to,
            aggregators: &["avg"],
            prefix: "",
        }
    }

    fn length(&self) -> TimeDelta {
        length(self.interval)
    }

    fn records(&self) -> Vec<Value> {
        let mut records = Vec::new();
        for (metric, aggregate, groupings) in METRICS {
            if !metric.starts_with(self.prefix) {
                continue;
            }
            let aggregators = if aggregate { self.aggregators } else { &[""] };
            for aggregator in aggregators {
                for group_by in groupings {
                    for group in groups(self.sandbox, group_by) {
                        self.series(metric, aggregator, group_by, &group, &mut records);
                    }
                }
            }
        }
        records
    }

    fn series(
        &self,
        metric: &str,
        aggregator: &str,
        group_by: &str,
        group: &str,
        records: &mut Vec<Value>,
    ) {
        let mut start = match is_of_the_moment(metric) {
            true => self.to - self.length(),
            false => self.from,
        };
        while start < self.to {
            let end = start + self.length();
            let grouping = (group_by != "none").then_some((group_by, group));
            let sent = self
                .sandbox
                .metric_value(metric, aggregator, grouping, start, end);
            let number = sent
                .as_deref()
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            let of = |column: &str| (group_by == column).then_some(group);
            records.push(json!({
                "metric": metric,
                "aggregator": if aggregator.is_empty() { "count" } else { aggregator },
                "interval": self.interval,
                "group_by": group_by,
                "group_value": group,
                "start": text(start),
                "end": text(end),
                "metric_family": metric.split('.').next(),
                "group_id": of("group"),
                "agent_id": of("agent"),
                "rating": of("rating"),
                "x_time": is_of_the_moment(metric).then_some(15),
                "value": number,
                "_extra": if number.is_some() { Value::Null } else { json!({"value": sent}) },
            }));
            start = end;
        }
    }

    /// Checks that the records are these, no more and no less, each once.
    fn assert(&self, records: Vec<&Value>) {
        let expected = self.records();
        assert_eq!(records.len(), expected.len());
        let expected = by_key(STREAM, &expected);
        let records = by_key(STREAM, records);
        for (key, expected) in &expected {
            assert_eq!(records.get(key), Some(expected), "{key}");
        }
        assert_eq!(records.len(), expected.len());
    }
}

/// The values of a grouping, from the account's lists.
fn groups(sandbox: &Sandbox, group_by: &str) -> Vec<String> {
    let list = match group_by {
        "none" => return vec!["all".to_owned()],
        "rating" => return (1..=5).map(|rating| rating.to_string()).collect(),
        "group" => sandbox.truth("groups"),
        _ => sandbox.truth("agents"),
    };
    list.iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect()
}

fn length(interval: &str) -> TimeDelta {
    match interval {
        "1h" => TimeDelta::hours(1),
        "1d" => TimeDelta::days(1),
        _ => TimeDelta::weeks(1),
    }
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// The end of the last slice that is closed five minutes after it.
fn last_closed(interval: &str, now: DateTime<Utc>) -> DateTime<Utc> {
    let monday: DateTime<Utc> = "2024-01-01T00:00:00Z".parse().unwrap();
    let passed = now - TimeDelta::minutes(5) - monday;
    let length = length(interval).num_seconds();
    monday + TimeDelta::seconds(passed.num_seconds() / length * length)
}

fn bookmark(run: &Run) -> DateTime<Utc> {
    time(&run.bookmark(STREAM))
}

fn tap(sandbox: &Sandbox) -> Tap {
    Tap::new(sandbox).streams(&[STREAM])
}

fn warnings(run: &Run) -> Vec<&str> {
    run.stderr
        .lines()
        .filter(|line| line.starts_with("WARNING"))
        .collect()
}

fn asked(sandbox: &Sandbox) -> Vec<Request> {
    let mut requests = sandbox.requests();
    requests.retain(|request| request.endpoint == HISTORICAL);
    requests
}

/// An account with a small team.
fn team() -> Options {
    let mut options = account(1);
    options.sizes.agents = 3;
    options.sizes.groups = 2;
    options
}
