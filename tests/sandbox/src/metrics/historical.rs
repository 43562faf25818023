//! API document, "Retrieve historical metrics".

use chrono::Months;
use serde_json::{Value, json};

use super::table::{AGGREGATORS, HISTORICAL, Kind, Metric, is_aggregate};
use super::{Group, filters, filters_json, grouped, groupings};
use crate::api::{Call, Problem};
use crate::clock::{self, DAY, HOUR, MINUTE};
use crate::http::Response;
use crate::quirks::{MetricQuirks, MetricRange, OddAnswer, ValueShape};
use crate::rng::Rng;

/// No more intervals than this in one answer.
const MOST_INTERVALS: usize = 10_000;

/// The value that stands for a number beyond a float.
const HUGE: &str = "1e999";

/// What one value of an answer belongs to; times in milliseconds, both 0 for a metric with
/// `x_time`: "the retrieval calls do not consider the time period".
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The metric, or the part of a summary.
    pub metric: &'a str,
    /// Empty for a count.
    pub aggregator: &'a str,
    /// The key and the value of the grouping.
    pub grouping: Option<(&'a str, &'a str)>,
    pub start: i64,
    pub end: i64,
}

/// The value of a series in one interval, as the API answers it; `None` is null.
pub fn value(seed: u64, series: Series<'_>, quirks: &MetricQuirks) -> Option<String> {
    let (key, group) = series.grouping.unwrap_or_default();
    let name = format!("{}/{}/{key}/{group}", series.metric, series.aggregator);
    let window = (series.start as u64) ^ (series.end as u64).rotate_left(32);
    let mut rng = Rng::of(seed, &name, window);
    let number = rng.below(400);
    match rng.below(9) {
        0 if quirks.odd_values => None,
        1 if quirks.odd_values => Some(String::new()),
        2 if quirks.huge_values => Some(HUGE.to_owned()),
        _ if is_aggregate(series.metric) => Some(format!("{:.2}", number as f64 * 1.25)),
        0..5 => Some(format!("{number}.0")),
        _ => Some(number.to_string()),
    }
}

/// A request whose parameters are all valid.
struct Asked<'a> {
    metric: &'static Metric,
    aggregator: Option<&'a str>,
    interval: Option<&'a str>,
    start: i64,
    end: i64,
}

pub fn historical(call: &Call<'_>) -> Result<Response, Problem> {
    let asked = asked(call)?;
    let intervals = intervals(call, &asked)?;
    let world = call.shared.world();
    let account = &world.account;
    let filters = filters(call, account, &["group", "agent"])?;
    let odd = odd_answer(call, asked.metric.name);
    if let Some(OddAnswer::Status(status)) = odd {
        return Err(Problem::of_status(status));
    }
    let series = |grouping: Option<(&str, &Group)>| {
        let of = grouping.and_then(|(key, group)| Some((key, group.of.as_deref()?)));
        let entries = intervals
            .iter()
            .filter_map(|&window| entry(call, account.seed, &asked, of, window));
        let mut entries: Vec<Value> = entries.collect();
        if odd == Some(OddAnswer::FirstWithoutStart)
            && let Some(Value::Object(first)) = entries.first_mut()
        {
            first.remove("start");
        }
        json!({
            "groupings": groupings(call, grouping),
            "series": match odd {
                Some(OddAnswer::TextSeries) => json!("none"),
                _ => json!(entries),
            },
        })
    };
    let data: Vec<Value> = match call.query("group_by") {
        None => vec![series(None)],
        Some(key) => {
            let groups = grouped(call, account, key, &filters)?;
            groups
                .iter()
                .map(|group| series(Some((key, group))))
                .collect()
        }
    };
    let mut body = json!({
        "metrics": [asked.metric.name],
        "start": clock::text(asked.start),
        "end": clock::text(asked.end),
        "filters": filters_json(&filters),
        "aggregator": asked.aggregator.unwrap_or(" "),
        "interval": asked.interval,
        "data": data,
    });
    if let (Some(OddAnswer::NoData), Value::Object(body)) = (odd, &mut body) {
        body.remove("data");
    }
    let body = body.to_string();
    // No JSON value of this program holds such a number.
    let body = match call.options.quirks.metrics.huge_values {
        true => body.replace(&format!("\"{HUGE}\""), HUGE),
        false => body,
    };
    Ok(Response::json(200, body))
}

fn odd_answer(call: &Call<'_>, metric: &str) -> Option<OddAnswer> {
    let odd = &call.options.quirks.metrics.odd_metrics;
    let found = odd.iter().find(|(name, _)| name == metric);
    found.map(|(_, odd)| *odd)
}

fn asked<'a>(call: &'a Call<'_>) -> Result<Asked<'a>, Problem> {
    let refuse = |message: String| Err(Problem::bad_request(message));
    let name = call.query("metric").unwrap_or_default();
    let Some(metric) = HISTORICAL.iter().find(|metric| metric.name == name) else {
        return refuse(format!("metric {name:?} is not valid"));
    };
    let aggregator = call.query("aggregator");
    match (metric.kind, aggregator) {
        (Kind::Count, Some(_)) => return refuse(format!("{name} takes no aggregator")),
        (Kind::Aggregate, None) => return refuse(format!("{name} needs an aggregator")),
        (_, Some(own)) if !AGGREGATORS.contains(&own) => {
            return refuse(format!("aggregator {own:?} is not valid"));
        }
        _ => (),
    }
    if metric.needs_x_time && call.number("x_time")?.is_none() {
        return refuse(format!("{name} needs x_time"));
    }
    if let Some(group_by) = call.query("group_by")
        && !metric.groupings.contains(&group_by)
    {
        return refuse(format!("{name} is not grouped by {group_by:?}"));
    }
    let (Some(start), Some(end)) = (call.time("start")?, call.time("end")?) else {
        return refuse("start and end are mandatory".to_owned());
    };
    // guessed: a client of the vendor asks metrics with `x_time` for an empty time.
    if start >= end && !metric.needs_x_time {
        return refuse("the end is not after the start".to_owned());
    }
    if let MetricRange::Refuse(back) = call.options.quirks.metrics.range
        && start < call.options.now() - millis(back)
    {
        return refuse("the start lies too far back".to_owned());
    }
    Ok(Asked {
        metric,
        aggregator,
        interval: call.query("interval"),
        start,
        end,
    })
}

/// The intervals that the asked time falls into, cut from its start on.
fn intervals(call: &Call<'_>, asked: &Asked<'_>) -> Result<Vec<(i64, i64)>, Problem> {
    let length = match asked.interval {
        None => return Ok(vec![(asked.start, asked.end)]),
        Some("1m") => MINUTE,
        Some("5m") => 5 * MINUTE,
        Some("15m") => 15 * MINUTE,
        Some("1h") => HOUR,
        Some("1d") => DAY,
        Some("1w") => 7 * DAY,
        Some("1mo") => 0,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "interval {other:?} is not valid"
            )));
        }
    };
    let edge = |number: usize| match length {
        0 => {
            let start = clock::date_time(asked.start);
            let later = start.checked_add_months(Months::new(number as u32));
            later.unwrap_or(start).timestamp_millis()
        }
        _ => asked.start + length * number as i64,
    };
    let most = call.options.quirks.metrics.most_intervals;
    let most = most.unwrap_or(MOST_INTERVALS);
    let mut intervals = Vec::new();
    while edge(intervals.len()) < asked.end {
        if intervals.len() == most {
            return Err(Problem::bad_request("there are too many intervals"));
        }
        let number = intervals.len();
        intervals.push((edge(number), edge(number + 1).min(asked.end)));
    }
    if let MetricRange::Empty(back) = call.options.quirks.metrics.range {
        let oldest = call.options.now() - millis(back);
        intervals.retain(|&(start, _)| start >= oldest);
    }
    Ok(intervals)
}

/// One element of a series; `None` where nothing happened and such intervals are left out.
fn entry(
    call: &Call<'_>,
    seed: u64,
    asked: &Asked<'_>,
    grouping: Option<(&str, &str)>,
    (start, end): (i64, i64),
) -> Option<Value> {
    let quirks = &call.options.quirks.metrics;
    let single = [asked.metric.name];
    let names = match asked.metric.parts {
        [] => &single[..],
        parts => parts,
    };
    let of_the_moment = asked.metric.needs_x_time;
    let values = names.iter().map(|&metric| {
        let aggregator = match is_aggregate(metric) {
            true => asked.aggregator.unwrap_or("avg"),
            false => "",
        };
        let series = Series {
            metric,
            aggregator,
            grouping,
            start: if of_the_moment { 0 } else { start },
            end: if of_the_moment { 0 } else { end },
        };
        let value = value(seed, series, quirks);
        match quirks.value_shape {
            ValueShape::CountKey if names.len() == 1 => json!({"key": "count", "value": value}),
            ValueShape::CountMember if names.len() == 1 => json!({"key": metric, "count": value}),
            _ => json!({"key": metric, "value": value}),
        }
    });
    let values: Vec<Value> = values.collect();
    let quiet = Rng::of(seed, "quiet", start as u64).once_in(3);
    let timeless = of_the_moment && quirks.timeless_moments
        || odd_answer(call, asked.metric.name) == Some(OddAnswer::NoTimes);
    match timeless {
        true => Some(json!({"values": values})),
        false if quirks.sparse && quiet => None,
        false => Some(json!({
            "start": clock::text(start),
            "end": clock::text(end),
            "values": values,
        })),
    }
}

fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}
