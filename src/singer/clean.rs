//! Cleans JSON text for line-based output and for databases.

use std::borrow::Cow;

use memchr::{memchr2, memchr3, memmem};

/// The replacement character, written for a lone surrogate.
const REPLACEMENT: &str = "\\ufffd";

/// Removes what is valid JSON but breaks targets: line breaks between tokens (a
/// message is one line), NUL characters in strings (PostgreSQL refuses them)
/// and escapes of lone surrogates (UTF-8 can't represent them). Adds the number
/// of removed NULs to `nuls`.
///
/// The text must be valid JSON. Usually nothing needs to change, and the text
/// is returned borrowed.
pub fn clean<'a>(json: &'a str, nuls: &mut u64) -> Cow<'a, str> {
    let Some(first) = memchr3(b'\\', b'\n', b'\r', json.as_bytes()) else {
        return Cow::Borrowed(json);
    };
    let bytes = &json.as_bytes()[first..];
    if memmem::find(bytes, b"\\u").is_none() && memchr2(b'\n', b'\r', bytes).is_none() {
        return Cow::Borrowed(json);
    }
    let mut cleaned = String::with_capacity(json.len());
    let mut rest = json;
    // Valid JSON has raw line breaks only outside of strings, so both cases can
    // be handled without a tokenizer.
    while let Some(at) = rest.find(['\\', '\n', '\r']) {
        cleaned.push_str(&rest[..at]);
        rest = &rest[at..];
        let used = match code_unit(rest) {
            None if rest.starts_with('\\') => {
                cleaned.push_str(&rest[..2]);
                2
            }
            None => 1,
            Some(0) => {
                *nuls += 1;
                6
            }
            Some(0xD800..=0xDBFF) => match code_unit(&rest[6..]) {
                Some(0xDC00..=0xDFFF) => {
                    cleaned.push_str(&rest[..12]);
                    12
                }
                _ => {
                    cleaned.push_str(REPLACEMENT);
                    6
                }
            },
            Some(0xDC00..=0xDFFF) => {
                cleaned.push_str(REPLACEMENT);
                6
            }
            Some(_) => {
                cleaned.push_str(&rest[..6]);
                6
            }
        };
        rest = &rest[used..];
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

/// The UTF-16 code unit of the `\uXXXX` escape at the start of the text.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_only_what_has_to_go() {
        for (json, expected, expected_nuls) in [
            (r#"{"a": "b\n\"c"}"#, r#"{"a": "b\n\"c"}"#, 0),
            ("{\n  \"a\":\r\n1}", "{  \"a\":1}", 0),
            (r#""x\u0000y\u0000""#, r#""xy""#, 2),
            (r#""\\u0000""#, r#""\\u0000""#, 0),
            (r#""\\\u0000""#, r#""\\""#, 1),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, 0),
            (r#""a\ud83d""#, r#""a\ufffd""#, 0),
            (r#""\ud83d\n""#, r#""\ufffd\n""#, 0),
            (r#""\ude00é""#, r#""\ufffdé""#, 0),
            (r#""\u00e9""#, r#""\u00e9""#, 0),
        ] {
            let mut nuls = 0;
            assert_eq!(clean(json, &mut nuls), expected, "{json}");
            assert_eq!(nuls, expected_nuls, "{json}");
        }
    }
}
