//! Prints the plugin definition for Meltano, from what the program knows of
//! itself:
//!
//! ```text
//! cargo run --example meltano > meltano/tap-freshchat.yml
//! ```

use std::fmt::Write;

use serde_json::{Value, json};

/// What stands above the definition.
const HEAD: &str = "\
# The plugin definition of tap-freshchat for Meltano. Made by
#     cargo run --example meltano > meltano/tap-freshchat.yml
# `pip_url` is the tap's source, seen from the sample project beside this file.
name: tap-freshchat
namespace: tap_freshchat
label: Freshchat
variant: rust
pip_url: ..
executable: tap-freshchat
";

#[allow(
    dead_code,
    reason = "the test that holds the file to this has no use for it"
)]
fn main() {
    print!("{}", definition());
}

/// The definition, as YAML.
pub fn definition() -> String {
    let about = tap_freshchat::about();
    let mut yaml = format!("{HEAD}description: {}\n", about["description"]);
    yaml.push_str("capabilities:\n");
    for capability in about["capabilities"].as_array().unwrap() {
        // The older form of `catalog`.
        if capability != "properties" {
            line(
                &mut yaml,
                format_args!("- {}", capability.as_str().unwrap()),
            );
        }
    }
    yaml.push_str("# What is synced without a catalog; Meltano's own default is everything.\n");
    yaml.push_str("select:\n");
    for stream in tap_freshchat::default_stream_names() {
        line(&mut yaml, format_args!("- {stream}.*"));
    }
    yaml.push_str("settings_group_validation:\n");
    for address in ["domain", "api_url"] {
        let required = about["settings"]["required"].as_array().unwrap();
        for (at, name) in [json!(address)].iter().chain(required).enumerate() {
            let dashes = if at == 0 { "- -" } else { "  -" };
            line(
                &mut yaml,
                format_args!("{dashes} {}", name.as_str().unwrap()),
            );
        }
    }
    yaml.push_str("settings:\n");
    for (name, setting) in about["settings"]["properties"].as_object().unwrap() {
        describe(&mut yaml, name, setting);
    }
    yaml
}

/// One setting. A JSON text is a YAML text too.
fn describe(yaml: &mut String, name: &str, setting: &Value) {
    line(yaml, format_args!("- name: {name}"));
    line(yaml, format_args!("  label: {}", setting["title"]));
    line(yaml, format_args!("  kind: {}", kind(setting)));
    if setting["secret"] == true {
        line(yaml, format_args!("  sensitive: true"));
    }
    if let Some(default) = setting.get("default") {
        line(yaml, format_args!("  value: {default}"));
    }
    line(
        yaml,
        format_args!("  description: {}", setting["description"]),
    );
    for (at, option) in setting["enum"].as_array().into_iter().flatten().enumerate() {
        if at == 0 {
            line(yaml, format_args!("  options:"));
        }
        line(yaml, format_args!("  - label: {option}"));
        line(yaml, format_args!("    value: {option}"));
    }
}

/// Meltano's word for a setting's type.
fn kind(setting: &Value) -> &'static str {
    if setting["secret"] == true {
        return "password";
    }
    if setting.get("enum").is_some() {
        return "options";
    }
    if setting["format"] == "date-time" {
        return "date_iso8601";
    }
    match setting["type"].as_str().unwrap() {
        "integer" => "integer",
        "number" => "decimal",
        "boolean" => "boolean",
        "array" => "array",
        "object" => "object",
        _ => "string",
    }
}

fn line(yaml: &mut String, text: std::fmt::Arguments) {
    writeln!(yaml, "{text}").expect("a String takes any text");
}
