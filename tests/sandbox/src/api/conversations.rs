//! `conversations/{id}` and its messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::paging::Page;
use super::{Call, Problem};
use crate::account::{self, Account};
use crate::clock;
use crate::http::{self, Response};
use crate::quirks::{LinkFrom, LinkPage};

/// The place of the conversation in the path; 404 if there is none, or no longer.
fn find(call: &Call<'_>, account: &Account) -> Result<usize, Problem> {
    let place = account.conversations.find(call.id);
    place
        .filter(|&index| !account.conversations.is_deleted(index))
        .ok_or_else(|| Problem::new(404, "CONVERSATION_NOT_FOUND", "conversation not found"))
}

/// API document, "Retrieve a conversation".
pub fn one(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    let index = find(call, &world.account)?;
    let record = account::conversation(&world.account, index, &call.options.quirks);
    Ok(Response::json(200, record.to_string()))
}

/// API document, "List messages in a conversation".
pub fn messages(call: &Call<'_>) -> Result<Response, Problem> {
    let from = call.time("from_time")?.unwrap_or(i64::MIN);
    let quirks = &call.options.quirks.messages;
    let (body, index, middle) = {
        let world = call.shared.world();
        let account = &world.account;
        let conversations = &account.conversations;
        let index = find(call, account)?;
        let detail = conversations.detail(index);
        let mut numbers = conversations.messages(index, &detail);
        let before = numbers
            .partition_point(|&number| conversations.message_time(index, &detail, number) < from);
        numbers.drain(..before);
        if !quirks.oldest_first {
            numbers.reverse();
        }
        let page = Page::asked(call, numbers.len(), quirks.cap)?;
        let shown = &numbers[page.range.clone()];
        let mut body = json!({"messages": account.messages(index, shown.iter().copied())});
        if page.has_next() || quirks.link_always {
            body["link"] = link(call, &page);
        }
        (body, index, shown.get(shown.len() / 2).copied())
    };
    change_messages(call, index, middle);
    Ok(Response::json(200, body.to_string()))
}

/// Lets messages arrive and deletes some while a conversation is read, as the options say.
/// `middle` is a message of the answered page.
fn change_messages(call: &Call<'_>, index: usize, middle: Option<usize>) {
    let edits = &call.options.edits;
    if edits.arriving_messages == 0 && edits.deleted_messages == 0 {
        return;
    }
    let mut world = call.shared.world_mut();
    let mut control = call.shared.control();
    if control.messages_arrived < edits.arriving_messages {
        control.messages_arrived += 1;
        let now = world.moment();
        world.account.conversations.add_message(index, now);
    }
    if let Some(number) = middle.filter(|_| control.messages_deleted < edits.deleted_messages) {
        control.messages_deleted += 1;
        world.account.conversations.delete_message(index, number);
    }
}

/// The link to the next page, as in the document's example, with its junk `1=1`; its parameters
/// as the quirks have them.
pub fn link(call: &Call<'_>, page: &Page) -> Value {
    let quirks = &call.options.quirks.messages;
    let path = call.request.path();
    let number = match quirks.link_page {
        LinkPage::Next => page.current.saturating_add(1),
        LinkPage::Own => page.current,
        LinkPage::First => 1,
    };
    let items = quirks.link_items.unwrap_or(page.items);
    let mut href = format!("{path}?1=1&page={number}&items_per_page={items}");
    if let Some(from) = call.query("from_time").and_then(clock::parse) {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(0);
        let from = match quirks.link_from {
            LinkFrom::Asked => Some(from),
            LinkFrom::Missing => None,
            LinkFrom::Earlier(time) => Some(from - millis(time)),
            LinkFrom::Later(time) => Some(from + millis(time)),
        };
        if let Some(from) = from {
            href.push_str(&format!("&from_time={}", http::encode(&clock::text(from))));
        }
    }
    json!({"rel": "self", "href": href})
}
