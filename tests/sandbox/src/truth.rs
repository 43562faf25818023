//! The records that each stream of a tap should have delivered.

use serde_json::{Value, json};

use crate::quirks::FieldsAnswer;
use crate::reports::{self, Jobs};
use crate::server::World;
use crate::{account, metrics};

/// The current records of a stream, in the shape in which the API delivers them, with the keys
/// that the tap knows from the request. `forbidden` endpoints and odd envelopes make no difference.
pub fn records(world: &World, jobs: &Jobs, stream: &str) -> Vec<Value> {
    let account = &world.account;
    let quirks = &world.options.quirks;
    let living_users = || (0..account.users.len()).filter(|&at| !account.users.get(at).deleted);
    let conversations = &account.conversations;
    let living = || (0..conversations.len()).filter(|&at| !conversations.is_deleted(at));
    match stream {
        "account" => vec![account.account.clone()],
        "users" => living_users().map(|at| account.users.record(at)).collect(),
        "user_conversations" => living_users()
            .flat_map(|user| {
                let user_id = account.users.id(user);
                let listed = conversations.of_user(user).into_iter();
                listed.map(move |at| {
                    let id = conversations.id(at);
                    json!({"id": id, "user_id": user_id, "conversation_id": id})
                })
            })
            .collect(),
        "conversations" => living()
            .map(|at| account::conversation(account, at, quirks))
            .collect(),
        "messages" => living()
            .flat_map(|at| {
                let standing = conversations.messages(at, &conversations.detail(at));
                account.messages(at, standing.into_iter())
            })
            .collect(),
        "conversation_fields" => match quirks.conversation_fields {
            FieldsAnswer::Available => account.conversation_fields.clone(),
            _ => Vec::new(),
        },
        "agents" => account.agents.clone(),
        "agent_statuses" => account.agent_statuses.clone(),
        "groups" => account.groups.clone(),
        "channels" => account.channels.clone(),
        "roles" => account.roles.clone(),
        "outbound_messages" => account.outbound(quirks.outbound_to),
        "business_hours" => {
            let answer = |group: &Value| {
                let within = account.within_business_hours(group["id"].as_str());
                json!({"group_id": group["id"], "with_in_business_hours": within})
            };
            account.groups.iter().map(answer).collect()
        }
        // What a run finds gone is no part of the account.
        "deletions" => Vec::new(),
        "metrics_instant" => metrics::truth(account),
        _ => reports::truth(world, jobs, stream).unwrap_or_else(|| panic!("no stream {stream:?}")),
    }
}
