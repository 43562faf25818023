//! Conversations, their messages, and who has them, in one walk.
//!
//! The API has no list of conversations. [`walk`] finds them through the
//! users, [`changed`] through the raw reports, as the [`plan`] has it; [`fetch`]
//! reads each once, whoever found it; [`lane`] writes one stream's records, and
//! [`progress`] keeps the walk's place in the bookmarks.

mod changed;
mod fetch;
mod lane;
mod plan;
mod progress;
mod walk;

use std::mem;

use super::reports::Engine;
use super::users::{UserTime, Users};
use super::{Run, StreamRun};
use crate::error::{Error, Result};
use crate::freshchat::Api;
use crate::streams::{Source, WalkStream};
use changed::Changed;
use fetch::{Endpoint, Fetch, Part};
use lane::{Lane, Tally};
pub use plan::{Discovery, Plan};
use progress::{Position, Progress};
use walk::{Found, Walk};

/// Reads the streams of a group, all of which are streams of the walk, as
/// planned. The engine extracts the reports that the plan wants.
///
/// # Errors
/// What ended all of them; what ended one alone is left with it.
pub fn extract(group: &mut [StreamRun], plan: &Plan, engine: &Engine) -> Result<()> {
    let Some(run) = group.first().map(|stream_run| stream_run.run) else {
        return Ok(());
    };
    let mut streams = Streams {
        run,
        engine,
        progress: plan.progress.clone(),
        users: Tally::default(),
        doubtful: false,
        lanes: Vec::new(),
    };
    let mut apis = Vec::new();
    for stream_run in group.iter_mut() {
        let (Source::Walk(part), Some(window)) =
            (&stream_run.stream.source, plan.window(stream_run.stream))
        else {
            continue;
        };
        // Of the lists, only those of what changed are known.
        stream_run.partial = plan.by == Discovery::Reports;
        let version = stream_run.writer.version().filter(|_| !stream_run.partial);
        let version = version.map(|_| plan.progress.started_at.timestamp_millis());
        stream_run.writer.set_version(version);
        let (api, sink) = stream_run.split();
        apis.push(api);
        streams.lanes.push(Lane::new(*part, sink, window, plan));
    }
    let walked = streams.walk(&apis);
    let doubtful = streams.doubtful;
    let (ended, errors) = streams.close(walked);
    for (stream_run, error) in group.iter_mut().zip(errors) {
        stream_run.partial |= doubtful;
        stream_run.error = error;
    }
    ended
}

/// The streams of a walk, and how far they are.
struct Streams<'a> {
    run: &'a Run<'a>,
    engine: &'a Engine<'a>,
    progress: Progress,
    /// How the users' lists were answered.
    users: Tally,
    /// Whether the lists of users contradict themselves.
    doubtful: bool,
    lanes: Vec<Lane<'a>>,
}

impl Streams<'_> {
    /// Walks to the end; `apis` are those of the lanes.
    fn walk(&mut self, apis: &[&Api]) -> Result<()> {
        let settings = self.run.settings;
        // Where two streams are made of the same answers, the later one's
        // table row has the requests.
        let of = |part| self.lanes.iter().rposition(|lane| lane.reads(part));
        let endpoint = |part| of(part).map(|at| Endpoint::new(apis[at]));
        let messages = of(WalkStream::Messages).map(|at| &self.lanes[at]);
        let fetch = Fetch {
            workers: settings.concurrency,
            conversations: endpoint(WalkStream::Conversations),
            messages: endpoint(WalkStream::Messages),
            from_time: messages.map(Lane::asked_from).unwrap_or_default(),
            page_size: settings.page_size,
        };
        match self.progress.position.clone() {
            Position::Users(place) => {
                let walk = Walk {
                    users: Users::new(apis[0], UserTime::Created, settings.page_size),
                    workers: settings.concurrency,
                    place,
                    to: self.progress.to,
                    calls_each: fetch.calls_each(),
                };
                let walked = fetch.run(
                    |hand_over| walk.run(hand_over),
                    |part| self.take(part, &fetch),
                );
                self.doubtful = walk.users.is_doubtful();
                walked
            }
            Position::Conversations(place) => {
                let changed = Changed::behind(self.engine.conversations()?, place.as_deref());
                changed.announce(fetch.calls_each(), apis[0])?;
                fetch.run(
                    |hand_over| changed.run(hand_over),
                    |part| self.take(part, &fetch),
                )
            }
        }
    }

    /// Writes what was read, and moves the bookmarks.
    fn take(&mut self, part: Part<Found>, fetch: &Fetch) -> Result<()> {
        match part {
            Part::Conversation { id, page } => {
                self.each(WalkStream::Conversations, fetch, |lane| {
                    lane.conversation(&id, &page)
                })
            }
            Part::Messages { conversation, page } => {
                self.each(WalkStream::Messages, fetch, |lane| {
                    lane.messages(&conversation, &page)
                })?;
                self.each(WalkStream::Lists, fetch, |lane| {
                    lane.user_of(&conversation, &page)
                })
            }
            Part::Missed(part, error) => {
                self.each(part, fetch, |lane| lane.tally.miss(error.clone()))
            }
            Part::Other(Found::List { user, page }) => {
                self.users.answered += 1;
                self.each(WalkStream::Lists, fetch, |lane| lane.list(&user, &page))
            }
            Part::Other(Found::Missed(error)) => self.users.miss(error),
            Part::Other(Found::Checkpoint(position)) => self.checkpoint(position),
        }
    }

    /// Lets each stream act that is made from this part's answers and hasn't
    /// failed. Its failure is its own, and the walk goes on for the others.
    fn each(
        &mut self,
        part: WalkStream,
        fetch: &Fetch,
        mut act: impl FnMut(&mut Lane) -> Result<()>,
    ) -> Result<()> {
        let goes_on = |lane: &Lane| lane.reads(part) && lane.error.is_none();
        let mut failed = false;
        for lane in self.lanes.iter_mut().filter(|lane| goes_on(lane)) {
            match act(lane) {
                Ok(()) => {}
                Err(error) if error.ends_run() => return Err(error),
                Err(error) => {
                    lane.error = Some(error);
                    failed = true;
                }
            }
        }
        if failed && !self.lanes.iter().any(goes_on) {
            fetch.stop(part);
        }
        match failed && self.lanes.iter().all(|lane| lane.error.is_some()) {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }

    fn checkpoint(&mut self, position: Position) -> Result<()> {
        self.progress.position = position;
        self.write_bookmarks(false)
    }

    fn write_bookmarks(&self, complete: bool) -> Result<()> {
        let bookmark = |lane: &Lane| Some((lane.name(), lane.bookmark(&self.progress, complete)?));
        let bookmarks = self.lanes.iter().filter_map(bookmark);
        let bookmarks: Vec<_> = bookmarks.collect();
        match complete && bookmarks.len() == self.lanes.len() {
            true => Ok(self.engine.conversations_read(bookmarks)?),
            false => Ok(self.run.output.checkpoint_all(bookmarks)?),
        }
    }

    /// Ends the walk: what ended all streams, and what ended each alone.
    fn close(mut self, walked: Result<()>) -> (Result<()>, Vec<Option<Error>>) {
        let users = mem::take(&mut self.users).close("walk: of the users");
        let ended = walked.and(users);
        let ended = ended.and_then(|()| self.write_bookmarks(true));
        (ended, self.lanes.into_iter().map(Lane::close).collect())
    }
}
