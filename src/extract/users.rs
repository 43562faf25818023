//! Users, in closed windows of their update time.
//!
//! No user is lost while users are edited. A window `[from, to)` is closed: it
//! ends at or before the run's start, so an edit can only take a user out of
//! it, never bring one in, and what stood behind that user moves up by one
//! place. Pages are read from the last to the first, one after the other.
//!
//! Take a user who stays in the window, and let p(t) be the number of the page
//! on which the user stands; it never grows. When the last page, N, is read,
//! p <= N. From one request to the next the number asked for falls by one and
//! p falls or stays, so (p - asked) grows by one at most; it begins at zero or
//! below, and ends at zero or above, since p >= 1 when page 1 is asked for.
//! Being a whole number, it is zero at some request: that one returns the
//! user. A user who leaves the window has an update time after the run's
//! start, and is the next run's.

use chrono::{DateTime, Utc};

use super::list::past_the_end;
use super::overlap::overlap;
use super::window::Window;
use super::{Step, StreamRun};
use crate::error::Result;
use crate::freshchat::{Api, Get, Page, Shape};
use crate::timestamp;

/// A window with more pages is halved: each finished window is a checkpoint,
/// and deep pages are slow.
const MOST_PAGES: u64 = 100;

/// Reads the users that were updated since the bookmark.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let window = stream_run.window();
    let page_size = stream_run.run.settings.page_size;
    let (api, mut sink) = stream_run.split();
    overlap(
        |hand_over| read(api, window, page_size, hand_over),
        |step| sink.take(step),
    )
}

/// Hands over the pages of each window, and the end of each finished one, in
/// the order of time.
fn read(
    api: &Api,
    whole: Window,
    page_size: u32,
    hand_over: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<()> {
    let mut pending = vec![whole];
    while let Some(window) = pending.pop() {
        if window.is_empty() {
            continue;
        }
        let list = UserList {
            api,
            window,
            page_size,
        };
        let first = list.page(1)?;
        let pages = list.count_pages(&first)?;
        if pages > MOST_PAGES
            && let Some((earlier, later)) = window.halves()
        {
            pending.extend([later, earlier]);
            continue;
        }
        list.read_backwards(first, pages, hand_over)?;
        hand_over(Step::Done(window.to))?;
    }
    Ok(())
}

/// The users of one window.
struct UserList<'a> {
    api: &'a Api<'a>,
    window: Window,
    page_size: u32,
}

impl UserList<'_> {
    fn page(&self, number: u64) -> Result<Page> {
        let time = |time: DateTime<Utc>| timestamp::format(time);
        let get = Get::new("users")
            .with("updated_from", time(self.window.exclusive_from()))
            .with("updated_to", time(self.window.to))
            .with("page", number)
            .with("items_per_page", self.page_size);
        let page = self
            .api
            .get(&get, |body| Page::parse(body, Shape::List("users")));
        Ok(past_the_end(number, page)?.unwrap_or_default())
    }

    /// The number of pages, as the first one says. Where it doesn't, pages are
    /// looked at until they end; they are read again from there.
    fn count_pages(&self, first: &Page) -> Result<u64> {
        if first.is_empty() {
            return Ok(1);
        }
        if let Some(pages) = first.pagination.and_then(|pagination| pagination.pages()) {
            return Ok(pages.max(1));
        }
        let mut last_ids = first.texts_of("id");
        let mut number = 1;
        loop {
            let page = self.page(number + 1)?;
            let ids = page.texts_of("id");
            if page.is_empty() || ids == last_ids {
                return Ok(number);
            }
            last_ids = ids;
            number += 1;
        }
    }

    /// Hands over every page. The first one, which was needed to learn the
    /// number of pages, counts as the last read if nobody has left the window
    /// since, which the total tells.
    fn read_backwards(
        &self,
        first: Page,
        pages: u64,
        hand_over: &mut dyn FnMut(Step) -> Result<()>,
    ) -> Result<()> {
        let total = |page: &Page| {
            page.pagination
                .and_then(|pagination| pagination.total_items)
        };
        let first_total = total(&first);
        let mut last_total = first_total;
        hand_over(Step::Page(first))?;
        for number in (2..=pages).rev() {
            let page = self.page(number)?;
            last_total = total(&page);
            hand_over(Step::Page(page))?;
        }
        let unchanged = last_total.is_some() && last_total == first_total;
        if pages > 1 && !unchanged {
            hand_over(Step::Page(self.page(1)?))?;
        }
        Ok(())
    }
}
