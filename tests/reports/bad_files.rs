//! Files without rows, and files that are none of a report.

use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::files::{EVENT, STREAM, rows_count, run, run_of_catalog, run_with};
use crate::tap::catalog_of;

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
            zip(&[("a.csv", good), ("b.csv", json)]),
            "no column of b.csv is known; its header is: {\"files\": 1}",
        ),
        (
            zip(&[("manifest.json", json)]),
            "no column of manifest.json is known; its header is: {\"files\": 1}",
        ),
        (
            zip(&[("__MACOSX/._a.csv", json)]),
            "the zip has only files added by macOS, and no report",
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
}

#[test]
fn a_key_of_the_catalog_is_a_column() {
    let mut catalog = catalog_of(&[STREAM]);
    catalog["streams"][0]["key_properties"] = serde_json::json!(["agent_id"]);
    let keyless = b"agent_name,created_at\nx,2026-01-02T03:04:05.678Z\n";
    let run = run_of_catalog(&catalog, EVENT, keyless);
    run.assert_failed(1, &[STREAM]);
    let words = "the file lacks the key `agent_id`; its header is: agent_name";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[test]
fn a_file_that_unpacks_to_too_much_fails_its_stream() {
    let mut text = b"agent_id,created_at\n".to_vec();
    text.resize(99_999, b'x');
    text.push(b'\n');
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

/// No length and no checksum tells that a plain file was cut.
#[test]
fn a_file_that_ends_in_the_middle_of_a_row_is_damaged() {
    let row = "1,2026-01-02T03:04:05.678Z,on,5";
    let header = "agent_id,created_at,agent_status,agent_status_in_seconds";
    for (end, code) in [("\n", 0), ("", 0), ("\n2,2026-01-02T03:0", 1), ("\n2", 1)] {
        let file = format!("{header}\n{row}{end}");
        let run = run_with(STREAM, EVENT, file.as_bytes(), |tap| {
            tap.set("max_retries", 1)
        });
        assert_eq!(run.code, Some(code), "{end:?}: {}", run.stderr);
        assert_eq!(run.of_type("RECORD").len(), 1 - code as usize, "{end:?}");
        let words = "the file ends in the middle of a row";
        assert_eq!(run.stderr.contains(words), code == 1, "{}", run.stderr);
    }
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
