//! Records of historical metrics, from the API's answers.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, key_of};
use super::slices::{Interval, Slices};
use super::table::{Aggregator, GroupBy, HISTORICAL, Metric, family};
use crate::freshchat::clock;
use crate::timestamp;

/// How a count is marked in the key, where other metrics have the aggregator.
const COUNT: &str = "count";

/// What one kind of request asks for.
#[derive(Clone, Copy)]
pub struct Query {
    pub metric: &'static Metric,
    pub aggregator: Option<Aggregator>,
    pub group_by: GroupBy,
}

/// The records of an answer.
pub struct Rows {
    /// Each a line of JSON.
    pub text: String,
    /// The start of the oldest slice that has a value.
    pub oldest: Option<DateTime<Utc>>,
    pub read_at: DateTime<Utc>,
}

impl Rows {
    /// These rows and newer ones.
    pub fn and(mut self, newer: Rows) -> Rows {
        self.text.push_str(&newer.text);
        self.oldest = self.oldest.or(newer.oldest);
        self
    }
}

/// One slice of an answer.
#[derive(Deserialize)]
struct Slice {
    start: String,
    end: Option<String>,
    #[serde(deserialize_with = "answer::list")]
    values: Vec<SliceValue>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct SliceValue {
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads the answer to a query for these slices.
///
/// # Errors
/// A syntax error where the body is no JSON, a data error where it isn't of
/// the documented shape.
pub fn rows(body: &str, query: &Query, slices: Slices, x_time: u32) -> serde_json::Result<Rows> {
    let mut rows = Rows {
        text: String::new(),
        oldest: None,
        read_at: clock::now(),
    };
    for mut entry in answer::parse::<Slice>(body, query.group_by)? {
        let mut common = std::mem::take(&mut entry.rest);
        let group = entry.group(query.group_by);
        common.extend(query.properties(slices.interval, group));
        if query.metric.needs_x_time {
            common.insert("x_time".into(), x_time.into());
            if let Some(mut slice) = entry.items.pop() {
                slice.start = timestamp::format(slices.from);
                slice.end = Some(timestamp::format(slices.to));
                answer::push(&slice.row(query, common), &mut rows.text)?;
            }
            continue;
        }
        for slice in entry.items {
            let start = timestamp::parse(&slice.start);
            // Where the API counts the end in, this is the next slice, cut short.
            if start.is_some_and(|start| start >= slices.to) {
                continue;
            }
            rows.oldest = [rows.oldest, start].into_iter().flatten().min();
            answer::push(&slice.row(query, common.clone()), &mut rows.text)?;
        }
    }
    Ok(rows)
}

impl Query {
    /// The properties that all rows of one group have.
    fn properties(&self, interval: Interval, group: Option<String>) -> Map<String, Value> {
        let aggregator = self.aggregator.map_or(COUNT, Aggregator::name);
        let mut properties = Map::new();
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        set("metric", self.metric.name.into());
        set("aggregator", aggregator.into());
        set("interval", interval.name().into());
        set("group_by", self.group_by.name().into());
        set(
            "group_value",
            key_of(self.group_by, group.as_deref()).into(),
        );
        set("metric_family", family(self.metric.name).into());
        if let Some(column) = self.group_by.column() {
            set(column, group.into());
        }
        properties
    }
}

impl Slice {
    /// The record of this slice. The other metrics of a summary have records
    /// of their own; what else stands here has no place in the schema.
    fn row(self, query: &Query, common: Map<String, Value>) -> Map<String, Value> {
        let mut row = self.rest;
        let mut own = None;
        for value in self.values {
            if value.key == query.metric.name {
                row.extend(value.rest);
                own = Some(value.value);
            } else if !HISTORICAL.iter().any(|metric| metric.name == value.key) {
                row.insert(value.key, value.value);
            }
        }
        row.extend(common);
        row.insert("start".into(), self.start.into());
        row.insert("end".into(), self.end.into());
        match own {
            Some(value) if is_number(&value) => row.insert("value".into(), value),
            Some(value) => row.insert("_extra".into(), json!({"value": value})),
            None => None,
        };
        row
    }
}

/// Whether a value is a number; the API writes numbers as text.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => serde_json::from_str::<serde_json::Number>(text.trim()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        timestamp::parse(text).unwrap()
    }

    /// The rows of one day, 2026-05-01, of a metric.
    fn read(metric: &str, group_by: GroupBy, data: Value) -> serde_json::Result<Vec<Value>> {
        let query = Query {
            metric: HISTORICAL.iter().find(|own| own.name == metric).unwrap(),
            aggregator: None,
            group_by,
        };
        let slices = Slices::between(time("2026-05-01"), time("2026-05-02"), Interval::Day);
        let body = json!({ "data": data }).to_string();
        let rows = rows(&body, &query, slices, 17)?;
        let row = |line: &str| serde_json::from_str(line).unwrap();
        Ok(rows.text.lines().map(row).collect())
    }

    fn slice(start: &str, values: Value) -> Value {
        json!({"start": start, "end": "2026-05-02T00:00:00.000Z", "values": values})
    }

    const WAIT: &str = "team_performance.wait_time";

    #[test]
    fn takes_one_metric_of_a_summary_and_loses_nothing_else() {
        let values = json!([
            {"key": "team_performance.response_time", "value": "1.0"},
            {"key": WAIT, "value": "2.0", "unit": "s"},
            {"key": "team_performance.mood", "value": "good"},
        ]);
        let data = json!([{
            "groupings": [{"key": "group", "value": "g"}],
            "series": [slice("2026-05-01T00:00:00.000Z", values)],
            "note": 1,
        }]);
        let rows = read(WAIT, GroupBy::Group, data).unwrap();
        let expected = json!({
            "metric": WAIT, "aggregator": "count", "interval": "1d", "group_by": "group",
            "group_value": "g", "start": "2026-05-01T00:00:00.000Z",
            "end": "2026-05-02T00:00:00.000Z", "metric_family": "team_performance",
            "group_id": "g", "value": "2.0", "unit": "s", "team_performance.mood": "good",
            "note": 1,
        });
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn what_is_no_number_goes_to_extra() {
        for (value, fits) in [
            (json!("4.0"), true),
            (json!("-1e3"), true),
            (json!(7), true),
            (json!(""), false),
            (json!(" "), false),
            (json!(null), false),
            (json!("NaN"), false),
            (json!("1,5"), false),
            (json!([1]), false),
        ] {
            let series = [slice("2026-05-01", json!([{"key": WAIT, "value": value}]))];
            let rows = read(WAIT, GroupBy::None, json!([{ "series": series }])).unwrap();
            let extra = rows[0].get("_extra");
            assert_eq!(rows[0].get("value"), fits.then_some(&value));
            let expected = json!({"value": value});
            assert_eq!(extra, (!fits).then_some(&expected));
        }
    }

    #[test]
    fn a_slice_past_the_end_is_left_to_the_next_run() {
        let values = json!([{"key": WAIT, "value": "1"}]);
        let starts = ["2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"];
        let series = starts.map(|start| slice(start, values.clone()));
        let rows = read(WAIT, GroupBy::None, json!([{ "series": series }])).unwrap();
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn keys_are_never_empty() {
        let entry = |value: Value| {
            let values = json!([{"key": WAIT, "value": "1"}]);
            json!({
                "groupings": [{"key": "agent", "value": value}],
                "series": [slice("2026-05-01", values)],
            })
        };
        let data = json!([entry(json!(null)), entry(json!("a")), entry(json!(5))]);
        let rows = read(WAIT, GroupBy::Agent, data).unwrap();
        let values: Vec<&Value> = rows.iter().map(|row| &row["group_value"]).collect();
        assert_eq!(values, ["none", "a", "5"]);
        assert_eq!(rows[0]["agent_id"], Value::Null);
        // Two groups without an identifier could not be told apart.
        let data = json!([entry(json!(null)), entry(json!(""))]);
        assert!(read(WAIT, GroupBy::Agent, data).unwrap_err().is_data());
    }

    #[test]
    fn an_empty_answer_is_no_error_and_no_answer_is_one() {
        for data in [
            json!([]),
            json!(null),
            json!([{"groupings": null, "series": null}]),
        ] {
            assert_eq!(read(WAIT, GroupBy::None, data).unwrap(), [] as [Value; 0]);
        }
        let query = Query {
            metric: &HISTORICAL[0],
            aggregator: None,
            group_by: GroupBy::None,
        };
        let slices = Slices::between(time("2026-05-01"), time("2026-05-02"), Interval::Day);
        let body = r#"{"success":false}"#;
        assert!(rows(body, &query, slices, 1).is_err_and(|error| error.is_data()));
    }
}
