//! The budget of a day, and the bounds of the state.

use std::time::Duration;

use freshchat_sandbox::Sandbox;
use serde_json::json;

use super::{account, asked_counts, assert_rows, posts, tap};

#[test]
fn a_spent_budget_ends_with_0_and_goes_on_the_next_day() {
    let mut options = account(6);
    options.quirks.reports.daily_budget = Some(4);
    let sandbox = Sandbox::start(options);
    let streams = ["report_classic", "report_csat_score"];
    let first = tap(&sandbox, &streams).succeed();
    assert_eq!(first.bookmark("report_classic"), super::day(&sandbox, 2));
    assert_rows(&sandbox, "report_csat_score", &[&first]);
    let words = "report Classic: all of today's jobs are used";
    assert!(first.stderr.contains(words), "{}", first.stderr);
    // The same day: nothing is asked for.
    let asked = posts(&sandbox).len();
    let second = tap(&sandbox, &streams[..1]).state(&first.state()).succeed();
    assert_eq!(posts(&sandbox).len(), asked);
    assert!(second.stderr.contains(words), "{}", second.stderr);
    // The next day.
    sandbox.with_options(|options| options.quirks.reports.daily_budget = Some(8));
    let mut state = second.state();
    let requested = &mut state["bookmarks"]["report_classic"]["requested_today"];
    assert_eq!(requested["count"], 4);
    requested["day"] = json!("2020-01-01");
    let third = tap(&sandbox, &streams[..1])
        .set("report_jobs_per_event_per_day", 4)
        .state(&state)
        .succeed();
    assert_rows(&sandbox, "report_classic", &[&first, &second, &third]);
    assert_eq!(asked_counts(&sandbox).into_values().max(), Some(1));
}

#[test]
fn the_budget_counts_jobs_that_fail_too() {
    let mut options = account(1);
    options.quirks.reports.daily_budget = Some(2);
    options.quirks.reports.failed_jobs = 2;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &["report_csat_score"]).succeed();
    assert_eq!((posts(&sandbox).len(), run.of_type("RECORD").len()), (2, 0));
    assert!(run.bookmark("report_csat_score").is_null());
}

#[test]
fn no_budget_is_no_limit() {
    let sandbox = Sandbox::start(account(5));
    let run = tap(&sandbox, &["report_classic"])
        .set("report_jobs_per_event_per_day", 0)
        .succeed();
    assert_rows(&sandbox, "report_classic", &[&run]);
}

#[test]
fn the_state_stays_small_however_many_jobs_are_under_way() {
    let mut options = account(440);
    options.quirks.reports.post_interval = Duration::ZERO;
    options.quirks.reports.generation_time = Duration::from_secs(3600);
    let sandbox = Sandbox::start(options);
    let streams = ["report_agent_performance", "report_csat_score"];
    let tap = tap(&sandbox, &streams)
        .set("report_request_interval_seconds", 0)
        .set("report_jobs_per_event_per_day", 0);
    // The asking goes on for as long as it may, and jobs are looked at after.
    let looked = std::cell::Cell::new(0);
    let run = tap.kill_when(|_| {
        let (asked, now) = (posts(&sandbox).len(), sandbox.count("reports/raw/{id}"));
        let grown = now > looked.get() + 100 * asked;
        if looked.get() == 0 || asked < 200 {
            looked.set(now);
        }
        asked >= 200 && (grown || now > looked.get() + 20)
    });
    let longest = run.stdout.lines().map(str::len).max().unwrap();
    assert!(posts(&sandbox).len() < 220, "{}", posts(&sandbox).len());
    assert!(longest < 64 * 1024, "{longest}");
}
