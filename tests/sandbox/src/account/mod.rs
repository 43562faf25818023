//! The data of an account: made from the options, changed by edits.

pub mod conversations;
pub mod lists;
pub mod messages;
mod record;
pub mod users;
mod words;

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::DAY;
use crate::options::Options;
use crate::quirks::OutboundTo;
use crate::rng::Rng;
use conversations::{Conversations, Detail};
use lists::Maker;
use record::Ids;
use users::Users;

pub use record::conversation;
pub use words::{LABELS, SENTENCES};

#[derive(Debug)]
pub struct Account {
    pub seed: u64,
    /// The range of the account's own times, `end` not included, in milliseconds.
    pub start: i64,
    pub end: i64,
    /// Whether messages have the fields that are seen live.
    live_fields: bool,
    pub account: Value,
    pub users: Users,
    pub conversations: Conversations,
    pub agents: Vec<Value>,
    pub agent_statuses: Vec<Value>,
    pub groups: Vec<Value>,
    pub channels: Vec<Value>,
    pub roles: Vec<Value>,
    pub outbound_messages: Vec<Value>,
    pub conversation_fields: Vec<Value>,
    /// Report rows that came in later: the event and the time, in milliseconds.
    pub added_rows: Vec<(&'static str, i64)>,
    /// How often the account was changed after the start.
    changes: u64,
}

impl Account {
    pub fn generate(options: &Options) -> Account {
        let end = options.today.timestamp_millis();
        let start = end - i64::from(options.days.max(1)) * DAY;
        let maker = Maker {
            options,
            start,
            end,
        };
        let users = Users::generate(options, start, end);
        let conversations = Conversations::generate(options, &users, end);
        let groups = maker.groups();
        let agent_statuses = maker.agent_statuses();
        Account {
            seed: options.seed,
            start,
            end,
            live_fields: options.quirks.live_fields,
            account: maker.account(),
            users,
            conversations,
            agents: maker.agents(&groups, &agent_statuses),
            agent_statuses,
            groups,
            channels: maker.channels(),
            roles: maker.roles(),
            outbound_messages: maker.outbound_messages(),
            conversation_fields: maker.conversation_fields(),
            added_rows: Vec::new(),
            changes: 0,
        }
    }

    /// The ids that a conversation refers to.
    pub fn ids(&self, conversation: usize, detail: &Detail) -> Ids {
        let user = self.conversations.user(conversation);
        let channel = detail.channel.map(|at| id_of(&self.channels[at]));
        Ids {
            app: self.account["app_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            user: self.users.id(user),
            agent: detail.agent.map(|at| id_of(&self.agents[at])),
            group: detail.group.map(|at| id_of(&self.groups[at])),
            channel: channel.unwrap_or_default(),
        }
    }

    /// The numbers that message `number` of a conversation is made from.
    pub fn message_rng(&self, conversation: usize, number: usize) -> Rng {
        let index = (conversation as u64) << 24 | number as u64;
        Rng::of(self.seed, "message", index)
    }

    /// Some messages of a conversation, by their numbers; 0 is the oldest.
    pub fn messages(
        &self,
        conversation: usize,
        numbers: impl Iterator<Item = usize>,
    ) -> Vec<Value> {
        let detail = self.conversations.detail(conversation);
        let ids = self.ids(conversation, &detail);
        let conversation_id = self.conversations.id(conversation);
        let record = |number| {
            let sent = self
                .conversations
                .message_time(conversation, &detail, number);
            let interaction = self
                .conversations
                .interaction_id(conversation, &detail, sent);
            messages::record(messages::Facts {
                rng: self.message_rng(conversation, number),
                number,
                conversation_id: &conversation_id,
                interaction_id: &interaction,
                sent,
                reopened: detail.status == "reopened" && number == 0,
                live_fields: self.live_fields,
                ids: &ids,
            })
        };
        numbers.map(record).collect()
    }

    /// The own time of a change that is listed `now`; `lag` is the quirk.
    pub fn moment(&mut self, now: i64, lag: &RangeInclusive<Duration>) -> i64 {
        self.changes += 1;
        let millis = |time: &Duration| i64::try_from(time.as_millis()).unwrap_or(0);
        let mut rng = Rng::of(self.seed, "list-lag", self.changes);
        now - rng.between(millis(lag.start()), millis(lag.end()))
    }

    /// The outbound messages, with `to` in the shape of the quirk.
    pub fn outbound(&self, shape: OutboundTo) -> Vec<Value> {
        let mut messages = self.outbound_messages.clone();
        for (index, message) in messages.iter_mut().enumerate() {
            let array = match shape {
                OutboundTo::Object => false,
                OutboundTo::Array => true,
                OutboundTo::Mixed => index % 2 == 1,
            };
            if array {
                message["to"] = json!([message["to"]]);
            }
        }
        messages
    }

    /// Whether a group works at this hour (API document, "Business Hours"); true for a group that
    /// is not known, and without a group.
    pub fn within_business_hours(&self, group_id: Option<&str>) -> bool {
        let known = |id: &str| self.groups.iter().position(|group| group["id"] == id);
        group_id.and_then(known).is_none_or(|index| index % 3 != 1)
    }

    /// Deletes a user, with the conversations that no living user lists.
    pub fn delete_user(&mut self, index: usize) {
        self.users.delete(index);
        let own = self.conversations.of_user(index);
        for conversation in own {
            let owner = self.conversations.user(conversation);
            let next = (owner + 1) % self.users.len();
            let listed = [owner, next].iter().any(|&user| {
                !self.users.get(user).deleted
                    && self.conversations.of_user(user).contains(&conversation)
            });
            if !listed {
                self.conversations.delete(conversation);
            }
        }
    }
}

/// The `id` of a record of a list.
pub fn id_of(record: &Value) -> String {
    record["id"].as_str().unwrap_or_default().to_owned()
}
