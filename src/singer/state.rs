//! The state: one flat bookmark per stream, and the account that they belong
//! to. All other content of the state file is kept unchanged.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::timestamp;

const BOOKMARKS: &str = "bookmarks";
const ACCOUNT: &str = "account";
const HOST: &str = "host";
const KEY: &str = "replication_key";
const VALUE: &str = "replication_key_value";
const COMPLETED_AT: &str = "completed_at";

/// The members that a state may have at its top level. Without `bookmarks`, any
/// other member means that the file is not a state. Other taps write
/// `currently_syncing`.
const MEMBERS: [&str; 3] = [BOOKMARKS, ACCOUNT, "currently_syncing"];

/// The member in which Meltano stores a tap's state (`meltano state get`).
const MELTANO_STATE: &str = "singer_state";

/// How many unknown streams a warning lists.
const NAMED_STREAMS: usize = 20;

/// The state of all streams.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State(Map<String, Value>);

/// The bookmark of a stream. Progress within the stream is stored next to the
/// replication key, in members with other names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bookmark(Map<String, Value>);

/// What is wrong in a state, and in which field.
#[derive(Debug, PartialEq)]
pub struct BadState {
    pub field: String,
    pub problem: String,
}

/// The names that tell a state from other files.
pub struct Names<'a> {
    /// Whether this tap has a stream of this name.
    pub is_stream: &'a dyn Fn(&str) -> bool,
    /// The replication key of a stream, if it has one.
    pub replication_key: &'a dyn Fn(&str) -> Option<&'static str>,
    /// Whether this tap has a setting of this name.
    pub is_setting: &'a dyn Fn(&str) -> bool,
}

impl BadState {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl State {
    /// Reads a state file: a JSON value, or one state per line as targets write
    /// it, of which the last valid one is used. An empty file is an empty
    /// state. STATE messages and Meltano's wrapper are unwrapped.
    ///
    /// # Errors
    /// If the file is not JSON, or not a state.
    pub fn read(file: &[u8], names: &Names) -> Result<Self, BadState> {
        if file.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(file) {
            Ok(value) => Self::from_value(value, names),
            Err(problem) => match last_state(file) {
                Some(value) => Self::from_value(value, names),
                None => Err(BadState::new("", format!("is not JSON: {problem}"))),
            },
        }
    }

    /// Checks the structure of a state: an object with `bookmarks`, in which
    /// each stream of this tap is an object with a timestamp.
    fn from_value(value: Value, names: &Names) -> Result<Self, BadState> {
        let Value::Object(root) = value else {
            return Err(BadState::new("", "is not a JSON object"));
        };
        let mut root = unwrap(root)?;
        if !is_state(&root) {
            return Err(BadState::new("", what_it_is(&root, names)));
        }
        let bookmarks = match root.shift_remove(BOOKMARKS) {
            None | Some(Value::Null) => return Ok(Self(root)),
            Some(Value::Object(bookmarks)) => bookmarks,
            Some(_) => return Err(BadState::new(BOOKMARKS, "is not a JSON object")),
        };
        let mut unknown = Vec::new();
        for (stream, bookmark) in &bookmarks {
            if (names.is_stream)(stream) {
                check_bookmark(stream, bookmark, (names.replication_key)(stream))?;
            } else {
                unknown.push(stream.as_str());
            }
        }
        warn_of_unknown(&unknown);
        root.shift_insert(0, BOOKMARKS.to_owned(), Value::Object(bookmarks));
        Ok(Self(root))
    }

    /// Records that the bookmarks belong to the account at this host.
    ///
    /// # Errors
    /// If they belong to another account.
    pub fn belongs_to(&mut self, host: &str) -> Result<(), BadState> {
        // This puts `bookmarks` first in the state.
        self.bookmarks();
        let account = self.0.entry(ACCOUNT).or_insert_with(|| json!({}));
        let Value::Object(account) = account else {
            return Err(BadState::new(ACCOUNT, "is not a JSON object"));
        };
        match account.get(HOST) {
            None | Some(Value::Null) => {
                account.insert(HOST.to_owned(), host.into());
                Ok(())
            }
            Some(Value::String(own)) if own == host => Ok(()),
            Some(Value::String(own)) => Err(BadState::new(
                format!("{ACCOUNT}.{HOST}"),
                format!(
                    "is {own}, but the config names {host}. With the bookmarks of another \
                     account, records would be missed. If both are the same account, remove \
                     `{ACCOUNT}` from the state; if not, run without this state"
                ),
            )),
            Some(_) => Err(BadState::new(
                format!("{ACCOUNT}.{HOST}"),
                "is not a string",
            )),
        }
    }

    fn bookmarks(&mut self) -> &mut Map<String, Value> {
        if !self.0.get(BOOKMARKS).is_some_and(Value::is_object) {
            self.0.shift_insert(0, BOOKMARKS.to_owned(), json!({}));
        }
        self.0[BOOKMARKS]
            .as_object_mut()
            .expect("it was made an object")
    }

    /// The bookmark of a stream, or an empty one.
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

    /// Replaces the bookmark of a stream. An empty bookmark removes it.
    pub fn set_bookmark(&mut self, stream: &str, bookmark: Bookmark) {
        if bookmark.0.is_empty() {
            if let Some(Value::Object(bookmarks)) = self.0.get_mut(BOOKMARKS) {
                bookmarks.shift_remove(stream);
            }
            return;
        }
        self.bookmarks()
            .insert(stream.to_owned(), Value::Object(bookmark.0));
    }

    /// The whole state, for a STATE message.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a JSON value is always text")
    }
}

/// The last line that is a state, in a file of one state per line. The line
/// must begin with its brace, because lines inside a damaged multi-line file
/// are indented.
fn last_state(file: &[u8]) -> Option<Value> {
    let lines = file.split(|byte| *byte == b'\n').enumerate();
    let lines: Vec<_> = lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect();
    for (at, (number, line)) in lines.iter().enumerate().rev() {
        let object = serde_json::from_slice(line).ok();
        let Some(object) = object.filter(|_| line.starts_with(b"{")) else {
            continue;
        };
        let Ok(state) = unwrap(object) else { continue };
        if is_state(&state) {
            if at + 1 < lines.len() {
                log::warn!(
                    "state: the lines after line {} of the file are not a complete state; that \
                     line is used",
                    number + 1
                );
            }
            return Some(Value::Object(state));
        }
    }
    None
}

/// Unwraps a STATE message or Meltano's wrapper.
fn unwrap(mut root: Map<String, Value>) -> Result<Map<String, Value>, BadState> {
    loop {
        let member = if root.get("type").is_some_and(|name| name == "STATE") {
            "value"
        } else if root.contains_key(MELTANO_STATE) && !root.contains_key(BOOKMARKS) {
            MELTANO_STATE
        } else {
            return Ok(root);
        };
        match root.remove(member) {
            Some(Value::Object(inner)) => root = inner,
            _ => return Err(BadState::new(member, "is not a JSON object")),
        }
    }
}

fn is_state(root: &Map<String, Value>) -> bool {
    root.contains_key(BOOKMARKS) || root.keys().all(|name| MEMBERS.contains(&name.as_str()))
}

/// Describes a file that is not a state.
fn what_it_is(root: &Map<String, Value>, names: &Names) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| root.contains_key(*name));
    if has(&["type"]) {
        "looks like a Singer message; of these, only a STATE message holds a state"
    } else if has(&["streams"]) {
        "looks like a catalog, not a state; pass it with --catalog"
    } else if root.keys().any(|name| (names.is_setting)(name)) {
        "looks like a config, not a state; pass it with --config"
    } else if has(&["completed_state", "partial_state", "completed", "partial"]) {
        "looks like a file of Meltano's state backend; use what `meltano state get` prints"
    } else {
        "is not a state: it has no `bookmarks`, and contains unknown keys"
    }
}

fn check_bookmark(
    stream: &str,
    bookmark: &Value,
    replication_key: Option<&str>,
) -> Result<(), BadState> {
    let field = format!("{BOOKMARKS}.{stream}");
    let Value::Object(bookmark) = bookmark else {
        return Err(BadState::new(field, "is not a JSON object"));
    };
    let key = bookmark.get(KEY).filter(|key| !key.is_null());
    if let (Some(key), Some(own)) = (key, replication_key)
        && key != own
    {
        let problem = format!(
            "is not `{own}`, the stream's replication key; remove the bookmark to read the \
             stream from `start_date`"
        );
        return Err(BadState::new(format!("{field}.{KEY}"), problem));
    }
    match bookmark.get(VALUE) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if timestamp::parse(text).is_some() => Ok(()),
        Some(_) => Err(BadState::new(
            format!("{field}.{VALUE}"),
            "is not a timestamp",
        )),
    }
}

fn warn_of_unknown(streams: &[&str]) {
    if streams.is_empty() {
        return;
    }
    let named: Vec<String> = streams
        .iter()
        .take(NAMED_STREAMS)
        .map(|stream| format!("`{stream}`"))
        .collect();
    let more = match streams.len().saturating_sub(NAMED_STREAMS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    log::warn!(
        "state: this tap does not have the streams {}{more}; their bookmarks are kept as they are",
        named.join(", ")
    );
}

impl Bookmark {
    /// The value of the replication key, up to which the stream is complete.
    pub fn value(&self) -> Option<DateTime<Utc>> {
        timestamp::parse(self.0.get(VALUE)?.as_str()?)
    }

    /// The time when the stream was last read completely.
    pub fn completed_at(&self) -> Option<DateTime<Utc>> {
        timestamp::parse(self.get(COMPLETED_AT)?.as_str()?)
    }

    /// Records that the stream was read completely.
    pub fn complete(&mut self, at: DateTime<Utc>) {
        self.set(COMPLETED_AT, timestamp::format(at));
    }

    /// Parses a member other than the replication key. Returns `None` if it is
    /// missing, or if another version wrote it in another form.
    pub fn progress<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.get(name)?.clone()).ok()
    }

    /// A member other than the replication key.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a member other than the replication key.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Removes a member.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// Moves the bookmark forward, never back.
    pub fn advance(&mut self, key: &str, to: DateTime<Utc>) {
        let to = self.value().map_or(to, |value| value.max(to));
        self.0.insert(KEY.into(), key.into());
        self.0.insert(VALUE.into(), timestamp::format(to).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        is_stream: &|name| name == "users",
        replication_key: &|_| Some("updated_time"),
        is_setting: &|name| name == "api_token",
    };

    fn read(file: &str) -> Result<String, BadState> {
        State::read(file.as_bytes(), &NAMES).map(|state| state.to_json())
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let value = json!({"version": 7, "bookmarks": {"other": [1],
            "users": {"replication_key_value": "2026-01-02T03:04:05Z", "note": 1}}});
        let mut state = State::read(value.to_string().as_bytes(), &NAMES).unwrap();
        let mut bookmark = state.bookmark("users");
        bookmark.advance("updated_time", timestamp::parse("2026-01-03").unwrap());
        bookmark.advance("updated_time", timestamp::parse("2026-01-01").unwrap());
        state.set_bookmark("users", bookmark);
        assert_eq!(
            state.to_json(),
            json!({"bookmarks": {"other": [1], "users": {
                "replication_key_value": "2026-01-03T00:00:00.000Z", "note": 1,
                "replication_key": "updated_time"}}, "version": 7})
            .to_string()
        );
    }

    #[test]
    fn takes_every_form_of_a_state() {
        let state = r#"{"bookmarks":{"users":{"n":1}}}"#;
        let older = r#"{"bookmarks":{"users":{"n":0}}}"#;
        for file in [
            state.to_owned(),
            format!("{state}\n"),
            format!("{older}\n{state}\r\n\n"),
            format!("{older}\n{state}\n{{\"bookmarks\":{{\"us"),
            format!("{older}\n{{\"type\":\"STATE\",\"value\":{state}}}\n{{\"type\":\"RECORD\"}}\n"),
            format!("{{\"type\":\"STATE\",\"value\":{state}}}"),
            format!("{{\n  \"singer_state\": {state}\n}}"),
            format!("{{\"type\":\"STATE\",\"value\":{{\"singer_state\":{state}}}}}"),
        ] {
            assert_eq!(read(&file).as_deref(), Ok(state), "{file}");
        }
        for file in ["", " \n", "{}", "{\"singer_state\":{}}", "{}\n{}\n"] {
            assert_eq!(read(file).as_deref(), Ok("{}"), "{file}");
        }
    }

    #[test]
    fn names_the_member_that_is_wrong() {
        for (file, field, problem) in [
            ("[]", "", "is not a JSON object"),
            (r#"{"bookmarks": 1}"#, "bookmarks", "is not a JSON object"),
            (
                r#"{"bookmarks": {"users": "x"}}"#,
                "bookmarks.users",
                "is not a JSON object",
            ),
            (
                r#"{"bookmarks": {"users": {"replication_key_value": 5}}}"#,
                "bookmarks.users.replication_key_value",
                "is not a timestamp",
            ),
            (
                r#"{"bookmarks": {"users": {"replication_key": "id"}}}"#,
                "bookmarks.users.replication_key",
                "is not `updated_time`, the stream's replication key; remove the bookmark to read \
                 the stream from `start_date`",
            ),
            (
                r#"{"type": "STATE", "value": null}"#,
                "value",
                "is not a JSON object",
            ),
            (
                "{\n  \"bookmarks\":\n  {}\n",
                "",
                "is not JSON: EOF while parsing an object at line 4 column 0",
            ),
        ] {
            assert_eq!(read(file), Err(BadState::new(field, problem)), "{file}");
        }
    }

    #[test]
    fn belongs_to_one_account() {
        let mut state = State::default();
        assert_eq!(state.belongs_to("a.freshchat.com"), Ok(()));
        let named = r#"{"bookmarks":{},"account":{"host":"a.freshchat.com"}}"#;
        assert_eq!(state.to_json(), named);
        let mut state = State::read(
            br#"{"account":{"note":1,"host":"a.freshchat.com"},"bookmarks":{"users":{}}}"#,
            &NAMES,
        )
        .unwrap();
        assert_eq!(state.belongs_to("a.freshchat.com"), Ok(()));
        let other = state.belongs_to("b.freshchat.com").unwrap_err();
        assert_eq!(other.field, "account.host");
        assert!(
            other.problem.contains("remove `account`"),
            "{}",
            other.problem
        );
        assert_eq!(
            state.to_json(),
            r#"{"bookmarks":{"users":{}},"account":{"note":1,"host":"a.freshchat.com"}}"#
        );
    }
}
