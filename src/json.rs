//! Splits JSON objects and arrays into the texts of their values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// An object, split into its properties.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    body: &'a str,
    text: &'a str,
    properties: &'a [Property],
}

impl<'a> Object<'a> {
    /// The object's JSON.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The name and the JSON value of each property.
    pub fn properties(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.properties.iter().map(move |property| {
            let name = &self.body[property.name.clone()];
            (text(name), &self.body[property.value.clone()])
        })
    }

    /// The JSON value of a property. Its name must not need escapes.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let is_named = |property: &&Property| {
            self.body[property.name.clone()][1..].strip_suffix('"') == Some(name)
        };
        let property = self.properties.iter().rfind(is_named)?;
        Some(&self.body[property.value.clone()])
    }
}

/// The positions of a property in a text.
#[derive(Debug)]
struct Property {
    /// With its quotes.
    name: Range<usize>,
    value: Range<usize>,
}

/// Objects in a text, split into their properties.
#[derive(Debug, Default)]
pub struct Objects {
    /// The positions of each object in the text, and of its properties in
    /// `properties`.
    objects: Vec<(Range<usize>, Range<usize>)>,
    properties: Vec<Property>,
}

impl Objects {
    /// Splits a single object. `text` is a part of `body`, or all of it.
    ///
    /// # Errors
    /// If the text is not an object.
    pub fn single(body: &str, text: &str) -> serde_json::Result<Self> {
        let mut objects = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let item = Splitter {
            body,
            objects: &mut objects,
        };
        item.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(objects)
    }

    /// Splits the objects of an array in `body`.
    ///
    /// # Errors
    /// If an item is not an object.
    pub fn list<'a, A: SeqAccess<'a>>(body: &'a str, mut items: A) -> Result<Self, A::Error> {
        let mut objects = Self::default();
        loop {
            let item = Splitter {
                body,
                objects: &mut objects,
            };
            if items.next_element_seed(item)?.is_none() {
                return Ok(objects);
            }
        }
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// The objects. `body` is the text that they were found in.
    pub fn of<'a>(&'a self, body: &'a str) -> impl Iterator<Item = Object<'a>> {
        self.objects.iter().map(move |(object, properties)| Object {
            body,
            // An object without properties has no position.
            text: if object.is_empty() {
                "{}"
            } else {
                &body[object.clone()]
            },
            properties: &self.properties[properties.clone()],
        })
    }

    /// Keeps only the objects for which `keep` returns true.
    pub fn retain(&mut self, body: &str, keep: impl FnMut(Object) -> bool) {
        let kept: Vec<bool> = self.of(body).map(keep).collect();
        let mut kept = kept.into_iter();
        self.objects.retain(|_| kept.next().unwrap_or(true));
    }
}

/// Splits an object in `body`, and adds it to `objects`.
struct Splitter<'o, 'a> {
    body: &'a str,
    objects: &'o mut Objects,
}

impl Splitter<'_, '_> {
    /// The position of a part of the body.
    fn range(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.body.as_ptr() as usize;
        start..start + part.len()
    }
}

impl<'a> DeserializeSeed<'a> for Splitter<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Splitter<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let first = self.objects.properties.len();
        // A raw name tells its position.
        while let Some(name) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            let (name, value) = (self.range(name.get()), self.range(value.get()));
            self.objects.properties.push(Property { name, value });
        }
        let properties = &self.objects.properties[first..];
        let object = match (properties.first(), properties.last()) {
            (Some(first), Some(last)) => {
                let (before, after) =
                    (&self.body[..first.name.start], &self.body[last.value.end..]);
                let end = after.find('}').map_or(0, |at| at + 1);
                before.rfind('{').unwrap_or(0)..last.value.end + end
            }
            _ => 0..0,
        };
        let properties = first..self.objects.properties.len();
        self.objects.objects.push((object, properties));
        Ok(())
    }
}

/// The text of a JSON string, or the JSON of any other value. A string with
/// broken escapes stays as it is.
pub fn text(json: &str) -> Cow<'_, str> {
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if memchr(b'\\', inner.as_bytes()).is_none() => Cow::Borrowed(inner),
        Some(_) => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}

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
        let objects = Objects::single(object, object).unwrap();
        let object = objects.of(object).next().unwrap();
        let properties: Vec<_> = object.properties().collect();
        assert_eq!(
            properties,
            expected.map(|(name, value)| (Cow::from(name), value))
        );
        assert_eq!(object.get("e"), Some("null"));
        assert_eq!(object.get("d"), None);
        assert!(for_each_entry("[1]", |_, _| ()).is_err());
        assert!(for_each_item("{}", |_| ()).is_err());
    }
}
