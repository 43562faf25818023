//! A run that is stopped anywhere goes on without a loss.

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::json;

use crate::tap::{Tap, account, assert_complete, wait_for_line};

const KILLS: usize = 50;

#[test]
fn killed_anywhere_and_resumed_is_complete() {
    let sandbox = Sandbox::start(account(420));
    let streams = ["account", "users", "agents", "groups", "roles"];
    let tap = || {
        Tap::new(&sandbox)
            .set("page_size", 2)
            .set("lookback_seconds", 0)
            .streams(&streams)
    };
    let whole = tap().succeed();
    let all = whole.messages.len();
    let requests = sandbox.total();
    for kill in 1..=KILLS {
        let first = tap().kill_after(all * kill / (KILLS + 1));
        sandbox.clear_requests();
        let second = tap().state(&first.state()).succeed();
        for stream in streams {
            let records = first
                .records(stream)
                .into_iter()
                .chain(second.records(stream));
            assert_complete(&sandbox, stream, records);
        }
        assert!(sandbox.total() <= requests, "kill {kill}");
    }
}

#[test]
fn a_closed_stdout_ends_the_run_at_once() {
    let mut options = account(500);
    options.faults = vec![Fault::new(
        "agents",
        1,
        FaultKind::Stall(std::time::Duration::from_secs(600)),
    )];
    let sandbox = Sandbox::start(options);
    let tap = Tap::new(&sandbox)
        .streams(&["users", "agents"])
        .arg("--log-level=warning");
    let mut child = tap.spawn();
    wait_for_line(&mut child, "\"stream\":\"agents\"");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_reader_that_takes_one_line_is_enough() {
    let sandbox = Sandbox::start(account(2000));
    let tap = Tap::new(&sandbox)
        .streams(&["users"])
        .arg("--log-level=warning");
    let mut child = tap.spawn();
    wait_for_line(&mut child, "SCHEMA");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_state_of_another_version_is_kept() {
    let sandbox = Sandbox::start(account(3));
    let state = json!({
        "version": 9,
        "bookmarks": {
            "tickets": {"anything": [1]},
            "users": {"replication_key_value": "2020-01-01T00:00:00Z", "note": "mine"},
        },
    });
    let run = Tap::new(&sandbox)
        .streams(&["users"])
        .state(&state)
        .succeed();
    let after = run.state();
    assert_eq!(after["version"], 9);
    assert_eq!(after["bookmarks"]["tickets"], json!({"anything": [1]}));
    assert_eq!(after["bookmarks"]["users"]["note"], "mine");
    assert_eq!(run.records("users").len(), 3);
}

#[test]
fn of_full_table_streams_the_state_knows_when_they_were_complete() {
    let sandbox = Sandbox::start(account(3));
    let run = Tap::new(&sandbox).streams(&["roles"]).succeed();
    let completed_at = run.state()["bookmarks"]["roles"]["completed_at"].clone();
    assert!(completed_at.is_string());
    assert_eq!(
        run.state(),
        json!({"bookmarks": {"roles": {"completed_at": completed_at}}})
    );
}
