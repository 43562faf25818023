//! JSON values that the schema doesn't describe.

use memchr::memchr2;

/// Appends a JSON value unchanged, except for numbers that readers would alter
/// or refuse. These become strings: numbers out of the range of a 64-bit float,
/// and integers of more than 64 bits. Returns false if the value is nested
/// deeper than `most` levels; the caller then removes what was appended.
///
/// The value must be valid JSON.
pub fn write_free(json: &str, most: usize, out: &mut Vec<u8>) -> bool {
    let bytes = json.as_bytes();
    let mut depth = 0;
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                let number = &json[at..end];
                if !is_exact(number) {
                    out.extend_from_slice(&bytes[copied..at]);
                    out.push(b'"');
                    out.extend_from_slice(number.as_bytes());
                    out.push(b'"');
                    copied = end;
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > most {
                    return false;
                }
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    true
}

/// Whether a JSON number is in the range of a 64-bit float: not larger than the
/// maximum, and not so small that it reads as zero.
pub fn fits_float(number: &str) -> bool {
    let is_zero = || {
        let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
        !mantissa.contains(|digit| matches!(digit, '1'..='9'))
    };
    match number.parse::<f64>() {
        Ok(0.0) => is_zero(),
        Ok(float) => float.is_finite(),
        Err(_) => false,
    }
}

/// Whether readers can represent a JSON number.
fn is_exact(number: &str) -> bool {
    /// Integers of up to this length always fit.
    const SHORT: usize = 18;
    let fraction = number.find(['.', 'e', 'E']);
    match fraction {
        None => number.len() <= SHORT || number.parse::<i64>().is_ok(),
        Some(_) => fits_float(number),
    }
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes[start..].iter().position(|byte| !part(byte));
    length.map_or(bytes.len(), |length| start + length)
}

/// The position after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // An escaped character doesn't end the string.
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(json: &str, most: usize) -> Option<String> {
        let mut out = Vec::new();
        write_free(json, most, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_unreadable_numbers_change() {
        for (json, expected) in [
            ("null", "null"),
            (r#""1e999""#, r#""1e999""#),
            (r#""a\"1e999""#, r#""a\"1e999""#),
            (
                r#"{"a\\":1e999, "b":[-1.5E+3]}"#,
                r#"{"a\\":"1e999", "b":[-1.5E+3]}"#,
            ),
            (
                "[1e999,1e-999,0e-999,-0]",
                r#"["1e999","1e-999",0e-999,-0]"#,
            ),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "\"-9223372036854775809\""),
            ("1797693134862315700.5e290", "1797693134862315700.5e290"),
            ("1797693134862315900.5e290", "\"1797693134862315900.5e290\""),
        ] {
            assert_eq!(free(json, 9).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn depth_is_that_of_brackets_outside_strings() {
        for (json, depth) in [
            ("1", 0),
            (r#""[[""#, 0),
            ("[]", 1),
            (r#"[{"a]":["\\",[]]},[]]"#, 4),
        ] {
            assert!(free(json, depth).is_some(), "{json}");
            assert!(depth == 0 || free(json, depth - 1).is_none(), "{json}");
        }
    }
}
