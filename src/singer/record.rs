//! Writes RECORD messages straight from the JSON text that the API sent.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

use super::clean::clean;
use super::convert::{convert, convert_text, write_string};
use super::schema::{Fields, Kind};
use super::split::for_each_entry;
use crate::timestamp;

/// The property that takes what the schema has no place for.
const EXTRA: &str = "_extra";

/// Writes the records of one stream by its schema and selection: each selected
/// property once and in the schema's order (null where the API sent none),
/// unknown properties and values that don't fit their type in `_extra`.
pub struct RecordWriter {
    stream: String,
    fields: Fields,
    /// Places of the key properties.
    keys: Vec<usize>,
    extra: Option<usize>,
    version: Option<i64>,
    head: String,
    tail: String,
    warned: HashSet<String>,
    nuls: u64,
    keyless: u64,
    written: Arc<AtomicU64>,
}

impl RecordWriter {
    /// A writer for a stream. `version` is the number that an ACTIVATE_VERSION
    /// message will name.
    pub fn new(stream: &str, fields: Fields, keys: &[String], version: Option<i64>) -> Self {
        let mut writer = Self {
            stream: stream.to_owned(),
            keys: keys.iter().filter_map(|key| fields.find(key, 0)).collect(),
            extra: fields.find(EXTRA, 0),
            version: None,
            head: String::new(),
            fields,
            tail: String::new(),
            warned: HashSet::new(),
            nuls: 0,
            keyless: 0,
            written: Arc::default(),
        };
        writer.set_version(version);
        writer
    }

    /// The number that an ACTIVATE_VERSION message will name.
    pub fn version(&self) -> Option<i64> {
        self.version
    }

    /// Sets that number: a stream that goes on where another run stopped goes
    /// on with that run's.
    pub fn set_version(&mut self, version: Option<i64>) {
        let name = serde_json::Value::from(self.stream.as_str());
        let member = version.map(|version| format!("\"version\":{version},"));
        self.version = version;
        self.head = format!(
            "{{\"type\":\"RECORD\",\"stream\":{name},{}\"record\":{{",
            member.unwrap_or_default()
        );
    }

    /// Sets the time at which the records written from here on were read.
    pub fn extracted_at(&mut self, time: chrono::DateTime<chrono::Utc>) {
        self.tail = format!("}},\"time_extracted\":\"{}\"}}\n", timestamp::format(time));
    }

    /// The properties of its records.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The places of its key properties.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Counts NUL characters that were removed before they came here.
    pub fn count_nuls(&mut self, removed: u64) {
        self.nuls += removed;
    }

    /// Number of records written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The counter behind `written`, for who watches it.
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// Appends one RECORD line. `record` is a JSON object as the API sent it,
    /// and known to be valid; `added` are properties that the API doesn't send,
    /// with JSON values, and they win over sent ones.
    ///
    /// A record without its key can't be loaded by any target: it is counted,
    /// reported, and left out.
    ///
    /// # Errors
    /// The record is no JSON object.
    pub fn write(
        &mut self,
        record: &str,
        added: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let cleaned = clean(record, &mut self.nuls);
        let mut values: Vec<Option<Given>> = vec![None; self.fields.list().len()];
        let mut unknown: Vec<(Cow<str>, Given)> = Vec::new();
        let mut guess = 0;
        for_each_entry(&cleaned, |name, value| {
            match self.fields.find(&name, guess) {
                Some(at) => {
                    values[at] = Some(Given::Json(value));
                    guess = at + 1;
                }
                None => unknown.push((name, Given::Json(value))),
            }
        })?;
        for (name, value) in added {
            if let Some(at) = self.fields.find(name, 0) {
                values[at] = Some(Given::Json(value));
            }
        }
        // What a record brings along for `_extra` keeps its names.
        match self.extra.and_then(|at| values[at]) {
            Some(Given::Json(extra)) if extra.starts_with('{') => {
                for_each_entry(extra, |name, value| {
                    unknown.push((name, Given::Json(value)))
                })?;
            }
            Some(Given::Json("null")) | None => {}
            Some(other) => unknown.push((Cow::Borrowed(EXTRA), other)),
        }
        self.write_values(|at| values[at], unknown, out);
        Ok(())
    }

    /// Appends one RECORD line from texts without types, such as the cells of a
    /// CSV row: `cell` by the place of its property, and `unknown` by name. An
    /// empty text is null.
    pub fn write_texts<'a>(
        &mut self,
        cell: impl Fn(usize) -> &'a str,
        unknown: impl Iterator<Item = (Cow<'a, str>, &'a str)>,
        out: &mut Vec<u8>,
    ) {
        let unknown = unknown
            .map(|(name, text)| (name, Given::Text(text)))
            .collect();
        self.write_values(|at| Some(Given::Text(cell(at))), unknown, out);
    }

    fn write_values<'a>(
        &mut self,
        value: impl Fn(usize) -> Option<Given<'a>>,
        mut unknown: Vec<(Cow<'a, str>, Given<'a>)>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(self.head.as_bytes());
        let mut first = true;
        let mut keyless = false;
        for (at, field) in self.fields.list().iter().enumerate() {
            if !field.selected || Some(at) == self.extra {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(field.label.as_bytes());
            let mark = out.len();
            if let Some(value) = value(at)
                && !value.convert(&field.kind, &mut self.nuls, out)
            {
                out.truncate(mark);
                unknown.push((Cow::Owned(field.name.clone()), value));
            }
            if out.len() == mark {
                out.extend_from_slice(b"null");
            }
            keyless |= self.keys.contains(&at) && matches!(&out[mark..], b"null" | b"\"\"");
        }
        if keyless {
            out.truncate(start);
            self.keyless += 1;
            if !self.keyless.is_power_of_two() {
                return;
            }
            log::warn!(
                "stream `{}`: a record without its key was left out ({} so far)",
                self.stream,
                self.keyless
            );
            return;
        }
        if self.nuls > 0 {
            self.warn_once("\0", "NUL characters are removed from its strings");
        }
        self.write_extra(&unknown, first, out);
        out.extend_from_slice(self.tail.as_bytes());
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    fn write_extra(&mut self, unknown: &[(Cow<str>, Given)], first: bool, out: &mut Vec<u8>) {
        for (name, _) in unknown {
            if !self.warned.contains(name.as_ref()) {
                self.warn_once(
                    name,
                    &format!(
                        "`{name}` is not in the schema, or of another type there; it goes to \
                         `_extra`"
                    ),
                );
            }
        }
        let Some(field) = self.extra.map(|at| &self.fields.list()[at]) else {
            return;
        };
        if !field.selected {
            return;
        }
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(field.label.as_bytes());
        if unknown.is_empty() {
            out.extend_from_slice(b"null");
            return;
        }
        for (at, (name, value)) in unknown.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            write_string(name, out);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
    }

    /// Logs a warning of the stream; one of each name.
    pub fn warn_once(&mut self, name: &str, message: &str) {
        if !self.warned.contains(name) {
            self.warned.insert(name.to_owned());
            log::warn!("stream `{}`: {message}", self.stream);
        }
    }
}

/// A value as the source gave it.
#[derive(Clone, Copy)]
enum Given<'a> {
    Json(&'a str),
    /// A text without a type.
    Text(&'a str),
}

impl Given<'_> {
    /// Appends the value as the kind wants it; see [`convert`].
    fn convert(self, kind: &Kind, nuls: &mut u64, out: &mut Vec<u8>) -> bool {
        match (self, kind) {
            (Given::Json(json), _) => convert(kind, json, out),
            (Given::Text(""), _) => true,
            (Given::Text(text), Kind::Object(_) | Kind::Array(_) | Kind::Any) => {
                let Ok(json) = serde_json::from_str::<&RawValue>(text) else {
                    return false;
                };
                convert(kind, &clean(json.get(), nuls), out)
            }
            (Given::Text(text), _) => convert_text(kind, text, out),
        }
    }

    /// Appends the value as it is.
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Given::Json(json) => out.extend_from_slice(json.as_bytes()),
            Given::Text(text) => write_string(text, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn writer(schema: serde_json::Value, keys: &[&str], deselected: &'static str) -> RecordWriter {
        let fields = Fields::compile(&schema, &[], &|path| path.last().unwrap() != deselected);
        let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
        let mut writer = RecordWriter::new("s", fields, &keys, None);
        writer.tail = "}}".into();
        writer
    }

    fn write(writer: &mut RecordWriter, record: &str) -> String {
        let mut out = Vec::new();
        writer.write(record, &[], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix(r#"{"type":"RECORD","stream":"s","record":"#)
            .map(|text| text.trim_end_matches('}').to_owned() + "}")
            .unwrap_or(text)
    }

    #[test]
    fn keeps_what_does_not_fit() {
        let schema = json!({"properties": {
            "id": {"type": "string"},
            "n": {"type": ["integer", "null"]},
            "o": {"type": ["object", "null"], "properties": {
                "n": {"type": ["integer", "null"]}, "secret": {"type": ["string", "null"]}}},
            "secret": {"type": ["string", "null"]},
            "_extra": {"type": ["object", "null"]},
        }});
        let mut writer = writer(schema, &["id"], "secret");
        assert_eq!(
            write(
                &mut writer,
                r#"{"n":5.5,"id":"a","secret":"x","new":{"a":[1]},"o":{"secret":"x","n":1}}"#
            ),
            r#"{"id":"a","n":null,"o":{"n":1},"_extra":{"new":{"a":[1]},"n":5.5}"#
        );
        assert_eq!(
            write(&mut writer, r#"{"id":"a","o":{"n":"x"}}"#),
            r#"{"id":"a","n":null,"o":null,"_extra":{"o":{"n":"x"}"#
        );
        assert_eq!(
            write(&mut writer, r#"{"id":"a"}"#),
            r#"{"id":"a","n":null,"o":null,"_extra":null}"#
        );
        // The program itself may say what has no place.
        assert_eq!(
            write(&mut writer, r#"{"id":"a","_extra":{"n":""},"x":1}"#),
            r#"{"id":"a","n":null,"o":null,"_extra":{"x":1,"n":""}"#
        );
        assert_eq!(write(&mut writer, r#"{"id":"","n":1}"#), "");
        assert_eq!(write(&mut writer, r#"{"n":1}"#), "");
    }
}
