//! The list of a user's conversations (API document, "Retrieve all
//! conversations for a user"). The document knows of no pages; an account may
//! have them all the same, announced or not.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::rounds::{self, Pages, PastEnd, is_page_error, is_wrong_page};
use super::walk::Found;
use crate::error::Result;
use crate::extract::pool::HandOver;
use crate::freshchat::{Api, Get, Page, Shape};

const ENDPOINT: &str = "users/{id}/conversations";

/// Lengths of pages are multiples of this, from [`SHORTEST_PAGE`] on.
const ROUND: usize = 5;
const SHORTEST_PAGE: usize = 10;

/// The lists of all users.
pub struct UserLists<'a> {
    api: &'a Api<'a>,
    /// Whether lists come in pages that nothing announces; none: not known
    /// yet. Held while it is found out, which takes one request of one thread.
    silent_pages: Mutex<Option<bool>>,
}

impl<'a> UserLists<'a> {
    pub fn new(api: &'a Api<'a>) -> Self {
        Self {
            api,
            silent_pages: Mutex::new(None),
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
        let announced = announces(&first, 1, first.len());
        let unannounced = match announced {
            true => false,
            false => match self.goes_on_silently(user, &first) {
                Ok(goes_on) => goes_on,
                Err(error) => return hand_over(missed(true, error)),
            },
        };
        let pages = Pages {
            name: ENDPOINT,
            get: &|number| self.page(user, number),
            goes_on: &|page, number, records| {
                unannounced && !page.is_empty() || announces(page, number, records)
            },
            past_end: &|| match unannounced {
                true => PastEnd::End,
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

    /// Whether there may be more than a first page that announces nothing. A
    /// list that is as long as a page may be one: its second page tells.
    fn goes_on_silently(&self, user: &str, first: &Page) -> Result<bool> {
        let length = first.len();
        if length < SHORTEST_PAGE || !length.is_multiple_of(ROUND) {
            return Ok(false);
        }
        let known = self.silent_pages.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.find_out(user, first)?;
        }
        Ok(*known == Some(true))
    }

    /// Asks for a second page. An account that gives the same list again
    /// ignores the number of the page. An empty page shows that it doesn't:
    /// this list may end there, and another be longer.
    fn find_out(&self, user: &str, first: &Page) -> Result<Option<bool>> {
        match self.page(user, 2) {
            Ok(second) => {
                let listed: HashSet<String> = first.texts_of("id").into_iter().collect();
                let repeats = second.texts_of("id").iter().all(|id| listed.contains(id));
                Ok(Some(second.is_empty() || !repeats))
            }
            Err(error) if is_wrong_page(&error) => Ok(Some(true)),
            // The number may be refused as unknown, or as past the end.
            Err(error) if is_page_error(&error) => Ok(None),
            Err(error) => Err(error),
        }
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
