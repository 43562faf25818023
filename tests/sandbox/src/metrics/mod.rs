//! `metrics/historical` and `metrics/instant`.

mod historical;
mod instant;
mod table;

use serde_json::{Value, json};

use crate::account::{Account, id_of};
use crate::api::{Call, Problem};
use crate::quirks::Unfiltered;

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
    let quirks = &call.options.quirks.metrics;
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    let most = quirks.most_filters;
    if most > 0 && entries.clone().count() > most {
        return Err(Problem::bad_request(format!(
            "filter_by has more than {most} values"
        )));
    }
    let read = |entry: &str| {
        let wrong = || Problem::bad_request(format!("filter_by {entry:?} is not valid"));
        let (key, id) = entry.split_once('=').ok_or_else(wrong)?;
        let known = match key {
            "group" => &account.groups,
            _ => &account.agents,
        };
        let found = known.iter().any(|record| record["id"] == id);
        let refused = quirks.refuses_last_agent
            && account.agents.last().is_some_and(|agent| agent["id"] == id);
        if !keys.contains(&key) || !found || refused {
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

/// One entry of a grouped answer.
struct Group {
    /// Whose values it holds; `None` is the whole account.
    of: Option<String>,
    /// What the answer calls it.
    name: Option<String>,
}

/// The value that the sandbox has for what belongs to no group or agent.
const NOBODY: &str = "nobody";

/// What a grouped answer lists: the groups of the filter if it names some, or else what an answer
/// without one holds.
fn grouped(
    call: &Call<'_>,
    account: &Account,
    group_by: &str,
    filters: &[Filter],
) -> Result<Vec<Group>, Problem> {
    let quirks = &call.options.quirks.metrics;
    let named = |id: String| Group {
        of: Some(id.clone()),
        name: Some(id),
    };
    let list = match group_by {
        "rating" => {
            return Ok((1..=5)
                .map(|rating: u8| named(rating.to_string()))
                .collect());
        }
        "group" => &account.groups,
        _ => &account.agents,
    };
    let filters: Vec<Group> = filters
        .iter()
        .filter(|filter| filter.key == group_by)
        .map(|filter| named(filter.id.clone()))
        .collect();
    if !filters.is_empty() {
        return Ok(filters);
    }
    let nobody = quirks.nameless.values().iter().map(|name| Group {
        of: Some(NOBODY.to_owned()),
        name: name.map(str::to_owned),
    });
    Ok(match quirks.unfiltered {
        Unfiltered::All => list.iter().map(id_of).map(named).chain(nobody).collect(),
        Unfiltered::Null => vec![Group {
            of: None,
            name: None,
        }],
        Unfiltered::Nothing => Vec::new(),
        Unfiltered::Refused => return Err(Problem::bad_request("filter_by is missing")),
    })
}

/// `groupings` of an answer's entry.
fn groupings(call: &Call<'_>, grouping: Option<(&str, &Group)>) -> Value {
    match grouping {
        Some((key, group)) => json!([{"key": key, "value": group.name}]),
        None if call.options.quirks.metrics.null_grouping => {
            json!([{"key": "group", "value": null}])
        }
        None => json!([]),
    }
}
