//! Lists of users, in closed windows of a time of theirs, and the stream
//! `users`, which goes by their update time.
//!
//! No user is lost while users are edited and deleted. A window `[from, to)`
//! is closed: it ends at or before the run's start, so an edit or a deletion
//! can only take a user out of it, never bring one in, and what stood behind
//! that user moves up by one place. Pages are read from the last to the first,
//! one after the other.
//!
//! Take a user who stays in the window, and let p(t) be the number of the page
//! on which the user stands; it never grows. When the last page, N, is read,
//! p <= N. From one request to the next the number asked for falls by one and
//! p falls or stays, so (p - asked) grows by one at most; it begins at zero or
//! below, and ends at zero or above, since p >= 1 when page 1 is asked for.
//! Being a whole number, it is zero at some request: that one returns the
//! user. A user who leaves the window has an update time after the run's
//! start, and is the next run's, or is deleted.
//!
//! None of this needs the requests to be close in time: a window whose last
//! pages were read is finished by another run that begins at the page of the
//! last place not yet read.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use super::list::past_the_end;
use super::overlap::overlap;
use super::window::Window;
use super::{Step, StreamRun};
use crate::error::Result;
use crate::freshchat::{Api, Get, Page, Shape};
use crate::timestamp;

/// A window with more pages is halved: deep pages are slow.
const MOST_PAGES: u64 = 100;

/// Reads the users that were updated since the bookmark.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let window = stream_run.window()?;
    let page_size = stream_run.run.settings.page_size;
    let (api, mut sink) = stream_run.split();
    let users = Users {
        api,
        time: UserTime::Updated,
        page_size,
    };
    overlap(
        |hand_over| {
            users.read(vec![Span::new(window)], &mut |step| match step {
                UserStep::Page { page, .. } => hand_over(Step::Page(page)),
                UserStep::Done(window) => hand_over(Step::Done(window.to)),
            })
        },
        |step| sink.take(step),
    )
}

/// The time of users that windows go by.
#[derive(Debug, Clone, Copy)]
pub enum UserTime {
    Created,
    Updated,
}

impl UserTime {
    /// The parameters for the start and the end of a window.
    fn parameters(self) -> [&'static str; 2] {
        match self {
            UserTime::Created => ["created_from", "created_to"],
            UserTime::Updated => ["updated_from", "updated_to"],
        }
    }
}

/// A window of users that is yet to be read.
pub struct Span {
    pub window: Window,
    /// Only the users in so many places from the first on are left.
    pub left: Option<u64>,
    /// The window's first page, if it was read just now.
    pub first: Option<Page>,
}

impl Span {
    /// A whole window.
    pub fn new(window: Window) -> Self {
        Self {
            window,
            left: None,
            first: None,
        }
    }
}

/// What reading users hands over.
pub enum UserStep {
    Page {
        page: Page,
        window: Window,
        /// How many places of the window are left, as in [`Span`]; none where
        /// the API doesn't say how many a page has.
        left: Option<u64>,
    },
    /// The users of this window are complete.
    Done(Window),
}

/// The users of an account.
pub struct Users<'a> {
    pub api: &'a Api<'a>,
    pub time: UserTime,
    pub page_size: u32,
}

impl Users<'_> {
    /// Hands over the pages of each span, the last one first, and the end of
    /// each finished window.
    pub fn read(
        &self,
        mut pending: Vec<Span>,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<()> {
        while let Some(span) = pending.pop() {
            if span.window.is_empty() {
                continue;
            }
            match self.read_span(span, hand_over)? {
                ControlFlow::Continue(window) => hand_over(UserStep::Done(window))?,
                ControlFlow::Break((earlier, later)) => {
                    pending.extend([Span::new(later), Span::new(earlier)]);
                }
            }
        }
        Ok(())
    }

    /// Reads a span, or gives the two windows to read in its place.
    fn read_span(
        &self,
        span: Span,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<ControlFlow<(Window, Window), Window>> {
        let Span {
            window,
            left,
            first,
        } = span;
        let first = match first {
            Some(first) => first,
            None => self.page(window, 1)?,
        };
        let mut pages = self.count_pages(window, &first)?;
        // A span of which only the beginning is left was short enough.
        if left.is_none()
            && pages > MOST_PAGES
            && let Some(halves) = window.halves()
        {
            return Ok(ControlFlow::Break(halves));
        }
        let size = first.pagination.and_then(|it| it.items_per_page);
        if let (Some(left), Some(size)) = (left, size.filter(|size| *size > 0)) {
            pages = pages.min(left.div_ceil(size).max(1));
        }
        self.read_backwards(window, first, pages, &mut |page, number| {
            hand_over(UserStep::Page {
                page,
                window,
                left: size.map(|size| (number - 1) * size),
            })
        })?;
        Ok(ControlFlow::Continue(window))
    }

    /// A page of a window's users; past its end, an empty one.
    pub fn page(&self, window: Window, number: u64) -> Result<Page> {
        let time = |time: DateTime<Utc>| timestamp::format(time);
        let [from, to] = self.time.parameters();
        let get = Get::new("users")
            .with(from, time(window.exclusive_from()))
            .with(to, time(window.to))
            .with("page", number)
            .with("items_per_page", self.page_size);
        let page = self
            .api
            .get(&get, |body| Page::parse(body, Shape::List("users")));
        Ok(past_the_end(number, page)?.unwrap_or_default())
    }

    /// The number of pages, as the first one says. Where it doesn't, pages are
    /// looked at until they end; they are read again from there.
    fn count_pages(&self, window: Window, first: &Page) -> Result<u64> {
        if first.is_empty() {
            return Ok(1);
        }
        if let Some(pages) = first.pagination.and_then(|pagination| pagination.pages()) {
            return Ok(pages.max(1));
        }
        let mut last_ids = first.texts_of("id");
        let mut number = 1;
        loop {
            let page = self.page(window, number + 1)?;
            let ids = page.texts_of("id");
            if page.is_empty() || ids == last_ids {
                return Ok(number);
            }
            last_ids = ids;
            number += 1;
        }
    }

    /// Hands over the pages from the last to the first, with their numbers.
    /// The first one, which was needed to learn the number of pages, counts as
    /// the last read if nobody has left the window since, which the total
    /// tells.
    fn read_backwards(
        &self,
        window: Window,
        first: Page,
        pages: u64,
        hand_over: &mut dyn FnMut(Page, u64) -> Result<()>,
    ) -> Result<()> {
        let total = |page: &Page| {
            page.pagination
                .and_then(|pagination| pagination.total_items)
        };
        let mut last_total = total(&first);
        for number in (2..=pages).rev() {
            let page = self.page(window, number)?;
            last_total = total(&page);
            hand_over(page, number)?;
        }
        let unchanged = last_total.is_some() && last_total == total(&first);
        let first = match pages == 1 || unchanged {
            true => first,
            false => self.page(window, 1)?,
        };
        hand_over(first, 1)
    }
}
