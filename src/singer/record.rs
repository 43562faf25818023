//! Writes RECORD messages straight from the JSON text that the API sent.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::clean::clean;
use super::schema::{Field, Fields, Kind};
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
    head: String,
    tail: String,
    warned: HashSet<String>,
    nuls: u64,
    keyless: u64,
    written: u64,
}

impl RecordWriter {
    /// A writer for a stream. `version` is the number that an ACTIVATE_VERSION
    /// message will name.
    pub fn new(stream: &str, fields: Fields, keys: &[String], version: Option<i64>) -> Self {
        let version = version.map(|version| format!("\"version\":{version},"));
        let name = serde_json::Value::from(stream);
        Self {
            stream: stream.to_owned(),
            keys: keys.iter().filter_map(|key| fields.find(key, 0)).collect(),
            extra: fields.find(EXTRA, 0),
            head: format!(
                "{{\"type\":\"RECORD\",\"stream\":{name},{}\"record\":{{",
                version.unwrap_or_default()
            ),
            fields,
            tail: String::new(),
            warned: HashSet::new(),
            nuls: 0,
            keyless: 0,
            written: 0,
        }
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
        self.written
    }

    /// Appends one RECORD line. `record` is a JSON object as the API sent it;
    /// `added` are properties that the API doesn't send, with JSON values, and
    /// they win over sent ones.
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
                    values[at] = Some(Given::Json(value.get()));
                    guess = at + 1;
                }
                None => unknown.push((name, Given::Json(value.get()))),
            }
        })?;
        for (name, value) in added {
            if let Some(at) = self.fields.find(name, 0) {
                values[at] = Some(Given::Json(value));
            }
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
        self.written += 1;
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

/// Appends a JSON value as the kind wants it. False: it doesn't fit, and what
/// was appended has to be taken back. An appended nothing stands for null.
fn convert(kind: &Kind, value: &str, out: &mut Vec<u8>) -> bool {
    let first = value.as_bytes()[0];
    match (kind, first) {
        (_, b'n') => {
            out.extend_from_slice(b"null");
            true
        }
        (Kind::Any, _) => {
            out.extend_from_slice(value.as_bytes());
            true
        }
        (Kind::String, b'"') => {
            out.extend_from_slice(value.as_bytes());
            true
        }
        // A number or a boolean where a text belongs loses nothing as a text.
        (Kind::String, b't' | b'f' | b'-' | b'0'..=b'9') => {
            write_string(value, out);
            true
        }
        (Kind::Timestamp, b'"')
            if timestamp::is_canonical(&value.as_bytes()[1..value.len() - 1]) =>
        {
            out.extend_from_slice(value.as_bytes());
            true
        }
        (Kind::Object(fields), b'{') => convert_object(fields, value, out),
        (Kind::Array(items), b'[') => convert_array(items, value, out),
        // One object where a list of objects belongs: a list of one.
        (Kind::Array(items), b'{') => {
            out.push(b'[');
            let fits = convert(items, value, out);
            out.push(b']');
            fits
        }
        (Kind::Object(_) | Kind::Array(_) | Kind::String, _) => false,
        (_, b'{' | b'[') => false,
        (_, b'"') => match serde_json::from_str::<String>(value) {
            Ok(text) => convert_text(kind, &text, out),
            Err(_) => false,
        },
        (_, _) => convert_text(kind, value, out),
    }
}

/// Appends a scalar given as text: a number, `true` or `false`, or what stood
/// between the quotes of a string. The empty text is null. False: it doesn't fit.
pub fn convert_text(kind: &Kind, text: &str, out: &mut Vec<u8>) -> bool {
    let text = match kind {
        Kind::String => text,
        _ => text.trim(),
    };
    if text.is_empty() {
        return true;
    }
    match kind {
        Kind::String => write_string(text, out),
        Kind::Integer => match integer(text) {
            Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
            None => return false,
        },
        Kind::Number => {
            // What serde_json takes is a JSON number, which needs no new form.
            if serde_json::from_str::<serde_json::Number>(text).is_err() {
                return false;
            }
            out.extend_from_slice(text.as_bytes());
        }
        Kind::Boolean => match text {
            "1" => out.extend_from_slice(b"true"),
            "0" => out.extend_from_slice(b"false"),
            _ if text.eq_ignore_ascii_case("true") => out.extend_from_slice(b"true"),
            _ if text.eq_ignore_ascii_case("false") => out.extend_from_slice(b"false"),
            _ => return false,
        },
        Kind::Timestamp if timestamp::is_canonical(text.as_bytes()) => write_string(text, out),
        Kind::Timestamp => {
            let time = timestamp::parse(text)
                .or_else(|| text.parse().ok().and_then(timestamp::from_epoch));
            match time {
                Some(time) => write_string(&timestamp::format(time), out),
                None => return false,
            }
        }
        Kind::Object(_) | Kind::Array(_) | Kind::Any => return false,
    }
    true
}

/// A whole number, also when it is written with a fraction of zero.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Beyond 2^53 a float no longer tells whole numbers apart.
        (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

fn convert_object(fields: &Fields, object: &str, out: &mut Vec<u8>) -> bool {
    if fields.is_empty() {
        out.extend_from_slice(object.as_bytes());
        return true;
    }
    out.push(b'{');
    let empty = out.len();
    let mut fits = true;
    let mut guess = 0;
    let read = for_each_entry(object, |name, value| {
        let field: Option<&Field> = fields.find(&name, guess).map(|at| {
            guess = at + 1;
            &fields.list()[at]
        });
        if field.is_some_and(|field| !field.selected) {
            return;
        }
        if out.len() > empty {
            out.push(b',');
        }
        let Some(field) = field else {
            // What a nested object has beyond its schema stays where it is.
            write_string(&name, out);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
            return;
        };
        out.extend_from_slice(field.label.as_bytes());
        fits &= convert_nested(&field.kind, value.get(), out);
    });
    out.push(b'}');
    fits && read.is_ok()
}

fn convert_array(items: &Kind, array: &str, out: &mut Vec<u8>) -> bool {
    out.push(b'[');
    let empty = out.len();
    let mut fits = true;
    let read = for_each_item(array, |item| {
        if out.len() > empty {
            out.push(b',');
        }
        fits &= convert_nested(items, item.get(), out);
    });
    out.push(b']');
    fits && read.is_ok()
}

fn convert_nested(kind: &Kind, value: &str, out: &mut Vec<u8>) -> bool {
    let mark = out.len();
    let fits = convert(kind, value, out);
    if out.len() == mark {
        out.extend_from_slice(b"null");
    }
    fits
}

/// Appends a text as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // Almost no text has anything to escape. Looking at every byte, without an
    // early end, is what a compiler makes fast.
    let escapes = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | escapes(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, text).expect("a Vec takes every write");
}

/// Calls `each` with the name and value of each property of a JSON object.
fn for_each_entry<'a>(
    object: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a RawValue),
) -> serde_json::Result<()> {
    struct Entries<F>(F);
    impl<'a, F: FnMut(Cow<'a, str>, &'a RawValue)> Visitor<'a> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Name(name)) = map.next_key()? {
                (self.0)(name, map.next_value()?);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Entries(each))
}

/// Calls `each` with each item of a JSON array.
fn for_each_item<'a>(array: &'a str, each: impl FnMut(&'a RawValue)) -> serde_json::Result<()> {
    struct Items<F>(F);
    impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array).deserialize_seq(Items(each))
}

/// A property's name, borrowed from the text unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'a> Visitor<'a> for NameVisitor {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property name")
            }

            fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
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
    fn fits_values_to_their_types() {
        let schema = json!({"properties": {
            "text": {"type": ["string", "null"]},
            "time": {"type": ["string", "null"], "format": "date-time"},
            "whole": {"type": ["integer", "null"]},
            "real": {"type": ["number", "null"]},
            "flag": {"type": ["boolean", "null"]},
            "list": {"type": ["array", "null"], "items": {"type": ["object", "null"],
                "properties": {"n": {"type": ["integer", "null"]}}}},
        }});
        let mut writer = writer(schema, &[], "");
        for (name, value, expected) in [
            ("text", "5", "\"5\""),
            ("text", "true", "\"true\""),
            ("text", r#""a\"b""#, r#""a\"b""#),
            (
                "time",
                "\"2020-01-23 12:04:48.8\"",
                "\"2020-01-23T12:04:48.800Z\"",
            ),
            ("time", "1566970961", "\"2019-08-28T05:42:41.000Z\""),
            ("time", "\"\"", "null"),
            ("whole", "5.0", "5"),
            ("whole", "\"12\"", "12"),
            ("real", "\"4.0\"", "4.0"),
            ("real", "1e3", "1e3"),
            ("flag", "\"TRUE\"", "true"),
            ("flag", "0", "false"),
            ("list", "{\"n\": 1.0, \"m\": [2]}", "[{\"n\":1,\"m\":[2]}]"),
        ] {
            let line = write(&mut writer, &format!("{{\"{name}\": {value}}}"));
            assert!(
                line.contains(&format!("\"{name}\":{expected}")),
                "{name} {value}: {line}"
            );
        }
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
        assert_eq!(write(&mut writer, r#"{"id":"","n":1}"#), "");
        assert_eq!(write(&mut writer, r#"{"n":1}"#), "");
    }
}
