//! A stream of the walk: writes its records, and tracks what can't be read.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::ROOM_FOR_MISSED;
use super::children::{Child, ChildKind, Ledger};
use super::endpoint_tally::{EndpointTally, GivenUp};
use super::known::{Known, is_lacking};
use super::plan::{self, Discovery, Plan};
use super::progress::WalkProgress;
use crate::error::{Error, Result};
use crate::extract::Sink;
use crate::extract::counted::counted;
use crate::extract::window::Window;
use crate::freshchat::{Page, clock};
use crate::singer::Bookmark;
use crate::streams::WalkStream;
use crate::timestamp;

/// A stream of the walk.
pub struct WalkedStream<'a> {
    pub part: WalkStream,
    sink: Sink<'a>,
    /// The time of the records to write, if known.
    window: Window,
    /// The time from which the current children are read. It is earlier than
    /// the window if an earlier run missed them.
    from: DateTime<Utc>,
    plan: &'a Plan,
    /// Whether the window ends before the walk, so that later records are
    /// skipped.
    bounded: bool,
    pub ledger: Ledger,
    /// The answers for the conversations of the walk.
    pub tally: EndpointTally,
    /// The error that ended the stream.
    pub error: Option<Error>,
    /// The bookmark at the start of the run, to restore if `stays` is set.
    found: Bookmark,
    stays: bool,
    /// More children are missed than the state can hold, so the bookmark
    /// doesn't move.
    pub is_full: bool,
    /// The error of the last child that could not be read.
    last_miss: Option<Error>,
    /// The number of conversations that are gone.
    gone: u64,
    /// The number of conversations that are found, but whose messages are not.
    silent: u64,
    /// The number of conversations that name no user, if the stream needs the
    /// user.
    userless: u64,
    /// The last of these.
    nameless: Option<String>,
}

/// Why a child is requested.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    First,
    /// The child was gone a day ago.
    DayLater,
    /// The child already answered 404 or 410 in this run.
    Second,
}

impl<'a> WalkedStream<'a> {
    /// A stream that wants the records in `window`.
    ///
    /// # Errors
    /// If the missed children in its bookmark can't be parsed.
    pub fn new(part: WalkStream, sink: Sink<'a>, window: Window, plan: &'a Plan) -> Result<Self> {
        let WalkProgress { started_at, to, .. } = plan.progress;
        let stream = sink.stream.name;
        let found = sink.run.output.bookmark(stream);
        let ledger = Ledger::read(&found);
        Ok(Self {
            part,
            sink,
            window: Window { to, ..window },
            from: window.from,
            plan,
            bounded: to < started_at,
            ledger: ledger.map_err(|problem| Error::BadBookmark { stream, problem })?,
            tally: EndpointTally::default(),
            error: None,
            found,
            stays: false,
            is_full: false,
            last_miss: None,
            gone: 0,
            silent: 0,
            userless: 0,
            nameless: None,
        })
    }

    pub fn name(&self) -> &'static str {
        self.sink.stream.name
    }

    /// Whether the stream's records come from the answers for this part.
    /// Without users' lists, a conversation's users are read from the
    /// conversation itself.
    pub fn reads(&self, part: WalkStream) -> bool {
        let names_users = part == WalkStream::Conversations && self.plan.by == Discovery::Reports;
        part == self.part || names_users && self.part == WalkStream::Lists
    }

    /// Whether the stream needs children of this kind.
    pub fn wants(&self, kind: ChildKind) -> bool {
        match kind {
            ChildKind::User => true,
            ChildKind::Conversation => {
                self.reads(WalkStream::Conversations) || self.reads(WalkStream::Messages)
            }
        }
    }

    /// Sets the time to read from: the start of the window, or the time when
    /// these users were missed, if that is earlier.
    pub fn begin(&mut self, users: &[String]) {
        let missed = users.iter();
        let missed = missed.filter_map(|id| self.ledger.from(&Child::user(id)));
        self.from = missed.fold(self.window.from, DateTime::min);
    }

    /// The time from which records are wanted, as in a request.
    pub fn asked_from(&self) -> String {
        timestamp::format(self.from)
    }

    /// The conversations whose records are wanted from an earlier time.
    pub fn asked_earlier(&self) -> impl Iterator<Item = (String, String)> {
        let earlier = self.ledger.conversations();
        let earlier = earlier.filter(|(_, from)| *from < self.from);
        earlier.map(|(id, from)| (id.clone(), timestamp::format(from)))
    }

    /// Writes a user's list of conversations.
    pub fn list(&mut self, user: &str, page: &Page) -> Result<()> {
        let user = Value::from(user).to_string();
        self.sink.begin(page.read_at);
        for record in page.records() {
            let id = Known::of(record).id.unwrap_or("null");
            let added = [("user_id", user.as_str()), ("conversation_id", id)];
            self.sink.record(record, &added)?;
        }
        self.sink.end()
    }

    /// Writes a conversation, which was found in the list of `user`, if given.
    /// It is written whatever its `updated_time`, because it is undocumented
    /// which changes update that.
    pub fn conversation(&mut self, id: &str, user: Option<&str>, page: &Page) -> Result<()> {
        let id = Value::from(id).to_string();
        let user = user.map(|user| Value::from(user).to_string());
        self.sink.begin(page.read_at);
        for record in page.records() {
            let known = Known::of(record);
            if self.part == WalkStream::Lists {
                let users = known.users();
                self.userless += u64::from(users.is_empty());
                self.listed(&id, &users)?;
                self.nameless = users.is_empty().then(|| id.clone());
                continue;
            }
            let mut added = known.lacks_conversation(&id);
            if let Some(user) = user.as_deref().filter(|_| is_lacking(known.user_id)) {
                added.push(("user_id", user));
            }
            self.sink.record(record, &added)?;
        }
        self.sink.end()
    }

    /// Writes the users of a conversation from its messages, if the
    /// conversation itself didn't contain them.
    pub fn user_of(&mut self, conversation: &str, page: &Page) -> Result<()> {
        let id = Value::from(conversation).to_string();
        if self.nameless.as_ref() != Some(&id) {
            return Ok(());
        }
        let mut users = page.records().map(|record| Known::of(record).users());
        if let Some(users) = users.find(|users| !users.is_empty()) {
            (self.nameless, self.userless) = (None, self.userless - 1);
            self.sink.begin(page.read_at);
            self.listed(&id, &users)?;
            return self.sink.end();
        }
        Ok(())
    }

    /// Adds a conversation of these users. All ids are JSON.
    fn listed(&mut self, conversation: &str, users: &[String]) -> Result<()> {
        let listed = format!("{{\"id\":{conversation}}}");
        users.iter().try_for_each(|user| {
            let added = [
                ("user_id", user.as_str()),
                ("conversation_id", conversation),
            ];
            self.sink.json(&listed, &added)
        })
    }

    /// Writes messages of a conversation.
    pub fn messages(&mut self, conversation: &str, page: &Page) -> Result<()> {
        let id = Value::from(conversation).to_string();
        self.sink.begin(page.read_at);
        for record in page.records() {
            let known = Known::of(record);
            if self.takes(known.created_time) {
                self.sink.record(record, &known.lacks_conversation(&id))?;
            }
        }
        self.sink.end()
    }

    /// Whether a message of this time belongs to the stream. A message without
    /// a time does. The lower bound needs no check, because it is in the
    /// request.
    fn takes(&self, time: Option<&str>) -> bool {
        if !self.bounded {
            return true;
        }
        let time = time.and_then(timestamp::from_json);
        time.is_none_or(|time| time < self.window.to)
    }

    /// Records that a child was read completely.
    pub fn answered(&mut self, child: &Child, is_walking: bool) {
        self.ledger.settle(child);
        if is_walking {
            self.tally.answer();
        }
    }

    /// Records that a child can't be read, or only `partly`. Returns true if it
    /// answered 404 or 410 for the first time, and must be requested once more.
    pub fn miss(
        &mut self,
        child: &Child,
        part: WalkStream,
        error: &Error,
        partly: bool,
        look: Look,
    ) -> bool {
        let is_first = look == Look::First && !self.ledger.is_gone(child);
        if !error.is_absent() || partly && !is_first {
            self.ledger.miss(child, self.from);
            self.last_miss = Some(error.clone());
            return false;
        }
        match (look, self.ledger.is_gone(child)) {
            (Look::First, true) => false,
            (Look::DayLater, true) => {
                self.ledger.settle(child);
                false
            }
            (Look::Second, _) => {
                self.ledger.lose(child, clock::now());
                match (child.kind, part) {
                    (ChildKind::User, _) => {}
                    (_, WalkStream::Messages) => self.silent += 1,
                    _ => self.gone += 1,
                }
                false
            }
            (Look::First | Look::DayLater, false) => {
                self.ledger.miss(child, self.from);
                self.last_miss = Some(error.clone());
                true
            }
        }
    }

    /// Ends the stream before the end of the walk.
    ///
    /// # Errors
    /// If stdout can't be written to.
    pub fn give_up(&mut self, given_up: GivenUp) -> Result<()> {
        match given_up {
            GivenUp::Broken(error) => {
                self.error = Some(error);
                self.stays = true;
            }
            GivenUp::Outage(error) => {
                self.error = Some(error);
                self.keep_missed()?;
            }
        }
        Ok(())
    }

    /// Adds the missed children to the current bookmark. The next run requests
    /// them first, and not again when it continues the walk. Without room for
    /// them, the next run finds them again by itself.
    ///
    /// # Errors
    /// If stdout can't be written to.
    pub fn keep_missed(&self) -> Result<()> {
        let (output, stream) = (self.sink.run.output, self.name());
        let mut bookmark = output.bookmark(stream);
        if self.is_full || self.ledger.size() > ROOM_FOR_MISSED {
            return Ok(());
        }
        let added = self.ledger.add_missed(&mut bookmark);
        added.map_err(|problem| Error::BadBookmark { stream, problem })?;
        Ok(output.checkpoint(stream, bookmark)?)
    }

    /// Judges the endpoint at the end of a walk. If it is broken, the stream
    /// ends.
    pub fn judge(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.tally.judge(plan::was_complete(&self.found))
        {
            self.error = Some(error);
            self.stays = true;
        }
    }

    /// Restores the bookmark from the start of the run.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// Whether an earlier walk completed the stream.
    pub fn was_complete(&self) -> bool {
        plan::was_complete(&self.found)
    }

    /// The bookmark to restore, if the findings of this run are invalid.
    pub fn found(&self) -> Option<&Bookmark> {
        self.stays.then_some(&self.found)
    }

    /// Whether the bookmark moves with the walk.
    pub fn moves(&self) -> bool {
        self.error.is_none() && !self.is_full && !self.stays
    }

    /// The stream's current bookmark, including missed children.
    pub fn noted(&self) -> Bookmark {
        let mut bookmark = self.sink.run.output.bookmark(self.name());
        self.ledger.write(&mut bookmark);
        bookmark
    }

    /// The stream's bookmark, moved to the walk's position, or to the end if
    /// the walk is complete.
    pub fn bookmark(&mut self, walk: &WalkProgress, complete: bool) -> Bookmark {
        let lists_come_with_users =
            self.part == WalkStream::Lists && self.plan.by == Discovery::Users;
        if complete && lists_come_with_users {
            self.ledger.forget_conversations();
        }
        let mut bookmark = self.noted();
        match complete {
            true => self.plan.complete(&mut bookmark, self.sink.stream),
            false => walk.write(&mut bookmark, self.window.from),
        }
        bookmark
    }

    /// Whether some children were missed.
    pub fn is_partial(&self) -> bool {
        self.ledger.size() > 0
    }

    /// Logs what was skipped, and returns the error that ended the stream
    /// alone, if it isn't complete. `is_cut_short` means that something ended
    /// all streams.
    pub fn close(self, is_cut_short: bool) -> Option<Error> {
        let stream = self.name();
        if self.userless > 0 {
            let userless = counted(self.userless, "conversation");
            log::warn!(stream; "{userless} without a user");
        }
        if self.gone > 0 {
            let gone = counted(self.gone, "conversation");
            log::warn!(stream; "{gone} no longer found (404 or 410)");
        }
        if self.silent > 0 {
            log::warn!(
                stream;
                "messages not found (404 or 410) for {}; a run a day later requests them \
                 again",
                counted(self.silent, "conversation")
            );
        }
        if self.error.is_some() || is_cut_short {
            return self.error;
        }
        let counts =
            [ChildKind::User, ChildKind::Conversation].map(|kind| (kind, self.ledger.count(kind)));
        let new = describe(counts.map(|(kind, (new, _))| (kind, new)));
        let known = describe(counts.map(|(kind, (_, known))| (kind, known)));
        let last = Box::new(self.last_miss.unwrap_or(Error::Stopped));
        if let Some(children) = known {
            log::warn!(
                stream;
                "{children} still can't be read, as in an earlier run; each run tries \
                 them again; the last answer: {last}"
            );
        }
        new.map(|children| match self.is_full {
            true => Error::TooManyMissed { children, last },
            false => Error::ChildrenMissed { children, last },
        })
    }
}

/// Describes the counts. `None` if all are zero.
fn describe(counts: [(ChildKind, usize); 2]) -> Option<String> {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<_> = counts
        .map(|(kind, count)| counted(count as u64, kind.noun()))
        .collect();
    (!words.is_empty()).then(|| words.join(" and "))
}
