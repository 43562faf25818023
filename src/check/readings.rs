//! What answers show where the API document is unclear. No text here contains a
//! value from a record.

use std::fmt;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::freshchat::HourlyLimit;
use crate::timestamp;

/// The property with a user's creation time, which is also its name in
/// `sort_by`.
pub const CREATED: &str = "created_time";

/// The properties by which users may be sorted.
const ORDERS: [&str; 4] = ["id", CREATED, "updated_time", "email"];

/// How many different values it takes to detect an order. Fewer may be sorted
/// by chance.
const ENOUGH: usize = 5;

/// How reliable a reading is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Certainty {
    /// An answer shows it.
    Seen,
    /// An answer is consistent with it, but also with another reading.
    Guessed,
    /// No answer shows it.
    NotSeen,
}

/// What this account does where the API document is unclear.
#[derive(Debug, PartialEq)]
pub struct Observed {
    point: String,
    certainty: Certainty,
    says: String,
}

/// A list that may have pages.
pub struct List {
    pub endpoint: &'static str,
    /// The name of the array in the answer.
    array: &'static str,
    /// The requested page size.
    pub page_size: Option<usize>,
}

impl Observed {
    fn new(point: impl Into<String>, certainty: Certainty, says: impl Into<String>) -> Self {
        Self {
            point: point.into(),
            certainty,
            says: says.into(),
        }
    }

    /// The reading as a member of a JSON object.
    pub fn json(&self) -> (String, Value) {
        let value = json!({"certainty": self.certainty.name(), "reading": self.says});
        (self.point.clone(), value)
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.point,
            self.certainty.name(),
            self.says
        )
    }
}

impl Certainty {
    fn name(self) -> &'static str {
        match self {
            Certainty::Seen => "seen",
            Certainty::Guessed => "guessed",
            Certainty::NotSeen => "not seen",
        }
    }
}

/// How far this machine's clock is ahead of the server's.
pub fn clock(ahead: Option<TimeDelta>) -> Observed {
    let (certainty, says) = match ahead.map(|ahead| ahead.num_seconds()) {
        None => (Certainty::NotSeen, "answers have no usable Date".to_owned()),
        Some(0) => (Certainty::Seen, "the same as the server's".to_owned()),
        Some(ahead @ 1..) => (Certainty::Seen, format!("{ahead} s ahead of the server's")),
        Some(behind) => (
            Certainty::Seen,
            format!("{} s behind the server's", -behind),
        ),
    };
    Observed::new("this machine's clock", certainty, says)
}

/// The hourly limit, and what is left of it.
pub fn hourly_limit(limit: Option<HourlyLimit>) -> Observed {
    let (certainty, says) = match limit {
        None => (Certainty::NotSeen, "not in the answers".to_owned()),
        Some(HourlyLimit { limit, remaining }) => (
            Certainty::Seen,
            format!("{limit:.0} calls, {remaining:.0} of them left"),
        ),
    };
    Observed::new("hourly limit", certainty, says)
}

/// The default order of users.
pub fn order(users: &[Value]) -> Observed {
    let orders = orders_of(users);
    let (certainty, says) = match orders.as_slice() {
        _ if !tells_order(users) => (Certainty::NotSeen, "too few users".to_owned()),
        [] => (Certainty::Seen, format!("by none of {}", ORDERS.join(", "))),
        [(property, direction)] => (Certainty::Seen, format!("by {property}, {direction}")),
        several => {
            let names = several
                .iter()
                .map(|(property, direction)| format!("{property}, {direction}"));
            let names: Vec<_> = names.collect();
            (Certainty::Guessed, format!("by {}", names.join("; or by ")))
        }
    };
    Observed::new("order of users", certainty, says)
}

/// A direction of the creation time that is not the default order. `None` if
/// there are too few users to tell.
pub fn other_order(users: &[Value]) -> Option<&'static str> {
    let is_descending = direction(users, CREATED) == Some("descending");
    tells_order(users).then_some(match is_descending {
        true => "asc",
        false => "desc",
    })
}

/// Whether `sort_by` and `sort_order` work. `sorted` is the requested direction
/// and the answer.
pub fn sorting(users: &[Value], sorted: Option<(&str, &[Value])>) -> Observed {
    let ids = |users: &[Value]| {
        users
            .iter()
            .map(|user| user["id"].clone())
            .collect::<Vec<_>>()
    };
    let (certainty, says) = match sorted {
        None => (Certainty::NotSeen, "no two orders to compare"),
        Some((_, sorted)) if ids(sorted) == ids(users) => (Certainty::Seen, "ignored"),
        Some(("asc", sorted)) if direction(sorted, CREATED) == Some("ascending") => {
            (Certainty::Seen, "obeyed")
        }
        Some(("desc", sorted)) if direction(sorted, CREATED) == Some("descending") => {
            (Certainty::Seen, "obeyed")
        }
        Some(_) => (Certainty::Seen, "another order, but not the requested one"),
    };
    Observed::new("sort_by and sort_order of users", certainty, says)
}

/// Whether a grouped metric contains its groups without `filter_by`.
pub fn grouping(answer: Option<&Value>) -> Observed {
    let entries = answer.and_then(|body| body["data"].as_array());
    let is_named = |entry: &Value| {
        let groupings = entry["groupings"].as_array();
        groupings.is_some_and(|all| {
            let named = |it: &Value| !it["value"].is_null() && it["value"] != "null";
            all.iter().any(named)
        })
    };
    let (certainty, says) = match entries {
        None => (Certainty::NotSeen, "no answer to tell from"),
        Some(entries) if entries.iter().any(is_named) => {
            (Certainty::Seen, "groups come without it")
        }
        // The account may have no groups, or a day without conversations.
        Some(_) => (Certainty::Guessed, "no group comes without it"),
    };
    Observed::new("metric groupings and filter_by", certainty, says)
}

/// The endpoints that the account or the token lacks.
pub fn missing(endpoints: &[(&str, u16)]) -> Observed {
    let names: Vec<String> = endpoints
        .iter()
        .map(|(endpoint, status)| format!("{endpoint} ({status})"))
        .collect();
    let says = match names.is_empty() {
        true => "none of those requested".to_owned(),
        false => names.join(", "),
    };
    Observed::new("missing features", Certainty::Seen, says)
}

impl List {
    pub const fn new(
        endpoint: &'static str,
        array: &'static str,
        page_size: Option<usize>,
    ) -> Self {
        Self {
            endpoint,
            array,
            page_size,
        }
    }

    /// The records of an answer.
    pub fn records<'a>(&self, body: &'a Value) -> &'a [Value] {
        let array = body[self.array].as_array().or(body.as_array());
        array.map_or(&[], Vec::as_slice)
    }

    /// Whether the list has pages, and whether it says so.
    pub fn pages(&self, answer: Option<&Value>) -> Observed {
        let (certainty, says) = match answer {
            None => (Certainty::NotSeen, "no answer to tell from".to_owned()),
            Some(body) => self.pages_of(body),
        };
        Observed::new(format!("pages of {}", self.endpoint), certainty, says)
    }

    fn pages_of(&self, body: &Value) -> (Certainty, String) {
        let came = self.records(body).len();
        let pagination = &body["pagination"];
        let number = |name: &str| match &pagination[name] {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let announced = pagination.is_object() || body["links"].is_object();
        let more = number("total_pages").is_some_and(|pages| pages > 1)
            || number("total_items").is_some_and(|items| items > came as u64)
            || body["links"]["next_page"].is_object()
            || body["link"]["href"].is_string();
        let envelope = match announced {
            true => "with pagination",
            false => "without pagination",
        };
        match self.page_size {
            _ if more => (
                Certainty::Seen,
                "in pages, which name the next one or the total".into(),
            ),
            Some(size) if came > size => (
                Certainty::Seen,
                format!("whole, whatever the page size, {envelope}"),
            ),
            _ if came == 0 => (Certainty::NotSeen, format!("empty, {envelope}")),
            Some(size) if came == size && !announced => (
                Certainty::NotSeen,
                "as many records as requested, without pagination".into(),
            ),
            _ => (
                Certainty::Guessed,
                format!("whole, or one page of one, {envelope}"),
            ),
        }
    }
}

fn tells_order(users: &[Value]) -> bool {
    different(users, "id") >= ENOUGH
}

fn orders_of(users: &[Value]) -> Vec<(&'static str, &'static str)> {
    let direction = |property| Some((property, direction(users, property)?));
    ORDERS.into_iter().filter_map(direction).collect()
}

/// The direction in which users are sorted by a property, if they are.
fn direction(users: &[Value], property: &str) -> Option<&'static str> {
    if different(users, property) < ENOUGH {
        return None;
    }
    let values = values(users, property);
    if values.is_sorted() {
        return Some("ascending");
    }
    let descending = values.iter().rev();
    descending.is_sorted().then_some("descending")
}

fn different(users: &[Value], property: &str) -> usize {
    let mut values = values(users, property);
    values.sort();
    values.dedup();
    values.len()
}

/// The non-empty values of a property, in a form that sorts.
fn values(users: &[Value], property: &str) -> Vec<String> {
    let value = |user: &Value| {
        let text = user[property].as_str().filter(|text| !text.is_empty())?;
        Some(timestamp::parse(text).map_or_else(|| text.to_lowercase(), timestamp::format))
    };
    users.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(of: impl Fn(usize) -> Value) -> Vec<Value> {
        (0..9).map(of).collect()
    }

    #[test]
    fn tells_the_order_of_users() {
        let time = |number: usize| format!("2026-01-0{}T00:00:00Z", number + 1);
        let mixed = |number: usize| number * 4 % 9;
        let by_id = users(|at| json!({"id": format!("{at}"), CREATED: time(mixed(at))}));
        assert_eq!(
            order(&by_id).to_string(),
            "order of users: seen: by id, ascending"
        );
        assert_eq!(other_order(&by_id), Some("desc"));
        let newest_first =
            users(|at| json!({"id": format!("{}", mixed(at)), CREATED: time(8 - at)}));
        assert_eq!(
            order(&newest_first).to_string(),
            "order of users: seen: by created_time, descending"
        );
        assert_eq!(other_order(&newest_first), Some("asc"));
        let both = users(|at| json!({"id": format!("{at}"), "email": format!("{at}")}));
        assert_eq!(
            order(&both).to_string(),
            "order of users: guessed: by id, ascending; or by email, ascending"
        );
        let none = users(|at| json!({"id": format!("{}", mixed(at))}));
        assert_eq!(
            order(&none).to_string(),
            "order of users: seen: by none of id, created_time, updated_time, email"
        );
        assert_eq!(
            order(&by_id[..4]).to_string(),
            "order of users: not seen: too few users"
        );
        assert_eq!(other_order(&by_id[..4]), None);
    }

    #[test]
    fn tells_whether_sorting_is_obeyed() {
        let time = |number: usize| format!("2026-01-0{}T00:00:00Z", number + 1);
        let up = users(|at| json!({"id": at, CREATED: time(at)}));
        let down = users(|at| json!({"id": at, CREATED: time(8 - at)}));
        let mixed = users(|at| json!({"id": 9 - at, CREATED: time(at * 4 % 9)}));
        for (sorted, says) in [
            (Some(("desc", &down[..])), "seen: obeyed"),
            (Some(("desc", &up[..])), "seen: ignored"),
            (
                Some(("desc", &mixed[..])),
                "seen: another order, but not the requested one",
            ),
            (None, "not seen: no two orders to compare"),
        ] {
            // `up` and `down` have the same ids.
            let base = if says.contains("obeyed") { &mixed } else { &up };
            let expected = format!("sort_by and sort_order of users: {says}");
            assert_eq!(sorting(base, sorted).to_string(), expected);
        }
    }

    #[test]
    fn tells_pages_from_whole_lists() {
        let few = List::new("groups", "groups", Some(1));
        let all = List::new("users/{id}/conversations", "conversations", None);
        for (list, body, says) in [
            (
                &few,
                json!({"groups": [{}], "pagination": {"total_items": 3}}),
                "seen: in pages, which name the next one or the total",
            ),
            (
                &few,
                json!([{}, {}]),
                "seen: whole, whatever the page size, without pagination",
            ),
            (
                &few,
                json!({"groups": [{}]}),
                "not seen: as many records as requested, without pagination",
            ),
            (
                &few,
                json!({"groups": [{}], "pagination": {"total_items": "1"}}),
                "guessed: whole, or one page of one, with pagination",
            ),
            (
                &few,
                json!({"groups": []}),
                "not seen: empty, without pagination",
            ),
            (
                &all,
                json!({"conversations": [{}, {}]}),
                "guessed: whole, or one page of one, without pagination",
            ),
            (
                &all,
                json!({"conversations": [{}], "link": {"href": "/v2/x?page=2"}}),
                "seen: in pages, which name the next one or the total",
            ),
        ] {
            let expected = format!("pages of {}: {says}", list.endpoint);
            assert_eq!(list.pages(Some(&body)).to_string(), expected, "{body}");
        }
    }

    #[test]
    fn tells_whether_groups_come_by_themselves() {
        let entry = |value: Value| json!({"groupings": [{"key": "group", "value": value}]});
        for (data, says) in [
            (
                json!([entry(json!("null")), entry(json!("g"))]),
                "seen: groups come without it",
            ),
            (
                json!([entry(json!("null"))]),
                "guessed: no group comes without it",
            ),
            (
                json!([entry(Value::Null)]),
                "guessed: no group comes without it",
            ),
            (Value::Null, "not seen: no answer to tell from"),
        ] {
            let expected = format!("metric groupings and filter_by: {says}");
            assert_eq!(grouping(Some(&json!({"data": data}))).to_string(), expected);
        }
    }

    #[test]
    fn tells_the_clocks_apart() {
        for (ahead, says) in [
            (None, "not seen: answers have no usable Date"),
            (Some(0), "seen: the same as the server's"),
            (Some(3), "seen: 3 s ahead of the server's"),
            (Some(-7200), "seen: 7200 s behind the server's"),
        ] {
            let expected = format!("this machine's clock: {says}");
            assert_eq!(clock(ahead.map(TimeDelta::seconds)).to_string(), expected);
        }
    }
}
