//! Reading the JSON files that the command line names.

use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads a JSON file. `what` says what the file is, for messages: `config`,
/// `catalog` or `state`.
///
/// # Errors
/// [`Error::File`] where it can't be read; [`Error::Shape`] where it is no
/// JSON or not of the type's shape, with the path of the field.
pub fn read_json<T: DeserializeOwned>(what: &'static str, path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|source| Error::File {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let shape = |field: String, problem: String| Error::Shape {
        what,
        path: path.to_owned(),
        field,
        problem,
    };
    // Windows editors begin a file with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => shape(field, inner.to_string()),
            _ => shape(String::new(), format!("is no JSON: {inner}")),
        }
    })?;
    deserializer
        .end()
        .map_err(|error| shape(String::new(), format!("is no JSON: {error}")))?;
    Ok(value)
}
