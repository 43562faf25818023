//! Readings of what the documents leave open, drawn at random.

use std::fmt::Debug;
use std::time::Duration;

use chrono::TimeDelta;
use freshchat_sandbox::*;

/// Draws one thing after the other, and notes what is not as usual.
pub struct Draw {
    pub rng: Rng,
    /// In how many of a hundred draws a reading is not the usual one.
    pub oddness: u64,
    pub notes: Vec<String>,
}

impl Draw {
    pub fn below(&mut self, limit: usize) -> usize {
        self.rng.index(limit)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.rng.index(choices.len())].clone()
    }

    pub fn note<T: Debug>(&mut self, name: &str, value: T) -> T {
        self.notes.push(format!("{name}: {value:?}"));
        value
    }

    pub fn setting<T: Clone + Debug>(&mut self, name: &str, choices: &[T]) -> T {
        let chosen = self.one_of(choices);
        self.note(name, chosen)
    }

    /// Another reading than the usual one, now and then.
    pub fn reading<T: Clone + Debug>(&mut self, name: &str, place: &mut T, others: &[T]) {
        let oddness = self.oddness;
        if self.percent(oddness) {
            let other = self.one_of(others);
            *place = self.note(name, other);
        }
    }
}

/// How the account reads what the documents leave open; `most_lag` is what the
/// tap's lookback allows for.
pub fn quirks(draw: &mut Draw, options: &mut Options, most_lag: Duration) {
    let users = options.sizes.users;
    let offsets = [-3600, -1200, -10, -1, 1].map(TimeDelta::seconds);
    draw.reading("clock_offset", &mut options.clock_offset, &offsets);
    let quirks = &mut options.quirks;
    if options.clock_offset.is_zero() {
        draw.reading(
            "date_header",
            &mut quirks.date_header,
            &[DateHeader::Absent],
        );
    }
    draw.reading("past_end", &mut quirks.past_end, &PastEnd::ALL);
    draw.reading(
        "list_lag",
        &mut quirks.list_lag,
        &[Duration::ZERO..=most_lag, most_lag..=most_lag],
    );
    let orders = [
        UsersOrder::Id,
        UsersOrder::Created,
        UsersOrder::Updated,
        UsersOrder::Email,
        UsersOrder::Moving,
    ];
    draw.reading("users_order", &mut quirks.users_order, &orders);
    draw.reading("users_descending", &mut quirks.users_descending, &[true]);
    let sorting = [SortParameters::Ignored, SortParameters::Refused];
    draw.reading("sort_parameters", &mut quirks.sort_parameters, &sorting);
    draw.reading("updated_from", &mut quirks.updated_from, &[Edge::Inclusive]);
    draw.reading("bulk_import", &mut quirks.bulk_import, &[users / 2, users]);
    draw.reading("lists_envelope", &mut quirks.lists_envelope, &[true]);
    draw.reading("lists_ignore_page", &mut quirks.lists_ignore_page, &[true]);
    draw.reading(
        "max_items_per_page",
        &mut quirks.max_items_per_page,
        &[50, 20, 10],
    );
    envelopes(draw, &mut quirks.envelopes);
    let lists = [
        ConversationLists::WholeStrict,
        ConversationLists::Envelope,
        ConversationLists::NextPage,
        ConversationLists::Link,
        ConversationLists::Silent,
    ];
    draw.reading("user_conversations", &mut quirks.user_conversations, &lists);
    let messages = &mut quirks.messages;
    draw.reading("oldest_first", &mut messages.oldest_first, &[true]);
    draw.reading("messages cap", &mut messages.cap, &[20, 10]);
    draw.reading(
        "link_page",
        &mut messages.link_page,
        &[LinkPage::Own, LinkPage::First],
    );
    draw.reading("link_always", &mut messages.link_always, &[true]);
    draw.reading(
        "link_items",
        &mut messages.link_items,
        &[Some(50), Some(20), Some(3)],
    );
    let hours = Duration::from_secs(7200);
    let from = [
        LinkFrom::Missing,
        LinkFrom::Earlier(hours),
        LinkFrom::Later(hours),
    ];
    draw.reading("link_from", &mut messages.link_from, &from);
    let updated = [
        ConversationUpdated::MessagesOnly,
        ConversationUpdated::Missing,
    ];
    draw.reading(
        "conversation_updated",
        &mut quirks.conversation_updated,
        &updated,
    );
    draw.reading(
        "conversation_user_id",
        &mut quirks.conversation_user_id,
        &[false],
    );
    draw.reading(
        "conversation_times",
        &mut quirks.conversation_times,
        &[false],
    );
    draw.reading(
        "deleted_conversations",
        &mut quirks.deleted_conversations,
        &[1, 3],
    );
    draw.reading(
        "shared_conversations",
        &mut quirks.shared_conversations,
        &[1, 2],
    );
    draw.reading("wrapped_account", &mut quirks.wrapped_account, &[true]);
    let styles = [ErrorStyle::SuccessFalse, ErrorStyle::PlainText];
    draw.reading("error_style", &mut quirks.error_style, &styles);
    let fields = [FieldsAnswer::Forbidden, FieldsAnswer::NotFound];
    draw.reading(
        "conversation_fields",
        &mut quirks.conversation_fields,
        &fields,
    );
}

/// One of the numbers is wrong at most: of a list that is shorter than all of
/// its numbers say, no client can know.
fn envelopes(draw: &mut Draw, envelopes: &mut Envelopes) {
    let shapes = [EnvelopeShape::NextPage, EnvelopeShape::None];
    draw.reading("shape", &mut envelopes.shape, &shapes);
    let claims = [
        Claim::Missing,
        Claim::Over(1),
        Claim::Over(7),
        Claim::Under(1),
        Claim::Under(7),
        Claim::Always(1),
        Claim::Always(0),
    ];
    match draw.below(4) {
        0 => draw.reading("total_items", &mut envelopes.total_items, &claims),
        1 => draw.reading("total_pages", &mut envelopes.total_pages, &claims),
        2 => {
            let sizes = [&claims[..], &[Claim::Asked]].concat();
            draw.reading("items_per_page", &mut envelopes.items_per_page, &sizes);
        }
        _ => draw.reading("current_page", &mut envelopes.current_page, &claims),
    }
    if is_plain(envelopes) {
        draw.reading(
            "hollow_page",
            &mut envelopes.hollow_page,
            &[Some(1), Some(2), Some(3)],
        );
    }
}

/// Whether the pages say the truth of themselves.
pub fn is_plain(envelopes: &Envelopes) -> bool {
    let claims = [
        envelopes.total_items,
        envelopes.total_pages,
        envelopes.items_per_page,
        envelopes.current_page,
    ];
    envelopes.shape == EnvelopeShape::Whole
        && envelopes.hollow_page.is_none()
        && claims == [Claim::True; 4]
}

/// Whether nothing may prove that all users came.
pub fn unprovable(quirks: &Quirks) -> bool {
    !is_plain(&quirks.envelopes) || quirks.users_order == UsersOrder::Moving
}
