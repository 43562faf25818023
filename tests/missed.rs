//! Users and conversations that can't be read: the others are, and none is
//! forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use freshchat_sandbox::{Fault, FaultKind, Options, Sandbox};
use serde_json::{Value, json};

use crate::conversations::{WALK, time};
use crate::tap::{Run, Tap, account, assert_complete, wait_until};

/// The server tells whole seconds: a run may seem to start before the last one.
const LOOKBACK: TimeDelta = TimeDelta::seconds(2);

const LIST: &str = "users/{id}/conversations";
const ITSELF: &str = "conversations/{id}";
const MESSAGES: &str = "conversations/{id}/messages";

/// An account of which each user has a conversation or two.
pub fn small(users: usize) -> Options {
    let mut options = account(users);
    options.sizes.conversations_per_user = 1..=2;
    options.sizes.messages_per_conversation = 1..=3;
    options
}

/// A run of these streams.
pub fn walk_of(sandbox: &Sandbox, streams: &[&str]) -> Tap {
    Tap::new(sandbox)
        .set("max_retries", 1)
        .set("lookback_seconds", LOOKBACK.num_seconds())
        .streams(streams)
}

/// A run of the walk, with `deletions`.
pub fn walk(sandbox: &Sandbox) -> Tap {
    walk_of(sandbox, &[&WALK[..], &["deletions"]].concat())
}

/// A user and a conversation of theirs that is no one else's.
fn family(sandbox: &Sandbox) -> (String, String) {
    let listed = sandbox.truth("user_conversations");
    let text = |name: &str| listed[7][name].as_str().unwrap().to_owned();
    (text("user_id"), text("conversation_id"))
}

fn set_faults(sandbox: &Sandbox, faults: &[Fault]) {
    sandbox.with_options(|options| options.faults = faults.to_vec());
}

/// The records of all these runs are a stream's truth.
fn assert_all(sandbox: &Sandbox, stream: &str, runs: &[&Run]) {
    assert_complete(
        sandbox,
        stream,
        runs.iter().flat_map(|run| run.records(stream)),
    );
}

fn missed(run: &Run, stream: &str) -> Value {
    run.state()["bookmarks"][stream]["missed"].clone()
}

#[test]
fn one_bad_child_stops_nobody_and_is_read_later() {
    let bodies = [
        "{}",
        "null",
        "[]",
        "[5]",
        r#"{"messages":[7],"conversations":[7]}"#,
    ];
    let bodies = bodies.map(FaultKind::body);
    let kinds = [500, 400, 409, 403].map(FaultKind::Status);
    for (at, kind) in kinds.into_iter().chain(bodies).enumerate() {
        let endpoints = [LIST, ITSELF, MESSAGES];
        // An empty list is one.
        let is_list = |endpoint: &str| kind == FaultKind::body("[]") && endpoint != ITSELF;
        for endpoint in endpoints.into_iter().filter(|own| !is_list(own)) {
            let sandbox = Sandbox::start(small(15));
            let (user, conversation) = family(&sandbox);
            let (id, kept) = match endpoint {
                LIST => (&user, "users"),
                _ => (&conversation, "conversations"),
            };
            set_faults(
                &sandbox,
                &[Fault::new(endpoint, 1, kind.clone()).of(id).always()],
            );
            let first = walk(&sandbox).run();
            let streams = match endpoint {
                LIST => &WALK[..],
                ITSELF => &WALK[1..2],
                _ => &WALK[2..],
            };
            first.assert_failed(1, &[&format!("{} of 4 streams failed", streams.len())]);
            for stream in &WALK[1..] {
                assert!(first.bookmark(stream).is_string(), "{at} {endpoint}");
            }
            for stream in WALK {
                let expected = match streams.contains(&stream) {
                    true => json!({kept: {id: sandbox.config()["start_date"]}}),
                    false => Value::Null,
                };
                assert_eq!(missed(&first, stream), expected, "{at} {endpoint} {stream}");
            }
            // What is known to be missed is a warning.
            sandbox.clear_requests();
            let second = walk(&sandbox).state(&first.state()).succeed();
            let noun = kept.trim_end_matches('s');
            let warning = format!("{}`: 1 {noun} still can't be read", streams[0]);
            assert!(second.stderr.contains(&warning), "{}", second.stderr);
            assert_eq!(missed(&second, streams[0]), missed(&first, streams[0]));
            let requests = sandbox.requests();
            let mut asked = requests
                .iter()
                .filter(|it| it.endpoint != "accounts/configuration");
            assert!(
                asked.next().unwrap().path.contains(id.as_str()),
                "it comes first"
            );
            set_faults(&sandbox, &[]);
            let third = walk(&sandbox).state(&second.state()).succeed();
            for stream in WALK {
                assert_all(&sandbox, stream, &[&first, &second, &third]);
                assert_eq!(missed(&third, stream), Value::Null);
            }
            assert_eq!(third.records("deletions").len(), 0);
            // The walk doesn't read again what was read before it.
            let log = sandbox.requests();
            let third_run = &log[requests.len()..];
            for path in third_run.iter().map(|request| &request.path) {
                let count = third_run.iter().filter(|it| it.path == *path).count();
                assert!(count == 1 || path == "/v2/users", "{path}: {count}");
            }
        }
    }
}

#[test]
fn a_run_that_is_killed_forgets_no_child() {
    let sandbox = Sandbox::start(small(60));
    let listed = sandbox.truth("user_conversations");
    let bad: Vec<Fault> = (0..60)
        .step_by(7)
        .flat_map(|at| {
            let id = |name: &str| listed[at][name].as_str().unwrap();
            let status = [404, 500, 410][at % 3];
            let fault = |endpoint, id| Fault::new(endpoint, 1, FaultKind::Status(status)).of(id);
            [
                fault(LIST, id("user_id")),
                fault(ITSELF, id("conversation_id")),
                fault(MESSAGES, id("conversation_id")),
            ]
        })
        .map(Fault::always)
        .collect();
    set_faults(&sandbox, &bad);
    let tap = || walk(&sandbox).set("page_size", 5);
    let all = tap().run().messages.len();
    for part in [2, 5, 8, 10, 11] {
        set_faults(&sandbox, &bad);
        let first = tap().kill_after(all * part / 12).committed();
        set_faults(&sandbox, &[]);
        let second = tap().state(&first.state()).succeed();
        for stream in WALK {
            assert_all(&sandbox, stream, &[&first, &second]);
        }
    }
}

#[test]
fn what_is_not_there_for_a_moment_is_asked_for_again() {
    for status in [404, 410] {
        let sandbox = Sandbox::start(small(15));
        let (user, conversation) = family(&sandbox);
        let faults = [
            (LIST, &user),
            (ITSELF, &conversation),
            (MESSAGES, &conversation),
        ];
        for (endpoint, id) in faults {
            set_faults(
                &sandbox,
                &[Fault::new(endpoint, 1, FaultKind::Status(status)).of(id)],
            );
            let run = walk(&sandbox).succeed();
            for stream in WALK {
                assert_all(&sandbox, stream, &[&run]);
                assert_eq!(missed(&run, stream), Value::Null);
            }
            assert_eq!(run.records("deletions").len(), 0);
        }
    }
}

/// A state as it is a day later.
fn a_day_later(mut state: Value) -> Value {
    for (_, bookmark) in state["bookmarks"].as_object_mut().unwrap() {
        for kind in ["users", "conversations"] {
            let gone = bookmark.pointer_mut(&format!("/gone/{kind}"));
            for (_, gone) in gone.and_then(Value::as_object_mut).into_iter().flatten() {
                gone["at"] = json!(time(&gone["at"]) - TimeDelta::hours(25));
            }
        }
    }
    state
}

#[test]
fn what_is_gone_is_told_and_asked_for_a_day_later() {
    for endpoint in [LIST, ITSELF] {
        let sandbox = Sandbox::start(small(15));
        let (user, conversation) = family(&sandbox);
        let (id, entity) = match endpoint {
            LIST => (&user, "users"),
            _ => (&conversation, "conversations"),
        };
        let gone = [Fault::new(endpoint, 1, FaultKind::Status(410))
            .of(id)
            .always()];
        set_faults(&sandbox, &gone);
        let before = Utc::now() - LOOKBACK;
        let first = walk(&sandbox).succeed();
        let told = first.records("deletions");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["entity"], entity);
        assert_eq!(told[0]["id"], id.as_str());
        assert_eq!(told[0]["status"], 410);
        assert!((before..=Utc::now()).contains(&time(&told[0]["detected_at"])));
        let asked = |sandbox: &Sandbox| {
            let requests = sandbox.requests().into_iter();
            let of_child =
                requests.filter(|it| it.endpoint == endpoint && it.path.contains(id.as_str()));
            of_child.count()
        };
        assert_eq!(asked(&sandbox), 2);
        // Within the day it is told once, and costs no second look.
        sandbox.clear_requests();
        let second = walk(&sandbox).state(&first.state()).succeed();
        assert_eq!(second.records("deletions").len(), 0);
        assert_eq!(asked(&sandbox), 1);
        // It comes back, and with it all that was there before.
        set_faults(&sandbox, &[]);
        let third = walk(&sandbox).state(&a_day_later(second.state())).succeed();
        for stream in WALK {
            assert_all(&sandbox, stream, &[&first, &third]);
            assert_eq!(third.state()["bookmarks"][stream]["gone"], Value::Null);
        }
        // Or it doesn't, and is forgotten.
        set_faults(&sandbox, &gone);
        sandbox.clear_requests();
        let third = walk(&sandbox).state(&a_day_later(second.state())).succeed();
        assert_eq!(asked(&sandbox), 1);
        assert!(!third.state().to_string().contains(id.as_str()));
        assert_eq!(third.records("deletions").len(), 0);
    }
}

#[test]
fn messages_that_are_not_there_delete_no_conversation() {
    let sandbox = Sandbox::start(small(15));
    let (_, conversation) = family(&sandbox);
    let gone = Fault::new(MESSAGES, 1, FaultKind::Status(404)).of(&conversation);
    for streams in [&WALK[..], &WALK[2..]] {
        set_faults(&sandbox, &[gone.clone().always()]);
        let streams = [streams, &["deletions"]].concat();
        let run = walk_of(&sandbox, &streams).succeed();
        assert_eq!(run.records("deletions").len(), 0);
        let warning =
            "WARNING stream `messages`: messages not found (404 or 410) for 1 conversation;";
        assert!(run.stderr.contains(warning), "{}", run.stderr);
        set_faults(&sandbox, &[]);
        let again = walk_of(&sandbox, &streams)
            .state(&a_day_later(run.state()))
            .succeed();
        assert_all(&sandbox, "messages", &[&run, &again]);
    }
    // Where only messages are selected, the conversation is asked whether it
    // is there.
    sandbox.delete_conversation(&conversation);
    let run = walk_of(&sandbox, &["messages", "deletions"]).succeed();
    assert_eq!(run.records("deletions").len(), 1);
}

#[test]
fn other_selections_forget_no_child() {
    let sandbox = Sandbox::start(small(15));
    let (user, _) = family(&sandbox);
    set_faults(
        &sandbox,
        &[Fault::new(LIST, 1, FaultKind::Status(400))
            .of(&user)
            .always()],
    );
    let first = walk(&sandbox).run();
    set_faults(&sandbox, &[]);
    let second = walk_of(&sandbox, &WALK[1..2])
        .state(&first.state())
        .succeed();
    assert_eq!(missed(&second, WALK[1]), Value::Null);
    assert_eq!(missed(&second, WALK[2]), missed(&first, WALK[2]));
    let third = walk(&sandbox).state(&second.state()).succeed();
    for stream in WALK {
        assert_all(&sandbox, stream, &[&first, &second, &third]);
        assert_eq!(missed(&third, stream), Value::Null);
    }
}

#[test]
fn a_run_by_reports_reads_them_too() {
    let sandbox = Sandbox::start(small(15));
    let (user, _) = family(&sandbox);
    let listed = sandbox.truth("user_conversations");
    let conversation = listed[2]["conversation_id"].as_str().unwrap();
    set_faults(
        &sandbox,
        &[
            Fault::new(LIST, 1, FaultKind::Status(400))
                .of(&user)
                .always(),
            Fault::new(ITSELF, 1, FaultKind::Status(400))
                .of(conversation)
                .always(),
            Fault::new(MESSAGES, 1, FaultKind::Status(400))
                .of(conversation)
                .always(),
        ],
    );
    let first = walk(&sandbox).run();
    set_faults(&sandbox, &[]);
    let tap = || {
        walk(&sandbox)
            .set("conversation_discovery", "reports")
            .set("report_lookback_hours", 0)
    };
    let second = tap().state(&first.state()).succeed();
    for stream in WALK {
        assert_all(&sandbox, stream, &[&first, &second]);
        assert_eq!(missed(&second, stream), Value::Null);
    }
    assert_eq!(sandbox.count("users"), 1, "the first run's");
    // And it misses them.
    set_faults(
        &sandbox,
        &[Fault::new(MESSAGES, 1, FaultKind::Status(400))
            .of(conversation)
            .always()],
    );
    sandbox.add_message(conversation);
    // The server tells whole seconds, and the next run ends where it begins.
    let sent = Utc::now().timestamp();
    wait_until(|| Utc::now().timestamp() > sent);
    let third = tap().state(&second.state()).run();
    third.assert_failed(1, &["1 of 4 streams failed: messages"]);
    assert_eq!(
        missed(&third, "messages")["conversations"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    set_faults(&sandbox, &[]);
    let fourth = tap().state(&third.state()).succeed();
    assert_all(&sandbox, "messages", &[&first, &second, &third, &fourth]);
}

#[test]
fn a_state_without_room_keeps_the_bookmark() {
    let mut options = small(700);
    options.sizes.conversations_per_user = 1..=1;
    options.sizes.messages_per_conversation = 1..=1;
    let sandbox = Sandbox::start(options);
    set_faults(
        &sandbox,
        &[Fault::new(MESSAGES, 30, FaultKind::Status(400)).times(600)],
    );
    let first = walk(&sandbox).run();
    first.assert_failed(1, &["1 of 4 streams failed: messages"]);
    assert!(
        first
            .stderr
            .contains("600 conversations could not be read, which is more than")
    );
    assert!(first.bookmark("messages").is_null());
    assert!(first.bookmark("conversations").is_string());
    // The others come all the same.
    assert_eq!(first.records("messages").len(), 100);
    let sizes = first
        .of_type("STATE")
        .into_iter()
        .map(|it| it.to_string().len());
    let most = sizes.max().unwrap();
    assert!((20_000..64 * 1024).contains(&most), "{most}");
    set_faults(&sandbox, &[]);
    let second = walk(&sandbox).state(&first.state()).succeed();
    assert_all(&sandbox, "messages", &[&first, &second]);
    assert!(second.bookmark("messages").is_string());
}

#[test]
fn a_broken_endpoint_is_told_from_bad_children() {
    for endpoint in [LIST, ITSELF, MESSAGES] {
        for status in [403, 404, 410] {
            let sandbox = Sandbox::start(small(60));
            let healthy = walk_of(&sandbox, &WALK).succeed();
            let state = healthy.state();
            set_faults(
                &sandbox,
                &[Fault::new(endpoint, 10, FaultKind::Status(status)).always()],
            );
            sandbox.clear_requests();
            let run = walk(&sandbox).set("concurrency", 1).state(&state).run();
            assert_eq!(run.code, Some(1), "{endpoint} {status}: {}", run.stderr);
            assert!(
                run.stderr.contains("endpoint itself seems to be broken"),
                "{}",
                run.stderr
            );
            let failed = match endpoint {
                LIST => &WALK[..],
                ITSELF => &WALK[1..2],
                _ => &WALK[2..],
            };
            for stream in failed {
                assert_eq!(
                    run.state()["bookmarks"][*stream],
                    state["bookmarks"][*stream]
                );
            }
            assert_eq!(run.records("deletions").len(), 0);
            // Nobody looks a second time.
            let requests = sandbox.requests();
            let mut asked: Vec<_> = requests.iter().map(|it| (&it.path, &it.query)).collect();
            asked.sort();
            asked.dedup();
            assert_eq!(asked.len(), requests.len());
        }
    }
}

#[test]
fn an_api_in_trouble_ends_the_walk_and_the_next_goes_on_behind() {
    let sandbox = Sandbox::start(small(80));
    set_faults(
        &sandbox,
        &[Fault::new(LIST, 21, FaultKind::Status(500)).always()],
    );
    let tap = || walk(&sandbox).set("max_retries", 0).set("concurrency", 1);
    let first = tap().run();
    first.assert_failed(1, &["3 of 4 streams failed"]);
    assert!(sandbox.count(LIST) < 60, "{}", sandbox.count(LIST));
    let kept = missed(&first, "messages")["users"]
        .as_object()
        .unwrap()
        .len();
    assert_eq!(kept, 20);
    // The same children don't stop the next run at the same place.
    let second = tap().state(&first.state()).run();
    assert_eq!(
        missed(&second, "messages")["users"]
            .as_object()
            .unwrap()
            .len(),
        40
    );
    set_faults(&sandbox, &[]);
    let third = tap().state(&second.state()).succeed();
    for stream in WALK {
        assert_all(&sandbox, stream, &[&first, &second, &third]);
    }
}

#[test]
fn a_missed_list_that_cannot_be_read_is_loud() {
    let sandbox = Sandbox::start(small(5));
    let state = json!({"bookmarks": {"messages": {"missed": {"users": {"a": "yesterday"}}}}});
    let run = walk(&sandbox).state(&state).run();
    run.assert_failed(1, &["streams failed"]);
    assert!(
        run.stderr
            .contains("`missed` in its bookmark can't be read"),
        "{}",
        run.stderr
    );
    let kept = &run.state()["bookmarks"]["messages"]["missed"];
    assert_eq!(*kept, state["bookmarks"]["messages"]["missed"]);
}

#[test]
fn a_missed_conversation_is_read_from_when_it_was_missed() {
    let sandbox = Sandbox::start(small(15));
    let (_, conversation) = family(&sandbox);
    set_faults(
        &sandbox,
        &[Fault::new(MESSAGES, 1, FaultKind::Status(400))
            .of(&conversation)
            .always()],
    );
    let first = walk(&sandbox).run();
    set_faults(&sandbox, &[]);
    sandbox.clear_requests();
    walk(&sandbox).state(&first.state()).succeed();
    let bookmark = time(&first.bookmark("messages")) - LOOKBACK;
    let start: DateTime<Utc> = time(&sandbox.config()["start_date"]);
    for request in sandbox.requests() {
        if let Some(from) = request.query("from_time") {
            let is_missed = request.path.contains(&conversation);
            assert_eq!(time(&json!(from)), if is_missed { start } else { bookmark });
        }
    }
}
