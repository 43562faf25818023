//! What a run of a world must have delivered.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::Value;

use super::draw::STREAMS;
use super::play::BadChild;
use super::reports::{self, METRICS, Rows};
use crate::rules::{self, stands_for};
use crate::tap::{Run, key_of};

/// Records by key.
type Records = BTreeMap<String, Value>;

/// All that an account holds at one moment, by stream and key.
#[derive(Clone)]
pub struct Snapshot(BTreeMap<&'static str, Records>, Rows);

/// Children that need not be delivered.
pub struct Excused {
    /// As JSON texts, which begin the keys.
    conversations: BTreeSet<String>,
    messages: BTreeSet<String>,
    users: BTreeSet<String>,
}

impl Snapshot {
    pub fn of(sandbox: &Sandbox, reports: &[&'static str]) -> Snapshot {
        let of = |stream| {
            let truth = sandbox.truth(stream).into_iter();
            let by_key = truth.map(|record| (key_of(stream, &record), record));
            (stream, by_key.collect())
        };
        // What is deleted is no part of the account.
        let streams = STREAMS.into_iter().filter(|own| *own != "deletions");
        Snapshot(streams.map(of).collect(), Rows::of(sandbox, reports))
    }

    /// How many conversations are listed and answer 404.
    pub fn deleted_conversations(&self) -> usize {
        let listed = self.0["user_conversations"].values();
        let ids: BTreeSet<String> = listed
            .map(|record| record["conversation_id"].to_string())
            .collect();
        let living = &self.0["conversations"];
        ids.iter().filter(|id| !living.contains_key(*id)).count()
    }

    /// What need not be there because a child is bad in this run, or gone.
    pub fn excused(&self, children: &[BadChild], active: &dyn Fn(&BadChild) -> bool) -> Excused {
        let mut excused = Excused {
            conversations: BTreeSet::new(),
            messages: BTreeSet::new(),
            users: BTreeSet::new(),
        };
        for child in children
            .iter()
            .filter(|child| child.is_gone || active(child))
        {
            let id = Value::from(child.id.as_str()).to_string();
            match child.fault.endpoint.as_deref() {
                Some("conversations/{id}/messages") => {
                    excused.messages.insert(id);
                }
                Some("conversations/{id}") => {
                    excused.messages.insert(id.clone());
                    excused.conversations.insert(id);
                }
                _ => {
                    for listed in self.0["user_conversations"].values() {
                        if listed["user_id"] == child.id.as_str() {
                            let id = listed["conversation_id"].to_string();
                            excused.messages.insert(id.clone());
                            excused.conversations.insert(id);
                        }
                    }
                    excused.users.insert(id);
                }
            }
        }
        excused
    }
}

impl Excused {
    fn has(&self, stream: &str, record: &Value) -> bool {
        match stream {
            "user_conversations" => self.users.contains(&record["user_id"].to_string()),
            "conversations" => self
                .conversations
                .contains(&record["conversation_id"].to_string()),
            "messages" => self
                .messages
                .contains(&record["conversation_id"].to_string()),
            _ => false,
        }
    }
}

impl Checked<'_> {
    /// Checks that what is told as deleted is gone, or answers so.
    fn assert_gone(&self, record: &Value) {
        let id = record["id"].to_string();
        let (stream, excused) = match record["entity"].as_str() {
            Some("users") => ("users", &self.missed.users),
            Some("conversations") => ("conversations", &self.missed.conversations),
            _ => panic!("not something that is deleted: {record}"),
        };
        let is_there = self.after.0[stream].contains_key(&id);
        assert!(!is_there || excused.contains(&id), "it is there: {record}");
    }
}

/// Who says that a record was delivered.
#[derive(Clone, Copy, Debug)]
enum Why<'a> {
    /// A bookmark that moved to here.
    Claimed(Option<DateTime<Utc>>),
    /// An ACTIVATE_VERSION, with which a target drops all of other versions.
    Activated(&'a Value),
    /// A run without an error.
    Succeeded,
}

/// The bookmark of a stream.
fn claim(state: &Value, stream: &str) -> Option<DateTime<Utc>> {
    rules::time(&state["bookmarks"][stream]["replication_key_value"])
}

/// The RECORD message of each key that a target has, the latest one, by stream.
#[derive(Default)]
pub struct Delivered(BTreeMap<String, Records>);

/// What a check of one run goes by.
pub struct Checked<'a> {
    /// What there was before and after the run.
    pub before: Snapshot,
    pub after: Snapshot,
    /// What there was long before the run's start as the tap takes it, which
    /// may be a second early: what came since is for the next run.
    pub settled: &'a Snapshot,
    /// How late something may be listed.
    pub lag: TimeDelta,
    /// What there was before the first run.
    pub at_first: &'a Snapshot,
    /// Whether it goes on with an older walk.
    pub resumes: bool,
    /// The start date.
    pub start: DateTime<Utc>,
    /// Where the run began.
    pub state: &'a Value,
    /// What a success and an ACTIVATE_VERSION may leave out.
    pub excused: Excused,
    /// What a bookmark may leave out.
    pub missed: Excused,
}

impl Delivered {
    /// Adds what a run delivered, and checks what it claims: each STATE, each
    /// ACTIVATE_VERSION, and a success.
    pub fn check(&mut self, checked: &Checked, run: &Run, streams: &[&str]) {
        let mut of_run = Delivered::default();
        let claiming = |stream: &&&str| {
            matches!(**stream, "users" | "messages") || stream.starts_with("report_")
        };
        let claiming = streams.iter().filter(claiming);
        let mut claims: Vec<_> = claiming
            .map(|stream| (*stream, claim(checked.state, stream)))
            .collect();
        for message in &run.messages {
            let stream = message["stream"].as_str().unwrap_or_default();
            match message["type"].as_str().unwrap_or_default() {
                "RECORD" if stream == "deletions" => checked.assert_gone(&message["record"]),
                "RECORD" => {
                    of_run.add(stream, message);
                    self.add(stream, message);
                }
                // What a run before claims was checked then: an entry that is
                // listed late is for the lookback.
                "STATE" => {
                    for (stream, claimed) in &mut claims {
                        let claim = claim(&message["value"], stream);
                        if claim != *claimed {
                            self.assert_has(checked, stream, Why::Claimed(claim));
                            *claimed = claim;
                        }
                    }
                }
                "ACTIVATE_VERSION" => {
                    self.assert_has(checked, stream, Why::Activated(&message["version"]));
                }
                _ => {}
            }
        }
        if run.code != Some(0) {
            return;
        }
        // Who else has a conversation, and one without news, tell the users alone.
        let by_reports = run.stderr.contains("walk: the reports name ");
        for stream in streams.iter().filter(|own| **own != "deletions") {
            match *stream {
                "user_conversations" | "conversations" if by_reports => {}
                METRICS => {}
                // These go on where a run before ended.
                "users" | "user_conversations" | "conversations" | "messages" => {
                    self.assert_has(checked, stream, Why::Succeeded);
                }
                report if report.starts_with("report_") => {
                    self.assert_has(checked, stream, Why::Succeeded);
                }
                // A list whose page is never there can't be told from one whose
                // total is wrong: a warning says so.
                list if run
                    .stderr
                    .contains(&format!("{list}: the API's answers contradict")) => {}
                // What changes while it is read is told by a warning.
                list if checked.before.0[list] == checked.after.0[list] => {
                    of_run.assert_has(checked, list, Why::Succeeded);
                }
                _ => {}
            }
        }
    }

    /// The records of a stream that a target has.
    fn records(&self, stream: &str) -> impl Iterator<Item = &Value> {
        let messages = self.0.get(stream).into_iter().flat_map(Records::values);
        messages.map(|message| &message["record"])
    }

    /// Checks that a target has a report's rows and no more, if no row changed.
    pub fn check_report(
        &self,
        stream: &str,
        start: DateTime<Utc>,
        at_first: &Snapshot,
        after: &Snapshot,
    ) {
        let truths = [&at_first.1, &after.1];
        reports::assert_is(stream, start, truths, self.records(stream));
    }

    /// Checks that a target has what a run without a state reads of the
    /// metrics, as far as the state says so.
    pub fn check_metrics(&self, state: &Value, run: &Run) {
        let none = Records::new();
        let here = self.0.get(METRICS).unwrap_or(&none);
        for record in run.records(METRICS) {
            let is_claimed = rules::time(&record["end"]) <= claim(state, METRICS);
            if record["interval"] != "none" && is_claimed {
                let found = here.get(&key_of(METRICS, record));
                let found = found.map(|message| &message["record"]);
                assert_eq!(found, Some(record), "{METRICS}");
            }
        }
    }

    fn add(&mut self, stream: &str, message: &Value) {
        let records = self.0.entry(stream.to_owned()).or_default();
        records.insert(key_of(stream, &message["record"]), message.clone());
    }

    /// Checks that a stream's records are here as they are: those that were
    /// there throughout, and of which somebody says that they are.
    fn assert_has(&self, checked: &Checked, stream: &str, why: Why) {
        let (since, to, excused) = match why {
            Why::Claimed(to) if checked.resumes => (checked.settled, to, &checked.missed),
            Why::Claimed(to) => (&checked.before, to, &checked.missed),
            Why::Activated(_) | Why::Succeeded => (checked.settled, None, &checked.excused),
        };
        if stream.starts_with("report_") {
            // A row that changed later than its report looks back stays as it was.
            let truths = [&checked.at_first.1, &checked.before.1, &checked.after.1];
            reports::assert_has(stream, (checked.start, to), truths, self.records(stream));
            return;
        }
        let time_of = match stream {
            "users" => "updated_time",
            "messages" => "created_time",
            _ => "",
        };
        let none = Records::new();
        let here = self.0.get(stream).unwrap_or(&none);
        for (key, record) in &checked.before.0[stream] {
            let time = rules::time(&record[time_of]);
            let is_early = time.is_some_and(|time| time < checked.start);
            // What was listed late, perhaps since the run's start, is for the
            // lookback of the next run.
            let is_late = to.is_some_and(|to| time.is_some_and(|time| time >= to - checked.lag));
            let mut others = [since, &checked.after].into_iter();
            let changed = !others.all(|other| other.0[stream].get(key) == Some(record));
            if is_early || is_late || changed || excused.has(stream, record) {
                continue;
            }
            let found = here.get(key);
            let Some(found) = found else {
                panic!("{stream} {key} is lost, {why:?}: {record}");
            };
            if let Why::Activated(version) = why {
                assert_eq!(&found["version"], version, "{stream} {key} is dropped");
            }
            for (name, value) in record.as_object().into_iter().flatten() {
                let found = &found["record"][name];
                let same = stands_for(found, value);
                assert!(
                    same,
                    "{stream} {key} is stale, {why:?}: {name} is {found} for {value}"
                );
            }
        }
    }
}
