//! Instant metrics: how many agents are present, and which.

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::{self, Members, MetricRows, all, any, key_of, parse, take};
use super::grouping::{self, Groups};
use super::misses::{Misses, Noted, Reply, reply};
use super::table::{GroupBy, INSTANT, family};
use crate::error::Result;
use crate::extract::StreamRun;
use crate::freshchat::{Api, Get, clock};
use crate::timestamp;

/// A question to the API.
#[derive(Clone, Copy)]
struct InstantQuestion<'a> {
    api: &'a Api<'a>,
    metric: &'static str,
    group_by: GroupBy,
    retrieved_at: DateTime<Utc>,
}

/// Reads each metric, for the whole account and by group.
///
/// # Errors
/// Any error of the API, but a refusal only if every metric is refused. An
/// unexpected answer is an error at the end, after everything else was read.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    // All rows have the same time, because together they are a snapshot of the
    // account. The bookmark is the start of the run, which no bookmark passes.
    let run = stream_run.run;
    let started_at = run.started_at()?;
    let retrieved_at = clock::now();
    let mut misses = Misses::new(stream_run.stream.name);
    let (api, mut sink) = stream_run.split();
    let question = |metric, group_by| InstantQuestion {
        api,
        metric,
        group_by,
        retrieved_at,
    };
    let questions: Vec<InstantQuestion> = INSTANT
        .into_iter()
        .flat_map(|metric| [GroupBy::None, GroupBy::Group].map(|by| question(metric, by)))
        .collect();
    let groups = Groups::new(run, api);
    groups.ask_all(run.settings.concurrency, &questions, |question, reply| {
        let words = format!("`{} {}`", question.metric, question.group_by.name());
        match misses.note(question.metric, &words, reply)? {
            Noted::Rows(rows) => sink.rows(retrieved_at, rows.text.lines()),
            Noted::Missed | Noted::GivenUp => Ok(()),
        }
    })?;
    misses.settle()?;
    sink.checkpoint(started_at)?;
    misses.conclude("this run has no values for them")
}

impl grouping::Grouped for InstantQuestion<'_> {
    fn group_by(&self) -> GroupBy {
        self.group_by
    }

    fn ask(&self, filter: Option<&str>) -> Result<Reply<MetricRows>> {
        let mut get = Get::new("metrics/instant").with("metric", self.metric);
        if self.group_by != GroupBy::None {
            get = get.with("group_by", self.group_by.name());
        }
        if let Some(filter) = filter {
            get = get.with("filter_by", filter);
        }
        let get = get.with("summary", false);
        reply(self.api.get(&get, |body| self.rows(&body)))
    }
}

impl InstantQuestion<'_> {
    fn rows(&self, body: &str) -> serde_json::Result<MetricRows> {
        answer::read(body, self.group_by, |entry, rows| {
            let group = entry.group.as_deref();
            let rest = all(entry.rest);
            for item in &entry.items {
                let presence = match fields(item) {
                    Ok(presence) => presence,
                    Err(problem) => {
                        rows.miss(&problem);
                        continue;
                    }
                };
                rows.count(group, presence["count"].to_string().trim_matches('"'));
                let mut row = rest.clone();
                row.extend(presence);
                row.insert("group_id".into(), key_of(self.group_by, group).into());
                let retrieved_at = timestamp::format(self.retrieved_at);
                row.insert("retrieved_at".into(), retrieved_at.into());
                rows.push(&row)?;
            }
            Ok(())
        })
    }
}

/// The properties of a value. The agents are objects with an `id` in the
/// document's example, but strings in its table. If they are more than an id,
/// the whole objects are kept too, as something that is not in the schema.
fn fields(item: &RawValue) -> serde_json::Result<Map<String, Value>> {
    let mut rest: Members = parse(item)?;
    let key: String =
        take(&mut rest, "key")?.ok_or_else(|| serde_json::Error::custom("a value has no `key`"))?;
    let count = rest.remove("count").map_or(Value::Null, any);
    let resources: Vec<Value> = take(&mut rest, "resources")?.unwrap_or_default();
    let id = |resource: &Value| match resource {
        Value::String(id) => Some(id.clone()),
        resource => Some(resource["id"].as_str()?.to_owned()),
    };
    let is_plain = |resource: &Value| match resource {
        Value::Object(object) => object.len() == 1 && object.contains_key("id"),
        resource => resource.is_string(),
    };
    let ids: Vec<String> = resources.iter().filter_map(id).collect();
    let mut fields = all(rest);
    if !resources.iter().all(is_plain) {
        fields.insert("resources".into(), resources.into());
    }
    fields.insert("metric_family".into(), family(&key).into());
    fields.insert("metric".into(), key.into());
    fields.insert("count".into(), count);
    fields.insert("agent_ids".into(), json!(ids));
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_strings_or_objects() {
        let fields = |resources: Value| {
            let presence = json!({"key": "team_presence.online", "resources": resources});
            let presence = serde_json::value::to_raw_value(&presence).unwrap();
            fields(&presence).unwrap()
        };
        for plain in [json!(["a", "b"]), json!([{"id": "a"}, {"id": "b"}])] {
            let fields = fields(plain);
            assert_eq!(fields["agent_ids"], json!(["a", "b"]));
            assert_eq!(fields.get("resources"), None);
        }
        let more = json!([{"id": "a", "name": "Ann"}, 5]);
        let fields = fields(more.clone());
        assert_eq!(fields["agent_ids"], json!(["a"]));
        assert_eq!(fields["resources"], more);
    }
}
