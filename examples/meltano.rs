//! Writes the plugin definition for Meltano, from what the program knows of
//! itself: as `meltano/tap-freshchat.yml`, for anyone's project, and as the
//! lock file of the sample project beside it. `cargo run --example meltano`

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// What stands above the definition.
const HEAD: &str = "\
# The plugin definition of tap-freshchat for Meltano, made by `cargo run --example meltano`.
#     meltano add --no-install --from-ref tap-freshchat.yml tap-freshchat
# Then set `_pip_url` and what to select, as the README has it.
# `pip_url` is the tap's source, as seen from the sample project beside this file.
";

#[allow(
    dead_code,
    reason = "the test that holds the files to this has no use for it"
)]
fn main() -> std::io::Result<()> {
    for (path, content) in files() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), content)?;
    }
    Ok(())
}

/// The files, by their path.
pub fn files() -> [(&'static str, String); 2] {
    let definition = definition();
    let mut yaml = HEAD.to_owned();
    write_yaml(&definition, "", &mut yaml);
    let mut lock = json!({"plugin_type": "extractors"});
    if let (Some(lock), Value::Object(definition)) = (lock.as_object_mut(), definition) {
        lock.extend(definition);
    }
    [
        ("meltano/tap-freshchat.yml", yaml),
        (
            "meltano/plugins/extractors/tap-freshchat--rust.lock",
            format!("{lock:#}\n"),
        ),
    ]
}

fn definition() -> Value {
    let about = tap_freshchat::about();
    let schema = &about["settings"];
    // `properties` is the older form of `catalog`.
    let is_current = |capability: &&Value| **capability != "properties";
    let capabilities = about["capabilities"].as_array().unwrap().iter();
    let required = schema["required"].as_array().unwrap();
    let group = |address: &str| [&[json!(address)], required.as_slice()].concat();
    let settings = schema["properties"].as_object().unwrap().iter();
    // Without it, Meltano selects everything.
    let streams = tap_freshchat::default_stream_names().into_iter();
    json!({
        "name": "tap-freshchat",
        "namespace": "tap_freshchat",
        "label": "Freshchat",
        "variant": "rust",
        "pip_url": "..",
        "executable": "tap-freshchat",
        "description": about["description"],
        "capabilities": capabilities.filter(is_current).collect::<Vec<_>>(),
        "select": streams.map(|stream| format!("{stream}.*")).collect::<Vec<_>>(),
        "settings_group_validation": [group("domain"), group("api_url")],
        "settings": settings.map(|(name, schema)| setting(name, schema)).collect::<Vec<_>>(),
    })
}

fn setting(name: &str, schema: &Value) -> Value {
    let mut setting = Map::new();
    let mut set = |name: &str, value: Value| setting.insert(name.to_owned(), value);
    set("name", name.into());
    set("label", schema["title"].clone());
    set("kind", kind(schema).into());
    if schema["secret"] == true {
        set("sensitive", true.into());
    }
    if let Some(default) = schema.get("default") {
        set("value", default.clone());
    }
    set("description", schema["description"].clone());
    if let Some(values) = schema["enum"].as_array() {
        let options = values
            .iter()
            .map(|value| json!({"label": value, "value": value}));
        set("options", options.collect());
    }
    setting.into()
}

/// Meltano's word for a setting's type.
fn kind(schema: &Value) -> &'static str {
    if schema["secret"] == true {
        return "password";
    }
    if schema.get("enum").is_some() {
        return "options";
    }
    if schema["format"] == "date-time" {
        return "date_iso8601";
    }
    // Of several types, Meltano is told the one that can be written in its YAML
    // in the most ways.
    let types = schema["type"].as_array().and_then(|types| types.last());
    match types.unwrap_or(&schema["type"]).as_str().unwrap() {
        "integer" => "integer",
        "number" => "decimal",
        "boolean" => "boolean",
        "array" => "array",
        "object" => "object",
        _ => "string",
    }
}

/// Objects and lists of objects as YAML blocks. Anything else is written as
/// JSON, which is YAML too.
fn write_yaml(value: &Value, indent: &str, yaml: &mut String) {
    let members = value.as_object().unwrap();
    for (at, (name, value)) in members.iter().enumerate() {
        // An item's first member stands behind the dash.
        if at > 0 {
            yaml.push_str(indent);
        }
        match value {
            Value::Array(items) if !items.is_empty() => {
                writeln!(yaml, "{name}:").unwrap();
                for item in items {
                    write!(yaml, "{indent}- ").unwrap();
                    match item {
                        Value::Object(_) => write_yaml(item, &format!("{indent}  "), yaml),
                        item => writeln!(yaml, "{item}").unwrap(),
                    }
                }
            }
            value => writeln!(yaml, "{name}: {value}").unwrap(),
        }
    }
}
