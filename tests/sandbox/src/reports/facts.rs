//! Which rows a report has: what happened in a window, in time order.

use super::events::{Event, Source};
use crate::account::conversations::Conversations;
use crate::account::{Account, messages};
use crate::rng::{Rng, mix};
use crate::server::World;

/// Numbers from here on belong to rows that only fill a report up.
pub const FILLED: usize = 1 << 20;
/// Numbers from here on belong to rows that came in later.
const ADDED: usize = 2 * FILLED;

/// One row before its cells are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// In milliseconds.
    pub time: i64,
    /// The place of the conversation, or of the agent for events about agents alone.
    pub subject: usize,
    /// Tells the facts of one subject apart; for messages their number.
    pub number: usize,
}

/// The rows of `event` with `from <= time < to`. Agent-performance has one row per agent at `to`.
pub fn facts(world: &World, event: &Event, from: i64, to: i64) -> Vec<Fact> {
    let account = &world.account;
    let mut facts = Vec::new();
    let mut own = 0;
    match event.source {
        Source::Agents => (),
        Source::Performance => {
            let subjects = 0..account.agents.len();
            return subjects.map(|subject| fact(to, subject, 0)).collect();
        }
        source => {
            for subject in 0..account.conversations.len() {
                each(&account.conversations, source, subject, |time, number| {
                    own += usize::from(time < account.end);
                    if (from..to).contains(&time) {
                        facts.push(fact(time, subject, number));
                    }
                });
            }
        }
    }
    let wanted = world.options.sizes.report_rows;
    for number in own..wanted {
        facts.extend(filler(account, event, FILLED + number));
    }
    for (number, (name, time)) in account.added_rows.iter().enumerate() {
        if *name == event.name {
            let added = filler(account, event, ADDED + number);
            facts.extend(added.map(|fact| Fact {
                time: *time,
                ..fact
            }));
        }
    }
    facts.retain(|fact| (from..to).contains(&fact.time));
    if world.options.quirks.reports.agents_messages_only && event.name == "Message-Sent" {
        facts.retain(|fact| messages::actor_type(fact.number) == "agent");
    }
    if world.options.quirks.reports.duplicate_rows {
        let doubled = facts.iter().copied().filter(is_doubled);
        facts.extend(doubled.collect::<Vec<_>>());
    }
    facts.sort_unstable();
    facts
}

fn fact(time: i64, subject: usize, number: usize) -> Fact {
    Fact {
        time,
        subject,
        number,
    }
}

/// A row at any time of the account; `None` where there is nobody whom it could be about.
fn filler(account: &Account, event: &Event, number: usize) -> Option<Fact> {
    let mut rng = Rng::of(account.seed, event.name, number as u64);
    let (subject, begin) = match event.source {
        Source::Agents if account.agents.is_empty() => return None,
        Source::Agents => (rng.index(account.agents.len()), account.start),
        _ if account.conversations.at_start() == 0 => return None,
        _ => {
            let subject = rng.index(account.conversations.at_start());
            (subject, account.conversations.created(subject))
        }
    };
    Some(fact(rng.between(begin, account.end - 1), subject, number))
}

/// Names the time and the number of each fact of one conversation.
fn each(
    conversations: &Conversations,
    source: Source,
    subject: usize,
    mut found: impl FnMut(i64, usize),
) {
    let detail = conversations.detail(subject);
    let message = |number| conversations.message_time(subject, &detail, number);
    let once = match source {
        Source::Messages => {
            for number in 0..detail.messages {
                found(message(number), number);
            }
            None
        }
        Source::Created => Some(conversations.created(subject)),
        Source::Resolved | Source::Labelled => detail.resolved_at,
        Source::Rated => detail
            .resolved_at
            .filter(|_| subject.is_multiple_of(2))
            .map(|time| conversations.rated_at(time)),
        Source::FirstResponse => (detail.messages > 1).then(|| message(1)),
        Source::AgentAssigned => detail.agent_at,
        Source::GroupAssigned => detail.group_at,
        Source::Agents | Source::Performance => None,
    };
    if let Some(time) = once {
        found(time, 0);
        if source == Source::Labelled && subject.is_multiple_of(3) {
            found(time, 1);
        }
    }
}

fn is_doubled(fact: &Fact) -> bool {
    let sum = (fact.time as u64) ^ ((fact.subject as u64) << 42) ^ (fact.number as u64);
    mix(sum).is_multiple_of(8)
}
