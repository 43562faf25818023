//! Finished jobs and their files in the ways that the documents leave open.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use freshchat_sandbox::{Expired, Fault, FaultKind, LinksShape, ReportQuirks, Sandbox};
use serde_json::json;

use super::files::{EVENT, STREAM, run_with};
use super::{account, all, asked, assert_rows, day, posts, tap};
use crate::tap::Run;

const CSAT: &str = "report_csat_score";

/// A run over an account of this kind.
fn run_of(stream: &str, change: impl FnOnce(&mut ReportQuirks)) -> (Sandbox, Run) {
    let mut options = account(3);
    change(&mut options.quirks.reports);
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[stream])
        .set("end_date", day(&sandbox, 0))
        .run();
    (sandbox, run)
}

fn assert_whole(stream: &str, sandbox: &Sandbox, run: &Run) {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_rows(sandbox, stream, &[run]);
    assert_eq!(run.bookmark(stream), day(sandbox, 0));
}

#[test]
fn an_error_in_place_of_a_job_ends_the_stream() {
    for (body, words) in [
        (
            r#"{"success":false,"error_code":9,"error_message":"odd job"}"#,
            "odd job",
        ),
        ("[{}]", "the answer is not as documented"),
    ] {
        let mut options = account(3);
        let fault = Fault::new("reports/raw/{id}", 1, FaultKind::body(body));
        options.faults = vec![fault];
        let sandbox = Sandbox::start(options);
        let tap = || tap(&sandbox, &[CSAT]).set("end_date", day(&sandbox, 0));
        let first = tap().run();
        first.assert_failed(1, &[CSAT]);
        assert!(first.stderr.contains(words), "{}", first.stderr);
        // The job is still there.
        let second = tap().state(&first.state()).run();
        assert_whole(CSAT, &sandbox, &second);
        assert_eq!(posts(&sandbox).len(), 1);
    }
}

#[test]
fn an_old_job_is_soon_looked_at_again() {
    let mut options = account(3);
    (
        options.quirks.reports.hole_over,
        options.quirks.reports.holes,
    ) = (Some(36 * 3600 * 1000), 1);
    let odd = FaultKind::body("[]");
    options.faults = vec![Fault::new("reports/raw/{id}", 1, odd)];
    let sandbox = Sandbox::start(options);
    let tap = || {
        tap(&sandbox, &[CSAT])
            .set("end_date", day(&sandbox, 0))
            .set("report_timeout_minutes", 0.02)
    };
    let first = tap().run();
    first.assert_failed(1, &[CSAT]);
    let mut state = first.state();
    let asked_at = chrono::Utc::now() - chrono::TimeDelta::hours(23);
    state["bookmarks"][CSAT]["jobs"][0]["requested_at"] = json!(asked_at);
    let second = tap().state(&state).run();
    assert_whole(CSAT, &sandbox, &second);
    assert_eq!(posts(&sandbox).len(), 1);
}

#[test]
fn a_single_link_and_links_without_a_status_are_followed() {
    for shape in [
        LinksShape::Single,
        LinksShape::SingleExtracts,
        LinksShape::NoStatus,
    ] {
        let (sandbox, run) = run_of(CSAT, |quirks| {
            quirks.links = shape;
            quirks.generation_time = Duration::from_millis(30);
            quirks.links_while_pending = true;
        });
        assert_whole(CSAT, &sandbox, &run);
        assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
        assert_eq!(posts(&sandbox).len(), 1);
    }
}

#[test]
fn a_part_that_is_named_twice_is_read_once() {
    let (sandbox, run) = run_of(CSAT, |quirks| {
        (quirks.links, quirks.parts) = (LinksShape::Twice, 3);
    });
    assert_whole(CSAT, &sandbox, &run);
    assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
}

#[test]
fn parts_that_overlap_are_written_and_told_of() {
    let (sandbox, run) = run_of(CSAT, |quirks| {
        (quirks.links, quirks.parts) = (LinksShape::Overlapping, 3);
    });
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let whole = sandbox.truth(CSAT).len();
    assert_eq!(run.of_type("RECORD").len(), 2 * whole);
    let words = "rows that are in both will be in the target twice";
    assert_eq!(run.stderr.matches(words).count(), 1, "{}", run.stderr);
}

#[test]
fn a_finished_job_that_names_no_file_is_looked_at_again_and_then_fails() {
    let (sandbox, run) = run_of(CSAT, |quirks| quirks.bare_answers = 1);
    assert_whole(CSAT, &sandbox, &run);
    assert_eq!(
        (posts(&sandbox).len(), sandbox.count("reports/raw/{id}")),
        (1, 2)
    );

    let (sandbox, run) = run_of(CSAT, |quirks| quirks.bare_answers = 99);
    run.assert_failed(1, &[CSAT]);
    let words = "is done, but its answer has no list of files";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert_eq!(run.of_type("RECORD").len(), 0);
    assert!(run.bookmark(CSAT).is_null());
    assert_eq!(
        (posts(&sandbox).len(), sandbox.count("reports/raw/{id}")),
        (3, 6)
    );
}

#[test]
fn what_no_part_is_about_is_asked_for_on_its_own() {
    let long = Some(36 * 3600 * 1000);
    // Gone at the second look.
    let (sandbox, run) = run_of(CSAT, |quirks| (quirks.hole_over, quirks.holes) = (long, 1));
    assert_whole(CSAT, &sandbox, &run);
    assert_eq!(posts(&sandbox).len(), 1);
    assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
    // There to stay.
    let (sandbox, run) = run_of(CSAT, |quirks| (quirks.hole_over, quirks.holes) = (long, 99));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    super::assert_rows_in_any_order(&sandbox, CSAT, &run);
    assert_eq!(run.bookmark(CSAT), day(&sandbox, 0));
    let asked: Vec<_> = asked(&sandbox)
        .into_iter()
        .map(|(_, from, to)| (from, to))
        .collect();
    let day = |back| day(&sandbox, back);
    assert_eq!(asked, [(day(3), day(0)), (day(2), day(1))]);
    assert_eq!(
        run.stderr
            .matches("this time is requested separately")
            .count(),
        1
    );
}

#[test]
fn what_is_left_out_again_is_told_of() {
    // Two thirds of the hole come, but not its middle.
    let half_a_day = Some(12 * 3600 * 1000);
    let (sandbox, run) = run_of(CSAT, |quirks| {
        (quirks.hole_over, quirks.holes) = (half_a_day, 99);
    });
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(posts(&sandbox).len(), 2);
    let told = |words| run.stderr.matches(words).count();
    assert_eq!(
        (
            told("this time is requested separately"),
            told("it is not requested again, and its rows may be missing")
        ),
        (1, 1),
        "{}",
        run.stderr
    );
}

#[test]
fn a_time_that_is_empty_twice_is_taken_to_be_empty() {
    let mut options = account(3);
    options.sizes.report_rows = 0;
    options.sizes.users = 0;
    options.quirks.reports.hole_over = Some(36 * 3600 * 1000);
    options.quirks.reports.holes = 99;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[CSAT])
        .set("end_date", day(&sandbox, 0))
        .succeed();
    assert_eq!(run.bookmark(CSAT), day(&sandbox, 0));
    assert_eq!(posts(&sandbox).len(), 2);
    assert!(run.stderr.contains("it counts as empty"), "{}", run.stderr);
    // Figures of a day can't be asked for in pieces.
    let stream = "report_agent_performance";
    sandbox.with_options(|options| options.quirks.reports.hole_over = Some(1));
    sandbox.clear_requests();
    let run = tap(&sandbox, &[stream])
        .set("start_date", day(&sandbox, 1))
        .set("end_date", day(&sandbox, 0))
        .succeed();
    assert_eq!(posts(&sandbox).len(), 1);
    assert!(run.stderr.contains("may be missing"), "{}", run.stderr);
}

#[test]
fn killed_between_a_job_and_its_hole_nothing_is_lost() {
    let mut options = account(3);
    options.quirks.reports.hole_over = Some(36 * 3600 * 1000);
    options.quirks.reports.holes = 99;
    let sandbox = Sandbox::start(options);
    let tap = || tap(&sandbox, &[CSAT]).set("end_date", day(&sandbox, 0));
    // The second POST, for the hole, is never answered.
    sandbox.with_options(|options| {
        let stalled = FaultKind::Stall(Duration::from_secs(3600));
        options.faults = vec![Fault::new("reports/raw", 2, stalled).times(99)];
    });
    let written = |lines| lines > 20 && posts(&sandbox).len() >= 2;
    let first = tap().kill_when(written);
    sandbox.with_options(|options| options.faults.clear());
    let second = tap().state(&first.state()).succeed();
    let both = first.records(CSAT).into_iter().chain(second.records(CSAT));
    let both = crate::tap::by_key(CSAT, both);
    assert_eq!(both.len(), sandbox.truth(CSAT).len());
    assert_eq!(second.bookmark(CSAT), day(&sandbox, 0));
}

#[test]
fn an_answer_without_an_id_is_no_job() {
    let (sandbox, run) = run_of(CSAT, |quirks| quirks.empty_ids = 1);
    assert_whole(CSAT, &sandbox, &run);
    assert_eq!(posts(&sandbox).len(), 2);
}

#[test]
fn a_job_that_falls_back_to_pending_is_waited_for() {
    let mut options = account(3);
    options.quirks.reports.parts = 2;
    options.quirks.reports.relapses = 2;
    let expired = FaultKind::StatusWith(403, Vec::new(), String::new());
    options.faults = vec![Fault::new("storage", 2, expired)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[CSAT])
        .set("end_date", day(&sandbox, 0))
        .succeed();
    let rows = crate::tap::by_key(CSAT, run.records(CSAT));
    assert_eq!(rows.len(), sandbox.truth(CSAT).len());
    assert_eq!(posts(&sandbox).len(), 1);
}

#[test]
fn an_expired_link_is_known_by_403_and_by_the_words_of_a_400() {
    for expired in [Expired::Forbidden, Expired::BadToken, Expired::BadRequest] {
        let (sandbox, run) = run_of(CSAT, |quirks| {
            quirks.expired = expired;
            quirks.link_lifetime = Duration::ZERO;
        });
        run.assert_failed(1, &[CSAT]);
        assert!(run.stderr.contains("its links expire"), "{}", run.stderr);
        assert_eq!(sandbox.count("storage"), 4, "{expired:?}");
    }
    let mut options = account(3);
    let refused = FaultKind::StatusWith(400, Vec::new(), "<Code>InvalidArgument</Code>".into());
    options.faults = vec![Fault::new("storage", 1, refused)];
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[CSAT]).run();
    run.assert_failed(1, &[CSAT]);
    assert!(
        run.stderr.contains("the storage answered 400"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_quote_that_never_closes_is_damage_that_is_found_before_any_row() {
    let (sandbox, run) = run_of(CSAT, |quirks| {
        quirks.open_quotes = 2;
        quirks.parts = 2;
    });
    assert_whole(CSAT, &sandbox, &run);
    assert_eq!((posts(&sandbox).len(), sandbox.count("storage")), (1, 4));
    assert!(run.stderr.contains("the file is damaged"), "{}", run.stderr);

    for stream in all() {
        let mut options = account(3);
        options.quirks.reports.open_quotes = 99;
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &[stream]).set("max_retries", 1).run();
        run.assert_failed(1, &[stream]);
        assert_eq!(run.of_type("RECORD").len(), 0, "{stream}");
        assert!(run.bookmark(stream).is_null(), "{stream}");
        assert_eq!(sandbox.count("storage"), 2);
    }
}

#[test]
fn a_cell_of_an_absurd_length_is_damage() {
    let mut text = b"agent_id,created_at\n1,2026-01-02T03:04:05.678Z\n2,".to_vec();
    text.resize(text.len() + (17 << 20), b'x');
    text.extend(b"\n3,2026-01-02T03:04:05.678Z\n");
    let run = run_with(STREAM, EVENT, &text, |tap| tap.set("max_retries", 1));
    run.assert_failed(1, &[STREAM]);
    assert!(run.stderr.contains("more than 16 MiB"), "{}", run.stderr);
    assert_eq!(run.of_type("RECORD").len(), 0);
}

#[test]
fn what_is_no_report_in_a_zip_is_left_out() {
    let (sandbox, run) = run_of(CSAT, |quirks| {
        quirks.mac_notes = true;
        quirks.junk_member = true;
        quirks.zip_members = 2;
    });
    assert_whole(CSAT, &sandbox, &run);
    assert!(
        run.stderr
            .contains("manifest.json is not a CSV of this report"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("WARNING"), "{}", run.stderr);
}

#[test]
fn an_event_by_its_name_in_lower_case() {
    let streams = ["report_classic", "report_agent_performance", CSAT];
    let mut options = account(2);
    let missing = ["Classic", "Agent-performance"];
    options.quirks.reports.missing_events = missing.map(str::to_owned).to_vec();
    let sandbox = Sandbox::start(options);
    let tap = |end| tap(&sandbox, &streams).set("end_date", day(&sandbox, end));
    let first = tap(1).succeed();
    let second = tap(0).state(&first.state()).succeed();
    for stream in streams {
        assert_rows(&sandbox, stream, &[&first, &second]);
    }
    // The account's name for it is asked for once, and not by the second run.
    let names: Vec<String> = asked(&sandbox)
        .into_iter()
        .map(|(event, ..)| event)
        .collect();
    for name in missing {
        let count = |name: &str| names.iter().filter(|own| *own == name).count();
        assert_eq!(
            (count(name), count(&name.to_ascii_lowercase())),
            (1, 2),
            "{names:?}"
        );
    }
    // Known by neither name.
    sandbox.with_options(|options| {
        let known = &mut options.quirks.reports.missing_events;
        known.push("classic".to_owned());
    });
    sandbox.clear_requests();
    let third = tap(0).succeed();
    let words = "`report_classic`: this account doesn't have it";
    assert!(third.stderr.contains(words), "{}", third.stderr);
    let names: Vec<String> = asked(&sandbox)
        .into_iter()
        .map(|(event, ..)| event)
        .collect();
    let of_classic = names
        .iter()
        .filter(|name| name.eq_ignore_ascii_case("classic"));
    assert_eq!(of_classic.count(), 2);
}

#[test]
fn rows_outside_of_the_time_of_their_part_are_counted() {
    let text = b"agent_id,created_at\n1,2020-01-02\n2,2020-01-02\n";
    let run = run_with(STREAM, EVENT, text, |tap| tap);
    assert_eq!((run.code, run.records(STREAM).len()), (Some(0), 2));
    assert!(
        run.stderr.contains(" has 2 rows outside the time"),
        "{}",
        run.stderr
    );
}

#[test]
fn parts_that_were_written_are_not_held_open() {
    let mut options = account(3);
    options.quirks.reports.parts = 1100;
    options.quirks.reports.duplicate_rows = true;
    let sandbox = Sandbox::start(options);
    let tap = tap(&sandbox, &[CSAT]).set("end_date", day(&sandbox, 0));
    let command = tap.command();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    let stderr = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(0), "{stderr}");
    let run = Run::of_stdout(String::from_utf8(limited.stdout).unwrap());
    assert_rows(&sandbox, CSAT, &[&run]);
    assert_eq!(sandbox.count("storage"), 1100);
}

#[test]
fn a_compression_that_is_not_supported_is_no_damage() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("a.csv", options).unwrap();
    zip.write_all(b"agent_id,created_at\n").unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    let directory = bytes
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    // bzip2, which no report was seen to be packed with.
    (bytes[8], bytes[directory + 10]) = (12, 12);
    let run = run_with(STREAM, EVENT, &bytes, |tap| tap);
    run.assert_failed(1, &[STREAM]);
    assert!(!run.stderr.contains("damaged"), "{}", run.stderr);
    assert!(
        !run.stderr.contains("downloading it again"),
        "{}",
        run.stderr
    );
}
