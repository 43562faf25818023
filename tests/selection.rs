//! Catalogs: which streams and properties are synced.

use freshchat_sandbox::Sandbox;
use serde_json::{Map, Value, json};

use crate::tap::{
    Tap, account, discovered, selected_by_default, with_metadata, with_stream_metadata,
};

fn node(name: &str, value: Value) -> Map<String, Value> {
    [(name.to_owned(), value)].into_iter().collect()
}

fn properties(message: &Value) -> Vec<&str> {
    message["schema"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_stream_that_is_left_out_or_deselected_is_not_synced() {
    let sandbox = Sandbox::start(account(3));
    let mut catalog = with_stream_metadata(discovered(), "roles", node("selected", json!(false)));
    catalog["streams"]
        .as_array_mut()
        .unwrap()
        .retain(|stream| stream["stream"] != "agents");
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert_eq!(sandbox.count("roles") + sandbox.count("agents"), 0);
    assert_eq!(run.of_type("SCHEMA").len(), selected_by_default() - 2);
}

#[test]
fn deselected_properties_are_in_no_message() {
    let sandbox = Sandbox::start(account(40));
    let mut catalog = discovered().clone();
    for path in [
        &["properties", "email"][..],
        &["properties", "avatar", "properties", "url"],
    ] {
        catalog = with_metadata(&catalog, "users", path, node("selected", json!(false)));
    }
    // A key and the replication key stay in.
    for name in ["id", "updated_time"] {
        catalog = with_metadata(
            &catalog,
            "users",
            &["properties", name],
            node("selected", json!(false)),
        );
    }
    catalog["streams"]
        .as_array_mut()
        .unwrap()
        .retain(|stream| stream["stream"] == "users");
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert!(
        !run.stdout.contains("@example.com"),
        "no address of any user"
    );
    assert!(!run.stdout.contains("\"url\""));
    let schema = run.of_type("SCHEMA")[0];
    assert!(!properties(schema).contains(&"email"));
    assert!(properties(schema).contains(&"avatar"));
    for record in run.records("users") {
        let names: Vec<&str> = record
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            names,
            properties(schema),
            "each record has the schema's properties"
        );
        assert!(record["id"].is_string() && record["updated_time"].is_string());
        assert!(record["_extra"].is_null());
    }
}

#[test]
fn a_deselected_parent_takes_its_children_along() {
    let sandbox = Sandbox::start(account(10));
    let catalog = with_metadata(
        discovered(),
        "users",
        &["properties", "avatar"],
        node("selected", json!(false)),
    );
    let child = ["properties", "avatar", "properties", "url"];
    let catalog = with_metadata(&catalog, "users", &child, node("selected", json!(true)));
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert!(
        run.records("users")
            .iter()
            .all(|user| user.get("avatar").is_none())
    );
}

#[test]
fn a_catalog_may_hold_more_and_less_than_the_tap_knows() {
    let sandbox = Sandbox::start(account(5));
    let mut catalog = discovered().clone();
    catalog["streams"]
        .as_array_mut()
        .unwrap()
        .retain(|stream| stream["stream"] == "users");
    let properties = catalog["streams"][0]["schema"]["properties"]
        .as_object_mut()
        .unwrap();
    properties.insert("injected".into(), json!({"type": ["string", "null"]}));
    // Retyped by its user: the records follow.
    properties.insert("created_time".into(), json!({"type": ["string", "null"]}));
    // Left out: as if deselected, not as if unknown.
    properties.shift_remove("email");
    properties.shift_remove("id");
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert_eq!(run.records("users").len(), 5);
    for user in run.records("users") {
        assert!(user["injected"].is_null());
        assert!(user["id"].is_string());
        assert!(user.get("email").is_none() && user["_extra"].is_null());
    }
}

#[test]
fn the_catalogs_keys_win() {
    let sandbox = Sandbox::start(account(5));
    let mut catalog = discovered().clone();
    catalog["streams"]
        .as_array_mut()
        .unwrap()
        .retain(|stream| stream["stream"] == "users");
    catalog["streams"][0]["key_properties"] = json!(["reference_id", "id"]);
    let run = Tap::new(&sandbox).catalog(&catalog).run();
    assert_eq!(
        run.of_type("SCHEMA")[0]["key_properties"],
        json!(["reference_id", "id"])
    );
    catalog["streams"][0]["key_properties"] = json!([]);
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert_eq!(run.records("users").len(), 5);
}

#[test]
fn the_legacy_form_selects_too() {
    let sandbox = Sandbox::start(account(5));
    let properties = json!({"streams": [
        {"stream": "users", "tap_stream_id": "users", "schema": {
            "selected": true,
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "updated_time": {"type": ["string", "null"], "format": "date-time"},
                "first_name": {"type": ["string", "null"], "selected": false},
            },
        }},
        {"stream": "roles", "schema": {"selected": false, "type": "object", "properties": {}}},
    ]});
    let run = Tap::new(&sandbox)
        .file("--properties", &properties.to_string())
        .succeed();
    assert_eq!(run.records("users").len(), 5);
    assert_eq!(sandbox.count("roles"), 0);
    let record = run.records("users")[0].as_object().unwrap();
    assert_eq!(record.keys().collect::<Vec<_>>(), ["id", "updated_time"]);
}

#[test]
fn nothing_selected_is_said() {
    let sandbox = Sandbox::start(account(5));
    let run = Tap::new(&sandbox)
        .catalog(&json!({"streams": []}))
        .succeed();
    assert!(run.stderr.contains("no stream is selected"));
    assert_eq!(sandbox.total(), 0);
}

#[test]
fn a_null_in_a_catalog_is_as_if_it_were_not_there() {
    let sandbox = Sandbox::start(account(3));
    let catalog = json!({"streams": [
        {"tap_stream_id": "roles", "stream": null, "schema": null, "key_properties": null,
            "replication_method": null, "selected": true,
            "metadata": [{"breadcrumb": null, "metadata": null}]},
        {"tap_stream_id": null, "stream": "groups", "selected": true, "metadata": null},
    ]});
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    for stream in ["roles", "groups"] {
        crate::tap::assert_complete(&sandbox, stream, run.records(stream));
    }
    assert_eq!(run.of_type("SCHEMA").len(), 2);
}
