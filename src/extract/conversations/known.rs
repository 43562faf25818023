//! The properties that the walk itself reads from a record.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The properties that the walk itself reads.
#[derive(Default, Deserialize)]
pub struct Known<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    users: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    pub created_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub updated_time: Option<&'a RawValue>,
}

impl<'a> Known<'a> {
    /// A record that can't be parsed has none of these properties.
    pub fn of(record: &'a str) -> Self {
        serde_json::from_str(record).unwrap_or_default()
    }

    /// The ids of all users in the record, as JSON, each once.
    pub fn users(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Within<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            user_id: Option<&'a RawValue>,
        }
        let list = |list: Option<&'a RawValue>| -> Vec<Option<Within>> {
            let list = list.map_or("[]", RawValue::get);
            serde_json::from_str(list).unwrap_or_default()
        };
        let users = list(self.users).into_iter().filter_map(|user| user?.id);
        let of_messages = list(self.messages).into_iter();
        let of_messages = of_messages.filter_map(|message| message?.user_id);
        let mut ids: Vec<String> = Vec::new();
        for id in self.user_id.into_iter().chain(users).chain(of_messages) {
            let id = id.get();
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
pub fn is_lacking(value: Option<&RawValue>) -> bool {
    value.is_none_or(|value| is_blank(value.get()))
}

/// Whether a JSON value is empty.
fn is_blank(json: &str) -> bool {
    matches!(json, "null" | "\"\"")
}
