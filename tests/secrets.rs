//! The token shows up nowhere, and goes to the account's host alone.

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::json;

use crate::tap::{Run, Tap, account};

fn assert_hidden(sandbox: &Sandbox, run: &Run) {
    let token = sandbox.token();
    assert!(token.len() >= 8);
    assert!(!run.stdout.contains(token), "stdout");
    assert!(!run.stderr.contains(token), "{}", run.stderr);
}

#[test]
fn no_log_level_shows_the_token() {
    for level in ["debug", "info", "warning", "error", "critical"] {
        let mut options = account(5);
        options.quirks.token_echo = true;
        options.quirks.forbidden = vec!["roles".into()];
        let sandbox = Sandbox::start(options);
        let body = format!("no Bearer {} today", sandbox.token());
        sandbox.with_options(|options| {
            let kind = |status| FaultKind::StatusWith(status, Vec::new(), body);
            options.faults = vec![Fault::new("users", 1, kind(500))];
        });
        let run = Tap::new(&sandbox)
            .streams(&["users", "roles"])
            .arg("--log-level")
            .arg(level)
            .run();
        assert_eq!(run.code, Some(0));
        assert_hidden(&sandbox, &run);
        if matches!(level, "debug" | "info" | "warning") {
            assert!(
                run.stderr.contains("Bearer ***"),
                "the echo is masked: {}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_long_token_is_masked_before_its_echo_is_cut() {
    let sandbox = Sandbox::start(account(5));
    sandbox.with_options(|options| {
        let body = format!("{} Bearer {}", "x".repeat(170), sandbox.token());
        options.faults = vec![Fault::new(
            "roles",
            1,
            FaultKind::StatusWith(400, Vec::new(), body),
        )];
    });
    let run = Tap::new(&sandbox).streams(&["roles"]).run();
    run.assert_failed(1, &["roles"]);
    assert!(run.stderr.contains("Bearer ***"), "{}", run.stderr);
    assert!(
        !run.stderr.contains(&sandbox.token()[..8]),
        "{}",
        run.stderr
    );
}

#[test]
fn an_answer_of_the_wrong_shape_is_not_shown() {
    let sandbox = Sandbox::start(account(5));
    sandbox.with_options(|options| {
        let body = r#"{"roles": "jane@example.com"}"#.to_owned();
        options.faults = vec![Fault::new(
            "roles",
            1,
            FaultKind::StatusWith(200, Vec::new(), body),
        )];
    });
    let run = Tap::new(&sandbox).streams(&["roles"]).run();
    run.assert_failed(1, &["roles"]);
    assert!(!run.stderr.contains("jane"), "{}", run.stderr);
}

#[test]
fn a_wrong_token_ends_the_run() {
    let sandbox = Sandbox::start(account(5));
    let run = Tap::new(&sandbox).set("api_token", "wrong-token-123").run();
    run.assert_failed(1, &["401", "API Tokens"]);
    assert!(!run.stderr.contains("wrong-token-123"));
    assert_eq!(sandbox.total(), 1, "no further stream is tried");
    assert_eq!(run.state(), json!({}));
    let tap = Tap::new(&sandbox)
        .set("api_token", "wrong-token-123")
        .arg("--test");
    tap.run().assert_failed(1, &["401"]);
}

#[test]
fn a_redirect_does_not_get_the_token() {
    let mut options = account(5);
    options.quirks.redirect = Some("users".into());
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["users"]).run();
    run.assert_failed(1, &["users"]);
    assert!(run.stderr.contains("redirects to"), "{}", run.stderr);
    assert_eq!(sandbox.count("storage"), 0);
    assert_hidden(&sandbox, &run);
}

#[test]
fn wrong_settings_do_not_show_the_token() {
    let sandbox = Sandbox::start(account(5));
    for (setting, value) in [("page_size", json!(0)), ("start_date", json!("x"))] {
        let run = Tap::new(&sandbox).set(setting, value).run();
        run.assert_failed(2, &[setting]);
        assert_hidden(&sandbox, &run);
    }
    let run = Tap::new(&sandbox)
        .set("api_token", json!(["secret-in-a-list"]))
        .run();
    run.assert_failed(2, &["`api_token`"]);
    assert!(!run.stderr.contains("secret-in-a-list"));
}
