//! Features that an account lacks.

use freshchat_sandbox::{Fault, FaultKind, Sandbox};

use crate::tap::{Tap, account, assert_complete};

const LACKING: [(&str, u16); 7] = [
    ("agents", 404),
    ("groups", 404),
    ("roles", 400),
    ("outbound-messages", 401),
    ("channels", 403),
    ("metrics/historical", 404),
    ("metrics/instant", 400),
];

/// The streams that need these endpoints.
const STREAMS: [&str; 8] = [
    "agents",
    "groups",
    "roles",
    "outbound_messages",
    "channels",
    "metrics_historical",
    "metrics_instant",
    "business_hours",
];

fn lacking() -> Vec<(String, u16)> {
    LACKING
        .map(|(endpoint, status)| (endpoint.to_owned(), status))
        .into()
}

#[test]
fn a_missing_feature_is_a_warning() {
    let mut options = account(30);
    options.quirks.lacking = lacking();
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).succeed();
    for stream in STREAMS {
        let warning = format!("WARNING stream `{stream}`: this ");
        assert!(run.stderr.contains(&warning), "{stream}: {}", run.stderr);
        assert!(run.state()["bookmarks"][stream]["completed_at"].is_null());
    }
    for stream in ["account", "users", "messages", "agent_statuses"] {
        assert_complete(&sandbox, stream, run.records(stream));
        assert!(run.state()["bookmarks"][stream]["completed_at"].is_string());
    }
    assert_eq!(run.stderr.matches("unavailable").count(), 2 * STREAMS.len());
}

#[test]
fn what_was_complete_before_and_is_refused_now_is_a_failure() {
    let sandbox = Sandbox::start(account(5));
    let first = Tap::new(&sandbox).succeed();
    sandbox.with_options(|options| options.quirks.lacking = lacking());
    let second = Tap::new(&sandbox).state(&first.state()).run();
    second.assert_failed(1, &STREAMS);
    for stream in STREAMS {
        let error = format!("ERROR stream `{stream}`: it was complete at ");
        assert!(
            second.stderr.contains(&error),
            "{stream}: {}",
            second.stderr
        );
        // The next run knows it too.
        let completed_at =
            |run: &crate::tap::Run| run.state()["bookmarks"][stream]["completed_at"].clone();
        assert_eq!(completed_at(&second), completed_at(&first));
    }
    assert_complete(&sandbox, "agent_statuses", second.records("agent_statuses"));
}

#[test]
fn nothing_at_all_is_a_failure() {
    let mut options = account(5);
    options.quirks.lacking = lacking();
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["agents", "roles", "outbound_messages"])
        .run();
    run.assert_failed(1, &["none of the 3"]);
}

#[test]
fn a_list_that_breaks_off_is_no_missing_feature() {
    for status in [400, 401, 404] {
        let mut options = account(5);
        options.sizes.roles = 30;
        options.faults = vec![Fault::new("roles", 2, FaultKind::Status(status)).times(1000)];
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 10)
            .streams(&["account", "roles"])
            .run();
        run.assert_failed(1, &["roles"]);
    }
}

#[test]
fn users_that_are_refused_with_400_are_a_failure() {
    let mut options = account(5);
    options.quirks.lacking = vec![("users".into(), 400)];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["account", "users"]).run();
    run.assert_failed(1, &["users"]);
}

#[test]
fn a_refused_token_is_no_missing_feature() {
    let mut options = account(5);
    options.faults = vec![
        Fault::new("agents", 1, FaultKind::Status(401)).times(1000),
        Fault::new("accounts/configuration", 2, FaultKind::Status(401)).times(1000),
    ];
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["account", "agents", "roles"])
        .run();
    run.assert_failed(1, &["refused the token (401)"]);
    assert_eq!(sandbox.count("roles"), 0);
    assert_eq!(sandbox.count("agents"), 1);
}
