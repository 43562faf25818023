//! `conversations/{id}` and its messages.

use serde_json::json;

use super::paging::Page;
use super::{Call, Problem};
use crate::account::{self, Account};
use crate::http::{self, Response};

/// "A maximum of 50 message objects can be displayed in each page."
const MESSAGES_CAP: usize = 50;

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

/// API document, "List messages in a conversation": newest first; a link only while there is
/// another page.
pub fn messages(call: &Call<'_>) -> Result<Response, Problem> {
    let from = call.time("from_time")?.unwrap_or(i64::MIN);
    let (body, index) = {
        let world = call.shared.world();
        let account = &world.account;
        let index = find(call, account)?;
        let detail = account.conversations.detail(index);
        let time = |number| account.conversations.message_time(index, &detail, number);
        let oldest = (0..detail.messages)
            .find(|&number| time(number) >= from)
            .unwrap_or(detail.messages);
        let page = Page::asked(call, detail.messages - oldest, MESSAGES_CAP)?;
        let numbers = page.range.clone().map(|place| detail.messages - 1 - place);
        let mut body = json!({"messages": account.messages(index, numbers)});
        if page.has_next() {
            body["link"] = json!({"rel": "self", "href": next_href(call, &page)});
        }
        (body, index)
    };
    let most = call.options.edits.arriving_messages;
    if most > 0 {
        let mut world = call.shared.world_mut();
        let mut control = call.shared.control();
        if control.messages_arrived < most {
            control.messages_arrived += 1;
            let conversations = &mut world.account.conversations;
            conversations.add_message(index, call.options.now());
        }
    }
    Ok(Response::json(200, body.to_string()))
}

/// As in the document's example, with its junk `1=1`.
fn next_href(call: &Call<'_>, page: &Page) -> String {
    let path = call.request.path();
    let (next, items) = (page.current + 1, page.items);
    let mut href = format!("{path}?1=1&page={next}&items_per_page={items}");
    if let Some(from) = call.query("from_time") {
        href.push_str(&format!("&from_time={}", http::encode(from)));
    }
    href
}
