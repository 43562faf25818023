//! Instant metrics: how many agents are present, and who.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, key_of};
use super::refusals::{Refusals, reply};
use super::table::{GroupBy, INSTANT, family};
use crate::error::Result;
use crate::extract::StreamRun;
use crate::extract::pool::in_order;
use crate::freshchat::{Api, Get, clock};
use crate::timestamp;

/// One value of an answer.
#[derive(Deserialize)]
struct Presence {
    key: String,
    #[serde(default)]
    count: Value,
    /// The agents: objects with an `id` in the document's example, strings in
    /// its table.
    #[serde(default, deserialize_with = "answer::list")]
    resources: Vec<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads each metric for the whole account and by group.
///
/// # Errors
/// Any error of the API; a refusal only where every metric is refused.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    // One time for all rows: together they are one look at the account. The
    // bookmark stays at the run's start, which no bookmark passes.
    let started_at = stream_run.run.started_at()?;
    let read_at = clock::now();
    let retrieved_at = timestamp::format(read_at);
    let workers = stream_run.run.settings.concurrency;
    let mut refusals = Refusals::new(stream_run.stream.name);
    let (api, mut sink) = stream_run.split();
    let wanted = INSTANT
        .into_iter()
        .flat_map(|metric| [GroupBy::None, GroupBy::Group].map(|group_by| (metric, group_by)));
    in_order(
        workers,
        wanted,
        |(metric, group_by)| {
            let rows = reply(read(api, metric, group_by, &retrieved_at))?;
            Ok((metric, rows))
        },
        |(metric, rows)| match refusals.note(metric, rows) {
            Some(rows) => sink.rows(read_at, rows.lines(), &[]),
            None => Ok(()),
        },
    )?;
    refusals.settle()?;
    sink.checkpoint(started_at)
}

/// The rows of one metric, each a line of JSON.
fn read(api: &Api, metric: &'static str, group_by: GroupBy, retrieved_at: &str) -> Result<String> {
    let mut get = Get::new("metrics/instant").with("metric", metric);
    if group_by != GroupBy::None {
        get = get.with("group_by", group_by.name());
    }
    let get = get.with("summary", false);
    api.get(&get, |body| {
        let mut rows = String::new();
        for entry in answer::parse::<Presence>(&body, group_by)? {
            let group = entry.group(group_by);
            for presence in entry.items {
                let mut row = entry.rest.clone();
                row.append(&mut fields(presence));
                row.insert("group_id".into(), key_of(group_by, group.as_deref()).into());
                row.insert("retrieved_at".into(), retrieved_at.into());
                answer::push(&row, &mut rows)?;
            }
        }
        Ok(rows)
    })
}

/// The properties of one value. Resources that are more than an identifier
/// stay whole beside the identifiers, as something that the schema lacks.
fn fields(presence: Presence) -> Map<String, Value> {
    let id = |resource: &Value| match resource {
        Value::String(id) => Some(id.clone()),
        resource => Some(resource["id"].as_str()?.to_owned()),
    };
    let is_plain = |resource: &Value| match resource {
        Value::Object(object) => object.len() == 1 && object.contains_key("id"),
        resource => resource.is_string(),
    };
    let ids: Vec<String> = presence.resources.iter().filter_map(id).collect();
    let mut fields = presence.rest;
    if !presence.resources.iter().all(is_plain) {
        fields.insert("resources".into(), presence.resources.into());
    }
    fields.insert("metric_family".into(), family(&presence.key).into());
    fields.insert("metric".into(), presence.key.into());
    fields.insert("count".into(), presence.count);
    fields.insert("agent_ids".into(), json!(ids));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_strings_or_objects() {
        let fields = |resources: Value| {
            let presence = json!({"key": "team_presence.online", "resources": resources});
            fields(serde_json::from_value(presence).unwrap())
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
