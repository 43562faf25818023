//! The state: one flat bookmark per stream, and whatever else the state file
//! held, which is kept as it was.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::timestamp;

const BOOKMARKS: &str = "bookmarks";
const KEY: &str = "replication_key";
const VALUE: &str = "replication_key_value";
const COMPLETED_AT: &str = "completed_at";

/// The state of all streams.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State(Map<String, Value>);

/// The bookmark of one stream. Progress within the stream stands beside the
/// replication key, under names of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bookmark(Map<String, Value>);

/// What is wrong with a state, and where.
#[derive(Debug, PartialEq)]
pub struct BadState {
    pub field: String,
    pub problem: String,
}

impl State {
    /// Checks the shape of a state: an object whose `bookmarks` are objects
    /// with a timestamp each, for the streams that `known` knows.
    ///
    /// # Errors
    /// The first member that is not of that shape.
    pub fn from_value(value: Value, known: impl Fn(&str) -> bool) -> Result<Self, BadState> {
        let bad = |field: &str, problem: &str| BadState {
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        let Value::Object(mut root) = value else {
            return Err(bad("", "is no JSON object"));
        };
        // A whole STATE message, as the tap printed it.
        if root.get("type").is_some_and(|name| name == "STATE")
            && let Some(Value::Object(state)) = root.get_mut("value")
        {
            root = std::mem::take(state);
        }
        let bookmarks = match root.get(BOOKMARKS) {
            None | Some(Value::Null) => return Ok(Self(root)),
            Some(Value::Object(bookmarks)) => bookmarks,
            Some(_) => return Err(bad(BOOKMARKS, "is no JSON object")),
        };
        for (stream, bookmark) in bookmarks.iter().filter(|(stream, _)| known(stream)) {
            let field = format!("{BOOKMARKS}.{stream}");
            let Value::Object(bookmark) = bookmark else {
                return Err(bad(&field, "is no JSON object"));
            };
            match bookmark.get(VALUE) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if timestamp::parse(text).is_some() => {}
                Some(_) => return Err(bad(&format!("{field}.{VALUE}"), "is no timestamp")),
            }
        }
        Ok(Self(root))
    }

    /// The bookmark of a stream; an empty one if there is none.
    pub fn bookmark(&self, stream: &str) -> Bookmark {
        let bookmark = self
            .0
            .get(BOOKMARKS)
            .and_then(|bookmarks| bookmarks.get(stream));
        Bookmark(
            bookmark
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        )
    }

    /// Replaces the bookmark of a stream; an empty one is none.
    pub fn set_bookmark(&mut self, stream: &str, bookmark: Bookmark) {
        if bookmark.0.is_empty() {
            if let Some(Value::Object(bookmarks)) = self.0.get_mut(BOOKMARKS) {
                bookmarks.shift_remove(stream);
            }
            return;
        }
        let bookmarks = self.0.entry(BOOKMARKS).or_insert(Value::Null);
        if !bookmarks.is_object() {
            *bookmarks = Value::Object(Map::new());
        }
        bookmarks[stream] = Value::Object(bookmark.0);
    }

    /// The whole state, as a STATE message carries it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a JSON value is always text")
    }
}

impl Bookmark {
    /// The replication key's value: up to where the stream is complete.
    pub fn value(&self) -> Option<DateTime<Utc>> {
        timestamp::parse(self.0.get(VALUE)?.as_str()?)
    }

    /// When the stream was last read completely.
    pub fn completed_at(&self) -> Option<DateTime<Utc>> {
        timestamp::parse(self.get(COMPLETED_AT)?.as_str()?)
    }

    /// Notes that the stream was read completely.
    pub fn complete(&mut self, at: DateTime<Utc>) {
        self.set(COMPLETED_AT, timestamp::format(at));
    }

    /// A member beside the replication key, read; none if it isn't there, or
    /// another version wrote it in another form.
    pub fn progress<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.get(name)?.clone()).ok()
    }

    /// A member beside the replication key.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a member beside the replication key.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Takes a member away.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// Moves the bookmark forward. It never goes back.
    pub fn advance(&mut self, key: &str, to: DateTime<Utc>) {
        let to = self.value().map_or(to, |value| value.max(to));
        self.0.insert(KEY.into(), key.into());
        self.0.insert(VALUE.into(), timestamp::format(to).into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<State, BadState> {
        State::from_value(value, |stream| stream == "users")
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let value = json!({"version": 7, "bookmarks": {"other": [1],
            "users": {"replication_key_value": "2026-01-02T03:04:05Z", "note": 1}}});
        let mut state = read(value).unwrap();
        let mut bookmark = state.bookmark("users");
        bookmark.advance("updated_time", timestamp::parse("2026-01-03").unwrap());
        bookmark.advance("updated_time", timestamp::parse("2026-01-01").unwrap());
        state.set_bookmark("users", bookmark);
        assert_eq!(
            state.to_json(),
            json!({"version": 7, "bookmarks": {"other": [1], "users": {
                "replication_key_value": "2026-01-03T00:00:00.000Z", "note": 1,
                "replication_key": "updated_time"}}})
            .to_string()
        );
    }

    #[test]
    fn names_the_member_that_is_wrong() {
        for (value, field) in [
            (json!([]), ""),
            (json!({"bookmarks": 1}), "bookmarks"),
            (json!({"bookmarks": {"users": "x"}}), "bookmarks.users"),
            (
                json!({"bookmarks": {"users": {"replication_key_value": 5}}}),
                "bookmarks.users.replication_key_value",
            ),
        ] {
            assert_eq!(read(value).unwrap_err().field, field);
        }
        assert_eq!(read(json!({})), Ok(State::default()));
    }
}
