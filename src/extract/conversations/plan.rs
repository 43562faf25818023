//! How the conversations of a run are found, and from when on they are read.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::progress::{Position, Progress};
use crate::error::Result;
use crate::extract::Run;
use crate::extract::reports::{Search, oldest_start, search_lookback};
use crate::extract::window::Window;
use crate::singer::Bookmark;
use crate::streams::{Source, Stream, WalkStream};
use crate::timestamp;

/// Up to when a stream without a replication key is complete, in its bookmark.
const COMPLETE_TO: &str = "walk_complete_to";

/// A walk of which no conversation is read yet is begun anew after this time:
/// what changed since is then read, too.
const STALE: TimeDelta = TimeDelta::hours(24);

/// A way to the conversations (setting `conversation_discovery`).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// Through the conversations of each user.
    Users,
    /// Through the raw reports, which name the conversations that changed.
    Reports,
}

/// What a run reads of the conversations.
pub struct Plan {
    pub by: Discovery,
    /// The walk to begin, or to go on with.
    pub progress: Progress,
    resumed: bool,
    windows: Vec<(&'static Stream, Window)>,
}

impl Plan {
    /// A plan for the streams of the walk, each with whether the whole of it
    /// is wanted, bookmark or not.
    ///
    /// What lies before the reports' reach is found by a walk over the users,
    /// whatever the setting says: a run goes by the reports where nothing is
    /// lost by it.
    ///
    /// # Errors
    /// Those of [`Run::started_at`].
    pub fn new(run: &Run, streams: &[(&'static Stream, bool)]) -> Result<Self> {
        let started_at = run.started_at()?;
        let mut by = run.settings.conversation_discovery;
        let mut windows = windows(run, by, streams)?;
        let oldest = oldest_start(started_at);
        let reached_back = windows.iter().all(|(_, window)| window.from >= oldest);
        if by == Discovery::Reports && !reached_back {
            log::warn!(
                "conversations are wanted from a time on that the reports don't reach, which go \
                 back to {}: all users are walked",
                timestamp::format(oldest)
            );
            by = Discovery::Users;
            windows = self::windows(run, by, streams)?;
        }
        let unfinished = unfinished(run, by, started_at, &windows);
        Ok(Self {
            by,
            resumed: unfinished.is_some(),
            progress: unfinished.unwrap_or_else(|| {
                let first = windows.first();
                let to = first.map_or(started_at, |(_, window)| window.to);
                Progress::new(started_at, to, by)
            }),
            windows,
        })
    }

    /// What the reports are asked for, if they are. Notes in the streams'
    /// bookmarks that this walk is begun: a run that is stopped while the
    /// reports are extracted goes on with it, and with its jobs.
    ///
    /// # Errors
    /// Stdout can't be written to.
    pub fn search(&self, run: &Run) -> Result<Option<Search>> {
        let from = self.windows.iter().map(|(_, window)| window.from).min();
        let Some(from) = from.filter(|_| self.by == Discovery::Reports) else {
            return Ok(None);
        };
        let bookmarks = self.windows.iter().map(|(stream, window)| {
            let mut bookmark = run.output.bookmark(stream.name);
            self.progress.write(&mut bookmark, window.from);
            (stream.name, bookmark)
        });
        run.output.checkpoint_all(bookmarks.collect::<Vec<_>>())?;
        Ok(Some(Search {
            window: Window {
                from,
                to: self.progress.to,
            },
            resumed: self.resumed,
        }))
    }

    /// The time to read of a stream.
    pub fn window(&self, stream: &Stream) -> Option<Window> {
        let mut windows = self.windows.iter();
        let found = windows.find(|(own, _)| own.name == stream.name);
        found.map(|(_, window)| *window)
    }
}

/// Notes in the bookmark of a stream up to when it is complete.
pub fn complete(bookmark: &mut Bookmark, stream: &Stream, to: DateTime<Utc>) {
    Progress::clear(bookmark);
    match stream.replication_key {
        Some(key) => bookmark.advance(key, to),
        None => {
            let to = complete_to(bookmark).map_or(to, |before| before.max(to));
            bookmark.set(COMPLETE_TO, timestamp::format(to));
        }
    }
}

/// Whether a walk of the stream was complete before.
pub fn was_complete(bookmark: &Bookmark) -> bool {
    bookmark.value().is_some() || complete_to(bookmark).is_some()
}

fn complete_to(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    timestamp::parse(bookmark.get(COMPLETE_TO)?.as_str()?)
}

/// The time to read of each stream.
fn windows(
    run: &Run,
    by: Discovery,
    streams: &[(&'static Stream, bool)],
) -> Result<Vec<(&'static Stream, Window)>> {
    let window = |(stream, full_table): &(&'static Stream, bool)| {
        let bookmark = run.output.bookmark(stream.name);
        let reached = match (by, &stream.source) {
            // All lists are read.
            (Discovery::Users, Source::Walk(WalkStream::Lists)) => None,
            // Discovery calls the stream full-table, which it is by users.
            (Discovery::Reports, Source::Walk(WalkStream::Lists)) => complete_to(&bookmark),
            _ if *full_table => None,
            _ => bookmark.value(),
        };
        // What a report tells late is read from when it happened on.
        let lookback = match by {
            Discovery::Users => run.settings.lookback,
            Discovery::Reports => search_lookback(run.settings),
        };
        Ok((*stream, run.window(stream.name, reached, lookback)?))
    };
    streams.iter().map(window).collect()
}

/// The walk that all of the streams were in when it was stopped, if any.
fn unfinished(
    run: &Run,
    by: Discovery,
    started_at: DateTime<Utc>,
    windows: &[(&'static Stream, Window)],
) -> Option<Progress> {
    let progress = |(stream, window): &(&'static Stream, Window)| {
        let bookmark = run.output.bookmark(stream.name);
        Progress::read(&bookmark, by, window.from, window.to)
    };
    let unfinished = Progress::common(windows.iter().map(progress))?;
    let begun = unfinished.position != Position::Conversations(None);
    if !begun && started_at - unfinished.started_at > STALE {
        return None;
    }
    log::info!(
        "walk: going on with the one that was started at {}",
        timestamp::format(unfinished.started_at)
    );
    Some(unfinished)
}
