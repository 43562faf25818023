//! Cells, rows and columns that are odd.

use std::io::Write;

use freshchat_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{account, tap};
use crate::tap::{Run, Tap};

pub const STREAM: &str = "report_agent_activity";
pub const EVENT: &str = "Agent-Activity";

/// A run over an account whose one report is this file.
pub fn run(stream: &str, event: &str, bytes: &[u8]) -> Run {
    run_with(stream, event, bytes, |tap| tap)
}

pub fn run_with(stream: &str, event: &str, bytes: &[u8], change: impl FnOnce(Tap) -> Tap) -> Run {
    let (_file, sandbox) = sandbox_of(event, bytes);
    let tap = tap(&sandbox, &[stream]).set("end_date", super::day(&sandbox, 0));
    change(tap).run()
}

/// The same with a catalog.
pub fn run_of_catalog(catalog: &Value, event: &str, bytes: &[u8]) -> Run {
    let (_file, sandbox) = sandbox_of(event, bytes);
    Tap::new(&sandbox).catalog(catalog).run()
}

/// An account whose report of the event is this file.
fn sandbox_of(event: &str, bytes: &[u8]) -> (NamedTempFile, Sandbox) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut options: Options = account(1);
    options
        .report_files
        .insert(event.to_owned(), file.path().to_owned());
    (file, Sandbox::start(options))
}

/// The records without their ids, which are all different.
fn rows(run: &Run, stream: &str) -> Vec<Value> {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let mut rows: Vec<Value> = run.records(stream).into_iter().cloned().collect();
    let mut ids: Vec<Value> = rows
        .iter_mut()
        .filter_map(|row| row.as_object_mut().unwrap().shift_remove("_row_id"))
        .collect();
    let count = ids.len();
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count);
    rows
}

fn row(name: Value, id: Value, kind: Value, time: Value, extra: Value) -> Value {
    json!({"agent_name": name, "agent_id": id, "activity_type": kind, "created_at": time,
        "_extra": extra})
}

const TIME: &str = "2026-01-02T03:04:05.678Z";

#[test]
fn odd_cells_are_kept() {
    let time = TIME;
    let text = format!(
        "agent_name,agent_id,activity_type,created_at\n\
         \"a,\n\"\"b\"\"\r\n\",1,\"x\"\"\",{time}\n\
         \n\
         a\"b\"c, 2 ,\"\",{time}\n\
         \"tab\tand \\ \u{1}\",ünï,\"null\",{time}\n\
         {{\"a\":1}},[2],true,{time}\n"
    );
    let null = || Value::Null;
    let rows = rows(&run(STREAM, EVENT, text.as_bytes()), STREAM);
    let time = || json!(TIME);
    assert_eq!(
        rows,
        [
            row(
                json!("a,\n\"b\"\r\n"),
                json!("1"),
                json!("x\""),
                time(),
                null()
            ),
            row(json!("a\"b\"c"), json!(" 2 "), null(), time(), null()),
            row(
                json!("tab\tand \\ \u{1}"),
                json!("ünï"),
                json!("null"),
                time(),
                null()
            ),
            row(
                json!("{\"a\":1}"),
                json!("[2]"),
                json!("true"),
                time(),
                null()
            ),
        ]
    );
}

#[test]
fn longer_and_shorter_rows_and_columns_of_one_name_are_kept() {
    let text = "agent_id,Agent ID,x,x,,created_at,extra,row id\n\
                1,2,3,4,5,2026-01-02 03:04:05.678,6,7,8,9\n\
                1\n";
    let run = run(STREAM, EVENT, text.as_bytes());
    let null = || Value::Null;
    let extra = json!({"Agent ID": "2", "x": "3", "x_2": "4", "column_5": "5", "extra": "6",
        "row id": "7", "column_9": "8", "column_10": "9"});
    assert_eq!(
        rows(&run, STREAM),
        [
            row(null(), json!("1"), null(), json!(TIME), extra),
            row(null(), json!("1"), null(), null(), null()),
        ]
    );
    assert_eq!(run.stderr.matches("fewer cells").count(), 1);
    // As it stands in the line: no name twice.
    let line = run
        .stdout
        .lines()
        .find(|line| line.contains("RECORD"))
        .unwrap();
    assert_eq!(line.matches("\"x\":").count(), 1, "{line}");
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_nuls_removed() {
    let mut text = b"agent_name,agent_id,activity_type,created_at\n".to_vec();
    text.extend(b"a\xffb,\xc3,\xa9,2026-01-02T03:04:05.678Z\n");
    text.extend(b"a\0b,\0,o\0,2026-01-02T03:04:05.678Z\n");
    let run = run(STREAM, EVENT, &text);
    assert_eq!(
        rows(&run, STREAM),
        [
            row(
                json!("a\u{fffd}b"),
                json!("\u{fffd}"),
                json!("\u{fffd}"),
                json!(TIME),
                Value::Null
            ),
            row(
                json!("ab"),
                Value::Null,
                json!("o"),
                json!(TIME),
                Value::Null
            ),
        ]
    );
    assert_eq!(run.stderr.matches("NUL characters are removed").count(), 1);
    assert!(!run.stdout.contains("\\u0000"));
}

#[test]
fn values_that_do_not_fit_go_to_extra() {
    let stream = "report_csat_score";
    let text = "created_at,value,has_response,issue_resolved,csat_reopen,reopened\n\
                soon,4.0,yes,TRUE,0,1\n\
                0000-00-00T00:00:00.000Z,4.5,,False,2,\n\
                1767323045,12345678901234567890,true,1,false, true \n";
    let records = rows(&run(stream, "CSAT-Score", text.as_bytes()), stream);
    let expected = [
        (
            json!([null, 4, null, true, false, true]),
            json!({"created_at": "soon", "has_response": "yes"}),
        ),
        (
            json!([null, null, null, false, null, null]),
            json!({"created_at": "0000-00-00T00:00:00.000Z", "value": "4.5", "csat_reopen": "2"}),
        ),
        (
            json!(["2026-01-02T03:04:05.000Z", null, true, true, false, true]),
            json!({"value": "12345678901234567890"}),
        ),
    ];
    let names = [
        "created_at",
        "value",
        "has_response",
        "issue_resolved",
        "csat_reopen",
        "reopened",
    ];
    for (record, (values, extra)) in records.iter().zip(expected) {
        let found: Vec<&Value> = names.iter().map(|name| &record[name]).collect();
        assert_eq!((json!(found), &record["_extra"]), (values, &extra));
    }
}

#[test]
fn message_parts_that_are_no_json_go_to_extra() {
    let stream = "report_chat_transcript";
    let text = r#"message_id,created_time,message_parts
m1,2026-01-02T03:04:05.678Z,"[{""text"":{""content"":""a\u0000\n\""b""}}]"
m2,2026-01-02T03:04:05.678Z,[{text}]
m3,2026-01-02T03:04:05.678Z,"""word"""
m4,2026-01-02T03:04:05.678Z,"{""text"":{""content"":""one""}}"
m5,2026-01-02T03:04:05.678Z,
m6,2026-01-02T03:04:05.678Z,"[{""new"":[1]}] x"
,2026-01-02T03:04:05.678Z,[]
"#;
    let run = run(stream, "Chat-Transcript", text.as_bytes());
    let found: Vec<Value> = rows(&run, stream)
        .iter()
        .map(|row| json!([row["message_id"], row["message_parts"], row["_extra"]]))
        .collect();
    assert_eq!(
        found,
        [
            json!(["m1", [{"text": {"content": "a\n\"b"}}], null]),
            json!(["m2", null, {"message_parts": "[{text}]"}]),
            json!(["m3", null, {"message_parts": "\"word\""}]),
            json!(["m4", [{"text": {"content": "one"}}], null]),
            json!(["m5", null, null]),
            json!(["m6", null, {"message_parts": "[{\"new\":[1]}] x"}]),
            json!([null, [], null]),
        ]
    );
    assert!(
        run.stderr.contains("NUL characters are removed"),
        "{}",
        run.stderr
    );
}

#[test]
fn identical_rows_have_ids_of_their_own_in_any_order() {
    let line = |id: &str, minute: u32| format!("{id},2026-01-02T03:{minute:02}:05.678Z\n");
    let header = "agent_id,created_at\n";
    let ids = |rows: &[(&str, u32)]| -> Vec<String> {
        let lines: String = rows.iter().map(|(id, minute)| line(id, *minute)).collect();
        let run = run(STREAM, EVENT, (header.to_owned() + &lines).as_bytes());
        assert_eq!(rows_count(&run), rows.len());
        run.records(STREAM)
            .iter()
            .map(|record| record["_row_id"].to_string())
            .collect()
    };
    let ordered = ids(&[("a", 1), ("a", 1), ("b", 2), ("a", 3), ("a", 3), ("a", 3)]);
    let mixed = ids(&[("a", 3), ("a", 1), ("a", 3), ("b", 2), ("a", 1), ("a", 3)]);
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids
    };
    let (ordered, mixed) = (sorted(&ordered), sorted(&mixed));
    assert_eq!(
        ordered, mixed,
        "whatever the order, the same rows have the same ids"
    );
    let mut unique = ordered.clone();
    unique.dedup();
    assert_eq!(unique, ordered);
}

pub fn rows_count(run: &Run) -> usize {
    rows(run, STREAM).len()
}

#[test]
fn identical_rows_of_two_parts_have_ids_of_their_own() {
    let text = "agent_id,created_at\na,2026-01-02\nb,2026-01-03\nb,2026-01-03\n";
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut options: Options = account(1);
    options.quirks.reports.parts = 3;
    // Each part is the whole file.
    let path = file.path().to_owned();
    options.report_files.insert(EVENT.to_owned(), path);
    let sandbox = Sandbox::start(options);
    let tap = || tap(&sandbox, &[STREAM]).set("end_date", super::day(&sandbox, 0));
    let (first, second) = (tap().succeed(), tap().succeed());
    assert_eq!(rows_count(&first), 9);
    assert_eq!(first.records(STREAM), second.records(STREAM));
}

#[test]
fn columns_may_move_without_a_new_id() {
    let ids = |text: &str| -> Vec<String> {
        let run = run(STREAM, EVENT, text.as_bytes());
        run.records(STREAM)
            .iter()
            .map(|record| record["_row_id"].to_string())
            .collect()
    };
    let first = ids("agent_id,agent_name,created_at\n1,a,2026-01-02T03:04:05.678Z\n");
    let moved = ids("Created At,AGENT_ID,new,agent-name\n2026-01-02T03:04:05.678Z,1,,a\n");
    let other = ids("agent_id,agent_name,created_at\na,1,2026-01-02T03:04:05.678Z\n");
    assert_eq!(first, moved);
    assert_ne!(first, other);
}
