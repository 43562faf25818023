//! The way to conversations by walking all users: the API has no list of
//! conversations, but one for each user.

use chrono::{DateTime, Utc};

use super::fetch::Item;
use super::progress::{Place, Position, Within};
use crate::error::{Error, Result};
use crate::extract::pool::{HandOver, pipe};
use crate::extract::seen::Seen;
use crate::extract::users::{Span, UserStep, Users};
use crate::freshchat::{Get, Page, Shape};

/// What a walk finds beside the ids of conversations.
pub enum Found {
    /// The list of a user's conversations.
    List { user: String, page: Page },
    /// A user whose list can't be read.
    Missed(Error),
    /// Everything up to here was found.
    Checkpoint(Position),
}

/// A walk over all users.
pub struct Walk<'a> {
    pub users: Users<'a>,
    pub workers: usize,
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
    /// Hands over what the walk finds, in the order of the users' pages.
    pub fn run(&self, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
        let spans = self.spans()?;
        // A conversation that several users have is read once.
        let mut conversations = Seen::default();
        pipe(
            self.workers,
            |tasks| {
                let mut seen = Seen::default();
                self.users
                    .read(spans, &mut |step| tasks_of(step, &mut seen, tasks))
            },
            |task, found| match task {
                Task::User(user) => found(self.list(user)),
                Task::Checkpoint(position) => found(Found::Checkpoint(position)),
            },
            |found| {
                let ids = match &found {
                    Found::List { page, .. } => page.texts_of("id"),
                    Found::Missed(_) | Found::Checkpoint(_) => Vec::new(),
                };
                hand_over(Item::Other(found))?;
                let ids = ids.into_iter();
                let mut ids = ids.filter(|id| !id.is_empty() && conversations.insert(id));
                ids.try_for_each(|id| hand_over(Item::Conversation(id)))
            },
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

    /// The list of a user's conversations (API document, "Retrieve all
    /// conversations for a user"), which has no pages.
    fn list(&self, user: String) -> Found {
        let get = Get::of("users/{id}/conversations", &user);
        let list = Shape::List("conversations");
        match self.users.api.get(&get, |body| Page::parse(body, list)) {
            Ok(page) => Found::List { user, page },
            Err(error) => Found::Missed(error),
        }
    }
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
