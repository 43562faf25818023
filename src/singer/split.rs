//! Splits JSON objects and arrays into the texts of their values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with the name and value of each property of an object.
///
/// # Errors
/// If the text is not an object.
pub fn for_each_entry<'a>(
    object: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str),
) -> serde_json::Result<()> {
    struct Entries<F>(F);
    impl<'a, F: FnMut(Cow<'a, str>, &'a str)> Visitor<'a> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Name(name)) = map.next_key()? {
                (self.0)(name, map.next_value::<&RawValue>()?.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Entries(each))
}

/// Calls `each` with each item of an array.
///
/// # Errors
/// If the text is not an array.
pub fn for_each_item<'a>(array: &'a str, each: impl FnMut(&'a str)) -> serde_json::Result<()> {
    struct Items<F>(F);
    impl<'a, F: FnMut(&'a str)> Visitor<'a> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element::<&RawValue>()? {
                (self.0)(item.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array).deserialize_seq(Items(each))
}

/// The name of a property. It is borrowed from the text unless it contains
/// escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Name<'a> {
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
    use super::*;

    #[test]
    fn takes_objects_and_arrays_apart() {
        let object = r#" {"a": [1, "}"], "b\"c" :{"d":"\\"},"e":null} "#;
        let mut entries = Vec::new();
        for_each_entry(object, |name, value| {
            entries.push((name.into_owned(), value));
        })
        .unwrap();
        let expected = [
            ("a", r#"[1, "}"]"#),
            ("b\"c", r#"{"d":"\\"}"#),
            ("e", "null"),
        ];
        assert_eq!(
            entries,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        let mut items = Vec::new();
        for_each_item(r#"[ {"a":1} , "x,y", [] ]"#, |item| items.push(item)).unwrap();
        assert_eq!(items, [r#"{"a":1}"#, r#""x,y""#, "[]"]);
        assert!(for_each_entry("[1]", |_, _| ()).is_err());
        assert!(for_each_item("{}", |_| ()).is_err());
    }
}
