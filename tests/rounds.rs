//! A user's conversations and a conversation's messages, in whatever pages
//! they come.

use std::collections::BTreeSet;
use std::time::Duration;

use freshchat_sandbox::{
    ConversationLists, Edits, Fault, FaultKind, LinkFrom, LinkPage, Options, PastEnd, Sandbox,
};
use serde_json::{Value, json};

use crate::conversations::{WALK, assert_once};
use crate::tap::{Run, Tap, account, assert_complete};

const LIST: &str = "users/{id}/conversations";
const MESSAGES: &str = "conversations/{id}/messages";

/// An account whose users have many conversations.
fn talkative(users: usize) -> Options {
    let mut options = account(users);
    options.sizes.conversations_per_user = 18..=42;
    options.sizes.messages_per_conversation = 1..=1;
    options
}

fn walk(sandbox: &Sandbox) -> Tap {
    Tap::new(sandbox).set("max_retries", 1).streams(&WALK)
}

fn assert_whole(sandbox: &Sandbox, run: &Run, what: &str) {
    assert_eq!(run.code, Some(0), "{what}: {}", run.stderr);
    for stream in WALK {
        assert_complete(sandbox, stream, run.records(stream));
        assert_once(run, stream);
    }
}

#[test]
fn a_list_of_conversations_is_whole_in_any_pages() {
    for lists in [
        ConversationLists::Whole,
        ConversationLists::WholeStrict,
        ConversationLists::Envelope,
        ConversationLists::NextPage,
        ConversationLists::Link,
        ConversationLists::Silent,
    ] {
        for past_end in PastEnd::ALL {
            let mut options = talkative(9);
            options.quirks.user_conversations = lists;
            options.quirks.past_end = past_end;
            let sandbox = Sandbox::start(options);
            sandbox.allow_violations();
            let run = walk(&sandbox).run();
            assert_whole(&sandbox, &run, &format!("{lists:?} {past_end:?}"));
        }
    }
}

/// Whatever the lists before it were: those may all have fit a page.
#[test]
fn no_list_is_cut_by_pages_that_nothing_announces() {
    for (seed, length) in [(1, 16), (2, 20), (3, 20), (4, 20)] {
        for past_end in PastEnd::ALL {
            let mut options = account(40);
            options.seed = seed;
            options.sizes.conversations_per_user = 14..=24;
            options.quirks.user_conversations = ConversationLists::Silent;
            options.quirks.max_items_per_page = length;
            options.quirks.past_end = past_end;
            let sandbox = Sandbox::start(options);
            let run = Tap::new(&sandbox)
                .set("concurrency", 1)
                .streams(&WALK[..1])
                .succeed();
            assert_complete(&sandbox, WALK[0], run.records(WALK[0]));
            assert_once(&run, WALK[0]);
        }
    }
}

/// As if what stood there were taken out once the list was cut into pages.
#[test]
fn an_empty_page_that_names_more_is_no_end() {
    for hollow in [1, 2] {
        let mut options = talkative(9);
        options.quirks.user_conversations = ConversationLists::Envelope;
        options.quirks.envelopes.hollow_page = Some(hollow);
        let sandbox = Sandbox::start(options);
        let run = walk(&sandbox).run();
        assert_whole(&sandbox, &run, &format!("page {hollow} is empty"));
    }
}

/// Where the list is whole, only one that is as long as any before it is asked
/// for more.
#[test]
fn a_whole_list_is_seldom_asked_for_a_second_page() {
    for lists in [ConversationLists::Whole, ConversationLists::WholeStrict] {
        let mut options = account(60);
        options.sizes.conversations_per_user = 10..=200;
        options.quirks.user_conversations = lists;
        let sandbox = Sandbox::start(options);
        sandbox.allow_violations();
        let run = Tap::new(&sandbox)
            .set("concurrency", 1)
            .streams(&WALK[..1])
            .succeed();
        assert_complete(&sandbox, WALK[0], run.records(WALK[0]));
        let listed = run.records(WALK[0]);
        let (mut longest, mut records, mut at) = (0, 0, 0);
        while at < listed.len() {
            let owner = &listed[at]["user_id"];
            let rest = listed[at..].iter();
            let length = rest.take_while(|it| it["user_id"] == *owner).count();
            records += usize::from(length >= longest);
            (longest, at) = (longest.max(length), at + length);
        }
        // An error is the end when a second try is answered with it, too.
        let each = if lists == ConversationLists::Whole {
            1
        } else {
            2
        };
        assert_eq!(sandbox.count(LIST), 60 + records * each, "{lists:?}");
        assert!(records < 12, "{records}");
    }
}

#[test]
fn short_lists_cost_one_call_each() {
    let mut options = account(30);
    options.sizes.conversations_per_user = 0..=9;
    let sandbox = Sandbox::start(options);
    Tap::new(&sandbox).streams(&WALK[..1]).succeed();
    assert_eq!(sandbox.count(LIST), 30);
}

/// A page that repeats the one before it may be one into which as many messages
/// moved as arrived meanwhile.
#[test]
fn arrivals_that_fill_a_page_are_no_end() {
    let mut options = account(6);
    options.sizes.conversations_per_user = 1..=1;
    options.sizes.messages_per_conversation = 6..=6;
    let sandbox = Sandbox::start(options);
    let before = ids(&sandbox.truth("messages"));
    let first = sandbox.truth("messages")[0].clone();
    // The first page again, and a link: a message arrived in between.
    let conversation = first["conversation_id"].as_str().unwrap().to_owned();
    let newest = sandbox.truth("messages").into_iter();
    let newest = newest.filter(|message| message["conversation_id"] == conversation);
    let newest = newest.max_by_key(|message| message["created_time"].to_string());
    let again = json!({"messages": [newest], "link": {"href": "/v2/next"}}).to_string();
    let fault = Fault::new(MESSAGES, 1, FaultKind::body(&again));
    sandbox.with_options(|options| options.faults = vec![fault.of(&conversation).on_page(2)]);
    let run = Tap::new(&sandbox)
        .set("page_size", 1)
        .streams(&["messages"])
        .succeed();
    let found: BTreeSet<String> = run
        .records("messages")
        .into_iter()
        .map(|record| record["id"].to_string())
        .collect();
    assert_eq!(found, before);
}

/// An account of conversations with one to three pages of messages.
fn long(users: usize) -> Options {
    let mut options = account(users);
    options.sizes.conversations_per_user = 1..=1;
    options.quirks.message_counts_cycle = true;
    options
}

#[test]
fn messages_are_whole_wherever_their_links_lead() {
    let hour = Duration::from_secs(3600);
    for (at, (link_page, link_always, past_end)) in [
        (LinkPage::Next, false, PastEnd::Empty),
        (LinkPage::Own, false, PastEnd::WrongPage),
        (LinkPage::First, false, PastEnd::RepeatLast),
        (LinkPage::Next, true, PastEnd::Empty),
        (LinkPage::Own, true, PastEnd::RepeatLast),
        (LinkPage::First, true, PastEnd::WrongPage),
        (LinkPage::Next, true, PastEnd::PageNotFound),
        (LinkPage::Next, true, PastEnd::BadRequest),
    ]
    .into_iter()
    .enumerate()
    {
        let froms = [
            LinkFrom::Asked,
            LinkFrom::Missing,
            LinkFrom::Earlier(hour),
            LinkFrom::Later(hour),
        ];
        let mut options = long(18);
        let messages = &mut options.quirks.messages;
        messages.link_page = link_page;
        messages.link_always = link_always;
        messages.link_from = froms[at % 4];
        messages.link_items = [None, Some(50), Some(20), Some(100)][at / 2];
        messages.cap = [50, 20, 30][at % 3];
        messages.oldest_first = at % 2 == 0;
        options.quirks.past_end = past_end;
        let sandbox = Sandbox::start(options);
        let run = walk(&sandbox).run();
        let what = format!("{link_page:?} {link_always} {past_end:?}");
        assert_whole(&sandbox, &run, &what);
        let ends_in_error = matches!(past_end, PastEnd::PageNotFound | PastEnd::BadRequest);
        let warnings = run
            .stderr
            .lines()
            .filter(|it| it.contains("counts as the end"));
        assert_eq!(warnings.count(), usize::from(ends_in_error), "{what}");
    }
}

#[test]
fn an_error_in_the_middle_is_no_end() {
    for kind in [FaultKind::page_not_found(), FaultKind::Status(400)] {
        let mut options = long(12);
        options.sizes.messages_per_conversation = 120..=120;
        options.quirks.message_counts_cycle = false;
        options.faults = vec![Fault::new(MESSAGES, 1, kind).on_page(2)];
        let sandbox = Sandbox::start(options);
        let first = walk(&sandbox)
            .set("concurrency", 1)
            .with_retries(true)
            .run();
        sandbox.with_options(|options| options.faults.clear());
        let second = walk(&sandbox).state(&first.state()).succeed();
        let records = first.records("messages").into_iter();
        assert_complete(
            &sandbox,
            "messages",
            records.chain(second.records("messages")),
        );
    }
}

fn ids(records: &[Value]) -> BTreeSet<String> {
    records
        .iter()
        .map(|record| record["id"].to_string())
        .collect()
}

#[test]
fn no_message_that_stays_is_lost_while_others_come_and_go() {
    for seed in 1..=4 {
        for oldest_first in [false, true] {
            let mut options = account(12);
            options.seed = seed;
            options.sizes.conversations_per_user = 1..=1;
            options.sizes.messages_per_conversation = 90..=170;
            options.quirks.messages.oldest_first = oldest_first;
            options.quirks.messages.cap = 20;
            options.edits = Edits {
                arriving_messages: 9,
                deleted_messages: 12,
                ..Edits::default()
            };
            let sandbox = Sandbox::start(options);
            let before = ids(&sandbox.truth("messages"));
            let run = walk(&sandbox).run();
            let after = ids(&sandbox.truth("messages"));
            let found: BTreeSet<String> = run
                .records("messages")
                .into_iter()
                .map(|record| record["id"].to_string())
                .collect();
            let lost: Vec<_> = before
                .intersection(&after)
                .filter(|id| !found.contains(*id))
                .collect();
            // A conversation that never stands still is missed, and read later.
            let missed = &run.state()["bookmarks"]["messages"]["missed"];
            assert_eq!(run.code == Some(0), missed.is_null(), "{}", run.stderr);
            assert!(
                lost.is_empty(),
                "{seed} {oldest_first}: {} lost, {missed}",
                lost.len()
            );
            let again = walk(&sandbox).state(&run.state()).succeed();
            assert!(again.state()["bookmarks"]["messages"]["missed"].is_null());
        }
    }
}

#[test]
fn the_walk_says_whose_a_conversation_is_where_the_api_does_not() {
    for (times, named) in [(true, true), (true, false), (false, false)] {
        let mut options = account(12);
        options.quirks.conversation_times = times;
        options.quirks.conversation_user_id = named;
        let sandbox = Sandbox::start(options);
        let run = walk(&sandbox).succeed();
        let listed = sandbox.truth("user_conversations");
        let owner = |id: &Value| {
            let mut listed = listed.iter();
            let found = listed.find(|entry| entry["conversation_id"] == *id);
            found.unwrap()["user_id"].clone()
        };
        for record in run.records("conversations") {
            assert_eq!(record["user_id"], owner(&record["conversation_id"]));
        }
        // The lists say the same with or without it.
        assert_complete(&sandbox, WALK[0], run.records(WALK[0]));
    }
    // What the API sends stays.
    let mut options = account(3);
    options.sizes.conversations_per_user = 1..=1;
    let body = json!({"conversation_id": "c", "user_id": "somebody else"}).to_string();
    options.faults = vec![Fault::new("conversations/{id}", 1, FaultKind::body(&body)).always()];
    let sandbox = Sandbox::start(options);
    // All of them have the same id.
    let run = walk(&sandbox).with_retries(true).succeed();
    for record in run.records("conversations") {
        assert_eq!(record["user_id"], "somebody else");
    }
}
