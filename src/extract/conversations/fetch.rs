//! From conversation ids to conversations and their messages: the one function
//! behind every way to find the ids.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::extract::list::past_the_end;
use crate::extract::pool::{HandOver, pipe};
use crate::freshchat::{Api, Get, Link, Page, Shape};
use crate::streams::WalkStream;

/// "A maximum of 50 message objects can be displayed in each page" (API
/// document, "List messages in a conversation").
const MOST_ITEMS: u32 = 50;

/// A conversation of more pages than this repeats itself without end.
const MOST_PAGES: u64 = 100_000;

/// What a finder of conversations hands over: an id, or something of its own
/// that keeps its place among the records, such as a checkpoint.
pub enum Item<T> {
    Conversation(String),
    Other(T),
}

/// What becomes of it, in the same order.
pub enum Part<T> {
    Conversation {
        id: String,
        page: Page,
    },
    /// Some messages of a conversation. Its pages come one after the other,
    /// the newest first; a message that arrives meanwhile moves the others
    /// down, so that some may come again, and none is missed.
    Messages {
        conversation: String,
        page: Page,
    },
    /// A conversation, or what is left of its messages, that can't be read.
    Missed(WalkStream, Error),
    Other(T),
}

/// What to read of each conversation.
pub struct Fetch<'a> {
    pub workers: usize,
    pub conversations: Option<Endpoint<'a>>,
    pub messages: Option<Endpoint<'a>>,
    /// As RFC 3339: messages created before it aren't asked for.
    pub from_time: String,
    pub page_size: u32,
}

/// One endpoint, until it is given up.
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

impl Fetch<'_> {
    /// Reads each conversation whose id `find` hands over, with up to `workers`
    /// requests under way, and calls `consume` with what it read, in the order
    /// of the ids. `find` hands over no id twice.
    ///
    /// # Errors
    /// Those of `consume` and `find`; an answer that is an error is a part.
    pub fn run<T: Send>(
        &self,
        find: impl FnOnce(&mut HandOver<Item<T>>) -> Result<()> + Send,
        consume: impl FnMut(Part<T>) -> Result<()>,
    ) -> Result<()> {
        pipe(
            self.workers,
            find,
            |item, hand_over| match item {
                Item::Conversation(id) => self.read(id, hand_over),
                Item::Other(other) => hand_over(Part::Other(other)),
            },
            consume,
        )
    }

    /// Calls for a conversation whose messages fit a page.
    pub fn calls_each(&self) -> usize {
        usize::from(self.conversations.is_some()) + usize::from(self.messages.is_some())
    }

    /// Gives up one of the endpoints.
    pub fn stop(&self, stream: WalkStream) {
        let endpoint = match stream {
            WalkStream::Lists => &None,
            WalkStream::Conversations => &self.conversations,
            WalkStream::Messages => &self.messages,
        };
        if let Some(endpoint) = endpoint {
            endpoint.stopped.store(true, Ordering::Relaxed);
        }
    }

    fn read<T>(&self, id: String, hand_over: &mut HandOver<Part<T>>) -> Result<()> {
        if let Some(api) = running(&self.conversations) {
            let get = Get::of("conversations/{id}", &id);
            match api.get(&get, |body| Page::parse(body, Shape::Single(""))) {
                Ok(page) => hand_over(Part::Conversation {
                    id: id.clone(),
                    page,
                })?,
                Err(error) => {
                    let gone = error.status() == Some(404);
                    hand_over(Part::Missed(WalkStream::Conversations, error))?;
                    if gone {
                        return Ok(());
                    }
                }
            }
        }
        match running(&self.messages) {
            Some(api) => self.read_messages(api, &id, hand_over),
            None => Ok(()),
        }
    }

    fn read_messages<T>(
        &self,
        api: &Api,
        id: &str,
        hand_over: &mut HandOver<Part<T>>,
    ) -> Result<()> {
        let mut asked = Asked {
            page: 1,
            items: self.page_size.min(MOST_ITEMS),
            from_time: self.from_time.clone(),
        };
        loop {
            let read = api.get(&asked.get(id), |body| {
                Page::parse(body, Shape::List("messages"))
            });
            let mut page = match past_the_end(asked.page, read) {
                Ok(page) => page.unwrap_or_default(),
                Err(error) => return hand_over(Part::Missed(WalkStream::Messages, error)),
            };
            // Where there are no messages, there are no older ones either.
            let next = page.next.take().filter(|_| !page.is_empty());
            hand_over(Part::Messages {
                conversation: id.to_owned(),
                page,
            })?;
            let Some(link) = next else {
                return Ok(());
            };
            asked = match asked.follow(id, link) {
                Ok(asked) => asked,
                Err(error) => return hand_over(Part::Missed(WalkStream::Messages, error)),
            };
        }
    }
}

fn running<'a>(endpoint: &Option<Endpoint<'a>>) -> Option<&'a Api<'a>> {
    let endpoint = endpoint.as_ref()?;
    (!endpoint.stopped.load(Ordering::Relaxed)).then_some(endpoint.api)
}

/// One page of a conversation's messages.
struct Asked {
    page: u64,
    items: u32,
    from_time: String,
}

impl Asked {
    fn get(&self, id: &str) -> Get {
        Get::of("conversations/{id}/messages", id)
            .with("from_time", &self.from_time)
            .with("page", self.page)
            .with("items_per_page", self.items)
    }

    /// The page that the answer's link leads to. A link that leads back, or
    /// nowhere, would lose the messages behind it.
    fn follow(&self, id: &str, link: Link) -> Result<Self> {
        let further = link
            .page
            .filter(|page| (self.page + 1..=MOST_PAGES).contains(page));
        let page = further.ok_or_else(|| Error::Unexpected {
            request: format!("GET conversations/{id}/messages"),
            problem: match link.page {
                Some(page) => format!("page {} links to page {page} as the next", self.page),
                None => format!("the link of page {} names no page", self.page),
            },
        })?;
        Ok(Self {
            page,
            items: link.items_per_page.unwrap_or(self.items),
            from_time: link.from_time.unwrap_or_else(|| self.from_time.clone()),
        })
    }
}
