//! Properties that hold for any input: of JSON, pages, records and addresses.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::freshchat::{Address, Page, Shape};
use crate::json::{Object, Objects, for_each_item};
use crate::singer::RecordWriter;
use crate::streams::STREAMS;

/// Any JSON, as text: with any spaces, escapes, numbers and repeated names.
fn any_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        // Escapes, among them NUL and halves of a surrogate pair.
        vec(any::<u16>(), 0..4).prop_map(|units| {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{escapes}\"")
        }),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has only finite numbers", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        number,
        text.clone(),
        Just("\"2024-02-30T25:00:00Z\"".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..6), space()).prop_map(|(items, space)| {
                format!("[{space}{}{space}]", items.join(&format!("{space},")))
            }),
            object(text.clone(), inner),
        ]
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\r\n\t")]
}

fn object(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (vec((name, value), 0..6), space()).prop_map(|(members, space)| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{space}{name}{space}:{space}{value}{space}"))
            .collect();
        format!("{{{space}{}}}", members.join(","))
    })
}

/// An object with names that the schemas have, and others.
fn any_record() -> impl Strategy<Value = String> {
    let names: Vec<String> = STREAMS
        .iter()
        .filter_map(|stream| stream.schema()["properties"].as_object().cloned())
        .flatten()
        .map(|(name, _)| Value::from(name).to_string())
        .collect();
    let other = any::<String>().prop_map(|name| Value::from(name).to_string());
    let name = prop_oneof![4 => prop::sample::select(names), 1 => other];
    object(name, any_json())
}

/// The leaves of a JSON text, without what a target can't store.
fn leaves(value: &Value, found: &mut BTreeMap<String, usize>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
        Value::Null => {}
        leaf => *found.entry(leaf.to_string()).or_default() += 1,
    }
}

/// The same cases in each run. More of them: `PROPTEST_CASES=10000 cargo test properties`.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_object_is_split_as_a_parser_splits_it(text in object("[a-z\"\\\\]{0,3}".prop_map(|name| Value::from(name).to_string()), any_json())) {
        let objects = Objects::single(&text, &text).unwrap();
        let object = objects.of(&text).next().unwrap();
        // Parsers keep the last of two properties with the same name.
        let split: Map<String, Value> = object
            .properties()
            .filter_map(|(name, value)| Some((name.into_owned(), serde_json::from_str(value).ok()?)))
            .collect();
        if let Ok(parsed) = serde_json::from_str::<Map<String, Value>>(&text) {
            prop_assert_eq!(&split, &parsed);
            for (name, value) in parsed.iter().filter(|(name, _)| !name.contains(['"', '\\'])) {
                let found = object.get(name).map(|json| serde_json::from_str(json).unwrap());
                prop_assert_eq!(found.as_ref(), Some(value));
            }
        }
    }

    #[test]
    fn a_page_has_the_records_of_its_list(records in vec(any_record(), 0..5), before in any_json(), spaces in space()) {
        let list = records.join(&format!("{spaces},{spaces}"));
        let body = format!("{{\"other\":{before},\"users\":{spaces}[{list}]{spaces}}}");
        let page = Page::parse(body, Shape::List("users")).unwrap();
        let found: Vec<&str> = page.records().map(Object::text).collect();
        let expected: Vec<&str> = records
            .iter()
            .map(|record| if record.trim_matches(['{', '}', ' ', '\r', '\n', '\t']).is_empty() { "{}" } else { record })
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn only_json_is_a_page(text in prop_oneof![any::<String>(), any_json()]) {
        for shape in [Shape::List("users"), Shape::Single("configuration")] {
            if let Ok(page) = Page::parse(text.clone(), shape) {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok());
                let is_part = |record: Object| text.contains(record.text()) || record.text() == "{}";
                prop_assert!(page.records().all(is_part));
            }
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_that_keeps_every_value(
        at in 0..STREAMS.len(),
        record in any_record(),
    ) {
        let stream = &STREAMS[at];
        let keys: Vec<String> = stream.key.iter().map(|key| (*key).to_owned()).collect();
        let mut writer = RecordWriter::new(stream.name, stream.fields(), &keys, None);
        let added: Vec<(&str, &str)> = stream.key.iter().map(|key| (*key, "\"key\"")).collect();
        writer.extracted_at(chrono::DateTime::UNIX_EPOCH);
        let mut out = Vec::new();
        writer.write_json(&record, &added, &mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        prop_assert_eq!(line.matches('\n').count(), usize::from(!line.is_empty()), "{}", line);
        if line.is_empty() {
            // A key that can't be written as its type.
            return Ok(());
        }
        let message: Value = serde_json::from_str(&line).unwrap();
        let written = message["record"].as_object().unwrap();
        let properties = stream.schema()["properties"].clone();
        prop_assert!(written.keys().eq(properties.as_object().unwrap().keys()));
        let Ok(mut parsed) = serde_json::from_str::<Map<String, Value>>(&record) else {
            return Ok(());
        };
        // What is added overrides what the API sent.
        parsed.retain(|name, _| !stream.key.contains(&name.as_str()));
        // Numbers and times are written in another form, so only texts without
        // special characters are compared.
        let mut expected = BTreeMap::new();
        leaves(&Value::Object(parsed), &mut expected);
        let mut kept = BTreeMap::new();
        leaves(&message["record"], &mut kept);
        let is_plain = |text: &str| text.starts_with('"') && text[1..text.len() - 1].chars().all(|c| c.is_ascii_alphabetic());
        for (text, count) in expected.iter().filter(|(text, _)| is_plain(text)) {
            prop_assert!(kept.get(text).is_some_and(|kept| kept >= count) || *text == "\"\"", "{} of {}", text, line);
        }
    }

    #[test]
    fn a_domain_leads_to_freshchat_or_nowhere(text in prop_oneof![any::<String>(), "(https://)?[a-z.@/:#?\\\\-]{0,12}(freshchat.com|myfreshworks.com)?[a-z.@/:#?]{0,5}"]) {
        if let Ok(address) = Address::from_domain(&text) {
            let host = address.host();
            prop_assert!(host.ends_with(".freshchat.com") || host.ends_with(".myfreshworks.com"), "{}", host);
            let start = format!("https://{host}/");
            prop_assert!(address.to_string().starts_with(&start));
        }
    }

    #[test]
    fn an_address_is_encrypted_or_stays_here(text in prop_oneof![any::<String>(), "https?://[a-z.@:#?0-9\\[\\]-]{0,20}(/v2)?/?"]) {
        if let Ok(address) = Address::from_url(&text) {
            prop_assert!(address.to_string().starts_with("https://") || address.is_loopback());
            let endpoint = url::Url::parse(&address.join("users")).unwrap();
            prop_assert_eq!(endpoint.query(), None);
            prop_assert!(endpoint.path().ends_with("/users"));
        }
    }

    #[test]
    fn an_array_is_split_as_a_parser_splits_it(items in vec(any_json(), 0..6)) {
        let mut found = Vec::new();
        for_each_item(&format!("[{}]", items.join(" , ")), |item| found.push(item.to_owned())).unwrap();
        prop_assert_eq!(found, items);
    }
}
