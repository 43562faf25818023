//! The keys of rows, which stay the same whatever changes beside what the row
//! is about.

use freshchat_sandbox::{BooleanStyle, Container, RowOrder, Sandbox, TimeStyle};
use serde_json::{Value, json};

use super::files::run;
use super::{account, all, assert_rows, assert_rows_in_any_order, day, tap};
use crate::tap::{Run, catalog_of, with_metadata};

fn ids(run: &Run, stream: &str) -> Vec<Value> {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let records = run.records(stream).into_iter();
    records.map(|record| record["_row_id"].clone()).collect()
}

#[test]
fn rows_read_again_keep_their_keys_in_all_16_reports() {
    let mut options = account(3);
    options.quirks.reports.duplicate_rows = true;
    let sandbox = Sandbox::start(options);
    let tap = || tap(&sandbox, &all()).set("end_date", day(&sandbox, 0));
    let first = tap().succeed();
    let before: Vec<_> = all()
        .into_iter()
        .map(|stream| {
            assert_rows(&sandbox, stream, &[&first]);
            assert_rows_in_any_order(&sandbox, stream, &first)
        })
        .collect();
    // Names are changed, late columns filled in, durations grown; and the
    // files come in other forms.
    sandbox.with_options(|options| {
        let quirks = &mut options.quirks.reports;
        quirks.rewritten = true;
        quirks.row_order = RowOrder::Shuffled;
        quirks.parts = 3;
        quirks.times = TimeStyle::Bare;
        quirks.booleans = BooleanStyle::Digits;
        quirks.container = Container::Csv;
    });
    let second = tap().succeed();
    for (stream, before) in all().into_iter().zip(before) {
        let after = assert_rows_in_any_order(&sandbox, stream, &second);
        assert_eq!(after, before, "{stream}");
        let (old, new) = (first.records(stream), second.records(stream));
        assert!(new.iter().all(|record| !old.contains(record)), "{stream}");
    }
}

#[test]
fn rows_in_any_order_have_the_same_keys() {
    let streams = [
        "report_message_sent",
        "report_conversation_resolution_label",
    ];
    let mut options = account(9);
    options.quirks.reports.duplicate_rows = true;
    options.sizes.report_rows = 3000;
    let sandbox = Sandbox::start(options);
    let mut expected = Vec::new();
    for (order, parts, members) in [
        (RowOrder::Ascending, 1, 1),
        (RowOrder::Descending, 1, 3),
        (RowOrder::Descending, 4, 1),
        (RowOrder::Shuffled, 1, 1),
        (RowOrder::Shuffled, 3, 2),
    ] {
        sandbox.with_options(|options| {
            let quirks = &mut options.quirks.reports;
            (quirks.row_order, quirks.parts, quirks.zip_members) = (order, parts, members);
        });
        let run = tap(&sandbox, &streams)
            .set("end_date", day(&sandbox, 0))
            .succeed();
        let ids = streams.map(|stream| assert_rows_in_any_order(&sandbox, stream, &run));
        if expected.is_empty() {
            expected.push(ids);
        } else {
            assert_eq!(expected[0], ids, "{order:?} {parts} {members}");
        }
    }
}

#[test]
fn a_file_that_is_out_of_order_late_is_told_apart_like_any_other() {
    let line = |minute: usize| {
        format!(
            "1,2026-01-02T{:02}:{:02}:05.678Z\n",
            minute / 60,
            minute % 60
        )
    };
    let file = |minutes: &mut dyn Iterator<Item = usize>| {
        let rows: String = minutes.map(line).collect();
        format!("agent_id,created_at\n{rows}")
    };
    let stream = "report_agent_activity";
    let of = |text: String| {
        let mut ids = ids(&run(stream, "Agent-Activity", text.as_bytes()), stream);
        ids.sort_by_key(Value::to_string);
        ids
    };
    // 1,200 in order, then one of them again; and all in another order.
    let late = of(file(&mut (0..1200).chain([700])));
    let mixed = of(file(&mut [700].into_iter().chain((0..1200).rev())));
    assert_eq!(late.len(), 1201);
    assert_eq!(late, mixed);
    let mut unique = late.clone();
    unique.dedup();
    assert_eq!(unique, late);
}

#[test]
fn the_key_is_made_of_what_the_row_is_about() {
    let stream = "report_csat_score";
    let of = |text: &str| ids(&run(stream, "CSAT-Score", text.as_bytes()), stream);
    let rows = of(
        "interaction_id,interaction_raw_id,conversation_id,created_at,value,csat_id\n\
        i,r,c,2026-01-02T03:04:05.600Z,1,7\n\
        ,r,c,2026-01-02T03:04:05.600Z,1,7\n\
        ,,c,2026-01-02T03:04:05.600Z,1,7\n\
        i,r,c,2026-01-02T03:04:05.601Z,1,7\n",
    );
    // Other spellings, columns, values and places.
    let same = of(
        "Created At,csat id,Interaction-ID,conversation id,interaction raw id,new\n\
        2026-01-02 03:04:05.6,8, i ,d,s,x\n\
        1767323045600,,,d, r ,\n\
        2026-01-02T04:04:05.6+01:00,8,,c ,,\n\
        2026-01-02 03:04:05.601,8,i,d,s,x\n",
    );
    assert_eq!(rows, same);
    let mut unique = rows.clone();
    unique.sort_by_key(Value::to_string);
    unique.dedup();
    assert_eq!(unique.len(), 4);
}

#[test]
fn a_message_is_known_by_its_conversation_its_id_and_its_time() {
    let stream = "report_chat_transcript";
    let text = "message_id,conversation_id,created_time,channel_name\n\
        m,c,2026-01-02T03:04:05.678Z,a\n\
        m,d,2026-01-02T03:04:05.678Z,a\n\
        m,c,2026-01-02T03:04:05.679Z,a\n";
    let renamed = text.replace(",a\n", ",b\n");
    let of = |text: &str| ids(&run(stream, "Chat-Transcript", text.as_bytes()), stream);
    assert_eq!(of(text), of(&renamed));
    assert_eq!(
        of(text)
            .iter()
            .collect::<std::collections::HashSet<_>>()
            .len(),
        3
    );
}

#[test]
fn a_row_without_its_identity_is_kept_with_a_warning() {
    let stream = "report_classic";
    let text = "interaction_id,created_timestamp,channel\n\
        ,2026-01-02T03:04:05.678Z,a\n\
        i,,a\n\
        i,soon,a\n\
        i,soon,a\n";
    let run = run(stream, "Classic", text.as_bytes());
    let found = ids(&run, stream);
    assert_eq!(
        found.iter().collect::<std::collections::HashSet<_>>().len(),
        4
    );
    let words = "a row lacks one of `interaction_id`, `created_timestamp`";
    assert_eq!(run.stderr.matches(words).count(), 1, "{}", run.stderr);
}

#[test]
fn the_key_is_the_same_whatever_is_selected() {
    let sandbox = Sandbox::start(account(3));
    let stream = "report_csat_score";
    let end = day(&sandbox, 0);
    let whole = tap(&sandbox, &[stream])
        .set("end_date", end.as_str())
        .succeed();
    let mut catalog = catalog_of(&[stream]);
    for name in ["interaction_id", "conversation_id", "_extra"] {
        let metadata = json!({"selected": false}).as_object().unwrap().clone();
        catalog = with_metadata(&catalog, stream, &["properties", name], metadata);
    }
    // A catalog may also leave a property out.
    catalog["streams"][0]["schema"]["properties"]
        .as_object_mut()
        .unwrap()
        .shift_remove("interaction_raw_id");
    let part = crate::tap::Tap::new(&sandbox)
        .catalog(&catalog)
        .set("end_date", end)
        .succeed();
    assert_eq!(ids(&whole, stream), ids(&part, stream));
    assert!(part.records(stream)[0].get("interaction_id").is_none());
}

#[test]
fn figures_of_an_agent_carry_the_period_that_was_asked_for() {
    let sandbox = Sandbox::start(account(3));
    let stream = "report_agent_performance";
    let run = tap(&sandbox, &[stream]).succeed();
    let periods: std::collections::BTreeSet<_> = run
        .records(stream)
        .iter()
        .map(|record| {
            (
                record["_period_start"].to_string(),
                record["_period_end"].to_string(),
            )
        })
        .collect();
    let day = |back| json!(day(&sandbox, back)).to_string();
    let expected = [(3, 2), (2, 1), (1, 0)].map(|(from, to)| (day(from), day(to)));
    assert_eq!(periods.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(
        run.state()["bookmarks"][stream]["replication_key"],
        "_period_end"
    );
    assert!(!run.stderr.contains("add up such rows"), "{}", run.stderr);
    sandbox.with_options(|options| options.quirks.reports.parts = 2);
    let run = tap(&sandbox, &[stream]).succeed();
    assert!(run.stderr.contains("add up such rows"), "{}", run.stderr);
}

#[test]
fn schemas_say_what_the_key_is_made_of_and_in_which_unit_a_column_is() {
    let entries = crate::tap::discovered()["streams"].as_array().unwrap();
    let is_report = |entry: &&Value| entry["stream"].as_str().unwrap().starts_with("report_");
    for entry in entries.iter().filter(is_report) {
        assert_eq!(entry["key_properties"], json!(["_row_id"]));
        let properties = entry["schema"]["properties"].as_object().unwrap();
        let key = properties["_row_id"]["description"].as_str().unwrap();
        assert!(key.contains("a hash of the event, "), "{key}");
        for (name, property) in properties {
            let unit = match name.as_str() {
                name if name.ends_with("_secs") || name.ends_with("_seconds") => "in seconds",
                name if name.ends_with("_mins") => "in minutes",
                name if name.ends_with("_millis") => "in milliseconds",
                name if name.ends_with("_formatted") => "hh:mm:ss",
                "value" if entry["stream"] != "report_csat_score" => "in seconds",
                "value" | "csat_rating" | "average_csat_score" => "from 0 to 5",
                _ => continue,
            };
            let description = property["description"].as_str().unwrap();
            assert!(description.contains(unit), "{name}: {description}");
        }
    }
}
