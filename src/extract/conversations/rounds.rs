//! Reads lists of unknown length, page by page, until two readings agree.
//!
//! Records move between pages meanwhile. If a record is deleted, all records
//! after it move up. A forward reading misses those that move from an unread
//! page to one that was read. If a record is added, all records after it move
//! down. A backward reading misses those that move this way. If a backward
//! reading finds nothing new, no record was added, because one added before the
//! others would be new itself. So nothing moved down during this reading, and
//! it missed none of the remaining records. It starts after the end that the
//! forward reading found, so that the two together cover the whole list.

use std::sync::Once;

use crate::error::{Error, Result};
use crate::extract::pool::HandOver;
use crate::extract::seen::Seen;
use crate::freshchat::Page;

/// How many times such a list is read forward and backward.
const MOST_ROUNDS: usize = 5;

/// A list with more pages than this is assumed to repeat itself endlessly.
const MOST_PAGES: u64 = 100_000;

/// Warn once per run.
static WARNING: Once = Once::new();

/// A list in pages.
pub struct Pages<'a> {
    /// The name of the list, for errors.
    pub name: &'a str,
    /// Requests a page by its number, from 1.
    pub get: &'a dyn Fn(u64) -> Result<Page>,
    /// Whether a page follows this one, as far as the answers tell. The other
    /// arguments are its number and the number of records up to its end.
    pub goes_on: &'a dyn Fn(&Page, u64, usize) -> bool,
    /// What an error means after a page that is as long as any before.
    pub past_end: &'a dyn Fn() -> PastEnd,
}

/// What an error in place of a page means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PastEnd {
    /// The list has ended, because the page before was shorter than another.
    End,
    /// The page was not announced. The list has ended if a retry gives the same
    /// error.
    Unannounced,
    /// The page was announced, but this may mean nothing. The list has ended if
    /// a retry gives the same error.
    EndIfTwice,
    /// The page can't be read.
    Error,
}

/// Why the reading ended.
enum Ended {
    /// The list can't be read completely.
    List(Error),
    /// The receiver of the pages is gone.
    Run(Error),
}

type RoundResult<T> = std::result::Result<T, Ended>;

/// A reading, and the ids it has seen.
struct RoundsReading<'r> {
    pages: &'r Pages<'r>,
    /// The number of records in the longest page so far.
    page_size: usize,
    seen: Seen,
    hand_over: &'r mut HandOver<'r, Page>,
}

/// Hands over each record of the list once, in pages. `first` is the first
/// page, already read. Returns the reason if the list is incomplete.
///
/// # Errors
/// If the receiver of the pages is gone.
pub fn read<'r>(
    pages: &'r Pages<'r>,
    first: Page,
    hand_over: &'r mut HandOver<'r, Page>,
) -> Result<Option<Error>> {
    if !(pages.goes_on)(&first, 1, first.len()) {
        return hand_over(first).map(|()| None);
    }
    let mut reading = RoundsReading {
        pages,
        page_size: first.len(),
        seen: Seen::default(),
        hand_over,
    };
    match reading.run(first) {
        Ok(()) => Ok(None),
        Err(Ended::List(error)) => Ok(Some(error)),
        Err(Ended::Run(error)) => Err(error),
    }
}

impl RoundsReading<'_> {
    fn run(&mut self, first: Page) -> RoundResult<()> {
        let mut last = self.forwards(1, Some(first))?;
        if last == 1 {
            return Ok(());
        }
        for _ in 0..MOST_ROUNDS {
            let mut new = 0;
            for number in (1..last).rev() {
                let page = self.get(number, PastEnd::Error)?;
                new += self.take(page)?.0;
            }
            if new == 0 {
                return Ok(());
            }
            last = self.forwards(last, None)?;
        }
        Err(self.problem(format!(
            "the list changed in each of {MOST_ROUNDS} readings"
        )))
    }

    /// Reads from a page to the end. Returns the number of the last page.
    fn forwards(&mut self, from: u64, mut given: Option<Page>) -> RoundResult<u64> {
        let mut last_ids = Vec::new();
        let mut last_new = usize::MAX;
        let mut past_end = PastEnd::Error;
        let mut records = 0;
        let mut is_empty = false;
        for number in from..=MOST_PAGES {
            let page = match given.take() {
                Some(page) => page,
                None => self.get(number, past_end)?,
            };
            let length = page.len();
            records += length;
            self.page_size = self.page_size.max(length);
            past_end = match length < self.page_size {
                true => PastEnd::End,
                false => (self.pages.past_end)(),
            };
            let before = number.saturating_sub(1).max(1);
            let goes_on = (self.pages.goes_on)(&page, number, records);
            let was_empty = std::mem::replace(&mut is_empty, length == 0);
            if is_empty && goes_on && !was_empty {
                continue;
            }
            if is_empty {
                return Ok(before);
            }
            let (new, ids) = self.take(page)?;
            // Some lists repeat their last page after the end. But a page also
            // repeats when as many records are added as fit a page. If the page
            // was announced, the next one tells.
            let repeats = new == 0 && ids == last_ids;
            let is_end = !goes_on || (self.pages.past_end)() == PastEnd::Unannounced;
            if repeats && is_end || new == 0 && last_new == 0 {
                return Ok(before);
            }
            if !goes_on {
                return Ok(number);
            }
            (last_ids, last_new) = (ids, new);
        }
        Err(self.problem(format!("the list doesn't end after {MOST_PAGES} pages")))
    }

    /// Requests a page. Returns an empty one after the end of the list.
    fn get(&self, number: u64, past_end: PastEnd) -> RoundResult<Page> {
        let error = match (self.pages.get)(number) {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        let is_end = number > 1
            && match past_end {
                _ if is_wrong_page(&error) => true,
                PastEnd::Error => false,
                PastEnd::End => is_page_error(&error),
                PastEnd::Unannounced => is_page_error(&error) && self.is_repeated(number, &error),
                PastEnd::EndIfTwice => {
                    let is_end = is_page_error(&error) && self.is_repeated(number, &error);
                    if is_end {
                        self.warn(&error);
                    }
                    is_end
                }
            };
        match is_end {
            true => Ok(Page::default()),
            false => Err(Ended::List(error)),
        }
    }

    /// Whether a retry gives the same error.
    fn is_repeated(&self, number: u64, error: &Error) -> bool {
        let again = (self.pages.get)(number);
        again.is_err_and(|again| again.status() == error.status())
    }

    fn warn(&self, error: &Error) {
        WARNING.call_once(|| {
            log::warn!(
                "{}: a full page announces another one, which answers with an error; because \
                 every page announces one, this counts as the end: {error}",
                self.pages.name
            );
        });
    }

    /// Hands over the records that no earlier page had. Returns their number,
    /// and the ids of all records in the page.
    fn take(&mut self, mut page: Page) -> RoundResult<(usize, Vec<String>)> {
        let mut new = 0;
        let mut ids = Vec::new();
        page.retain(|record| {
            let Some(id) = record.get("id").filter(|id| *id != "null") else {
                return true;
            };
            ids.push(id.to_owned());
            let is_new = self.seen.insert(id);
            new += usize::from(is_new);
            is_new
        });
        if !page.is_empty() {
            (self.hand_over)(page).map_err(Ended::Run)?;
        }
        Ok((new, ids))
    }

    fn problem(&self, problem: String) -> Ended {
        Ended::List(Error::Unexpected {
            request: format!("GET {}", self.pages.name),
            problem,
        })
    }
}

/// The API's error code for a page that doesn't exist.
fn is_wrong_page(error: &Error) -> bool {
    matches!(error, Error::Api(error) if error.code == "WRONG_PAGE")
}

/// Whether the error can be the answer to a request for a single page.
fn is_page_error(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 404 | 416 | 422))
}
