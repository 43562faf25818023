//! The endpoints whose answer is a small list or a single object.

use serde_json::{Value, json};

use super::{Call, Problem, paging};
use crate::http::Response;
use crate::quirks::FieldsAnswer;

/// The lists and objects that are read as they are.
pub fn plain(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    let account = &world.account;
    let quirks = &call.options.quirks;
    let whole = |body: Value| Ok(Response::json(200, body.to_string()));
    match call.endpoint {
        "accounts/configuration" if quirks.wrapped_account => {
            whole(json!({"configuration": account.account}))
        }
        "accounts/configuration" => whole(account.account.clone()),
        "agents/status" => whole(json!({"states": account.agent_statuses})),
        "agents" => paging::list(call, "agents", "agent", agents(call, &account.agents), true),
        "roles" => paging::list(call, "roles", "role", account.roles.clone(), true),
        "groups" if quirks.lists_ignore_page => whole(json!({"groups": account.groups})),
        "groups" => {
            let groups = account.groups.clone();
            paging::list(call, "groups", "group", groups, quirks.lists_envelope)
        }
        "channels" if quirks.lists_ignore_page => whole(json!({"channels": account.channels})),
        "channels" => {
            let channels = channels(call, &account.channels);
            paging::list(call, "channels", "channel", channels, quirks.lists_envelope)
        }
        "outbound-messages" => {
            let mut messages = account.outbound(quirks.outbound_to);
            if let Some(request) = call.query("request_id") {
                messages.retain(|message| message["request_id"] == request);
            }
            whole(json!({"outbound_messages": messages}))
        }
        _ => Err(Problem::of_status(404)),
    }
}

/// The agents that fit the filters (API document, "List all agents").
fn agents(call: &Call<'_>, agents: &[Value]) -> Vec<Value> {
    let fits = |agent: &&Value| {
        let deactivated = agent["is_deactivated"].to_string();
        let in_group = |group: &str| {
            let groups = agent["groups"].as_array();
            groups.is_some_and(|groups| groups.iter().any(|own| own == group))
        };
        call.query("is_deactivated")
            .is_none_or(|asked| asked == deactivated)
            && call.query("groups").is_none_or(in_group)
            && call
                .query("availability_status")
                .is_none_or(|asked| agent["availability_status"] == asked)
    };
    agents.iter().filter(fits).cloned().collect()
}

/// All topics are in English; `locale` stands in them only where it was asked for (API document,
/// "List all channels").
fn channels(call: &Call<'_>, channels: &[Value]) -> Vec<Value> {
    match call.query("locale") {
        None => channels.to_vec(),
        Some("en") => {
            let mut channels = channels.to_vec();
            for channel in &mut channels {
                channel["locale"] = json!("en");
            }
            channels
        }
        Some(_) => Vec::new(),
    }
}

/// API document, "List all conversation properties".
pub fn conversation_fields(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    match call.options.quirks.conversation_fields {
        FieldsAnswer::Forbidden => Err(Problem::of_status(403)),
        FieldsAnswer::NotFound => Err(Problem::of_status(404)),
        FieldsAnswer::Available => {
            let fields = json!(world.account.conversation_fields);
            Ok(Response::json(200, fields.to_string()))
        }
    }
}

/// API document, "Verify whether a group is within business hours".
pub fn within_business_hours(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    let within = world.account.within_business_hours(call.query("group_id"));
    let body = json!({"with_in_business_hours": within});
    Ok(Response::json(200, body.to_string()))
}
