//! `--test`: what the token may read, and what the account shows of the points
//! that the API document leaves open.

use chrono::TimeDelta;
use freshchat_sandbox::{
    ConversationLists, DateHeader, Fault, FaultKind, FieldsAnswer, Sandbox, SortParameters,
    Unfiltered, UsersOrder,
};
use serde_json::{Value, json};

use crate::tap::{Tap, account, bare};

fn check(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, String, String) {
    let tap = arguments
        .iter()
        .fold(Tap::new(sandbox).arg("--test"), |tap, it| tap.arg(it));
    let output = tap.command().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The lines but those of the clock and the limit, which change.
fn steady(stdout: &str) -> Vec<&str> {
    let lines = stdout.lines();
    lines
        .filter(|line| !line.starts_with("this machine's clock: ") && !line.starts_with("hourly "))
        .collect()
}

#[test]
fn each_family_is_tried_and_the_readings_follow() {
    let mut options = account(30);
    options.quirks.forbidden = vec!["reports/raw/{id}".into()];
    options.quirks.conversation_fields = FieldsAnswer::NotFound;
    options.quirks.lists_ignore_page = true;
    let sandbox = Sandbox::start(options);
    let (code, stdout, stderr) = check(&sandbox, &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(
        steady(&stdout),
        [
            "accounts: ok",
            "users: ok",
            "conversations: ok",
            "agents: ok",
            "groups: ok",
            "channels: ok",
            "roles: ok",
            "outbound-messages: ok",
            "business-hours: ok",
            "reports: forbidden",
            "metrics: ok",
            "order of users: seen: by updated_time, ascending",
            "sort_by and sort_order of users: seen: obeyed",
            "pages of users: guessed: whole, or one page of one, with pagination",
            "pages of agents: seen: in pages, which name the next one or the total",
            "pages of groups: seen: whole, whatever the page size, without pagination",
            "pages of channels: seen: whole, whatever the page size, without pagination",
            "pages of roles: seen: in pages, which name the next one or the total",
            "pages of outbound-messages: guessed: whole, or one page of one, without pagination",
            "pages of users/{id}/conversations: guessed: whole, or one page of one, without pagination",
            "metric groupings and filter_by: seen: groups come without it",
            "missing features: seen: conversations/fields (404), reports/raw/{id} (403)",
        ]
    );
    assert_eq!(sandbox.total(), 14);
}

#[test]
fn nothing_of_a_record_is_printed() {
    let sandbox = Sandbox::start(account(80));
    let (code, stdout, _) = check(&sandbox, &[]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(
        stdout.contains("pages of users: seen: in pages"),
        "{stdout}"
    );
    for stream in [
        "account",
        "users",
        "conversations",
        "agents",
        "groups",
        "channels",
    ] {
        for record in sandbox.truth(stream) {
            for value in record.as_object().unwrap().values() {
                let text = value.as_str().unwrap_or_default();
                assert!(text.len() < 4 || !stdout.contains(text), "{text}: {stdout}");
            }
        }
    }
}

#[test]
fn the_json_says_the_same() {
    let mut options = account(30);
    options.hourly_limit = Some(1000);
    let sandbox = Sandbox::start(options);
    let (_, text, _) = check(&sandbox, &[]);
    let (code, stdout, stderr) = check(&sandbox, &["--format", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let endpoints = json["endpoints"].as_object().unwrap();
    let mut lines: Vec<String> = endpoints
        .iter()
        .map(|(name, verdict)| format!("{name}: {}", verdict.as_str().unwrap()))
        .collect();
    for (point, reading) in json["readings"].as_object().unwrap() {
        let word = |name: &str| reading[name].as_str().unwrap();
        lines.push(format!(
            "{point}: {}: {}",
            word("certainty"),
            word("reading")
        ));
    }
    let lines = lines.join("\n");
    assert_eq!(steady(&lines), steady(&text));
    assert_eq!(
        json["readings"]["hourly limit"],
        json!({"certainty": "seen", "reading": "1000 calls, 972 of them left"})
    );
    let clock = &json["readings"]["this machine's clock"];
    assert_eq!(clock["certainty"], "seen");
}

#[test]
fn other_worlds_are_told_apart() {
    let mut options = account(40);
    options.sizes.conversations_per_user = 25..=25;
    options.clock_offset = TimeDelta::hours(-2);
    options.quirks.users_order = UsersOrder::Created;
    options.quirks.users_descending = true;
    options.quirks.sort_parameters = SortParameters::Ignored;
    options.quirks.user_conversations = ConversationLists::Link;
    options.quirks.metrics.unfiltered = Unfiltered::Null;
    let sandbox = Sandbox::start(options);
    let (code, stdout, stderr) = check(&sandbox, &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for line in [
        "order of users: seen: by created_time, descending",
        "sort_by and sort_order of users: seen: ignored",
        "pages of users/{id}/conversations: seen: in pages, which name the next one or the total",
        "metric groupings and filter_by: guessed: no group comes without it",
        "missing features: seen: none of those requested",
    ] {
        assert!(stdout.lines().any(|own| own == line), "{line}: {stdout}");
    }
    let clock = stdout
        .lines()
        .find(|line| line.starts_with("this machine's clock: "));
    let ahead = clock
        .unwrap()
        .strip_prefix("this machine's clock: seen: ")
        .unwrap();
    let seconds: i64 = ahead
        .strip_suffix(" s ahead of the server's")
        .unwrap()
        .parse()
        .unwrap();
    assert!((7200..7300).contains(&seconds), "{seconds}");

    sandbox.with_options(|options| {
        options.quirks.sort_parameters = SortParameters::Refused;
        options.quirks.date_header = DateHeader::Absent;
    });
    let (code, stdout, stderr) = check(&sandbox, &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for line in [
        "this machine's clock: not seen: answers have no usable Date",
        "sort_by and sort_order of users: not seen: no two orders to compare",
        "missing features: seen: none of those requested",
    ] {
        assert!(stdout.lines().any(|own| own == line), "{line}: {stdout}");
    }
}

#[test]
fn too_few_users_show_no_order() {
    let sandbox = Sandbox::start(account(3));
    let (code, stdout, _) = check(&sandbox, &[]);
    assert_eq!(code, Some(0), "{stdout}");
    let lines = steady(&stdout);
    assert!(
        lines.contains(&"order of users: not seen: too few users"),
        "{stdout}"
    );
    assert!(
        lines.contains(&"sort_by and sort_order of users: not seen: no two orders to compare"),
        "{stdout}"
    );
    assert_eq!(sandbox.total(), 13);
}

#[test]
fn what_the_api_says_of_a_failure_is_on_stderr() {
    let sandbox = Sandbox::start(account(3));
    let body = r#"{"code": 400, "status": "ODD", "message": "jane@example.com"}"#;
    for (endpoint, status, line) in [
        ("roles", 400, "roles: answers 400"),
        ("roles", 302, "roles: redirects to another host"),
    ] {
        sandbox.with_options(|options| {
            let kind = FaultKind::StatusWith(status, Vec::new(), body.into());
            options.faults = vec![Fault::new(endpoint, 1, kind).times(99)];
        });
        let (code, stdout, stderr) = check(&sandbox, &[]);
        assert_eq!(code, Some(1), "{stdout}");
        let lines: Vec<&str> = stdout.lines().collect();
        assert!(lines.contains(&line), "{stdout}");
        assert!(lines.contains(&"metrics: ok"), "{stdout}");
        assert!(!stdout.contains("jane"), "{stdout}");
        let detail = stderr
            .lines()
            .find(|line| line.starts_with("ERROR roles: "));
        assert!(detail.is_some(), "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(
            last.starts_with("CRITICAL 1 of the tested endpoints"),
            "{stderr}"
        );
    }
}

#[test]
fn one_that_is_refused_whatever_it_asks_stops() {
    let sandbox = Sandbox::start(account(1));
    let output = Tap::new(&sandbox)
        .set("api_token", "wrong-token-123")
        .arg("--test")
        .arg("--format=json")
        .run();
    output.assert_failed(1, &["401"]);
    assert_eq!(output.stdout, "");
    assert_eq!(sandbox.total(), 1);
}

#[test]
fn the_format_is_text_or_json() {
    for arguments in [
        &["--test", "--format", "markdown"][..],
        &["--discover", "--format", "json"],
        &["--format", "json"],
    ] {
        let run = bare(arguments);
        run.assert_failed(2, &["--help"]);
        assert_eq!(run.stdout, "");
    }
}
