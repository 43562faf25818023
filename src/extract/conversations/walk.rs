//! The way to conversations by walking all users: the API has no list of
//! conversations, but one for each user.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::fetch::{Item, Wanted};
use super::progress::{Place, Position, Within};
use super::user_lists::UserLists;
use crate::error::{Error, Result};
use crate::extract::pool::{HandOver, pipe};
use crate::extract::seen::Seen;
use crate::extract::users::{Span, UserStep, Users};
use crate::freshchat::Page;

/// What a walk finds beside the ids of conversations.
pub enum Found {
    /// A page of the list of a user's conversations, each once.
    List { user: String, page: Page },
    /// The whole list of this user came.
    Listed { user: String },
    /// A user whose list can't be read, or not to its end.
    Missed { user: String, error: Error },
    /// Everything up to here was found.
    Checkpoint(Position),
}

/// A walk over all users.
pub struct Walk<'a> {
    pub users: Users<'a>,
    pub lists: &'a UserLists<'a>,
    pub workers: usize,
    /// Users whose lists were asked for before the walk.
    pub asked: &'a HashSet<String>,
    /// From where on users are walked, ...
    pub place: Place,
    /// ... and up to which time of their creation.
    pub to: DateTime<Utc>,
    /// Calls for a conversation with one page of messages.
    pub calls_each: usize,
}

/// What the workers are given.
enum Task {
    User(String),
    Checkpoint(Position),
}

impl Walk<'_> {
    /// Hands over what the walk finds, in the order of the users' pages, and
    /// each conversation that is not in `seen` once.
    pub fn run(&self, seen: &mut Seen, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
        let spans = self.spans()?;
        pipe(
            self.workers,
            |tasks| {
                let mut seen = Seen::default();
                self.users
                    .read(spans, &mut |step| tasks_of(step, &mut seen, tasks))
            },
            |task, found| match task {
                Task::User(user) if self.asked.contains(&user) => Ok(()),
                Task::User(user) => self.lists.read(&user, found),
                Task::Checkpoint(position) => found(Found::Checkpoint(position)),
            },
            |found| hand_on(found, seen, hand_over),
        )
    }

    /// The spans of users to read. Their first page tells what the walk will
    /// cost; it is read once.
    fn spans(&self) -> Result<Vec<Span>> {
        let rest = self.place.rest(self.to);
        let mut spans = self.place.spans(self.to);
        if rest.is_empty() {
            return Ok(spans);
        }
        let first = self.users.page(rest, 1)?;
        self.announce(&first);
        if let Some(span) = spans.last_mut().filter(|span| span.window == rest) {
            span.first = Some(first);
        }
        Ok(spans)
    }

    /// Logs what the walk will cost.
    fn announce(&self, first: &Page) {
        let Some(pagination) = first.pagination else {
            return;
        };
        let (Some(users), Some(pages)) = (pagination.total_items, pagination.pages()) else {
            return;
        };
        let calls = users + pages;
        log::info!(
            "walk: {users} users take {calls} calls, and {} for each conversation that they have",
            self.calls_each
        );
        let Some(hourly) = self.users.api.calls_per_hour() else {
            return;
        };
        let hours = calls as f64 / hourly;
        log::info!(
            "walk: at {hourly:.0} calls an hour, which this account's limit leaves, \
             the users alone take {hours:.1} h"
        );
        if hours > 1.0 {
            log::info!(
                "walk: with `conversation_discovery` `reports`, only conversations that changed \
                 are read, however many users there are"
            );
        }
    }
}

/// Hands over what a list has, and each of its conversations that is not in
/// `seen`: one that several users have is read once.
pub fn hand_on(found: Found, seen: &mut Seen, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
    let Found::List { user, page } = found else {
        return hand_over(Item::Other(found));
    };
    let (ids, owner) = (page.texts_of("id"), user.clone());
    hand_over(Item::Other(Found::List { user, page }))?;
    let new = ids
        .into_iter()
        .filter(|id| !id.is_empty() && seen.insert(id));
    new.map(|id| Wanted {
        id,
        user: Some(owner.clone()),
        itself: true,
    })
    .try_for_each(|wanted| hand_over(Item::Conversation(wanted)))
}

/// Hands over each user of a page, and the place behind it. A user whom a
/// deletion moved to a page not yet read comes again with it.
fn tasks_of(step: UserStep, seen: &mut Seen, tasks: &mut HandOver<Task>) -> Result<()> {
    let place = match step {
        UserStep::Page { page, window, left } => {
            let ids = page.texts_of("id").into_iter();
            ids.filter(|id| !id.is_empty() && seen.insert(id))
                .try_for_each(|id| tasks(Task::User(id)))?;
            // Behind the window's last page, the window itself is done.
            let Some(left) = left.filter(|left| *left > 0) else {
                return Ok(());
            };
            Place {
                created_to: window.from,
                within: Some(Within {
                    window_to: window.to,
                    left,
                }),
            }
        }
        UserStep::Done(window) => {
            seen.clear();
            Place {
                created_to: window.to,
                within: None,
            }
        }
    };
    tasks(Task::Checkpoint(Position::Users(place)))
}
