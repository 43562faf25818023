//! Takes valid JSON apart into the texts of its values.
//!
//! A record was checked when its page was read. Here it is only cut up, which
//! costs less than to parse it once more. Of text that is no JSON the pieces
//! mean nothing.

use std::borrow::Cow;

use memchr::memchr2;
use serde::de::Error as _;

/// Calls `each` with the name and the value of each property of an object.
///
/// # Errors
/// The text is no object.
pub fn for_each_entry<'a>(
    object: &'a str,
    mut each: impl FnMut(Cow<'a, str>, &'a str),
) -> serde_json::Result<()> {
    let mut rest = Rest::inside(object, "{", "an object was expected")?;
    while rest.has_more() {
        let name = rest.value();
        // Between the name and the value stands a colon, perhaps with blanks.
        rest.skip(|byte| byte == b':' || is_blank(byte));
        each(text_of(name)?, rest.value());
    }
    Ok(())
}

/// Calls `each` with each item of an array.
///
/// # Errors
/// The text is no array.
pub fn for_each_item<'a>(array: &'a str, mut each: impl FnMut(&'a str)) -> serde_json::Result<()> {
    let mut rest = Rest::inside(array, "[", "an array was expected")?;
    while rest.has_more() {
        each(rest.value());
    }
    Ok(())
}

/// The text of a JSON string, borrowed unless it has escapes.
fn text_of(string: &str) -> serde_json::Result<Cow<'_, str>> {
    let inner = string
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if inner.bytes().all(|byte| byte != b'\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(string).map(Cow::Owned),
    }
}

/// What is left of an object or an array.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn inside(json: &'a str, open: &str, problem: &str) -> serde_json::Result<Self> {
        match json.trim_start().strip_prefix(open) {
            Some(inside) => Ok(Self(inside)),
            None => Err(serde_json::Error::custom(problem)),
        }
    }

    /// Goes to the next value, unless the closing bracket comes first.
    fn has_more(&mut self) -> bool {
        self.skip(|byte| byte == b',' || is_blank(byte));
        !matches!(self.0.as_bytes().first(), None | Some(b'}' | b']'))
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let bytes = self.0.as_bytes();
        let end = bytes.iter().position(|byte| !skipped(*byte));
        self.0 = &self.0[end.unwrap_or(bytes.len())..];
    }

    /// Takes the value that the rest begins with.
    fn value(&mut self) -> &'a str {
        let (value, rest) = self.0.split_at(value_length(self.0.as_bytes()));
        self.0 = rest;
        value
    }
}

/// The length of the value that the text begins with. It ends before or after
/// an ASCII character, so never within another one.
fn value_length(text: &[u8]) -> usize {
    match text.first() {
        Some(b'"') => string_length(text),
        Some(b'{' | b'[') => nested_length(text),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']') || is_blank(*byte);
            text.iter().position(ends).unwrap_or(text.len())
        }
    }
}

/// The length of the string that the text begins with, with its quotes.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// The length of the object or array that the text begins with.
fn nested_length(text: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_length(&text[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(object: &str) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        for_each_entry(object, |name, value| {
            entries.push((name.into_owned(), value.to_owned()));
        })
        .unwrap();
        entries
    }

    #[test]
    fn cuts_between_the_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            entries(r#" { "a" : -1.5e3 , "b\n\u00e9":"x\\\"},]" ,"ü":{"c":["}",{}]}, "":null} "#),
            [
                pair("a", "-1.5e3"),
                pair("b\né", r#""x\\\"},]""#),
                pair("ü", r#"{"c":["}",{}]}"#),
                pair("", "null"),
            ]
        );
        assert_eq!(entries("{ }"), []);
        let mut items = Vec::new();
        for_each_item(r#"[1,"é",[ ],true ]"#, |item| items.push(item)).unwrap();
        assert_eq!(items, ["1", "\"é\"", "[ ]", "true"]);
    }

    #[test]
    fn refuses_what_is_no_object() {
        for json in ["[]", "5", "\"{}\"", ""] {
            assert!(for_each_entry(json, |_, _| ()).is_err(), "{json}");
            assert!(for_each_item("{}", |_| ()).is_err());
        }
    }

    #[test]
    fn broken_text_ends_too() {
        for json in [
            "{",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":\"\\",
            "{:",
            "{:::",
            "{\"a\":{[\"é",
            "{é",
        ] {
            let mut count = 0;
            let _ = for_each_entry(json, |_, _| count += 1);
            assert!(count <= 1, "{json}");
        }
    }
}
