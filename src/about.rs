//! `--about`: the settings and capabilities, from `schemas/config.json`.

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::config;
use crate::stream_names;

const NAME: &str = env!("CARGO_PKG_NAME");
const DESCRIPTION: &str = env!("CARGO_PKG_DESCRIPTION");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The capabilities, named as Meltano names them.
const CAPABILITIES: [&str; 8] = [
    "catalog",
    "properties",
    "discover",
    "state",
    "about",
    "test",
    "activate-version",
    "structured-logging",
];

/// The output format of the description.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum AboutFormat {
    Text,
    Json,
    Markdown,
}

/// Describes this program. The text ends with a newline.
pub fn describe(format: AboutFormat) -> String {
    let schema = config::schema();
    match format {
        AboutFormat::Json => format!("{:#}\n", about()),
        AboutFormat::Text => text(&schema),
        AboutFormat::Markdown => markdown(&schema),
    }
}

/// What `--about --format json` prints.
pub fn about() -> Value {
    json!({
        "name": NAME,
        "description": DESCRIPTION,
        "version": VERSION,
        "capabilities": CAPABILITIES,
        "streams": stream_names(),
        "settings": config::schema(),
    })
}

fn settings(schema: &Value) -> &Map<String, Value> {
    schema["properties"]
        .as_object()
        .expect("the schema is part of the program")
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|required| required.iter().any(|item| item == name))
}

/// The default, as written in a config file, or `required` if the setting has
/// none and must be given.
fn default(schema: &Value, name: &str, setting: &Value) -> String {
    match setting.get("default") {
        Some(default) => default.to_string(),
        None if is_required(schema, name) => "required".into(),
        None => String::new(),
    }
}

fn text(schema: &Value) -> String {
    let mut out = format!(
        "{NAME} {VERSION}\n{DESCRIPTION}\n\nCapabilities: {}\nStreams: {}\n\nSettings:\n",
        CAPABILITIES.join(", "),
        stream_names().join(", ")
    );
    for (name, setting) in settings(schema) {
        let default = default(schema, name, setting);
        let default = if default.is_empty() {
            String::new()
        } else {
            format!(" [{default}]")
        };
        let (kind, description) = (kind(&setting["type"]), word(&setting["description"]));
        // Writing to a String can't fail.
        let _ = writeln!(out, "  {name} ({kind}){default}\n      {description}");
    }
    out
}

fn markdown(schema: &Value) -> String {
    let mut out =
        format!("# `{NAME}`\n\n{DESCRIPTION}\n\nVersion {VERSION}\n\n## Capabilities\n\n");
    for capability in CAPABILITIES {
        let _ = writeln!(out, "- `{capability}`");
    }
    out.push_str("\n## Streams\n\n");
    for name in stream_names() {
        let _ = writeln!(out, "- `{name}`");
    }
    out.push_str(
        "\n## Settings\n\n| Setting | Type | Default | Description |\n|---|---|---|---|\n",
    );
    for (name, setting) in settings(schema) {
        let default = default(schema, name, setting);
        let (kind, description) = (kind(&setting["type"]), word(&setting["description"]));
        let _ = writeln!(out, "| `{name}` | {kind} | {default} | {description} |");
    }
    out
}

/// The types that a setting accepts.
fn kind(types: &Value) -> String {
    match types.as_array() {
        Some(types) => types.iter().map(word).collect::<Vec<_>>().join(" or "),
        None => word(types).to_owned(),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
