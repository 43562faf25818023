//! The conversations: only their owner and start are stored, the rest follows from the seed.

use std::collections::{BTreeSet, HashMap};

use super::users::Users;
use crate::clock::{DAY, HOUR};
use crate::options::Options;
use crate::rng::{self, Rng};

#[derive(Debug)]
struct Conversation {
    user: usize,
    created: i64,
    /// Still listed, but answers 404.
    deleted: bool,
    /// When messages arrived after the start of the sandbox.
    added: Vec<i64>,
    /// The numbers of the messages that were deleted.
    removed: BTreeSet<usize>,
    /// When its properties were last edited, and how often.
    edited: Option<i64>,
    edits: u32,
}

/// What else is known of a conversation; times in milliseconds.
#[derive(Clone, Debug)]
pub struct Detail {
    pub status: &'static str,
    /// Places in the lists of the account.
    pub agent: Option<usize>,
    pub group: Option<usize>,
    pub channel: Option<usize>,
    pub group_at: Option<i64>,
    pub agent_at: Option<i64>,
    pub resolved_at: Option<i64>,
    /// Messages, with those that arrived later or were deleted.
    pub messages: usize,
    pub updated: i64,
    /// When it was updated, if only messages count.
    pub messaged: i64,
    /// Edits of its properties.
    pub edits: u32,
    /// From the first to the last event before the start of the sandbox.
    pub span: i64,
}

#[derive(Debug)]
pub struct Conversations {
    seed: u64,
    end: i64,
    /// Sizes of the lists that conversations refer to.
    agents: usize,
    groups: usize,
    channels: usize,
    counts: MessageCounts,
    at_start: usize,
    list: Vec<Conversation>,
    by_key: HashMap<u128, u32>,
    /// The first conversation of each user, and the end of the last one's.
    first: Vec<u32>,
    /// What users list beyond that: shared and later ones.
    more: HashMap<usize, Vec<usize>>,
}

#[derive(Debug)]
enum MessageCounts {
    Between(i64, i64),
    Cycle,
}

/// Just at, below and above a page, and two pages.
const COUNT_CYCLE: [usize; 6] = [0, 1, 49, 50, 51, 100];

impl Conversations {
    /// The conversations of `users`, all of which begin before `end`.
    pub fn generate(options: &Options, users: &Users, end: i64) -> Conversations {
        let spread = &options.sizes.messages_per_conversation;
        let counts = match options.quirks.message_counts_cycle {
            true => MessageCounts::Cycle,
            false => MessageCounts::Between(i64::from(*spread.start()), i64::from(*spread.end())),
        };
        let mut conversations = Conversations {
            seed: options.seed,
            end,
            agents: options.sizes.agents,
            groups: options.sizes.groups,
            channels: options.sizes.channels,
            counts,
            at_start: 0,
            list: Vec::new(),
            by_key: HashMap::new(),
            first: vec![0],
            more: HashMap::new(),
        };
        let spread = &options.sizes.conversations_per_user;
        for user in 0..users.len() {
            let mut rng = Rng::of(options.seed, "user-conversations", user as u64);
            let count = rng.between(i64::from(*spread.start()), i64::from(*spread.end()));
            for _ in 0..count {
                let begin = users.get(user).created;
                let created = match rng.once_in(5) {
                    true => begin,
                    false => rng.between(begin, end - 1),
                };
                conversations.push(user, created);
            }
            conversations.first.push(conversations.list.len() as u32);
        }
        conversations.at_start = conversations.list.len();
        conversations.mark(options);
        conversations
    }

    /// Deletes and shares as many as the quirks say, from different ends.
    fn mark(&mut self, options: &Options) {
        let count = self.list.len();
        for number in 0..options.quirks.deleted_conversations.min(count) {
            let step = count / options.quirks.deleted_conversations.min(count);
            self.list[number * step].deleted = true;
        }
        let users = options.sizes.users;
        for index in count.saturating_sub(options.quirks.shared_conversations)..count {
            let other = (self.list[index].user + 1) % users;
            self.more.entry(other).or_default().push(index);
        }
    }

    fn push(&mut self, user: usize, created: i64) -> usize {
        let index = self.list.len();
        self.by_key.insert(self.key(index), index as u32);
        self.list.push(Conversation {
            user,
            created,
            deleted: false,
            added: Vec::new(),
            removed: BTreeSet::new(),
            edited: None,
            edits: 0,
        });
        index
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many there were at the start of the sandbox.
    pub fn at_start(&self) -> usize {
        self.at_start
    }

    /// When a conversation began, in milliseconds.
    pub fn created(&self, index: usize) -> i64 {
        self.list[index].created
    }

    /// The place of the user whose conversation it is.
    pub fn user(&self, index: usize) -> usize {
        self.list[index].user
    }

    /// Whether a conversation answers 404.
    pub fn is_deleted(&self, index: usize) -> bool {
        self.list[index].deleted
    }

    /// 128 bits of a UUID, or the number of an id that is none.
    fn key(&self, index: usize) -> u128 {
        let mut rng = Rng::of(self.seed, "conversation-id", index as u64);
        match index % 8 {
            5 => 400_000_000_000_000_000 + u128::from(rng.below(500_000_000_000_000_000)),
            _ => rng.key(),
        }
    }

    /// Most ids are UUIDs, some are long numbers.
    pub fn id(&self, index: usize) -> String {
        match index % 8 {
            5 => self.key(index).to_string(),
            _ => rng::uuid(self.key(index)),
        }
    }

    /// The place of the conversation with this id, deleted or not.
    pub fn find(&self, id: &str) -> Option<usize> {
        let key = rng::parse_uuid(id).or_else(|| id.parse().ok())?;
        let index = *self.by_key.get(&key)? as usize;
        (self.id(index) == id).then_some(index)
    }

    /// The places of the conversations that a user lists.
    pub fn of_user(&self, user: usize) -> Vec<usize> {
        let bounds = (self.first.get(user), self.first.get(user + 1));
        let (first, end) = match bounds {
            (Some(first), Some(end)) => (*first as usize, *end as usize),
            _ => (0, 0),
        };
        let more = self.more.get(&user).map_or(&[][..], Vec::as_slice);
        (first..end).chain(more.iter().copied()).collect()
    }

    /// Begins a conversation of `user` at `now`, with one message.
    pub fn add(&mut self, user: usize, now: i64) -> usize {
        let index = self.push(user, now);
        self.list[index].added.push(now);
        self.more.entry(user).or_default().push(index);
        index
    }

    pub fn add_message(&mut self, index: usize, now: i64) {
        self.list[index].added.push(now);
    }

    pub fn delete(&mut self, index: usize) {
        self.list[index].deleted = true;
    }

    /// Deletes a message, by its number.
    pub fn delete_message(&mut self, index: usize, number: usize) {
        self.list[index].removed.insert(number);
    }

    /// Changes a property, and nothing else.
    pub fn edit(&mut self, index: usize, now: i64) {
        let own = &mut self.list[index];
        own.edits += 1;
        own.edited = own.edited.max(Some(now));
    }

    /// The numbers of the messages that are there, from the oldest on.
    pub fn messages(&self, index: usize, detail: &Detail) -> Vec<usize> {
        let removed = &self.list[index].removed;
        let numbers = (0..detail.messages).filter(|number| !removed.contains(number));
        let mut numbers: Vec<usize> = numbers.collect();
        // Stable, and quick where messages arrived in order.
        numbers.sort_by_key(|&number| self.message_time(index, detail, number));
        numbers
    }

    pub fn detail(&self, index: usize) -> Detail {
        let own = &self.list[index];
        let mut rng = Rng::of(self.seed, "conversation", index as u64);
        let later = own.created >= self.end;
        let span = match later {
            true => 0,
            false => rng.between(0, (3 * DAY).min(self.end - 1 - own.created)),
        };
        let status = match later {
            true => "new",
            false => rng.pick(&["new", "assigned", "resolved", "resolved", "reopened"]),
        };
        let place = |rng: &mut Rng, len: usize| (len > 0).then(|| rng.index(len));
        let channel = place(&mut rng, self.channels);
        let group = place(&mut rng, self.groups).filter(|_| !later && index % 5 != 2);
        let agent = place(&mut rng, self.agents).filter(|_| status != "new");
        let group_at = group.map(|_| own.created + span / 10);
        let agent_at = agent.map(|_| own.created + span / 5);
        let resolved_at = (status == "resolved").then_some(own.created + span);
        let base = self.base_messages(index, later, &mut rng);
        let last_message = base
            .checked_sub(1)
            .map(|last| message_time(own.created, span, last, base));
        let times = [group_at, agent_at, resolved_at];
        let messages = last_message.into_iter().chain(own.added.iter().copied());
        let messaged = messages.fold(own.created, i64::max);
        let changes = times.into_iter().chain([own.edited]).flatten();
        Detail {
            status,
            agent,
            group,
            channel,
            group_at,
            agent_at,
            resolved_at,
            messages: base + own.added.len(),
            updated: changes.fold(messaged, i64::max),
            messaged,
            edits: own.edits,
            span,
        }
    }

    fn base_messages(&self, index: usize, later: bool, rng: &mut Rng) -> usize {
        match self.counts {
            _ if later => 0,
            MessageCounts::Cycle => COUNT_CYCLE[index % COUNT_CYCLE.len()],
            MessageCounts::Between(low, high) => {
                usize::try_from(rng.between(low, high)).unwrap_or(0)
            }
        }
    }

    /// When message `number` (0 is the oldest) was sent; `detail` belongs to the conversation.
    pub fn message_time(&self, index: usize, detail: &Detail, number: usize) -> i64 {
        let own = &self.list[index];
        let base = detail.messages - own.added.len();
        match number.checked_sub(base) {
            Some(added) => own.added[added],
            None => message_time(own.created, detail.span, number, base),
        }
    }

    pub fn url(&self, index: usize) -> String {
        let id = self.id(index);
        format!("https://example.freshchat.com/a/10001/inbox/open/0/conversation/{id}")
    }

    /// The interaction that an event of the time `at` belongs to: a reopened conversation has a
    /// second one, from the middle of its span on.
    pub fn interaction_id(&self, index: usize, detail: &Detail, at: i64) -> String {
        let own = &self.list[index];
        let middle = own.created + detail.span / 2;
        let began = match detail.status == "reopened" && at >= middle {
            true => middle,
            false => own.created,
        };
        format!("{}-{began}", 678_911_017_000_000_u64 + index as u64)
    }

    /// A time after the resolution at which the customer rated it.
    pub fn rated_at(&self, resolved_at: i64) -> i64 {
        (resolved_at + HOUR).min(self.end - 1)
    }
}

/// Every fifth message shares its millisecond with the one before.
fn message_time(created: i64, span: i64, number: usize, count: usize) -> i64 {
    let step = match number % 5 {
        4 => number - 1,
        _ => number,
    };
    created + span * step as i64 / count as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversations(options: &Options) -> Conversations {
        let users = Users::generate(options, 0, 60 * DAY);
        Conversations::generate(options, &users, 60 * DAY)
    }

    #[test]
    fn all_times_lie_before_the_end_and_in_order() {
        let conversations = conversations(&Options::default());
        assert!(conversations.len() > 50);
        for index in 0..conversations.len() {
            let detail = conversations.detail(index);
            let times: Vec<i64> = (0..detail.messages)
                .map(|number| conversations.message_time(index, &detail, number))
                .collect();
            assert!(times.is_sorted());
            assert!(detail.updated < 60 * DAY && times.iter().all(|&at| at <= detail.updated));
            assert_eq!(conversations.find(&conversations.id(index)), Some(index));
        }
    }

    #[test]
    fn quirks_delete_share_and_fill() {
        let mut options = Options::default();
        options.quirks.deleted_conversations = 3;
        options.quirks.shared_conversations = 2;
        options.quirks.message_counts_cycle = true;
        let mut conversations = conversations(&options);
        let deleted = conversations.list.iter().filter(|own| own.deleted).count();
        assert_eq!(deleted, 3);
        let listed: usize = (0..100).map(|user| conversations.of_user(user).len()).sum();
        assert_eq!(listed, conversations.len() + 2);
        assert_eq!(conversations.detail(4).messages, 51);
        conversations.add_message(4, 61 * DAY);
        let detail = conversations.detail(4);
        assert_eq!((detail.messages, detail.updated), (52, 61 * DAY));
        assert_eq!(conversations.message_time(4, &detail, 51), 61 * DAY);
        let added = conversations.add(200, 62 * DAY);
        assert_eq!(conversations.of_user(200), [added]);
        assert_eq!(conversations.detail(added).messages, 1);
    }
}
