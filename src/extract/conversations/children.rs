//! Users and conversations that could not be read, or are gone. They are kept
//! in the stream's bookmark until a later run has requested them again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::singer::Bookmark;
use crate::timestamp;

/// Children that could not be read, each with the time from which the stream
/// lacks its records.
const MISSED: &str = "missed";

/// Children that answered 404 or 410 twice.
const GONE: &str = "gone";

/// How long to wait before requesting a gone child again.
const AGAIN_AFTER: TimeDelta = TimeDelta::days(1);

/// The limit for the gone children of a stream in the state, in bytes of JSON.
const ROOM_FOR_GONE: usize = 5 * 1024;

/// What a walk requests one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChildKind {
    User,
    Conversation,
}

impl ChildKind {
    /// The stream that it belongs to, as named in `deletions`.
    pub fn entity(self) -> &'static str {
        match self {
            ChildKind::User => "users",
            ChildKind::Conversation => "conversations",
        }
    }

    pub fn noun(self) -> &'static str {
        match self {
            ChildKind::User => "user",
            ChildKind::Conversation => "conversation",
        }
    }
}

/// A user or a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    pub kind: ChildKind,
    pub id: String,
}

impl Child {
    pub fn user(id: &str) -> Self {
        Self {
            kind: ChildKind::User,
            id: id.to_owned(),
        }
    }

    pub fn conversation(id: &str) -> Self {
        Self {
            kind: ChildKind::Conversation,
            id: id.to_owned(),
        }
    }
}

/// A value for each child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Children<T> {
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, T>,
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    conversations: BTreeMap<String, T>,
}

impl<T> Default for Children<T> {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            conversations: BTreeMap::new(),
        }
    }
}

/// A child that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Gone {
    /// The time from which to read it if it comes back.
    from: StateTime,
    /// The time when it was found gone.
    at: StateTime,
}

/// A time, written in the state's usual format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct StateTime(DateTime<Utc>);

impl From<StateTime> for String {
    fn from(time: StateTime) -> Self {
        timestamp::format(time.0)
    }
}

impl TryFrom<String> for StateTime {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        timestamp::parse(&text).map(Self).ok_or("not a timestamp")
    }
}

/// The children of a stream to request again.
#[derive(Debug, Default, PartialEq)]
pub struct Ledger {
    /// Those that an earlier run could not read.
    known: Children<StateTime>,
    missed: Children<StateTime>,
    gone: Children<Gone>,
}

impl<T> Children<T> {
    fn of(&self, kind: ChildKind) -> &BTreeMap<String, T> {
        match kind {
            ChildKind::User => &self.users,
            ChildKind::Conversation => &self.conversations,
        }
    }

    fn of_mut(&mut self, kind: ChildKind) -> &mut BTreeMap<String, T> {
        match kind {
            ChildKind::User => &mut self.users,
            ChildKind::Conversation => &mut self.conversations,
        }
    }

    fn get(&self, child: &Child) -> Option<&T> {
        self.of(child.kind).get(&child.id)
    }

    fn insert(&mut self, child: &Child, value: T) {
        self.of_mut(child.kind).insert(child.id.clone(), value);
    }

    fn remove(&mut self, child: &Child) -> Option<T> {
        self.of_mut(child.kind).remove(&child.id)
    }

    fn len(&self) -> usize {
        self.users.len() + self.conversations.len()
    }
}

impl<T: Serialize> Children<T> {
    fn write(&self, name: &str, bookmark: &mut Bookmark) {
        match self.len() {
            0 => bookmark.remove(name),
            _ => bookmark.set(name, json!(self)),
        }
    }
}

impl Ledger {
    /// Reads the children from a bookmark.
    ///
    /// # Errors
    /// The name of the invalid member, and what is wrong with it.
    pub fn read(bookmark: &Bookmark) -> Result<Self, String> {
        let missed: Children<StateTime> = read(bookmark, MISSED)?;
        Ok(Self {
            known: missed.clone(),
            missed,
            gone: read(bookmark, GONE)?,
        })
    }

    /// Replaces the children in a bookmark.
    pub fn write(&self, bookmark: &mut Bookmark) {
        self.missed.write(MISSED, bookmark);
        self.gone.write(GONE, bookmark);
    }

    /// Adds the missed children to those in a bookmark, without removing any.
    pub fn add_missed(&self, bookmark: &mut Bookmark) -> Result<(), String> {
        let mut all: Children<StateTime> = read(bookmark, MISSED)?;
        for kind in [ChildKind::User, ChildKind::Conversation] {
            for (id, from) in self.missed.of(kind) {
                let earliest = all.of_mut(kind).entry(id.clone()).or_insert(*from);
                *earliest = (*earliest).min(*from);
            }
        }
        all.write(MISSED, bookmark);
        Ok(())
    }

    /// The size of the missed children in bytes of JSON.
    pub fn size(&self) -> usize {
        match self.missed.len() {
            0 => 0,
            _ => json!(self.missed).to_string().len(),
        }
    }

    /// The children to request before anything else: all missed ones.
    pub fn missed(&self, kind: ChildKind) -> impl Iterator<Item = &String> {
        self.missed.of(kind).keys()
    }

    /// Those that have been gone long enough to be requested again.
    pub fn due(&self, kind: ChildKind, now: DateTime<Utc>) -> impl Iterator<Item = &String> {
        let due = move |(_, gone): &(&String, &Gone)| gone.at.0 + AGAIN_AFTER <= now;
        self.gone.of(kind).iter().filter(due).map(|(id, _)| id)
    }

    /// The time from which to read a child, if it was missed or is gone.
    pub fn from(&self, child: &Child) -> Option<DateTime<Utc>> {
        let missed = self.missed.get(child).copied();
        let gone = self.gone.get(child).map(|gone| gone.from);
        missed.into_iter().chain(gone).min().map(|time| time.0)
    }

    /// All conversations that have their own start time.
    pub fn conversations(&self) -> impl Iterator<Item = (&String, DateTime<Utc>)> {
        let missed = self.missed.conversations.iter();
        let gone = self.gone.conversations.iter();
        missed
            .map(|(id, from)| (id, from.0))
            .chain(gone.map(|(id, gone)| (id, gone.from.0)))
    }

    pub fn is_gone(&self, child: &Child) -> bool {
        self.gone.get(child).is_some()
    }

    /// Records that a child can't be read now. Later it is read from `from`, or
    /// from the time when it was first missed, if that is earlier.
    pub fn miss(&mut self, child: &Child, from: DateTime<Utc>) {
        let from = self.from(child).map_or(from, |before| before.min(from));
        self.gone.remove(child);
        self.missed.insert(child, StateTime(from));
    }

    /// Records that a child was read completely, or need not be requested
    /// again.
    pub fn settle(&mut self, child: &Child) {
        self.missed.remove(child);
        self.gone.remove(child);
    }

    /// Records that a missed child is gone. It is requested again if there is
    /// room for it in the state.
    pub fn lose(&mut self, child: &Child, at: DateTime<Utc>) {
        let Some(from) = self.missed.remove(child) else {
            return;
        };
        self.gone.insert(
            child,
            Gone {
                from,
                at: StateTime(at),
            },
        );
        if json!(self.gone).to_string().len() > ROOM_FOR_GONE {
            self.gone.remove(child);
        }
    }

    /// Forgets the conversations, all of which come with the users' lists.
    pub fn forget_conversations(&mut self) {
        self.missed.conversations.clear();
        self.gone.conversations.clear();
    }

    /// How many children are missed for the first time, and how many were
    /// already missed by an earlier run.
    pub fn count(&self, kind: ChildKind) -> (usize, usize) {
        let missed = self.missed.of(kind);
        let known = self.known.of(kind);
        let known = missed.keys().filter(|id| known.contains_key(*id)).count();
        (missed.len() - known, known)
    }
}

/// The size of the missed children in a bookmark, in bytes of JSON.
pub fn size_in(bookmark: &Bookmark) -> usize {
    let missed = bookmark.get(MISSED);
    missed.map_or(0, |missed| missed.to_string().len())
}

fn read<T: DeserializeOwned + Default>(bookmark: &Bookmark, name: &str) -> Result<T, String> {
    match bookmark.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| {
            format!("`{name}` in its bookmark can't be read ({error}); remove it from the state to go on without it")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    fn user(id: &str) -> Child {
        Child::user(id)
    }

    fn written(ledger: &Ledger) -> Bookmark {
        let mut bookmark = Bookmark::default();
        ledger.write(&mut bookmark);
        bookmark
    }

    #[test]
    fn is_read_as_it_was_written() {
        let mut ledger = Ledger::default();
        assert_eq!(written(&ledger), Bookmark::default());
        ledger.miss(&user("a"), at(5));
        ledger.miss(&user("b"), at(6));
        ledger.lose(&user("b"), at(7));
        let again = Ledger::read(&written(&ledger)).unwrap();
        assert_eq!(
            (again.missed, again.gone),
            (ledger.missed.clone(), ledger.gone.clone())
        );
        assert_eq!(ledger.count(ChildKind::User), (1, 0));
        let mut bookmark = Bookmark::default();
        bookmark.set(MISSED, 5);
        let error = Ledger::read(&bookmark).unwrap_err();
        assert!(error.starts_with("`missed` in its bookmark can't be read"));
    }

    #[test]
    fn the_earliest_time_counts() {
        let mut ledger = Ledger::default();
        for (from, earliest) in [(5, 5), (7, 5), (3, 3)] {
            ledger.miss(&user("a"), at(from));
            assert_eq!(ledger.from(&user("a")), Some(at(earliest)));
        }
        ledger.lose(&user("a"), at(9));
        ledger.miss(&user("a"), at(8));
        assert_eq!(ledger.from(&user("a")), Some(at(3)));
        let mut other = Ledger::default();
        other.miss(&user("a"), at(2));
        other.miss(&user("b"), at(4));
        let mut bookmark = written(&ledger);
        other.add_missed(&mut bookmark).unwrap();
        let both = Ledger::read(&bookmark).unwrap();
        assert_eq!(both.from(&user("a")), Some(at(2)));
        assert_eq!(both.from(&user("b")), Some(at(4)));
    }

    #[test]
    fn what_is_gone_is_due_a_day_later_and_has_its_room() {
        let mut ledger = Ledger::default();
        for number in 0..1000 {
            let user = user(&format!("59b838d2-f0ce-4a08-b037-{number:012}"));
            ledger.miss(&user, at(0));
            ledger.lose(&user, at(0));
        }
        assert!(written(&ledger).get(GONE).unwrap().to_string().len() <= ROOM_FOR_GONE);
        let kept = ledger.gone.len();
        assert!(kept > 30, "{kept}");
        assert_eq!(ledger.due(ChildKind::User, at(23)).count(), 0);
        assert_eq!(ledger.due(ChildKind::User, at(24)).count(), kept);
    }
}
