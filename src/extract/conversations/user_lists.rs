//! A user's list of conversations (API document, "Retrieve all conversations
//! for a user"). Pages are undocumented, but an account may have them,
//! announced or not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::progress::Position;
use super::rounds::{self, Pages, PastEnd};
use crate::error::{Error, Result};
use crate::extract::pool::HandOver;
use crate::freshchat::{Api, Get, Page, Shape};

const ENDPOINT: &str = "users/{id}/conversations";

/// No account caps its pages at fewer conversations.
const SHORTEST_PAGE: usize = 10;

/// What a walk finds beside the ids of conversations.
pub enum Found {
    /// A page of a user's list, with each conversation once.
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
    /// The number of conversations in the longest first page so far. If lists
    /// have pages, full ones are at least this long.
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
    /// If the receiver is gone. An error answer is handed over.
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
        // A list as long as a page may be just the first page, even if earlier
        // lists showed no pages: they may all have fit one.
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

    /// The first page is requested without parameters, as documented. Further
    /// pages have only a page number, so that their length is the same.
    fn page(&self, user: &str, number: u64) -> Result<Page> {
        let mut get = Get::of(ENDPOINT, user);
        if number > 1 {
            get = get.with("page", number);
        }
        let parse = |body| Page::parse(body, Shape::List("conversations"));
        self.api.get(&get, parse)
    }
}

/// Whether an answer announces a further page.
fn announces(page: &Page, number: u64, records: usize) -> bool {
    let pagination = page.pagination.unwrap_or_default();
    page.has_next
        || pagination.pages().is_some_and(|pages| pages > number)
        || pagination
            .total_items
            .is_some_and(|total| total > records as u64)
}
