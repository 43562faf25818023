//! Retries, limits, and answers that go wrong.

use std::time::{Duration, Instant};

use freshchat_sandbox::{
    ErrorStyle, Fault, FaultKind, FieldsAnswer, ResetHeader, RetryAfter, Sandbox,
};
use serde_json::json;

use crate::tap::{Run, Tap, account, assert_complete, selected_by_default};

/// The log's Singer metrics of one name.
fn metrics(run: &Run, name: &str) -> Vec<serde_json::Value> {
    run.stderr
        .lines()
        .filter_map(|line| line.strip_prefix("INFO METRIC: "))
        .map(|json| serde_json::from_str(json).unwrap())
        .filter(|metric: &serde_json::Value| metric["metric"] == name)
        .collect()
}

#[test]
fn every_passing_fault_is_survived() {
    let html = || FaultKind::Html;
    let kinds = [
        FaultKind::Status(429),
        FaultKind::Status(408),
        FaultKind::Status(500),
        FaultKind::Status(503),
        FaultKind::Reset,
        FaultKind::CloseMidBody,
        FaultKind::TruncatedJson,
        FaultKind::Stall(Duration::from_secs(600)),
        FaultKind::StallMidBody(Duration::from_secs(600)),
        FaultKind::NotJson,
        html(),
    ];
    for kind in kinds {
        for nth in [1, 2, 3] {
            let mut options = account(130);
            options.faults = vec![Fault::new("users", nth, kind.clone())];
            let sandbox = Sandbox::start(options);
            let run = Tap::new(&sandbox)
                .set("request_timeout_seconds", 0.3)
                .streams(&["users"])
                .succeed();
            assert_complete(&sandbox, "users", run.records("users"));
            assert_eq!(run.records("users").len(), 130, "{kind:?}");
            assert_eq!(sandbox.total(), 4, "{kind:?}: three pages and one retry");
            assert!(run.stderr.contains("trying again in"), "{kind:?}");
        }
    }
}

#[test]
fn a_fault_that_stays_fails_its_stream_alone() {
    let mut options = account(5);
    options.faults = vec![Fault::new("roles", 1, FaultKind::Status(500)).times(1000)];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).set("max_retries", 3).run();
    let failed = format!("1 of {}", selected_by_default());
    run.assert_failed(1, &[&failed, "roles"]);
    assert_eq!(sandbox.count("roles"), 4);
    for stream in ["account", "users", "agents", "groups", "outbound_messages"] {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    let error = run
        .stderr
        .lines()
        .find(|line| line.starts_with("ERROR"))
        .unwrap();
    for word in ["GET /v2/roles", "500", "X-Trace-ID"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(run.bookmark("users").is_string());
}

#[test]
fn other_client_errors_are_not_retried() {
    for style in [
        ErrorStyle::Documented,
        ErrorStyle::SuccessFalse,
        ErrorStyle::PlainText,
    ] {
        let mut options = account(5);
        options.quirks.error_style = style;
        options.faults = vec![Fault::new("roles", 1, FaultKind::Status(400)).times(1000)];
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox).streams(&["roles", "groups"]).run();
        run.assert_failed(1, &["roles"]);
        assert_eq!(sandbox.count("roles"), 1);
        assert_complete(&sandbox, "groups", run.records("groups"));
    }
}

#[test]
fn retry_after_is_followed_in_all_its_forms() {
    for (retry_after, reset) in [
        (RetryAfter::Seconds, ResetHeader::None),
        (RetryAfter::HttpDate, ResetHeader::None),
        (RetryAfter::None, ResetHeader::RateLimitResetSeconds),
        (RetryAfter::None, ResetHeader::DashedSeconds),
        (RetryAfter::None, ResetHeader::DashedUnixTime),
    ] {
        let mut options = account(400);
        options.hourly_limit = Some(5);
        options.hour = Duration::from_secs(2);
        options.quirks.retry_after = retry_after;
        options.quirks.reset_header = reset;
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("rate_limit_reserve_percent", 0)
            .set("max_retries", 50)
            .streams(&["users"])
            .succeed();
        assert_complete(&sandbox, "users", run.records("users"));
    }
}

#[test]
fn the_reserve_is_left_to_others() {
    let mut options = account(500);
    options.hourly_limit = Some(8);
    options.hour = Duration::from_secs(1);
    options.quirks.reset_header = ResetHeader::RateLimitResetSeconds;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("rate_limit_reserve_percent", 25)
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
    let refused = sandbox
        .requests()
        .iter()
        .filter(|request| request.status == 429)
        .count();
    assert_eq!(refused, 0, "the limit itself was never reached");
}

#[test]
fn a_wrong_host_is_said_soon() {
    let mut options = account(5);
    options.faults = vec![Fault::any(1, FaultKind::Html).times(1000)];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["account"]).run();
    run.assert_failed(1, &["account"]);
    let host = sandbox.api_url().replace("http://", "").replace("/v2", "");
    for word in [host.as_str(), "no JSON", "HTML", "`domain`"] {
        assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
    }
    assert_eq!(sandbox.total(), 3);
}

#[test]
fn what_the_token_may_not_read_is_no_failure() {
    let mut options = account(5);
    options.quirks.forbidden = vec!["agents".into(), "outbound-messages".into()];
    options.quirks.conversation_fields = FieldsAnswer::NotFound;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).succeed();
    for stream in ["agents", "outbound_messages", "conversation_fields"] {
        let warning = format!("WARNING stream `{stream}`");
        assert!(run.stderr.contains(&warning), "{}", run.stderr);
        assert_eq!(run.records(stream).len(), 0);
    }
    assert_complete(&sandbox, "users", run.records("users"));
    let run = Tap::new(&sandbox)
        .streams(&["agents", "outbound_messages"])
        .run();
    run.assert_failed(1, &["none of the 2"]);
}

#[test]
fn a_404_elsewhere_is_a_failure() {
    let mut options = account(5);
    options.faults = vec![Fault::new("agents/status", 1, FaultKind::Status(404)).times(9)];
    let sandbox = Sandbox::start(options);
    Tap::new(&sandbox)
        .streams(&["agent_statuses"])
        .run()
        .assert_failed(1, &["agent_statuses"]);
}

#[test]
fn a_group_that_is_gone_is_skipped() {
    let mut options = account(5);
    options.faults = vec![Fault::new(
        "business-hours/within-bh",
        2,
        FaultKind::Status(404),
    )];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("concurrency", 1)
        .streams(&["business_hours"])
        .succeed();
    assert_eq!(run.records("business_hours").len(), 3);
    assert!(
        run.stderr.contains("1 groups were deleted"),
        "{}",
        run.stderr
    );
}

#[test]
fn connections_are_reused_and_bounded() {
    let mut options = account(300);
    options.sizes.groups = 40;
    options.latency = Duration::from_millis(2);
    let sandbox = Sandbox::start(options);
    Tap::new(&sandbox).set("concurrency", 3).succeed();
    assert!(sandbox.max_in_flight() <= 3);
    let mut connections: Vec<u64> = sandbox
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    connections.sort_unstable();
    connections.dedup();
    assert!(connections.len() <= 4, "{connections:?}");
}

#[test]
fn each_request_is_measured() {
    let sandbox = Sandbox::start(account(120));
    let run = Tap::new(&sandbox).succeed();
    let timers = metrics(&run, "http_request_duration");
    assert_eq!(timers.len(), sandbox.total());
    for timer in timers {
        assert_eq!(timer["type"], "timer");
        assert!(timer["value"].is_number());
        assert_eq!(timer["tags"]["http_status_code"], 200);
        assert_eq!(timer["tags"]["status"], "succeeded");
        assert!(!timer["tags"]["endpoint"].as_str().unwrap().contains('?'));
    }
    let counters = metrics(&run, "record_count");
    let users = counters
        .iter()
        .find(|counter| counter["tags"]["stream"] == "users")
        .unwrap();
    assert_eq!(
        users,
        &json!({
            "type": "counter", "metric": "record_count", "value": 120, "tags": {"stream": "users"}
        })
    );
}

#[test]
fn the_closing_table_tells_what_became_of_each() {
    let mut options = account(120);
    options.quirks.forbidden = vec!["agents".into()];
    options.faults = vec![Fault::new("roles", 1, FaultKind::Status(400)).times(9)];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["users", "agents", "roles"])
        .run();
    let lines: Vec<Vec<&str>> = run
        .stderr
        .lines()
        .rev()
        .skip(1)
        .take(4)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[3],
        ["INFO", "stream", "records", "requests", "seconds", "status"]
    );
    assert_eq!(
        (lines[2][1], lines[2][2], lines[2][3], lines[2][5]),
        ("users", "120", "3", "complete")
    );
    assert_eq!(
        (lines[1][1], lines[1][2], lines[1][3], lines[1][5]),
        ("agents", "0", "1", "unavailable")
    );
    assert_eq!(
        (lines[0][1], lines[0][2], lines[0][3], lines[0][5]),
        ("roles", "0", "1", "failed")
    );
}

#[test]
fn a_host_that_does_not_answer_is_given_up() {
    // A port on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let sandbox = Sandbox::start(account(1));
    let started = Instant::now();
    let run = Tap::new(&sandbox)
        .set("api_url", format!("http://127.0.0.1:{port}/v2"))
        .set("max_retries", 2)
        .streams(&["account"])
        .run();
    run.assert_failed(1, &["account"]);
    assert!(
        run.stderr.contains("GET /v2/accounts/configuration"),
        "{}",
        run.stderr
    );
    assert!(started.elapsed() < Duration::from_secs(60));
}
