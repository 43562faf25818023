//! Writes RECORD messages directly from the JSON text of the API.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

use super::clean::clean;
use super::convert::{Misfits, convert, convert_text, write_extra, write_string};
use super::path::Path;
use super::schema::{Field, Fields, Kind};
use super::warnings::Warnings;
use crate::json::{Object, Objects, for_each_entry};
use crate::timestamp;

/// The property for everything that the schema has no place for.
const EXTRA: &str = "_extra";

/// Writes the records of a stream according to its schema and selection: each
/// selected property once, in the schema's order, and null if the API sent
/// none. Unknown properties and values that don't match their type go to
/// `_extra`.
pub struct RecordWriter {
    stream: String,
    fields: Fields,
    /// The positions of the key properties.
    keys: Vec<usize>,
    extra: Option<usize>,
    version: Option<i64>,
    head: String,
    tail: String,
    warnings: Warnings,
    nuls: u64,
    keyless: u64,
    written: Arc<AtomicU64>,
}

impl RecordWriter {
    /// A writer for a stream. `version` is the one that an ACTIVATE_VERSION
    /// message will contain.
    pub fn new(stream: &str, fields: Fields, keys: &[String], version: Option<i64>) -> Self {
        let extra = fields.find(EXTRA, 0);
        let has_extra = extra.is_some_and(|at| fields.list()[at].selected);
        let mut writer = Self {
            stream: stream.to_owned(),
            keys: keys.iter().filter_map(|key| fields.find(key, 0)).collect(),
            extra,
            version: None,
            head: String::new(),
            fields,
            tail: String::new(),
            warnings: Warnings::new(stream, has_extra),
            nuls: 0,
            keyless: 0,
            written: Arc::default(),
        };
        writer.set_version(version);
        writer
    }

    /// The version that an ACTIVATE_VERSION message will contain.
    pub fn version(&self) -> Option<i64> {
        self.version
    }

    /// Sets the version. A stream that continues an interrupted run keeps the
    /// version of that run.
    pub fn set_version(&mut self, version: Option<i64>) {
        let name = serde_json::Value::from(self.stream.as_str());
        let member = version.map(|version| format!("\"version\":{version},"));
        self.version = version;
        self.head = format!(
            "{{\"type\":\"RECORD\",\"stream\":{name},{}\"record\":{{",
            member.unwrap_or_default()
        );
    }

    /// Sets the extraction time of the following records.
    pub fn extracted_at(&mut self, time: chrono::DateTime<chrono::Utc>) {
        self.tail = format!("}},\"time_extracted\":\"{}\"}}\n", timestamp::format(time));
    }

    /// The properties of the records.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The positions of the key properties.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Adds NUL characters that were removed before the text arrived here.
    pub fn count_nuls(&mut self, removed: u64) {
        self.nuls += removed;
    }

    /// The number of records written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The counter behind `written`, for observers.
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// Appends a RECORD line. `record` is an object as the API sent it. `added`
    /// are properties that the API doesn't send, with JSON values; they override
    /// those of the record.
    ///
    /// Targets can't load a record without its key. Such a record is left out,
    /// counted and logged.
    ///
    /// # Errors
    /// If the record's `_extra` is not valid JSON.
    pub fn write(
        &mut self,
        record: Object,
        added: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let cleaned = clean(record.text(), &mut self.nuls);
        let fields = &self.fields;
        let mut sorted = Sorted::new(fields);
        match &cleaned {
            Cow::Borrowed(_) => record
                .properties()
                .for_each(|(name, value)| sorted.take(fields, name, value)),
            Cow::Owned(record) => {
                for_each_entry(record, |name, value| sorted.take(fields, name, value))?;
            }
        }
        let Sorted {
            mut values,
            mut unknown,
            misfits,
            ..
        } = sorted;
        for (name, value) in added {
            if let Some(at) = fields.find(name, 0) {
                values[at] = Some(Given::Json(value));
            }
        }
        // Members that the record itself brings for `_extra` keep their names.
        match self.extra.and_then(|at| values[at]) {
            Some(Given::Json(extra)) if extra.starts_with('{') => {
                for_each_entry(extra, |name, value| {
                    unknown.push((name, Given::Json(value)));
                })?;
            }
            Some(Given::Json("null")) | None => {}
            Some(other) => unknown.push((Cow::Borrowed(EXTRA), other)),
        }
        self.write_values(|at| values[at], unknown, misfits, out);
        Ok(())
    }

    /// Like [`Self::write`], for the JSON of a record.
    ///
    /// # Errors
    /// If the text is not a JSON object.
    pub fn write_json(
        &mut self,
        record: &str,
        added: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let objects = Objects::single(record, record)?;
        let mut records = objects.of(record);
        records.try_for_each(|record| self.write(record, added, out))
    }

    /// Appends a RECORD line from untyped text, such as the cells of a CSV row.
    /// `cell` returns a cell by the position of its property, and `unknown`
    /// lists further cells by name. Empty text is null.
    pub fn write_texts<'a>(
        &mut self,
        cell: impl Fn(usize) -> &'a str,
        unknown: impl Iterator<Item = (Cow<'a, str>, &'a str)>,
        out: &mut Vec<u8>,
    ) {
        let unknown = unknown
            .map(|(name, text)| (name, Given::Text(text)))
            .collect();
        self.write_values(
            |at| Some(Given::Text(cell(at))),
            unknown,
            Misfits::default(),
            out,
        );
    }

    fn write_values<'a>(
        &mut self,
        value: impl Fn(usize) -> Option<Given<'a>>,
        mut unknown: Vec<(Cow<'a, str>, Given<'a>)>,
        mut misfits: Misfits,
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
                && !value.convert(field, &mut self.nuls, &mut misfits, out)
            {
                out.truncate(mark);
                match field.kind.hides() {
                    true => misfits.left_out.push(field.name.clone()),
                    false => unknown.push((Cow::Owned(field.name.clone()), value)),
                }
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
                stream = self.stream.as_str();
                "a record without its key was left out ({} so far)",
                self.keyless
            );
            return;
        }
        if self.nuls > 0 {
            self.warn_once("\0", "NUL characters are removed from its strings");
        }
        self.write_extra(&unknown, &misfits, first, out);
        out.extend_from_slice(self.tail.as_bytes());
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    fn write_extra(
        &mut self,
        unknown: &[(Cow<str>, Given)],
        misfits: &Misfits,
        first: bool,
        out: &mut Vec<u8>,
    ) {
        for (name, _) in unknown {
            self.warnings.unknown(name);
        }
        for moved in &misfits.moved {
            self.warnings.unknown(&moved.name);
        }
        for path in &misfits.left_out {
            self.warnings.left_out(path);
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
        let unknown = unknown.iter().map(|(name, value)| (name.as_ref(), *value));
        let moved = misfits.moved.iter();
        let moved = moved.map(|moved| (moved.path.as_str(), Given::Json(&moved.json)));
        let mut entries = unknown.chain(moved).peekable();
        if entries.peek().is_none() {
            out.extend_from_slice(b"null");
            return;
        }
        let mut names = HashSet::new();
        for (name, value) in entries {
            out.push(if names.is_empty() { b'{' } else { b',' });
            let name = free_name(name, &names);
            write_string(&name, out);
            out.push(b':');
            value.write(out);
            names.insert(name);
        }
        out.push(b'}');
    }

    /// Logs a warning about the stream, once for each key.
    pub fn warn_once(&mut self, key: &str, message: &str) {
        self.warnings.once(key, message);
    }
}

/// The properties of a record, by what the schema says about them.
struct Sorted<'v> {
    /// The values of the schema's properties, by their position.
    values: Vec<Option<Given<'v>>>,
    /// What goes to `_extra`.
    unknown: Vec<(Cow<'v, str>, Given<'v>)>,
    misfits: Misfits,
    /// The likely position of the next property.
    guess: usize,
}

impl<'v> Sorted<'v> {
    fn new(fields: &Fields) -> Self {
        Self {
            values: vec![None; fields.list().len()],
            unknown: Vec::new(),
            misfits: Misfits::default(),
            guess: 0,
        }
    }

    fn take(&mut self, fields: &Fields, name: Cow<'v, str>, value: &'v str) {
        let found = fields.find(&name, self.guess);
        let field = found.map(|at| &fields.list()[at]);
        match (found, field) {
            (Some(at), _) if self.values[at].is_none() => {
                self.values[at] = Some(Given::Json(value));
                self.guess = at + 1;
            }
            (_, Some(field)) if !field.selected => {}
            // A second property of the same name goes to `_extra`.
            (_, Some(field)) if field.kind.hides() => self.misfits.left_out.push(name.into_owned()),
            _ => self.unknown.push((name, Given::Json(value))),
        }
    }
}

/// The name, or if it is taken, the first free one of `name (2)`, `name (3)`
/// and so on.
fn free_name<'n>(name: &'n str, taken: &HashSet<Cow<'_, str>>) -> Cow<'n, str> {
    if !taken.contains(name) {
        return Cow::Borrowed(name);
    }
    let mut numbered = (2..).map(|number| Cow::Owned(format!("{name} ({number})")));
    let free = numbered.find(|name| !taken.contains(name));
    free.unwrap_or(Cow::Borrowed(name))
}

/// A value from the source.
#[derive(Clone, Copy)]
enum Given<'a> {
    Json(&'a str),
    /// Untyped text.
    Text(&'a str),
}

impl Given<'_> {
    /// Appends the value, converted to the property's type. See [`convert`].
    fn convert(
        self,
        field: &Field,
        nuls: &mut u64,
        misfits: &mut Misfits,
        out: &mut Vec<u8>,
    ) -> bool {
        let (kind, path) = (&field.kind, Path::top(&field.name));
        match (self, kind) {
            (Given::Json(json), _) => convert(kind, json, &path, misfits, out),
            (Given::Text(""), _) => true,
            (Given::Text(text), Kind::Object(_) | Kind::Array(_) | Kind::Any(_)) => {
                let Ok(json) = serde_json::from_str::<&RawValue>(text) else {
                    return false;
                };
                convert(kind, &clean(json.get(), nuls), &path, misfits, out)
            }
            (Given::Text(text), _) => convert_text(kind, text, out),
        }
    }

    /// Appends the value to `_extra`.
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Given::Json(json) => write_extra(json, out),
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
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let mut writer = RecordWriter::new("s", fields, &keys, None);
        writer.tail = "}}".into();
        writer
    }

    fn write(writer: &mut RecordWriter, record: &str) -> String {
        let mut out = Vec::new();
        writer.write_json(record, &[], &mut out).unwrap();
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
            r#"{"id":"a","n":null,"o":{"n":null},"_extra":{"o.n":"x"}"#
        );
        assert_eq!(
            write(&mut writer, r#"{"id":"a"}"#),
            r#"{"id":"a","n":null,"o":null,"_extra":null}"#
        );
        // The tap itself may fill `_extra`.
        assert_eq!(
            write(&mut writer, r#"{"id":"a","_extra":{"n":""},"x":1}"#),
            r#"{"id":"a","n":null,"o":null,"_extra":{"x":1,"n":""}"#
        );
        assert_eq!(write(&mut writer, r#"{"id":"","n":1}"#), "");
        assert_eq!(write(&mut writer, r#"{"n":1}"#), "");
    }
}
