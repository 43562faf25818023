//! Conversations found by the raw reports: complete, resumable, and for no
//! more calls than what changed.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use freshchat_sandbox::{Fault, FaultKind, Options, Sandbox};
use serde_json::{Value, json};

use crate::conversations::{WALK, time};
use crate::reports::{asked, asked_counts, assert_rows, day, posts};
use crate::tap::{
    Run, Tap, account, assert_complete, by_key, calls, catalog_of, with_stream_metadata,
};

const REPORTS: [&str; 5] = [
    "report_conversation_created",
    "report_message_sent",
    "report_conversation_resolved",
    "report_conversation_agent_assigned",
    "report_conversation_group_assigned",
];

const EVENTS: [&str; 5] = [
    "Conversation-Created",
    "Message-Sent",
    "Conversation-Resolved",
    "Conversation-Agent-Assigned",
    "Conversation-Group-Assigned",
];

fn tap(sandbox: &Sandbox, streams: &[&str]) -> Tap {
    Tap::new(sandbox)
        .set("conversation_discovery", "reports")
        .streams(streams)
}

/// An account of which nothing happened in the last ten days.
fn quiet(users: usize) -> Options {
    let mut options = account(users);
    options.today -= TimeDelta::days(10);
    options.days = 20;
    options
}

/// A state of a run that was complete at this time.
fn complete_at(at: DateTime<Utc>) -> Value {
    json!({"bookmarks": {
        "user_conversations": {"walk_complete_to": at},
        "conversations": {"replication_key": "updated_time", "replication_key_value": at},
        "messages": {"replication_key": "created_time", "replication_key_value": at},
    }})
}

fn ids<'a>(records: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let id = |record: &'a Value| record["conversation_id"].as_str().unwrap();
    records.into_iter().map(id).collect()
}

#[test]
fn a_first_run_is_complete() {
    for (times, full_pages) in [(true, false), (false, false), (true, true)] {
        let mut options = account(40);
        options.quirks.conversation_times = times;
        options.quirks.message_counts_cycle = full_pages;
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &WALK).set("page_size", 7).succeed();
        for stream in WALK {
            assert_complete(&sandbox, stream, run.records(stream));
            let count = run.records(stream).len();
            assert_eq!(by_key(stream, run.records(stream)).len(), count, "{stream}");
        }
        assert_eq!(
            sandbox.count("users") + sandbox.count("users/{id}/conversations"),
            0
        );
        let count = sandbox.truth("conversations").len();
        let log = format!("INFO walk: the reports name {count} conversations, which take ");
        assert!(run.stderr.contains(&log), "{}", run.stderr);
        let table = run
            .stderr
            .lines()
            .filter(|line| line.ends_with(" complete"));
        assert_eq!(table.filter(|line| !line.contains('`')).count(), 3);
        let state = run.state();
        assert_eq!(
            state["bookmarks"]["user_conversations"],
            json!({
                "walk_complete_to": run.bookmark("messages"),
                "completed_at": state["bookmarks"]["user_conversations"]["completed_at"],
            })
        );
        for report in REPORTS {
            let bookmark = state["bookmarks"][report].as_object().unwrap();
            let names: Vec<&String> = bookmark.keys().collect();
            assert_eq!(names, ["requested_today", "last_requested_at"], "{report}");
            assert_eq!(run.records(report).len(), 0);
        }
        assert!(
            !run.of_type("SCHEMA")
                .iter()
                .any(|it| REPORTS.contains(&it["stream"].as_str().unwrap()))
        );
    }
}

#[test]
fn an_incremental_run_costs_what_changed() {
    let mut options = quiet(10_000);
    options.sizes.conversations_per_user = 1..=1;
    let sandbox = Sandbox::start(options);
    let truth = sandbox.truth("conversations");
    let old = ids(truth.iter().step_by(400).take(20));
    let before = Utc::now().trunc_subsecs(3);
    for id in &old {
        sandbox.add_message(id);
    }
    let new: Vec<String> = (0..5).map(|user| sandbox.add_conversation(user)).collect();
    let mut changed = old.clone();
    changed.extend(new.iter().map(String::as_str));
    let state = complete_at(before - TimeDelta::seconds(1));
    let run = tap(&sandbox, &WALK).state(&state).succeed();
    assert_eq!(changed.len(), 25);
    assert_eq!(ids(run.records("conversations")), changed);
    assert_eq!(ids(run.records("user_conversations")), changed);
    assert_eq!(ids(run.records("messages")), changed);
    assert_eq!(run.records("messages").len(), 25);
    let looks = sandbox.count("reports/raw/{id}");
    assert_eq!(posts(&sandbox).len(), 5);
    assert_eq!(calls(&sandbox), 5 + looks + 25 + 25);
    assert!(sandbox.total() < 100, "{}", sandbox.total());
    // Where a job is told late, so are its conversation's messages.
    for request in sandbox.requests() {
        if let Some(from) = request.query("from_time") {
            assert_eq!(
                before - time(&json!(from)) + TimeDelta::seconds(-1),
                TimeDelta::hours(48)
            );
        }
    }
}

#[test]
fn a_report_that_is_a_stream_too_is_extracted_once() {
    let sandbox = Sandbox::start(account(30));
    let streams = [&WALK[1..], &REPORTS[..2], &["report_csat_score"]].concat();
    let end = day(&sandbox, 0);
    let run = tap(&sandbox, &streams)
        .set("end_date", end.as_str())
        .succeed();
    for stream in &WALK[1..] {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    for stream in &streams[2..] {
        assert_rows(&sandbox, stream, &[&run]);
        assert_eq!(run.bookmark(stream), end);
    }
    let counts = asked_counts(&sandbox);
    assert_eq!(counts.values().max(), Some(&1), "{counts:?}");
    let mut events: Vec<String> = counts.into_keys().map(|(event, _, _)| event).collect();
    events.dedup();
    assert_eq!(events.len(), 6);
}

#[test]
fn a_report_stream_with_its_own_bookmark_is_read_from_there() {
    let sandbox = Sandbox::start(quiet(20));
    let report = "report_conversation_created";
    for (own, walk) in [(15, 12), (12, 15)] {
        sandbox.clear_requests();
        let at = |back| day(&sandbox, back).parse::<DateTime<Utc>>().unwrap();
        let mut state = complete_at(at(walk));
        state["bookmarks"][report] = json!({
            "replication_key": "created_at", "replication_key_value": at(own)});
        let run = tap(&sandbox, &["conversations", "messages", report])
            .set("report_lookback_hours", 0)
            .set("lookback_seconds", 0)
            .set("end_date", day(&sandbox, 0))
            .state(&state)
            .succeed();
        let truth = sandbox.truth(report);
        let later = truth
            .iter()
            .filter(|row| time(&row["created_at"]) >= at(own));
        assert_eq!(run.records(report).len(), later.count());
        let truth = sandbox.truth("messages");
        let later = truth
            .iter()
            .filter(|message| time(&message["created_time"]) >= at(walk));
        let found = by_key("messages", run.records("messages"));
        assert!(
            by_key("messages", later)
                .keys()
                .all(|key| found.contains_key(key))
        );
        let of_report = asked(&sandbox)
            .into_iter()
            .filter(|(event, _, _)| event == EVENTS[0]);
        let windows: Vec<_> = of_report.map(|(_, from, to)| (from, to)).collect();
        let (end, own, walk) = (day(&sandbox, 0), day(&sandbox, own), day(&sandbox, walk));
        match own < walk {
            true => assert_eq!(windows, [(own, end)]),
            false => assert_eq!(windows, [(walk, own.clone()), (own, end)]),
        }
    }
}

#[test]
fn deleted_conversations_are_counted() {
    let mut options = account(30);
    options.quirks.deleted_conversations = 6;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &WALK).succeed();
    for stream in &WALK[1..] {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    let gone = "WARNING stream `conversations`: 6 conversations no longer found (404 or 410)";
    assert!(run.stderr.contains(gone), "{}", run.stderr);
}

#[test]
fn users_are_found_without_the_conversations_stream() {
    let sandbox = Sandbox::start(account(30));
    let run = tap(&sandbox, &WALK[..1]).succeed();
    assert_complete(&sandbox, WALK[0], run.records(WALK[0]));
    assert_eq!(sandbox.count("conversations/{id}/messages"), 0);
    let count = sandbox.truth("conversations").len();
    assert_eq!(sandbox.count("conversations/{id}"), count);
    // Nothing says whose these are.
    sandbox.with_options(|options| options.quirks.conversation_times = false);
    let run = tap(&sandbox, &WALK[..1]).succeed();
    assert_eq!(run.records(WALK[0]).len(), 0);
    let log = format!("{count} conversations without a user");
    assert!(run.stderr.contains(&log), "{}", run.stderr);
}

#[test]
fn killed_anywhere_and_resumed_is_complete() {
    const KILLS: usize = 50;
    // Somewhat more conversations than lie between two checkpoints.
    let mut options = account(110);
    options.days = 20;
    options.sizes.conversations_per_user = 1..=1;
    options.sizes.messages_per_conversation = 1..=2;
    let sandbox = Sandbox::start(options);
    let end = day(&sandbox, 0);
    let streams = [&WALK[..], &REPORTS[1..2]].concat();
    let tap = || {
        tap(&sandbox, &streams)
            .set("end_date", end.as_str())
            .set("lookback_seconds", 0)
            .set("report_lookback_hours", 0)
    };
    let all = tap().succeed().messages.len();
    let total = sandbox.total();
    for kill in 1..=KILLS {
        sandbox.clear_requests();
        let first = tap().kill_after(all * kill / (KILLS + 1)).committed();
        let second = tap().state(&first.state()).succeed();
        for stream in WALK {
            let records = first.records(stream).into_iter();
            assert_complete(&sandbox, stream, records.chain(second.records(stream)));
        }
        // A request that was under way may have made a job, and is made again.
        let counts = asked_counts(&sandbox);
        let again = counts.values().sum::<usize>() - counts.len();
        assert!(again <= 1, "kill {kill}: {counts:?}");
        // A stretch of conversations, those under way, and each job looked at
        // once more, in either run.
        let most = total + 2 * (100 + 4) + 2 * counts.len() + 20;
        assert!(
            sandbox.total() <= most,
            "kill {kill}: {} > {most}",
            sandbox.total()
        );
        assert!(second.stderr.contains("INFO walk: continuing"));
    }
}

#[test]
fn jobs_are_taken_up_until_their_conversations_are_read() {
    let sandbox = Sandbox::start(account(40));
    let end = day(&sandbox, 0);
    let tap = || tap(&sandbox, &WALK).set("end_date", end.as_str());
    sandbox.with_options(|options| {
        options.faults =
            vec![Fault::new("conversations/{id}", 9, FaultKind::Status(403)).times(99)];
    });
    let first = tap().run();
    first.assert_failed(1, &["streams failed"]);
    assert_complete(&sandbox, "messages", first.records("messages"));
    sandbox.with_options(|options| options.faults.clear());
    sandbox.clear_requests();
    let second = tap().state(&first.state()).succeed();
    assert_complete(&sandbox, "conversations", second.records("conversations"));
    assert_complete(
        &sandbox,
        "user_conversations",
        second.records("user_conversations"),
    );
    // Into the month that goes up to now, rows may have come since.
    let asked = asked(&sandbox);
    assert_eq!(asked.len(), 5);
    assert!(asked.iter().all(|(_, _, to)| *to == end), "{asked:?}");
    assert_eq!(sandbox.count("reports/raw/{id}"), 10);
    for report in REPORTS {
        assert!(second.state()["bookmarks"][report]["jobs_of_conversations"].is_null());
    }
}

#[test]
fn other_streams_do_not_wait_for_the_reports() {
    let mut options = account(10);
    options.quirks.reports.generation_time = Duration::from_millis(300);
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &["conversations", "agents", "roles"]).succeed();
    assert_complete(&sandbox, "conversations", run.records("conversations"));
    let requests = sandbox.requests();
    let first = |endpoint: &str| {
        requests
            .iter()
            .position(|it| it.endpoint == endpoint)
            .unwrap()
    };
    assert!(first("roles") < first("conversations/{id}"));
}

#[test]
fn what_the_reports_do_not_reach_is_walked_once() {
    let sandbox = Sandbox::start(account(20));
    let tap = || tap(&sandbox, &WALK).set("start_date", "2015-01-01");
    let first = tap().succeed();
    for stream in WALK {
        assert_complete(&sandbox, stream, first.records(stream));
    }
    assert!(
        first.stderr.contains("all users are walked"),
        "{}",
        first.stderr
    );
    assert_eq!((posts(&sandbox).len(), sandbox.count("users")), (0, 1));
    let new = sandbox.add_conversation(3);
    sandbox.clear_requests();
    let second = tap().state(&first.state()).succeed();
    assert!(ids(second.records("messages")).contains(new.as_str()));
    assert!(ids(second.records("user_conversations")).contains(new.as_str()));
    assert_eq!((posts(&sandbox).len(), sandbox.count("users")), (5, 0));
}

#[test]
fn reports_that_cannot_be_read_fail_the_walk_and_nothing_else() {
    for problem in ["No matching event name", "answered 403", "failed"] {
        let mut options = account(10);
        match problem {
            "answered 403" => options.quirks.forbidden = vec!["reports/raw".to_owned()],
            "failed" => options.quirks.reports.failed_jobs = 99,
            _ => options.quirks.reports.missing_events = vec![EVENTS[3].to_owned()],
        }
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &["conversations", "messages", "agents"]).run();
        run.assert_failed(1, &["2 of 3 streams failed: conversations, messages"]);
        assert_complete(&sandbox, "agents", run.records("agents"));
        for stream in ["conversations", "messages"] {
            let lines = run.stderr.lines();
            let mut errors =
                lines.filter(|line| line.starts_with(&format!("ERROR stream `{stream}`")));
            let error = errors.next().unwrap();
            assert!(error.contains(problem), "{error}");
            assert!(
                error.contains("set `conversation_discovery` to `users` to run without them"),
                "{error}"
            );
            assert!(run.bookmark(stream).is_null());
        }
        assert_eq!(sandbox.count("conversations/{id}"), 0);
    }
}

#[test]
fn a_refused_token_ends_the_run() {
    let mut options = account(10);
    options.faults = vec![
        Fault::new("reports/raw", 2, FaultKind::Status(401)).times(99),
        Fault::new("accounts/configuration", 2, FaultKind::Status(401)).times(99),
    ];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &WALK).run();
    run.assert_failed(1, &["refused the token"]);
    assert_eq!(sandbox.count("conversations/{id}"), 0);
}

#[test]
fn jobs_that_are_spent_for_today_fail_the_walk() {
    let mut options = account(10);
    options.quirks.reports.daily_budget = Some(1);
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &["messages"]).run();
    run.assert_failed(1, &["messages"]);
    assert!(
        run.stderr.contains("all of today's jobs are used"),
        "{}",
        run.stderr
    );
    assert_eq!(posts(&sandbox).len(), 5);
}

#[test]
fn a_report_without_the_conversations_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message-sent.csv");
    std::fs::write(&path, "created_at,channel_id\n2026-01-01T00:00:00.000Z,7\n").unwrap();
    let mut options = account(10);
    options.report_files.insert(EVENTS[1].to_owned(), path);
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &["messages"]).run();
    run.assert_failed(1, &["messages"]);
    assert!(
        run.stderr.contains("lacks `conversation_id`"),
        "{}",
        run.stderr
    );
}

/// A state as it is when the next run begins so many hours later.
fn later(mut state: Value, hours: i64) -> Value {
    let back = |time: &mut Value| {
        if time.is_string() {
            *time = json!(self::time(time) - TimeDelta::hours(hours));
        }
    };
    for (_, bookmark) in state["bookmarks"].as_object_mut().unwrap() {
        for name in ["walk_started_at", "last_requested_at"] {
            if let Some(time) = bookmark.get_mut(name) {
                back(time);
            }
        }
        if let Some(requested) = bookmark.get_mut("requested_today") {
            requested["day"] = json!("2020-01-01");
        }
        let jobs = bookmark.get_mut("jobs_of_conversations");
        for job in jobs.and_then(Value::as_array_mut).into_iter().flatten() {
            back(&mut job["requested_at"]);
        }
    }
    state
}

#[test]
fn what_the_reports_name_comes_whatever_its_time() {
    let mut options = account(20);
    options.sizes.conversations_per_user = 1..=1;
    let sandbox = Sandbox::start(options);
    // The longest conversation, in the middle of it.
    let truth = sandbox.truth("conversations");
    let begin = |record: &Value| time(&record["created_time"]);
    let length = |record: &&Value| time(&record["updated_time"]) - begin(record);
    let long = truth.iter().max_by_key(length).unwrap();
    let run = tap(&sandbox, &["conversations"])
        .set("end_date", (begin(long) + length(&long) / 2).to_rfc3339())
        .succeed();
    // Its later update may be one that no report names.
    let found = ids(run.records("conversations"));
    assert!(found.contains(long["conversation_id"].as_str().unwrap()));
}

#[test]
fn a_search_may_take_days() {
    let mut options = account(20);
    options.days = 200;
    let sandbox = Sandbox::start(options);
    let tap = |budget: u32, state: &Value| {
        tap(&sandbox, &["messages"])
            .set("end_date", day(&sandbox, 0))
            .set("report_jobs_per_event_per_day", budget)
            .state(state)
    };
    let mut state = json!({});
    for asked in [3, 6] {
        let run = tap(3, &state).run();
        run.assert_failed(1, &["messages"]);
        assert_eq!(posts(&sandbox).len(), 5 * asked);
        state = later(run.state(), 25);
    }
    let last = tap(3, &state).succeed();
    assert_complete(&sandbox, "messages", last.records("messages"));
    assert_eq!(asked_counts(&sandbox).into_values().max(), Some(1));
}

#[test]
fn a_walk_that_goes_on_takes_up_jobs_of_any_age() {
    let mut options = account(200);
    options.sizes.conversations_per_user = 1..=1;
    let sandbox = Sandbox::start(options);
    let streams = ["conversations", "report_message_sent"];
    let tap = || tap(&sandbox, &streams).set("report_lookback_hours", 0);
    let all = tap().succeed().messages.len();
    let first = tap().kill_after(all - 40).committed();
    let place = &first.state()["bookmarks"]["conversations"]["walk_conversations_to"];
    assert!(!place.as_str().unwrap().is_empty());
    sandbox.clear_requests();
    // The report's own rows are another matter: its jobs of today are spent.
    let mut state = later(first.state(), 25);
    let today = Utc::now().format("%Y-%m-%d").to_string();
    state["bookmarks"]["report_message_sent"]["requested_today"] =
        json!({"day": today, "count": 9});
    let second = tap()
        .set("report_jobs_per_event_per_day", 9)
        .state(&state)
        .succeed();
    let records = [&first, &second].map(|run| run.records("conversations"));
    assert_complete(&sandbox, "conversations", records.into_iter().flatten());
    assert_eq!(posts(&sandbox).len(), 0);
}

#[test]
fn the_state_keeps_its_size_where_children_are_missed_again_and_again() {
    let sandbox = Sandbox::start(account(20));
    let refused = Fault::new("conversations/{id}", 1, FaultKind::Status(400)).always();
    sandbox.with_options(|options| options.faults = vec![refused]);
    let mut state = json!({});
    let mut sizes = Vec::new();
    for at in 0..4 {
        let run = tap(&sandbox, &WALK).state(&state).run();
        assert_eq!(run.code, Some(i32::from(at == 0)), "{}", run.stderr);
        assert!(!run.bookmark("messages").is_null());
        state = run.state();
        sizes.push(state.to_string().len());
    }
    assert_eq!(sizes[1..], [sizes[1]; 3], "{sizes:?}");
}

#[test]
fn up_to_when_it_is_complete_never_goes_back() {
    let sandbox = Sandbox::start(account(10));
    for by in ["reports", "users"] {
        let tap = || tap(&sandbox, &WALK).set("conversation_discovery", by);
        let first = tap().succeed();
        let end = day(&sandbox, 30);
        let second = tap().set("end_date", end).state(&first.state()).succeed();
        let bookmarks = |run: &Run| {
            WALK.map(|stream| {
                let mut bookmark = run.state()["bookmarks"][stream].clone();
                assert!(bookmark["completed_at"].take().is_string());
                bookmark
            })
        };
        assert_eq!(bookmarks(&second), bookmarks(&first));
    }
}

#[test]
fn users_lists_are_incremental_whatever_the_catalog_says() {
    let sandbox = Sandbox::start(quiet(20));
    let full = json!({"replication-method": "FULL_TABLE"});
    let full = full.as_object().unwrap().clone();
    let catalog = with_stream_metadata(&catalog_of(&WALK), WALK[0], full);
    let run = Tap::new(&sandbox)
        .set("conversation_discovery", "reports")
        .set("start_date", "2015-01-01")
        .catalog(&catalog)
        .state(&complete_at(Utc::now().trunc_subsecs(3)))
        .succeed();
    assert_eq!(run.of_type("RECORD").len(), 0);
    assert_eq!((posts(&sandbox).len(), sandbox.count("users")), (5, 0));
}
