//! Conversations and messages: complete, each once, and for no more requests
//! than the API needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use freshchat_sandbox::{Edits, Options, PastEnd, PropertiesShape, Request, RetryAfter, Sandbox};
use serde_json::{Value, json};

use crate::tap::{Run, Tap, account, assert_complete, by_key};

pub const WALK: [&str; 3] = ["user_conversations", "conversations", "messages"];

/// An account whose conversations have 0, 1, 49, 50, 51 and 100 messages.
fn full_pages(users: usize) -> Options {
    let mut options = account(users);
    options.quirks.message_counts_cycle = true;
    options
}

fn walk(sandbox: &Sandbox) -> Tap {
    Tap::new(sandbox).streams(&WALK)
}

pub fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// The calls for the messages of all conversations: one for a conversation
/// without messages too, and two for each page but the last of one that has
/// several, which is read forwards and back.
fn message_calls(sandbox: &Sandbox) -> usize {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for message in sandbox.truth("messages") {
        *counts
            .entry(message["conversation_id"].to_string())
            .or_default() += 1;
    }
    let silent = sandbox.truth("conversations").len() - counts.len();
    let pages = counts.values().map(|count| 2 * count.div_ceil(50) - 1);
    pages.sum::<usize>() + silent
}

fn connections(requests: &[Request]) -> usize {
    let numbers: BTreeSet<u64> = requests.iter().map(|it| it.connection).collect();
    numbers.len()
}

/// No record of a stream came twice.
pub fn assert_once(run: &Run, stream: &str) {
    let records = run.records(stream);
    assert_eq!(
        by_key(stream, records.iter().copied()).len(),
        records.len(),
        "{stream}"
    );
}

#[test]
fn every_conversation_is_complete() {
    for (seed, times, properties, past_end) in [
        (1, true, PropertiesShape::Object, PastEnd::Empty),
        (2, false, PropertiesShape::Array, PastEnd::WrongPage),
        (3, true, PropertiesShape::Object, PastEnd::RepeatLast),
    ] {
        let mut options = full_pages(40);
        options.seed = seed;
        options.quirks.conversation_times = times;
        options.quirks.conversation_properties = properties;
        options.quirks.past_end = past_end;
        options.quirks.deleted_conversations = 6;
        options.quirks.shared_conversations = 5;
        let sandbox = Sandbox::start(options);
        let run = walk(&sandbox).set("page_size", 7).succeed();
        for stream in WALK {
            assert_complete(&sandbox, stream, run.records(stream));
            assert_once(&run, stream);
        }
        let gone = "WARNING stream `conversations`: 6 conversations no longer found (404 or 410)";
        assert!(run.stderr.contains(gone), "{}", run.stderr);
    }
}

#[test]
fn a_walk_costs_what_it_must_and_no_more() {
    let sandbox = Sandbox::start(full_pages(60));
    let users = 60;
    // The lists of users are read in windows of a page each.
    let windows = 17;
    let conversations = sandbox.truth("conversations").len();
    let messages = message_calls(&sandbox);
    assert!(messages > conversations);
    for (streams, calls) in [
        (&WALK[..], conversations + messages),
        (&WALK[..1], 0),
        (&WALK[1..2], conversations),
        (&WALK[2..], messages),
        (&WALK[1..], conversations + messages),
    ] {
        sandbox.clear_requests();
        let run = Tap::new(&sandbox).streams(streams).succeed();
        for stream in streams {
            assert_complete(&sandbox, stream, run.records(stream));
        }
        assert!(sandbox.count("users") <= windows, "{streams:?}");
        assert_eq!(
            crate::tap::calls(&sandbox) - sandbox.count("users"),
            users + calls,
            "{streams:?}"
        );
        let requests = sandbox.requests();
        let asked: BTreeSet<_> = requests.iter().map(|it| (&it.path, &it.query)).collect();
        let is_later = |it: &&Request| it.query("page").is_some_and(|page| page != "1");
        let later = requests.iter().filter(|it| it.endpoint != "users");
        let again = later.filter(is_later).count();
        assert_eq!(
            asked.len() + again,
            requests.len(),
            "nothing else is asked for twice"
        );
    }
}

#[test]
fn each_stream_has_its_row() {
    let sandbox = Sandbox::start(account(30));
    let conversations = sandbox.truth("conversations").len().to_string();
    let messages = sandbox.truth("messages").len().to_string();
    let run = walk(&sandbox).succeed();
    for row in [
        ["user_conversations", &conversations, "31"],
        ["conversations", &conversations, &conversations],
        ["messages", &messages, &conversations],
    ] {
        let lines = run
            .stderr
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut found = lines.filter(|line| line.get(1..4) == Some(&row[..]));
        assert_eq!(found.next().unwrap()[5], "complete", "{row:?}");
    }
}

#[test]
fn records_come_in_one_order() {
    let sandbox = Sandbox::start(full_pages(40));
    let records = |concurrency: usize| {
        let run = walk(&sandbox).set("concurrency", concurrency).succeed();
        let record = |message: &&Value| (message["stream"].clone(), message["record"].clone());
        run.of_type("RECORD").iter().map(record).collect::<Vec<_>>()
    };
    let alone = records(1);
    for concurrency in [2, 8, 32] {
        assert!(records(concurrency) == alone, "{concurrency}");
    }
}

#[test]
fn nothing_is_lost_while_the_account_changes() {
    for (seed, concurrency) in [(1, 1), (2, 4), (3, 8)] {
        let mut options = full_pages(45);
        options.seed = seed;
        options.edits = Edits {
            after_each_users_page: 3,
            most: 30,
            delete_users: 6,
            arriving_messages: 40,
            ..Edits::default()
        };
        let sandbox = Sandbox::start(options);
        let before: BTreeMap<_, _> = WALK.map(|stream| (stream, sandbox.truth(stream))).into();
        let tap = |state: &Value| {
            let tap = walk(&sandbox).set("page_size", 5);
            tap.set("concurrency", concurrency).state(state)
        };
        let first = tap(&json!({})).succeed();
        let second = tap(&first.state()).succeed();
        for stream in WALK {
            assert_once(&second, stream);
            let records = || {
                first
                    .records(stream)
                    .into_iter()
                    .chain(second.records(stream))
            };
            let found = by_key(stream, records());
            let truth = sandbox.truth(stream);
            // What was deleted may have come before.
            let known = by_key(stream, before[stream].iter().chain(&truth));
            assert!(found.keys().all(|key| known.contains_key(key)), "{stream}");
            let left = by_key(stream, &truth);
            let left = found.into_iter().filter(|(key, _)| left.contains_key(key));
            assert_complete(&sandbox, stream, left.map(|(_, record)| record));
        }
        assert_once(&first, "messages");
        let is_warning = |line: &str| {
            line.starts_with("WARNING walk: ") && line.ends_with(" no longer found (404 or 410)")
        };
        assert!(first.stderr.lines().any(is_warning), "{}", first.stderr);
    }
}

fn ids<'a>(run: &'a Run, stream: &str, key: &str) -> BTreeSet<&'a str> {
    let records = run.records(stream).into_iter();
    records
        .map(|record| record[key].as_str().unwrap())
        .collect()
}

#[test]
fn the_next_run_reads_what_changed() {
    for times in [true, false] {
        let mut options = account(50);
        options.quirks.conversation_times = times;
        let sandbox = Sandbox::start(options);
        // The server tells its time in whole seconds.
        let before = Utc::now() - chrono::TimeDelta::seconds(5);
        let first = walk(&sandbox).succeed();
        for (stream, key) in [
            ("conversations", "updated_time"),
            ("messages", "created_time"),
        ] {
            let bookmark = &first.state()["bookmarks"][stream];
            assert_eq!(bookmark["replication_key"], key);
            assert_eq!(bookmark.as_object().unwrap().len(), 4, "{bookmark}");
            let value = time(&bookmark["replication_key_value"]);
            let start = DateTime::from_timestamp_millis(before.timestamp_millis()).unwrap();
            assert!(
                (start..=Utc::now()).contains(&value),
                "the start of the run"
            );
        }
        let lists = &first.state()["bookmarks"]["user_conversations"];
        assert_eq!(
            *lists,
            json!({
                "walk_complete_to": first.bookmark("messages"),
                "reconciled_to": first.bookmark("messages"),
                "completed_at": lists["completed_at"],
            })
        );
        let old = sandbox.truth("conversations")[3]["conversation_id"].clone();
        let old = old.as_str().unwrap();
        sandbox.add_message(old);
        let new = sandbox.add_conversation(7);
        let new_user = sandbox.add_user();
        sandbox.clear_requests();
        let second = walk(&sandbox).state(&first.state()).succeed();
        assert_complete(
            &sandbox,
            "user_conversations",
            second.records("user_conversations"),
        );
        let changed = BTreeSet::from([old, &new]);
        assert_eq!(ids(&second, "messages", "conversation_id"), changed);
        assert_eq!(second.records("messages").len(), 2);
        let all = sandbox.truth("conversations").len();
        // It isn't known which changes move `updated_time`.
        let emitted = ids(&second, "conversations", "conversation_id");
        assert_eq!(emitted.len(), all);
        let bookmark = time(&first.bookmark("messages"));
        for request in sandbox.requests() {
            if let Some(from) = request.query("from_time") {
                let from: DateTime<Utc> = from.parse().unwrap();
                assert_eq!((bookmark - from).num_milliseconds(), 900_000);
            }
        }
        assert_eq!(sandbox.count("conversations/{id}/messages"), all);
        assert!(
            sandbox
                .requests()
                .iter()
                .any(|it| it.path.contains(&new_user))
        );
    }
}

#[test]
fn several_pages_are_read_forwards_and_back() {
    let mut options = account(5);
    options.sizes.conversations_per_user = 1..=1;
    options.sizes.messages_per_conversation = 120..=120;
    let sandbox = Sandbox::start(options);
    let start = time(&sandbox.config()["start_date"]);
    let run = walk(&sandbox).set("concurrency", 1).succeed();
    assert_complete(&sandbox, "messages", run.records("messages"));
    assert_once(&run, "messages");
    let requests = sandbox.requests();
    let of_messages = |request: &&Request| request.endpoint == "conversations/{id}/messages";
    let messages: Vec<&Request> = requests.iter().filter(of_messages).collect();
    assert_eq!(messages.len(), 25, "forwards and back");
    for (at, request) in messages.iter().enumerate() {
        assert_eq!(
            request.query("page"),
            Some(["1", "2", "3", "2", "1"][at % 5])
        );
        assert_eq!(request.query("items_per_page"), Some("50"));
        assert_eq!(time(&json!(request.query("from_time"))), start);
        assert_eq!(request.query("1"), None, "its junk is left out");
    }
}

#[test]
fn the_start_and_the_end_bound_the_messages() {
    let sandbox = Sandbox::start(account(60));
    let today = sandbox.options().today;
    let (start, end) = (
        today - chrono::Duration::days(40),
        today - chrono::Duration::days(15),
    );
    let run = walk(&sandbox)
        .set("start_date", start.to_rfc3339())
        .set("end_date", end.to_rfc3339())
        .succeed();
    let truth = sandbox.truth("messages");
    let within = |record: &&Value| (start..end).contains(&time(&record["created_time"]));
    let expected: Vec<&Value> = truth.iter().filter(within).collect();
    assert!(!expected.is_empty() && expected.len() < truth.len());
    let expected: Vec<String> = by_key("messages", expected).into_keys().collect();
    let found: Vec<String> = by_key("messages", run.records("messages"))
        .into_keys()
        .collect();
    assert_eq!(found, expected);
    // A conversation that was fetched is delivered, whatever its time says.
    let later = run.records("conversations").into_iter();
    assert!(later.filter(|it| time(&it["updated_time"]) >= end).count() > 0);
    let read = ids(&run, "messages", "conversation_id");
    assert!(read.is_subset(&ids(&run, "conversations", "conversation_id")));
    for stream in &WALK[1..] {
        assert_eq!(time(&run.bookmark(stream)), end);
    }
}

#[test]
fn requests_overlap_up_to_the_limit_and_share_connections() {
    let mut options = account(50);
    options.latency = Duration::from_millis(10);
    let sandbox = Sandbox::start(options);
    for concurrency in [1, 8] {
        sandbox.clear_requests();
        let run = walk(&sandbox).set("concurrency", concurrency).succeed();
        assert_complete(&sandbox, "messages", run.records("messages"));
        assert_eq!(sandbox.max_in_flight(), concurrency);
        assert!(connections(&sandbox.requests()) <= concurrency + 1);
    }
}

#[test]
fn at_a_429_all_wait() {
    let mut options = account(60);
    options.latency = Duration::from_millis(5);
    options.quirks.retry_after = RetryAfter::Seconds;
    options.faults = vec![freshchat_sandbox::Fault::any(
        60,
        freshchat_sandbox::FaultKind::Status(429),
    )];
    let sandbox = Sandbox::start(options);
    let run = walk(&sandbox).set("concurrency", 8).succeed();
    assert_complete(&sandbox, "messages", run.records("messages"));
    let requests = sandbox.requests();
    let refused = requests
        .iter()
        .position(|request| request.status == 429)
        .unwrap();
    let after = &requests[refused..];
    let gap = |pair: &[Request]| pair[1].at.duration_since(pair[0].at);
    let pause = after
        .windows(2)
        .position(|pair| gap(pair) > Duration::from_millis(900));
    // For as long as the answer asked, nobody sent anything.
    assert!(pause.is_some(), "no pause");
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.status == 429)
            .count(),
        1
    );
    // Connections that are idle meanwhile are not given up.
    assert!(connections(&requests) <= 9);
}

#[test]
fn the_cost_is_said_before_the_walk() {
    let mut options = account(1000);
    options.sizes.conversations_per_user = 0..=0;
    options.hourly_limit = Some(1100);
    options.hour = Duration::from_millis(500);
    let sandbox = Sandbox::start(options);
    let run = walk(&sandbox).succeed();
    let lines: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("walk: "))
        .collect();
    assert_eq!(
        lines,
        [
            "INFO walk: 1000 users take 1020 calls, and 2 for each conversation that they have",
            "INFO walk: at 990 calls an hour, as this account's limit allows, the users alone \
             take 1.0 h",
            "INFO walk: with `conversation_discovery` `reports`, only conversations that changed \
             are read, however many users there are",
        ]
    );
    sandbox.with_options(|options| options.hourly_limit = Some(1_000_000));
    let run = Tap::new(&sandbox).streams(&["messages"]).succeed();
    assert!(
        run.stderr.contains("take 1020 calls, and 1 for each"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("take 0.0 h"), "{}", run.stderr);
}
