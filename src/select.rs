//! Selects the streams and properties to sync, from the table and the catalog.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::singer::{Catalog, CatalogEntry, Field, Fields, selected_schema};
use crate::streams::{self, STREAMS, Stream};

/// A selected stream.
pub struct Selected {
    pub stream: &'static Stream,
    /// The properties of the records.
    pub fields: Fields,
    /// The schema for the SCHEMA message, with the selected properties only.
    pub schema: Value,
    pub keys: Vec<String>,
    /// Whether the catalog asks for the whole stream, whatever the bookmark.
    pub full_table: bool,
}

/// The streams that are selected by default.
pub fn by_default() -> Vec<Selected> {
    let select = |stream: &'static Stream| {
        let entry = stream.discover();
        let keys = stream.key.iter().map(ToString::to_string).collect();
        entry
            .selection()
            .stream()
            .then(|| selected(stream, &entry, keys))
    };
    STREAMS.iter().filter_map(select).collect()
}

/// The streams that a catalog selects, in the table's order.
///
/// # Errors
/// [`Error::UnknownStream`], and [`Error::Shape`] if a key isn't in the schema.
pub fn from_catalog(catalog: &Catalog, path: &Path) -> Result<Vec<Selected>> {
    let unknown = |entry: &&CatalogEntry| streams::find(entry.name()).is_none();
    if let Some(entry) = catalog.streams.iter().find(unknown) {
        return Err(Error::UnknownStream {
            path: path.to_owned(),
            stream: entry.name().to_owned(),
        });
    }
    let mut all = Vec::new();
    for stream in &STREAMS {
        let entry = catalog
            .streams
            .iter()
            .find(|entry| entry.name() == stream.name);
        let Some(entry) = entry.filter(|entry| entry.selection().stream()) else {
            continue;
        };
        let keys = keys(stream, entry, path)?;
        all.push(selected(stream, entry, keys));
    }
    Ok(all)
}

/// The key properties: those of the catalog, if it names any.
fn keys(stream: &Stream, entry: &CatalogEntry, path: &Path) -> Result<Vec<String>> {
    let Some(keys) = &entry.key_properties else {
        return Ok(stream.key.iter().map(ToString::to_string).collect());
    };
    let schema = stream.schema();
    let known = |key: &String| {
        [Some(&schema), Some(&entry.schema)]
            .into_iter()
            .flatten()
            .any(|schema| {
                schema
                    .get("properties")
                    .is_some_and(|all| all.get(key).is_some())
            })
    };
    match keys.iter().find(|key| !known(key)) {
        None => Ok(keys.clone()),
        Some(key) => Err(Error::Shape {
            what: "catalog",
            path: path.to_owned(),
            field: format!("{}.key_properties", stream.name),
            problem: format!("`{key}` is not a property of the stream"),
        }),
    }
}

fn selected(stream: &'static Stream, entry: &CatalogEntry, keys: Vec<String>) -> Selected {
    let mut automatic = keys.clone();
    automatic.extend(stream.replication_key.map(str::to_owned));
    let selection = entry.selection().with_automatic(&automatic);
    let known = stream.schema();
    let schema = merge(&entry.schema, &known, &automatic);
    let schema_value = Value::Object(schema.clone());
    let mut fields = Fields::compile(&schema_value, &[], &|path| selection.property(path));
    add_left_out(&mut fields, known);
    Selected {
        stream,
        schema: selected_schema(&schema, &fields),
        fields,
        keys,
        full_table: selection.replication_method() == Some("FULL_TABLE"),
    }
}

/// The catalog's schema, which the user may have edited, or the tap's own if
/// the catalog has none. Automatic properties are always included.
fn merge(
    given: &Map<String, Value>,
    known: &Map<String, Value>,
    automatic: &[String],
) -> Map<String, Value> {
    let has_properties = |schema: &Map<String, Value>| {
        schema
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|properties| !properties.is_empty())
    };
    if !has_properties(given) {
        return known.clone();
    }
    let mut merged = given.clone();
    for name in automatic {
        if let Some(property) = known["properties"].get(name)
            && merged["properties"].get(name).is_none()
        {
            merged["properties"][name] = property.clone();
        }
    }
    merged
}

/// Adds the known properties that the catalog leaves out as unselected.
/// Otherwise they would appear under `_extra` like unknown ones.
fn add_left_out(fields: &mut Fields, known: Map<String, Value>) {
    let known = Fields::compile(&Value::Object(known), &[], &|_| false);
    for field in known.list() {
        if fields.find(&field.name, 0).is_none() {
            fields.push(Field {
                selected: false,
                ..field.clone()
            });
        }
    }
}
