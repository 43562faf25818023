//! Lists of users, in windows of a time property, and the stream `users`, which
//! uses the update time.
//!
//! The order of the list is undocumented, and pages are positions in it. A user
//! who leaves the window, or moves within it, can move others to a page that
//! was already read. So a window counts as read only if this is proven for any
//! order and any movement:
//!
//! - It fits a single page. A page is one answer, and shows the window at one
//!   moment.
//! - All of its pages have the same total, and that many distinct users
//!   arrived. Then nobody left, and all users arrived.
//!
//! Both require that nobody enters the window unnoticed. An edit removes a user
//! from a window of past update times, and never adds one. Creation times don't
//! change. Users who are listed late do enter, but only within the lookback,
//! which the next run reads again. The time before the lookback and the time
//! within it are therefore separate windows.
//!
//! A window that isn't proven is cut into windows of a page each. If it can't
//! be cut because all of its users have the same time, it is read again, until
//! a reading is proven or two readings have the same users in the same order.
//! In the latter case the order is stable, whatever the total says. If the
//! order changes, two readings may miss the same user.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::TimeDelta;

use super::overlap::overlap;
use super::pager::{ListReading, Pager};
use super::window::Window;
use super::{Produced, StreamRun};
use crate::error::{Error, Result};
use crate::freshchat::{Api, Get, Page, Shape, clock};
use crate::timestamp;

/// The path of the list.
const PATH: &str = "users";

/// A window with more pages is cut. Deep pages are slow, and a longer reading
/// is more likely to see changes.
const MOST_PAGES: u64 = 100;

/// The maximum number of parts into which a window is cut at once.
const MOST_PARTS: u64 = 16;

/// How often to read a window that can't be cut, and the time since the run's
/// start.
const MOST_READINGS: usize = 5;

/// No account caps its pages at fewer users. A shorter page is the last one,
/// unless the answer says otherwise.
const SHORTEST_PAGE: u64 = 10;

/// This many users are unlikely to arrive in the same order twice by chance.
const TELLING: u64 = 20;

/// The maximum lead of the server's clock. With a larger one, the run ends.
const FURTHEST_CLOCK: TimeDelta = TimeDelta::days(2);

/// Reads the users that were updated since the bookmark, including those edited
/// since the start of the run.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let run = stream_run.run;
    let stream = stream_run.stream.name;
    let settings = run.settings;
    let reached = stream_run.bookmark();
    let from = run.first_time(reached, settings.lookback);
    let (api, mut sink) = stream_run.split();
    let users = Users::new(
        api,
        UserTime::Updated,
        settings.page_size,
        settings.concurrency,
    );
    overlap(
        |hand_over| {
            let each = &mut |step: UserStep| match step {
                UserStep::Page(page) => hand_over(Produced::Page(page)),
                UserStep::Done(window) => hand_over(Produced::Done(window.to)),
            };
            // Usually little has changed since the last run, and a single
            // answer, which shows the moment of the request, has it all.
            if reached.is_some() && settings.end_date.is_none() {
                let recent = Window::open(from);
                let first = users.page(recent, 1)?;
                run.check_bookmark(stream)?;
                if users.is_whole(&first) {
                    each(UserStep::Page(first))?;
                    let to = run.started_at()?;
                    return each(UserStep::Done(Window { from, to }));
                }
            }
            let started_at = run.started_at()?;
            if reached.is_some() {
                run.check_bookmark(stream)?;
            }
            let to = settings
                .end_date
                .map_or(started_at, |end| end.min(started_at));
            let lookback = TimeDelta::from_std(settings.lookback).unwrap_or(TimeDelta::MAX);
            let settled = started_at.checked_sub_signed(lookback).unwrap_or(from);
            let settled = settled.clamp(from, to.max(from));
            users.read(Window { from, to: settled }, MOST_PAGES, each)?;
            let late = Window { from: settled, to };
            match to < started_at {
                true => users.read(late, MOST_PAGES, each),
                false => users.read_late(late, each),
            }
        },
        |step| sink.take(step),
    )?;
    stream_run.partial = users.is_doubtful();
    Ok(())
}

/// The time property that windows use.
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

    /// The name of the property.
    fn property(self) -> &'static str {
        match self {
            UserTime::Created => "created_time",
            UserTime::Updated => "updated_time",
        }
    }
}

/// The output of reading users.
pub enum UserStep {
    Page(Page),
    /// The users of this window are complete. Some of them may have been in
    /// earlier pages.
    Done(Window),
}

/// The users of an account.
pub struct Users<'a> {
    api: &'a Api<'a>,
    time: UserTime,
    page_size: u32,
    /// How many pages of a window to request at once.
    workers: usize,
    /// The number of users in the longest page so far.
    longest: AtomicU64,
    /// Whether any answers were contradictory.
    doubtful: AtomicBool,
}

impl<'a> Users<'a> {
    pub fn new(api: &'a Api<'a>, time: UserTime, page_size: u32, workers: usize) -> Self {
        Self {
            api,
            time,
            page_size,
            workers,
            longest: AtomicU64::new(0),
            doubtful: AtomicBool::new(false),
        }
    }

    /// The client for requests.
    pub fn api(&self) -> &Api<'a> {
        self.api
    }

    /// Whether any answers contradict themselves or their records.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Hands over the users of a window, in smaller windows of at most
    /// `most_pages` pages, earliest first. The end of each is handed over too.
    ///
    /// # Errors
    /// Any error of the API; [`Error::Unexpected`] if a window can't be proven;
    /// and those of `hand_over`.
    pub fn read(
        &self,
        window: Window,
        most_pages: u64,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<()> {
        self.read_from(window, None, most_pages, hand_over)
    }

    /// Like [`Self::read`]. `first` is the first page of the window, if it was
    /// just read.
    pub fn read_from(
        &self,
        window: Window,
        mut first: Option<Page>,
        most_pages: u64,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<()> {
        let mut pending = vec![(window, most_pages)];
        while let Some((window, most_pages)) = pending.pop() {
            if window.is_empty() {
                continue;
            }
            let first = match first.take() {
                Some(first) => first,
                None => self.page(window, 1)?,
            };
            let outcome = self.read_window(window, first, most_pages, hand_over);
            match outcome.map_err(|error| self.as_failure(error))? {
                WindowOutcome::Done => hand_over(UserStep::Done(window))?,
                WindowOutcome::Cut(parts, most_pages) => {
                    let parts = parts.into_iter().rev();
                    pending.extend(parts.map(|part| (part, most_pages)));
                }
            }
        }
        Ok(())
    }

    /// Like [`Self::read`], for the last window before the start of the run.
    /// Then reads the users edited since, until they fit a single page.
    /// Otherwise, a user who is edited during every run would never be
    /// delivered.
    fn read_late(
        &self,
        window: Window,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<()> {
        let first = self.page(Window::open(window.from), 1)?;
        if self.is_whole(&first) {
            hand_over(UserStep::Page(first))?;
            return hand_over(UserStep::Done(window));
        }
        self.read(window, MOST_PAGES, hand_over)?;
        let mut from = window.to;
        for _ in 0..MOST_READINGS {
            let asked_at = clock::now();
            let first = self.page(Window::open(from), 1)?;
            if self.is_whole(&first) {
                return hand_over(UserStep::Page(first));
            }
            // The bookmark doesn't move beyond the start of the run.
            let to = asked_at + FURTHEST_CLOCK;
            self.read(Window { from, to }, MOST_PAGES, &mut |step| match step {
                UserStep::Page(page) => hand_over(UserStep::Page(page)),
                UserStep::Done(_) => Ok(()),
            })?;
            from = from.max(asked_at - 2 * clock::RESOLUTION);
        }
        log::info!("users: they are edited faster than they can be read; the next run continues");
        Ok(())
    }

    /// Turns a refusal into a failure if users arrived before it: the account
    /// has the list, but one of its pages can't be read.
    fn as_failure(&self, error: Error) -> Error {
        match error.refusal() {
            Some(refusal) if self.longest.load(Ordering::Relaxed) > 0 && refusal.status != 401 => {
                Error::Unexpected {
                    request: format!("GET {PATH}"),
                    problem: format!("a page can't be read, and others can: {error}"),
                }
            }
            _ => error,
        }
    }

    /// Reads a window, given its first page.
    fn read_window(
        &self,
        window: Window,
        first: Page,
        most_pages: u64,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<WindowOutcome> {
        if self.is_whole(&first) {
            hand_over(UserStep::Page(first))?;
            return Ok(WindowOutcome::Done);
        }
        let length = first.len() as u64;
        let pages = match self.is_short(length) {
            true => 1,
            false => self.expected_pages(&first),
        };
        self.note(length);
        if pages > most_pages {
            let count = (5 * pages).div_ceil(4 * most_pages).clamp(2, MOST_PARTS);
            if let Some(parts) = window.parts(count) {
                return Ok(WindowOutcome::Cut(parts, most_pages));
            }
        }
        let mut times = Vec::new();
        let ask = |number| self.page(window, number);
        let pager = self.pager(&ask);
        let reading = pager.read(Some(first), &mut |page| {
            let first = page.records().next();
            let time = first.and_then(|user| user.get(self.time.property()));
            times.extend(time.and_then(timestamp::from_json));
            hand_over(UserStep::Page(page))
        })?;
        self.note(reading.longest);
        // A short page has room for any missing user, whatever total is
        // announced.
        let short = reading.pages <= 1 && self.is_short(reading.longest);
        if reading.is_proven() || short && reading.total.is_none() {
            self.look_at(&reading);
            return Ok(WindowOutcome::Done);
        }
        if !short && let Some(parts) = window.cut_at(times).or_else(|| window.parts(2)) {
            return Ok(WindowOutcome::Cut(parts, 1));
        }
        self.read_again(&pager, reading, hand_over)?;
        Ok(WindowOutcome::Done)
    }

    /// Reads an unproven window again, until a reading is proven, or all users
    /// of an unchanged set have arrived, or all readings so far are equal. A few
    /// users on several pages may come in the same order by chance, so their
    /// window is read as often as allowed.
    fn read_again(
        &self,
        pager: &Pager,
        mut last: ListReading,
        hand_over: &mut dyn FnMut(UserStep) -> Result<()>,
    ) -> Result<()> {
        let mut known = std::mem::take(&mut last.seen);
        let mut in_order = true;
        for number in 2..=MOST_READINGS {
            let reading = pager.read(None, &mut |page| hand_over(UserStep::Page(page)))?;
            let changed = last.has_changed() || reading.has_changed();
            let same = !changed && reading.total == last.total;
            if !same {
                known.clear();
            }
            known.add(&reading.seen);
            let all = (known.len() + reading.idless) as u64;
            in_order &= same && reading.order == last.order;
            let is_telling = all >= TELLING || reading.pages <= 1 || number == MOST_READINGS;
            let all_came = same && reading.total == Some(all);
            if reading.is_proven() || all_came || in_order && is_telling {
                self.look_at(&reading);
                return Ok(());
            }
            last = reading;
        }
        Err(Error::Unexpected {
            request: format!("GET {PATH}"),
            problem: format!(
                "no two of {MOST_READINGS} readings agree on the users with the same {}; run \
                 again when fewer users change",
                self.time.property()
            ),
        })
    }

    /// A page of the users of a window.
    ///
    /// # Errors
    /// Any error of the API.
    pub fn page(&self, window: Window, number: u64) -> Result<Page> {
        let [from, to] = self.time.parameters();
        let mut get = Get::new(PATH).with(from, timestamp::format(window.exclusive_from()));
        if !window.is_open() {
            get = get.with(to, timestamp::format(window.to));
        }
        let get = get
            .with("page", number)
            .with("items_per_page", self.page_size);
        let list = Shape::List("users");
        self.api.get(&get, |body| Page::parse(body, list))
    }

    fn pager<'p>(&'p self, ask: &'p (dyn Fn(u64) -> Result<Page> + Sync)) -> Pager<'p> {
        Pager {
            path: PATH,
            key: "id",
            paged: true,
            ask,
            page_size: self.page_size,
            workers: self.workers,
        }
    }

    /// Whether the first page of a window contains all of it.
    fn is_whole(&self, first: &Page) -> bool {
        let ask = |_| Ok(Page::default());
        let longest = self.longest.load(Ordering::Relaxed);
        self.pager(&ask).is_whole(first, longest)
    }

    /// Whether a page with this many users is shorter than a full one.
    fn is_short(&self, length: u64) -> bool {
        let shortest = SHORTEST_PAGE.min(u64::from(self.page_size));
        length < self.longest.load(Ordering::Relaxed).max(shortest)
    }

    /// The number of pages that a full first page announces. Without pagination
    /// data, it can be any number.
    fn expected_pages(&self, first: &Page) -> u64 {
        let Some(pagination) = first.pagination else {
            return u64::MAX / 5;
        };
        let length = first.len().max(1) as u64;
        let by_length = pagination.total_items.map(|total| total.div_ceil(length));
        pagination
            .pages()
            .max(by_length)
            .unwrap_or(1)
            .min(u64::MAX / 5)
    }

    fn note(&self, length: u64) {
        self.longest.fetch_max(length, Ordering::Relaxed);
    }

    /// Warns, once, if the answers are contradictory.
    fn look_at(&self, reading: &ListReading) {
        if let Some(doubt) = reading.doubt()
            && !self.doubtful.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "users: the API's answers contradict themselves: {doubt} ({} read, {} \
                 announced); all records in them were read",
                reading.distinct(),
                reading.total.unwrap_or_default()
            );
        }
    }
}

/// The result of reading a window.
enum WindowOutcome {
    Done,
    /// Read these windows instead, with at most this many pages each.
    Cut(Vec<Window>, u64),
}
