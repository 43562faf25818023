//! Converts values to the types of the schema.

use super::schema::{Field, Fields, Kind};
use super::split::{for_each_entry, for_each_item};
use crate::timestamp;

/// Appends a JSON value as the kind wants it. False: it doesn't fit, and what
/// was appended has to be taken back. An appended nothing stands for null.
pub fn convert(kind: &Kind, value: &str, out: &mut Vec<u8>) -> bool {
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
            out.extend_from_slice(value.as_bytes());
            return;
        };
        out.extend_from_slice(field.label.as_bytes());
        fits &= convert_nested(&field.kind, value, out);
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
        fits &= convert_nested(items, item, out);
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
            ("whole", "\"12\"", "12"),
            ("real", "\"4.0\"", "4.0"),
            ("real", "1e3", "1e3"),
            ("flag", "\"TRUE\"", "true"),
            ("flag", "0", "false"),
            ("list", "{\"n\": 1.0, \"m\": [2]}", "[{\"n\":1,\"m\":[2]}]"),
        ] {
            let field = &fields.list()[fields.find(name, 0).unwrap()];
            let mut out = Vec::new();
            let fits = convert(&field.kind, value, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!((fits, text.as_str()), (true, expected), "{name} {value}");
        }
    }
}
