//! Log lines for programs: one JSON object each, as Meltano reads them.

use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::tap::{Run, Tap, account};

/// Fields without which Meltano takes a line for plain text.
const REQUIRED: [&str; 7] = [
    "level",
    "pid",
    "logger_name",
    "ts",
    "thread_name",
    "app_name",
    "message",
];

/// The lines of stderr, each of which must be JSON.
fn lines(run: &Run) -> Vec<Value> {
    let parse = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let lines: Vec<Value> = run.stderr.lines().map(parse).collect();
    for line in &lines {
        for field in REQUIRED {
            assert!(!line[field].is_null(), "{field}: {line}");
        }
        // Meltano's test of a config reads both outputs together, and takes
        // what has a type for a message.
        assert!(line["type"].is_null(), "{line}");
    }
    lines
}

#[test]
fn lines_have_the_fields_that_meltano_reads() {
    let mut options = account(5);
    options.quirks.token_echo = true;
    options.quirks.forbidden = vec!["roles".into()];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["users", "roles"])
        .arg("--log-format=json")
        .succeed();
    let lines = lines(&run);
    let of_stream = |name: &str| {
        lines
            .iter()
            .filter(|line| line["stream_name"] == name)
            .count()
    };
    assert!(of_stream("users") >= 3, "{}", run.stderr);
    let warning = lines
        .iter()
        .find(|line| line["level"] == "warning")
        .unwrap();
    assert_eq!(warning["stream_name"], "roles");
    let metrics = |name: &str| {
        let metrics = lines.iter().map(|line| &line["metric_info"]);
        metrics
            .filter(|metric| metric["metric"] == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        metrics("record_count")[0]["tags"],
        json!({"stream": "users"})
    );
    assert_eq!(metrics("record_count")[0]["value"], 5);
    assert!(metrics("http_request_duration")[0]["value"].is_f64());
    assert!(!run.stderr.contains(sandbox.token()));
    assert!(run.stderr.contains("Bearer ***"), "{}", run.stderr);
}

#[test]
fn the_last_line_of_a_failure_is_critical() {
    let sandbox = Sandbox::start(account(5));
    let run = Tap::new(&sandbox)
        .set("api_token", "wrong-token-123")
        .arg("--log-format=json")
        .run();
    assert_eq!(run.code, Some(1));
    let lines = lines(&run);
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "critical");
    assert!(last["message"].as_str().unwrap().contains("401"), "{last}");
    assert!(!run.stderr.contains("wrong-token-123"));
}

#[test]
fn meltano_asks_for_json_by_a_log_configuration() {
    let structured = json!({"version": 1, "formatters": {
        "singer_formatter": {"()": "singer_sdk.logging.StructuredFormatter"}}});
    let plain = json!({"version": 1, "formatters": {"default": {"format": "%(message)s"}}});
    for (config, is_json) in [
        (structured.to_string(), true),
        (plain.to_string(), false),
        ("version: 1\n".to_owned(), false),
    ] {
        let sandbox = Sandbox::start(account(1));
        let tap = Tap::new(&sandbox).streams(&["users"]);
        let path = tap.path("logging.json");
        std::fs::write(&path, &config).unwrap();
        let variable = "SINGER_SDK_LOG_CONFIG";
        let run = tap.env(variable, path.to_str().unwrap()).succeed();
        if is_json {
            assert!(!lines(&run).is_empty());
        } else {
            assert!(run.stderr.starts_with("INFO "), "{config}: {}", run.stderr);
        }
        let text = Tap::new(&sandbox)
            .streams(&["users"])
            .arg("--log-format=text");
        let run = text.env(variable, path.to_str().unwrap()).succeed();
        assert!(
            run.stderr.starts_with("INFO "),
            "the flag wins: {}",
            run.stderr
        );
    }
}
