//! Wrong input is found before any request, and said in one line.

use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::tap::{Tap, account, bare, discovered};

/// Runs, expects exit 2 with these words, and no request.
fn assert_refused(sandbox: &Sandbox, tap: Tap, words: &[&str]) {
    let run = tap.run();
    run.assert_failed(2, words);
    assert_eq!(run.stdout, "");
    assert_eq!(sandbox.total(), 0);
}

#[test]
fn a_wrong_setting_is_named_with_its_file() {
    let sandbox = Sandbox::start(account(1));
    let cases: &[(&str, Value, &str)] = &[
        ("api_token", Value::Null, "missing"),
        ("start_date", Value::Null, "missing"),
        ("api_url", Value::Null, "`domain` is missing"),
        ("start_date", json!("yesterday"), "RFC 3339"),
        ("end_date", json!("2019-01-01"), "before `start_date`"),
        ("end_date", json!("soon"), "RFC 3339"),
        ("page_size", json!(101), "100"),
        ("page_size", json!("50"), "integer"),
        ("concurrency", json!(0), "1"),
        ("request_timeout_seconds", json!(0), "0"),
        ("conversation_discovery", json!("guess"), "users"),
        ("api_url", json!("http://example.com/v2"), "loopback"),
        ("api_url", json!("not an address"), "address"),
        ("api_token", json!(5), "string"),
        ("api_token", json!("abc\n"), "header"),
        ("user_agent", json!("a\nb"), "header"),
        ("start_date", json!("-262143-01-01"), "RFC 3339"),
        ("api_token", json!(""), "missing"),
    ];
    for (setting, value, word) in cases {
        let tap = Tap::new(&sandbox).set(setting, value.clone());
        let name = if *word == "`domain` is missing" {
            "domain"
        } else {
            setting
        };
        assert_refused(&sandbox, tap, &["config.json", &format!("`{name}`"), word]);
    }
}

#[test]
fn an_empty_value_is_none() {
    let sandbox = Sandbox::start(account(1));
    let run = Tap::new(&sandbox)
        .set("domain", "")
        .set("end_date", "")
        .set("user_agent", "")
        .set("conversation_discovery", "")
        .streams(&["roles"])
        .succeed();
    assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
}

#[test]
fn a_wrong_host_is_refused() {
    let sandbox = Sandbox::start(account(1));
    for (domain, word) in [
        ("example.com", "not a Freshchat host"),
        ("freshchat.com.example.com", "not a Freshchat host"),
        ("a@b.freshchat.com", "not a Freshchat host"),
        ("http://a.freshchat.com", "https"),
    ] {
        let tap = Tap::new(&sandbox)
            .set("api_url", Value::Null)
            .set("domain", domain);
        assert_refused(&sandbox, tap, &["config.json", "`domain`", word]);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let sandbox = Sandbox::start(account(1));
    bare(&["--config", "no-such.json"]).assert_failed(2, &["config", "no-such.json"]);
    for flag in ["--catalog", "--properties", "--state"] {
        let tap = Tap::new(&sandbox).arg(flag).arg("no-such.json");
        assert_refused(&sandbox, tap, &["no-such.json"]);
    }
}

#[test]
fn files_of_the_wrong_shape_are_named_with_their_field() {
    let sandbox = Sandbox::start(account(1));
    let unknown = json!({"streams": [{"tap_stream_id": "tickets", "schema": {}, "metadata": []}]});
    let mut bad_key = discovered().clone();
    bad_key["streams"][1]["key_properties"] = json!(["nope"]);
    let cases: &[(&str, String, &[&str])] = &[
        ("--catalog", "{".into(), &["catalog", "not JSON"]),
        ("--catalog", String::new(), &["catalog", "not JSON"]),
        ("--catalog", "{}".into(), &["catalog", "streams"]),
        (
            "--catalog",
            json!({"streams": [{"schema": 5}]}).to_string(),
            &["streams[0].schema"],
        ),
        ("--catalog", unknown.to_string(), &["catalog", "`tickets`"]),
        (
            "--catalog",
            bad_key.to_string(),
            &["users.key_properties", "`nope`"],
        ),
        ("--state", "nothing".into(), &["state", "not JSON"]),
        ("--state", "[]".into(), &["state", "object"]),
        (
            "--state",
            json!({"bookmarks": []}).to_string(),
            &["`bookmarks`"],
        ),
        (
            "--state",
            json!({"bookmarks": {"users": 5}}).to_string(),
            &["`bookmarks.users`"],
        ),
        (
            "--state",
            json!({"bookmarks": {"users": {"replication_key_value": "x"}}}).to_string(),
            &["`bookmarks.users.replication_key_value`"],
        ),
    ];
    for (flag, content, words) in cases {
        assert_refused(&sandbox, Tap::new(&sandbox).file(flag, content), words);
    }
    let tap = Tap::with_config(json!({}));
    std::fs::write(tap.path("c.json"), "[1]").unwrap();
    let path = tap.path("c.json").display().to_string();
    bare(&["--config", &path]).assert_failed(2, &[&path, "object"]);
}

#[test]
fn wrong_arguments_are_one_line() {
    for arguments in [
        vec!["--nonsense"],
        vec!["--discover", "--about"],
        vec!["--catalog", "a", "--properties", "b"],
        vec!["--log-level", "loud"],
        vec!["--format", "json"],
        vec![],
    ] {
        let run = bare(&arguments);
        run.assert_failed(2, &[]);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn an_unknown_setting_is_a_warning() {
    let sandbox = Sandbox::start(account(1));
    let run = Tap::new(&sandbox)
        .set("page_sise", 5)
        .streams(&["roles"])
        .succeed();
    let warnings: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("WARNING"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", run.stderr);
    assert!(warnings[0].contains("`page_sise`"));
}

#[test]
fn the_environment_wins_over_files() {
    let sandbox = Sandbox::start(account(30));
    let run = Tap::new(&sandbox)
        .set("page_size", 5)
        .arg("--config=ENV")
        .env("TAP_FRESHCHAT_PAGE_SIZE", "10")
        .env("TAP_FRESHCHAT__SELECT", "users.*")
        .env("TAP_FRESHCHAT_NO_SETTING", "1")
        .streams(&["users"])
        .succeed();
    assert_eq!(run.records("users").len(), 30);
    assert_page_size(&sandbox, "10");
    assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
    let tap = Tap::new(&sandbox)
        .arg("--config=ENV")
        .env("TAP_FRESHCHAT_PAGE_SIZE", "many");
    tap.run()
        .assert_failed(2, &["TAP_FRESHCHAT_PAGE_SIZE", "whole number"]);
}

#[test]
fn later_config_files_win() {
    let sandbox = Sandbox::start(account(30));
    let tap = Tap::new(&sandbox)
        .set("page_size", 5)
        .file("--config", r#"{"page_size": 10}"#);
    tap.streams(&["users"]).succeed();
    assert_page_size(&sandbox, "10");
}

fn assert_page_size(sandbox: &Sandbox, size: &str) {
    let requests = sandbox.requests();
    let users = requests
        .iter()
        .filter(|request| request.endpoint == "users");
    let sizes: Vec<_> = users
        .map(|request| request.query("items_per_page"))
        .collect();
    assert!(
        !sizes.is_empty() && sizes.iter().all(|own| *own == Some(size)),
        "{sizes:?}"
    );
}
