//! Killed at any point of a job's life and started again, a run loses nothing
//! and asks for no job twice.

use std::time::Duration;

use freshchat_sandbox::{Fault, FaultKind, Options, Sandbox};

use super::{account, asked_counts, assert_rows, day, tap};
use crate::tap::{Run, Tap};

const STREAMS: [&str; 2] = ["report_agent_performance", "report_csat_score"];

/// Two windows of one stream and one of the other.
fn options() -> Options {
    let mut options = account(2);
    options.quirks.reports.parts = 2;
    options
}

/// The windows end where the account's data does, so that both runs ask for
/// the same ones.
fn bounded(sandbox: &Sandbox) -> Tap {
    tap(sandbox, &STREAMS)
        .set("end_date", day(sandbox, 0))
        .set("report_request_interval_seconds", 0.05)
}

/// Resumes a run that was killed, and checks what both did.
fn resume(sandbox: &Sandbox, killed: &Run) {
    let resumed = bounded(sandbox).state(&killed.state()).succeed();
    let committed = killed.committed();
    for stream in STREAMS {
        assert_rows_of_state(sandbox, stream, &committed, &resumed);
    }
    let counts = asked_counts(sandbox);
    assert_eq!(counts.len(), 3, "{counts:?}");
    // A request that was under way may have made a job, and is made again.
    let again = counts.values().sum::<usize>() - counts.len();
    assert!(again <= 1, "{counts:?}");
}

/// What came before the last STATE and what the resumed run brought are the
/// truth; a window that was cut in the middle comes again as a whole.
fn assert_rows_of_state(sandbox: &Sandbox, stream: &str, first: &Run, second: &Run) {
    if first.bookmark(stream).is_null() {
        assert_rows(sandbox, stream, &[second]);
        return;
    }
    let records = first
        .records(stream)
        .into_iter()
        .chain(second.records(stream));
    let records = crate::tap::by_key(stream, records);
    assert_eq!(records.len(), sandbox.truth(stream).len(), "{stream}");
}

#[test]
fn killed_at_any_line() {
    const KILLS: usize = 8;
    let lines = {
        let sandbox = Sandbox::start(options());
        bounded(&sandbox).succeed().messages.len()
    };
    std::thread::scope(|scope| {
        for kill in 1..=KILLS {
            scope.spawn(move || {
                let sandbox = Sandbox::start(options());
                let killed = bounded(&sandbox).kill_when(|read| read >= lines * kill / (KILLS + 1));
                resume(&sandbox, &killed);
            });
        }
    });
}

#[test]
fn killed_at_any_request() {
    std::thread::scope(|scope| {
        for (endpoint, most) in [("reports/raw", 3), ("reports/raw/{id}", 3), ("storage", 6)] {
            for nth in 1..=most {
                scope.spawn(move || killed_at(endpoint, nth));
            }
        }
    });
}

/// The request never has an answer; it is the last that the run sends of its
/// kind.
fn killed_at(endpoint: &str, nth: u64) {
    let mut options = options();
    let stalled = FaultKind::Stall(Duration::from_secs(3600));
    options.faults = vec![Fault::new(endpoint, nth, stalled).times(99)];
    let sandbox = Sandbox::start(options);
    let killed = bounded(&sandbox).kill_when(|_| sandbox.count(endpoint) as u64 >= nth);
    sandbox.with_options(|options| options.faults.clear());
    resume(&sandbox, &killed);
}

#[test]
fn killed_while_jobs_are_generated() {
    std::thread::scope(|scope| {
        for looks in [1, 2, 5, 9] {
            scope.spawn(move || {
                let mut options = options();
                options.quirks.reports.generation_time = Duration::from_secs(3600);
                let sandbox = Sandbox::start(options);
                let asked = || sandbox.count("reports/raw") == 3;
                let killed = bounded(&sandbox)
                    .kill_when(|_| asked() && sandbox.count("reports/raw/{id}") >= looks);
                sandbox.with_options(|options| {
                    options.quirks.reports.generation_time = Duration::ZERO;
                });
                resume(&sandbox, &killed);
            });
        }
    });
}
