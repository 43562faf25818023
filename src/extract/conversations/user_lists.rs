//! The list of a user's conversations (API document, "Retrieve all
//! conversations for a user"). The document knows of no pages; an account may
//! have them all the same, announced or not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::progress::Position;
use super::rounds::{self, Pages, PastEnd};
use crate::error::{Error, Result};
use crate::extract::pool::HandOver;
use crate::freshchat::{Api, Get, Page, Shape};

const ENDPOINT: &str = "users/{id}/conversations";

/// No page is capped at fewer conversations.
const SHORTEST_PAGE: usize = 10;

/// What a walk finds beside the ids of conversations.
pub enum Found {
    /// A page of the list of a user's conversations, each once.
    List { user: String, page: Page },
    /// The whole list of this user came.
    Listed { user: String },
    /// A user whose list can't be read, or not to its end.
    Missed {
        user: String,
        /// Whether the first page answered.
        partly: bool,
        error: Error,
    },
    /// Everything up to here was found.
    Checkpoint(Position),
}

/// The lists of all users.
pub struct UserLists<'a> {
    api: &'a Api<'a>,
    /// Number of conversations in the longest first page so far. Where lists
    /// come in pages, these are no shorter.
    longest: AtomicUsize,
}

impl<'a> UserLists<'a> {
    pub fn new(api: &'a Api<'a>) -> Self {
        Self {
            api,
            longest: AtomicUsize::new(SHORTEST_PAGE),
        }
    }

    /// Hands over a user's list, each conversation once, and its end.
    ///
    /// # Errors
    /// Nobody takes it any more. An answer that is an error is handed over.
    pub fn read(&self, user: &str, hand_over: &mut HandOver<Found>) -> Result<()> {
        let missed = |partly, error| Found::Missed {
            user: user.to_owned(),
            partly,
            error,
        };
        let first = match self.page(user, 1) {
            Ok(first) => first,
            Err(error) => return hand_over(missed(false, error)),
        };
        // A list that is as long as a page may be one, whatever lists before
        // showed: those may all have fit a page.
        let unannounced = first.len() >= self.longest.fetch_max(first.len(), Ordering::Relaxed)
            && !announces(&first, 1, first.len());
        let pages = Pages {
            name: ENDPOINT,
            get: &|number| self.page(user, number),
            goes_on: &|page, number, records| {
                unannounced && !page.is_empty() || announces(page, number, records)
            },
            past_end: &|| match unannounced {
                true => PastEnd::Unannounced,
                false => PastEnd::Error,
            },
        };
        let mut hand_on = |page| {
            hand_over(Found::List {
                user: user.to_owned(),
                page,
            })
        };
        let ended = rounds::read(&pages, first, &mut hand_on)?;
        hand_over(match ended {
            None => Found::Listed {
                user: user.to_owned(),
            },
            Some(error) => missed(true, error),
        })
    }

    /// The first page is asked for as documented, without parameters; so the
    /// others have its length if only their number is asked for.
    fn page(&self, user: &str, number: u64) -> Result<Page> {
        let mut get = Get::of(ENDPOINT, user);
        if number > 1 {
            get = get.with("page", number);
        }
        let parse = |body| Page::parse(body, Shape::List("conversations"))?.of_objects();
        self.api.get(&get, parse)
    }
}

/// Whether an answer says that there is a page behind this one.
fn announces(page: &Page, number: u64, records: usize) -> bool {
    let pagination = page.pagination.unwrap_or_default();
    page.has_next
        || pagination.pages().is_some_and(|pages| pages > number)
        || pagination
            .total_items
            .is_some_and(|total| total > records as u64)
}
