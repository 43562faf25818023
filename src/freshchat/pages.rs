//! A page of a list. Its records remain the bytes that the API sent.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::clock;
use crate::json::{self, Object, Objects};

/// Where an answer contains its records.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// An array with this name, or the array alone.
    List(&'static str),
    /// A single record: the object with this name, or the object alone.
    Single(&'static str),
}

/// The answer to a request for records. The default is an empty page, as after
/// the end of a list.
#[derive(Default)]
pub struct Page {
    body: String,
    records: Objects,
    /// The `pagination` object, if the API sends it.
    pub pagination: Option<Pagination>,
    /// Whether the answer has a `link`, or a `next_page` in its `links`. Its
    /// address is ignored, because the client sets its own parameters.
    pub has_next: bool,
    /// When the page was read.
    pub read_at: DateTime<Utc>,
}

/// The `pagination` object of a list (API document, "List all agents").
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pagination {
    pub total_items: Option<u64>,
    pub total_pages: Option<u64>,
    pub items_per_page: Option<u64>,
    pub current_page: Option<u64>,
}

impl Pagination {
    /// The number of pages. If the members contradict each other, the larger
    /// one. The API caps the page size, so this uses the size in the answer and
    /// not the requested one.
    pub fn pages(&self) -> Option<u64> {
        self.total_pages.max(self.pages_of_items())
    }

    /// Whether the number of pages doesn't match the number of items.
    pub fn is_contradictory(&self) -> bool {
        match (self.total_pages, self.pages_of_items()) {
            // An empty list has no pages, or one empty page.
            (Some(pages), Some(needed)) => pages.max(1) != needed.max(1),
            _ => false,
        }
    }

    fn pages_of_items(&self) -> Option<u64> {
        let size = self.items_per_page.filter(|size| *size > 0)?;
        Some(self.total_items?.div_ceil(size))
    }
}

impl Page {
    /// Parses an answer.
    ///
    /// # Errors
    /// A syntax error if the body is not JSON, a data error if the records are
    /// not where they should be.
    pub fn parse(body: String, shape: Shape) -> serde_json::Result<Self> {
        let found = PageVisitor { body: &body, shape }.find()?;
        Ok(Self {
            records: found.records,
            pagination: found.pagination,
            has_next: found.has_next,
            read_at: clock::now(),
            body,
        })
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Object<'_>> {
        self.records.of(&self.body)
    }

    /// Keeps only the records for which `keep` returns true.
    pub fn retain(&mut self, keep: impl FnMut(Object) -> bool) {
        self.records.retain(&self.body, keep);
    }

    /// Whether the page has no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The non-null values of a property, as text.
    pub fn texts_of<'p>(&'p self, property: &'p str) -> impl Iterator<Item = Cow<'p, str>> {
        let values = self.records().filter_map(|record| record.get(property));
        values.filter(|value| *value != "null").map(json::text)
    }
}

#[derive(Default)]
struct FoundRecords {
    records: Objects,
    pagination: Option<Pagination>,
    has_next: bool,
}

#[derive(Clone, Copy)]
struct PageVisitor<'a> {
    body: &'a str,
    shape: Shape,
}

impl PageVisitor<'_> {
    fn find(self) -> serde_json::Result<FoundRecords> {
        let mut deserializer = serde_json::Deserializer::from_str(self.body);
        let found = deserializer.deserialize_any(self)?;
        deserializer.end()?;
        Ok(found)
    }

    fn single<E: serde::de::Error>(self, text: &str) -> Result<Objects, E> {
        Objects::single(self.body, text).map_err(E::custom)
    }
}

impl<'a> Visitor<'a> for PageVisitor<'a> {
    type Value = FoundRecords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::List(name) => write!(f, "a list under `{name}`"),
            Shape::Single(_) => f.write_str("an object"),
        }
    }

    fn visit_seq<A: SeqAccess<'a>>(self, items: A) -> Result<FoundRecords, A::Error> {
        let Shape::List(_) = self.shape else {
            return Err(A::Error::custom(
                "the answer is a list instead of an object",
            ));
        };
        Ok(FoundRecords {
            records: Objects::list(self.body, items)?,
            ..FoundRecords::default()
        })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<FoundRecords, A::Error> {
        let mut records = None;
        let mut found = FoundRecords::default();
        let mut problem = None;
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = json::text(name.get());
            match self.shape {
                Shape::List(list) if list == name => {
                    records = map.next_value_seed(RecordList(self.body))?;
                }
                Shape::Single(wrapper) if wrapper == name => {
                    records = Some(self.single(map.next_value::<&RawValue>()?.get())?);
                }
                _ => {
                    let json = map.next_value::<&RawValue>()?.get();
                    match name.as_ref() {
                        "pagination" => found.pagination = Some(read_pagination(&value(json))),
                        "link" => found.has_next |= is_link(&value(json)),
                        "links" => found.has_next |= is_link(&value(json)["next_page"]),
                        "message" | "error_message" => problem = Some(json),
                        _ => {}
                    }
                }
            }
        }
        let records = match (records, self.shape) {
            (Some(records), _) => records,
            (None, Shape::Single(_)) => self.single(self.body)?,
            (None, Shape::List(name)) => {
                return Err(A::Error::custom(match problem {
                    Some(problem) => format!("the answer is an error: {problem}"),
                    None => format!("the answer has no list `{name}`"),
                }));
            }
        };
        Ok(FoundRecords { records, ..found })
    }
}

/// Reads the list of records. Null is not a list.
struct RecordList<'a>(&'a str);

impl<'a> DeserializeSeed<'a> for RecordList<'a> {
    type Value = Option<Objects>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for RecordList<'a> {
    type Value = Option<Objects>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, items: A) -> Result<Self::Value, A::Error> {
        Objects::list(self.0, items).map(Some)
    }
}

/// A value beside the records. One that can't be represented, such as a half of
/// a surrogate pair, is null.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

fn is_link(value: &Value) -> bool {
    value["href"].as_str().is_some_and(|href| !href.is_empty())
}

/// Numbers may be sent as strings.
fn read_pagination(value: &Value) -> Pagination {
    let number = |name: &str| match &value[name] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    Pagination {
        total_items: number("total_items"),
        total_pages: number("total_pages"),
        items_per_page: number("items_per_page"),
        current_page: number("current_page"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str, shape: Shape) -> serde_json::Result<Vec<String>> {
        let page = Page::parse(body.to_owned(), shape)?;
        Ok(page
            .records()
            .map(|record| record.text().to_owned())
            .collect())
    }

    #[test]
    fn finds_the_records_in_every_shape() {
        let list = Shape::List("users");
        let single = Shape::Single("configuration");
        for (body, shape, expected) in [
            (
                r#" {"users": [{"a":1}, {"b":[2]}], "links":{}} "#,
                list,
                vec![r#"{"a":1}"#, r#"{"b":[2]}"#],
            ),
            (r#"[{"a":1}]"#, list, vec![r#"{"a":1}"#]),
            (
                r#"[ { "a" : {"id":"}"} } ,{ }, {"id":"{"}]"#,
                list,
                vec![r#"{ "a" : {"id":"}"} }"#, "{}", r#"{"id":"{"}"#],
            ),
            (r#"{"users":[]}"#, list, vec![]),
            (r#"{"account_id":1}"#, single, vec![r#"{"account_id":1}"#]),
            (
                r#"{"configuration":{"account_id":1}}"#,
                single,
                vec![r#"{"account_id":1}"#],
            ),
        ] {
            assert_eq!(parse(body, shape).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn takes_ids_from_records_that_are_odd_elsewhere() {
        let body =
            r#"[{"id":"a","name":"cut \ud83d"},{"n":1e999,"id":5},{"id":null},{"id":"b\n"}]"#;
        let page = Page::parse(body.to_owned(), Shape::List("users")).unwrap();
        let ids: Vec<_> = page.texts_of("id").collect();
        assert_eq!(ids, ["a", "5", "b\n"]);
        let names: Vec<_> = page.texts_of("name").collect();
        assert_eq!(names, [r#""cut \ud83d""#]);
    }

    #[test]
    fn tells_bad_json_from_a_wrong_answer() {
        let list = Shape::List("users");
        for (body, is_data) in [
            (r#"{"users":[{"a":1}"#, false),
            ("<html>", false),
            ("", false),
            (r#"{"users":[]} x"#, false),
            (r#"{"agents":[]}"#, true),
            (r#"{"success":false,"error_message":"no"}"#, true),
            (r#"{"users":null}"#, true),
            (r#"{"users":[null]}"#, true),
            (r#"["a"]"#, true),
            ("5", true),
        ] {
            assert_eq!(parse(body, list).unwrap_err().is_data(), is_data, "{body}");
        }
    }

    #[test]
    fn a_link_leads_on() {
        for (links, has_next) in [
            (r#""link":{"rel":"self","href":"/v2/x?1=1&page=2"}"#, true),
            (r#""link":{"href":""}"#, false),
            (r#""link":null"#, false),
            (r#""links":{"next_page":{"href":"/v2/x?page=2"}}"#, true),
            (r#""links":{"first_page":{"href":"/v2/x?page=1"}}"#, false),
        ] {
            let body = format!(r#"{{"messages":[],{links}}}"#);
            let page = Page::parse(body, Shape::List("messages")).unwrap();
            assert_eq!(page.has_next, has_next, "{links}");
        }
    }

    #[test]
    fn trusts_the_echoed_page_size() {
        let body = r#"{"users":[],"pagination":{"total_items":"101","items_per_page":50}}"#;
        let page = Page::parse(body.to_owned(), Shape::List("users")).unwrap();
        assert_eq!(page.pagination.unwrap().pages(), Some(3));
    }
}
