//! What both kinds of metrics have in common in their answers.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::table::GroupBy;

/// The value of a grouping where the metric isn't grouped.
const WHOLE_ACCOUNT: &str = "all";

/// The value of a grouping where the API names no group.
const NO_GROUP: &str = "none";

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Answer<T> {
    #[serde(deserialize_with = "list")]
    data: Vec<Entry<T>>,
}

/// What the API has for one group, or for the whole account.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub struct Entry<T> {
    #[serde(default, deserialize_with = "list")]
    groupings: Vec<Grouping>,
    /// `series` of historical metrics, `values` of instant ones.
    #[serde(rename = "series", alias = "values", deserialize_with = "list")]
    pub items: Vec<T>,
    /// Properties that no document names.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Grouping {
    key: Option<String>,
    value: Option<Value>,
}

/// The entries of an answer.
///
/// # Errors
/// A syntax error where the body is no JSON, a data error where it isn't of
/// the documented shape, or where several groups have no identifier: their
/// values couldn't be told apart.
pub fn parse<T: DeserializeOwned>(
    body: &str,
    group_by: GroupBy,
) -> serde_json::Result<Vec<Entry<T>>> {
    let answer: Answer<T> = serde_json::from_str(body)?;
    let nameless = |entry: &&Entry<T>| entry.group(group_by).is_none();
    if group_by != GroupBy::None && answer.data.iter().filter(nameless).count() > 1 {
        return Err(serde_json::Error::custom(
            "several groups of the answer have no identifier",
        ));
    }
    Ok(answer.data)
}

/// A list, or null for an empty one.
pub fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl<T> Entry<T> {
    /// The identifier of the entry's group, agent or rating, if it has one.
    pub fn group(&self, group_by: GroupBy) -> Option<String> {
        let of_key = |grouping: &&Grouping| grouping.key.as_deref() == Some(group_by.name());
        let grouping = self.groupings.iter().find(of_key)?;
        match grouping.value.as_ref()? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// What stands in a key for a group, which is never empty there.
pub fn key_of(group_by: GroupBy, group: Option<&str>) -> &str {
    match group_by {
        GroupBy::None => WHOLE_ACCOUNT,
        _ => group.unwrap_or(NO_GROUP),
    }
}

/// Appends a row as one line of JSON.
pub fn push(row: &impl Serialize, rows: &mut String) -> serde_json::Result<()> {
    rows.push_str(&serde_json::to_string(row)?);
    rows.push('\n');
    Ok(())
}
