//! `users` and what hangs below one.

use std::borrow::Cow;

use serde_json::json;

use super::conversations::link as messages_link;
use super::paging::{self, Page};
use super::routes::USER_FILTERS;
use super::{Call, Problem};
use crate::account::Account;
use crate::account::users::{Order, Users, Windows};
use crate::http::Response;
use crate::quirks::{ConversationLists, Edge, EnvelopeShape, UsersOrder};
use crate::rng;

/// API document, "List users by specified criteria".
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    if !USER_FILTERS.iter().any(|name| call.query(name).is_some()) {
        return Err(call.broken("users need at least one filter"));
    }
    let windows = windows(call)?;
    let (body, middle) = {
        let world = call.shared.world();
        let places = choose(call, &world.account, windows)?;
        let page = Page::enveloped(call, places.len(), call.options.quirks.max_items_per_page)?;
        let shown = &places[page.range.clone()];
        let middle = shown.get(shown.len() / 2).copied();
        (body(call, &world.account, shown, &page), middle)
    };
    change_account(call, middle);
    Ok(Response::json(200, body))
}

/// The windows of the four time filters, both edges included.
fn windows(call: &Call<'_>) -> Result<Windows, Problem> {
    let from = |name| Ok(call.time(name)?.unwrap_or(i64::MIN));
    let until = |name| Ok(call.time(name)?.map_or(i64::MAX, |time| time - 1));
    let created = (from("created_from")?, until("created_to")?);
    let mut updated = (from("updated_from")?, until("updated_to")?);
    if call.options.quirks.updated_from == Edge::After && updated.0 != i64::MIN {
        updated.0 += 1;
    }
    Ok(Windows { created, updated })
}

/// The users that fit all filters, in the order of the list.
fn choose<'a>(
    call: &Call<'_>,
    account: &'a Account,
    windows: Windows,
) -> Result<Cow<'a, [u32]>, Problem> {
    let users = &account.users;
    let order = match call.query("updated_from").or(call.query("updated_to")) {
        Some(_) => Order::Updated,
        None => Order::Created,
    };
    let places = users.select(windows, order);
    let texts: Vec<(&str, &str)> = USER_FILTERS[..5]
        .iter()
        .filter_map(|&name| {
            let field = if name == "phone_no" { "phone" } else { name };
            call.query(name).map(|value| (field, value))
        })
        .collect();
    let quirks = &call.options.quirks;
    let (sort_by, mut descending) = paging::sorting(call)?;
    descending |= sort_by.is_none() && quirks.users_descending;
    let ordered = quirks.users_order == UsersOrder::Filtered;
    if texts.is_empty() && ordered && sort_by.is_none() && !descending {
        return Ok(places);
    }
    let mut places = places.into_owned();
    places.retain(|&at| {
        texts.is_empty() || {
            let record = users.record(at as usize);
            texts.iter().all(|&(field, value)| record[field] == value)
        }
    });
    put_in_order(call, users, &mut places);
    if let Some(field) = sort_by {
        places.sort_by_cached_key(|&at| users.record(at as usize)[field].to_string());
    }
    if descending {
        places.reverse();
    }
    Ok(Cow::Owned(places))
}

/// Sorts users as the quirk has it.
fn put_in_order(call: &Call<'_>, users: &Users, places: &mut [u32]) {
    let id = |at: u32| users.id(at as usize);
    let user = |at: u32| users.get(at as usize);
    match call.options.quirks.users_order {
        UsersOrder::Filtered => (),
        UsersOrder::Id => places.sort_by_cached_key(|&at| id(at)),
        UsersOrder::Created => places.sort_by_cached_key(|&at| (user(at).created, id(at))),
        UsersOrder::Updated => places.sort_by_cached_key(|&at| (user(at).updated, id(at))),
        UsersOrder::Email => places.sort_by_cached_key(|&at| {
            let email = users.record(at as usize)["email"]
                .as_str()
                .map(str::to_owned);
            (email, id(at))
        }),
        UsersOrder::Moving => {
            places.sort_by_key(|&at| rng::mix(call.number << 32 | u64::from(at)));
        }
    }
}

fn body(call: &Call<'_>, account: &Account, shown: &[u32], page: &Page) -> String {
    let mut body = String::with_capacity(shown.len() * 640 + 1024);
    body.push_str("{\"users\":[");
    for (number, &at) in shown.iter().enumerate() {
        if number > 0 {
            body.push(',');
        }
        body.push_str(&account.users.get(at as usize).body);
    }
    body.push(']');
    for (name, part) in page.envelope(call, "user", call.options.quirks.envelopes.shape) {
        body.push_str(&format!(",\"{name}\":{part}"));
    }
    body.push('}');
    body
}

/// Edits, deletes and creates users while the list is being walked, as the options say. `middle`
/// is a user of the answered page.
fn change_account(call: &Call<'_>, middle: Option<u32>) {
    let edits = &call.options.edits;
    let none = [
        edits.after_each_users_page,
        edits.delete_users,
        edits.new_users,
        edits.busy_users,
    ];
    if none == [0; 4] {
        return;
    }
    let mut world = call.shared.world_mut();
    let mut control = call.shared.control();
    let count = world.account.users.len();
    for busy in 0..edits.busy_users.min(count) {
        let now = world.moment();
        world.account.users.edit(busy, now);
    }
    let most = edits.most.min(count);
    let until = most.min(control.edits_made + edits.after_each_users_page);
    for number in control.edits_made..until {
        let now = world.moment();
        world.account.users.edit(spread(number, count), now);
    }
    control.edits_made = control.edits_made.max(until);
    if let Some(at) = middle.filter(|_| control.users_deleted < edits.delete_users) {
        control.users_deleted += 1;
        world.account.delete_user(at as usize);
    }
    if control.users_added < edits.new_users {
        control.users_added += 1;
        let now = world.moment();
        world.account.users.add(now);
    }
}

/// The place of pick `number` out of `count`: each comes once, neighbours far apart.
fn spread(number: usize, count: usize) -> usize {
    let common = |a: usize, b: usize| {
        let (mut a, mut b) = (a, b);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let mut step = (count * 5 / 8).max(1);
    while common(step, count) != 1 {
        step += 1;
    }
    (count / 2 + number * step) % count
}

/// The place of the user in the path; 404 if there is none, or no longer.
fn find(call: &Call<'_>, account: &Account) -> Result<usize, Problem> {
    let place = account.users.find(call.id);
    place
        .filter(|&index| !account.users.get(index).deleted)
        .ok_or_else(|| Problem::new(404, "USER_NOT_FOUND", "user not found"))
}

/// API document, "Retrieve user information".
pub fn one(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    let index = find(call, &world.account)?;
    let body = world.account.users.get(index).body.as_bytes();
    Ok(Response::json(200, body))
}

/// API document, "Retrieve all conversations for a user": ids alone.
pub fn conversations(call: &Call<'_>) -> Result<Response, Problem> {
    let world = call.shared.world();
    let account = &world.account;
    let index = find(call, account)?;
    let mut listed = account.conversations.of_user(index);
    let quirks = &call.options.quirks;
    let lists = quirks.user_conversations;
    let page = match lists {
        ConversationLists::Whole => None,
        ConversationLists::WholeStrict if call.request.query.is_empty() => None,
        ConversationLists::WholeStrict => {
            return Err(Problem::bad_request("the list takes no parameters"));
        }
        ConversationLists::Envelope => {
            let cap = quirks.max_items_per_page;
            Some(Page::enveloped(call, listed.len(), cap)?)
        }
        _ => Some(Page::asked(call, listed.len(), quirks.max_items_per_page)?),
    };
    if let Some(page) = &page {
        listed = listed[page.range.clone()].to_vec();
    }
    let ids = listed.iter().map(|&at| account.conversations.id(at));
    let entries: Vec<_> = ids.map(|id| json!({"id": id})).collect();
    let mut body = json!({"conversations": entries});
    if let Some(page) = page {
        let shape = match lists {
            ConversationLists::Envelope => quirks.envelopes.shape,
            ConversationLists::NextPage => EnvelopeShape::NextPage,
            _ => EnvelopeShape::None,
        };
        for (name, part) in page.envelope(call, "conversation", shape) {
            body[name] = part;
        }
        if lists == ConversationLists::Link && page.has_next() {
            body["link"] = messages_link(call, &page);
        }
    }
    Ok(Response::json(200, body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_spread_and_come_once() {
        for count in [1, 2, 7, 100, 1001] {
            let mut picks: Vec<usize> = (0..count).map(|number| spread(number, count)).collect();
            picks.sort_unstable();
            assert_eq!(picks, (0..count).collect::<Vec<_>>());
        }
        assert!(spread(0, 100).abs_diff(spread(1, 100)) > 20);
    }
}
