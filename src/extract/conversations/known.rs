//! The properties that the walk itself reads from a record.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Object;

/// The properties that the walk itself reads, as JSON.
pub struct Known<'a> {
    pub id: Option<&'a str>,
    conversation_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    users: Option<&'a str>,
    messages: Option<&'a str>,
    pub created_time: Option<&'a str>,
    pub updated_time: Option<&'a str>,
}

impl<'a> Known<'a> {
    pub fn of(record: Object<'a>) -> Self {
        Self {
            id: record.get("id"),
            conversation_id: record.get("conversation_id"),
            user_id: record.get("user_id"),
            users: record.get("users"),
            messages: record.get("messages"),
            created_time: record.get("created_time"),
            updated_time: record.get("updated_time"),
        }
    }

    /// The ids of all users in the record, as JSON, each once.
    pub fn users(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct WithinRecord<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            user_id: Option<&'a RawValue>,
        }
        let list = |list: Option<&'a str>| -> Vec<Option<WithinRecord>> {
            serde_json::from_str(list.unwrap_or("[]")).unwrap_or_default()
        };
        let users = list(self.users).into_iter().filter_map(|user| user?.id);
        let of_messages = list(self.messages).into_iter();
        let of_messages = of_messages.filter_map(|message| message?.user_id);
        let mut ids: Vec<String> = Vec::new();
        let within = users.chain(of_messages).map(RawValue::get);
        for id in self.user_id.into_iter().chain(within) {
            if !is_blank(id) && !ids.iter().any(|own| own == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }

    /// The properties to add to a record: the conversation's id, if it is
    /// missing.
    pub fn lacks_conversation<'i>(&self, id: &'i str) -> Vec<(&'static str, &'i str)> {
        let lacking = is_lacking(self.conversation_id);
        lacking
            .then_some(("conversation_id", id))
            .into_iter()
            .collect()
    }
}

/// Whether a property is missing or empty.
pub fn is_lacking(value: Option<&str>) -> bool {
    value.is_none_or(is_blank)
}

/// Whether a JSON value is empty.
fn is_blank(json: &str) -> bool {
    matches!(json, "null" | "\"\"")
}
