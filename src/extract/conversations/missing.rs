//! Users and conversations that can't be read, for all streams of a walk.
//! Children missed by earlier runs are read before the walk, failures are
//! recorded, and children that were not found are requested once more after the
//! walk.

use std::collections::BTreeSet;
use std::mem;

use super::Streams;
use super::children::{Child, ChildKind};
use super::endpoint_tally::GivenUp;
use super::fetch::{Item, Missed, WantedConversation};
use super::walk::hand_on;
use super::walked_stream::{Look, WalkedStream};
use crate::error::{Error, Result};
use crate::extract::counted::counted;
use crate::extract::pool::pipe;
use crate::streams::WalkStream;

impl Streams<'_> {
    /// Reads the children that earlier runs missed, and those that have been
    /// gone for a day.
    pub(super) fn read_missed(&mut self) -> Result<()> {
        let now = self.run.started_at()?;
        let [users, conversations] = [ChildKind::User, ChildKind::Conversation].map(|kind| {
            let lanes = self.lanes.iter().filter(|lane| lane.wants(kind));
            let ledgers = lanes.map(|lane| &lane.ledger);
            let mut ids = BTreeSet::new();
            for ledger in ledgers {
                ids.extend(ledger.missed(kind).cloned());
                for id in ledger.due(kind, now) {
                    ids.insert(id.clone());
                    let id = id.clone();
                    self.due.insert(Child { kind, id });
                }
            }
            ids
        });
        if users.is_empty() && conversations.is_empty() {
            return Ok(());
        }
        log::info!(
            "walk: first requesting {} and {} that earlier runs could not read",
            counted(users.len() as u64, ChildKind::User.noun()),
            counted(conversations.len() as u64, ChildKind::Conversation.noun())
        );
        self.asked_users.extend(users.iter().cloned());
        self.read_users(users.into_iter().collect(), false)?;
        let conversations = conversations.into_iter();
        let unread: Vec<_> = conversations.filter(|id| self.seen.insert(id)).collect();
        let wanted = unread.into_iter().map(|id| WantedConversation {
            id,
            user: None,
            itself: true,
        });
        self.read_conversations(wanted.collect(), false)?;
        let lanes = self.lanes.iter().filter(|lane| lane.moves());
        let noted: Vec<_> = lanes.map(|lane| (lane.name(), lane.noted())).collect();
        Ok(self.run.output.checkpoint_all(noted)?)
    }

    /// Requests once more the children that were not found. If they are still
    /// not found, they are gone.
    pub(super) fn look_again(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let mut waiting = mem::take(&mut self.waiting);
            // A stream that failed requests nothing more.
            waiting.retain(|child, _| {
                let mut lanes = self.lanes.iter().filter(|lane| lane.error.is_none());
                lanes.any(|lane| lane.ledger.from(child).is_some())
            });
            self.second = waiting.keys().cloned().collect();
            let (users, conversations): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|(child, _)| child.kind == ChildKind::User);
            let users = users.into_iter().map(|(child, _)| child.id).collect();
            self.read_users(users, true)?;
            let conversations = conversations.into_iter().map(|(_, wanted)| wanted);
            self.read_conversations(conversations.collect(), true)?;
        }
        Ok(())
    }

    /// Reads the lists of these users, and all conversations in them that were
    /// not requested yet.
    fn read_users(&mut self, users: Vec<String>, again: bool) -> Result<()> {
        if users.is_empty() {
            return Ok(());
        }
        self.lanes.iter_mut().for_each(|lane| lane.begin(&users));
        let reading = self.reading;
        let fetch = reading.fetch(&self.lanes, again);
        let mut seen = mem::take(&mut self.seen);
        fetch.run(
            |hand_over| {
                pipe(
                    reading.workers,
                    |tasks| users.into_iter().try_for_each(tasks),
                    |user, found| reading.lists.read(&user, found),
                    |found| hand_on(found, &mut seen, hand_over),
                )
            },
            |part| self.take(part),
        )?;
        self.seen = seen;
        Ok(())
    }

    /// Reads these conversations.
    fn read_conversations(&mut self, wanted: Vec<WantedConversation>, again: bool) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        self.lanes.iter_mut().for_each(|lane| lane.begin(&[]));
        let fetch = self.reading.fetch(&self.lanes, again);
        let items: Vec<_> = wanted.into_iter().map(Item::Conversation).collect();
        fetch.run(
            |hand_over| items.into_iter().try_for_each(hand_over),
            |part| self.take(part),
        )
    }

    /// Handles the end of a user's list. During the walk, a user who was gone
    /// stays so until the day is over, because the user's conversations must be
    /// read from an earlier time.
    pub(super) fn listed(&mut self, user: String) {
        if self.is_walking {
            self.users.answer();
            return;
        }
        let child = Child::user(&user);
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.ledger.settle(&child));
    }

    /// Handles a child that can't be read.
    pub(super) fn miss(&mut self, missed: Missed) -> Result<()> {
        let Missed {
            part,
            id,
            user,
            answered,
            partly,
            error,
        } = missed;
        if !error.is_of_request() {
            return Err(error);
        }
        let kind = match part {
            WalkStream::Lists => ChildKind::User,
            WalkStream::Conversations | WalkStream::Messages => ChildKind::Conversation,
        };
        let child = Child { kind, id };
        let look = match () {
            () if self.second.contains(&child) => Look::Second,
            () if self.due.contains(&child) => Look::DayLater,
            () => Look::First,
        };
        // If a conversation isn't found, its messages aren't requested.
        let concerns = |lane: &WalkedStream| match part {
            WalkStream::Lists => true,
            WalkStream::Conversations if error.is_absent() => lane.wants(kind),
            part => lane.reads(part),
        };
        let is_gone = error.is_absent() && look == Look::Second && !partly;
        if is_gone && part != WalkStream::Messages {
            let status = error.status().unwrap_or_default();
            self.run.deleted(kind.entity(), &child.id, status)?;
            self.users_gone += u64::from(kind == ChildKind::User);
        }
        let mut waits = false;
        let lanes = self.lanes.iter_mut();
        for lane in lanes.filter(|lane| lane.error.is_none() && concerns(lane)) {
            waits |= lane.miss(&child, part, &error, partly, look);
        }
        if waits {
            let wanted = WantedConversation {
                id: child.id.clone(),
                user,
                itself: !answered,
            };
            self.waiting.insert(child, wanted);
        }
        self.count(part, &error, concerns)
    }

    /// Counts a failed child of the walk for its endpoint, and gives up the
    /// endpoint if continuing is pointless.
    fn count(
        &mut self,
        part: WalkStream,
        error: &Error,
        concerns: impl Fn(&WalkedStream) -> bool,
    ) -> Result<()> {
        if !self.is_walking {
            return Ok(());
        }
        if part == WalkStream::Lists {
            let Some(given_up) = self.users.miss(error) else {
                return Ok(());
            };
            return self.end(given_up);
        }
        let lanes = self.lanes.iter_mut();
        let mut failed = false;
        for lane in lanes.filter(|lane| lane.error.is_none() && concerns(lane)) {
            if let Some(given_up) = lane.tally.miss(error) {
                lane.give_up(given_up)?;
                failed = true;
            }
        }
        self.stop_endpoint(part, failed)
    }

    /// Ends all streams, because the users' lists can't be read.
    ///
    /// # Errors
    /// The reason.
    fn end(&mut self, given_up: GivenUp) -> Result<()> {
        let error = match given_up {
            GivenUp::Broken(error) => {
                self.lanes.iter_mut().for_each(WalkedStream::stay);
                error
            }
            GivenUp::Outage(error) => {
                self.lanes.iter().try_for_each(WalkedStream::keep_missed)?;
                error
            }
        };
        Err(error)
    }

    /// Tells broken endpoints from broken children.
    ///
    /// # Errors
    /// If the users' lists can't be read, which ends all streams.
    pub(super) fn judge(&mut self) -> Result<()> {
        let worked = self.lanes.iter().any(WalkedStream::was_complete);
        if let Err(error) = self.users.judge(worked) {
            return self.end(GivenUp::Broken(error));
        }
        self.lanes.iter_mut().for_each(WalkedStream::judge);
        match self.lanes.iter().all(|lane| lane.error.is_some()) {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }
}
