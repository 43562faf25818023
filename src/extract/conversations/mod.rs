//! Conversations, their messages, and who has them, in one walk.
//!
//! The API has no list of conversations. [`walk`] finds them through the
//! users, and [`fetch`] reads each once, whoever found it; [`lane`] writes one
//! stream's records, and [`progress`] keeps the walk's place in the bookmarks.

mod fetch;
mod lane;
mod progress;
mod walk;

use std::mem;

use super::users::{UserTime, Users};
use super::{Run, StreamRun};
use crate::error::{Error, Result};
use crate::freshchat::Api;
use crate::streams::{Source, WalkStream};
use crate::timestamp;
use fetch::{Endpoint, Fetch, Part};
use lane::{Lane, Tally};
use progress::{Position, Progress};
use walk::{Found, Walk};

/// Reads the streams of a group, all of which are streams of the walk.
///
/// # Errors
/// What ended all of them; what ended one alone is left with it.
pub fn extract(group: &mut [StreamRun]) -> Result<()> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let run = first.run;
    let progress =
        unfinished(group).unwrap_or_else(|| Progress::new(run.started_at, first.window().to));
    let mut streams = Streams {
        run,
        progress,
        users: Tally::default(),
        lanes: Vec::new(),
    };
    let mut apis = Vec::new();
    for stream_run in group.iter_mut() {
        let Source::Walk(part) = stream_run.stream.source else {
            continue;
        };
        let version = stream_run.writer.version();
        let version = version.map(|_| progress.started_at.timestamp_millis());
        stream_run.writer.set_version(version);
        let window = stream_run.window();
        let (api, sink) = stream_run.split();
        apis.push(api);
        streams.lanes.push(Lane::new(part, sink, window, &progress));
    }
    let walked = streams.walk(&apis);
    let (ended, errors) = streams.close(walked);
    for (stream_run, error) in group.iter_mut().zip(errors) {
        stream_run.error = error;
    }
    ended
}

/// The walk that all of the streams were in when it was stopped, if any.
fn unfinished(group: &[StreamRun]) -> Option<Progress> {
    let progress = |stream_run: &StreamRun| {
        let bookmark = stream_run.run.output.bookmark(stream_run.stream.name);
        let window = stream_run.window();
        Progress::read(&bookmark, window.from, window.to)
    };
    let unfinished = Progress::common(group.iter().map(progress))?;
    log::info!(
        "walk: going on with the one that was started at {}",
        timestamp::format(unfinished.started_at)
    );
    Some(unfinished)
}

/// The streams of a walk, and how far they are.
struct Streams<'a> {
    run: &'a Run<'a>,
    progress: Progress,
    /// How the users' lists were answered.
    users: Tally,
    lanes: Vec<Lane<'a>>,
}

impl Streams<'_> {
    /// Walks to the end; `apis` are those of the lanes.
    fn walk(&mut self, apis: &[&Api]) -> Result<()> {
        let settings = self.run.settings;
        let of = |part| self.lanes.iter().position(|lane| lane.part == part);
        let endpoint = |part| of(part).map(|at| Endpoint::new(apis[at]));
        let messages = of(WalkStream::Messages).map(|at| &self.lanes[at]);
        let fetch = Fetch {
            workers: settings.concurrency,
            conversations: endpoint(WalkStream::Conversations),
            messages: endpoint(WalkStream::Messages),
            from_time: messages.map(Lane::asked_from).unwrap_or_default(),
            page_size: settings.page_size,
        };
        let walk = Walk {
            users: Users {
                api: apis[0],
                time: UserTime::Created,
                page_size: settings.page_size,
            },
            workers: settings.concurrency,
            progress: self.progress,
            calls_each: fetch.calls_each(),
        };
        fetch.run(
            |hand_over| walk.run(hand_over),
            |part| self.take(part, &fetch),
        )
    }

    /// Writes what was read, and moves the bookmarks.
    fn take(&mut self, part: Part<Found>, fetch: &Fetch) -> Result<()> {
        match part {
            Part::Conversation { id, page } => {
                self.with(WalkStream::Conversations, fetch, |lane| {
                    lane.conversation(&id, &page)
                })
            }
            Part::Messages { conversation, page } => {
                self.with(WalkStream::Messages, fetch, |lane| {
                    lane.messages(&conversation, &page)
                })
            }
            Part::Missed(stream, error) => self.with(stream, fetch, |lane| lane.tally.miss(error)),
            Part::Other(Found::List { user, page }) => {
                self.users.answered += 1;
                self.with(WalkStream::Lists, fetch, |lane| lane.list(&user, &page))
            }
            Part::Other(Found::Missed(error)) => self.users.miss(error),
            Part::Other(Found::Checkpoint(position)) => self.checkpoint(position),
        }
    }

    /// Lets a stream act, if it is selected and hasn't failed. Its failure is
    /// its own, and the walk goes on for the others.
    fn with(
        &mut self,
        part: WalkStream,
        fetch: &Fetch,
        act: impl FnOnce(&mut Lane) -> Result<()>,
    ) -> Result<()> {
        let mut lanes = self.lanes.iter_mut();
        let Some(lane) = lanes.find(|lane| lane.part == part && lane.error.is_none()) else {
            return Ok(());
        };
        match act(lane) {
            Ok(()) => return Ok(()),
            Err(error) if error.ends_run() => return Err(error),
            Err(error) => lane.error = Some(error),
        }
        fetch.stop(part);
        match self.lanes.iter().all(|lane| lane.error.is_some()) {
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
        Ok(self.run.output.checkpoint_all(bookmarks)?)
    }

    /// Ends the walk: what ended all streams, and what ended each alone.
    fn close(mut self, walked: Result<()>) -> (Result<()>, Vec<Option<Error>>) {
        let users = mem::take(&mut self.users).close("walk: of the users");
        let ended = walked.and(users);
        let ended = ended.and_then(|()| self.write_bookmarks(true));
        (ended, self.lanes.into_iter().map(Lane::close).collect())
    }
}
