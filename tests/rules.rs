//! What must hold of any output, whatever was read; for the tests and for
//! `examples/worlds.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use jsonschema::Validator;
use serde_json::Value;

/// Streams of which a run writes each record once, unless it reads a child
/// again that it had missed. Users and lists may come again, the same or newer:
/// they are read again where they change meanwhile.
const ONCE: [&str; 6] = [
    "conversations",
    "messages",
    "business_hours",
    "metrics_historical",
    "metrics_instant",
    "deletions",
];

/// Messages of a run that go on where a state ended, and what is known of them
/// so far.
#[derive(Default)]
struct Seen<'a> {
    retries: bool,
    schemas: HashMap<&'a str, (Arc<Validator>, Vec<&'a str>)>,
    records: HashMap<(&'a str, String), &'a Value>,
    bookmarks: HashMap<&'a str, DateTime<Utc>>,
}

/// The rules that the messages of a run break, which began with a state:
///
/// - A record comes after its schema, is valid against it, and has its key.
/// - A record that comes again is the same or newer; those of `ONCE` come again
///   only if `retries`: where something may be missed at first, because it
///   answers badly or doesn't stop changing.
/// - A bookmark never goes back, neither within the run nor behind the state.
pub fn broken(state: &Value, messages: &[Value], retries: bool) -> Vec<String> {
    let mut seen = Seen {
        retries,
        ..Seen::default()
    };
    let mut broken = Vec::new();
    seen.state(state, &mut broken);
    for message in messages {
        let stream = message["stream"].as_str().unwrap_or_default();
        match message["type"].as_str().unwrap_or_default() {
            "SCHEMA" => seen.schema(stream, message),
            "RECORD" => seen.record(stream, message, &mut broken),
            "STATE" if message["value"].is_object() => seen.state(&message["value"], &mut broken),
            "ACTIVATE_VERSION" if message["version"].is_i64() => {}
            _ => broken.push(format!("not a message: {message}")),
        }
    }
    broken
}

impl<'a> Seen<'a> {
    fn schema(&mut self, stream: &'a str, message: &'a Value) {
        let keys = message["key_properties"].as_array().into_iter().flatten();
        let keys = keys.filter_map(Value::as_str).collect();
        let schema = validator(&message["schema"]);
        self.schemas.insert(stream, (schema, keys));
    }

    fn record(&mut self, stream: &'a str, message: &'a Value, broken: &mut Vec<String>) {
        let Some((schema, keys)) = self.schemas.get(stream) else {
            return broken.push(format!("a record before its schema: {message}"));
        };
        let record = &message["record"];
        if let Some(error) = schema.iter_errors(record).next() {
            broken.push(format!("{error} at {}: {message}", error.instance_path()));
        }
        for key in keys {
            if record[key].is_null() || record[key] == "" {
                broken.push(format!("no {key}: {message}"));
            }
        }
        let key: Vec<String> = keys.iter().map(|key| record[key].to_string()).collect();
        if let Some(before) = self.records.insert((stream, key.join(" ")), record) {
            if ONCE.contains(&stream) && !self.retries {
                broken.push(format!("it comes again: {message}"));
            }
            if let Some(problem) = older(before, record) {
                broken.push(format!("{problem}: {before} came before {message}"));
            }
        }
    }

    fn state(&mut self, state: &'a Value, broken: &mut Vec<String>) {
        for (stream, bookmark) in state["bookmarks"].as_object().into_iter().flatten() {
            let Some(time) = time(&bookmark["replication_key_value"]) else {
                continue;
            };
            match self.bookmarks.insert(stream, time) {
                Some(before) if before > time => {
                    broken.push(format!(
                        "the bookmark of {stream} goes from {before} to {time}"
                    ));
                }
                _ => {}
            }
        }
    }
}

/// Why a record must not come after another one of its key.
pub fn older(before: &Value, record: &Value) -> Option<&'static str> {
    let [earlier, later] = [before, record].map(|record| time(&record["updated_time"]));
    match (earlier, later) {
        (Some(earlier), Some(later)) if later < earlier => Some("an older version"),
        _ => None,
    }
}

/// A timestamp.
pub fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

/// Schemas are compiled once: most runs write the same ones.
fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: Mutex<Option<HashMap<String, Arc<Validator>>>> = Mutex::new(None);
    let text = schema.to_string();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let compile = || {
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(schema).expect("the schema is one"))
    };
    Arc::clone(known.entry(text).or_insert_with(compile))
}

/// Whether a record's value is the API's: a lone object where a list belongs
/// becomes a list of one, and a number where a text belongs that text.
pub fn stands_for(found: &Value, value: &Value) -> bool {
    match (found, value) {
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        (Value::Array(items), Value::Object(_)) => items.len() == 1 && stands_for(&items[0], value),
        (Value::Array(items), Value::Array(values)) if items.len() == values.len() => {
            let mut pairs = items.iter().zip(values);
            pairs.all(|(item, value)| stands_for(item, value))
        }
        (Value::Object(own), Value::Object(values)) if own.len() == values.len() => {
            let mut values = values.iter();
            values.all(|(name, value)| stands_for(&found[name], value))
        }
        _ => found == value,
    }
}
