//! What the answers of both kinds of metrics have in common.
//!
//! If a part of an answer doesn't have the documented shape, the rest is still
//! read, and the result says what is wrong.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reach::Reach;
use super::table::GroupBy;
use crate::freshchat::{clock, without_values};

/// The value of a grouping if the metric isn't grouped.
const WHOLE_ACCOUNT: &str = "all";

/// The value of a grouping if the API names no group.
const NOBODY: &str = "none";

/// A JSON object with the values as the API sent them.
pub type Members<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct MetricAnswer<'a> {
    #[serde(borrow, deserialize_with = "list")]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Grouping {
    key: Option<String>,
    value: Option<Value>,
}

/// The data of a single group, or of the whole account.
pub struct GroupEntry<'a> {
    /// The id of the group, agent or rating, if it has one.
    pub group: Option<String>,
    /// `series` of historical metrics, `values` of instant metrics.
    pub items: Vec<&'a RawValue>,
    /// Undocumented properties.
    pub rest: Members<'a>,
}

/// The records of an answer.
pub struct MetricRows {
    /// One JSON object per line.
    pub text: String,
    pub read_at: DateTime<Utc>,
    /// The start of the oldest slice with a value.
    pub oldest: Option<DateTime<Utc>>,
    /// Whether the answer names any group or agent.
    pub names_groups: bool,
    /// Whether a group or agent in the answer has a nonzero value.
    pub counts_groups: bool,
    /// Whether the answer has a nonzero value without a group or agent.
    pub counts_nobody: bool,
    /// What is wrong with the part that can't be read.
    pub problem: Option<String>,
    /// How far back the API answers, if slices were requested.
    pub reach: Option<Reach>,
}

impl MetricRows {
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
    pub fn add(&mut self, other: MetricRows) {
        self.text.push_str(&other.text);
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        self.names_groups |= other.names_groups;
        self.counts_groups |= other.counts_groups;
        self.counts_nobody |= other.counts_nobody;
        self.problem = self.problem.take().or(other.problem);
        self.reach = other.reach.or(self.reach.take());
    }

    /// Records that a part can't be read.
    pub fn miss(&mut self, problem: &serde_json::Error) {
        self.problem.get_or_insert_with(|| without_values(problem));
    }

    /// Records a value of a group.
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

/// Parses an answer. `each` reads one entry.
///
/// # Errors
/// A syntax error if the body is not JSON, a data error if it has no entries at
/// all.
pub fn read<'a>(
    body: &'a str,
    group_by: GroupBy,
    mut each: impl FnMut(GroupEntry<'a>, &mut MetricRows) -> serde_json::Result<()>,
) -> serde_json::Result<MetricRows> {
    let answer: MetricAnswer = serde_json::from_str(body)?;
    let mut rows = MetricRows::new();
    let mut seen = HashSet::new();
    for entry in answer.data {
        let entry = GroupEntry::parse(entry, group_by).and_then(|entry| {
            if !seen.insert(entry.group.clone()) {
                return Err(serde_json::Error::custom(
                    "two parts of the answer have the same group",
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

impl<'a> GroupEntry<'a> {
    fn parse(entry: &'a RawValue, group_by: GroupBy) -> serde_json::Result<Self> {
        let mut rest: Members = parse(entry)?;
        let groupings: Vec<Grouping> = take(&mut rest, "groupings")?.unwrap_or_default();
        let items = rest.remove("series").or_else(|| rest.remove("values"));
        let items = items.ok_or_else(|| {
            serde_json::Error::custom("a part of the answer has neither `series` nor `values`")
        })?;
        Ok(Self {
            group: group(&groupings, group_by),
            items: list(items)?,
            rest,
        })
    }
}

/// The id in the requested grouping. The API writes the string `null` for
/// objects without a group.
fn group(groupings: &[Grouping], group_by: GroupBy) -> Option<String> {
    let of_key = |grouping: &&Grouping| grouping.key.as_deref() == Some(group_by.name());
    match groupings.iter().find(of_key)?.value.as_ref()? {
        Value::String(text) if text.is_empty() || text == "null" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list. Null is read as an empty list.
pub fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Parses a value.
///
/// # Errors
/// If it has another type.
pub fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(value.get())
}

/// Removes a property from an object. `None` if it is missing or null.
///
/// # Errors
/// If it has another type.
pub fn take<T: DeserializeOwned>(
    object: &mut Members,
    name: &str,
) -> serde_json::Result<Option<T>> {
    object.remove(name).map_or(Ok(None), parse)
}

/// Any value. If a [`Value`] can't represent it, such as a number out of the
/// range of a float, it is kept as text.
pub fn any(value: &RawValue) -> Value {
    parse(value).unwrap_or_else(|_| Value::from(value.get()))
}

/// All properties of an object.
pub fn all(object: Members) -> Map<String, Value> {
    let any = |(name, value): (String, &RawValue)| (name, any(value));
    object.into_iter().map(any).collect()
}

/// The value for a group in a record's key, which is never empty.
pub fn key_of(group_by: GroupBy, group: Option<&str>) -> &str {
    match group_by {
        GroupBy::None => WHOLE_ACCOUNT,
        _ => group.unwrap_or(NOBODY),
    }
}
