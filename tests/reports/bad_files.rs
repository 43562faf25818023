//! Files without rows, and files that are none of a report.

use std::io::Write;

use freshchat_sandbox::Sandbox;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::files::{EVENT, STREAM, rows_count, run, run_with};
use super::{account, assert_rows, tap};

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_file_without_rows_is_empty() {
    let header = b"agent_id,created_at\n";
    let bom = "\u{feff}";
    for bytes in [
        &b""[..],
        header,
        b"\n\r\n",
        bom.as_bytes(),
        &zip(&[]),
        &zip(&[("a.csv", b"")]),
    ] {
        let run = run(STREAM, EVENT, bytes);
        assert_eq!(rows_count(&run), 0, "{bytes:?}");
    }
}

#[test]
fn a_file_that_is_none_of_the_report_fails_its_stream_before_any_row() {
    let good: &[u8] = b"agent_id,created_at\n1,2026-01-02T03:04:05.678Z\n";
    let json: &[u8] = b"{\"files\": 1}\n";
    let long = "y".repeat(5000);
    for (bytes, words) in [
        (
            b"<Error>, what\nx,y\n".to_vec(),
            "no column of the file is known; its header is: <Error>, what",
        ),
        (
            zip(&[("a.csv", good), ("manifest.json", json)]),
            "no column of manifest.json is known; its header is: {\"files\": 1}",
        ),
        (long.clone().into_bytes(), "its header is: yyyy"),
        (
            b"\x1f\x8b\x08gzip".to_vec(),
            "no column of the file is known",
        ),
    ] {
        let run = run(STREAM, EVENT, &bytes);
        run.assert_failed(1, &["all of the selected streams failed"]);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains(&long[..500]), "it is cut");
        assert_eq!(run.of_type("RECORD").len(), 0);
    }
    let keyless = b"conversation_id,created_time\nx,2026-01-02T03:04:05.678Z\n";
    let run = run("report_chat_transcript", "Chat-Transcript", keyless);
    run.assert_failed(1, &["report_chat_transcript"]);
    assert!(
        run.stderr
            .contains("the file lacks the key `message_id`; its header is: conversation_id")
    );
}

#[test]
fn a_file_that_unpacks_to_too_much_fails_its_stream() {
    let mut text = b"agent_id,created_at\n".to_vec();
    text.resize(100_000, b'x');
    let zipped = zip(&[("a.csv", &text), ("b.csv", &text)]);
    for (bytes, most, words) in [
        (
            &zipped,
            150_000,
            "the file unpacks to more than 150000 bytes",
        ),
        (&text, 99_999, "the file has more than 99999 bytes"),
    ] {
        let run = run_with(STREAM, EVENT, bytes, |tap| {
            tap.set("report_max_unpacked_bytes", most)
        });
        run.assert_failed(1, &[STREAM]);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_eq!(run.of_type("RECORD").len(), 0);
    }
    let fits = run_with(STREAM, EVENT, &zipped, |tap| {
        tap.set("report_max_unpacked_bytes", 200_000)
    });
    assert_eq!(fits.code, Some(0), "{}", fits.stderr);
}

#[test]
fn damage_is_no_wrong_header() {
    let good = zip(&[(
        "a.csv",
        b"agent_id,created_at\n1,2026-01-02T03:04:05.678Z\n",
    )]);
    // Stored content, whose first byte is wrong: only the checksum tells.
    let at = good.windows(2).position(|bytes| bytes == b"a.").unwrap();
    let mut cut = good.clone();
    cut.truncate(good.len() - 10);
    let mut wrong = good;
    wrong[at + 10] ^= 0x55;
    for bytes in [cut, wrong] {
        let run = run_with(STREAM, EVENT, &bytes, |tap| tap.set("max_retries", 1));
        run.assert_failed(1, &[STREAM]);
        assert!(run.stderr.contains("the file is damaged"), "{}", run.stderr);
    }
}

#[test]
fn a_manifest_beside_the_rows_fails_its_stream_alone() {
    let mut options = account(1);
    options.quirks.reports.junk_member = true;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &[STREAM]).run();
    run.assert_failed(1, &[STREAM]);
    assert!(
        run.stderr.contains("no column of manifest.json is known"),
        "{}",
        run.stderr
    );
    sandbox.with_options(|options| options.quirks.reports.junk_member = false);
    let again = tap(&sandbox, &[STREAM]).state(&run.state()).succeed();
    assert_rows(&sandbox, STREAM, &[&again]);
}
