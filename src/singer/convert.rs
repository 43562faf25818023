//! Converts values to the types in the schema.

use super::free::{fits_float, write_free};
use super::path::Path;
use super::schema::{Fields, Kind};
use crate::json::{for_each_entry, for_each_item};
use crate::timestamp;

/// The maximum nesting depth of a property's value. serde_json reads 127
/// levels, the fewest of the readers in use. A value in `_extra` is inside
/// three more: the message, the record and `_extra` itself.
pub const DEEPEST: usize = 124;

/// Values inside a record's properties that don't match their type.
#[derive(Default)]
pub struct Misfits {
    /// Values to move to `_extra`.
    pub moved: Vec<Moved>,
    /// The paths of values that can't be moved, because parts of them are not
    /// selected.
    pub left_out: Vec<String>,
}

/// A nested value that moves to `_extra`.
pub struct Moved {
    /// The path where the value was.
    pub path: String,
    /// The path without item numbers.
    pub name: String,
    /// The value, as the API sent it.
    pub json: String,
}

/// Appends a JSON value, converted to the kind. Returns false if it doesn't
/// fit; the caller then removes what was appended. If nothing is appended, the
/// value is null.
///
/// `path` is the location of the value. Nested values that don't fit are
/// replaced by null and added to `misfits`.
pub fn convert(
    kind: &Kind,
    value: &str,
    path: &Path,
    misfits: &mut Misfits,
    out: &mut Vec<u8>,
) -> bool {
    let first = value.as_bytes()[0];
    match (kind, first) {
        (_, b'n') => {
            out.extend_from_slice(b"null");
            true
        }
        (Kind::Any(types), _) => types.allow(first) && write_nested_free(value, path, out),
        (Kind::String, b'"') => {
            out.extend_from_slice(value.as_bytes());
            true
        }
        // A number or boolean can become a string without loss.
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
        (Kind::Object(fields), b'{') if fields.is_empty() => write_nested_free(value, path, out),
        (Kind::Object(fields), b'{') => convert_object(fields, value, path, misfits, out),
        (Kind::Array(items), b'[') => convert_array(items, value, path, misfits, out),
        // A single object in place of a list becomes a list of one object.
        (Kind::Array(items), b'{') => {
            out.push(b'[');
            convert_nested(items, value, &path.item(0), misfits, out);
            out.push(b']');
            true
        }
        (Kind::Object(_) | Kind::Array(_) | Kind::String, _) | (_, b'{' | b'[') => false,
        (_, b'"') => match serde_json::from_str::<String>(value) {
            Ok(text) => convert_text(kind, &text, out),
            Err(_) => false,
        },
        (_, _) => convert_text(kind, value, out),
    }
}

/// Appends a scalar given as text: a number, `true`, `false`, or the content of
/// a string. Empty text is null. Returns false if it doesn't fit.
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
            // What serde_json parses is a JSON number, and can be copied as it
            // is.
            if serde_json::from_str::<serde_json::Number>(text).is_err() || !fits_float(text) {
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
        Kind::Object(_) | Kind::Array(_) | Kind::Any(_) => return false,
    }
    true
}

/// Reads an integer, also one written with a zero fraction.
fn integer(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    };
    whole.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Beyond 2^53, floats can't represent every integer.
        (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

fn convert_object(
    fields: &Fields,
    object: &str,
    path: &Path,
    misfits: &mut Misfits,
    out: &mut Vec<u8>,
) -> bool {
    out.push(b'{');
    let empty = out.len();
    let mut seen = SeenProperties::default();
    let mut guess = 0;
    let read = for_each_entry(object, |name, value| {
        let path = path.property(&name);
        let found = fields.find(&name, guess);
        let field = found.map(|at| &fields.list()[at]);
        if field.is_some_and(|field| !field.selected) {
            return;
        }
        if let (Some(at), Some(field)) = (found, field)
            && !seen.insert(at)
        {
            misfits.refuse(&field.kind, value, &path);
            return;
        }
        if out.len() > empty {
            out.push(b',');
        }
        if let (Some(at), Some(field)) = (found, field) {
            guess = at + 1;
            out.extend_from_slice(field.label.as_bytes());
            convert_nested(&field.kind, value, &path, misfits, out);
            return;
        }
        // Unknown properties of a nested object stay in that object.
        write_string(&name, out);
        out.push(b':');
        let mark = out.len();
        if !write_nested_free(value, &path, out) {
            out.truncate(mark);
            out.extend_from_slice(b"null");
            misfits.take(value, &path);
        }
    });
    out.push(b'}');
    read.is_ok()
}

fn convert_array(
    items: &Kind,
    array: &str,
    path: &Path,
    misfits: &mut Misfits,
    out: &mut Vec<u8>,
) -> bool {
    out.push(b'[');
    let mut number = 0;
    let read = for_each_item(array, |item| {
        if number > 0 {
            out.push(b',');
        }
        convert_nested(items, item, &path.item(number), misfits, out);
        number += 1;
    });
    out.push(b']');
    read.is_ok()
}

fn convert_nested(kind: &Kind, value: &str, path: &Path, misfits: &mut Misfits, out: &mut Vec<u8>) {
    let mark = out.len();
    if !convert(kind, value, path, misfits, out) {
        out.truncate(mark);
        misfits.refuse(kind, value, path);
    }
    if out.len() == mark {
        out.extend_from_slice(b"null");
    }
}

/// Appends a value that the schema doesn't describe. Returns false if it is
/// nested too deep.
fn write_nested_free(value: &str, path: &Path, out: &mut Vec<u8>) -> bool {
    write_free(value, DEEPEST.saturating_sub(path.depth()), out)
}

/// Appends a value to `_extra`: unchanged, or as a string if it is nested too
/// deep.
pub fn write_extra(json: &str, out: &mut Vec<u8>) {
    let mark = out.len();
    if !write_free(json, DEEPEST, out) {
        out.truncate(mark);
        write_string(json, out);
    }
}

impl Misfits {
    /// Takes out a value that doesn't fit, unless it may contain unselected
    /// parts.
    fn refuse(&mut self, kind: &Kind, value: &str, path: &Path) {
        match kind.hides() {
            true => self.left_out.push(path.text_of_all()),
            false => self.take(value, path),
        }
    }

    fn take(&mut self, value: &str, path: &Path) {
        self.moved.push(Moved {
            path: path.text(),
            name: path.text_of_all(),
            json: value.to_owned(),
        });
    }
}

/// The positions of the properties seen so far.
#[derive(Default)]
struct SeenProperties {
    first: u128,
    /// Positions from 128 on, which few objects have.
    rest: Vec<usize>,
}

impl SeenProperties {
    /// Adds a position. Returns whether it is new.
    fn insert(&mut self, at: usize) -> bool {
        if at >= 128 {
            let is_new = !self.rest.contains(&at);
            self.rest.push(at);
            return is_new;
        }
        let bit = 1 << at;
        let is_new = self.first & bit == 0;
        self.first |= bit;
        is_new
    }
}

/// Appends text as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // Text rarely needs escapes. A check of every byte without an early exit is
    // one that compilers vectorize.
    let escapes = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | escapes(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, text).expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let fields = Fields::compile(&schema, &[], &|_| true);
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
            ("time", "\"\"", ""),
            ("whole", "5.0", "5"),
            ("whole", "9007199254740993.00", "9007199254740993"),
            ("whole", "\"12\"", "12"),
            ("real", "\"4.0\"", "4.0"),
            ("real", "1e3", "1e3"),
            ("flag", "\"TRUE\"", "true"),
            ("flag", "0", "false"),
            ("list", "{\"n\": 1.0, \"m\": [2]}", "[{\"n\":1,\"m\":[2]}]"),
        ] {
            let field = &fields.list()[fields.find(name, 0).unwrap()];
            let mut out = Vec::new();
            let (path, mut misfits) = (Path::top(name), Misfits::default());
            let fits = convert(&field.kind, value, &path, &mut misfits, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!((fits, text.as_str()), (true, expected), "{name} {value}");
        }
    }
}
