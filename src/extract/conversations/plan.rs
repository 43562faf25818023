//! Decides how a run finds conversations, and from which time it reads them.

use chrono::{DateTime, TimeDelta, Utc};

use super::progress::{Position, WalkProgress};
use crate::config::ConversationDiscovery;
use crate::error::Result;
use crate::extract::Run;
use crate::extract::reports::{Search, oldest_start, search_lookback};
use crate::extract::window::Window;
use crate::freshchat::clock;
use crate::singer::Bookmark;
use crate::streams::{Source, Stream, WalkStream};
use crate::timestamp;

/// In the bookmark of a stream without a replication key: the time up to which
/// it is complete.
const COMPLETE_TO: &str = "walk_complete_to";

/// In the bookmark: the time up to which walks over the users have read the
/// stream without a gap since the start date.
const RECONCILED_TO: &str = "reconciled_to";

/// In the bookmark: the same, but without a known start. It is the bookmark's
/// value when the reports first moved it. A walk over the users reads from
/// there.
const WALKED_TO: &str = "users_walked_to";

/// After this time, a walk that has read no conversation yet is started again,
/// so that it includes the changes since.
const STALE: TimeDelta = TimeDelta::hours(24);

/// A way to find conversations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Discovery {
    /// Through each user's list of conversations.
    Users,
    /// Through the raw reports, which name the changed conversations.
    Reports,
}

/// What a run reads of the conversations.
pub struct Plan {
    pub by: Discovery,
    /// The walk to start or to continue.
    pub progress: WalkProgress,
    resumed: bool,
    streams: Vec<StreamPlan>,
}

/// What is wanted of a stream.
struct StreamPlan {
    stream: &'static Stream,
    full_table: bool,
    window: Window,
    /// Whether a walk over the users leaves no gap before it.
    reconciles: bool,
}

impl Plan {
    /// A plan for the streams of the walk. The flag of each says whether the
    /// whole stream is wanted, whatever its bookmark.
    ///
    /// Records from before the range of the reports are found through the
    /// users, whatever the setting. The reports are used only if nothing is
    /// lost by it. With `auto`, an unfinished walk continues in its own way.
    ///
    /// # Errors
    /// Those of [`Run::started_at`].
    pub fn new(run: &Run, streams: &[(&'static Stream, bool)]) -> Result<Self> {
        let plan = Self::choose(run, streams)?;
        if plan.resumed {
            log::info!(
                "walk: continuing the one started at {}",
                timestamp::format(plan.progress.started_at)
            );
        }
        Ok(plan)
    }

    fn choose(run: &Run, streams: &[(&'static Stream, bool)]) -> Result<Self> {
        let choice = run.settings.conversation_discovery;
        let by = |by| Self::by(run, by, streams.iter().copied());
        if choice == ConversationDiscovery::Users {
            return by(Discovery::Users);
        }
        let is_auto = choice == ConversationDiscovery::Auto;
        let unfinished = |plan: &Self| is_auto && plan.resumed;
        let reported = by(Discovery::Reports)?;
        if unfinished(&reported) && reported.is_within_reach(run)? {
            return Ok(reported);
        }
        let walked = by(Discovery::Users)?;
        if unfinished(&walked) || is_auto && walked.is_due(run) {
            return Ok(walked);
        }
        if reported.is_within_reach(run)? {
            return Ok(reported);
        }
        log::warn!(
            "the run needs conversations from before {}, which the reports don't reach; all \
             users are walked",
            timestamp::format(oldest_start(run.started_at()?))
        );
        Ok(walked)
    }

    /// A plan for the same streams through the users, because the reports of
    /// this plan are not available.
    ///
    /// # Errors
    /// Those of [`Run::started_at`].
    pub fn by_users(&self, run: &Run) -> Result<Self> {
        let streams = self.streams.iter();
        let streams = streams.map(|wanted| (wanted.stream, wanted.full_table));
        Self::by(run, Discovery::Users, streams)
    }

    fn by(
        run: &Run,
        by: Discovery,
        streams: impl Iterator<Item = (&'static Stream, bool)>,
    ) -> Result<Self> {
        let started_at = run.started_at()?;
        let wanted = |(stream, full_table)| StreamPlan::new(run, by, stream, full_table);
        let streams = streams.map(wanted).collect::<Result<Vec<_>>>()?;
        let unfinished = unfinished(run, by, started_at, &streams);
        Ok(Self {
            by,
            resumed: unfinished.is_some(),
            progress: unfinished.unwrap_or_else(|| {
                let to = streams.first().map_or(started_at, |it| it.window.to);
                WalkProgress::new(started_at, to, by)
            }),
            streams,
        })
    }

    /// Whether the reports go back far enough for all streams.
    fn is_within_reach(&self, run: &Run) -> Result<bool> {
        let oldest = oldest_start(run.started_at()?);
        let mut streams = self.streams.iter();
        Ok(streams.all(|wanted| wanted.window.from >= oldest))
    }

    /// Whether one of the streams was never reconciled, or not within the time
    /// in the settings. A whole stream can be read only through the users.
    fn is_due(&self, run: &Run) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|wanted| {
            let reconciled_to = reconciled_to(&run.output.bookmark(wanted.stream.name));
            let is_old = |to| to + run.settings.reconcile_after <= wanted.window.to;
            wanted.is_whole() || reconciled_to.is_none_or(is_old)
        })
    }

    /// The window in which a walk over the users shows what the reports miss:
    /// since the last such walk. `None` if no records of conversations are
    /// read, or if there was no such walk.
    ///
    /// # Errors
    /// Those of [`Run::started_at`].
    pub fn measured(&self, run: &Run) -> Result<Option<Window>> {
        let is_auto = run.settings.conversation_discovery == ConversationDiscovery::Auto;
        if self.by == Discovery::Reports
            || !is_auto
            || !self.streams.iter().any(StreamPlan::has_key)
        {
            return Ok(None);
        }
        let reconciled_to = |wanted: &StreamPlan| {
            reconciled_to(&run.output.bookmark(wanted.stream.name)).filter(|_| !wanted.is_whole())
        };
        let all: Option<Vec<_>> = self.streams.iter().map(reconciled_to).collect();
        let oldest = oldest_start(run.started_at()?);
        let from = all.and_then(|all| all.into_iter().min());
        let window = from.filter(|from| *from >= oldest).map(|from| Window {
            from,
            to: self.progress.to,
        });
        Ok(window.filter(|window| !window.is_empty()))
    }

    /// What to request from the reports, if anything. If conversations are
    /// found through the reports, this records the start of the walk in the
    /// bookmarks. A run that is stopped during the extraction then continues
    /// the walk, with the same jobs.
    ///
    /// # Errors
    /// If stdout can't be written to, and those of [`Run::started_at`].
    pub fn search(&self, run: &Run) -> Result<Option<Search>> {
        let resumed = self.resumed;
        if self.by == Discovery::Users {
            let measured = self.measured(run)?;
            return Ok(measured.map(|window| Search { window, resumed }));
        }
        let Some(from) = self.streams.iter().map(|wanted| wanted.window.from).min() else {
            return Ok(None);
        };
        let bookmarks = self
            .streams
            .iter()
            .map(|StreamPlan { stream, window, .. }| {
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
            resumed,
        }))
    }

    /// The window to read for a stream.
    pub fn window(&self, stream: &Stream) -> Option<Window> {
        self.wanted(stream).map(|wanted| wanted.window)
    }

    /// Records in a stream's bookmark up to when it is complete.
    pub fn complete(&self, bookmark: &mut Bookmark, stream: &Stream) {
        let to = self.progress.to;
        let latest = |before: Option<DateTime<Utc>>| before.map_or(to, |before| before.max(to));
        if let Some(wanted) = self.wanted(stream) {
            let (mut reconciled_to, mut walked_to) = (reconciled_to(bookmark), walked_to(bookmark));
            match self.by {
                Discovery::Users if wanted.reconciles => {
                    (reconciled_to, walked_to) = (Some(latest(reconciled_to)), None);
                }
                Discovery::Users => walked_to = walked_to.map(|before| before.max(to)),
                Discovery::Reports if reconciled_to.is_none() && wanted.has_key() => {
                    let start = bookmark.value().unwrap_or(wanted.window.from);
                    walked_to = walked_to.or(Some(start));
                }
                Discovery::Reports => {}
            }
            for (name, time) in [(RECONCILED_TO, reconciled_to), (WALKED_TO, walked_to)] {
                match time {
                    Some(time) => bookmark.set(name, timestamp::format(time)),
                    None => bookmark.remove(name),
                }
            }
        }
        WalkProgress::clear(bookmark);
        match stream.replication_key {
            Some(key) => bookmark.advance(key, to),
            None => {
                let to = latest(complete_to(bookmark));
                bookmark.set(COMPLETE_TO, timestamp::format(to));
            }
        }
    }

    fn wanted(&self, stream: &Stream) -> Option<&StreamPlan> {
        let mut streams = self.streams.iter();
        streams.find(|wanted| wanted.stream.name == stream.name)
    }
}

impl StreamPlan {
    /// What a run with this discovery reads of a stream.
    fn new(run: &Run, by: Discovery, stream: &'static Stream, full_table: bool) -> Result<Self> {
        let bookmark = run.output.bookmark(stream.name);
        let reconciled_to = reconciled_to(&bookmark);
        let is_auto = run.settings.conversation_discovery == ConversationDiscovery::Auto;
        let reached = match (by, &stream.source) {
            // All lists are read.
            (Discovery::Users, Source::Walk(WalkStream::Lists)) => None,
            // Discovery declares the stream as full-table, as it is with users.
            (Discovery::Reports, Source::Walk(WalkStream::Lists)) => complete_to(&bookmark),
            _ if full_table => None,
            (Discovery::Reports, _) => bookmark.value(),
            // What was found only through the reports since then may be
            // incomplete.
            (Discovery::Users, _) if is_auto => reconciled_to,
            (Discovery::Users, _) => reconciled_to
                .or_else(|| walked_to(&bookmark))
                .or_else(|| bookmark.value()),
        };
        // The reports may name a conversation late, so it is read from that far
        // back.
        let lookback = match by {
            Discovery::Users => run.settings.lookback,
            Discovery::Reports => search_lookback(run.settings),
        };
        Ok(Self {
            stream,
            full_table,
            window: run.window(stream.name, reached, lookback)?,
            reconciles: reached.is_none() || reconciled_to.is_some(),
        })
    }

    /// Whether the whole of a stream with a replication key is wanted.
    fn is_whole(&self) -> bool {
        self.full_table && self.has_key()
    }

    fn has_key(&self) -> bool {
        self.stream.replication_key.is_some()
    }
}

/// Whether an earlier walk completed the stream.
pub fn was_complete(bookmark: &Bookmark) -> bool {
    reached(bookmark).is_some()
}

/// The time up to which a stream is complete.
fn reached(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    bookmark.value().or_else(|| complete_to(bookmark))
}

fn complete_to(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    time(bookmark, COMPLETE_TO)
}

/// The time up to which a stream is reconciled.
fn reconciled_to(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    within_reached(bookmark, RECONCILED_TO)
}

fn walked_to(bookmark: &Bookmark) -> Option<DateTime<Utc>> {
    within_reached(bookmark, WALKED_TO)
}

/// A time in the bookmark, but no later than the value of the bookmark, which
/// the user may have set back.
fn within_reached(bookmark: &Bookmark, name: &str) -> Option<DateTime<Utc>> {
    let reached = reached(bookmark)?;
    time(bookmark, name).map(|time| time.min(reached))
}

fn time(bookmark: &Bookmark, name: &str) -> Option<DateTime<Utc>> {
    timestamp::parse(bookmark.get(name)?.as_str()?)
}

/// The unfinished walk that all of the streams were part of, if any.
fn unfinished(
    run: &Run,
    by: Discovery,
    started_at: DateTime<Utc>,
    streams: &[StreamPlan],
) -> Option<WalkProgress> {
    let progress = |StreamPlan { stream, window, .. }: &StreamPlan| {
        let bookmark = run.output.bookmark(stream.name);
        // The server's time is in whole seconds, so the order of two runs
        // within a second is unknown.
        WalkProgress::read(
            &bookmark,
            by,
            window.from,
            window.to + 2 * clock::RESOLUTION,
        )
    };
    let unfinished = WalkProgress::common(streams.iter().map(progress))?;
    let begun = unfinished.position != Position::Conversations(None);
    if !begun && started_at - unfinished.started_at > STALE {
        return None;
    }
    Some(unfinished)
}
