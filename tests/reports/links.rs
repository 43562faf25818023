//! Downloads from the storage.

use std::fs;
use std::time::Duration;

use freshchat_sandbox::{Fault, FaultKind, Sandbox};

use super::{account, asked_counts, assert_rows, posts, tap};
use crate::tap::Run;

const STREAM: &str = "report_message_sent";
const STREAMS: [&str; 2] = ["report_csat_score", STREAM];

fn assert_hidden(sandbox: &Sandbox, run: &Run) {
    for secret in [sandbox.token(), "X-Amz", "Signature", "AKIA"] {
        assert!(!run.stderr.contains(secret), "{secret}: {}", run.stderr);
        assert!(!run.stdout.contains(secret), "{secret}");
    }
}

#[test]
fn damaged_downloads_are_fetched_again_before_any_row() {
    let mut options = account(3);
    let quirks = &mut options.quirks.reports;
    quirks.parts = 3;
    quirks.cut_downloads = 2;
    quirks.bad_crc_downloads = 2;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &STREAMS).arg("--log-level=debug").succeed();
    for stream in STREAMS {
        assert_rows(&sandbox, stream, &[&run]);
    }
    assert_eq!(sandbox.count("storage"), 2 * 3 + 4);
    assert_eq!(posts(&sandbox).len(), 2);
    assert_hidden(&sandbox, &run);
    let requests = sandbox.requests();
    let mut storage = requests
        .iter()
        .filter(|request| request.endpoint == "storage");
    assert!(storage.all(|request| !request.had_authorization));
}

#[test]
fn a_download_that_is_always_damaged_fails_its_stream_and_keeps_its_job() {
    for broken in [true, false] {
        let mut options = account(3);
        options.quirks.reports.parts = 2;
        match broken {
            true => options.quirks.reports.bad_crc_downloads = 99,
            false => options.quirks.reports.cut_downloads = 99,
        }
        let sandbox = Sandbox::start(options);
        let end = super::day(&sandbox, 0);
        let tap = || {
            tap(&sandbox, &[STREAM])
                .set("max_retries", 2)
                .set("end_date", end.as_str())
        };
        let first = tap().arg("--log-level=debug").run();
        first.assert_failed(1, &[STREAM]);
        assert_hidden(&sandbox, &first);
        assert_eq!(
            (sandbox.count("storage"), first.of_type("RECORD").len()),
            (3, 0)
        );
        sandbox.with_options(|options| {
            options.quirks.reports.bad_crc_downloads = 0;
            options.quirks.reports.cut_downloads = 0;
        });
        let second = tap().state(&first.state()).succeed();
        assert_rows(&sandbox, STREAM, &[&second]);
        assert_eq!(posts(&sandbox).len(), 1, "the job is still there");
    }
}

#[test]
fn an_expired_link_gets_a_fresh_one_from_the_same_job() {
    let mut options = account(3);
    options.quirks.reports.parts = 3;
    let expired = FaultKind::StatusWith(403, Vec::new(), "Request has expired".into());
    options.faults = vec![Fault::new("storage", 2, expired).times(2)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[STREAM]).succeed();
    assert_rows(&sandbox, STREAM, &[&run]);
    assert_eq!(posts(&sandbox).len(), 1);
    assert_eq!(sandbox.count("storage"), 3 + 2);
    assert!(sandbox.count("reports/raw/{id}") >= 3);

    let mut options = account(3);
    options.quirks.reports.link_lifetime = Duration::ZERO;
    let sandbox = Sandbox::start(options);
    let first = tap(&sandbox, &[STREAM])
        .set("end_date", super::day(&sandbox, 0))
        .run();
    first.assert_failed(1, &[STREAM]);
    assert!(
        first.stderr.contains("its links expire"),
        "{}",
        first.stderr
    );
    assert_hidden(&sandbox, &first);
    let hour = Duration::from_secs(3600);
    sandbox.with_options(|options| options.quirks.reports.link_lifetime = hour);
    let second = tap(&sandbox, &[STREAM])
        .set("end_date", super::day(&sandbox, 0))
        .state(&first.state())
        .succeed();
    assert_rows(&sandbox, STREAM, &[&second]);
    assert_eq!(posts(&sandbox).len(), 1);
}

#[test]
fn a_job_that_is_gone_while_it_is_downloaded_is_asked_for_anew() {
    let mut options = account(3);
    let expired = FaultKind::StatusWith(403, Vec::new(), "Request has expired".into());
    options.faults = vec![
        Fault::new("storage", 1, expired),
        Fault::new("reports/raw/{id}", 2, FaultKind::Status(404)),
    ];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[STREAM]).succeed();
    assert_rows(&sandbox, STREAM, &[&run]);
    assert_eq!(
        asked_counts(&sandbox).into_values().collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn a_storage_in_trouble_is_tried_again() {
    for kind in [
        FaultKind::Status(503),
        FaultKind::Reset,
        FaultKind::CloseMidBody,
        FaultKind::Html,
        FaultKind::NotJson,
        FaultKind::Stall(Duration::from_secs(3600)),
        FaultKind::StallMidBody(Duration::from_secs(3600)),
    ] {
        let mut options = account(3);
        options.faults = vec![Fault::new("storage", 1, kind)];
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &[STREAM])
            .set("request_timeout_seconds", 2)
            .succeed();
        assert_rows(&sandbox, STREAM, &[&run]);
        assert_eq!((posts(&sandbox).len(), sandbox.count("storage")), (1, 2));
    }
}

#[test]
fn the_storage_says_no() {
    let location = |to: &str| vec![("Location".to_owned(), to.to_owned())];
    let elsewhere = "http://elsewhere.example/x?X-Amz-Signature=1";
    for (kind, words) in [
        (FaultKind::Status(404), "the storage answered 404"),
        (
            FaultKind::StatusWith(302, location(elsewhere), String::new()),
            "answered 302",
        ),
    ] {
        let mut options = account(3);
        options.faults = vec![Fault::new("storage", 1, kind)];
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &STREAMS).run();
        run.assert_failed(1, &["1 of 2 streams failed"]);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_hidden(&sandbox, &run);
        let whole = STREAMS
            .iter()
            .filter(|stream| !run.records(stream).is_empty());
        let whole: Vec<&&str> = whole.collect();
        assert_eq!(whole.len(), 1);
        assert_rows(&sandbox, whole[0], &[&run]);
    }
}

#[test]
fn a_page_that_stays_in_place_of_a_file_fails_its_stream() {
    let mut options = account(3);
    options.faults = vec![Fault::new("storage", 1, FaultKind::Html).always()];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[STREAM]).run();
    run.assert_failed(1, &["all of the selected streams failed"]);
    let words = "no column of the file is known; its header is: <!DOCTYPE html>";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert_hidden(&sandbox, &run);
    assert_eq!(run.of_type("RECORD").len(), 0);
}

#[test]
fn a_link_that_is_none_to_follow_is_not_followed() {
    for (link, words) in [
        (
            r#"{"href": "http://elsewhere.example/x?X-Amz-Signature=1"}"#,
            "elsewhere.example is http, not https",
        ),
        (r#"{"href": "file:///etc/passwd"}"#, "not https"),
        (
            r#"{"href": "X-Amz-Signature"}"#,
            "the link is not an address",
        ),
        (
            r#""http://elsewhere.example/x?X-Amz-Signature=1""#,
            "elsewhere.example is http, not https",
        ),
        (r#"{"href": ["X-Amz-Signature"]}"#, "was not done after"),
    ] {
        let body = format!(
            r#"{{"id": "x", "status": "COMPLETED", "links": [{{"link": {link}, "status": "COMPLETED"}}]}}"#
        );
        let mut options = account(3);
        let kind = FaultKind::StatusWith(200, Vec::new(), body);
        options.faults = vec![Fault::new("reports/raw/{id}", 1, kind).times(99)];
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &[STREAM])
            .set("report_timeout_minutes", 0.001)
            .arg("--log-level=debug")
            .run();
        run.assert_failed(1, &[STREAM]);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_hidden(&sandbox, &run);
        assert_eq!(sandbox.count("storage"), 0);
    }
}

#[test]
fn nothing_is_left_of_a_download() {
    let files = tempfile::tempdir().unwrap();
    let left = || fs::read_dir(files.path()).unwrap().count();
    let mut options = account(3);
    let pause = FaultKind::StallMidBody(Duration::from_secs(3600));
    options.faults = vec![Fault::new("storage", 2, pause)];
    let sandbox = Sandbox::start(options);
    let tap = || tap(&sandbox, &STREAMS).env("TMPDIR", files.path().to_str().unwrap());
    tap().kill_when(|_| sandbox.count("storage") == 2);
    assert_eq!(left(), 0, "after a kill");
    sandbox.with_options(|options| options.faults.clear());
    tap().succeed();
    assert_eq!(left(), 0, "after a run");
    // It is used at all.
    let missing = files.path().join("missing");
    let run = tap().env("TMPDIR", missing.to_str().unwrap()).run();
    run.assert_failed(1, &["all of the selected streams failed"]);
    assert!(run.stderr.contains("temporary file"), "{}", run.stderr);
}
