//! Conversations, their messages and their users, read in one walk.
//!
//! The API has no list of conversations. Depending on the [`plan`], they are
//! found through the users ([`walk`]) or the raw reports ([`changed`]).
//! [`fetch`] reads each conversation once. [`walked_stream`] writes the records of a
//! stream. [`progress`] keeps the position of the walk in the bookmarks, and
//! [`children`] the users and conversations that can't be read, which
//! [`missing`] handles. [`news`] measures what the reports miss.

mod changed;
mod children;
mod endpoint_tally;
mod fetch;
mod known;
mod missing;
mod news;
mod plan;
mod progress;
mod rounds;
mod user_lists;
mod walk;
mod walked_stream;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use std::sync::atomic::AtomicBool;

use super::counted::counted;
use super::ids::Ids;
use super::reports::Engine;
use super::seen::Seen;
use super::users::{UserTime, Users};
use super::{Run, StreamRun};
use crate::config::ConversationDiscovery;
use crate::error::{Error, Result};
use crate::freshchat::Api;
use crate::streams::{STREAMS, Source, WalkStream};
use changed::Changed;
use children::{Child, size_in};
use endpoint_tally::EndpointTally;
use fetch::{Endpoint, Endpoints, Fetch, FetchPart, Missed, WantedConversation};
use news::News;
pub use plan::{Discovery, Plan};
use progress::{Position, WalkProgress};
use user_lists::{Found, UserLists};
use walk::Walk;
use walked_stream::WalkedStream;

/// The limit for the missed children of all streams in the state, in bytes of
/// JSON.
const ROOM_FOR_MISSED: usize = 32 * 1024;

/// Reads a group of streams of the walk, as planned. The engine extracts the
/// reports that the plan needs.
///
/// # Errors
/// What ended all of the streams. An error that ended a single stream is stored
/// in that stream.
pub fn extract(group: &mut [StreamRun], plan: &Plan, engine: &Engine) -> Result<()> {
    let Some(run) = group.first().map(|stream_run| stream_run.run) else {
        return Ok(());
    };
    let (replanned, named) = look_ahead(run, plan, engine)?;
    let plan = replanned.as_ref().unwrap_or(plan);
    let mut apis = Vec::new();
    let mut lanes = Vec::new();
    for stream_run in group.iter_mut() {
        let (Source::Walk(part), Some(window)) =
            (&stream_run.stream.source, plan.window(stream_run.stream))
        else {
            continue;
        };
        // With reports, only the lists of changed conversations are known.
        stream_run.partial = plan.by == Discovery::Reports;
        let version = stream_run.writer.version().filter(|_| !stream_run.partial);
        let version = version.map(|_| plan.progress.started_at.timestamp_millis());
        stream_run.writer.set_version(version);
        let (api, sink) = stream_run.split();
        apis.push(api);
        lanes.push(WalkedStream::new(*part, sink, window, plan)?);
    }
    let reading = WalkSources::new(run, &apis, &lanes);
    let mut streams = Streams {
        run,
        engine,
        progress: plan.progress.clone(),
        reading: &reading,
        users: EndpointTally::default(),
        is_walking: false,
        seen: Seen::default(),
        asked_users: HashSet::new(),
        due: BTreeSet::new(),
        waiting: BTreeMap::new(),
        second: BTreeSet::new(),
        users_gone: 0,
        is_doubtful: false,
        named,
        news: match replanned {
            None => plan.measured(run)?.map(News::of),
            Some(_) => None,
        },
        lanes,
    };
    let walked = streams.read();
    let (is_doubtful, news) = (streams.is_doubtful, streams.news.take());
    let (ended, closed) = streams.close(walked);
    let ended = ended.and_then(|()| news.map_or(Ok(()), |news| news.compare(engine)));
    for (stream_run, (partial, error)) in group.iter_mut().zip(closed) {
        stream_run.partial |= partial || is_doubtful;
        stream_run.error = error;
    }
    ended
}

/// With `auto` and reports, waits for the conversations that the reports name.
/// Returns a new plan if the account or the token lacks these reports.
fn look_ahead(run: &Run, plan: &Plan, engine: &Engine) -> Result<(Option<Plan>, Option<Ids>)> {
    let is_auto = run.settings.conversation_discovery == ConversationDiscovery::Auto;
    if !is_auto || plan.by == Discovery::Users {
        return Ok((None, None));
    }
    match engine.conversations() {
        Ok(named) => Ok((None, Some(named))),
        Err(Error::Discovery(error)) if error.is_lack() => {
            log::warn!(
                "walk: the reports that name the conversations are not available: {error}; all \
                 users are walked"
            );
            engine.end_search();
            Ok((Some(plan.by_users(run)?), None))
        }
        Err(error) => Err(error),
    }
}

/// The sources of the walk.
struct WalkSources<'a> {
    workers: usize,
    page_size: u32,
    users: &'a Api<'a>,
    lists: UserLists<'a>,
    endpoints: Endpoints<'a>,
}

/// The streams of a walk, and their progress.
struct Streams<'a> {
    run: &'a Run<'a>,
    engine: &'a Engine<'a>,
    progress: WalkProgress,
    reading: &'a WalkSources<'a>,
    /// The answers for the users' lists in the walk.
    users: EndpointTally,
    /// Whether answers count for judging an endpoint. Children that are
    /// requested again usually fail for their own reasons.
    is_walking: bool,
    /// Conversations that were already requested.
    seen: Seen,
    /// Users whose lists were requested before the walk.
    asked_users: HashSet<String>,
    /// Children that were found gone at least a day ago.
    due: BTreeSet<Child>,
    /// Children that answered 404 or 410 once, and what to request again.
    waiting: BTreeMap<Child, WantedConversation>,
    /// Those that are now requested for the second time.
    second: BTreeSet<Child>,
    users_gone: u64,
    /// Whether the lists of users contradict themselves.
    is_doubtful: bool,
    /// The conversations that the reports name, if already known.
    named: Option<Ids>,
    /// New conversations, if they are compared with the reports.
    news: Option<News>,
    lanes: Vec<WalkedStream<'a>>,
}

impl<'a> WalkSources<'a> {
    /// Reads for these lanes, with their APIs.
    fn new(run: &Run, apis: &[&'a Api<'a>], lanes: &[WalkedStream]) -> Self {
        // If two streams use the same answers, the requests count for the later
        // one.
        let of = |part| lanes.iter().rposition(|lane| lane.reads(part));
        let endpoint = |part| of(part).map(|at| Endpoint::new(apis[at]));
        Self {
            workers: run.settings.concurrency,
            page_size: run.settings.page_size,
            users: apis[0],
            lists: UserLists::new(apis[0]),
            endpoints: Endpoints {
                conversations: endpoint(WalkStream::Conversations),
                messages: endpoint(WalkStream::Messages),
                links_tell: AtomicBool::new(false),
            },
        }
    }

    fn fetch(&self, lanes: &[WalkedStream], always_itself: bool) -> Fetch<'_> {
        let messages = lanes.iter().find(|lane| lane.reads(WalkStream::Messages));
        Fetch {
            workers: self.workers,
            endpoints: &self.endpoints,
            from_time: messages.map(WalkedStream::asked_from).unwrap_or_default(),
            from_times: messages
                .into_iter()
                .flat_map(WalkedStream::asked_earlier)
                .collect(),
            always_itself,
            page_size: self.page_size,
        }
    }
}

impl Streams<'_> {
    /// Reads what was missed, walks to the end, and then requests once more
    /// what was not found.
    fn read(&mut self) -> Result<()> {
        self.read_missed()?;
        self.is_walking = true;
        self.walk()?;
        self.is_walking = false;
        self.judge()?;
        self.look_again()
    }

    /// Walks to the end.
    fn walk(&mut self) -> Result<()> {
        let reading = self.reading;
        self.lanes.iter_mut().for_each(|lane| lane.begin(&[]));
        let fetch = reading.fetch(&self.lanes, false);
        let mut seen = mem::take(&mut self.seen);
        let asked = self.asked_users.clone();
        let calls_each = reading.endpoints.calls_each();
        match self.progress.position.clone() {
            Position::Users(place) => {
                let walk = Walk {
                    users: Users::new(
                        reading.users,
                        UserTime::Created,
                        reading.page_size,
                        reading.workers,
                    ),
                    lists: &reading.lists,
                    workers: reading.workers,
                    asked: &asked,
                    place,
                    to: self.progress.to,
                    calls_each,
                };
                let walked = fetch.run(
                    |hand_over| walk.run(&mut seen, hand_over),
                    |part| self.take(part),
                );
                self.is_doubtful = walk.users.is_doubtful();
                walked?;
            }
            Position::Conversations(place) => {
                let named = match self.named.take() {
                    Some(named) => named,
                    None => self.engine.conversations()?,
                };
                let changed = Changed::behind(named, place.as_deref());
                changed.announce(calls_each, reading.users)?;
                fetch.run(
                    |hand_over| changed.run(&mut seen, hand_over),
                    |part| self.take(part),
                )?;
            }
        }
        self.seen = seen;
        Ok(())
    }

    /// Writes what was read, and moves the bookmarks.
    fn take(&mut self, part: FetchPart<Found>) -> Result<()> {
        let is_walking = self.is_walking;
        match part {
            FetchPart::Conversation { id, user, page } => {
                if let Some(news) = &mut self.news {
                    news.note(&id, &page, |known| known.updated_time)?;
                }
                let child = Child::conversation(&id);
                self.each(WalkStream::Conversations, |lane| {
                    lane.answered(&child, is_walking);
                    lane.conversation(&id, user.as_deref(), &page)
                })
            }
            FetchPart::Messages { conversation, page } => {
                if let Some(news) = &mut self.news {
                    news.note(&conversation, &page, |known| known.created_time)?;
                }
                self.each(WalkStream::Messages, |lane| {
                    lane.messages(&conversation, &page)
                })?;
                self.each(WalkStream::Lists, |lane| lane.user_of(&conversation, &page))
            }
            FetchPart::MessagesRead(id) => {
                let child = Child::conversation(&id);
                self.each(WalkStream::Messages, |lane| {
                    lane.answered(&child, is_walking);
                    Ok(())
                })
            }
            FetchPart::Missed(missed) => self.miss(missed),
            FetchPart::Other(Found::List { user, page }) => {
                self.each(WalkStream::Lists, |lane| lane.list(&user, &page))
            }
            FetchPart::Other(Found::Listed { user }) => {
                self.listed(user);
                Ok(())
            }
            FetchPart::Other(Found::Missed {
                user,
                partly,
                error,
            }) => self.miss(Missed {
                part: WalkStream::Lists,
                id: user,
                user: None,
                answered: false,
                partly,
                error,
            }),
            FetchPart::Other(Found::Checkpoint(position)) => self.checkpoint(position),
        }
    }

    /// Calls `act` on each stream that uses answers for this part and hasn't
    /// failed. If one fails, the walk continues for the others.
    fn each(
        &mut self,
        part: WalkStream,
        mut act: impl FnMut(&mut WalkedStream) -> Result<()>,
    ) -> Result<()> {
        let mut failed = false;
        let lanes = self.lanes.iter_mut();
        for lane in lanes.filter(|lane| lane.reads(part) && lane.error.is_none()) {
            match act(lane) {
                Ok(()) => {}
                Err(error) if error.ends_run() => return Err(error),
                Err(error) => {
                    lane.error = Some(error);
                    failed = true;
                }
            }
        }
        self.stop_endpoint(part, failed)
    }

    /// Gives up the endpoint of a part, if a stream failed and no other uses
    /// it.
    ///
    /// # Errors
    /// If no stream is left.
    fn stop_endpoint(&self, part: WalkStream, failed: bool) -> Result<()> {
        let goes_on = |lane: &WalkedStream| lane.reads(part) && lane.error.is_none();
        if failed && !self.lanes.iter().any(goes_on) {
            self.reading.endpoints.stop(part);
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

    /// Moves the bookmarks, if there is room for the missed children.
    fn write_bookmarks(&mut self, complete: bool) -> Result<()> {
        let output = self.run.output;
        let stands = |name: &str| {
            let mut lanes = self.lanes.iter();
            !lanes.any(|lane| lane.name() == name && lane.moves())
        };
        let walked = STREAMS
            .iter()
            .filter(|it| matches!(it.source, Source::Walk(_)));
        let others = walked.filter(|stream| stands(stream.name));
        let mut size: usize = others
            .map(|stream| size_in(&output.bookmark(stream.name)))
            .sum();
        let mut bookmarks = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| lane.moves()) {
            let own = lane.ledger.size();
            lane.is_full = own > 0 && size + own > ROOM_FOR_MISSED;
            if !lane.is_full {
                size += own;
                bookmarks.push((lane.name(), lane.bookmark(&self.progress, complete)));
            }
        }
        match complete && bookmarks.len() == self.lanes.len() {
            true => Ok(self.engine.conversations_read(bookmarks)?),
            false => Ok(output.checkpoint_all(bookmarks)?),
        }
    }

    /// Ends the walk. Returns what ended all streams, and the result of each.
    fn close(mut self, walked: Result<()>) -> (Result<()>, Vec<(bool, Option<Error>)>) {
        if self.users_gone > 0 {
            let gone = counted(self.users_gone, "user");
            log::warn!("walk: {gone} no longer found (404 or 410)");
        }
        let stay = self
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.name(), lane.found()?.clone())));
        let stay: Vec<_> = stay.collect();
        let walked = match walked {
            // Each stream has its own error, and the run continues without
            // them.
            Err(Error::Stopped) if self.lanes.iter().all(|lane| lane.error.is_some()) => Ok(()),
            walked => walked,
        };
        let ended = walked.and_then(|()| self.write_bookmarks(true));
        let ended = match stay.is_empty() || ended.as_ref().is_err_and(Error::ends_run) {
            true => ended,
            false => ended.and(self.run.output.checkpoint_all(stay).map_err(Error::from)),
        };
        let is_cut_short = ended.is_err();
        let closed = |lane: WalkedStream| (lane.is_partial(), lane.close(is_cut_short));
        (ended, self.lanes.into_iter().map(closed).collect())
    }
}
