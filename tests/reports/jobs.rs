//! Jobs that come to nothing, and requests that are refused.

use std::time::Duration;

use freshchat_sandbox::{Fault, FaultKind, ReportQuirks, Sandbox};

use super::{account, asked_counts, assert_rows, posts, tap};
use crate::tap::{Run, assert_complete};

const STREAMS: [&str; 3] = [
    "report_agent_activity",
    "report_csat_score",
    "report_message_sent",
];

type Fate = fn(&mut ReportQuirks);

/// A run over an account whose jobs have a fate.
fn run_with(change: impl FnOnce(&mut ReportQuirks)) -> (Sandbox, Run) {
    let mut options = account(3);
    change(&mut options.quirks.reports);
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &STREAMS)
        .set("report_timeout_minutes", 0.001)
        .run();
    (sandbox, run)
}

#[test]
fn jobs_that_come_to_nothing_are_asked_for_anew() {
    let fates: [(Fate, &str); 4] = [
        (
            |quirks| quirks.failed_jobs = 2,
            "failed; requesting it again",
        ),
        (
            |quirks| quirks.failed_parts = 2,
            "failed; requesting it again",
        ),
        (|quirks| quirks.endless_jobs = 2, "was not done after"),
        (|quirks| quirks.forgotten_jobs = 2, "is no longer known"),
    ];
    for (fate, words) in fates {
        let (sandbox, run) = run_with(fate);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        for stream in STREAMS {
            assert_rows(&sandbox, stream, &[&run]);
        }
        assert_eq!(posts(&sandbox).len(), STREAMS.len() + 2);
        assert!(run.state()["bookmarks"][STREAMS[0]]["jobs"].is_null());
    }
}

#[test]
fn a_job_that_always_fails_fails_its_stream_alone() {
    let fates: [Fate; 3] = [
        |quirks| quirks.failed_jobs = 7,
        |quirks| quirks.endless_jobs = 7,
        |quirks| quirks.forgotten_jobs = 7,
    ];
    for fate in fates {
        let (sandbox, first) = run_with(fate);
        // Three jobs each, of which seven in all come to nothing.
        first.assert_failed(1, &["1 of 3 streams failed"]);
        let failed = |stream: &&&str| first.last_line().contains(**stream);
        let failed = *STREAMS.iter().find(failed).unwrap();
        assert_eq!(posts(&sandbox).len(), 9);
        for stream in STREAMS.iter().filter(|stream| **stream != failed) {
            assert_rows(&sandbox, stream, &[&first]);
        }
        assert_eq!(first.records(failed).len(), 0);
        let second = tap(&sandbox, &[failed]).state(&first.state()).succeed();
        assert_rows(&sandbox, failed, &[&second]);
    }
}

#[test]
fn a_lost_answer_costs_one_more_request() {
    let (sandbox, run) = run_with(|quirks| quirks.lost_posts = 1);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for stream in STREAMS {
        assert_rows(&sandbox, stream, &[&run]);
    }
    assert_eq!(posts(&sandbox).len(), STREAMS.len() + 1);
    let counts: Vec<usize> = asked_counts(&sandbox).into_values().collect();
    assert_eq!(counts.iter().max(), Some(&2));
}

#[test]
fn an_event_that_the_account_lacks_is_a_warning() {
    let (sandbox, run) = run_with(|quirks| quirks.missing_events = vec!["CSAT-Score".to_owned()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("`report_csat_score`: this account doesn't have it")
    );
    assert_rows(&sandbox, STREAMS[0], &[&run]);
    assert_rows(&sandbox, STREAMS[2], &[&run]);
    // Nobody noted the status that the answer comes with.
    let body = r#"{"success":false,"error_code":5,"error_message":"No matching event name"}"#;
    let kind = FaultKind::StatusWith(200, Vec::new(), body.to_owned());
    sandbox.with_options(|options| options.faults = vec![Fault::new("reports/raw", 1, kind)]);
    let run = tap(&sandbox, &["agents", STREAMS[0]]).succeed();
    assert!(
        run.stderr
            .contains("`report_agent_activity`: this account doesn't have it")
    );
    assert_rows(
        &sandbox,
        STREAMS[2],
        &[&tap(&sandbox, &STREAMS[2..]).succeed()],
    );
}

#[test]
fn a_token_without_reports_is_a_warning() {
    let mut options = account(3);
    options.quirks.forbidden = vec!["reports/raw".into()];
    let sandbox = Sandbox::start(options);
    let mut streams = STREAMS.to_vec();
    streams.push("agents");
    let run = tap(&sandbox, &streams).succeed();
    assert_complete(&sandbox, "agents", run.records("agents"));
    assert_eq!(run.stderr.matches("this token may not read it").count(), 3);
    assert_eq!(
        posts(&sandbox).len(),
        1,
        "no other report may be read either"
    );
    let run = tap(&sandbox, &STREAMS).run();
    run.assert_failed(1, &["none of the 3 selected streams"]);
    // Looking is refused: the jobs stay for a token that may.
    sandbox.with_options(|options| options.quirks.forbidden = vec!["reports/raw/{id}".into()]);
    sandbox.clear_requests();
    let run = tap(&sandbox, &streams).succeed();
    sandbox.with_options(|options| options.quirks.forbidden.clear());
    let again = tap(&sandbox, &STREAMS)
        .state(&run.state())
        .set("end_date", super::day(&sandbox, 0))
        .succeed();
    for stream in STREAMS {
        assert_rows(&sandbox, stream, &[&again]);
    }
    assert_eq!(asked_counts(&sandbox).into_values().max(), Some(1));
}

#[test]
fn a_token_that_is_revoked_ends_the_run() {
    for endpoint in ["reports/raw", "reports/raw/{id}"] {
        let mut options = account(3);
        // The account's own endpoint refuses it, too, from its second call on.
        options.faults = [endpoint, "accounts/configuration"]
            .map(|endpoint| Fault::new(endpoint, 2, FaultKind::Status(401)).times(99))
            .to_vec();
        let sandbox = Sandbox::start(options);
        let tap = || tap(&sandbox, &STREAMS).set("end_date", super::day(&sandbox, 0));
        let first = tap().run();
        first.assert_failed(1, &["401", "API Tokens"]);
        sandbox.with_options(|options| options.faults.clear());
        let second = tap().state(&first.state()).succeed();
        for stream in STREAMS {
            assert_rows(&sandbox, stream, &[&first, &second]);
        }
        assert_eq!(
            asked_counts(&sandbox).into_values().max(),
            Some(if endpoint == "reports/raw" { 2 } else { 1 })
        );
    }
}

#[test]
fn a_token_that_another_stream_finds_revoked_ends_the_reports() {
    let mut options = account(3);
    options.quirks.reports.generation_time = Duration::from_secs(3600);
    options.faults = vec![
        Fault::new("users", 3, FaultKind::Status(401)).times(99),
        Fault::new("accounts/configuration", 2, FaultKind::Status(401)).times(99),
    ];
    let sandbox = Sandbox::start(options);
    let streams = [&STREAMS[..], &["users"]].concat();
    let run = tap(&sandbox, &streams).set("page_size", 1).run();
    run.assert_failed(1, &["401"]);
}

#[test]
fn a_refused_request_is_made_again_at_its_turn() {
    let retry_after = vec![("Retry-After".to_owned(), "1".to_owned())];
    for (kind, least) in [
        (FaultKind::Status(500), 0),
        (FaultKind::Reset, 0),
        (FaultKind::TruncatedJson, 0),
        (FaultKind::StatusWith(429, retry_after, "{}".into()), 1),
    ] {
        let mut options = account(3);
        options.faults = vec![Fault::new("reports/raw", 2, kind.clone())];
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &STREAMS).succeed();
        for stream in STREAMS {
            assert_rows(&sandbox, stream, &[&run]);
        }
        let posts = posts(&sandbox);
        assert_eq!(posts.len(), 4, "{kind:?}");
        let gap = posts[2].at - posts[1].at;
        assert!(gap >= Duration::from_secs(least), "{kind:?} {gap:?}");
    }
    let mut options = account(3);
    options.faults = vec![Fault::new("reports/raw", 1, FaultKind::Status(500)).times(99)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &STREAMS[..1]).set("max_retries", 2).run();
    run.assert_failed(1, &["report_agent_activity"]);
    assert_eq!(posts(&sandbox).len(), 3);
}
