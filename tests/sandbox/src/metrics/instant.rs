//! API document, "Retrieve instant metrics".

use serde_json::{Value, json};

use super::table::INSTANT;
use super::{Group, NOBODY, filters, filters_json, grouped, groupings};
use crate::account::{Account, id_of};
use crate::api::{Call, Problem};
use crate::http::Response;

pub fn instant(call: &Call<'_>) -> Result<Response, Problem> {
    let refuse = |message: String| Err(Problem::bad_request(message));
    let metric = call.query("metric").unwrap_or_default();
    if !INSTANT.contains(&metric) {
        return refuse(format!("metric {metric:?} is not valid"));
    }
    let summary = match call.query("summary") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return refuse(format!("summary {other:?} is not valid")),
    };
    let world = call.shared.world();
    let account = &world.account;
    let filters = filters(call, account, &["group"])?;
    let groups: Vec<Group> = match call.query("group_by") {
        None => Vec::new(),
        Some("group") => grouped(call, account, "group", &filters)?,
        Some(other) => return refuse(format!("group_by {other:?} is not valid")),
    };
    let entry = |group: Option<&Group>| {
        let agents = present(account, metric, group.and_then(|group| group.of.as_deref()));
        let resources: Vec<Value> = match summary {
            true => Vec::new(),
            false => agents.iter().map(|id| json!({"id": id})).collect(),
        };
        json!({
            "groupings": groupings(call, group.map(|group| ("group", group))),
            "values": [{"key": metric, "resources": resources, "count": agents.len()}],
        })
    };
    let data: Vec<Value> = match call.query("group_by") {
        None => vec![entry(None)],
        Some(_) => groups.iter().map(|group| entry(Some(group))).collect(),
    };
    let body = json!({"metric": metric, "filters": filters_json(&filters), "data": data});
    Ok(Response::json(200, body.to_string()))
}

/// The ids of the agents who satisfy a metric, of one group or of all.
fn present(account: &Account, metric: &str, group: Option<&str>) -> Vec<String> {
    let counts = |agent: &&Value| {
        let online = agent["login_status"] == true;
        let available = agent["availability_status"] == "AVAILABLE";
        let of_group = group.is_none_or(|group| {
            let groups = agent["groups"].as_array();
            match group {
                NOBODY => groups.is_none_or(Vec::is_empty),
                group => groups.is_some_and(|groups| groups.iter().any(|own| own == group)),
            }
        });
        of_group
            && match metric.rsplit('.').next() {
                Some("online") => online,
                Some("offline") => !online,
                Some("active_on_intelliassign") => online && available,
                Some("inactive_on_intelliassign") => online && !available,
                _ => true,
            }
    };
    account.agents.iter().filter(counts).map(id_of).collect()
}

/// Every metric, for all agents (`group_id` is `all`) and for each group.
pub fn truth(account: &Account) -> Vec<Value> {
    let groups = account.groups.iter().map(|group| Some(id_of(group)));
    let groups: Vec<Option<String>> = std::iter::once(None).chain(groups).collect();
    let row = |metric: &str, group: &Option<String>| {
        let agents = present(account, metric, group.as_deref());
        let resources: Vec<Value> = agents.iter().map(|id| json!({"id": id})).collect();
        json!({
            "metric": metric,
            "group_id": group.as_deref().unwrap_or("all"),
            "resources": resources,
            "count": agents.len(),
        })
    };
    INSTANT
        .iter()
        .flat_map(|metric| groups.iter().map(move |group| row(metric, group)))
        .collect()
}
