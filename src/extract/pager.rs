//! Reads a list page by page, and says how far what came can be trusted.
//!
//! Pages are places in a list that may change between two requests: a record
//! that goes moves the ones behind it up by one place, and a list whose order
//! depends on an edit moves them in any way. Neither is seen in a page alone.
//! What proves a reading is the number of records: where every page names the
//! same total, and as many distinct records came, none is missing, whatever
//! the order.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::seen::Seen;
use crate::error::{Error, Result};
use crate::freshchat::Page;

/// A list of more pages than this repeats itself without end.
const MOST_PAGES: u64 = 100_000;

/// So many pages in a row that bring nothing are the end, however many are
/// announced.
const MOST_BARREN: u32 = 2;

/// A list that is read by page number.
pub struct Pager<'a> {
    /// The path below the base address, for messages.
    pub path: &'a str,
    /// The property that tells records apart.
    pub key: &'a str,
    /// Whether to ask for a further page where the first one says nothing of
    /// others: the document says that the list comes in pages.
    pub paged: bool,
    /// Asks for a page, counted from 1.
    pub ask: &'a dyn Fn(u64) -> Result<Page>,
}

/// What one reading of a list brought.
#[derive(Default)]
pub struct Reading {
    /// The ids of the records.
    pub seen: Seen,
    /// A hash of all ids in the order in which they came.
    pub order: u64,
    /// Number of records without an id, each of which counts.
    pub idless: usize,
    /// Pages that had records.
    pub pages: u64,
    /// Number of records in the longest page.
    pub longest: u64,
    /// The number of records that the answers name.
    pub total: Option<u64>,
    /// Whether some answers name another total than the others.
    changed: bool,
    /// What the answers say of themselves that can't be true.
    doubt: Option<&'static str>,
}

impl Reading {
    /// Number of distinct records.
    pub fn distinct(&self) -> u64 {
        (self.seen.len() + self.idless) as u64
    }

    /// Whether every record that stood in the list all the time has come.
    pub fn is_proven(&self) -> bool {
        !self.changed && self.total == Some(self.distinct())
    }

    /// Whether the list had another length at its end than at its beginning.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// What the answers say that contradicts itself or the records.
    pub fn doubt(&self) -> Option<&'static str> {
        let counted = self.total.is_some_and(|total| total != self.distinct());
        let counted = counted.then_some("the total is not the number of records");
        self.doubt.or(counted)
    }
}

/// What stands behind a page.
enum Next {
    Page,
    End,
}

/// A reading on its way.
struct Progress<'a> {
    pager: &'a Pager<'a>,
    reading: Reading,
    last_ids: Vec<String>,
    /// Number of records in the first and in the last page.
    first: usize,
    last: usize,
    /// Number of pages in a row that brought nothing new.
    barren: u32,
    /// The number of pages, if any answer names it.
    announced: Option<u64>,
    /// Whether the last page named a next one, or doesn't rule one out.
    has_next: bool,
}

impl Pager<'_> {
    /// Hands over each page that has records, from the first to the last;
    /// `first` is the first page if it was read just now.
    ///
    /// A list ends where its answers say, or at an empty page or one that
    /// repeats the last. Where the answers and the records disagree, pages are
    /// read as far as either goes.
    ///
    /// # Errors
    /// Those of the requests: an error page is the end only behind the last
    /// announced page, or with the code `WRONG_PAGE`; and those of `each`.
    pub fn read(
        &self,
        first: Option<Page>,
        each: &mut dyn FnMut(Page) -> Result<()>,
    ) -> Result<Reading> {
        let mut progress = Progress {
            pager: self,
            reading: Reading::default(),
            last_ids: Vec::new(),
            first: 0,
            last: 0,
            barren: 0,
            announced: None,
            has_next: false,
        };
        let mut given = first;
        for number in 1..=MOST_PAGES {
            let page = match given.take() {
                Some(page) => page,
                None => match progress.ask(number)? {
                    Some(page) => page,
                    None => return Ok(progress.reading),
                },
            };
            if let Next::End = progress.take(number, page, each)? {
                return Ok(progress.reading);
            }
        }
        Err(Error::Unexpected {
            request: format!("GET {}", self.path),
            problem: format!("the list doesn't end after {MOST_PAGES} pages"),
        })
    }

    /// Whether the page is the whole list, as it stood at one moment: nothing
    /// can have moved between two requests. `longest` is the longest page that
    /// the list ever had; a shorter one without a word of others is the last.
    pub fn is_whole(&self, page: &Page, longest: u64) -> bool {
        let length = page.len() as u64;
        let pagination = page.pagination.unwrap_or_default();
        let pages = pagination.pages().unwrap_or(1);
        match pagination.total_items {
            Some(total) => total == length && pages <= 1 && !page.has_next && !counts_itself(page),
            None => (length == 0 || length < longest) && pages <= 1 && !page.has_next,
        }
    }
}

impl Progress<'_> {
    /// The page of this number; none where an error says that the list ends
    /// before it.
    fn ask(&mut self, number: u64) -> Result<Option<Page>> {
        let error = match (self.pager.ask)(number) {
            Err(error) if number > 1 && is_page_error(&error) => error,
            answer => return answer.map(Some),
        };
        let is_past = self.announced.is_some_and(|pages| number > pages) || !self.wants_more();
        if is_wrong_page(&error) || is_past {
            return Ok(None);
        }
        if self.announced.is_none() && self.last < self.first {
            return Ok(None);
        }
        // An error that passes is no end, nor is one in the middle of the list.
        match (self.pager.ask)(number) {
            Err(again) if self.announced.is_none() && again.status() == error.status() => {
                self.doubt("it ends with an error behind a full page");
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    fn take(
        &mut self,
        number: u64,
        page: Page,
        each: &mut dyn FnMut(Page) -> Result<()>,
    ) -> Result<Next> {
        let own_pages = self.look_at_envelope(number, &page);
        let length = page.len();
        let ids = page.texts_of(self.pager.key);
        let repeats = number > 1 && !ids.is_empty() && ids == self.last_ids;
        if length == 0 || repeats {
            self.barren += 1;
            let announced = own_pages.or(self.announced) > Some(number);
            let goes_on = announced && self.wants_more() && self.barren < MOST_BARREN;
            if goes_on {
                self.doubt("a page in its middle is empty or repeats the one before");
            }
            return Ok(if goes_on { Next::Page } else { Next::End });
        }
        self.barren = match self.count(&page, &ids) {
            0 => self.barren + 1,
            _ => 0,
        };
        (self.first, self.last) = (if number == 1 { length } else { self.first }, length);
        (self.last_ids, self.has_next) = (ids, page.has_next || counts_itself(&page));
        each(page)?;
        // A list in an order that moves repeats its last page in another order.
        let is_barren = self.barren >= MOST_BARREN;
        let goes_on = match is_barren {
            true => self.announced > Some(number) && self.wants_more(),
            false => self.goes_on(number),
        };
        Ok(if goes_on { Next::Page } else { Next::End })
    }

    /// Takes in what a page says of the list; the number of pages by its own
    /// word.
    fn look_at_envelope(&mut self, number: u64, page: &Page) -> Option<u64> {
        let Some(pagination) = page.pagination else {
            self.reading.changed |= number > 1 && self.reading.total.is_some();
            return None;
        };
        if pagination.is_contradictory() {
            self.doubt("its numbers of pages and of records contradict each other");
        }
        if pagination
            .current_page
            .is_some_and(|current| current != number)
            && !page.is_empty()
        {
            self.doubt("it answers with another page than the one asked for");
        }
        let total = pagination.total_items;
        self.reading.changed |= number > 1 && total != self.reading.total;
        self.reading.total = total;
        let pages = pagination.pages();
        self.announced = self.announced.max(pages);
        pages
    }

    /// Counts a page; the number of its records that are new.
    fn count(&mut self, page: &Page, ids: &[String]) -> u64 {
        let reading = &mut self.reading;
        let before = reading.distinct();
        reading.idless += page.len() - ids.len();
        for id in ids {
            reading.seen.insert(id);
            reading.order = xxh3_64_with_seed(id.as_bytes(), reading.order);
        }
        reading.pages += 1;
        reading.longest = reading.longest.max(page.len() as u64);
        reading.distinct() - before
    }

    /// Whether fewer records came than the answers promise.
    fn wants_more(&self) -> bool {
        let reading = &self.reading;
        reading.total.is_none_or(|total| reading.distinct() < total)
    }

    fn goes_on(&self, number: u64) -> bool {
        if self.has_next || self.announced.is_some_and(|pages| number < pages) {
            return true;
        }
        match self.reading.total {
            Some(_) => self.wants_more(),
            None => self.announced.is_none() && self.pager.paged,
        }
    }

    fn doubt(&mut self, reason: &'static str) {
        self.reading.doubt.get_or_insert(reason);
    }
}

/// Whether a full page names its own length as the total: the list ends just
/// there, or the API counts the page and not the list.
fn counts_itself(page: &Page) -> bool {
    let length = Some(page.len() as u64);
    page.pagination.is_some_and(|pagination| {
        pagination.total_items == length && pagination.items_per_page == length
    })
}

/// An error that a request for one page may be answered with.
fn is_page_error(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 404 | 410 | 416 | 422))
}

/// The API's own word for a page that isn't there.
fn is_wrong_page(error: &Error) -> bool {
    match error {
        Error::Api(error) => error.code == "WRONG_PAGE",
        _ => false,
    }
}
