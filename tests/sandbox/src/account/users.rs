//! The users: kept serialised, with two orders for the windows of `GET /users`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::words::{FIRST_NAMES, LAST_NAMES};
use crate::clock::{self, DAY};
use crate::json::{Object, quote};
use crate::options::Options;
use crate::quirks::OddRecords;
use crate::rng::{self, Rng};

#[derive(Debug)]
pub struct User {
    key: u128,
    /// When it was created and last changed, in milliseconds.
    pub created: i64,
    pub updated: i64,
    edits: u32,
    pub deleted: bool,
    /// The record as it is served.
    pub body: Box<str>,
}

#[derive(Debug)]
pub struct Users {
    seed: u64,
    odd: OddRecords,
    connector_fields: bool,
    list: Vec<User>,
    by_key: HashMap<u128, u32>,
    by_created: Vec<u32>,
    by_updated: Vec<u32>,
}

/// Which of its times a list of users is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Created,
    Updated,
}

/// A closed range of each time, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    pub created: (i64, i64),
    pub updated: (i64, i64),
}

impl Users {
    /// The users of an account whose data lies from `start` up to before `end`.
    pub fn generate(options: &Options, start: i64, end: i64) -> Users {
        let count = options.sizes.users;
        let mut users = Users {
            seed: options.seed,
            odd: options.quirks.odd_records,
            connector_fields: options.quirks.connector_fields,
            list: Vec::with_capacity(count),
            by_key: HashMap::with_capacity(count),
            by_created: Vec::new(),
            by_updated: Vec::new(),
        };
        let bulk = count.saturating_sub(options.quirks.bulk_import);
        for index in 0..count {
            let (created, updated) = match index < bulk {
                true => times(options.seed, index, start, end),
                false => bulk_times(options.seed, index, start, end),
            };
            users.push(created, updated);
        }
        let places: Vec<u32> = (0..users.list.len() as u32).collect();
        users.by_created = places.clone();
        users.by_updated = places;
        let list = &users.list;
        let place = |&at: &u32| &list[at as usize];
        users
            .by_created
            .sort_unstable_by_key(|at| (place(at).created, place(at).key));
        users
            .by_updated
            .sort_unstable_by_key(|at| (place(at).updated, place(at).key));
        users
    }

    fn push(&mut self, created: i64, updated: i64) -> usize {
        let index = self.list.len();
        let mut user = User {
            key: Rng::of(self.seed, "user-id", index as u64).key(),
            created,
            updated,
            edits: 0,
            deleted: false,
            body: Box::default(),
        };
        user.body = self.body(index, &user);
        self.by_key.insert(user.key, index as u32);
        self.list.push(user);
        index
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn get(&self, index: usize) -> &User {
        &self.list[index]
    }

    /// Most ids are UUIDs, some have a time behind them.
    pub fn id(&self, index: usize) -> String {
        id(self.list[index].key, index)
    }

    /// The place of the user with this id, deleted or not.
    pub fn find(&self, id: &str) -> Option<usize> {
        let key = rng::parse_uuid(id.get(..36)?)?;
        let index = *self.by_key.get(&key)? as usize;
        (self.id(index) == id).then_some(index)
    }

    /// The record; a lone surrogate, which text can't hold, reads as U+FFFD.
    pub fn record(&self, index: usize) -> Value {
        let body = self.list[index].body.replace("\\ud83d", "\\ufffd");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// The users of `windows` that are not deleted, by `order` and then by id.
    pub fn select(&self, windows: Windows, order: Order) -> Cow<'_, [u32]> {
        let list = &self.list;
        let slice = |places: &'_ [u32], range: (i64, i64), time: fn(&User) -> i64| {
            let below = |limit: i64| places.partition_point(|&at| time(&list[at as usize]) < limit);
            let end = below(range.1.saturating_add(1));
            below(range.0).min(end)..end
        };
        let (places, other) = match order {
            Order::Created => {
                let range = slice(&self.by_created, windows.created, |user| user.created);
                (&self.by_created[range], windows.updated)
            }
            Order::Updated => {
                let range = slice(&self.by_updated, windows.updated, |user| user.updated);
                (&self.by_updated[range], windows.created)
            }
        };
        if other == (i64::MIN, i64::MAX) {
            return Cow::Borrowed(places);
        }
        let kept = places.iter().copied().filter(|&at| {
            let user = &list[at as usize];
            let time = match order {
                Order::Created => user.updated,
                Order::Updated => user.created,
            };
            (other.0..=other.1).contains(&time)
        });
        Cow::Owned(kept.collect())
    }

    /// Gives a user a new first name, and `now` as the time of its last change, unless it was
    /// changed later than that.
    pub fn edit(&mut self, index: usize, now: i64) {
        if self.list[index].deleted {
            return;
        }
        self.take_out(index);
        let user = &mut self.list[index];
        user.edits += 1;
        user.updated = now.max(user.updated);
        self.list[index].body = self.body(index, &self.list[index]);
        self.put_in(index);
    }

    pub fn delete(&mut self, index: usize) {
        if !self.list[index].deleted {
            self.take_out(index);
            self.list[index].deleted = true;
        }
    }

    /// Adds a user that was created `now`.
    pub fn add(&mut self, now: i64) -> usize {
        let index = self.push(now, now);
        self.put_in(index);
        index
    }

    fn take_out(&mut self, index: usize) {
        let (created, updated) = self.places(index);
        self.by_created.remove(created);
        self.by_updated.remove(updated);
    }

    fn put_in(&mut self, index: usize) {
        let (created, updated) = self.places(index);
        self.by_created.insert(created, index as u32);
        self.by_updated.insert(updated, index as u32);
    }

    /// Where a user stands in the two orders, or would stand.
    fn places(&self, index: usize) -> (usize, usize) {
        let list = &self.list;
        let own = &list[index];
        let created = self.by_created.partition_point(|&at| {
            let other = &list[at as usize];
            (other.created, other.key) < (own.created, own.key)
        });
        let updated = self.by_updated.partition_point(|&at| {
            let other = &list[at as usize];
            (other.updated, other.key) < (own.updated, own.key)
        });
        (created, updated)
    }

    /// The user object (API document, "The user object"); some fields are missing or empty.
    fn body(&self, index: usize, user: &User) -> Box<str> {
        let mut rng = Rng::of(self.seed, "user", index as u64);
        let odd = match index % 20 {
            3 => self.odd,
            _ => OddRecords::default(),
        };
        let mut object = Object::new();
        object.raw("properties", &properties(&mut rng));
        if index % 4 != 1 {
            object.text("reference_id", &format!("ref-{}", rng.below(100_000)));
        }
        object.text("restore_id", &rng.uuid());
        object.text("created_time", &clock::text(user.created));
        let updated = match odd.offset_timestamp {
            true => clock::text(user.updated + 330 * clock::MINUTE).replace('Z', "+05:30"),
            false => clock::text(user.updated),
        };
        object.text("updated_time", &updated);
        object.text("id", &id(user.key, index));
        let first_name = match user.edits {
            0 => rng.pick(FIRST_NAMES).to_owned(),
            edits => format!("Edited {edits}"),
        };
        object.raw("first_name", &first_name_json(&first_name, odd));
        object.text("last_name", rng.pick(LAST_NAMES));
        match index % 9 {
            4 => object.text("email", ""),
            7 => (),
            _ => object.text("email", &format!("user{index}@example.com")),
        }
        object.raw("avatar", &avatar(index));
        match odd.wrong_type {
            true => object.raw("phone", &rng.below(1_000_000_000).to_string()),
            false => object.text("phone", &rng.below(1_000_000_000).to_string()),
        }
        match odd.wrong_type {
            true => object.text("login_status", "yes"),
            false => object.bool("login_status", rng.once_in(3)),
        }
        if index.is_multiple_of(2) {
            object.text("org_contact_id", &rng.next().to_string());
        }
        if odd.unknown_properties {
            object.raw("loyalty", r#"{"tier":"gold","points":[1,2.5,null]}"#);
            object.raw("visits", "17");
        }
        if self.connector_fields {
            let profiles = r#"[{"type":"facebook","id":"alice.adrian"}]"#;
            object.raw("social_profiles", profiles);
        }
        object.end().into_boxed_str()
    }
}

/// When user `index` was created and changed. Of each seven users three share both instants; the
/// first three stand at the very start, three others change at a midnight.
fn times(seed: u64, index: usize, start: i64, end: i64) -> (i64, i64) {
    let cluster = match index % 7 {
        0..3 => index - index % 7,
        _ => index,
    };
    let mut rng = Rng::of(seed, "user-times", cluster as u64);
    let created = rng.between(start, end - 1);
    match cluster {
        0 => (start, start),
        7 => (start, start + (end - start) / DAY / 2 * DAY),
        _ if rng.once_in(3) => (created, created),
        _ => (created, rng.between(created, end - 1)),
    }
}

/// When a user was created with many others, and changed.
fn bulk_times(seed: u64, index: usize, start: i64, end: i64) -> (i64, i64) {
    let created = start + (end - start) / 2;
    let mut rng = Rng::of(seed, "bulk-times", index as u64);
    match rng.once_in(2) {
        true => (created, created),
        false => (created, rng.between(created, end - 1)),
    }
}

fn id(key: u128, index: usize) -> String {
    let uuid = rng::uuid(key);
    match index % 10 {
        9 => format!("{uuid}20230415141608"),
        _ => uuid,
    }
}

fn properties(rng: &mut Rng) -> String {
    let site = rng.below(1_000_000);
    match site % 5 {
        0 => "[]".to_owned(),
        1 => r#"[{"name":"fc_user_timezone","value":"Asia/Calcutta"}]"#.to_owned(),
        _ => format!(
            r#"[{{"name":"fc_user_timezone","value":"Europe/Berlin"}},{{"name":"siteId","value":"{site}"}}]"#
        ),
    }
}

fn first_name_json(name: &str, odd: OddRecords) -> String {
    let mut json = quote(name);
    json.pop();
    if odd.nul {
        json.push_str("\\u0000x");
    }
    if odd.lone_surrogate {
        json.push_str("\\ud83d");
    }
    json.push('"');
    json
}

fn avatar(index: usize) -> String {
    match index % 3 {
        0 => format!(r#"{{"url":"https://fc-pics.s3.amazonaws.com/img/{index}.png"}}"#),
        _ => "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (i64, i64) = (i64::MIN, i64::MAX);

    fn users() -> Users {
        Users::generate(&Options::default(), 0, 60 * DAY)
    }

    fn windows(updated: (i64, i64)) -> Windows {
        Windows {
            created: ALL,
            updated,
        }
    }

    #[test]
    fn windows_take_in_both_edges() {
        let users = users();
        let time = users.get(7).updated;
        let same = users.select(windows((time, time)), Order::Updated);
        let mut places = same.to_vec();
        places.sort_unstable();
        assert_eq!(places, [7, 8, 9]);
        assert!(users.select(windows((9, 3)), Order::Updated).is_empty());
        let ids: Vec<String> = same.iter().map(|&at| users.id(at as usize)).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_edit_moves_a_user_to_the_end() {
        let mut users = users();
        users.edit(5, 90 * DAY);
        let all = users.select(windows(ALL), Order::Updated).into_owned();
        assert_eq!((all.len(), all.last()), (100, Some(&5)));
        assert_eq!(users.record(5)["first_name"], "Edited 1");
        users.delete(5);
        assert_eq!(users.select(windows(ALL), Order::Updated).len(), 99);
        let both = Windows {
            created: (0, 0),
            updated: ALL,
        };
        assert_eq!(users.select(both, Order::Updated).len(), 6);
        assert_eq!(users.select(both, Order::Created).len(), 6);
    }

    #[test]
    fn users_are_found_by_their_id_alone() {
        let users = users();
        assert_eq!(users.find(&users.id(19)), Some(19));
        assert_eq!(users.find(&users.id(19)[..36]), None);
        assert_eq!(users.find("é"), None);
    }

    #[test]
    fn odd_records_are_odd_and_still_read() {
        let mut options = Options::default();
        options.quirks.odd_records = OddRecords::all();
        let users = Users::generate(&options, 0, 60 * DAY);
        assert!(users.get(3).body.contains("\\ud83d\""));
        assert!(users.record(3)["phone"].is_number());
        let time = users.record(3)["updated_time"].as_str().map(clock::parse);
        assert_eq!(time, Some(Some(users.get(3).updated)));
    }
}
