//! States of other runs.

use chrono::{TimeDelta, Utc};
use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use super::{account, asked_counts, assert_rows, day, posts, tap};
use crate::tap::{Tap, catalog_of, with_stream_metadata};

const STREAM: &str = "report_csat_score";

/// A state whose stream has these jobs under way.
fn state_with(jobs: Value, more: Value) -> Value {
    let mut bookmark = json!({"jobs": jobs});
    bookmark
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"bookmarks": {STREAM: bookmark}})
}

fn job(sandbox: &Sandbox, id: &str, from: i64, to: i64, asked: chrono::DateTime<Utc>) -> Value {
    json!({"id": id, "from": day(sandbox, from), "to": day(sandbox, to), "requested_at": asked})
}

#[test]
fn jobs_of_a_stream_that_is_not_selected_stay() {
    let sandbox = Sandbox::start(account(3));
    let jobs = json!([job(&sandbox, "j-1", 3, 2, Utc::now())]);
    let state = state_with(
        jobs.clone(),
        json!({"requested_today": {"day": "2020-01-01", "count": 7}}),
    );
    let run = tap(&sandbox, &["report_agent_activity"])
        .state(&state)
        .succeed();
    assert_rows(&sandbox, "report_agent_activity", &[&run]);
    assert_eq!(run.state()["bookmarks"][STREAM], state["bookmarks"][STREAM]);
}

#[test]
fn jobs_that_are_unknown_or_too_old_are_asked_for_anew() {
    let sandbox = Sandbox::start(account(3));
    for asked in [Utc::now(), Utc::now() - TimeDelta::days(2)] {
        let state = state_with(
            json!([job(&sandbox, "gone", 3, 0, asked)]),
            json!({"jobs_from": day(&sandbox, 3)}),
        );
        sandbox.clear_requests();
        let run = tap(&sandbox, &[STREAM])
            .set("end_date", day(&sandbox, 0))
            .state(&state)
            .succeed();
        assert_rows(&sandbox, STREAM, &[&run]);
        assert_eq!(posts(&sandbox).len(), 1);
        let looked = usize::from(asked > Utc::now() - TimeDelta::days(1));
        let requests = sandbox.requests();
        let gone = requests
            .iter()
            .filter(|request| request.path.ends_with("/gone"));
        assert_eq!(gone.count(), looked);
    }
}

#[test]
fn jobs_that_cannot_be_read_are_let_go() {
    let sandbox = Sandbox::start(account(3));
    for jobs in [json!("x"), json!([{"id": 5}]), json!({}), json!([null])] {
        let more = json!({"requested_today": 5, "last_requested_at": "soon", "jobs_from": []});
        let run = tap(&sandbox, &[STREAM])
            .state(&state_with(jobs, more))
            .succeed();
        assert_rows(&sandbox, STREAM, &[&run]);
    }
}

#[test]
fn a_full_table_begins_at_the_start_date_whatever_is_under_way() {
    let sandbox = Sandbox::start(account(9));
    let stream = "report_classic";
    let first = tap(&sandbox, &[stream])
        .set("end_date", day(&sandbox, 2))
        .succeed();
    // Stopped with a job under way, which is taken up at its place.
    let mut state = first.state();
    let stopped = tap(&sandbox, &[stream])
        .set("end_date", day(&sandbox, 1))
        .state(&state);
    sandbox.with_options(|options| {
        options.quirks.reports.generation_time = std::time::Duration::from_secs(3600);
    });
    state = stopped
        .kill_when(|_| sandbox.count("reports/raw/{id}") > 8)
        .state();
    assert_eq!(
        state["bookmarks"][stream]["jobs"].as_array().unwrap().len(),
        1
    );
    sandbox.with_options(|options| {
        options.quirks.reports.generation_time = std::time::Duration::ZERO;
    });
    let node = json!({"replication-method": "FULL_TABLE"});
    let catalog = with_stream_metadata(
        &catalog_of(&[stream]),
        stream,
        node.as_object().unwrap().clone(),
    );
    sandbox.clear_requests();
    let run = Tap::new(&sandbox).catalog(&catalog).state(&state).succeed();
    assert_rows(&sandbox, stream, &[&run]);
    assert!(
        (8..=9).contains(&posts(&sandbox).len()),
        "{}",
        posts(&sandbox).len()
    );
    assert_eq!(asked_counts(&sandbox).into_values().max(), Some(1));
}

#[test]
fn a_signal_keeps_the_jobs_under_way() {
    let mut options = account(3);
    options.quirks.reports.generation_time = std::time::Duration::from_secs(3600);
    let sandbox = Sandbox::start(options);
    let tap = || tap(&sandbox, &[STREAM]).set("end_date", day(&sandbox, 0));
    let first = tap();
    let child = first.spawn();
    crate::tap::wait_until(|| sandbox.count("reports/raw/{id}") > 2);
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let first = crate::tap::Run::of_stdout(String::from_utf8(output.stdout).unwrap());
    sandbox
        .with_options(|options| options.quirks.reports.generation_time = std::time::Duration::ZERO);
    let second = tap().state(&first.state()).succeed();
    assert_rows(&sandbox, STREAM, &[&second]);
    assert_eq!(posts(&sandbox).len(), 1);
}

#[test]
fn a_closed_stdout_ends_the_run_at_once() {
    let mut options = account(3);
    options.quirks.reports.generation_time = std::time::Duration::from_secs(3600);
    let sandbox = Sandbox::start(options);
    let tap = tap(&sandbox, &[STREAM]).arg("--log-level=warning");
    let mut child = tap.spawn();
    crate::tap::wait_until(|| sandbox.count("reports/raw/{id}") > 0);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap()
        ),
        (Some(0), String::new())
    );
}
