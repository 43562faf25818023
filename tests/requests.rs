//! Retries, limits, and answers that go wrong.

use std::time::{Duration, Instant};

use freshchat_sandbox::{
    ErrorStyle, Fault, FaultKind, FieldsAnswer, ResetHeader, RetryAfter, Sandbox,
};
use serde_json::json;

use crate::tap::{Run, Tap, account, assert_complete, calls, selected_by_default};

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
            // Three pages, the time within the lookback, and one retry.
            assert_eq!(calls(&sandbox), 5, "{kind:?}");
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
        options.faults = vec![Fault::new("roles", 1, FaultKind::Status(409)).times(1000)];
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
fn a_spent_limit_is_waited_for_without_a_usable_header() {
    for reset in [
        ResetHeader::None,
        ResetHeader::Fixed(-1),
        ResetHeader::Fixed(0),
        ResetHeader::Fixed(999_999_999),
        ResetHeader::Fixed(1_000_000_000),
    ] {
        for reserve in [0, 20] {
            let mut options = account(450);
            options.hourly_limit = Some(5);
            options.hour = Duration::from_secs(2);
            options.quirks.bare_429 = reset == ResetHeader::None;
            options.quirks.reset_header = reset;
            let sandbox = Sandbox::start(options);
            let run = Tap::new(&sandbox)
                .set("rate_limit_reserve_percent", reserve)
                .set("retry_max_seconds", 600)
                .set("max_retries", 0)
                .streams(&["users"])
                .succeed();
            assert_complete(&sandbox, "users", run.records("users"));
            // Waits double: an hour of two seconds takes few of them.
            assert!(sandbox.total() < 60, "{reset:?}: {}", sandbox.total());
            let refused = "429 TOO_MANY_REQUESTS: the hourly limit is spent (X-Trace-ID ";
            let said = run.stderr.contains(refused);
            assert!(said || reserve > 0, "{reset:?}: {}", run.stderr);
        }
    }
}

#[test]
fn a_report_waits_for_a_spent_limit_too() {
    let mut options = account(3);
    options.hourly_limit = Some(2);
    options.hour = Duration::from_secs(2);
    options.quirks.bare_429 = true;
    options.quirks.reset_header = ResetHeader::None;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("rate_limit_reserve_percent", 0)
        .set("max_retries", 0)
        .streams(&["report_csat_score", "report_message_sent"])
        .succeed();
    for stream in ["report_csat_score", "report_message_sent"] {
        assert_eq!(run.records(stream).len(), sandbox.truth(stream).len());
    }
}

#[test]
fn a_reset_by_a_slow_server_clock_is_understood() {
    let mut options = account(400);
    options.clock_offset = chrono::TimeDelta::minutes(-20);
    options.hourly_limit = Some(5);
    options.hour = Duration::from_secs(2);
    options.quirks.reset_header = ResetHeader::DashedUnixTime;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("rate_limit_reserve_percent", 0)
        .set("max_retries", 3)
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
}

#[test]
fn an_answer_that_trickles_ends_at_a_deadline() {
    let mut options = account(130);
    let trickle = FaultKind::Trickle(Duration::from_millis(20));
    options.faults = vec![Fault::new("users", 2, trickle)];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("request_timeout_seconds", 0.3)
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
    let words = "did not finish its answer within 1.5 s";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[test]
fn an_answer_of_more_than_64_mib_is_an_error() {
    let mut options = account(1);
    let body = " ".repeat(64 * 1024 * 1024 + 1);
    options.faults = vec![Fault::new(
        "roles",
        1,
        FaultKind::StatusWith(200, Vec::new(), body),
    )];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["roles"]).run();
    run.assert_failed(1, &["roles"]);
    assert!(
        run.stderr.contains("the answer has more than 64 MiB"),
        "{}",
        run.stderr
    );
    assert_eq!(sandbox.count("roles"), 1);
}

#[test]
fn no_line_of_the_log_grows_with_the_servers_words() {
    let words = "word ".repeat(1000);
    let mut options = account(1);
    options.faults = vec![
        Fault::new(
            "roles",
            1,
            FaultKind::StatusWith(
                409,
                vec![("X-Trace-ID".into(), words.clone())],
                json!({"status": words, "message": words}).to_string(),
            ),
        ),
        Fault::new(
            "agents",
            1,
            FaultKind::StatusWith(409, Vec::new(), words.clone()),
        ),
    ];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["roles", "agents"]).run();
    run.assert_failed(1, &["all of the selected streams failed"]);
    let longest = run.stderr.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(1100), "{longest:?}");
    assert!(run.stderr.contains("GET /v2/roles answered 409"));
}

#[test]
fn no_key_of_an_address_is_logged() {
    let mut options = account(1);
    let message = "see https://me:hunter2@files.example.com/a?signature=s3cret now";
    let body = json!({"status": "CONFLICT", "message": message}).to_string();
    options.faults = vec![Fault::new(
        "roles",
        1,
        FaultKind::StatusWith(409, Vec::new(), body),
    )];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["roles"]).run();
    run.assert_failed(1, &["roles"]);
    assert!(
        run.stderr.contains("see https://files.example.com/a now"),
        "{}",
        run.stderr
    );
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
    for word in [host.as_str(), "without JSON", "HTML", "`domain`"] {
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
    options.faults = vec![Fault::new("roles", 1, FaultKind::Status(409)).times(9)];
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
        ("users", "120", "4", "complete")
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
