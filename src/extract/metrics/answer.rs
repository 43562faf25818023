//! What both kinds of metrics have in common in their answers.
//!
//! A part that isn't of the documented shape doesn't take the others with it:
//! what can be read is read, and the answer says what is wrong with the rest.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reach::Reach;
use super::table::GroupBy;
use crate::freshchat::{clock, without_values};

/// The value of a grouping where the metric isn't grouped.
const WHOLE_ACCOUNT: &str = "all";

/// The value of a grouping where the API names no group.
const NOBODY: &str = "none";

/// A JSON object whose values are the text that the API sent.
pub type Object<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, deserialize_with = "list")]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Grouping {
    key: Option<String>,
    value: Option<Value>,
}

/// What the API has for one group, or for the whole account.
pub struct Entry<'a> {
    /// The identifier of the group, agent or rating, if it has one.
    pub group: Option<String>,
    /// `series` of historical metrics, `values` of instant ones.
    pub items: Vec<&'a RawValue>,
    /// Properties that no document names.
    pub rest: Object<'a>,
}

/// The records of an answer.
pub struct Rows {
    /// Each a line of JSON.
    pub text: String,
    pub read_at: DateTime<Utc>,
    /// The start of the oldest slice that has a value.
    pub oldest: Option<DateTime<Utc>>,
    /// Whether the answer names a group or agent.
    pub names_groups: bool,
    /// Whether something was counted for a group or agent that it names.
    pub counts_groups: bool,
    /// Whether something was counted that it names no group or agent for.
    pub counts_nobody: bool,
    /// What is wrong with the part that can't be read.
    pub problem: Option<String>,
    /// How far back the API answered, if slices were asked for.
    pub reach: Option<Reach>,
}

impl Rows {
    pub fn new() -> Self {
        Self {
            text: String::new(),
            read_at: clock::now(),
            oldest: None,
            names_groups: false,
            counts_groups: false,
            counts_nobody: false,
            problem: None,
            reach: None,
        }
    }

    /// Adds the rows of another answer.
    pub fn add(&mut self, other: Rows) {
        self.text.push_str(&other.text);
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        self.names_groups |= other.names_groups;
        self.counts_groups |= other.counts_groups;
        self.counts_nobody |= other.counts_nobody;
        self.problem = self.problem.take().or(other.problem);
        self.reach = other.reach.or(self.reach.take());
    }

    /// Takes note of a part that can't be read.
    pub fn miss(&mut self, problem: &serde_json::Error) {
        self.problem.get_or_insert_with(|| without_values(problem));
    }

    /// Takes note of a value of a group.
    pub fn count(&mut self, group: Option<&str>, value: &str) {
        if value.parse().is_ok_and(|number: f64| number != 0.0) {
            match group {
                Some(_) => self.counts_groups = true,
                None => self.counts_nobody = true,
            }
        }
    }

    /// Appends a row.
    pub fn push(&mut self, row: &impl Serialize) -> serde_json::Result<()> {
        self.text.push_str(&serde_json::to_string(row)?);
        self.text.push('\n');
        Ok(())
    }
}

/// Reads an answer; `each` reads one entry.
///
/// # Errors
/// A syntax error where the body is no JSON, a data error where it has no
/// entries at all.
pub fn read<'a>(
    body: &'a str,
    group_by: GroupBy,
    mut each: impl FnMut(Entry<'a>, &mut Rows) -> serde_json::Result<()>,
) -> serde_json::Result<Rows> {
    let answer: Answer = serde_json::from_str(body)?;
    let mut rows = Rows::new();
    let mut seen = HashSet::new();
    for entry in answer.data {
        let entry = Entry::parse(entry, group_by).and_then(|entry| {
            if !seen.insert(entry.group.clone()) {
                return Err(serde_json::Error::custom(
                    "two parts of the answer can't be told apart: their group is the same",
                ));
            }
            rows.names_groups |= entry.group.is_some();
            each(entry, &mut rows)
        });
        if let Err(problem) = entry {
            rows.miss(&problem);
        }
    }
    Ok(rows)
}

impl<'a> Entry<'a> {
    fn parse(entry: &'a RawValue, group_by: GroupBy) -> serde_json::Result<Self> {
        let mut rest: Object = parse(entry)?;
        let groupings: Vec<Grouping> = take(&mut rest, "groupings")?.unwrap_or_default();
        let items = rest.remove("series").or_else(|| rest.remove("values"));
        let items = items.ok_or_else(|| {
            serde_json::Error::custom("a part of the answer has no `series` and no `values`")
        })?;
        Ok(Self {
            group: group(&groupings, group_by),
            items: list(items)?,
            rest,
        })
    }
}

/// The identifier in the grouping that was asked for. The text `null` is what
/// the API writes where a thing belongs to no group.
fn group(groupings: &[Grouping], group_by: GroupBy) -> Option<String> {
    let of_key = |grouping: &&Grouping| grouping.key.as_deref() == Some(group_by.name());
    match groupings.iter().find(of_key)?.value.as_ref()? {
        Value::String(text) if text.is_empty() || text == "null" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list, or null for an empty one.
pub fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a value.
///
/// # Errors
/// It is of another type.
pub fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(value.get())
}

/// Takes a property out of an object; none where it is missing or null.
///
/// # Errors
/// It is of another type.
pub fn take<T: DeserializeOwned>(object: &mut Object, name: &str) -> serde_json::Result<Option<T>> {
    object.remove(name).map_or(Ok(None), parse)
}

/// Any value. What no [`Value`] can hold, such as a number beyond a float, is
/// kept as text.
pub fn any(value: &RawValue) -> Value {
    parse(value).unwrap_or_else(|_| Value::from(value.get()))
}

/// All properties of an object.
pub fn all(object: Object) -> Map<String, Value> {
    let any = |(name, value): (String, &RawValue)| (name, any(value));
    object.into_iter().map(any).collect()
}

/// What stands in a key for a group, which is never empty there.
pub fn key_of(group_by: GroupBy, group: Option<&str>) -> &str {
    match group_by {
        GroupBy::None => WHOLE_ACCOUNT,
        _ => group.unwrap_or(NOBODY),
    }
}
