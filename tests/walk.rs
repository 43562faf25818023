//! The walk over all users: stopped and resumed, refused and failing.

use std::collections::BTreeSet;

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::{Value, json};

use crate::conversations::{WALK, time};
use crate::tap::{Run, Tap, account, assert_complete, discovered, with_stream_metadata};

const KILLS: usize = 50;

/// The calls behind the records that a run delivered before its last STATE.
/// Each of its users has conversations, and each conversation one page.
fn delivered_calls(run: &Run) -> usize {
    let is_state = |message: &Value| message["type"] == "STATE";
    let until = run.messages.iter().rposition(is_state).unwrap_or(0);
    let of = |stream: &str, key: &str| {
        let records = run.messages[..until]
            .iter()
            .filter(|it| it["stream"] == stream);
        let keys = records.filter_map(|message| message["record"][key].as_str());
        keys.collect::<BTreeSet<_>>().len()
    };
    of(WALK[0], "user_id") + of(WALK[1], "conversation_id") + of(WALK[2], "conversation_id")
}

#[test]
fn killed_anywhere_and_resumed_is_complete() {
    // Pages of one window, and windows that are halved.
    for (users, page_size) in [(45, 3), (105, 1)] {
        let mut options = account(users);
        options.sizes.conversations_per_user = 1..=2;
        options.sizes.messages_per_conversation = 1..=2;
        let sandbox = Sandbox::start(options);
        let tap = || {
            Tap::new(&sandbox)
                .set("page_size", page_size)
                .set("lookback_seconds", 0)
                .streams(&WALK)
        };
        let all = tap().succeed().messages.len();
        // The lists of users aside: their windows are cut anew for a rest.
        let requests = sandbox.total() - sandbox.count("users");
        for kill in 1..=KILLS / 2 {
            let first = tap().kill_after(all * kill / (KILLS / 2 + 1));
            sandbox.clear_requests();
            let second = tap().state(&first.state()).succeed();
            for stream in WALK {
                let records = first.records(stream).into_iter();
                assert_complete(&sandbox, stream, records.chain(second.records(stream)));
            }
            let left = requests - delivered_calls(&first);
            let asked = sandbox.total() - sandbox.count("users");
            assert!(asked <= left, "kill {kill}: {asked} > {left}");
        }
    }
}

/// A run of the walk that was killed in the middle.
fn stopped(sandbox: &Sandbox, streams: &[&str]) -> (Run, Tap) {
    let tap = || Tap::new(sandbox).set("page_size", 5).streams(streams);
    let all = tap().succeed().messages.len();
    sandbox.clear_requests();
    (tap().kill_after(all / 2), tap())
}

#[test]
fn what_changes_between_the_parts_is_the_next_runs() {
    let mut options = account(60);
    options.sizes.conversations_per_user = 1..=2;
    let sandbox = Sandbox::start(options);
    let (first, tap) = stopped(&sandbox, &WALK);
    let bookmark = &first.state()["bookmarks"]["messages"];
    assert!(bookmark["replication_key_value"].is_null(), "{bookmark}");
    let started = bookmark["walk_started_at"].clone();
    // The walk has been there already.
    let walked = first.records("conversations")[0]["conversation_id"].clone();
    sandbox.add_message(walked.as_str().unwrap());
    let new = sandbox.add_user();
    let second = tap.state(&first.state()).succeed();
    let log = format!(
        "INFO walk: continuing the one started at {}",
        started.as_str().unwrap()
    );
    assert!(second.stderr.contains(&log), "{}", second.stderr);
    for stream in &WALK[1..] {
        assert_eq!(second.bookmark(stream), started);
    }
    assert!(
        !sandbox
            .requests()
            .iter()
            .any(|request| request.path.contains(&new))
    );
    let third = Tap::new(&sandbox)
        .streams(&WALK)
        .state(&second.state())
        .succeed();
    for stream in WALK {
        let records = [&first, &second, &third].map(|run| run.records(stream));
        assert_complete(&sandbox, stream, records.into_iter().flatten());
    }
    assert_eq!(third.records("messages").len(), 1);
}

#[test]
fn the_state_has_one_size() {
    let mut options = account(400);
    options.sizes.conversations_per_user = 0..=0;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("page_size", 2)
        .streams(&WALK)
        .succeed();
    let sizes = run
        .of_type("STATE")
        .into_iter()
        .map(|state| state.to_string().len());
    let sizes: Vec<usize> = sizes.collect();
    assert!(sizes.len() > 150, "one for each page of users");
    assert!(sizes.iter().all(|size| *size < 1500), "{sizes:?}");
    assert!(run.bookmark("messages").is_string());
}

#[test]
fn a_walk_that_does_not_fit_begins_anew() {
    let mut options = account(40);
    options.sizes.conversations_per_user = 1..=2;
    let sandbox = Sandbox::start(options);
    let (first, _) = stopped(&sandbox, &WALK[..2]);
    let changed = |name: &str, value: &Value| {
        let mut state = first.state();
        for stream in &WALK[..2] {
            state["bookmarks"][*stream][name] = value.clone();
        }
        state
    };
    let tap = || Tap::new(&sandbox).set("page_size", 5);
    // A stream that was not in it.
    let run = tap().streams(&WALK).state(&first.state()).succeed();
    for stream in WALK {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    // Other times to read from and to, and what no run wrote.
    for (name, value) in [
        ("walk_from", json!("2099-01-01T00:00:00.000Z")),
        ("walk_to", json!("2099-01-01T00:00:00.000Z")),
        ("walk_users_created_to", json!("2098-01-01T00:00:00.000Z")),
        ("walk_started_at", json!(5)),
        ("walk_to", Value::Null),
    ] {
        let run = tap()
            .streams(&WALK[..2])
            .state(&changed(name, &value))
            .succeed();
        for stream in &WALK[..2] {
            assert_complete(&sandbox, stream, run.records(stream));
        }
        let bookmark = &run.state()["bookmarks"]["conversations"];
        assert_eq!(bookmark.as_object().unwrap().len(), 4, "{bookmark}");
        assert!(time(&run.bookmark("conversations")) < chrono::Utc::now());
    }
}

#[test]
fn a_resumed_walk_keeps_its_version() {
    let mut options = account(60);
    options.sizes.conversations_per_user = 1..=2;
    let sandbox = Sandbox::start(options);
    let tap = || {
        Tap::new(&sandbox)
            .set("page_size", 5)
            .set("emit_activate_version_messages", true)
            .streams(&WALK)
    };
    let first = tap().kill_after(tap().succeed().messages.len() / 2);
    let second = tap().state(&first.state()).succeed();
    let versions = second.of_type("ACTIVATE_VERSION");
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["stream"], "user_conversations");
    for message in first
        .of_type("RECORD")
        .iter()
        .chain(&second.of_type("RECORD"))
    {
        let is_full = message["stream"] == "user_conversations";
        let expected = is_full.then_some(&versions[0]["version"]);
        assert_eq!(message.get("version"), expected);
    }
    assert_eq!(first.of_type("ACTIVATE_VERSION").len(), 0);
}

#[test]
fn one_endpoint_that_is_refused_leaves_the_others() {
    for (endpoint, refused) in [
        ("conversations/{id}", "conversations"),
        ("conversations/{id}/messages", "messages"),
    ] {
        let mut options = account(80);
        options.quirks.forbidden = vec![endpoint.into()];
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 5)
            .streams(&WALK)
            .succeed();
        for stream in WALK.iter().filter(|stream| **stream != refused) {
            assert_complete(&sandbox, stream, run.records(stream));
        }
        assert_eq!(run.records(refused).len(), 0);
        assert!(run.bookmark(refused).is_null());
        let warning = format!("WARNING stream `{refused}`: this token may not read it");
        assert!(run.stderr.contains(&warning), "{}", run.stderr);
        assert!(
            sandbox.count(endpoint) < 50,
            "it is given up: {}",
            sandbox.count(endpoint)
        );
    }
    for endpoint in ["users", "users/{id}/conversations"] {
        let mut options = account(80);
        options.quirks.forbidden = vec![endpoint.into()];
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox).streams(&WALK).run();
        run.assert_failed(1, &["none of the 3"]);
        assert!(sandbox.total() < 70, "{}", sandbox.total());
        assert_eq!(run.of_type("RECORD").len(), 0);
    }
}

#[test]
fn a_stream_that_fails_leaves_the_others() {
    let mut options = account(40);
    options.sizes.conversations_per_user = 1..=2;
    options.faults = vec![Fault::new("conversations/{id}", 20, FaultKind::Status(500)).times(999)];
    let sandbox = Sandbox::start(options);
    let tap = || Tap::new(&sandbox).set("page_size", 5).set("max_retries", 1);
    let first = tap().streams(&WALK).run();
    first.assert_failed(1, &["1 of 3", "conversations"]);
    assert_complete(&sandbox, "messages", first.records("messages"));
    assert!(first.bookmark("messages").is_string());
    assert!(first.bookmark("conversations").is_null());
    sandbox.with_options(|options| options.faults.clear());
    let second = tap().streams(&WALK).state(&first.state()).succeed();
    let records = first.records("conversations").into_iter();
    assert_complete(
        &sandbox,
        "conversations",
        records.chain(second.records("conversations")),
    );
    // Where nothing is left to read, the walk ends.
    sandbox.with_options(|options| {
        options.faults =
            vec![Fault::new("conversations/{id}", 1, FaultKind::Status(500)).times(999)];
    });
    sandbox.clear_requests();
    tap()
        .streams(&["conversations"])
        .run()
        .assert_failed(1, &["all of the selected"]);
    let tries = sandbox.count("conversations/{id}");
    assert!(tries < 2 * sandbox.truth("conversations").len(), "{tries}");
}

#[test]
fn a_refused_token_ends_the_walk() {
    let mut options = account(40);
    // Refused everywhere: else it would be a feature that the account lacks.
    let refused = |endpoint, nth| Fault::new(endpoint, nth, FaultKind::Status(401)).always();
    options.faults = vec![
        refused("conversations/{id}", 9),
        refused("accounts/configuration", 2),
    ];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["conversations", "messages", "roles"])
        .run();
    run.assert_failed(1, &["refused the token"]);
    assert_eq!(sandbox.count("roles"), 0);
    assert!(run.bookmark("messages").is_null());
}

#[test]
fn full_table_begins_at_the_start_date() {
    let sandbox = Sandbox::start(account(20));
    let first = Tap::new(&sandbox).streams(&WALK).succeed();
    let full = [("replication-method".to_owned(), json!("FULL_TABLE"))];
    let catalog = with_stream_metadata(discovered(), "messages", full.into_iter().collect());
    let run = Tap::new(&sandbox)
        .catalog(&catalog)
        .state(&first.state())
        .succeed();
    assert_complete(&sandbox, "messages", run.records("messages"));
    assert_complete(&sandbox, "conversations", run.records("conversations"));
}
