//! Whose time a run goes by: the server's or this machine's, whichever is
//! earlier.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use freshchat_sandbox::{DateHeader, Options, Sandbox};
use serde_json::Value;

use crate::tap::{Run, Tap, account, assert_complete};

fn with_offset(offset: TimeDelta) -> Options {
    Options {
        clock_offset: offset,
        ..account(60)
    }
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// The lines of the log that speak of the clocks.
fn of_clocks(run: &Run) -> Vec<&str> {
    let lines = run.stderr.lines();
    lines.filter(|line| line.contains("clock")).collect()
}

#[test]
fn the_earlier_clock_is_the_runs_start() {
    for minutes in [-20, 20, 0] {
        let offset = TimeDelta::minutes(minutes);
        let sandbox = Sandbox::start(with_offset(offset));
        // The moment that counts is that of the first request, by a clock of whole seconds.
        let before = Utc::now() - TimeDelta::seconds(5) + offset.min(TimeDelta::zero());
        let run = Tap::new(&sandbox).streams(&["users"]).succeed();
        let after = Utc::now() + offset.min(TimeDelta::zero());
        let started = time(&run.bookmark("users"));
        assert!((before..=after).contains(&started), "{minutes} {started}");
        assert_eq!(
            of_clocks(&run).len(),
            usize::from(minutes != 0),
            "{}",
            run.stderr
        );
        for message in run.of_type("RECORD") {
            let extracted = time(&message["time_extracted"]);
            assert!(
                (before..=after).contains(&extracted),
                "{minutes} {extracted}"
            );
        }
    }
}

#[test]
fn nothing_is_lost_by_a_slow_server_clock() {
    let mut options = with_offset(TimeDelta::minutes(-20));
    options.edits.after_each_users_page = 3;
    options.edits.most = 6;
    let sandbox = Sandbox::start(options);
    let tap = || {
        Tap::new(&sandbox)
            .set("page_size", 10)
            .set("lookback_seconds", 0)
            .streams(&["users"])
    };
    let first = tap().succeed();
    let second = tap().state(&first.state()).succeed();
    let edited = sandbox.edit_user(50);
    let third = tap().state(&second.state()).succeed();
    let runs = [&first, &second, &third];
    let records = runs.iter().flat_map(|run| run.records("users"));
    assert_complete(&sandbox, "users", records);
    let again: Vec<_> = third.records("users");
    assert!(again.iter().any(|user| user["id"] == edited.as_str()));
}

#[test]
fn clocks_that_are_a_day_apart_end_the_run() {
    for hours in [25, -25] {
        let sandbox = Sandbox::start(with_offset(TimeDelta::hours(hours)));
        let run = Tap::new(&sandbox).streams(&["users", "agents"]).run();
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:").to_string();
        let server = Utc::now() + TimeDelta::hours(hours);
        run.assert_failed(
            1,
            &[&text(Utc::now()), &text(server), "Set the clocks right"],
        );
        assert_eq!(sandbox.total(), 1);
        assert_eq!(run.bookmark("users"), Value::Null);
    }
}

#[test]
fn without_a_date_this_machine_counts_and_says_so_once() {
    for (date, offset) in [
        (DateHeader::Absent, -20),
        (DateHeader::Aged(Duration::from_secs(3 * 24 * 3600)), 0),
    ] {
        let mut options = with_offset(TimeDelta::minutes(offset));
        options.quirks.date_header = date;
        let sandbox = Sandbox::start(options);
        let before = Utc::now().trunc_subsecs(3);
        let run = Tap::new(&sandbox).succeed();
        let started = time(&run.bookmark("users"));
        assert!((before..=Utc::now()).contains(&started), "{started}");
        let warnings = of_clocks(&run);
        assert_eq!(warnings.len(), 1, "{}", run.stderr);
        assert!(warnings[0].starts_with("WARNING the server's answers have no time"));
    }
}

#[test]
fn a_late_date_that_shows_a_start_in_the_future_ends_the_run() {
    let mut options = with_offset(TimeDelta::minutes(-20));
    options.quirks.date_header = DateHeader::Absent;
    options.latency = Duration::from_millis(5);
    let sandbox = Sandbox::start(options);
    let tap = Tap::new(&sandbox).set("page_size", 1).streams(&["users"]);
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| tap.run());
        crate::tap::wait_until(|| sandbox.count("users") > 5);
        sandbox.with_options(|options| options.quirks.date_header = DateHeader::Present);
        run.join().unwrap()
    });
    run.assert_failed(1, &["Set the clocks right"]);
    assert_eq!(run.bookmark("users"), Value::Null);
}

#[test]
fn only_who_needs_the_time_before_any_answer_asks_for_it() {
    for (streams, calls) in [
        (&["account"][..], 1),
        (&["agents", "metrics_instant"], 0),
        (&["metrics_instant"], 1),
        (&["report_csat_score"], 1),
        (
            &["account", "users", "conversations", "report_csat_score"],
            1,
        ),
    ] {
        let sandbox = Sandbox::start(account(3));
        Tap::new(&sandbox).streams(streams).succeed();
        assert_eq!(
            sandbox.count("accounts/configuration"),
            calls,
            "{streams:?}"
        );
    }
}
