//! Values that a reader of the records would refuse or lose, and values that
//! don't fit their type.

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::{Value, json};

use crate::reports::files;
use crate::tap::{Run, Tap, account, assert_complete, discovered};

/// A run of one stream, whose first page is this text.
fn run(stream: &str, page: &str) -> Run {
    run_with(stream, page, |tap| tap.streams(&[stream]))
}

fn run_with(stream: &str, page: &str, change: impl FnOnce(Tap) -> Tap) -> Run {
    let mut options = account(0);
    options.sizes.agents = 0;
    options.sizes.channels = 0;
    options.sizes.groups = 0;
    options.sizes.roles = 0;
    let body = format!("{{\"{stream}\":{page}}}");
    let answer = FaultKind::StatusWith(200, Vec::new(), body);
    options.faults = vec![Fault::new(stream, 1, answer)];
    let sandbox = Sandbox::start(options);
    change(Tap::new(&sandbox)).succeed()
}

/// The text of each record, from its first property to its last.
fn texts(run: &Run) -> Vec<&str> {
    let record = |line: &str| line.starts_with("{\"type\":\"RECORD\"");
    let lines = run.stdout.lines().filter(|line| record(line));
    lines
        .map(|line| {
            let start = line.find("\"record\":").unwrap() + "\"record\":".len();
            &line[start..line.find(",\"time_extracted\"").unwrap()]
        })
        .collect()
}

/// A catalog with one stream of these properties.
fn catalog(stream: &str, properties: &Value) -> Value {
    let mut catalog = discovered().clone();
    let streams = catalog["streams"].as_array_mut().unwrap();
    streams.retain(|it| it["tap_stream_id"] == stream);
    streams[0]["schema"]["properties"] = properties.clone();
    streams[0]["schema"]["properties"]["_extra"] = json!({"type": ["object", "null"]});
    streams[0]["metadata"][0]["metadata"]["selected"] = json!(true);
    catalog
}

/// A run over these records of `groups`, whose properties are a text, a time, a
/// number, an integer and a free object.
fn run_typed(page: &str) -> Run {
    let maybe = |kind: &str| json!({"type": [kind, "null"]});
    let properties = json!({
        "id": {"type": "string"},
        "name": maybe("string"),
        "time": {"type": ["string", "null"], "format": "date-time"},
        "real": maybe("number"),
        "whole": maybe("integer"),
        "free": maybe("object"),
        "any": {"type": ["object", "array", "null"]},
    });
    run_with("groups", page, |tap| {
        tap.catalog(&catalog("groups", &properties))
    })
}

/// What becomes of `"name":value` in a record of [`run_typed`]: the property
/// and `_extra`, as text.
fn assert_becomes(cases: &[(&str, &str, &str, &str)]) {
    let records = cases
        .iter()
        .enumerate()
        .map(|(at, (name, value, _, _))| format!("{{\"id\":\"{at}\",\"{name}\":{value}}}"));
    let page = format!("[{}]", records.collect::<Vec<_>>().join(","));
    let run = run_typed(&page);
    let found = texts(&run);
    let mut expected = Vec::new();
    for (at, (name, _, property, extra)) in cases.iter().enumerate() {
        let given = |own: &str| if own == *name { *property } else { "null" };
        expected.push(format!(
            "{{\"id\":\"{at}\",\"name\":{},\"time\":{},\"real\":{},\"whole\":{},\"free\":{},\
             \"any\":{},\"_extra\":{extra}}}",
            given("name"),
            given("time"),
            given("real"),
            given("whole"),
            given("free"),
            given("any"),
        ));
    }
    assert_eq!(found, expected);
}

#[test]
fn timestamps_that_no_calendar_knows_go_to_extra() {
    let kept = |text: &str| format!("{{\"time\":\"{text}\"}}");
    let wrong = [
        "2026-02-31T10:00:00.000Z",
        "2025-02-29T10:00:00.000Z",
        "1900-02-29T10:00:00.000Z",
        "2026-04-31T10:00:00.000Z",
        "2026-01-02T24:00:00.000Z",
        "2016-12-31T23:59:60.000Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31 23:59:60",
        "2026-13-01T00:00:00.000Z",
    ];
    let wrong = wrong.map(|text| (format!("\"{text}\""), kept(text)));
    let mut cases: Vec<(&str, &str, &str, &str)> = wrong
        .iter()
        .map(|(value, extra)| ("time", value.as_str(), "null", extra.as_str()))
        .collect();
    for right in [
        "\"2024-02-29T10:00:00.000Z\"",
        "\"2000-02-29T10:00:00.000Z\"",
        "\"2026-12-31T23:59:59.999Z\"",
    ] {
        cases.push(("time", right, right, "null"));
    }
    assert_becomes(&cases);
}

#[test]
fn numbers_beyond_a_float_go_to_extra_as_text() {
    let long = format!("0.1{}", "3".repeat(400));
    let whole = "7".repeat(400);
    let whole_kept = format!("{{\"real\":\"{whole}\"}}");
    assert_becomes(&[
        ("real", "1e999", "null", r#"{"real":"1e999"}"#),
        ("real", "-1E999", "null", r#"{"real":"-1E999"}"#),
        ("real", "\"1e999\"", "null", r#"{"real":"1e999"}"#),
        ("real", "1e-999", "null", r#"{"real":"1e-999"}"#),
        ("real", &whole, "null", &whole_kept),
        ("real", "0e-999", "0e-999", "null"),
        ("real", &long, &long, "null"),
        ("real", "-0", "-0", "null"),
        ("real", "1E5", "1E5", "null"),
        ("whole", "1e999", "null", r#"{"whole":"1e999"}"#),
        (
            "whole",
            "9223372036854775807",
            "9223372036854775807",
            "null",
        ),
        (
            "whole",
            "9223372036854775808",
            "null",
            r#"{"whole":"9223372036854775808"}"#,
        ),
        ("whole", "9007199254740993.0", "9007199254740993", "null"),
        ("whole", "-0", "0", "null"),
        ("whole", "1E5", "100000", "null"),
        ("whole", "5.5", "null", r#"{"whole":5.5}"#),
        ("name", "1e999", "\"1e999\"", "null"),
        ("time", "1e999", "null", r#"{"time":"1e999"}"#),
        // Where any value may stand, the text takes the number's place.
        (
            "free",
            r#"{"a":[1e999,-2.5],"b\"]":{"c":"1e999"},"n":12345678901234567890}"#,
            r#"{"a":["1e999",-2.5],"b\"]":{"c":"1e999"},"n":"12345678901234567890"}"#,
            "null",
        ),
        ("any", "[1e-999, 0]", "[\"1e-999\", 0]", "null"),
        ("new", r#"{"a":1e999}"#, "", r#"{"new":{"a":"1e999"}}"#),
        ("new", "1e999", "", r#"{"new":"1e999"}"#),
        ("_extra", r#"{"a":1e999}"#, "", r#"{"a":"1e999"}"#),
        // A value of none of several types doesn't fit either.
        ("any", "\"text\"", "null", r#"{"any":"text"}"#),
        ("any", "5", "null", r#"{"any":5}"#),
    ]);
}

#[test]
fn a_property_that_comes_twice_is_kept_twice() {
    let run = run_typed(
        r#"[{"id":"a","name":"x","name":"y","id":"b","new":1,"new":2,"new (2)":3,"free":{}}]"#,
    );
    assert_eq!(
        texts(&run),
        [
            r#"{"id":"a","name":"x","time":null,"real":null,"whole":null,"free":{},"any":null,"#
                .to_owned()
                + r#""_extra":{"name":"y","id":"b","new":1,"new (2)":2,"new (2) (2)":3}}"#
        ]
    );
}

#[test]
fn cells_of_reports_are_held_to_the_same_rules() {
    let text = "created_at,value,new\n\
                2026-02-31T10:00:00.000Z,1e999,1e999\n\
                2016-12-31T23:59:60Z,9223372036854775808,\n\
                2026-01-02 24:00:00,1E2,-0\n";
    let stream = "report_csat_score";
    let run = files::run(stream, "CSAT-Score", text.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let found: Vec<Value> = run
        .records(stream)
        .iter()
        .map(|row| json!([row["created_at"], row["value"], row["_extra"]]))
        .collect();
    let expected = [
        json!([null, null, {"new": "1e999", "created_at": "2026-02-31T10:00:00.000Z",
            "value": "1e999"}]),
        json!([null, null, {"created_at": "2016-12-31T23:59:60Z",
            "value": "9223372036854775808"}]),
        json!([null, 100, {"new": "-0", "created_at": "2026-01-02 24:00:00"}]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn columns_seen_live_have_their_properties() {
    let text = "created_at,actor_belongs_to_group,user_id\n2026-01-02T03:04:05.678Z,true,u1\n";
    let columns = ["actor_belongs_to_group", "user_id", "_extra"];
    for (stream, event, expected) in [
        (
            "report_message_sent",
            "Message-Sent",
            json!([true, null, {"user_id": "u1"}]),
        ),
        (
            "report_conversation_resolution_label",
            "Conversation-Resolution-Label",
            json!([true, "u1", null]),
        ),
    ] {
        let run = files::run(stream, event, text.as_bytes());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let row = run.records(stream)[0];
        assert_eq!(json!(columns.map(|name| &row[name])), expected, "{stream}");
    }
}

#[test]
fn message_fields_seen_live_have_their_properties() {
    let mut options = account(6);
    options.quirks.live_fields = true;
    options.quirks.message_counts_cycle = true;
    let sandbox = Sandbox::start(options);
    let streams = [
        "conversations",
        "messages",
        "channels",
        "conversation_fields",
    ];
    let run = Tap::new(&sandbox).streams(&streams).succeed();
    for stream in streams {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    let messages = run.records("messages");
    let has = |name: &str, value: Value| messages.iter().any(|message| message[name] == value);
    assert!(has("bots_input", json!(true)) && has("meta_data", json!({"isResolved": true})));
    let properties = |stream: &str| {
        let of_stream = |message: &&&Value| message["stream"] == stream;
        run.of_type("SCHEMA").iter().find(of_stream).unwrap()["schema"]["properties"].clone()
    };
    let kind = |kind: &str| json!([kind, "null"]);
    let schema = properties("messages");
    assert_eq!(schema["bots_input"]["type"], kind("boolean"));
    assert_eq!(schema["stepId"]["type"], kind("string"));
    assert_eq!(
        schema["meta_data"]["properties"]["isResolved"]["type"],
        kind("boolean")
    );
    let part = &schema["message_parts"]["items"]["properties"]["email"]["properties"];
    assert_eq!(part["content"]["type"], kind("string"));
    assert_eq!(part["subject"]["type"], kind("string"));
    let schema = properties("conversations");
    assert_eq!(schema["conversation_internal_id"]["type"], kind("integer"));
    let welcome = &properties("channels")["welcome_message"]["properties"];
    let part = &welcome["message_parts"]["items"]["properties"];
    for flag in ["isBotsInput", "botsPrivateNote", "restrictResponse"] {
        assert_eq!(welcome[flag]["type"], kind("boolean"), "{flag}");
        assert_eq!(part[flag]["type"], kind("boolean"), "{flag}");
    }
}

#[test]
fn a_nested_misfit_moves_alone() {
    let page = json!([
        {"id": "a", "icon": {"url": [1]}, "tags": ["x", {"y": 1}, 2], "welcome_message": {
            "message_type": "normal",
            "new": {"stays": 1},
            "message_parts": [
                {"text": {"content": "fits"}},
                "none",
                {"text": {"content": {"de": "tief"}}, "image": {"url": "https://x"}},
                {"file": {"file_size_in_bytes": "large", "name": "f"},
                    "collection": {"sub_parts": [{"label": "free"}, 5]}},
            ]}},
        {"id": "b", "welcome_message": {"message_parts": {"text": [0.5]}}},
    ]);
    let run = run("channels", &page.to_string());
    let records = run.records("channels");
    assert_eq!(records[0]["icon"], json!({"url": null}));
    assert_eq!(records[0]["tags"], json!(["x", null, "2"]));
    assert_eq!(
        records[0]["welcome_message"],
        json!({
        "message_type": "normal",
        "new": {"stays": 1},
        "message_parts": [
            {"text": {"content": "fits"}},
            null,
            {"text": {"content": null}, "image": {"url": "https://x"}},
            {"file": {"file_size_in_bytes": null, "name": "f"},
                "collection": {"sub_parts": [{"label": "free"}, null]}},
        ]})
    );
    let parts = "welcome_message.message_parts";
    assert_eq!(
        records[0]["_extra"],
        json!({
            "icon.url": [1],
            "tags[1]": {"y": 1},
            format!("{parts}[1]"): "none",
            format!("{parts}[2].text.content"): {"de": "tief"},
            format!("{parts}[3].file.file_size_in_bytes"): "large",
            format!("{parts}[3].collection.sub_parts[1]"): 5,
        })
    );
    assert_eq!(
        records[1]["welcome_message"],
        json!({"message_parts": [{"text": null}]})
    );
    assert_eq!(
        records[1]["_extra"],
        json!({format!("{parts}[0].text"): [0.5]})
    );
    // One warning for all items of a list.
    let warning = "WARNING stream `channels`: `welcome_message.message_parts[].text.content` is";
    assert_eq!(run.stderr.matches(warning).count(), 1, "{}", run.stderr);
}

#[test]
fn what_is_deselected_stays_out_of_extra() {
    let mut catalog = crate::tap::catalog_of(&["channels"]);
    let metadata = catalog["streams"][0]["metadata"].as_array_mut().unwrap();
    let hidden = json!(["properties", "icon", "properties", "url"]);
    let mut entries = metadata.iter_mut();
    let entry = entries.find(|it| it["breadcrumb"] == hidden).unwrap();
    entry["metadata"]["selected"] = json!(false);
    let page = json!([
        {"id": "a", "icon": {"url": "secret"}},
        {"id": "b", "icon": {"url": ["secret"]}},
        {"id": "c", "icon": [{"url": "secret"}]},
        {"id": "d", "icon": "secret"},
    ]);
    // Neither does the second of two.
    let page = page
        .to_string()
        .replace("\"id\":\"d\"", "\"id\":\"d\",\"icon\":{\"url\":\"secret\"}");
    let run = run_with("channels", &page, |tap| tap.catalog(&catalog));
    let records = run.records("channels");
    assert_eq!(records.len(), 4);
    assert!(!run.stdout.contains("secret"), "{}", run.stdout);
    for (record, icon) in records
        .iter()
        .zip([json!({}), json!({}), json!(null), json!({})])
    {
        assert_eq!((&record["icon"], &record["_extra"]), (&icon, &Value::Null));
    }
    let warning = "stream `channels`: `icon` doesn't have its type in the schema, or occurs \
                   twice, and parts of it are not selected; it is left out";
    assert_eq!(run.stderr.matches(warning).count(), 1, "{}", run.stderr);
}

/// How deep the brackets of a line of JSON nest.
fn depth(line: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in line.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth -= 1,
            _ => {}
        }
    }
    deepest
}

#[test]
fn what_nests_too_deep_goes_to_extra_as_text() {
    let nested = |levels: usize| format!("{}\"]\\\"\"{}", "[".repeat(levels), "]".repeat(levels));
    let deep = nested(10_000);
    let part = format!("{{\"text\":{deep},\"image\":{{\"url\":\"x\"}}}}");
    let records = [
        r#"{"id":"a","tags":["t"]}"#.to_owned(),
        format!("{{\"id\":\"b\",\"new\":{deep},\"name\":\"n\"}}"),
        format!("{{\"id\":\"c\",\"name\":{deep}}}"),
        format!("{{\"id\":\"d\",\"welcome_message\":{{\"message_parts\":[{part}],\"x\":{deep}}}}}"),
        format!("{{\"id\":\"e\",\"new\":{}}}", nested(124)),
        format!("{{\"id\":\"f\",\"new\":{}}}", nested(125)),
        format!(
            "{{\"id\":\"g\",\"welcome_message\":{{\"x\":{}}}}}",
            nested(123)
        ),
        format!(
            "{{\"id\":\"h\",\"welcome_message\":{{\"x\":{}}}}}",
            nested(124)
        ),
    ];
    let run = run("channels", &format!("[{}]", records.join(",")));
    let found = run.records("channels");
    let extra: Vec<&Value> = found.iter().map(|record| &record["_extra"]).collect();
    let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let expected = [
        json!(null),
        json!({"new": deep}),
        json!({"name": deep}),
        json!({"welcome_message.message_parts[0].text": deep, "welcome_message.x": deep}),
        json!({"new": parsed(nested(124))}),
        json!({"new": nested(125)}),
        json!(null),
        // It fits there, with less around it.
        json!({"welcome_message.x": parsed(nested(124))}),
    ];
    assert_eq!(extra, expected.iter().collect::<Vec<_>>());
    assert_eq!(found[1]["name"], "n");
    assert_eq!(
        found[3]["welcome_message"],
        json!({"message_parts": [{"text": null, "image": {"url": "x"}}], "x": null})
    );
    assert_eq!(found[6]["welcome_message"]["x"], parsed(nested(123)));
    let deepest = run.stdout.lines().map(depth).max();
    assert_eq!(deepest, Some(127));
}

#[test]
fn a_report_cell_that_nests_too_deep_goes_to_extra() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = format!(
        "message_id,created_time,message_parts,conversation_id\n\
         m1,2026-01-02T03:04:05.678Z,\"[{{\"\"text\"\":{deep}}},{{\"\"new\"\":1e999}}]\",c\n"
    );
    let stream = "report_chat_transcript";
    let run = files::run(stream, "Chat-Transcript", text.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let row = run.records(stream)[0];
    assert_eq!(
        row["message_parts"],
        json!([{"text": null}, {"new": "1e999"}])
    );
    assert_eq!(row["_extra"], json!({"message_parts[0].text": deep}));
}

#[test]
fn warnings_of_unknown_names_are_bounded() {
    const NAMES: usize = 12_000;
    let long = "n".repeat(1000);
    let records = (0..NAMES / 100).map(|record| {
        let names = (0..100).map(|name| format!("\"{long}{}\":1", record * 100 + name));
        format!(
            "{{\"id\":\"{record}\",{}}}",
            names.collect::<Vec<_>>().join(",")
        )
    });
    let page = format!("[{}]", records.collect::<Vec<_>>().join(","));
    // A name that comes again is no other one.
    let again = page.replacen("\"id\":\"1\"", &format!("\"id\":\"1\",\"{long}0\":2"), 1);
    let run = run("roles", &again);
    let warnings: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("WARNING stream `roles`"))
        .collect();
    assert_eq!(warnings.len(), 21);
    let shown = format!(
        "WARNING stream `roles`: `{}…` is not in the schema",
        &long[..800]
    );
    for warning in &warnings[..20] {
        assert!(warning.starts_with(&shown), "{warning}");
    }
    assert_eq!(
        warnings[20],
        "WARNING stream `roles`: names that are not in the schema, or have another type there: \
         at least 9980 more; they go to `_extra`"
    );
    let roles = run.records("roles");
    let kept = roles
        .iter()
        .map(|role| role["_extra"].as_object().unwrap().len());
    assert_eq!(kept.sum::<usize>(), NAMES + 1);
}

#[test]
fn the_count_of_further_names_is_exact_while_it_is_small() {
    let names: Vec<String> = (0..25).map(|name| format!("\"n{name}\":1")).collect();
    let page = format!(
        "[{{\"id\":\"a\",{0}}},{{\"id\":\"b\",{0}}}]",
        names.join(",")
    );
    let run = run("roles", &page);
    let last = "or have another type there: 5 more; ";
    assert_eq!(run.stderr.matches(last).count(), 1, "{}", run.stderr);
    let end = run.stderr.find("INFO stream `roles`: complete").unwrap();
    let table = run.stderr.rfind("complete").unwrap();
    let count = run.stderr.find(last).unwrap();
    assert!(end < table && count < table);
}
