//! A conversation as it is served.

use serde_json::{Value, json};

use super::Account;
use crate::clock;
use crate::quirks::{ConversationUpdated, PropertiesShape, Quirks};
use crate::rng::Rng;

/// Ids that stand in a conversation and its messages.
#[derive(Clone, Debug)]
pub struct Ids {
    pub app: String,
    pub user: String,
    pub agent: Option<String>,
    pub group: Option<String>,
    /// Empty in an account without channels.
    pub channel: String,
}

/// The conversation object (API document, "Retrieve a conversation").
pub fn conversation(account: &Account, index: usize, quirks: &Quirks) -> Value {
    let conversations = &account.conversations;
    let detail = conversations.detail(index);
    let ids = account.ids(index, &detail);
    let mut rng = Rng::of(account.seed, "conversation-extra", index as u64);
    let mut record = json!({
        "conversation_id": conversations.id(index),
        "app_id": ids.app,
        "status": detail.status,
        "channel_id": ids.channel,
    });
    if let Some(agent) = &ids.agent {
        record["assigned_org_agent_id"] = json!(rng.next().to_string());
        record["assigned_agent_id"] = json!(agent);
    }
    if let Some(group) = &ids.group {
        record["assigned_org_group_id"] = json!("");
        record["assigned_group_id"] = json!(group);
    }
    record["skill_id"] = match quirks.odd_records.float_integer {
        true => json!(5.0),
        false => json!(rng.below(3)),
    };
    record["properties"] = properties(&mut rng, quirks.conversation_properties);
    if detail.edits > 0 {
        record["properties"] = edited(record["properties"].take(), detail.edits);
    }
    if quirks.conversation_times {
        if quirks.conversation_user_id {
            record["user_id"] = json!(ids.user);
        }
        record["created_time"] = json!(clock::text(conversations.created(index)));
        let updated = match quirks.conversation_updated {
            ConversationUpdated::EveryChange => Some(detail.updated),
            ConversationUpdated::MessagesOnly => Some(detail.messaged),
            ConversationUpdated::Missing => None,
        };
        if let Some(updated) = updated {
            record["updated_time"] = json!(clock::text(updated));
        }
        record["created_by"] = json!(ids.user);
        record["conversation_internal_id"] = json!(746_122_323_000_000 + index);
        record["org_contact_id"] = json!(rng.next().to_string());
        record["url"] = json!(conversations.url(index));
    }
    if quirks.live_fields {
        record["freshchat_conversation_id"] = json!(746_122_323_000_000 + index);
        record["sla_policy_id"] = json!(rng.below(1_000_000));
        record["sla_breached"] = json!(index.is_multiple_of(3));
    }
    if quirks.connector_fields {
        let latest = conversations.messages(index, &detail).into_iter().last();
        record["users"] = json!([{"id": ids.user}]);
        record["agents"] = json!(
            ids.agent
                .iter()
                .map(|id| json!({"id": id}))
                .collect::<Vec<_>>()
        );
        record["messages"] = json!(account.messages(index, latest.into_iter()));
    }
    record
}

/// Properties with another rating.
fn edited(mut properties: Value, edits: u32) -> Value {
    let rating = json!(format!("edit {edits}"));
    match &mut properties {
        Value::Array(entries) => entries.push(json!({"name": "cf_edit", "value": rating})),
        object => object["cf_rating"] = rating,
    }
    properties
}

fn properties(rng: &mut Rng, shape: PropertiesShape) -> Value {
    let priority = rng.pick(&["Low", "Medium", "High", "Urgent"]);
    let rating = rng.below(6).to_string();
    let products = json!(["Freshchat", "Freshsales Suite"]);
    match shape {
        PropertiesShape::Object => json!({
            "priority": priority,
            "cf_type": "General Query",
            "cf_rating": rating,
            "cf_supported_products": products,
        }),
        PropertiesShape::Array => json!([
            {"name": "priority", "value": priority},
            {"name": "cf_rating", "value": rating},
            {"name": "cf_supported_products", "value": products},
        ]),
    }
}
