//! Stdout: messages and nothing else, the same for the same account.

use freshchat_sandbox::Sandbox;
use serde_json::Value;

use crate::tap::{Run, Tap, account};

/// The messages without what time brings, in one order: the windows of users,
/// which reach up to now, follow the time too.
fn without_times(run: &Run) -> Vec<Value> {
    let mut messages = run.messages.clone();
    messages.retain(|message| message["type"] != "STATE");
    for message in &mut messages {
        message["time_extracted"].take();
        message["record"]["checked_at"].take();
        message["record"]["retrieved_at"].take();
        if message["record"]["interval"] == "none" {
            // A value of the moment.
            message["record"]["start"].take();
            message["record"]["end"].take();
        }
    }
    messages.sort_by_cached_key(Value::to_string);
    messages
}

#[test]
fn two_runs_print_the_same() {
    let runs: Vec<Vec<Value>> = (0..2)
        .map(|_| {
            let mut options = account(150);
            options.sizes.groups = 30;
            let sandbox = Sandbox::start(options);
            without_times(&Tap::new(&sandbox).set("concurrency", 8).succeed())
        })
        .collect();
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn there_is_no_blank_line() {
    let sandbox = Sandbox::start(account(50));
    let run = Tap::new(&sandbox).succeed();
    assert!(run.stdout.ends_with('\n'));
    assert!(
        run.stdout
            .lines()
            .all(|line| line.starts_with('{') && line.ends_with('}'))
    );
}

#[test]
fn versions_surround_full_table_streams_only_when_asked_for() {
    let sandbox = Sandbox::start(account(5));
    let tap = || Tap::new(&sandbox).streams(&["users", "roles"]);
    assert_eq!(tap().succeed().of_type("ACTIVATE_VERSION").len(), 0);
    let run = tap().set("emit_activate_version_messages", true).succeed();
    let versions = run.of_type("ACTIVATE_VERSION");
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["stream"], "roles");
    for message in run.of_type("RECORD") {
        match message["stream"] == "roles" {
            true => assert_eq!(message["version"], versions[0]["version"]),
            false => assert!(message.get("version").is_none()),
        }
    }
    let last_role = run
        .messages
        .iter()
        .rposition(|message| message["stream"] == "roles")
        .unwrap();
    assert_eq!(run.messages[last_role]["type"], "ACTIVATE_VERSION");
}
