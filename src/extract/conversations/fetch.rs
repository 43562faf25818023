//! Reads conversations and their messages, given the ids, however these were
//! found.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::rounds::{self, Pages, PastEnd};
use crate::error::{Error, Result};
use crate::extract::pool::{HandOver, pipe};
use crate::freshchat::{Api, Get, Page, Shape};
use crate::json::Object;
use crate::streams::WalkStream;

/// "A maximum of 50 message objects can be displayed in each page" (API
/// document, "List messages in a conversation").
const MOST_ITEMS: u32 = 50;

const MESSAGES: &str = "conversations/{id}/messages";

/// What a finder hands over: a conversation, or something else that must keep
/// its position among the records, such as a checkpoint.
pub enum Item<T> {
    Conversation(WantedConversation),
    Other(T),
}

/// A conversation to read.
pub struct WantedConversation {
    pub id: String,
    /// The user in whose list it was found, if any.
    pub user: Option<String>,
    /// Whether to read the conversation itself too, and not only its messages.
    pub itself: bool,
}

/// The results, in the same order.
pub enum FetchPart<T> {
    Conversation {
        id: String,
        user: Option<String>,
        page: Page,
    },
    /// Messages of a conversation, each once. The pages of a conversation are
    /// consecutive.
    Messages {
        conversation: String,
        page: Page,
    },
    /// All messages of this conversation were handed over.
    MessagesRead(String),
    Missed(Missed),
    Other(T),
}

/// A user's list, a conversation or its messages that can't be read.
pub struct Missed {
    pub part: WalkStream,
    /// The id of the user or the conversation.
    pub id: String,
    /// The user in whose list the conversation was found, as in [`WantedConversation`].
    pub user: Option<String>,
    /// For messages: whether the conversation itself was found.
    pub answered: bool,
    /// Whether the first page could be read.
    pub partly: bool,
    pub error: Error,
}

/// What to read of each conversation.
pub struct Fetch<'a> {
    pub workers: usize,
    pub endpoints: &'a Endpoints<'a>,
    /// In RFC 3339. Messages created earlier aren't requested, ...
    pub from_time: String,
    /// ... except for these conversations, if their time is earlier.
    pub from_times: HashMap<String, String>,
    /// Whether to request the conversation even if only its messages are
    /// wanted, to tell whether a conversation without messages is gone.
    pub always_itself: bool,
    pub page_size: u32,
}

/// The endpoints of conversations, if a stream uses them.
pub struct Endpoints<'a> {
    pub conversations: Option<Endpoint<'a>>,
    pub messages: Option<Endpoint<'a>>,
    /// Whether any page of messages had no link to a further one.
    pub links_tell: AtomicBool,
}

/// An endpoint, until it is given up.
pub struct Endpoint<'a> {
    api: &'a Api<'a>,
    stopped: AtomicBool,
}

impl<'a> Endpoint<'a> {
    pub fn new(api: &'a Api<'a>) -> Self {
        Self {
            api,
            stopped: AtomicBool::new(false),
        }
    }
}

impl Endpoints<'_> {
    /// The number of calls for a conversation whose messages fit one page.
    pub fn calls_each(&self) -> usize {
        usize::from(self.conversations.is_some()) + usize::from(self.messages.is_some())
    }

    /// Gives up one of the endpoints.
    pub fn stop(&self, part: WalkStream) {
        let endpoint = match part {
            WalkStream::Lists => &None,
            WalkStream::Conversations => &self.conversations,
            WalkStream::Messages => &self.messages,
        };
        if let Some(endpoint) = endpoint {
            endpoint.stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl Fetch<'_> {
    /// Reads each conversation that `find` hands over, with up to `workers`
    /// concurrent requests, and calls `consume` with the results in order.
    /// `find` must not hand over a conversation twice.
    ///
    /// # Errors
    /// Those of `consume` and `find`. An error answer is passed on as a part.
    pub fn run<T: Send>(
        &self,
        find: impl FnOnce(&mut HandOver<Item<T>>) -> Result<()> + Send,
        consume: impl FnMut(FetchPart<T>) -> Result<()>,
    ) -> Result<()> {
        pipe(
            self.workers,
            find,
            |item, hand_over| match item {
                Item::Conversation(wanted) => self.read(wanted, hand_over),
                Item::Other(other) => hand_over(FetchPart::Other(other)),
            },
            consume,
        )
    }

    fn read<T>(
        &self,
        wanted: WantedConversation,
        hand_over: &mut HandOver<FetchPart<T>>,
    ) -> Result<()> {
        let WantedConversation { id, user, itself } = wanted;
        let messages = running(self.endpoints.messages.as_ref());
        let itself = match running(self.endpoints.conversations.as_ref()) {
            _ if !itself => None,
            None if self.always_itself => messages,
            conversations => conversations,
        };
        let mut answered = false;
        if let Some(api) = itself {
            let get = Get::of("conversations/{id}", &id);
            match api.get(&get, parse_conversation) {
                Ok(page) => {
                    answered = true;
                    let (id, user) = (id.clone(), user.clone());
                    hand_over(FetchPart::Conversation { id, user, page })?;
                }
                Err(error) => {
                    let absent = error.is_absent();
                    hand_over(FetchPart::Missed(Missed {
                        part: WalkStream::Conversations,
                        id: id.clone(),
                        user: user.clone(),
                        answered,
                        partly: false,
                        error,
                    }))?;
                    if absent {
                        return Ok(());
                    }
                }
            }
        }
        match messages {
            Some(api) => self.read_messages(api, id, user, answered, hand_over),
            None => Ok(()),
        }
    }

    fn read_messages<T>(
        &self,
        api: &Api,
        id: String,
        user: Option<String>,
        answered: bool,
        hand_over: &mut HandOver<FetchPart<T>>,
    ) -> Result<()> {
        let items = self.page_size.min(MOST_ITEMS);
        let from_time = self.from_times.get(&id).unwrap_or(&self.from_time);
        let get = |number| {
            let get = Get::of(MESSAGES, &id)
                .with("from_time", from_time)
                .with("page", number)
                .with("items_per_page", items);
            let list = Shape::List("messages");
            api.get(&get, |body| Page::parse(body, list))
        };
        let first = get(1);
        let partly = first.is_ok();
        let ended = match first {
            Ok(first) => {
                // The link's address is up to the server and may point to any
                // page. Another page size or start would shift the pages.
                let pages = Pages {
                    name: MESSAGES,
                    get: &get,
                    goes_on: &|page, _, _| self.goes_on(page),
                    past_end: &|| self.past_end(),
                };
                let mut hand_on = |page| {
                    hand_over(FetchPart::Messages {
                        conversation: id.clone(),
                        page,
                    })
                };
                rounds::read(&pages, first, &mut hand_on)?
            }
            Err(error) => Some(error),
        };
        hand_over(match ended {
            None => FetchPart::MessagesRead(id),
            Some(error) => FetchPart::Missed(Missed {
                part: WalkStream::Messages,
                id,
                user,
                answered,
                partly,
                error,
            }),
        })
    }

    /// Whether a page of messages announces a further one.
    fn goes_on(&self, page: &Page) -> bool {
        if !page.has_next && !page.is_empty() {
            self.endpoints.links_tell.store(true, Ordering::Relaxed);
        }
        page.has_next && !page.is_empty()
    }

    /// What an error means on a page that was announced. If every page
    /// announces a further one, the announcement means nothing.
    fn past_end(&self) -> PastEnd {
        match self.endpoints.links_tell.load(Ordering::Relaxed) {
            true => PastEnd::Error,
            false => PastEnd::EndIfTwice,
        }
    }
}

fn running<'a>(endpoint: Option<&Endpoint<'a>>) -> Option<&'a Api<'a>> {
    let endpoint = endpoint?;
    (!endpoint.stopped.load(Ordering::Relaxed)).then_some(endpoint.api)
}

/// A conversation contains its id, or at least its channel. Anything else is
/// not a conversation, such as `{}` or an error with status 200.
fn parse_conversation(body: String) -> serde_json::Result<Page> {
    let page = Page::parse(body, Shape::Single(""))?;
    let named = ["conversation_id", "id", "channel_id"];
    let is_one = |record: Object| {
        let values = named.iter().filter_map(|name| record.get(name));
        values.into_iter().any(|value| value != "null")
    };
    if !page.records().all(is_one) {
        return Err(serde::de::Error::custom(
            "the answer is not a conversation: it has no `conversation_id`",
        ));
    }
    Ok(page)
}
