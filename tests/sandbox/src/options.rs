//! What a simulated account is made of.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use crate::clock;
use crate::faults::Fault;
use crate::quirks::Quirks;

/// An account and the way it is served. Equal options make an equal account, byte by byte.
///
/// `seed`, `today`, `days`, `sizes` and the quirks that say "at the start" count once, at the
/// start; the rest can be changed at run time (`Sandbox::with_options`).
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// The end of the account's data: every timestamp lies in the `days` before it.
    pub today: DateTime<Utc>,
    pub days: u32,
    /// The API's port; 0 takes a free one.
    pub port: u16,
    pub sizes: Sizes,
    /// The wait before each answer, of the storage too.
    pub latency: Duration,
    /// Calls per simulated hour ("Rate Limits"); without it there are no limit headers.
    pub hourly_limit: Option<u32>,
    /// The length of the simulated hour.
    pub hour: Duration,
    /// guessed: how far the account's clock is ahead of the real one. It counts for the `Date`
    /// header, Unix times of resets, edits, additions and arriving messages.
    pub clock_offset: TimeDelta,
    pub quirks: Quirks,
    pub faults: Vec<Fault>,
    pub edits: Edits,
    /// Files that are delivered as they are instead of an event's generated rows, by event name
    /// (`Message-Sent`); each link of each job of the event leads to the whole file.
    pub report_files: BTreeMap<String, PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            today: Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc(),
            days: 60,
            port: 0,
            sizes: Sizes::default(),
            latency: Duration::ZERO,
            hourly_limit: None,
            hour: Duration::from_secs(3600),
            clock_offset: TimeDelta::zero(),
            quirks: Quirks::default(),
            faults: Vec::new(),
            edits: Edits::default(),
            report_files: BTreeMap::new(),
        }
    }
}

impl Options {
    /// The instant of the account's clock, in milliseconds.
    pub fn now(&self) -> i64 {
        clock::now() + self.clock_offset.num_milliseconds()
    }
}

/// How many there are of each thing.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub users: usize,
    pub conversations_per_user: RangeInclusive<u32>,
    pub messages_per_conversation: RangeInclusive<u32>,
    pub agents: usize,
    pub agent_statuses: usize,
    pub groups: usize,
    pub channels: usize,
    pub roles: usize,
    pub outbound_messages: usize,
    pub conversation_fields: usize,
    /// At least this many rows in each report but Agent-performance. Reports about conversations
    /// have no rows while there is no conversation.
    pub report_rows: usize,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            users: 100,
            conversations_per_user: 0..=3,
            messages_per_conversation: 1..=8,
            agents: 12,
            agent_statuses: 5,
            groups: 4,
            channels: 5,
            roles: 6,
            outbound_messages: 20,
            conversation_fields: 8,
            report_rows: 60,
        }
    }
}

/// Changes of the account while it is read.
#[derive(Clone, Debug)]
pub struct Edits {
    /// After each answered page of `GET /users`, so many users not yet edited get a new field
    /// value and the current time as `updated_time`.
    pub after_each_users_page: usize,
    /// No more than this many in all.
    pub most: usize,
    /// One user of each answered page is deleted, until this many are.
    pub delete_users: usize,
    /// After each answered page of messages, one more message arrives in that conversation,
    /// until this many have.
    pub arriving_messages: usize,
    /// After each answered page of messages, one of them is deleted, until this many are.
    pub deleted_messages: usize,
    /// After each answered page of `GET /users`, a user is created, until this many are.
    pub new_users: usize,
    /// So many users are edited after each answered page of `GET /users`, without end.
    pub busy_users: usize,
}

impl Default for Edits {
    fn default() -> Edits {
        Edits {
            after_each_users_page: 0,
            most: usize::MAX,
            delete_users: 0,
            arriving_messages: 0,
            deleted_messages: 0,
            new_users: 0,
            busy_users: 0,
        }
    }
}
