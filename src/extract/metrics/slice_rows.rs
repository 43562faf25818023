//! Converts the API's answers to records of historical metrics.

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::{self, Members, MetricRows, all, any, key_of, parse, take};
use super::slices::Slices;
use super::table::{Aggregator, GroupBy, HISTORICAL, Metric, family};
use crate::timestamp;

/// Marks a count in the key. Other metrics have the aggregator there.
const COUNT: &str = "count";

/// The interval of a value at a single moment.
const NO_INTERVAL: &str = "none";

/// What a kind of request asks for.
#[derive(Clone, Copy)]
pub struct Query {
    pub metric: &'static Metric,
    pub aggregator: Option<Aggregator>,
    pub group_by: GroupBy,
}

/// The requested time.
#[derive(Clone, Copy)]
pub enum Time {
    /// Each of these slices.
    Slices(Slices),
    /// The time of the call. The API uses the last `x_time` minutes.
    Moment { at: DateTime<Utc>, x_time: u32 },
}

/// Parses the answer to a query.
///
/// # Errors
/// A syntax error if the body is not JSON, a data error if it has no values at
/// all. Problems in a part of it are in the returned rows.
pub fn rows(body: &str, query: &Query, time: Time) -> serde_json::Result<MetricRows> {
    answer::read(body, query.group_by, |mut entry, rows| {
        let group = entry.group.take();
        let mut common = all(std::mem::take(&mut entry.rest));
        common.extend(query.properties(time, group.clone()));
        if let Time::Moment { .. } = time
            && entry.items.len() > 1
        {
            return Err(serde_json::Error::custom(
                "a value for a single moment has several times",
            ));
        }
        for item in &entry.items {
            match query.row(item, time, &common) {
                Ok(None) => {}
                Ok(Some(row)) => {
                    rows.oldest = [rows.oldest, row.start].into_iter().flatten().min();
                    if let Some(value) = &row.value {
                        rows.count(group.as_deref(), value);
                    }
                    rows.push(&row.properties)?;
                }
                Err(problem) => rows.miss(&problem),
            }
        }
        Ok(())
    })
}

/// The record of a slice.
struct SliceRow {
    properties: Map<String, Value>,
    /// The start of the slice, or `None` for a single moment.
    start: Option<DateTime<Utc>>,
    /// The number, as text.
    value: Option<String>,
}

impl Query {
    /// The query's name in the state.
    pub fn name(&self) -> String {
        format!(
            "{} {} {}",
            self.metric.name,
            self.aggregator_name(),
            self.group_by.name()
        )
    }

    fn aggregator_name(&self) -> &'static str {
        self.aggregator.map_or(COUNT, Aggregator::name)
    }

    /// The properties that all rows of a group share.
    fn properties(&self, time: Time, group: Option<String>) -> Map<String, Value> {
        let mut properties = Map::new();
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        let interval = match time {
            Time::Slices(slices) => slices.interval.name(),
            Time::Moment { x_time, .. } => {
                set("x_time", x_time.into());
                NO_INTERVAL
            }
        };
        set("metric", self.metric.name.into());
        set("aggregator", self.aggregator_name().into());
        set("interval", interval.into());
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

    /// The record of an item in a series. `None` if it is after the requested
    /// end, which the API may include.
    fn row(
        &self,
        item: &RawValue,
        time: Time,
        common: &Map<String, Value>,
    ) -> serde_json::Result<Option<SliceRow>> {
        let mut rest: Members = parse(item)?;
        let sent = (take(&mut rest, "start")?, take(&mut rest, "end")?);
        let Some((start, from, to)) = span(sent, time)? else {
            return Ok(None);
        };
        let values = rest.remove("values").map_or(Ok(Vec::new()), answer::list)?;
        let mut properties = all(rest);
        let own = self.own_value(values, &mut properties)?;
        properties.extend(common.clone());
        properties.insert("start".into(), from.into());
        properties.insert("end".into(), to.into());
        let mut value = None;
        match own.map(number) {
            Some(Ok(number)) => {
                properties.insert("value".into(), number.as_str().into());
                value = Some(number);
            }
            Some(Err(other)) => {
                properties.insert("_extra".into(), json!({ "value": other }));
            }
            None => {}
        }
        Ok(Some(SliceRow {
            properties,
            start,
            value,
        }))
    }

    /// The metric's own value. The other metrics of a summary have their own
    /// records. Anything else is not in the schema.
    fn own_value<'a>(
        &self,
        values: Vec<&'a RawValue>,
        row: &mut Map<String, Value>,
    ) -> serde_json::Result<Option<&'a RawValue>> {
        let name = self.metric.name;
        let mut own = None;
        let mut others = Vec::new();
        for value in values {
            let mut rest: Members = parse(value)?;
            let key: Option<String> = take(&mut rest, "key")?;
            let value = rest.remove("value").or_else(|| rest.remove(COUNT));
            match key {
                Some(key) if key == name => {
                    row.extend(all(rest));
                    own = value;
                }
                key => others.push((key, value)),
            }
        }
        for (key, value) in others {
            let is_count = key.as_deref().is_none_or(|key| key == COUNT);
            if is_count && own.is_none() && !self.metric.is_part() {
                own = value;
                continue;
            }
            let key = key.unwrap_or_else(|| COUNT.to_owned());
            if !HISTORICAL.iter().any(|metric| metric.name == key) {
                row.insert(key, value.map_or(Value::Null, any));
            }
        }
        Ok(own)
    }
}

/// The start and end of a row: the start of its slice, and both as they are
/// written.
type SliceTimes = (Option<DateTime<Utc>>, String, Option<String>);

/// The times of a row. If the API doesn't send them, they are known only if a
/// single slice was requested. `None` if the slice was not requested.
///
/// # Errors
/// If the start is missing, or is not a time.
fn span(
    sent: (Option<String>, Option<String>),
    time: Time,
) -> serde_json::Result<Option<SliceTimes>> {
    let slices = match time {
        Time::Moment { at, .. } => {
            let at = timestamp::format(at);
            return Ok(Some((None, at.clone(), Some(at))));
        }
        Time::Slices(slices) => slices,
    };
    let (from, to) = match sent {
        (None, None) if slices.len() == 1 => (
            Some(timestamp::format(slices.from())),
            Some(timestamp::format(slices.to())),
        ),
        sent => sent,
    };
    let from = from.ok_or_else(|| serde_json::Error::custom("a value has no `start`"))?;
    let start = timestamp::parse(&from)
        .ok_or_else(|| serde_json::Error::custom("the `start` of a value is not a time"))?;
    Ok((start < slices.to()).then_some((Some(start), from, to)))
}

/// The text of a number, which the API writes as a string. The error is the
/// value if it is not a number.
fn number(value: &RawValue) -> Result<String, Value> {
    let text = match any(value) {
        Value::String(text) => text,
        // This keeps all digits as they were sent.
        Value::Number(_) => value.get().to_owned(),
        other => return Err(other),
    };
    match serde_json::from_str::<serde_json::Number>(text.trim()) {
        Ok(_) => Ok(text),
        Err(_) => Err(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::slices::Interval;
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        timestamp::parse(text).unwrap()
    }

    fn query(metric: &str, group_by: GroupBy) -> Query {
        Query {
            metric: HISTORICAL.iter().find(|own| own.name == metric).unwrap(),
            aggregator: None,
            group_by,
        }
    }

    /// One day, 2026-05-01.
    fn day() -> Time {
        let slices = Slices::between(time("2026-05-01"), time("2026-05-02"), Interval::Day);
        Time::Slices(slices)
    }

    /// The rows of that day, and what is wrong with the answer.
    fn read(metric: &str, group_by: GroupBy, data: &str) -> (Vec<Value>, Option<String>) {
        read_at(day(), metric, group_by, data)
    }

    fn read_at(
        time: Time,
        metric: &str,
        group_by: GroupBy,
        data: &str,
    ) -> (Vec<Value>, Option<String>) {
        let body = format!("{{\"data\":{data}}}");
        let rows = rows(&body, &query(metric, group_by), time).unwrap();
        let row = |line: &str| serde_json::from_str(line).unwrap();
        (rows.text.lines().map(row).collect(), rows.problem)
    }

    fn slice(start: &str, values: Value) -> Value {
        json!({"start": start, "end": "2026-05-02T00:00:00.000Z", "values": values})
    }

    const WAIT: &str = "team_performance.wait_time";
    const SENT: &str = "team_performance.responses_sent";

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
        let (rows, problem) = read(WAIT, GroupBy::Group, &data.to_string());
        let expected = json!({
            "metric": WAIT, "aggregator": "count", "interval": "1d", "group_by": "group",
            "group_value": "g", "start": "2026-05-01T00:00:00.000Z",
            "end": "2026-05-02T00:00:00.000Z", "metric_family": "team_performance",
            "group_id": "g", "value": "2.0", "unit": "s", "team_performance.mood": "good",
            "note": 1,
        });
        assert_eq!((rows, problem), (vec![expected], None));
    }

    #[test]
    fn what_is_no_number_goes_to_extra() {
        for (value, number, extra) in [
            ("\"4.0\"", Some("4.0"), json!(null)),
            ("\"-1e3\"", Some("-1e3"), json!(null)),
            (
                "0.1234567890123456789012",
                Some("0.1234567890123456789012"),
                json!(null),
            ),
            ("1e999", None, json!("1e999")),
            ("\"1e999\"", None, json!("1e999")),
            ("{\"a\":[1e999]}", None, json!("{\"a\":[1e999]}")),
            ("\"\"", None, json!("")),
            ("\" \"", None, json!(" ")),
            ("null", None, json!(null)),
            ("\"NaN\"", None, json!("NaN")),
            ("\"1,5\"", None, json!("1,5")),
            ("[1]", None, json!([1])),
        ] {
            let series = format!(
                r#"[{{"series":[{{"start":"2026-05-01","values":[{{"key":"{SENT}","value":{value}}}]}}]}}]"#
            );
            let (rows, problem) = read(SENT, GroupBy::None, &series);
            assert_eq!(problem, None);
            assert_eq!(
                rows[0].get("value").and_then(Value::as_str),
                number,
                "{value}"
            );
            let expected = number.is_none().then(|| json!({ "value": extra }));
            assert_eq!(rows[0].get("_extra"), expected.as_ref(), "{value}");
        }
    }

    #[test]
    fn a_count_may_stand_for_the_metrics_name() {
        for value in [
            json!({"key": SENT, "value": "5"}),
            json!({"key": SENT, "count": 5}),
            json!({"key": "count", "value": "5"}),
            json!({"count": 5}),
        ] {
            let data = json!([{"series": [slice("2026-05-01", json!([value]))]}]);
            let (rows, problem) = read(SENT, GroupBy::None, &data.to_string());
            assert_eq!((&rows[0]["value"], problem), (&json!("5"), None), "{value}");
        }
        // A summary has many counts.
        let data =
            json!([{"series": [slice("2026-05-01", json!([{"key": "count", "value": "5"}]))]}]);
        let (rows, _) = read(WAIT, GroupBy::None, &data.to_string());
        assert_eq!(
            (rows[0].get("value"), &rows[0]["count"]),
            (None, &json!("5"))
        );
    }

    #[test]
    fn a_slice_past_the_end_is_left_to_the_next_run() {
        let values = json!([{"key": SENT, "value": "1"}]);
        let starts = ["2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"];
        let series = starts.map(|start| slice(start, values.clone()));
        let (rows, problem) = read(
            SENT,
            GroupBy::None,
            &json!([{"series": series}]).to_string(),
        );
        assert_eq!((rows.len(), problem), (1, None));
    }

    #[test]
    fn times_that_are_not_sent_are_those_that_were_asked_for() {
        let data = json!([{"series": [{"values": [{"key": SENT, "value": "1"}]}]}]).to_string();
        let (rows, problem) = read(SENT, GroupBy::None, &data);
        assert_eq!(problem, None);
        assert_eq!(rows[0]["start"], "2026-05-01T00:00:00.000Z");
        assert_eq!(rows[0]["end"], "2026-05-02T00:00:00.000Z");
        let at = time("2026-05-01T10:07:00Z");
        let (rows, _) = read_at(Time::Moment { at, x_time: 17 }, SENT, GroupBy::None, &data);
        assert_eq!(rows[0]["start"], "2026-05-01T10:07:00.000Z");
        assert_eq!(rows[0]["end"], "2026-05-01T10:07:00.000Z");
        assert_eq!(
            (&rows[0]["interval"], &rows[0]["x_time"]),
            (&json!("none"), &json!(17))
        );
        let two = Slices::between(time("2026-05-01"), time("2026-05-03"), Interval::Day);
        let (rows, problem) = read_at(Time::Slices(two), SENT, GroupBy::None, &data);
        assert_eq!(
            (rows.len(), problem.as_deref()),
            (0, Some("a value has no `start`"))
        );
    }

    #[test]
    fn keys_are_never_empty_and_never_shared() {
        let entry = |value: Value| {
            let values = json!([{"key": SENT, "value": "1"}]);
            json!({
                "groupings": [{"key": "agent", "value": value}],
                "series": [slice("2026-05-01", values)],
            })
        };
        let data = json!([entry(json!("null")), entry(json!("a")), entry(json!(5))]);
        let (rows, problem) = read(SENT, GroupBy::Agent, &data.to_string());
        let values: Vec<&Value> = rows.iter().map(|row| &row["group_value"]).collect();
        assert_eq!(values, ["none", "a", "5"]);
        assert_eq!(problem, None);
        assert_eq!(rows[0]["agent_id"], Value::Null);
        for twice in [json!(null), json!(""), json!("a")] {
            let data = json!([entry(json!("null")), entry(json!("a")), entry(twice)]);
            let (rows, problem) = read(SENT, GroupBy::Agent, &data.to_string());
            assert_eq!(rows.len(), 2);
            assert!(problem.unwrap().contains("have the same group"));
        }
    }

    #[test]
    fn an_odd_part_leaves_the_others() {
        let good = json!({"series": [slice("2026-05-01", json!([{"key": SENT, "value": "1"}]))],
            "groupings": [{"key": "group", "value": "g"}]});
        for odd in [
            json!(5),
            json!({}),
            json!({"series": "none"}),
            json!({"series": [5]}),
            json!({"series": [{"values": [], "start": "soon"}]}),
            json!({"series": [{"values": {}, "start": "2026-05-01"}]}),
        ] {
            let data = json!([odd, good]).to_string();
            let (rows, problem) = read(SENT, GroupBy::Group, &data);
            assert_eq!((rows.len(), problem.is_some()), (1, true), "{odd}");
        }
    }

    #[test]
    fn an_empty_answer_is_no_error_and_no_answer_is_one() {
        for data in ["[]", "null", r#"[{"groupings":null,"series":null}]"#] {
            let (rows, problem) = read(SENT, GroupBy::None, data);
            assert_eq!((rows.len(), problem), (0, None));
        }
        let query = query(SENT, GroupBy::None);
        let body = r#"{"success":false}"#;
        assert!(rows(body, &query, day()).is_err_and(|error| error.is_data()));
    }
}
