//! The catalog: what the tap can read, and what the user selected.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::schema::Fields;

/// The whole catalog file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Catalog {
    pub streams: Vec<CatalogEntry>,
}

/// A stream of the catalog. Members that this tap doesn't use are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CatalogEntry {
    #[serde(default, deserialize_with = "or_default")]
    pub tap_stream_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub stream: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_properties: Option<Vec<String>>,
    #[serde(default, deserialize_with = "or_default")]
    pub schema: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Vec<Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_method: Option<String>,
    /// The legacy location of the stream's selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<bool>,
}

/// The metadata of one node of a stream's schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(default, deserialize_with = "or_default")]
    pub breadcrumb: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
}

/// Some tools write null for a missing value. It counts as missing.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl CatalogEntry {
    /// The entry that discovery prints for a stream.
    ///
    /// `replication_key` is the bookmark property of an incremental stream.
    pub fn discovered(
        name: &str,
        schema: Map<String, Value>,
        keys: &[&str],
        replication_key: Option<&str>,
        selected_by_default: bool,
    ) -> Self {
        let mut root = Map::new();
        root.insert("inclusion".into(), "available".into());
        root.insert("selected-by-default".into(), selected_by_default.into());
        root.insert("table-key-properties".into(), json!(keys));
        if let Some(key) = replication_key {
            root.insert("valid-replication-keys".into(), json!([key]));
        }
        let method = if replication_key.is_some() {
            "INCREMENTAL"
        } else {
            "FULL_TABLE"
        };
        root.insert("forced-replication-method".into(), method.into());
        let mut metadata = vec![Metadata {
            breadcrumb: Vec::new(),
            metadata: root,
        }];
        let automatic = |name: &str| keys.contains(&name) || replication_key == Some(name);
        describe(&schema, &[], &automatic, &mut metadata);
        Self {
            tap_stream_id: name.to_owned(),
            stream: name.to_owned(),
            key_properties: Some(keys.iter().map(ToString::to_string).collect()),
            schema,
            metadata,
            replication_method: None,
            selected: None,
        }
    }

    /// The name of the stream. Catalogs of older tools have only `stream`.
    pub fn name(&self) -> &str {
        if self.tap_stream_id.is_empty() {
            &self.stream
        } else {
            &self.tap_stream_id
        }
    }

    /// The selection of the stream and its properties.
    pub fn selection(&self) -> Selection {
        Selection::new(self)
    }
}

/// Adds the metadata of each property below a node. Array items have none,
/// because they are selected together with their array.
fn describe(
    schema: &Map<String, Value>,
    path: &[String],
    automatic: &dyn Fn(&str) -> bool,
    metadata: &mut Vec<Metadata>,
) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, property) in properties {
        let breadcrumb = [path, &["properties".to_owned(), name.clone()]].concat();
        let inclusion = if path.is_empty() && automatic(name) {
            "automatic"
        } else {
            "available"
        };
        let mut node = Map::new();
        node.insert("inclusion".into(), inclusion.into());
        metadata.push(Metadata {
            breadcrumb: breadcrumb.clone(),
            metadata: node,
        });
        if let Some(property) = property.as_object() {
            describe(property, &breadcrumb, automatic, metadata);
        }
    }
}

/// Which nodes of a stream's schema are selected.
pub struct Selection {
    nodes: HashMap<Vec<String>, Map<String, Value>>,
    /// The `selected` members in the schema itself, used by the legacy
    /// `--properties` form.
    legacy: HashMap<Vec<String>, bool>,
    /// The legacy location of the replication method.
    replication_method: Option<String>,
    /// Properties that are always selected: the keys and the replication key.
    automatic: Vec<String>,
}

impl Selection {
    fn new(entry: &CatalogEntry) -> Self {
        let nodes = entry
            .metadata
            .iter()
            .map(|node| (node.breadcrumb.clone(), node.metadata.clone()))
            .collect();
        let mut legacy = HashMap::new();
        collect_legacy(&entry.schema, &[], &mut legacy);
        if let Some(selected) = entry.selected {
            legacy.insert(Vec::new(), selected);
        }
        Self {
            nodes,
            legacy,
            replication_method: entry.replication_method.clone(),
            automatic: Vec::new(),
        }
    }

    /// Makes these top-level properties automatic, regardless of the metadata.
    pub fn with_automatic(mut self, properties: &[String]) -> Self {
        self.automatic = properties.to_vec();
        self
    }

    /// Whether the stream is selected.
    pub fn stream(&self) -> bool {
        self.node(&[], true)
    }

    /// Whether a property is selected. `path` is its breadcrumb. The caller
    /// checks the parents first, and never asks below a deselected one.
    pub fn property(&self, path: &[String]) -> bool {
        if let [_, name] = path
            && self.automatic.contains(name)
        {
            return true;
        }
        self.node(path, true)
    }

    /// In order of precedence: unsupported, automatic, selected,
    /// selected-by-default, and the selection of the parent.
    fn node(&self, path: &[String], parent: bool) -> bool {
        let empty = Map::new();
        let node = self.nodes.get(path).unwrap_or(&empty);
        let flag = |name: &str| node.get(name).and_then(Value::as_bool);
        match node.get("inclusion").and_then(Value::as_str) {
            Some("unsupported") => return false,
            Some("automatic") => return true,
            _ => {}
        }
        flag("selected")
            .or_else(|| self.legacy.get(path).copied())
            .or_else(|| flag("selected-by-default"))
            .unwrap_or(parent)
    }

    /// The replication method in the metadata.
    pub fn replication_method(&self) -> Option<&str> {
        let node = self.nodes.get([].as_slice());
        let method = node.and_then(|node| node.get("replication-method")?.as_str());
        method.or(self.replication_method.as_deref())
    }
}

fn collect_legacy(
    schema: &Map<String, Value>,
    path: &[String],
    found: &mut HashMap<Vec<String>, bool>,
) {
    if let Some(selected) = schema.get("selected").and_then(Value::as_bool) {
        found.insert(path.to_vec(), selected);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, property) in properties {
        if let Some(property) = property.as_object() {
            let path = [path, &["properties".to_owned(), name.clone()]].concat();
            collect_legacy(property, &path, found);
        }
    }
}

/// The schema without its deselected properties, for the SCHEMA message.
pub fn selected_schema(schema: &Map<String, Value>, fields: &Fields) -> Value {
    let mut schema = schema.clone();
    schema.remove("selected");
    prune(&mut schema, fields);
    Value::Object(schema)
}

fn prune(schema: &mut Map<String, Value>, fields: &Fields) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for field in fields.list() {
        if !field.selected {
            properties.shift_remove(&field.name);
        } else if let (super::Kind::Object(nested), Some(Value::Object(property))) =
            (&field.kind, properties.get_mut(&field.name))
        {
            property.remove("selected");
            prune(property, nested);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(metadata: Value) -> CatalogEntry {
        serde_json::from_value(json!({
            "tap_stream_id": "s",
            "schema": {"properties": {"a": {"type": "string"}}},
            "metadata": metadata,
        }))
        .unwrap()
    }

    fn path(name: &str) -> Vec<String> {
        vec!["properties".into(), name.into()]
    }

    #[test]
    fn selection_follows_its_order() {
        let cases = [
            (json!({}), true),
            (json!({"selected": false}), false),
            (json!({"selected-by-default": false}), false),
            (
                json!({"selected-by-default": false, "selected": true}),
                true,
            ),
            (json!({"inclusion": "automatic", "selected": false}), true),
            (json!({"inclusion": "unsupported", "selected": true}), false),
        ];
        for (node, expected) in cases {
            let entry = entry(json!([{"breadcrumb": ["properties", "a"], "metadata": node}]));
            assert_eq!(entry.selection().property(&path("a")), expected, "{node}");
        }
    }

    #[test]
    fn a_key_is_always_in() {
        let entry = entry(json!([
            {"breadcrumb": ["properties", "a"], "metadata": {"selected": false}}
        ]));
        let selection = entry.selection().with_automatic(&["a".into()]);
        assert!(selection.property(&path("a")));
    }

    #[test]
    fn reads_the_legacy_form() {
        let entry: CatalogEntry = serde_json::from_value(json!({
            "stream": "s",
            "schema": {"selected": true, "properties": {"a": {"type": "string", "selected": false}}},
        }))
        .unwrap();
        assert_eq!(entry.name(), "s");
        assert!(entry.selection().stream());
        assert!(!entry.selection().property(&path("a")));
    }
}
