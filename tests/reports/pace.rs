//! Requests, jobs and downloads overlap, and no request comes too early.

use std::time::Duration;

use freshchat_sandbox::{Fault, FaultKind, Sandbox};

use super::{account, all, asked, assert_rows, posts, tap};
use crate::tap::{assert_complete, wait_until};

const HOUR: Duration = Duration::from_secs(3600);

/// How many windows all streams have over three days: three days and the
/// beginning of today for two, three closed days for one.
const WINDOWS: usize = 13 + 4 + 4 + 3;

#[test]
fn all_is_asked_for_while_jobs_are_generated_and_entities_sync() {
    let mut options = account(3);
    options.quirks.reports.generation_time = HOUR;
    options.quirks.reports.post_interval = Duration::from_millis(10);
    let sandbox = Sandbox::start(options);
    let mut streams = all();
    streams.extend(["users", "agents", "roles"]);
    let tap = tap(&sandbox, &streams).set("page_size", 1);
    let mut child = tap.spawn();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout).unwrap());
    let stderr = child.stderr.take().unwrap();
    let logger = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
    // No job is done before every report was asked for and the rest is synced.
    wait_until(|| posts(&sandbox).len() == WINDOWS && sandbox.count("roles") >= 6);
    assert_eq!(sandbox.count("storage"), 0);
    // Every stream has its first turn before any has its second.
    let events: Vec<String> = asked(&sandbox)
        .into_iter()
        .map(|(event, ..)| event)
        .collect();
    let first: std::collections::HashSet<&String> = events[..16].iter().collect();
    assert_eq!(first.len(), 16, "{events:?}");
    let requests = sandbox.requests();
    let of_posts = |request: &&freshchat_sandbox::Request| request.endpoint == "reports/raw";
    let begin = requests
        .iter()
        .position(|request| of_posts(&request))
        .unwrap();
    let end = requests
        .iter()
        .rposition(|request| of_posts(&request))
        .unwrap();
    let entities = requests[begin..end]
        .iter()
        .filter(|request| !request.endpoint.starts_with("reports"));
    assert!(entities.count() > 10, "entity streams sync meanwhile");
    sandbox.with_options(|options| options.quirks.reports.generation_time = Duration::ZERO);
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "{}",
        logger.join().unwrap()
    );
    let run = crate::tap::Run::of_stdout(reader.join().unwrap());
    for stream in all() {
        assert_rows(&sandbox, stream, &[&run]);
    }
    assert_complete(&sandbox, "users", run.records("users"));
    assert_complete(&sandbox, "roles", run.records("roles"));
}

#[test]
fn no_request_waits_for_a_download() {
    let mut options = account(3);
    options.faults = vec![Fault::new("storage", 1, FaultKind::Stall(HOUR)).times(u64::MAX)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &all())
        .kill_when(|_| posts(&sandbox).len() == WINDOWS && sandbox.count("storage") >= 2);
    assert_eq!(run.of_type("RECORD").len(), 0);
}

#[test]
fn a_restart_keeps_the_pace() {
    let mut options = account(3);
    options.quirks.reports.post_interval = Duration::from_millis(900);
    options.quirks.reports.generation_time = HOUR;
    let sandbox = Sandbox::start(options);
    // The interval counts across streams: the second run has another one.
    let first =
        tap(&sandbox, &["report_csat_score"]).kill_when(|_| sandbox.count("reports/raw/{id}") > 0);
    sandbox.with_options(|options| options.quirks.reports.generation_time = Duration::ZERO);
    let streams = ["report_agent_activity", "report_csat_score"];
    let second = tap(&sandbox, &streams).state(&first.state()).succeed();
    assert_rows(&sandbox, streams[0], &[&second]);
    let gap = posts(&sandbox)[1].at - posts(&sandbox)[0].at;
    assert!(gap >= Duration::from_millis(900), "{gap:?}");
}

#[test]
fn a_clock_that_went_ahead_holds_nothing_up() {
    let sandbox = Sandbox::start(account(3));
    let stream = "report_csat_score";
    let first = tap(&sandbox, &[stream])
        .set("end_date", super::day(&sandbox, 1))
        .succeed();
    let mut state = first.state();
    let bookmark = &mut state["bookmarks"][stream];
    bookmark["last_requested_at"] = "2199-01-01T00:00:00Z".into();
    bookmark["requested_today"] = serde_json::json!({"day": "2199-01-01", "count": 120});
    let second = tap(&sandbox, &[stream]).state(&state).succeed();
    assert_rows(&sandbox, stream, &[&first, &second]);
}
