//! Every entity stream is complete against the account.

use freshchat_sandbox::{OddRecords, Options, OutboundTo, Sandbox};
use serde_json::{Value, json};

use crate::tap::{Tap, account, assert_complete, by_key};

const STREAMS: [&str; 13] = [
    "account",
    "users",
    "user_conversations",
    "conversations",
    "messages",
    "conversation_fields",
    "agents",
    "agent_statuses",
    "groups",
    "channels",
    "roles",
    "outbound_messages",
    "business_hours",
];

fn assert_all_complete(options: Options) {
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&STREAMS).succeed();
    for stream in STREAMS {
        assert_complete(&sandbox, stream, run.records(stream));
    }
    let streams: Vec<&Value> = run
        .of_type("SCHEMA")
        .iter()
        .map(|message| &message["stream"])
        .collect();
    assert_eq!(streams, STREAMS);
}

#[test]
fn the_account_as_documented() {
    assert_all_complete(account(120));
}

#[test]
fn the_account_with_every_envelope_and_field() {
    let mut options = account(120);
    options.quirks.lists_envelope = true;
    options.quirks.wrapped_account = true;
    options.quirks.connector_fields = true;
    options.quirks.live_fields = true;
    options.quirks.max_items_per_page = 100;
    options.seed = 2;
    assert_all_complete(options);
}

#[test]
fn an_empty_account() {
    let mut options = account(0);
    options.sizes.agents = 0;
    options.sizes.agent_statuses = 0;
    options.sizes.groups = 0;
    options.sizes.channels = 0;
    options.sizes.roles = 0;
    options.sizes.outbound_messages = 0;
    options.sizes.conversation_fields = 0;
    assert_all_complete(options);
}

#[test]
fn a_lone_recipient_becomes_a_list() {
    let mut options = account(1);
    options.quirks.outbound_to = OutboundTo::Mixed;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).streams(&["outbound_messages"]).succeed();
    let records = run.records("outbound_messages");
    assert_eq!(records.len(), sandbox.truth("outbound_messages").len());
    assert!(records.iter().all(|record| record["to"].is_array()));
}

#[test]
fn business_hours_reads_no_list_twice() {
    let sandbox = Sandbox::start(account(1));
    Tap::new(&sandbox)
        .streams(&["groups", "business_hours"])
        .succeed();
    let with_groups = sandbox.count("groups");
    sandbox.clear_requests();
    let run = Tap::new(&sandbox).streams(&["business_hours"]).succeed();
    assert_eq!(sandbox.count("groups"), with_groups);
    assert_eq!(sandbox.count("business-hours/within-bh"), 4);
    assert_complete(&sandbox, "business_hours", run.records("business_hours"));
    for record in run.records("business_hours") {
        assert!(record["checked_at"].is_string());
    }
}

#[test]
fn odd_records_lose_nothing() {
    let mut options = account(60);
    options.quirks.odd_records = OddRecords::all();
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox).succeed();
    let truth = sandbox.truth("users");
    let truth = by_key("users", &truth);
    let records = by_key("users", run.records("users"));
    assert_eq!(
        records.keys().collect::<Vec<_>>(),
        truth.keys().collect::<Vec<_>>()
    );
    let extras: Vec<&Value> = records
        .values()
        .map(|record| &record["_extra"])
        .filter(|extra| !extra.is_null())
        .collect();
    assert!(!extras.is_empty());
    // What doesn't fit stands in `_extra` as the API sent it; the property is null.
    for (key, record) in &records {
        if let Some(extra) = record["_extra"].as_object() {
            for (name, value) in extra {
                assert_eq!(value, &truth[key][name], "{key} {name}");
                assert!(record.get(name).is_none_or(Value::is_null), "{key} {name}");
            }
        }
        let time = record["updated_time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        assert!(
            record["phone"].is_null() || record["phone"].is_string(),
            "{record}"
        );
    }
    assert!(!run.stdout.contains("\\u0000"));
    for agent in run.records("agents") {
        assert!(
            agent["agent_capacity"].is_null() || agent["agent_capacity"].is_u64(),
            "{agent}"
        );
    }
    let warnings = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("WARNING"));
    let mut warnings: Vec<&str> = warnings.collect();
    let all = warnings.len();
    warnings.sort_unstable();
    warnings.dedup();
    assert_eq!(warnings.len(), all, "a name is warned of once");
}

#[test]
fn timestamps_have_one_form() {
    let sandbox = Sandbox::start(account(10));
    let run = Tap::new(&sandbox).streams(&["users"]).succeed();
    for message in run.of_type("RECORD") {
        for time in [
            &message["record"]["created_time"],
            &message["time_extracted"],
        ] {
            let time = time.as_str().unwrap();
            assert_eq!(time.len(), 24, "{time}");
            assert!(time.ends_with('Z'), "{time}");
        }
    }
    let schema = &run.of_type("SCHEMA")[0];
    assert_eq!(schema["key_properties"], json!(["id"]));
    assert_eq!(schema["bookmark_properties"], json!(["updated_time"]));
}
