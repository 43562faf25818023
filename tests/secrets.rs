//! The token shows up nowhere, and goes to the account's host alone.

use std::fs;

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::{Value, json};

use crate::tap::{Run, Tap, account, bare};

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
    run.assert_failed(1, &["none of the 1 selected streams can be read"]);
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

/// The names of all settings.
fn settings() -> Vec<String> {
    let about = bare(&["--about", "--format", "json"]).stdout;
    let about: Value = serde_json::from_str(&about).unwrap();
    let settings = about["settings"]["properties"].as_object().unwrap();
    assert!(settings.len() > 20);
    settings.keys().cloned().collect()
}

/// Checks that a text is nowhere in the output, in whatever case.
fn assert_nowhere(run: &Run, text: &str, what: &str) {
    let output = format!("{}{}", run.stdout, run.stderr).to_lowercase();
    assert!(!output.contains(&text.to_lowercase()), "{what}: {output}");
}

#[test]
fn a_secret_in_the_wrong_setting_is_not_shown() {
    let sandbox = Sandbox::start(account(1));
    // The token itself, and a secret that the program can't know to be one.
    for secret in [sandbox.token(), "eyJraWQiOiJjdXN0b20ifQ.Other.Secret"] {
        for name in settings() {
            for value in [
                json!(secret),
                json!([secret]),
                json!({secret: secret}),
                json!([[secret]]),
            ] {
                let what = format!("{name} in the file: {value}");
                let run = beside(&sandbox, &name).set(&name, value).run();
                assert_nowhere(&run, secret, &what);
                assert_named(&run, &name, secret == sandbox.token(), &what);
            }
            let run = beside(&sandbox, &name)
                .arg("--config=ENV")
                .env(&format!("TAP_FRESHCHAT_{}", name.to_uppercase()), secret)
                .run();
            assert_nowhere(&run, secret, &format!("{name} in the environment"));
            assert_named(&run, &name, secret == sandbox.token(), &name);
        }
    }
}

/// A run in which this setting counts: `api_url` wins over `domain`.
fn beside(sandbox: &Sandbox, setting: &str) -> Tap {
    let tap = Tap::new(sandbox).streams(&["account"]);
    match setting {
        "domain" => tap.set("api_url", Value::Null),
        _ => tap,
    }
}

/// Checks that a run was refused for this setting, where it had to be: any
/// text is a user agent, and may be a token.
fn assert_named(run: &Run, name: &str, is_token: bool, what: &str) {
    let is_taken = match name {
        "api_token" => matches!(run.code, Some(0 | 1)),
        "user_agent" => run.code == Some(0) && !is_token,
        _ => false,
    };
    if !is_taken {
        assert!(
            run.last_line().contains(&format!("`{name}`")),
            "{what}: {}",
            run.stderr
        );
        run.assert_failed(2, &[]);
    }
}

#[test]
fn a_secret_in_an_address_is_not_shown() {
    let sandbox = Sandbox::start(account(1));
    let origin = sandbox.api_url().replace("/v2", "");
    let host = origin.replace("http://", "");
    for url in [
        format!("http://user:pass-word-1@{host}/v2"),
        format!("{origin}/v2?key=pass-word-1"),
        format!("{origin}/v2#pass-word-1"),
        format!("{origin}/pass-word-1/v2"),
        "pass-word-1".to_owned(),
        "ftp://pass-word-1/v2".to_owned(),
        "http://pass-word-1/v2".to_owned(),
    ] {
        let run = Tap::new(&sandbox)
            .streams(&["account"])
            .set("api_url", url.as_str())
            .set("max_retries", 0)
            .arg("--log-level=debug")
            .run();
        assert!(matches!(run.code, Some(1 | 2)), "{url}");
        assert_nowhere(&run, "pass-word-1", &url);
    }
    sandbox.allow_violations();
}

#[test]
fn a_config_that_is_not_json_is_not_shown() {
    let sandbox = Sandbox::start(account(1));
    let token = sandbox.token();
    for text in [
        format!("{{\"api_token\": {token}}}"),
        format!("{{\"api_token\": \"{token}\" \"domain\": \"acme\"}}"),
        format!("{{\"api_token\": \"{token}}}"),
        format!("{{\"api_token\": \"{token}\\x\"}}"),
        format!("api_token: {token}\n"),
        format!("\"{token}\""),
        format!("{{}} {token}"),
        format!("{{\"{token}\": 1, \"api_token\": \"{token}\"}}"),
    ] {
        let tap = Tap::with_config(json!({}));
        fs::write(tap.path("c.json"), &text).unwrap();
        let path = tap.path("c.json").display().to_string();
        let run = bare(&["--config", &path]);
        run.assert_failed(2, &[&path]);
        assert_nowhere(&run, token, &text);
    }
}

#[test]
fn a_token_that_another_file_replaces_is_not_shown() {
    let sandbox = Sandbox::start(account(1));
    let replaced = "replaced-token-1";
    let later = json!({"api_token": sandbox.token(), "user_agent": replaced});
    let run = Tap::new(&sandbox)
        .set("api_token", replaced)
        .file("--config", &later.to_string())
        .run();
    run.assert_failed(2, &["`user_agent`"]);
    assert_nowhere(&run, replaced, "user_agent");
}

#[test]
fn a_token_among_the_arguments_is_not_shown() {
    let secret = "eyJraWQiOiJjdXN0b20ifQ.Other.Secret";
    for arguments in [&[secret][..], &["--discover", secret]] {
        let run = bare(arguments);
        run.assert_failed(2, &["an argument is not a flag, nor the value of one"]);
        assert_nowhere(&run, secret, "a bare argument");
    }
}
