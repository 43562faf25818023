//! What Meltano is told of the tap, and what it makes the tap do.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use freshchat_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::tap::{Tap, account, discovered, wait_for_line};

#[path = "../examples/meltano.rs"]
mod generator;

#[test]
fn the_plugin_definition_is_up_to_date() {
    for (path, content) in generator::files() {
        let found = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        assert!(
            found.unwrap() == content,
            "{path}: make it anew with `cargo run --example meltano`"
        );
    }
}

/// A catalog as Meltano writes it: everything is deselected, then what the
/// user selected is selected again, keys with it only if the user named them.
fn meltano_catalog(stream: &str, selected: &[&str]) -> Value {
    let mut catalog = discovered().clone();
    for entry in catalog["streams"].as_array_mut().unwrap() {
        let is_stream = entry["tap_stream_id"] == stream;
        for node in entry["metadata"].as_array_mut().unwrap() {
            let name = node["breadcrumb"][1].as_str();
            let is_selected = name.is_none_or(|name| selected.contains(&name));
            node["metadata"]["selected"] = json!(is_stream && is_selected);
        }
    }
    catalog
}

#[test]
fn a_deselected_key_stays_in() {
    let sandbox = Sandbox::start(account(3));
    let run = Tap::new(&sandbox)
        .catalog(&meltano_catalog("users", &["email"]))
        .env("TAP_FRESHCHAT__SELECT", r#"["users.email"]"#)
        .env("TAP_FRESHCHAT__METADATA", "{}")
        .succeed();
    let records = run.records("users");
    assert_eq!(records.len(), 3);
    for record in records {
        let names: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(names, ["id", "updated_time", "email"], "{record}");
    }
}

#[test]
fn an_injected_property_is_tolerated() {
    let sandbox = Sandbox::start(account(3));
    let mut catalog = meltano_catalog("users", &["email", "injected"]);
    for entry in catalog["streams"].as_array_mut().unwrap() {
        if entry["tap_stream_id"] == "users" {
            entry["schema"]["properties"]["injected"] = json!({"type": ["string", "null"]});
        }
    }
    let run = Tap::new(&sandbox).catalog(&catalog).succeed();
    assert!(run.of_type("SCHEMA")[0]["schema"]["properties"]["injected"].is_object());
    for record in run.records("users") {
        assert!(record["email"].is_string() || record["email"].is_null());
        assert!(record["_extra"].is_null());
    }
}

#[test]
fn discovery_takes_config_and_state_beside_it() {
    let sandbox = Sandbox::start(account(0));
    let run = Tap::new(&sandbox)
        .file("--state", "")
        .arg("--discover")
        .command()
        .env("TAP_FRESHCHAT__SELECT", r#"["*.*"]"#)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(0));
    assert_eq!(
        &serde_json::from_slice::<Value>(&run.stdout).unwrap(),
        discovered()
    );
    assert_eq!(sandbox.total(), 0);
}

/// Meltano's test of a config reads up to the first record, stops the tap, and
/// waits for it without reading on.
#[test]
fn a_tap_that_nobody_reads_ends_after_a_signal() {
    let sandbox = Sandbox::start(account(5000));
    let tap = Tap::new(&sandbox).streams(&["users"]);
    let mut child = tap.command().stdout(Stdio::piped()).spawn().unwrap();
    wait_for_line(&mut child, "RECORD");
    wait_until_blocked(&child);
    let stop = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stop.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// Less than this, and a pipe is not full, whatever its pages hold.
const ALMOST_FULL: u64 = 48 * 1024;

/// Waits until nothing more goes into the pipe that the child writes to.
pub fn wait_until_blocked(child: &Child) {
    let (mut filled, mut unchanged) = (0, 0);
    while filled < ALMOST_FULL || unchanged < 100 {
        let now = rustix::io::ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap();
        unchanged = if now == filled { unchanged + 1 } else { 0 };
        filled = now;
        thread::sleep(Duration::from_millis(5));
    }
}
