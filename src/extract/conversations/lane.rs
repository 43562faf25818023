//! One stream of a walk: writes its records, and counts what can't be read.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::plan::{self, Discovery, Plan};
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::extract::Sink;
use crate::extract::seen::Seen;
use crate::extract::window::Window;
use crate::freshchat::Page;
use crate::singer::Bookmark;
use crate::streams::WalkStream;
use crate::timestamp;

/// After so many refusals and nothing else, the endpoint itself is refused.
const REFUSALS: u64 = 10;

/// A stream of the walk.
pub struct Lane<'a> {
    pub part: WalkStream,
    sink: Sink<'a>,
    /// The time of the records to write, as far as it is known.
    window: Window,
    by: Discovery,
    /// Whether the window ends before the walk, so that later records stay out.
    bounded: bool,
    pub tally: Tally,
    /// What ended the stream.
    pub error: Option<Error>,
    /// Conversations that name no user, where a user is what is read of them.
    userless: u64,
    /// The last such one.
    nameless: Option<String>,
    /// The conversation whose messages come, and which have come.
    conversation: String,
    messages: Seen,
}

/// How an endpoint answered for single objects.
#[derive(Default)]
pub struct Tally {
    pub answered: u64,
    gone: u64,
    refused: u64,
    refusal: Option<Error>,
}

/// The properties that the walk itself looks at.
#[derive(Default, Deserialize)]
struct Known<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    users: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    created_time: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_time: Option<&'a RawValue>,
}

impl<'a> Known<'a> {
    /// A record that can't be read so has no known property.
    fn of(record: &'a str) -> Self {
        serde_json::from_str(record).unwrap_or_default()
    }

    /// The ids of the users that it names, as JSON, each once.
    fn users(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Within<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            user_id: Option<&'a RawValue>,
        }
        let list = |list: Option<&'a RawValue>| -> Vec<Option<Within>> {
            let list = list.map_or("[]", RawValue::get);
            serde_json::from_str(list).unwrap_or_default()
        };
        let users = list(self.users).into_iter().filter_map(|user| user?.id);
        let of_messages = list(self.messages).into_iter();
        let of_messages = of_messages.filter_map(|message| message?.user_id);
        let mut ids: Vec<String> = Vec::new();
        for id in self.user_id.into_iter().chain(users).chain(of_messages) {
            let id = id.get();
            if !matches!(id, "null" | "\"\"") && !ids.iter().any(|own| own == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }
}

impl<'a> Lane<'a> {
    /// A stream whose records from `window` are wanted.
    pub fn new(part: WalkStream, sink: Sink<'a>, window: Window, plan: &Plan) -> Self {
        let Progress { started_at, to, .. } = plan.progress;
        Self {
            part,
            sink,
            window: Window { to, ..window },
            by: plan.by,
            bounded: to < started_at,
            tally: Tally::default(),
            error: None,
            userless: 0,
            nameless: None,
            conversation: String::new(),
            messages: Seen::default(),
        }
    }

    pub fn name(&self) -> &'static str {
        self.sink.stream.name
    }

    /// Whether its records are made from what answers for this part: where no
    /// lists are read, who has a conversation stands in the conversation.
    pub fn reads(&self, part: WalkStream) -> bool {
        let names_users = part == WalkStream::Conversations && self.by == Discovery::Reports;
        part == self.part || names_users && self.part == WalkStream::Lists
    }

    /// From where on records are wanted, as a request carries it.
    pub fn asked_from(&self) -> String {
        timestamp::format(self.window.from)
    }

    /// Writes the list of a user's conversations.
    pub fn list(&mut self, user: &str, page: &Page) -> Result<()> {
        let user = Value::from(user).to_string();
        self.sink.begin(page.read_at);
        for record in page.records() {
            let id = Known::of(record).id.map_or("null", RawValue::get);
            let added = [("user_id", user.as_str()), ("conversation_id", id)];
            self.sink.record(record, &added)?;
        }
        self.sink.end()
    }

    /// Writes what the stream has of a conversation.
    pub fn conversation(&mut self, id: &str, page: &Page) -> Result<()> {
        self.tally.answered += 1;
        let id = Value::from(id).to_string();
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
            // What the reports name has changed, whatever its time says, and no
            // later run may hear of it again.
            let by_time = self.by == Discovery::Users;
            if !by_time || self.takes(known.updated_time, true) {
                self.sink.record(
                    record,
                    with_conversation(&known, &[("conversation_id", &id)]),
                )?;
            }
        }
        self.sink.end()
    }

    /// Writes whose conversation it is, where the conversation before these
    /// messages of it didn't say so.
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

    /// Takes a conversation of these users; all ids are JSON.
    fn listed(&mut self, conversation: &str, users: &[String]) -> Result<()> {
        let listed = format!("{{\"id\":{conversation}}}");
        users.iter().try_for_each(|user| {
            let added = [
                ("user_id", user.as_str()),
                ("conversation_id", conversation),
            ];
            self.sink.record(&listed, &added)
        })
    }

    /// Writes messages of a conversation, each once.
    pub fn messages(&mut self, conversation: &str, page: &Page) -> Result<()> {
        self.tally.answered += 1;
        if self.conversation != conversation {
            conversation.clone_into(&mut self.conversation);
            self.messages.clear();
        }
        let id = Value::from(conversation).to_string();
        self.sink.begin(page.read_at);
        for record in page.records() {
            let known = Known::of(record);
            let repeated = known
                .id
                .is_some_and(|message| !self.messages.insert(message.get()));
            if !repeated && self.takes(known.created_time, false) {
                self.sink.record(
                    record,
                    with_conversation(&known, &[("conversation_id", &id)]),
                )?;
            }
        }
        self.sink.end()
    }

    /// Whether a record of this time belongs into the stream; one without a
    /// time does. Messages were asked for from a time on, which needs no look.
    fn takes(&self, time: Option<&RawValue>, from: bool) -> bool {
        if !from && !self.bounded {
            return true;
        }
        let time = time.and_then(|time| timestamp::from_json(time.get()));
        time.is_none_or(|time| {
            (!from || self.window.from <= time) && (!self.bounded || time < self.window.to)
        })
    }

    /// Whether everything that the walk found so far is written. As long as
    /// nothing but refusals came, the stream may yet turn out as unreadable.
    fn is_sound(&self) -> bool {
        self.error.is_none() && (self.tally.answered > 0 || self.tally.refused == 0)
    }

    /// The stream's bookmark, if it can be moved: on to the walk's place, or
    /// to its end when the walk is complete.
    pub fn bookmark(&self, walk: &Progress, complete: bool) -> Option<Bookmark> {
        if !self.is_sound() {
            return None;
        }
        let mut bookmark = self.sink.run.output.bookmark(self.name());
        if !complete {
            walk.write(&mut bookmark, self.window.from);
            return Some(bookmark);
        }
        plan::complete(&mut bookmark, self.sink.stream, walk.to);
        Some(bookmark)
    }

    /// What ended the stream, if it isn't complete; says what was skipped.
    pub fn close(self) -> Option<Error> {
        let of = format!("stream `{}`: of the conversations", self.name());
        if self.userless > 0 {
            log::warn!("{of}, {} name no user", self.userless);
        }
        self.error.or(self.tally.close(&of).err())
    }
}

/// The property to add to a record: only what it lacks.
fn with_conversation<'a, T>(known: &Known, added: &'a [T]) -> &'a [T] {
    match known.conversation_id {
        Some(_) => &[],
        None => added,
    }
}

impl Tally {
    /// Counts an object that is gone or refused.
    ///
    /// # Errors
    /// Any other error, and the first refusal when nothing else comes.
    pub fn miss(&mut self, error: Error) -> Result<()> {
        match error.status() {
            Some(404) => self.gone += 1,
            Some(403) => {
                self.refused += 1;
                if self.answered == 0 && self.refused >= REFUSALS {
                    return Err(error);
                }
                self.refusal.get_or_insert(error);
            }
            _ => return Err(error),
        }
        Ok(())
    }

    /// Says what was skipped.
    ///
    /// # Errors
    /// The refusal, where nothing else came.
    pub fn close(self, of: &str) -> Result<()> {
        if self.gone > 0 {
            log::warn!("{of}, {} are gone (404)", self.gone);
        }
        match self.refusal {
            Some(error) if self.answered == 0 => Err(error),
            Some(error) => {
                log::warn!("{of}, {} are refused to this token: {error}", self.refused);
                Ok(())
            }
            None => Ok(()),
        }
    }
}
