//! Finds conversations by walking over all users. The API has a list of
//! conversations only for each user.

use std::collections::HashSet;
use std::mem;

use chrono::{DateTime, Utc};

use super::fetch::{Item, WantedConversation};
use super::progress::{Place, Position, Within};
use super::user_lists::{Found, UserLists};
use crate::error::{Error, Result};
use crate::extract::ids::Ids;
use crate::extract::pool::{HandOver, pipe};
use crate::extract::seen::Seen;
use crate::extract::users::{UserStep, Users};
use crate::extract::window::Window;
use crate::freshchat::Page;

/// The number of users of a window between two checkpoints.
const STRETCH: usize = 50;

/// A walk over all users.
pub struct Walk<'a> {
    pub users: Users<'a>,
    pub lists: &'a UserLists<'a>,
    pub workers: usize,
    /// Users whose lists were requested before the walk.
    pub asked: &'a HashSet<String>,
    /// The position from which users are walked, ...
    pub place: Place,
    /// ... and the creation time up to which they are.
    pub to: DateTime<Utc>,
    /// The number of calls for a conversation with one page of messages.
    pub calls_each: usize,
}

/// The tasks of the workers.
enum WalkTask {
    User(String),
    Checkpoint(Position),
}

impl Walk<'_> {
    /// Hands over what the walk finds, in the order of the users' windows, and
    /// each conversation that is not in `seen` once.
    pub fn run(&self, seen: &mut Seen, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
        pipe(
            self.workers,
            |tasks| self.find_users(tasks),
            |task, found| match task {
                WalkTask::User(user) if self.asked.contains(&user) => Ok(()),
                WalkTask::User(user) => self.lists.read(&user, found),
                WalkTask::Checkpoint(position) => found(Found::Checkpoint(position)),
            },
            |found| hand_on(found, seen, hand_over),
        )
    }

    /// Hands over each user from the walk's position on. Lists of users take
    /// only a small part of the calls. So each window is a single answer, which
    /// can't change meanwhile, and is followed by a checkpoint.
    fn find_users(&self, tasks: &mut HandOver<WalkTask>) -> Result<()> {
        let rest = self.place.rest(self.to);
        if rest.is_empty() {
            return Ok(());
        }
        let mut first = Some(self.users.page(rest, 1)?);
        if let Some(first) = &first {
            self.announce(first);
        }
        let mut window = Ids::default();
        let mut last = Seen::default();
        for span in self.place.windows(self.to) {
            // The page used for the estimate is the first one of all remaining
            // users.
            let first = first.take().filter(|_| span == rest);
            self.users
                .read_from(span, first, 1, &mut |step| match step {
                    UserStep::Page(page) => {
                        let mut ids = page.texts_of("id");
                        let inserted = ids.try_for_each(|id| window.insert(&id));
                        inserted.map_err(Error::temporary_file)
                    }
                    UserStep::Done(done) => {
                        self.hand_over(done, mem::take(&mut window), &mut last, tasks)
                    }
                })?;
        }
        Ok(())
    }

    /// Hands over the users of a window in the order of their ids, with
    /// checkpoints in between. `last` are the users of the previous window,
    /// because a user on the boundary is in both.
    fn hand_over(
        &self,
        window: Window,
        mut users: Ids,
        last: &mut Seen,
        tasks: &mut HandOver<WalkTask>,
    ) -> Result<()> {
        if let Some(within) = self.place.within.as_ref()
            && window.to <= within.window_to
        {
            users.skip_to(&within.users_to);
        }
        let mut own = Seen::default();
        let count = users.len().map_err(Error::temporary_file)?;
        for (at, user) in users.iter().enumerate() {
            let user = user.map_err(Error::temporary_file)?;
            own.insert(&user);
            let place = ((at + 1) % STRETCH == 0).then(|| Place {
                created_to: window.from,
                within: Some(Within {
                    window_to: window.to,
                    users_to: user.clone(),
                }),
            });
            if !user.is_empty() && last.insert(&user) {
                tasks(WalkTask::User(user))?;
            }
            if let Some(place) = place {
                tasks(WalkTask::Checkpoint(Position::Users(place)))?;
            }
        }
        *last = own;
        if count == 0 {
            return Ok(());
        }
        tasks(WalkTask::Checkpoint(Position::Users(Place {
            created_to: window.to,
            within: None,
        })))
    }

    /// Logs the estimated cost of the walk.
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
        let Some(hourly) = self.users.api().calls_per_hour() else {
            return;
        };
        let hours = calls as f64 / hourly;
        log::info!(
            "walk: at {hourly:.0} calls an hour, as this account's limit allows, the users alone \
             take {hours:.1} h"
        );
        if hours > 1.0 {
            log::info!(
                "walk: with `conversation_discovery` `reports`, only conversations that changed \
                 are read, however many users there are"
            );
        }
    }
}

/// Hands over what was found in a list, and each of its conversations that is
/// not in `seen`. A conversation of several users is read once.
pub fn hand_on(found: Found, seen: &mut Seen, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
    let Found::List { user, page } = found else {
        return hand_over(Item::Other(found));
    };
    let ids = page.texts_of("id");
    let new: Vec<_> = ids
        .filter(|id| !id.is_empty() && seen.insert(id))
        .map(|id| WantedConversation {
            id: id.into_owned(),
            user: Some(user.clone()),
            itself: true,
        })
        .collect();
    hand_over(Item::Other(Found::List { user, page }))?;
    new.into_iter()
        .try_for_each(|wanted| hand_over(Item::Conversation(wanted)))
}
