//! The handle by which a test holds an account.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::account::Account;
use crate::changes::{Change, Changes};
use crate::clock::{self, SECOND};
use crate::control::Request;
use crate::faults::FaultCounts;
use crate::options::Options;
use crate::rng::Rng;
use crate::server::{self, Shared};
use crate::{metrics, reports, truth};

/// A running account. It stops when dropped, and then panics if the client broke a rule of the
/// API, unless `allow_violations` was called.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

impl Sandbox {
    /// Makes the account and serves it on loopback.
    ///
    /// # Panics
    /// If the port is taken.
    pub fn start(options: Options) -> Sandbox {
        let mut rng = Rng::of(options.seed, "token", 0);
        let token = format!(
            "eyJhbGciOiJIUzI1NiJ9.{:016x}.{:016x}",
            rng.next(),
            rng.next()
        );
        let shared = server::start(options, token).expect("a free port on loopback");
        Sandbox { shared }
    }

    /// The address that a tap takes as `api_url`.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}/v2", self.shared.api_port)
    }

    /// The origin of the report files, without a path.
    pub fn storage_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.shared.storage_port)
    }

    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// A tap's config that fits the account, with waits as short as its rules allow.
    pub fn config(&self) -> Value {
        let world = self.shared.world();
        let reports = &world.options.quirks.reports;
        let interval = reports.post_interval.as_secs_f64() * 1.25 + 0.008;
        let mut config = json!({
            "api_url": self.api_url(),
            "api_token": self.token(),
            "start_date": clock::text(world.account.start),
            "retry_base_seconds": 0.01,
            "retry_max_seconds": 0.05,
            "report_request_interval_seconds": interval,
            "report_poll_interval_seconds": 0.01,
        });
        if let Some(budget) = reports.daily_budget {
            config["report_jobs_per_event_per_day"] = json!(budget);
        }
        config
    }

    pub fn options(&self) -> Options {
        Options::clone(&self.shared.world().options)
    }

    /// Changes the switches that count at run time (see `Options`).
    pub fn with_options(&self, change: impl FnOnce(&mut Options)) {
        let mut world = self.shared.world_mut();
        let faults = world.options.faults.clone();
        change(Arc::make_mut(&mut world.options));
        if world.options.faults != faults {
            self.shared.control().faults = FaultCounts::default();
        }
    }

    /// The current records of a stream in the API's shapes, with the keys that a tap knows from
    /// the request: `user_conversations` have `user_id` and `conversation_id`, `business_hours`
    /// have `group_id`.
    ///
    /// The rows of `report_…` streams are objects of strings in time order, each column and value
    /// as documented (`true`, `2026-01-02T03:04:05.678Z`, `label_sub_category_name`,
    /// `agent_status_in_seconds`, `last_response_timestamp_millis`), whatever the quirks make of
    /// them in the files; Agent-performance has rows for the windows that were asked for so far.
    ///
    /// # Panics
    /// If there is no such stream.
    pub fn truth(&self, stream: &str) -> Vec<Value> {
        let world = self.shared.world();
        let control = self.shared.control();
        truth::records(&world, &control.jobs, stream)
    }

    /// What `metrics/historical` answers for one interval: the value of a metric, or of a
    /// summary's part, with the aggregator (empty for counts) and the key and value of the
    /// grouping. `None` is null.
    pub fn metric_value(
        &self,
        metric: &str,
        aggregator: &str,
        grouping: Option<(&str, &str)>,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Option<String> {
        let world = self.shared.world();
        let series = metrics::Series {
            metric,
            aggregator,
            grouping,
            start: start.timestamp_millis(),
            end: end.timestamp_millis(),
        };
        metrics::value(world.account.seed, series, &world.options.quirks.metrics)
    }
}

/// What the client did.
impl Sandbox {
    /// All requests since the start or the last `clear_requests`, those to the storage too.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.control().requests.clone()
    }

    /// How many requests an endpoint had; by its template, or `storage`.
    pub fn count(&self, endpoint: &str) -> usize {
        let control = self.shared.control();
        let requests = control.requests.iter();
        requests.filter(|own| own.endpoint == endpoint).count()
    }

    /// How many requests the API had; those to the storage apart.
    pub fn total(&self) -> usize {
        let control = self.shared.control();
        let requests = control.requests.iter();
        requests.filter(|own| own.endpoint != "storage").count()
    }

    /// Empties the log, and forgets the most requests at once.
    pub fn clear_requests(&self) {
        self.shared.control().requests.clear();
        self.shared.in_flight.forget();
    }

    /// The most API requests that were under way at once.
    pub fn max_in_flight(&self) -> usize {
        self.shared.in_flight.most()
    }

    /// The rules that the client broke.
    pub fn violations(&self) -> Vec<String> {
        self.shared.control().violations.clone()
    }

    /// Broken rules are what is tested: dropping the sandbox does not panic.
    pub fn allow_violations(&self) {
        self.shared.control().violations_allowed = true;
    }
}

/// Changes of the account between two runs. Times are those of the account's clock, dated back by
/// the lag of lists.
impl Sandbox {
    /// Waits for the next second: the `Date` of a later answer, which has whole seconds, is not
    /// before anything that has happened.
    pub fn next_second(&self) {
        let now = self.shared.world().options.now();
        let left = SECOND - now.rem_euclid(SECOND);
        let left = Duration::from_millis(left.unsigned_abs());
        self.shared.stop.wait(left);
    }

    /// Makes a change, and waits for the next second.
    fn change<T>(&self, make: impl FnOnce(&mut Account, i64) -> T) -> T {
        let mut world = self.shared.world_mut();
        let own_time = world.moment();
        let made = make(&mut world.account, own_time);
        drop(world);
        self.next_second();
        made
    }

    /// Gives user `index` (in the order of making) a new first name; its id.
    pub fn edit_user(&self, index: usize) -> String {
        self.change(|account, now| {
            account.users.edit(index, now);
            account.users.id(index)
        })
    }

    /// Deletes user `index`, and the conversations that no other user lists; its id.
    pub fn delete_user(&self, index: usize) -> String {
        let account = &mut self.shared.world_mut().account;
        account.delete_user(index);
        account.users.id(index)
    }

    /// Adds a user; its id.
    pub fn add_user(&self) -> String {
        self.change(|account, now| {
            let index = account.users.add(now);
            account.users.id(index)
        })
    }

    /// Begins a conversation of user `index`, with one message; its id.
    pub fn add_conversation(&self, index: usize) -> String {
        self.change(|account, now| {
            let added = account.conversations.add(index, now);
            account.conversations.id(added)
        })
    }

    /// Lets a message arrive in a conversation.
    ///
    /// # Panics
    /// If there is no conversation with this id.
    pub fn add_message(&self, conversation: &str) {
        self.change(|account, now| {
            let index = account.conversations.find(conversation);
            let index = index.expect("a known conversation");
            account.conversations.add_message(index, now);
        });
    }

    /// Changes a property of a conversation, and nothing else.
    ///
    /// # Panics
    /// If there is no conversation with this id.
    pub fn edit_conversation(&self, conversation: &str) {
        self.change(|account, now| {
            let index = account.conversations.find(conversation);
            let index = index.expect("a known conversation");
            account.conversations.edit(index, now);
        });
    }

    /// Deletes the newest message of a conversation, if there is one.
    ///
    /// # Panics
    /// If there is no conversation with this id.
    pub fn delete_message(&self, conversation: &str) {
        let conversations = &mut self.shared.world_mut().account.conversations;
        let index = conversations.find(conversation);
        let index = index.expect("a known conversation");
        let detail = conversations.detail(index);
        if let Some(&newest) = conversations.messages(index, &detail).last() {
            conversations.delete_message(index, newest);
        }
    }

    /// Lets something happen to the account, of which `rng` says to what.
    pub fn change_at_random(&self, change: Change, rng: &mut Rng) {
        self.shared.world_mut().change(change, rng);
    }

    /// Lets things happen after the API's answers, from now on; `None` lets nothing happen.
    pub fn change_while_read(&self, changes: Option<Changes>) {
        self.shared.control().changes = changes;
    }

    /// Adds a row to the report of `event`, dated at any time: as a rating that comes in late.
    ///
    /// # Panics
    /// If there is no event of this name.
    pub fn add_report_row(&self, event: &str, at: DateTime<Utc>) {
        let mut known = reports::EVENTS.iter();
        let found = known.find(|own| own.name == event);
        let name = found.expect("a known event").name;
        let row = (name, at.timestamp_millis());
        self.shared.world_mut().account.added_rows.push(row);
    }

    /// Deletes a conversation: it stays listed, and answers 404.
    ///
    /// # Panics
    /// If there is no conversation with this id.
    pub fn delete_conversation(&self, conversation: &str) {
        let conversations = &mut self.shared.world_mut().account.conversations;
        let index = conversations.find(conversation);
        conversations.delete(index.expect("a known conversation"));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.shut_down();
        if std::thread::panicking() {
            return;
        }
        let control = self.shared.control();
        let allowed = control.violations_allowed || control.violations.is_empty();
        let list = control.violations.join("\n  ");
        drop(control);
        assert!(allowed, "the client broke the API's rules:\n  {list}");
    }
}
