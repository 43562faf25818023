//! Reads a list page by page, and tells how reliable the result is.
//!
//! The list may change between two requests. If a record is removed, those
//! after it move up by one position. If the order depends on edits, records may
//! move anywhere. A single page shows neither. A reading is proven by the
//! number of records: if every page has the same total and that many distinct
//! records arrived, none is missing, whatever the order of the records or of
//! the requests. So pages may be requested at the same time.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pool::in_order;
use super::seen::{self, Seen};
use crate::error::{Error, Result};
use crate::freshchat::Page;

/// A list with more pages than this is assumed to repeat itself endlessly.
const MOST_PAGES: u64 = 100_000;

/// After this many consecutive pages with nothing new, the list ends, even if
/// more pages were announced.
const MOST_BARREN: u32 = 2;

/// A list that is read by page number.
pub struct Pager<'a> {
    /// The path below the base address, for messages.
    pub path: &'a str,
    /// The property that identifies a record.
    pub key: &'a str,
    /// Whether to request a second page if the first one doesn't mention any,
    /// because the list is documented as paged.
    pub paged: bool,
    /// Requests a page, counted from 1.
    pub ask: &'a (dyn Fn(u64) -> Result<Page> + Sync),
    /// The number of records requested for a page.
    pub page_size: u32,
    /// How many pages to request at once, once it is known that they exist.
    pub workers: usize,
}

/// The result of reading a list once.
#[derive(Default)]
pub struct ListReading {
    /// The ids of the records.
    pub seen: Seen,
    /// A hash of all ids, in the order of arrival.
    pub order: u64,
    /// The number of records without an id. Each counts as distinct.
    pub idless: usize,
    /// The number of pages with records.
    pub pages: u64,
    /// The number of records in the longest page.
    pub longest: u64,
    /// The total in the answers.
    pub total: Option<u64>,
    /// Whether the total changed between answers.
    changed: bool,
    /// A contradiction in the answers.
    doubt: Option<&'static str>,
}

impl ListReading {
    /// The number of distinct records.
    pub fn distinct(&self) -> u64 {
        (self.seen.len() + self.idless) as u64
    }

    /// Whether all records that were in the list the whole time have arrived.
    pub fn is_proven(&self) -> bool {
        !self.changed && self.total == Some(self.distinct())
    }

    /// Whether the length of the list changed during the reading.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// A contradiction in the answers, or between them and the records.
    pub fn doubt(&self) -> Option<&'static str> {
        let counted = self.total.is_some_and(|total| total != self.distinct());
        let counted = counted.then_some("the total is not the number of records");
        self.doubt.or(counted)
    }
}

/// What follows a page.
enum Next {
    Page,
    End,
}

/// A reading in progress.
struct ListProgress<'a> {
    pager: &'a Pager<'a>,
    reading: ListReading,
    /// The hashes of the ids of the last page with records.
    last_ids: Vec<u128>,
    /// The number of records in the first and in the last page.
    first: usize,
    last: usize,
    /// The number of consecutive pages without anything new.
    barren: u32,
    /// The number of pages, if an answer contains it.
    announced: Option<u64>,
    /// Whether the last page announced another one, or may be followed by one.
    has_next: bool,
    /// Whether the last page has fewer records than its answer says fit in one.
    has_room: bool,
}

impl Pager<'_> {
    /// Hands over each page that has records, from first to last. `first` is
    /// the first page, if it was just read.
    ///
    /// A list ends where its answers say so, or at a page that is empty or
    /// repeats the previous one. If the answers and the records disagree, pages
    /// are read until both have ended.
    ///
    /// # Errors
    /// Those of the requests. An error page counts as the end only after the
    /// last announced page, or with the code `WRONG_PAGE`. Also those of
    /// `each`.
    pub fn read(
        &self,
        first: Option<Page>,
        each: &mut dyn FnMut(Page) -> Result<()>,
    ) -> Result<ListReading> {
        let mut progress = ListProgress {
            pager: self,
            reading: ListReading::default(),
            last_ids: Vec::new(),
            first: 0,
            last: 0,
            barren: 0,
            announced: None,
            has_next: false,
            has_room: false,
        };
        let first = match first {
            Some(first) => first,
            None => (self.ask)(1)?,
        };
        let mut next = progress.take(1, first, each)?;
        let (mut number, mut ahead) = (2, self.workers.div_ceil(2) as u64);
        while let Next::Page = next {
            if number > MOST_PAGES {
                return Err(Error::Unexpected {
                    request: format!("GET {}", self.path),
                    problem: format!("the list doesn't end after {MOST_PAGES} pages"),
                });
            }
            // Announced pages are read ahead: a few at first, and more as the
            // list goes on. A page with room for more records contradicts
            // them, so nothing is read ahead after it.
            ahead = if progress.has_room {
                1
            } else {
                (2 * ahead).min(MOST_PAGES)
            };
            let last = progress.announced.unwrap_or(0).min(number - 1 + ahead);
            let last = last.clamp(number, MOST_PAGES);
            let outcome = in_order(
                self.workers,
                number..=last,
                |number| Ok((number, (self.ask)(number))),
                |(number, answer)| {
                    next = match progress.answer(number, answer)? {
                        Some(page) => progress.take(number, page, each)?,
                        None => Next::End,
                    };
                    match next {
                        Next::Page => Ok(()),
                        Next::End => Err(Error::Stopped),
                    }
                },
            );
            match (outcome, &next) {
                (Err(Error::Stopped), Next::End) => {}
                (outcome, _) => outcome?,
            }
            number = last + 1;
        }
        Ok(progress.reading)
    }

    /// Whether the page is the whole list as it was at one moment, so that
    /// nothing can have moved between requests. `longest` is the longest page
    /// of the list so far; a shorter page that doesn't announce others is the
    /// last one.
    pub fn is_whole(&self, page: &Page, longest: u64) -> bool {
        let length = page.len() as u64;
        let pagination = page.pagination.unwrap_or_default();
        let pages = pagination.pages().unwrap_or(1);
        match pagination.total_items {
            Some(total) => total == length && pages <= 1 && !page.has_next && !self.is_full(page),
            None => (length == 0 || length < longest) && pages <= 1 && !page.has_next,
        }
    }

    /// Whether a page is full. More records may follow it, even if the total is
    /// reached: the API may count the page instead of the list, or count only
    /// up to some limit. Without pagination data, other rules apply.
    fn is_full(&self, page: &Page) -> bool {
        page.pagination.is_some_and(|pagination| {
            let size = pagination.items_per_page;
            page.len() as u64 >= size.unwrap_or(u64::from(self.page_size)).max(1)
        })
    }
}

impl ListProgress<'_> {
    /// Takes the answer to the request for a page. Returns `None` if it is an
    /// error that means that the list ends before the page.
    fn answer(&mut self, number: u64, answer: Result<Page>) -> Result<Option<Page>> {
        let error = match answer {
            Err(error) if is_page_error(&error) => error,
            answer => return answer.map(Some),
        };
        let is_past = self.announced.is_some_and(|pages| number > pages) || !self.wants_more();
        if is_wrong_page(&error) || is_past {
            return Ok(None);
        }
        if self.announced.is_none() && self.last < self.first {
            return Ok(None);
        }
        // A temporary error is not the end, and neither is one in the middle of
        // the list.
        match (self.pager.ask)(number) {
            Err(again) if self.announced.is_none() && again.status() == error.status() => {
                self.doubt("it ends with an error after a full page");
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
        let size = page.pagination.and_then(|it| it.items_per_page);
        self.has_room = size.is_some_and(|size| size > length as u64);
        let ids = page.texts_of(self.pager.key);
        let ids: Vec<u128> = ids.map(|id| seen::hash(&id)).collect();
        let repeats = number > 1 && !ids.is_empty() && ids == self.last_ids;
        if length == 0 || repeats {
            self.barren += 1;
            let announced = own_pages.or(self.announced) > Some(number);
            let goes_on = announced && self.wants_more() && self.barren < MOST_BARREN;
            if goes_on {
                self.doubt("a page in the middle is empty or repeats the previous one");
            }
            return Ok(if goes_on { Next::Page } else { Next::End });
        }
        self.barren = match self.count(length, &ids) {
            0 => self.barren + 1,
            _ => 0,
        };
        (self.first, self.last) = (if number == 1 { length } else { self.first }, length);
        (self.last_ids, self.has_next) = (ids, page.has_next || self.pager.is_full(&page));
        each(page)?;
        // If the order of the list changes, its last page is repeated in
        // another order.
        let is_barren = self.barren >= MOST_BARREN;
        let goes_on = match is_barren {
            true => self.announced > Some(number) && self.wants_more(),
            false => self.goes_on(number),
        };
        Ok(if goes_on { Next::Page } else { Next::End })
    }

    /// Reads what a page says about the list. Returns the page number in it.
    fn look_at_envelope(&mut self, number: u64, page: &Page) -> Option<u64> {
        let Some(pagination) = page.pagination else {
            self.reading.changed |= number > 1 && self.reading.total.is_some();
            return None;
        };
        if pagination.is_contradictory() {
            self.doubt("its numbers of pages and records contradict each other");
        }
        if pagination
            .current_page
            .is_some_and(|current| current != number)
            && !page.is_empty()
        {
            self.doubt("an answer has another page number than the requested one");
        }
        let total = pagination.total_items;
        self.reading.changed |= number > 1 && total != self.reading.total;
        self.reading.total = total;
        let pages = pagination.pages();
        self.announced = self.announced.max(pages);
        pages
    }

    /// Counts a page with this many records. Returns how many of them are new.
    fn count(&mut self, length: usize, ids: &[u128]) -> u64 {
        let reading = &mut self.reading;
        let before = reading.distinct();
        for id in ids {
            reading.seen.insert_hash(*id);
            reading.order = xxh3_64_with_seed(&id.to_le_bytes(), reading.order);
        }
        reading.idless += length - ids.len();
        reading.pages += 1;
        reading.longest = reading.longest.max(length as u64);
        reading.distinct() - before
    }

    /// Whether fewer records arrived than the answers announced.
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

/// Whether the error can be the answer to a request for a single page.
fn is_page_error(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 404 | 410 | 416 | 422))
}

/// The API's error code for a page that doesn't exist.
fn is_wrong_page(error: &Error) -> bool {
    match error {
        Error::Api(error) => error.code == "WRONG_PAGE",
        _ => false,
    }
}
