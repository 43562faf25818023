//! Reads the files given on the command line.

use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The UTF-8 byte order mark, which Windows editors write at the start of a
/// file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a file, without its byte order mark. `what` names the kind of file for
/// messages: `config`, `catalog` or `state`.
///
/// # Errors
/// [`Error::File`] if it can't be read.
pub fn read(what: &'static str, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = std::fs::read(path).map_err(|source| Error::File {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// Reads a JSON file.
///
/// # Errors
/// [`Error::File`] if it can't be read; [`Error::Shape`], with the path of the
/// field, if it isn't JSON or doesn't match the type.
pub fn read_json<T: DeserializeOwned>(what: &'static str, path: &Path) -> Result<T> {
    let bytes = read(what, path)?;
    let shape = |field: String, problem: String| Error::Shape {
        what,
        path: path.to_owned(),
        field,
        problem,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => shape(field, inner.to_string()),
            _ => shape(String::new(), format!("is not JSON: {inner}")),
        }
    })?;
    deserializer
        .end()
        .map_err(|error| shape(String::new(), format!("is not JSON: {error}")))?;
    Ok(value)
}
