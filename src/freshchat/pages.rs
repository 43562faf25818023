//! A page of a list. Its records remain the bytes that the API sent.

use std::fmt;
use std::iter;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;

use super::clock;

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
    records: Vec<Range<usize>>,
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
        let mut deserializer = serde_json::Deserializer::from_str(&body);
        let visitor = Answer { body: &body, shape };
        let found = deserializer.deserialize_any(visitor)?;
        deserializer.end()?;
        Ok(Self {
            records: found.records,
            pagination: found.pagination,
            has_next: found.has_next,
            read_at: clock::now(),
            body,
        })
    }

    /// The records, each a JSON object.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|range| &self.body[range.clone()])
    }

    /// Keeps only the records for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let body = &self.body;
        self.records.retain(|range| keep(&body[range.clone()]));
    }

    /// Returns the page if all of its records are objects.
    ///
    /// # Errors
    /// A data error if one isn't.
    pub fn of_objects(self) -> serde_json::Result<Self> {
        if self.records().any(|record| !record.starts_with('{')) {
            return Err(serde_json::Error::custom(
                "a record of the list is not an object",
            ));
        }
        Ok(self)
    }

    /// Whether the page has no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The value of a property in each record, as JSON, or `None` if the record
    /// lacks it. Nothing else in the record is parsed, so that an id is found
    /// whatever the rest contains.
    pub fn values_of<'p>(&'p self, property: &'p str) -> impl Iterator<Item = Option<&'p str>> {
        self.records().map(move |record| {
            let mut deserializer = serde_json::Deserializer::from_str(record);
            let value = deserializer.deserialize_map(Property(property));
            value.ok().flatten().map(RawValue::get)
        })
    }

    /// The non-null values of a property, as text.
    pub fn texts_of(&self, property: &str) -> Vec<String> {
        let text = |json: &str| match json {
            "null" => None,
            json => Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())),
        };
        self.values_of(property)
            .flatten()
            .filter_map(text)
            .collect()
    }
}

/// Finds a property of an object.
struct Property<'n>(&'n str);

impl<'a> Visitor<'a> for Property<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut value = None;
        while let Some(is_it) = map.next_key_seed(IsNamed(self.0))? {
            match is_it {
                true => value = Some(map.next_value()?),
                false => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(value)
    }
}

/// Whether a property has this name, without copying it.
struct IsNamed<'n>(&'n str);

impl<'a> DeserializeSeed<'a> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNamed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[derive(Default)]
struct Found {
    records: Vec<Range<usize>>,
    pagination: Option<Pagination>,
    has_next: bool,
}

struct Answer<'a> {
    body: &'a str,
    shape: Shape,
}

impl Answer<'_> {
    fn range(&self, record: &RawValue) -> Range<usize> {
        let start = record.get().as_ptr() as usize - self.body.as_ptr() as usize;
        start..start + record.get().len()
    }
}

impl<'a> Visitor<'a> for Answer<'a> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::List(name) => write!(f, "a list under `{name}`"),
            Shape::Single(_) => f.write_str("an object"),
        }
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Found, A::Error> {
        let Shape::List(_) = self.shape else {
            return Err(A::Error::custom(
                "the answer is a list instead of an object",
            ));
        };
        let mut records = Vec::new();
        while let Some(record) = items.next_element::<&RawValue>()? {
            records.push(self.range(record));
        }
        Ok(Found {
            records,
            ..Found::default()
        })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut records = None;
        let mut found = Found::default();
        let mut problem = None;
        while let Some(name) = map.next_key::<String>()? {
            match self.shape {
                Shape::List(list) if list == name => {
                    records = map.next_value_seed(Records(&self))?;
                }
                Shape::Single(wrapper) if wrapper == name => {
                    records = Some(vec![self.range(map.next_value::<&RawValue>()?)]);
                }
                _ => match name.as_str() {
                    "pagination" => {
                        found.pagination = Some(read_pagination(map.next_value()?));
                    }
                    "link" => found.has_next |= is_link(&map.next_value()?),
                    "links" => {
                        let links: Value = map.next_value()?;
                        found.has_next |= is_link(&links["next_page"]);
                    }
                    "message" | "error_message" => problem = Some(map.next_value::<Value>()?),
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                    }
                },
            }
        }
        let whole = || match self.shape {
            Shape::Single(_) => Some(iter::once(0..self.body.len()).collect()),
            Shape::List(_) => None,
        };
        match records.or_else(whole) {
            Some(records) => Ok(Found { records, ..found }),
            None => Err(A::Error::custom(match (self.shape, problem) {
                (_, Some(problem)) => format!("the answer is an error: {problem}"),
                (Shape::List(name), None) => format!("the answer has no list `{name}`"),
                (Shape::Single(_), None) => "the answer is not an object".to_owned(),
            })),
        }
    }
}

/// Reads the list of records in the same pass. Null is not a list.
struct Records<'b, 'a>(&'b Answer<'a>);

impl<'a> DeserializeSeed<'a> for Records<'_, 'a> {
    type Value = Option<Vec<Range<usize>>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let records: Option<Vec<&RawValue>> = serde::Deserialize::deserialize(deserializer)?;
        Ok(records.map(|records| {
            records
                .into_iter()
                .map(|record| self.0.range(record))
                .collect()
        }))
    }
}

fn is_link(value: &Value) -> bool {
    value["href"].as_str().is_some_and(|href| !href.is_empty())
}

/// Numbers may be sent as strings.
fn read_pagination(value: Value) -> Pagination {
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
        Ok(page.records().map(str::to_owned).collect())
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
        assert_eq!(page.texts_of("id"), ["a", "5", "b\n"]);
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
