//! What the documents leave open, over the wire.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::get;
use crate::*;

const ALL: &str = "users?created_from=2000-01-01";

/// An account of so many users, with something changed.
fn sandbox(users: usize, change: impl FnOnce(&mut Options)) -> Sandbox {
    let mut options = Options::default();
    options.sizes.users = users;
    change(&mut options);
    Sandbox::start(options)
}

fn users(sandbox: &Sandbox, target: &str) -> Vec<Value> {
    let body = get(sandbox, target).json();
    body["users"].as_array().unwrap().clone()
}

fn texts(records: &[Value], field: &str) -> Vec<String> {
    let text = |record: &Value| record[field].as_str().unwrap_or_default().to_owned();
    records.iter().map(text).collect()
}

#[test]
fn changes_are_listed_late_with_their_own_time() {
    let lag = Duration::from_secs(600);
    let sandbox = sandbox(3, |options| options.quirks.list_lag = lag..=lag);
    let edited = sandbox.edit_user(1);
    let added = sandbox.add_user();
    let conversation = sandbox.add_conversation(1);
    let late = chrono::Utc::now() - chrono::Duration::seconds(599);
    let is_late = |record: &Value, time: &str| {
        let time: chrono::DateTime<chrono::Utc> = record[time].as_str().unwrap().parse().unwrap();
        assert!(
            time < late && late - time < chrono::Duration::seconds(60),
            "{record}"
        );
    };
    for user in sandbox.truth("users") {
        if [&edited, &added].contains(&&user["id"].as_str().unwrap().to_owned()) {
            is_late(&user, "updated_time");
        }
    }
    for message in sandbox.truth("messages") {
        if message["conversation_id"] == json!(conversation) {
            is_late(&message, "created_time");
        }
    }
}

#[test]
fn users_come_in_the_order_of_the_quirk() {
    let sandbox = sandbox(30, |_| ());
    let target = format!("{ALL}&items_per_page=100");
    for (order, field) in [
        (UsersOrder::Id, "id"),
        (UsersOrder::Created, "created_time"),
        (UsersOrder::Updated, "updated_time"),
        (UsersOrder::Email, "email"),
    ] {
        sandbox.with_options(|options| options.quirks.users_order = order);
        let rising = texts(&users(&sandbox, &target), field);
        assert!(rising.is_sorted(), "{order:?}: {rising:?}");
        sandbox.with_options(|options| options.quirks.users_descending = true);
        let falling = texts(&users(&sandbox, &target), field);
        assert!(falling.iter().rev().is_sorted(), "{order:?}: {falling:?}");
        sandbox.with_options(|options| options.quirks.users_descending = false);
    }
    sandbox.with_options(|options| options.quirks.users_order = UsersOrder::Moving);
    let ids = || texts(&users(&sandbox, &target), "id");
    let (one, other) = (ids(), ids());
    assert_ne!(one, other);
    assert_eq!(BTreeSet::from_iter(one), BTreeSet::from_iter(other));

    let sorted = format!("{target}&sort_by=created_time&sort_order=asc");
    assert!(texts(&users(&sandbox, &sorted), "created_time").is_sorted());
    sandbox.with_options(|options| options.quirks.sort_parameters = SortParameters::Ignored);
    assert!(!texts(&users(&sandbox, &sorted), "created_time").is_sorted());
    sandbox.with_options(|options| options.quirks.sort_parameters = SortParameters::Refused);
    assert_eq!(get(&sandbox, &sorted).status, 400);
}

#[test]
fn users_come_go_and_change_while_they_are_listed() {
    let sandbox = sandbox(30, |options| {
        options.edits.new_users = 2;
        options.edits.busy_users = 1;
        options.quirks.bulk_import = 10;
    });
    let busy = sandbox.truth("users")[0].clone();
    for _ in 0..3 {
        get(&sandbox, ALL);
    }
    let users = sandbox.truth("users");
    assert_eq!(users.len(), 32);
    assert_eq!(users[0]["id"], busy["id"]);
    assert_eq!(users[0]["first_name"], "Edited 3");
    let created = BTreeSet::from_iter(texts(&users[20..30], "created_time"));
    assert_eq!(created.len(), 1, "a bulk import has one instant");
}

#[test]
fn envelopes_say_what_the_quirks_make_them_say() {
    let sandbox = sandbox(30, |_| ());
    let said = |change: &dyn Fn(&mut Envelopes), target: &str| {
        sandbox.with_options(|options| {
            options.quirks.envelopes = Envelopes::default();
            change(&mut options.quirks.envelopes);
            options.quirks.max_items_per_page = 10;
        });
        let body = get(&sandbox, target).json();
        let records = body["users"].as_array().unwrap().len();
        (records, body["pagination"].clone(), body["links"].clone())
    };
    let page = format!("{ALL}&items_per_page=15&page=2");
    let (records, pagination, _) = said(&|_| (), &page);
    let truth =
        json!({"total_items": 30, "total_pages": 3, "current_page": 2, "items_per_page": 10});
    assert_eq!((records, &pagination), (10, &truth));
    let wrong = |envelopes: &mut Envelopes| {
        envelopes.total_items = Claim::Over(5);
        envelopes.total_pages = Claim::Always(1);
        envelopes.current_page = Claim::Under(7);
        envelopes.items_per_page = Claim::Asked;
    };
    let (_, pagination, links) = said(&wrong, &page);
    let expected =
        json!({"total_items": 35, "total_pages": 1, "current_page": 0, "items_per_page": 15});
    assert_eq!(pagination, expected);
    assert!(
        links["last_page"]["href"]
            .as_str()
            .unwrap()
            .ends_with("page=3")
    );
    let missing = |envelopes: &mut Envelopes| envelopes.total_items = Claim::Missing;
    assert!(said(&missing, &page).1.get("total_items").is_none());
    let next = |envelopes: &mut Envelopes| envelopes.shape = EnvelopeShape::NextPage;
    let (_, pagination, links) = said(&next, &page);
    assert!(pagination.is_null() && links.as_object().unwrap().keys().eq(["next_page"]));
    let none = |envelopes: &mut Envelopes| envelopes.shape = EnvelopeShape::None;
    assert_eq!(said(&none, &page), (10, Value::Null, Value::Null));
}

#[test]
fn a_hollow_page_moves_records_to_the_next() {
    let sandbox = sandbox(30, |options| {
        options.quirks.envelopes.hollow_page = Some(2);
    });
    let page = |number: usize| {
        let target = format!("{ALL}&items_per_page=10&page={number}");
        let body = get(&sandbox, &target).json();
        assert_eq!(body["pagination"]["total_items"], 40);
        texts(body["users"].as_array().unwrap(), "id")
    };
    let pages: Vec<Vec<String>> = (1..=5).map(page).collect();
    let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [10, 0, 10, 10, 0]);
    assert_eq!(BTreeSet::from_iter(pages.concat()).len(), 30);
}

#[test]
fn lists_of_one_user_come_whole_or_in_pages() {
    let sandbox = sandbox(1, |options| options.sizes.conversations_per_user = 45..=45);
    let user = sandbox.truth("users")[0]["id"].as_str().unwrap().to_owned();
    let target = format!("users/{user}/conversations");
    let list = |query: &str| get(&sandbox, &format!("{target}{query}"));
    let count = |query: &str| {
        list(query).json()["conversations"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count(""), count("?page=2")), (45, 45));
    let quirk = |lists| sandbox.with_options(|options| options.quirks.user_conversations = lists);
    quirk(ConversationLists::WholeStrict);
    assert_eq!((count(""), list("?page=2").status), (45, 400));
    for (lists, sign) in [
        (ConversationLists::Envelope, "/pagination/total_pages"),
        (ConversationLists::NextPage, "/links/next_page/href"),
        (ConversationLists::Link, "/link/href"),
        (ConversationLists::Silent, ""),
    ] {
        quirk(lists);
        let lengths = ["", "?page=2", "?page=3", "?page=4"].map(count);
        assert_eq!(lengths, [20, 20, 5, 0], "{lists:?}");
        let first = list("").json();
        assert!(first.pointer(sign).is_some(), "{first}");
        let keys = first.as_object().unwrap().len();
        assert_eq!(keys == 1, lists == ConversationLists::Silent, "{first}");
    }
}

#[test]
fn messages_link_as_the_quirks_have_it() {
    let sandbox = sandbox(1, |options| {
        options.sizes.conversations_per_user = 1..=1;
        options.sizes.messages_per_conversation = 60..=60;
        options.edits.deleted_messages = 1;
    });
    let conversation = sandbox.truth("conversations")[0]["conversation_id"].clone();
    let conversation = conversation.as_str().unwrap().to_owned();
    let from = "from_time=2020-01-01T00:00:00.000Z";
    let page = |page: usize| {
        let target = format!("conversations/{conversation}/messages?{from}&page={page}");
        let body = get(&sandbox, &target).json();
        let times = texts(body["messages"].as_array().unwrap(), "created_time");
        (times, body["link"]["href"].as_str().map(str::to_owned))
    };
    let (newest_first, href) = page(1);
    assert!(newest_first.iter().rev().is_sorted());
    assert!(
        href.unwrap()
            .ends_with("?1=1&page=2&items_per_page=20&from_time=2020-01-01T00:00:00.000Z")
    );
    assert_eq!(
        sandbox.truth("messages").len(),
        59,
        "one of the page was deleted"
    );
    let quirk = |change: &dyn Fn(&mut MessageQuirks)| {
        sandbox.with_options(|options| change(&mut options.quirks.messages));
    };
    quirk(&|quirks| {
        quirks.oldest_first = true;
        quirks.cap = 15;
        quirks.link_always = true;
        quirks.link_page = LinkPage::Own;
        quirks.link_items = Some(50);
        quirks.link_from = LinkFrom::Later(Duration::from_secs(3600));
    });
    let (last, href) = page(4);
    assert!(last.is_sorted() && last.len() == 14);
    assert!(
        href.unwrap()
            .ends_with("page=4&items_per_page=50&from_time=2020-01-01T01:00:00.000Z")
    );
    let (none, href) = page(9);
    assert!(none.is_empty() && href.is_some(), "the links never end");
    quirk(&|quirks| {
        quirks.link_from = LinkFrom::Missing;
        quirks.link_page = LinkPage::First;
    });
    assert!(
        page(2)
            .1
            .unwrap()
            .ends_with("?1=1&page=1&items_per_page=50")
    );
}

#[test]
fn conversations_move_their_time_as_the_quirk_has_it() {
    let sandbox = sandbox(5, |options| {
        options.sizes.conversations_per_user = 1..=1;
    });
    let one = || sandbox.truth("conversations")[0].clone();
    let before = one();
    sandbox.edit_conversation(before["conversation_id"].as_str().unwrap());
    let edited = one();
    assert_ne!(edited["properties"], before["properties"]);
    assert!(edited["updated_time"].as_str() > before["updated_time"].as_str());
    assert!(edited["user_id"].is_string());
    let quirk =
        |updated| sandbox.with_options(|options| options.quirks.conversation_updated = updated);
    quirk(ConversationUpdated::MessagesOnly);
    assert!(one()["updated_time"].as_str() <= before["updated_time"].as_str());
    quirk(ConversationUpdated::Missing);
    sandbox.with_options(|options| options.quirks.conversation_user_id = false);
    assert!(one().get("updated_time").is_none() && one().get("user_id").is_none());
}

#[test]
fn one_child_is_bad_and_one_page_is_empty() {
    let sandbox = sandbox(30, |_| ());
    let user = sandbox.truth("users")[3]["id"].as_str().unwrap().to_owned();
    sandbox.with_options(|options| {
        let lists = "users/{id}/conversations";
        options.faults = vec![
            Fault::new(lists, 1, FaultKind::body("null"))
                .of(&user)
                .always(),
            Fault::new("users", 1, FaultKind::NoRecords).on_page(2),
        ];
    });
    for _ in 0..2 {
        let list = get(&sandbox, &format!("users/{user}/conversations"));
        assert!((list.status, list.json()) == (200, Value::Null));
    }
    let second = || users(&sandbox, &format!("{ALL}&page=2")).len();
    assert_eq!((second(), second()), (0, 10));
}
