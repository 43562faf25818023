//! Conversations found by the users at first and now and then, and by the
//! reports in between.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use freshchat_sandbox::{Fault, FaultKind, Options, Sandbox};
use serde_json::{Value, json};

use crate::conversations::{WALK, time};
use crate::reports::{asked, posts};
use crate::tap::{Run, Tap, account, assert_complete};

/// An account of which nothing happened in the last ten days.
fn quiet(users: usize) -> Options {
    let mut options = account(users);
    options.today -= TimeDelta::days(10);
    options.days = 20;
    options
}

fn tap(sandbox: &Sandbox, by: &str, state: &Value) -> Tap {
    Tap::new(sandbox)
        .set("conversation_discovery", by)
        .set("lookback_seconds", 0)
        .streams(&WALK)
        .state(state)
}

/// A run, and which ways it went: POSTs for reports, and pages of users.
fn sync(sandbox: &Sandbox, tap: &Tap) -> (Run, (usize, usize)) {
    sandbox.clear_requests();
    let run = tap.succeed();
    (run, (posts(sandbox).len(), sandbox.count("users")))
}

fn reconciled_to(state: &Value, stream: &str) -> Value {
    state["bookmarks"][stream]["reconciled_to"].clone()
}

/// A message of a user arrives; its id. All later runs start behind it.
fn add_message_of_user(sandbox: &Sandbox) -> String {
    let ids = || -> BTreeSet<String> {
        let truth = sandbox.truth("messages");
        truth
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    };
    for conversation in sandbox.truth("conversations") {
        let before = ids();
        sandbox.add_message(conversation["conversation_id"].as_str().unwrap());
        let new = ids().difference(&before).next().unwrap().clone();
        let truth = sandbox.truth("messages");
        let message = truth.iter().find(|it| it["id"] == new.as_str()).unwrap();
        if message["actor_type"] == "user" {
            return new;
        }
    }
    panic!("no user wrote");
}

fn has_message(run: &Run, id: &str) -> bool {
    run.records("messages").iter().any(|it| it["id"] == id)
}

/// An account whose Message-Sent lists no message of a user, a state of
/// `auto` before which all is delivered, and a message that the reports missed
/// since: they moved the bookmark past it.
fn missed_by_reports(users: usize) -> (Sandbox, Value, String) {
    let sandbox = Sandbox::start(quiet(users));
    sandbox.with_options(|options| options.quirks.reports.agents_messages_only = true);
    let first = tap(&sandbox, "auto", &json!({})).succeed();
    let missed = add_message_of_user(&sandbox);
    let (second, ways) = sync(&sandbox, &tap(&sandbox, "auto", &first.state()));
    assert_eq!(ways, (5, 0));
    assert!(!has_message(&second, &missed));
    assert!(time(&second.bookmark("messages")) > time(&first.bookmark("messages")));
    for stream in WALK {
        let reconciled_to = reconciled_to(&second.state(), stream);
        assert_eq!(reconciled_to, first.bookmark("messages"), "{stream}");
    }
    sandbox.next_second();
    (sandbox, second.state(), missed)
}

#[test]
fn users_at_first_and_reports_in_between() {
    let sandbox = Sandbox::start(quiet(20));
    let (first, ways) = sync(&sandbox, &tap(&sandbox, "auto", &json!({})));
    assert_eq!(ways, (0, 1));
    for stream in WALK {
        assert_complete(&sandbox, stream, first.records(stream));
        assert_eq!(
            reconciled_to(&first.state(), stream),
            first.bookmark("messages")
        );
    }
    let new = sandbox.add_conversation(3);
    let (second, ways) = sync(&sandbox, &tap(&sandbox, "auto", &first.state()));
    assert_eq!(ways, (5, 0));
    let found = second.records("conversations");
    assert!(found.iter().any(|it| it["conversation_id"] == new.as_str()));
    sandbox.next_second();
    // A month later, the users are walked, and the reports asked for that month.
    let mut state = second.state();
    let month = TimeDelta::days(30);
    for stream in WALK {
        let before = time(&reconciled_to(&state, stream)) - month;
        state["bookmarks"][stream]["reconciled_to"] = json!(before);
    }
    let since = time(&reconciled_to(&state, "messages"));
    let (third, (posts, users)) = sync(&sandbox, &tap(&sandbox, "auto", &state));
    assert!(posts >= 5 && users == 1, "{posts} {users}");
    let starts = asked(&sandbox)
        .into_iter()
        .map(|(_, from, _)| time(&json!(from)));
    assert_eq!(starts.min(), Some(since));
    let new: BTreeSet<String> = [
        ("conversations", "updated_time"),
        ("messages", "created_time"),
    ]
    .into_iter()
    .flat_map(|(stream, property)| {
        let mut records = sandbox.truth(stream);
        records.retain(|record| time(&record[property]) >= since);
        records
    })
    .map(|record| record["conversation_id"].to_string())
    .collect();
    let log = format!(
        "INFO walk: the reports miss 0 of {} conversations with",
        new.len()
    );
    assert!(third.stderr.contains(&log), "{log}: {}", third.stderr);
    for stream in WALK {
        let to = time(&reconciled_to(&third.state(), stream));
        assert_eq!(
            json!(to),
            json!(time(&third.bookmark("messages"))),
            "{stream}"
        );
        let jobs = &third.state()["bookmarks"]["report_message_sent"]["jobs_of_conversations"];
        assert!(jobs.is_null());
    }
}

#[test]
fn what_the_reports_miss_comes_with_the_next_walk() {
    let (sandbox, state, missed) = missed_by_reports(20);
    let reconciled_to = reconciled_to(&state, "messages");
    for by in ["auto", "users"] {
        let tap = tap(&sandbox, by, &state).set("reconcile_days", 0);
        let (run, (posts, users)) = sync(&sandbox, &tap);
        assert_eq!((posts > 0, users), (by == "auto", 1), "{by}");
        assert!(has_message(&run, &missed), "{by}");
        for request in sandbox.requests() {
            if let Some(from) = request.query("from_time") {
                assert_eq!(json!(from), reconciled_to, "{by}");
            }
        }
        let log = "the reports miss 1 of ";
        assert_eq!(run.stderr.contains(log), by == "auto", "{}", run.stderr);
        let state = run.state();
        assert_eq!(
            self::reconciled_to(&state, "messages"),
            run.bookmark("messages")
        );
    }
}

#[test]
fn a_walk_of_the_users_reads_from_where_the_reports_took_over() {
    let sandbox = Sandbox::start(quiet(20));
    sandbox.with_options(|options| options.quirks.reports.agents_messages_only = true);
    for first_by in ["users", "reports"] {
        let mut state = tap(&sandbox, first_by, &json!({})).succeed().state();
        let missed = add_message_of_user(&sandbox);
        for _ in 0..2 {
            let run = tap(&sandbox, "reports", &state).succeed();
            assert!(!has_message(&run, &missed), "{first_by}");
            state = run.state();
        }
        for by in ["users", "auto"] {
            let due = tap(&sandbox, by, &state).set("reconcile_days", 0);
            let (run, (_, users)) = sync(&sandbox, &due);
            assert!(users == 1 && has_message(&run, &missed), "{first_by} {by}");
        }
    }
}

#[test]
fn a_bookmark_that_no_walk_of_the_users_vouches_for_is_not_trusted() {
    let sandbox = Sandbox::start(quiet(10));
    let by_reports = tap(&sandbox, "reports", &json!({})).succeed().state();
    assert!(reconciled_to(&by_reports, "messages").is_null());
    // One stream alone was reconciled.
    let mut added = tap(&sandbox, "auto", &json!({})).succeed().state();
    added["bookmarks"]["messages"] = json!({});
    for state in [by_reports, added] {
        let (run, (_, users)) = sync(&sandbox, &tap(&sandbox, "auto", &state));
        assert_eq!(users, 1);
        assert_complete(&sandbox, "messages", run.records("messages"));
        for stream in WALK {
            assert!(!reconciled_to(&run.state(), stream).is_null(), "{stream}");
        }
    }
    // A bookmark that was set back takes what is reconciled with it.
    let mut back = tap(&sandbox, "auto", &json!({})).succeed().state();
    back["bookmarks"]["messages"]["replication_key_value"] = json!("2020-01-01T00:00:00.000Z");
    let (run, (_, users)) = sync(&sandbox, &tap(&sandbox, "auto", &back));
    assert_eq!(users, 1);
    assert_complete(&sandbox, "messages", run.records("messages"));
}

#[test]
fn users_are_walked_where_reports_are_not_available() {
    for lack in ["403", "404", "No matching event name"] {
        let sandbox = Sandbox::start(quiet(10));
        let first = tap(&sandbox, "auto", &json!({})).succeed();
        let missed = add_message_of_user(&sandbox);
        sandbox.with_options(|options| match lack {
            "403" => options.quirks.forbidden = vec!["reports/raw".to_owned()],
            "404" => {
                options.faults =
                    vec![Fault::new("reports/raw", 1, FaultKind::Status(404)).always()];
            }
            _ => options.quirks.reports.missing_events = vec!["Conversation-Resolved".to_owned()],
        });
        let (run, (_, users)) = sync(&sandbox, &tap(&sandbox, "auto", &first.state()));
        assert_eq!(users, 1, "{lack}");
        assert!(has_message(&run, &missed), "{lack}");
        let log = "WARNING walk: the reports that name the conversations are not available";
        let mut lines = run.stderr.lines().filter(|line| line.starts_with(log));
        assert!(lines.next().unwrap().contains(lack), "{}", run.stderr);
        for stream in WALK {
            assert_eq!(
                reconciled_to(&run.state(), stream),
                run.bookmark("messages")
            );
        }
        assert!(!run.state().to_string().contains("jobs_of_conversations"));
    }
}

#[test]
fn reports_that_fail_are_a_failure_but_not_of_a_walk_of_the_users() {
    let sandbox = Sandbox::start(quiet(10));
    let first = tap(&sandbox, "auto", &json!({})).succeed();
    sandbox.with_options(|options| options.quirks.reports.failed_jobs = 99);
    let run = tap(&sandbox, "auto", &first.state()).run();
    run.assert_failed(1, &["all of the selected streams failed"]);
    assert_eq!(run.bookmark("messages"), first.bookmark("messages"));
    sandbox.next_second();
    let due = tap(&sandbox, "auto", &first.state()).set("reconcile_days", 0);
    let (run, (_, users)) = sync(&sandbox, &due);
    assert_eq!(users, 1);
    assert!(
        run.stderr
            .contains("WARNING walk: can't tell what the reports miss")
    );
    assert_eq!(
        reconciled_to(&run.state(), "messages"),
        run.bookmark("messages")
    );
}

#[test]
fn an_unfinished_walk_goes_on_in_its_own_way() {
    const KILLS: usize = 6;
    let (sandbox, state, missed) = missed_by_reports(120);
    let due = || tap(&sandbox, "auto", &state).set("reconcile_days", 0);
    let all = due().succeed().messages.len();
    let mut went_on = 0;
    for kill in 1..=KILLS {
        let first = due().kill_after(all * kill / KILLS).committed();
        let bookmark = first.state()["bookmarks"]["messages"].clone();
        let next = match first.state() {
            none if none == json!({}) => state.clone(),
            next => next,
        };
        // Up to when a walk goes must not lie behind the next run's start.
        sandbox.next_second();
        let (second, (_, users)) = sync(&sandbox, &tap(&sandbox, "auto", &next));
        let found = has_message(&first, &missed) || has_message(&second, &missed);
        if bookmark["walk_users_created_to"].is_string() {
            went_on += 1;
            assert!(users > 0, "kill {kill}: {bookmark} {}", second.stderr);
            assert!(found, "kill {kill}: {bookmark} {}", second.stderr);
            assert_eq!(
                reconciled_to(&second.state(), "messages"),
                bookmark["walk_to"]
            );
        } else {
            // It was not begun, or it was complete.
            let reconciled = reconciled_to(&next, "messages");
            let is_complete = reconciled != reconciled_to(&state, "messages");
            assert!(found || !is_complete, "kill {kill}");
            assert_eq!(users, 0, "kill {kill}");
            assert_eq!(reconciled_to(&second.state(), "messages"), reconciled);
        }
    }
    assert!(went_on > 0);
    // A search by the reports goes on, although a walk of the users is due.
    sandbox.with_options(|options| {
        options.quirks.reports.generation_time = Duration::from_secs(3600);
    });
    sandbox.clear_requests();
    let first = tap(&sandbox, "auto", &state).kill_when(|_| sandbox.count("reports/raw/{id}") > 3);
    sandbox.with_options(|options| {
        options.quirks.reports.generation_time = Duration::ZERO;
    });
    let next = first.committed().state();
    assert_eq!(next["bookmarks"]["messages"]["walk_conversations_to"], "");
    let due = tap(&sandbox, "auto", &next).set("reconcile_days", 0);
    let (second, (_, users)) = sync(&sandbox, &due);
    assert_eq!(users, 0);
    let reconciled = reconciled_to(&state, "messages");
    assert_eq!(reconciled_to(&second.state(), "messages"), reconciled);
}
