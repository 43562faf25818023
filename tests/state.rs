//! What is taken as a state, and what a state must fit.

use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::tap::{Run, Tap, account, assert_complete, catalog_of};

const LATER: &str = "2200-01-01T00:00:00.000Z";

/// Runs `users` with this state file.
fn run_with(sandbox: &Sandbox, file: &str) -> Run {
    Tap::new(sandbox)
        .streams(&["users"])
        .file("--state", file)
        .run()
}

fn warnings(run: &Run) -> Vec<&str> {
    let lines = run.stderr.lines();
    lines.filter(|line| line.starts_with("WARNING")).collect()
}

#[test]
fn a_state_is_taken_in_every_form() {
    let sandbox = Sandbox::start(account(3));
    let first = Tap::new(&sandbox).streams(&["users"]).succeed();
    let state = first.state().to_string();
    let pretty = format!("{:#}\n", first.state());
    let old = json!({"bookmarks": {}});
    for (file, warned) in [
        (state.clone(), 0),
        (format!("\u{feff}{state}\n"), 0),
        (pretty, 0),
        (first.stdout.clone(), 0),
        (format!("{old}\n{state}\n"), 0),
        (format!("{old}\r\n{state}\r\n\r\n"), 0),
        (format!("{old}\n{state}\n{{\"bookmarks\": {{\"us"), 1),
        (format!("{{\"type\": \"STATE\", \"value\": {state}}}"), 0),
        (format!("{{\"singer_state\": {state}}}"), 0),
        (format!("{{\n  \"singer_state\": {state}\n}}\n"), 0),
    ] {
        let run = run_with(&sandbox, &file);
        assert_eq!(run.code, Some(0), "{file}: {}", run.stderr);
        assert_eq!(run.records("users").len(), 0, "{file}");
        assert!(run.bookmark("users").as_str() >= first.bookmark("users").as_str());
        assert_eq!(warnings(&run).len(), warned, "{file}: {}", run.stderr);
    }
    for file in ["", "\n", "{}", "{\"singer_state\": {}}"] {
        let run = run_with(&sandbox, file);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_complete(&sandbox, "users", run.records("users"));
    }
}

#[test]
fn what_is_not_a_state_is_refused_by_what_it_looks_like() {
    let sandbox = Sandbox::start(account(1));
    let config = sandbox.config().to_string();
    let catalog = catalog_of(&["users"]).to_string();
    let record = json!({"type": "RECORD", "stream": "users", "record": {}}).to_string();
    for (file, words) in [
        (config.as_str(), ["looks like a config", "--config"]),
        (&catalog, ["looks like a catalog", "--catalog"]),
        (&record, ["looks like a Singer message", "STATE"]),
        (
            r#"{"completed_state": {}, "partial_state": {}}"#,
            ["looks like a file of Meltano", "`meltano state get`"],
        ),
        (
            r#"{"users": "2026-01-01"}"#,
            ["is not a state", "`bookmarks`"],
        ),
        (r#"{"singer_state": 5}"#, ["`singer_state`", "object"]),
        ("{\"bookmarks\": {\"us", ["is not JSON", "line 1"]),
        ("{\n  \"bookmarks\":\n  {}\n", ["is not JSON", "line 4"]),
        (
            r#"{"account": "a", "bookmarks": 5}"#,
            ["`bookmarks`", "object"],
        ),
    ] {
        let run = run_with(&sandbox, file);
        run.assert_failed(2, &["state", words[0], words[1]]);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains(sandbox.token()));
    }
    assert_eq!(sandbox.total(), 0);
}

#[test]
fn what_another_version_wrote_is_kept_behind_the_bookmarks() {
    let sandbox = Sandbox::start(account(1));
    let state = json!({
        "version": 7,
        "currently_syncing": "tickets",
        "bookmarks": {"tickets": {"a": [1]}, "orders": 5, "users": {"note": "mine"}},
    });
    let run = run_with(&sandbox, &state.to_string());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warnings = warnings(&run);
    assert_eq!(warnings.len(), 1, "{}", run.stderr);
    assert!(
        warnings[0].contains("`tickets`, `orders`"),
        "{}",
        warnings[0]
    );
    for message in run.of_type("STATE") {
        let value = &message["value"];
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(names, ["bookmarks", "version", "currently_syncing"]);
        assert_eq!(value["version"], 7);
        assert_eq!(value["currently_syncing"], "tickets");
        assert_eq!(value["bookmarks"]["tickets"], json!({"a": [1]}));
        assert_eq!(value["bookmarks"]["orders"], 5);
        assert_eq!(value["bookmarks"]["users"]["note"], "mine");
    }
}

#[test]
fn a_start_in_the_future_is_refused() {
    let sandbox = Sandbox::start(account(1));
    let run = Tap::new(&sandbox).set("start_date", LATER).run();
    run.assert_failed(2, &["config.json", "`start_date`", "in the future"]);
    assert_eq!(run.stdout, "");
    assert_eq!(sandbox.total(), 0);
}

#[test]
fn a_bookmark_ahead_of_the_run_ends_its_stream() {
    let sandbox = Sandbox::start(account(3));
    let ahead = [
        "users",
        "conversations",
        "messages",
        "metrics_historical",
        "metrics_instant",
        "report_csat_score",
    ];
    let bookmark = json!({"replication_key_value": LATER});
    let bookmarks: Value = ahead.iter().map(|name| (*name, bookmark.clone())).collect();
    let state = json!({"bookmarks": bookmarks});
    let run = Tap::new(&sandbox)
        .streams(
            &[
                &["account", "user_conversations", "report_response_time"],
                &ahead[..],
            ]
            .concat(),
        )
        .state(&state)
        .run();
    run.assert_failed(1, &["6 of 9 streams failed"]);
    for stream in ahead {
        let line = run
            .stderr
            .lines()
            .find(|line| line.starts_with(&format!("ERROR stream `{stream}`: ")))
            .unwrap_or_else(|| panic!("{stream}: {}", run.stderr));
        for words in [
            LATER,
            "ahead",
            &format!("`bookmarks.{stream}.replication_key_value`"),
        ] {
            assert!(line.contains(words), "{line}");
        }
        assert_eq!(run.records(stream).len(), 0, "{stream}");
        assert_eq!(run.state()["bookmarks"][stream], bookmark, "{stream}");
    }
    for stream in ["account", "user_conversations"] {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    let rows = sandbox.truth("report_response_time").len();
    assert_eq!(run.records("report_response_time").len(), rows);
}

#[test]
fn a_bookmark_is_ahead_by_more_than_the_lookback() {
    let sandbox = Sandbox::start(account(3));
    let first = Tap::new(&sandbox).streams(&["users"]).succeed();
    let bookmark = first.bookmark("users");
    let time = chrono::DateTime::parse_from_rfc3339(bookmark.as_str().unwrap()).unwrap();
    let later = time + chrono::TimeDelta::hours(1);
    let later = later
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        .replace("+00:00", "Z");
    let state = json!({"bookmarks": {"users": {"replication_key_value": later}}});
    let tap = |lookback: u32| {
        Tap::new(&sandbox)
            .streams(&["users"])
            .set("lookback_seconds", lookback)
            .state(&state)
    };
    tap(300).run().assert_failed(1, &["users"]);
    let run = tap(7200).succeed();
    assert_eq!(
        run.state()["bookmarks"]["users"]["replication_key_value"],
        later
    );
}

#[test]
fn a_full_table_run_does_not_mind_a_bookmark_ahead() {
    let sandbox = Sandbox::start(account(3));
    let metadata = json!({"replication-method": "FULL_TABLE"});
    let catalog = crate::tap::with_stream_metadata(
        &catalog_of(&["users"]),
        "users",
        metadata.as_object().unwrap().clone(),
    );
    let state = json!({"bookmarks": {"users": {"replication_key_value": LATER}}});
    let run = Tap::new(&sandbox).catalog(&catalog).state(&state).succeed();
    assert_complete(&sandbox, "users", run.records("users"));
}

/// A host that no resolver knows (RFC 6761): the state is written all the same.
fn elsewhere() -> Tap {
    let config = json!({
        "api_url": "https://tap-freshchat.invalid/v2",
        "api_token": "some-token-1",
        "start_date": "2026-01-01",
        "max_retries": 0,
    });
    Tap::with_config(config).streams(&["account"])
}

#[test]
fn a_state_names_its_account() {
    let run = elsewhere().run();
    run.assert_failed(1, &["account"]);
    let own = json!({"bookmarks": {}, "account": {"host": "tap-freshchat.invalid"}});
    assert!(
        run.stdout
            .ends_with(&format!("{{\"type\":\"STATE\",\"value\":{own}}}\n")),
        "{}",
        run.stdout
    );
    elsewhere().state(&own).run().assert_failed(1, &["account"]);
    let other = json!({"bookmarks": {}, "account": {"host": "acme.freshchat.com", "note": 1}});
    let run = elsewhere().state(&other).run();
    let words = [
        "state",
        "`account.host`",
        "acme.freshchat.com",
        "tap-freshchat.invalid",
        "remove `account`",
    ];
    run.assert_failed(2, &words);
    assert_eq!(run.stdout, "");
}

#[test]
fn on_loopback_a_state_is_of_any_account() {
    let sandbox = Sandbox::start(account(1));
    let state = json!({"bookmarks": {}, "account": {"host": "acme.freshchat.com"}});
    let run = Tap::new(&sandbox)
        .streams(&["roles"])
        .state(&state)
        .succeed();
    assert_eq!(run.state()["account"], state["account"]);
}
