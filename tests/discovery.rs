//! `--discover`, `--about`, `--version`, `--help`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::tap::{bare, discovered};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_sample_is_what_discovery_prints() {
    let sample = fs::read_to_string(root().join("catalog.sample.json")).unwrap();
    let run = bare(&["--discover"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.stderr, "");
    assert_eq!(
        run.stdout, sample,
        "tap-freshchat --discover > catalog.sample.json"
    );
}

#[test]
fn every_schema_has_its_stream() {
    let files = fs::read_dir(root().join("schemas")).unwrap();
    let schemas: BTreeSet<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|name| name != "config")
        .collect();
    let streams = discovered()["streams"].as_array().unwrap();
    let streams: BTreeSet<String> = streams
        .iter()
        .map(|stream| stream["stream"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(streams, schemas);
    assert_eq!(streams.len(), 32);
}

/// Visits each property of a schema, with its path.
fn visit(schema: &Value, path: &str, check: &mut dyn FnMut(&str, &Value)) {
    let none = serde_json::Map::new();
    for (name, property) in schema["properties"].as_object().unwrap_or(&none) {
        let path = format!("{path}.{name}");
        check(&path, property);
        visit(property, &path, check);
        visit(&property["items"], &path, check);
    }
}

#[test]
fn every_property_is_typed_and_described() {
    for entry in discovered()["streams"].as_array().unwrap() {
        let stream = entry["stream"].as_str().unwrap();
        let keys = &entry["key_properties"];
        let mut lower = BTreeSet::new();
        visit(&entry["schema"], stream, &mut |path, property| {
            assert!(property["description"].is_string(), "{path}");
            let types = match &property["type"] {
                Value::Array(types) => types.clone(),
                one => vec![one.clone()],
            };
            let is_key = keys
                .as_array()
                .unwrap()
                .iter()
                .any(|key| path == format!("{stream}.{}", key.as_str().unwrap()));
            assert_eq!(types.contains(&json!("null")), !is_key, "{path}");
            let known = [
                "string", "integer", "number", "boolean", "object", "array", "null",
            ];
            assert!(
                types
                    .iter()
                    .all(|name| known.contains(&name.as_str().unwrap())),
                "{path}"
            );
            for keyword in ["enum", "additionalProperties", "anyOf", "required", "$ref"] {
                assert!(property.get(keyword).is_none(), "{path} has {keyword}");
            }
            assert!(
                lower.insert(path.to_lowercase()),
                "{path} differs from another in case only"
            );
        });
        assert!(
            entry["schema"]["properties"]["_extra"].is_object(),
            "{stream}"
        );
    }
}

#[test]
fn every_property_has_its_metadata() {
    for entry in discovered()["streams"].as_array().unwrap() {
        let nodes = entry["metadata"].as_array().unwrap();
        let root = &nodes[0];
        assert_eq!(root["breadcrumb"], json!([]));
        assert_eq!(
            root["metadata"]["table-key-properties"],
            entry["key_properties"]
        );
        let properties = entry["schema"]["properties"].as_object().unwrap();
        for name in properties.keys() {
            let node = nodes
                .iter()
                .find(|node| node["breadcrumb"] == json!(["properties", name]));
            let inclusion = &node.unwrap()["metadata"]["inclusion"];
            let automatic = entry["key_properties"]
                .as_array()
                .unwrap()
                .contains(&json!(name))
                || root["metadata"]["valid-replication-keys"] == json!([name]);
            assert_eq!(
                inclusion,
                if automatic { "automatic" } else { "available" },
                "{name}"
            );
        }
    }
    let streams = discovered()["streams"].as_array().unwrap();
    let users = streams
        .iter()
        .find(|entry| entry["stream"] == "users")
        .unwrap();
    assert_eq!(
        users["metadata"][0]["metadata"],
        json!({
            "inclusion": "available",
            "selected-by-default": true,
            "table-key-properties": ["id"],
            "valid-replication-keys": ["updated_time"],
            "forced-replication-method": "INCREMENTAL",
        })
    );
    let nested = json!(["properties", "avatar", "properties", "url"]);
    let nodes = users["metadata"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["breadcrumb"] == nested));
}

#[test]
fn discovery_needs_no_config_that_is_valid() {
    let run = bare(&[
        "--discover",
        "--config",
        "no-such-file",
        "--state",
        "no-such-file",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, bare(&["--discover"]).stdout);
}

#[test]
fn about_prints_the_settings_in_three_forms() {
    let schema = fs::read_to_string(root().join("schemas/config.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let json = bare(&["--about", "--format", "json", "--config", "no-such-file"]);
    let about: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(about["name"], "tap-freshchat");
    assert_eq!(about["settings"], schema);
    assert_eq!(about["streams"].as_array().unwrap().len(), 32);
    for arguments in [vec!["--about"], vec!["--about", "--format", "markdown"]] {
        let run = bare(&arguments);
        assert_eq!(run.code, Some(0));
        for setting in schema["properties"].as_object().unwrap().keys() {
            assert!(run.stdout.contains(setting.as_str()), "{setting}");
        }
    }
}

#[test]
fn version_and_help_go_to_stdout() {
    let run = bare(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (run.stdout.as_str(), run.code),
        (format!("tap-freshchat {version}\n").as_str(), Some(0))
    );
    let run = bare(&["--help"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("--catalog"));
}
