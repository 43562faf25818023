//! The metric streams are complete against the account, and ask for no more
//! than they need.

mod grouping;
mod historical;
mod instant;
mod limits;
mod odd;
mod slices;

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
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
    /// Whether some values belong to no group or agent.
    nobody: bool,
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
            nobody: false,
        }
    }

    /// The records of the slices, and those of a moment if there is one.
    fn records(&self, moment: Option<DateTime<Utc>>) -> Vec<Value> {
        let mut records = Vec::new();
        for (metric, aggregate, groupings) in METRICS {
            let has_times = !is_of_the_moment(metric) || moment.is_some();
            if !metric.starts_with(self.prefix) || !has_times {
                continue;
            }
            let aggregators = if aggregate { self.aggregators } else { &[""] };
            for aggregator in aggregators {
                for group_by in groupings {
                    for group in self.groups(group_by) {
                        let of = (metric, *aggregator, *group_by, group.as_str());
                        self.series(of, moment, &mut records);
                    }
                }
            }
        }
        records
    }

    fn groups(&self, group_by: &str) -> Vec<String> {
        let mut groups = groups(self.sandbox, group_by);
        if self.nobody && ["group", "agent"].contains(&group_by) {
            groups.push(NOBODY.to_owned());
        }
        groups
    }

    fn series(
        &self,
        (metric, aggregator, group_by, group): (&str, &str, &str, &str),
        moment: Option<DateTime<Utc>>,
        records: &mut Vec<Value>,
    ) {
        let is_moment = is_of_the_moment(metric);
        let slices = slices(self.interval, self.from, self.to);
        let times = match moment.filter(|_| is_moment) {
            Some(moment) => vec![(moment, moment)],
            None => slices,
        };
        let name = (group != NOBODY).then_some(group);
        for (start, end) in times {
            let grouping = (group_by != "none").then_some((group_by, group));
            // The API doesn't look at the time that a moment is asked for.
            let epoch = DateTime::UNIX_EPOCH;
            let (from, to) = if is_moment {
                (epoch, epoch)
            } else {
                (start, end)
            };
            let sent = self
                .sandbox
                .metric_value(metric, aggregator, grouping, from, to);
            let number = sent
                .as_deref()
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            let of = |column: &str| name.filter(|_| group_by == column);
            records.push(json!({
                "metric": metric,
                "aggregator": if aggregator.is_empty() { "count" } else { aggregator },
                "interval": if is_moment { "none" } else { self.interval },
                "group_by": group_by,
                "group_value": name.unwrap_or("none"),
                "start": text(start),
                "end": text(end),
                "metric_family": metric.split('.').next(),
                "group_id": of("group"),
                "agent_id": of("agent"),
                "rating": of("rating"),
                "x_time": is_moment.then_some(15),
                "value": number,
                "_extra": if number.is_some() { Value::Null } else { json!({"value": sent}) },
            }));
        }
    }

    /// Checks that the records are these, no more and no less, each once.
    fn assert(&self, records: Vec<&Value>) {
        let expected = self.records(moment(&records));
        assert_eq!(records.len(), expected.len());
        let expected = by_key(STREAM, &expected);
        let records = by_key(STREAM, records);
        for (key, expected) in &expected {
            assert_eq!(records.get(key), Some(expected), "{key}");
        }
        assert_eq!(records.len(), expected.len());
    }
}

/// The sandbox's name for what belongs to no group or agent.
const NOBODY: &str = "nobody";

/// The moment that the records of moments have, if there are some.
fn moment(records: &[&Value]) -> Option<DateTime<Utc>> {
    let moment = records.iter().find(|record| !record["x_time"].is_null())?;
    Some(time(&moment["start"]))
}

/// The slices between two edges.
fn slices(
    interval: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let next = |start: DateTime<Utc>| match interval {
        "1mo" => start + Months::new(1),
        _ => start + length(interval),
    };
    let starts = std::iter::successors(Some(from), |start| Some(next(*start)));
    starts
        .take_while(|start| *start < to)
        .map(|start| (start, next(start)))
        .collect()
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

/// The length of a slice; of months, the longest.
fn length(interval: &str) -> TimeDelta {
    match interval {
        "1h" => TimeDelta::hours(1),
        "1d" => TimeDelta::days(1),
        "1w" => TimeDelta::weeks(1),
        _ => TimeDelta::days(31),
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
    floor(interval, now - TimeDelta::minutes(5))
}

/// The start of the slice that a time falls into.
fn floor(interval: &str, time: DateTime<Utc>) -> DateTime<Utc> {
    if interval == "1mo" {
        let first = time.date_naive().with_day(1).unwrap();
        return first.and_hms_opt(0, 0, 0).unwrap().and_utc();
    }
    let monday: DateTime<Utc> = "2024-01-01T00:00:00Z".parse().unwrap();
    let length = length(interval).num_seconds();
    monday + TimeDelta::seconds((time - monday).num_seconds().div_euclid(length) * length)
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
