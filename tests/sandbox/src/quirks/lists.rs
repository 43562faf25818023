//! How lists are ordered, cut into pages and described.

use std::time::Duration;

use super::PastEnd;

/// The order of `GET /users` where the client names none, or none that is obeyed. Users that are
/// equal in it are in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsersOrder {
    /// Guessed: the time that is filtered by.
    Filtered,
    /// Guessed.
    Id,
    /// Guessed.
    Created,
    /// Guessed; an edit moves its user.
    Updated,
    /// Guessed; many users have none.
    Email,
    /// Guessed: another order for each request.
    Moving,
}

/// What `sort_by` and `sort_order` do in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortParameters {
    /// Documented by the sample requests.
    Obeyed,
    /// Guessed.
    Ignored,
    /// Guessed: 400.
    Refused,
}

/// What a page says of itself, in the lists that say something. What is not true contradicts the
/// records.
#[derive(Clone, Debug)]
pub struct Envelopes {
    pub shape: EnvelopeShape,
    /// Guessed where it is not true.
    pub total_items: Claim,
    /// Guessed where it is not true. `links` go by the true number.
    pub total_pages: Claim,
    /// Guessed where it is not true.
    pub items_per_page: Claim,
    /// Guessed where it is not true.
    pub current_page: Claim,
    /// Guessed: this page of a list with an envelope, if there is one, is always empty, and what belongs there stands on the
    /// next one: as if entries were taken out once the list was cut into pages. All numbers count
    /// them.
    pub hollow_page: Option<usize>,
}

impl Default for Envelopes {
    fn default() -> Envelopes {
        Envelopes {
            shape: EnvelopeShape::Whole,
            total_items: Claim::True,
            total_pages: Claim::True,
            items_per_page: Claim::True,
            current_page: Claim::True,
            hollow_page: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeShape {
    /// Documented: `pagination` and `links`.
    Whole,
    /// Guessed: `links.next_page` and nothing else.
    NextPage,
    /// Guessed for users, agents and roles; seen live for groups and channels.
    None,
}

/// A number of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    True,
    Missing,
    /// So much more.
    Over(usize),
    /// So much less, 0 at least.
    Under(usize),
    Always(usize),
    /// `items_per_page` alone: what the client asked for, although the page holds fewer.
    Asked,
}

impl Claim {
    /// What is said where `number` is true and `asked` was asked for.
    pub fn of(self, number: usize, asked: usize) -> Option<usize> {
        match self {
            Claim::True => Some(number),
            Claim::Missing => None,
            Claim::Over(more) => Some(number + more),
            Claim::Under(less) => Some(number.saturating_sub(less)),
            Claim::Always(number) => Some(number),
            Claim::Asked => Some(asked),
        }
    }
}

/// How `users/{id}/conversations` lists. Where it is in pages, they have 20 entries unless the
/// client asks for another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationLists {
    /// Documented: the whole list. Guessed: `page` and `items_per_page` make no difference.
    Whole,
    /// Guessed: the whole list, and 400 to parameters, of which the document knows none.
    WholeStrict,
    /// Guessed: with `pagination` and `links`, as the envelopes are.
    Envelope,
    /// Guessed: `links.next_page` and nothing else.
    NextPage,
    /// Guessed: a `link` as that of messages.
    Link,
    /// Guessed: nothing says that there are more.
    Silent,
}

/// How messages are listed.
#[derive(Clone, Debug)]
pub struct MessageQuirks {
    /// Documented by the sample, and seen live: newest first. True is guessed.
    pub oldest_first: bool,
    /// Documented: 50 at most. Less is guessed.
    pub cap: usize,
    pub link_page: LinkPage,
    /// Seen live: the link is only there while there is another page. True is guessed.
    pub link_always: bool,
    /// The `items_per_page` of the link. Seen live: 50 where another number was asked for. `None`
    /// is guessed: the length of the page that it stands on.
    pub link_items: Option<usize>,
    pub link_from: LinkFrom,
}

impl Default for MessageQuirks {
    fn default() -> MessageQuirks {
        MessageQuirks {
            oldest_first: false,
            cap: 50,
            link_page: LinkPage::Next,
            link_always: false,
            link_items: None,
            link_from: LinkFrom::Asked,
        }
    }
}

/// The page that a link of messages names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPage {
    /// Documented by the sample: the next one.
    Next,
    /// Seen live: the one that it stands on.
    Own,
    /// Guessed: the first one.
    First,
}

/// The `from_time` of a link of messages. Seen live: not the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFrom {
    /// Guessed: the client's own.
    Asked,
    /// Guessed: none.
    Missing,
    /// Seen live that it differs, guessed by how much.
    Earlier(Duration),
    /// As `Earlier`.
    Later(Duration),
}

/// When `updated_time` of a conversation moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationUpdated {
    /// Guessed: with messages, assignments, the resolution, properties.
    EveryChange,
    /// Guessed: with messages alone.
    MessagesOnly,
    /// Seen live: there is none.
    Missing,
}

impl PastEnd {
    pub const ALL: [PastEnd; 5] = [
        PastEnd::Empty,
        PastEnd::WrongPage,
        PastEnd::RepeatLast,
        PastEnd::PageNotFound,
        PastEnd::BadRequest,
    ];
}
