//! One page of a list, as text: its records stay the bytes that the API sent.

use std::collections::HashMap;
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
use super::link::Link;

/// Where the records stand in an answer.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// An array under this name, or the array alone.
    List(&'static str),
    /// One record: the object under this name, or the object alone.
    Single(&'static str),
}

/// The answer to a request for records; by default, one past a list's end.
#[derive(Default)]
pub struct Page {
    body: String,
    records: Vec<Range<usize>>,
    /// The list's `pagination`, where the API sends it.
    pub pagination: Option<Pagination>,
    /// The `link` to the next page, where there is one.
    pub next: Option<Link>,
    /// When the page was read.
    pub read_at: DateTime<Utc>,
}

/// The `pagination` object of a list (API document, "List all agents").
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pagination {
    pub total_items: Option<u64>,
    pub total_pages: Option<u64>,
    pub items_per_page: Option<u64>,
}

impl Pagination {
    /// The number of pages. The API caps the page size, so the one that it
    /// echoes counts and not the one that was asked for.
    pub fn pages(&self) -> Option<u64> {
        self.total_pages.or_else(|| {
            Some(
                self.total_items?
                    .div_ceil(self.items_per_page.filter(|size| *size > 0)?),
            )
        })
    }
}

impl Page {
    /// Reads an answer.
    ///
    /// # Errors
    /// A syntax error where the body is no JSON, a data error where the
    /// records aren't where they should be.
    pub fn parse(body: String, shape: Shape) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(&body);
        let visitor = Answer { body: &body, shape };
        let found = deserializer.deserialize_any(visitor)?;
        deserializer.end()?;
        Ok(Self {
            records: found.records,
            pagination: found.pagination,
            next: found.next,
            read_at: clock::now(),
            body,
        })
    }

    /// The records, each a JSON object.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|range| &self.body[range.clone()])
    }

    /// Whether the page has no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The value of a property in each record that has it, as text.
    pub fn texts_of(&self, property: &str) -> Vec<String> {
        let text = |record: &str| {
            // Only this property is decoded: whatever else the record holds,
            // its id is not to be missed.
            let record: HashMap<String, &RawValue> = serde_json::from_str(record).ok()?;
            match record.get(property)?.get() {
                "null" => None,
                json => Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())),
            }
        };
        self.records().filter_map(text).collect()
    }
}

#[derive(Default)]
struct Found {
    records: Vec<Range<usize>>,
    pagination: Option<Pagination>,
    next: Option<Link>,
}

struct Answer<'a> {
    body: &'a str,
    shape: Shape,
}

impl<'a> Answer<'a> {
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
                "the answer is a list where one object belongs",
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
                    "link" => found.next = read_link(&map.next_value()?),
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
                (Shape::Single(_), None) => "the answer is no object".to_owned(),
            })),
        }
    }
}

/// Reads the list of records where it stands, in the same pass; null is no list.
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

fn read_link(value: &Value) -> Option<Link> {
    let href = value["href"].as_str().filter(|href| !href.is_empty());
    href.map(Link::parse)
}

/// Numbers may come as text.
fn read_pagination(value: Value) -> Pagination {
    let number = |name: &str| match &value[name] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    Pagination {
        total_items: number("total_items"),
        total_pages: number("total_pages"),
        items_per_page: number("items_per_page"),
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
        for (link, page) in [
            (r#"{"rel":"self","href":"/v2/x?1=1&page=2"}"#, Some(2)),
            (r#"{"href":""}"#, None),
            ("null", None),
        ] {
            let body = format!(r#"{{"messages":[],"link":{link}}}"#);
            let next = Page::parse(body, Shape::List("messages")).unwrap().next;
            assert_eq!(next.and_then(|link| link.page), page, "{link}");
        }
    }

    #[test]
    fn trusts_the_echoed_page_size() {
        let body = r#"{"users":[],"pagination":{"total_items":"101","items_per_page":50}}"#;
        let page = Page::parse(body.to_owned(), Shape::List("users")).unwrap();
        assert_eq!(page.pagination.unwrap().pages(), Some(3));
    }
}
