//! `metrics/historical` and `metrics/instant`.

mod historical;
mod instant;
mod table;

use serde_json::{Value, json};

use crate::account::{Account, id_of};
use crate::api::{Call, Problem};

pub use historical::{Series, historical, value};
pub use instant::{instant, truth};

/// One `group=<id>` or `agent=<id>` of `filter_by`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    key: String,
    id: String,
}

/// Reads `filter_by`; 400 for a form or an id that is not known.
fn filters(call: &Call<'_>, account: &Account, keys: &[&str]) -> Result<Vec<Filter>, Problem> {
    let text = call.query("filter_by").unwrap_or_default();
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let wrong = || Problem::bad_request(format!("filter_by {entry:?} is not valid"));
        let (key, id) = entry.split_once('=').ok_or_else(wrong)?;
        let known = match key {
            "group" => &account.groups,
            _ => &account.agents,
        };
        let found = known.iter().any(|record| record["id"] == id);
        if !keys.contains(&key) || !found {
            return Err(wrong());
        }
        Ok(Filter {
            key: key.to_owned(),
            id: id.to_owned(),
        })
    };
    entries.map(read).collect()
}

/// `filters` of the answer.
fn filters_json(filters: &[Filter]) -> Value {
    let entry = |filter: &Filter| json!({"key": filter.key, "value": filter.id});
    json!({"metric_filters": filters.iter().map(entry).collect::<Vec<_>>()})
}

/// The ids that a grouping lists: those of the filter if it names some, or else all.
fn grouped_ids(account: &Account, group_by: &str, filters: &[Filter]) -> Vec<String> {
    let list = match group_by {
        "rating" => return (1..=5).map(|rating: u8| rating.to_string()).collect(),
        "group" => &account.groups,
        _ => &account.agents,
    };
    let named: Vec<String> = filters
        .iter()
        .filter(|filter| filter.key == group_by)
        .map(|filter| filter.id.clone())
        .collect();
    match named.is_empty() {
        true => list.iter().map(id_of).collect(),
        false => named,
    }
}

/// `groupings` of an answer's entry.
fn groupings(call: &Call<'_>, grouping: Option<(&str, &str)>) -> Value {
    match grouping {
        Some((key, value)) => json!([{"key": key, "value": value}]),
        None if call.options.quirks.metrics.null_grouping => {
            json!([{"key": "group", "value": null}])
        }
        None => json!([]),
    }
}
