//! The cells of a report's rows.

use serde_json::Value;

use super::events::{Event, Source};
use super::facts::{FILLED, Fact};
use crate::account::conversations::Detail;
use crate::account::{Account, LABELS, SENTENCES, messages};
use crate::clock::{self, DAY};
use crate::rng::Rng;

/// A value before it has the account's style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Text(String),
    /// In milliseconds.
    Time(i64),
    Bool(bool),
}

impl Cell {
    /// The documented form: `true`, `2020-01-23T12:04:48.868Z`.
    pub fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Time(time) => clock::text(*time),
            Cell::Bool(value) => value.to_string(),
        }
    }
}

fn number(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

fn word(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// What a row is about; every event asks for some of it.
struct Scene<'a> {
    account: &'a Account,
    event: &'a Event,
    fact: Fact,
    /// The window that was asked for, in milliseconds.
    window: (i64, i64),
    /// Known where the row is about a conversation.
    talk: Option<Talk>,
    agent: Option<&'a Value>,
    /// Numbers that belong to this row alone.
    rng: Rng,
}

struct Talk {
    detail: Detail,
    user: Value,
    created: i64,
}

/// The cells of one fact in the order of the event's columns.
pub fn row(account: &Account, event: &Event, fact: Fact, window: (i64, i64)) -> Vec<Cell> {
    let about_agent = matches!(event.source, Source::Agents | Source::Performance);
    let conversations = &account.conversations;
    let talk = (!about_agent).then(|| Talk {
        detail: conversations.detail(fact.subject),
        user: account.users.record(conversations.user(fact.subject)),
        created: conversations.created(fact.subject),
    });
    let agent = match &talk {
        Some(talk) => talk.detail.agent,
        None => Some(fact.subject),
    };
    let sum = (fact.time as u64) ^ ((fact.subject as u64) << 32) ^ (fact.number as u64);
    let scene = Scene {
        account,
        event,
        fact,
        window,
        talk,
        agent: agent.and_then(|at| account.agents.get(at)),
        rng: Rng::of(account.seed, event.name, sum),
    };
    let cell = |column: &&str| scene.cell(column);
    event.columns.iter().map(cell).collect()
}

impl Scene<'_> {
    /// The value of a column, from the first of the topics that knows it.
    fn cell(&self, column: &str) -> Cell {
        let column = match (self.event.name, column) {
            ("Conversation-Activity", "resolved_by") => "resolved_by_id",
            _ => column,
        };
        if self.is_yet_to_come(column) {
            return word("");
        }
        let cell = self
            .times(column)
            .or_else(|| self.people(column))
            .or_else(|| self.places(column))
            .or_else(|| self.message(column))
            .or_else(|| self.booleans(column))
            .or_else(|| self.words(column))
            .or_else(|| self.numbers(column));
        cell.unwrap_or_else(|| panic!("the column {column} has no values"))
    }

    /// Whether a column tells of a resolution that has not happened.
    fn is_yet_to_come(&self, column: &str) -> bool {
        let open = |talk: &Talk| talk.detail.resolved_at.is_none();
        let late = ["resol", "csat_", "label_", "time_to_resolve"];
        self.event.source == Source::Created
            && late.iter().any(|begin| column.starts_with(begin))
            && self.talk.as_ref().is_some_and(open)
    }

    /// A number that depends on the row and the column.
    fn chance(&self, column: &str, limit: u64) -> u64 {
        let mut rng = self.rng.clone();
        Rng::of(rng.next(), column, 0).below(limit)
    }

    /// The instant behind the columns that begin with `name`; `None` while it has not come.
    fn instant(&self, name: &str) -> Option<i64> {
        let talk = self.talk.as_ref()?;
        let detail = &talk.detail;
        let conversations = &self.account.conversations;
        let message = |number| conversations.message_time(self.fact.subject, detail, number);
        match name {
            "created" => Some(self.fact.time),
            "csat" => detail.resolved_at.map(|time| conversations.rated_at(time)),
            "first_assigned" => detail.agent_at,
            "first_group_assigned" => detail.group_at,
            "first_response" => (detail.messages > 1).then(|| message(1)),
            "last_response" => (detail.messages > 1).then(|| message(detail.messages - 1)),
            _ => detail.resolved_at,
        }
    }

    fn times(&self, column: &str) -> Option<Cell> {
        let empty = Cell::Text(String::new());
        if column == self.event.time_column {
            return Some(Cell::Time(self.fact.time));
        }
        if let Some(name) = column.strip_suffix("_timestamp_millis") {
            return Some(self.instant(name).map_or(empty, number));
        }
        if let Some(name) = column.strip_suffix("_timestamp") {
            return Some(self.instant(name).map_or(empty, Cell::Time));
        }
        match column {
            "assigned_at" => Some(self.instant("first_assigned").map_or(empty, Cell::Time)),
            "resolved_at" => Some(self.instant("resolution").map_or(empty, Cell::Time)),
            "report_start_time" => Some(Cell::Time(self.window.0)),
            _ => None,
        }
    }

    #[rustfmt::skip]
    fn people(&self, column: &str) -> Option<Cell> {
        let of_user = |field: &str| {
            let text = self.talk.as_ref().and_then(|talk| talk.user[field].as_str());
            word(text.unwrap_or_default())
        };
        let of_agent = |field: &str| {
            word(self.agent.and_then(|agent| agent[field].as_str()).unwrap_or_default())
        };
        let name = |record: &Value| {
            let part = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}", part("first_name"), part("last_name"))
        };
        let cell = match column {
            "agent_id" | "first_assigned_to_id" | "first_responded_by_id"
            | "first_response_assigned_agent_id" | "last_responded_by_id"
            | "last_response_assigned_agent_id" | "label_applied_by_id" | "resolved_by_id"
            | "resolution_assigned_agent_id" => of_agent("id"),
            "agent_name" | "csat_agent" | "first_assigned_to" | "first_responded_by"
            | "last_responded_by" | "resolved_by" => {
                Cell::Text(self.agent.map(name).unwrap_or_default())
            }
            "agent_email" | "csat_agent_id" | "first_response_assigned_agent"
            | "last_response_assigned_agent" | "label_applied_by"
            | "resolution_assigned_agent" => of_agent("email"),
            "org_agent_id" => of_agent("org_contact_id"),
            "user_id" | "customer_id" | "csat_submitter_user_id" => of_user("id"),
            "user_name" | "csat_submitter_user_name" => {
                Cell::Text(self.talk.as_ref().map(|talk| name(&talk.user)).unwrap_or_default())
            }
            "user_email" => of_user("email"),
            "user_phone" => of_user("phone"),
            "user_identifier" => of_user("reference_id"),
            "org_contact_id" => of_user("org_contact_id"),
            _ => return self.actor(column, &of_user, &of_agent, &name),
        };
        Some(cell)
    }

    /// Who acts: the sender of a message, or else the agent.
    fn actor(
        &self,
        column: &str,
        of_user: &dyn Fn(&str) -> Cell,
        of_agent: &dyn Fn(&str) -> Cell,
        name: &dyn Fn(&Value) -> String,
    ) -> Option<Cell> {
        let actor = match self.event.source {
            Source::Messages => messages::actor_type(self.fact.number),
            Source::Created => "user",
            _ => "agent",
        };
        let field = |field: &str| match actor {
            "user" => of_user(field),
            "agent" => of_agent(field),
            _ => word(""),
        };
        let cell = match column {
            "actor_type" => Cell::Text(actor.to_uppercase()),
            "actor_id" => field("id"),
            "actor_email" => field("email"),
            "actor_phone" => field("phone"),
            "actor_first_name" => field("first_name"),
            "actor_last_name" => field("last_name"),
            "actor_name" => match (actor, &self.talk) {
                ("user", Some(talk)) => Cell::Text(name(&talk.user)),
                ("agent", _) => Cell::Text(self.agent.map(name).unwrap_or_default()),
                (actor, _) => word(actor),
            },
            _ => return None,
        };
        Some(cell)
    }

    /// Conversations, interactions, groups and channels.
    #[rustfmt::skip]
    fn places(&self, column: &str) -> Option<Cell> {
        let talk = self.talk.as_ref()?;
        let conversations = &self.account.conversations;
        let subject = self.fact.subject;
        let of_list = |list: &[Value], at: Option<usize>, field: &str| {
            let text = at.and_then(|at| list[at][field].as_str());
            word(text.unwrap_or_default())
        };
        let group = |field| of_list(&self.account.groups, talk.detail.group, field);
        let channel = |field| of_list(&self.account.channels, talk.detail.channel, field);
        let interaction = match self.fact.number >= FILLED {
            true => format!("{}-{}", 1_000_000 + self.fact.number, self.fact.time),
            false => conversations.interaction_id(subject, &talk.detail, self.fact.time),
        };
        let cell = match column {
            "conversation_id" => Cell::Text(conversations.id(subject)),
            "conversation_alias" => number(746_122_323_000_000 + subject),
            "conversation_url" | "conv_url" => Cell::Text(conversations.url(subject)),
            "interaction_id" => Cell::Text(interaction),
            "interaction_raw_id" => number(format_args!("{}-{}", 10_000 + subject, talk.created)),
            "group_id" | "csat_group_id" | "first_assigned_group_id" | "first_response_group_id"
            | "last_response_assigned_group_id" | "resolution_assigned_group_id" => group("id"),
            "group_name" | "csat_group" | "first_assigned_group" | "first_response_group"
            | "last_response_assigned_group" | "resolution_assigned_group" => group("name"),
            "org_group_id" => group("chat_group_id"),
            "channel_id" => channel("id"),
            "channel_name" | "channel" => channel("name"),
            _ => return None,
        };
        Some(cell)
    }

    fn message(&self, column: &str) -> Option<Cell> {
        let id_and_parts = || {
            let mut rng = self
                .account
                .message_rng(self.fact.subject, self.fact.number);
            let id = messages::id(&mut rng);
            (id, messages::parts(&mut rng, self.fact.number))
        };
        let kind = self.fact.number % 12;
        let cell = match column {
            "message_id" => Cell::Text(id_and_parts().0),
            "message_parts" => number(id_and_parts().1),
            "message_type" => word(messages::message_type(self.fact.number)),
            "detailed_message_type" => word(match kind {
                5 | 10 => "2",
                9 => "1000",
                _ => "1",
            }),
            "actor_sub_entity" | "actor_sub_type" if kind == 7 => word("intelliAssign"),
            "actor_sub_entity" | "actor_sub_type" => word(""),
            "message_source" => word("web"),
            _ => return None,
        };
        Some(cell)
    }

    #[rustfmt::skip]
    fn booleans(&self, column: &str) -> Option<Cell> {
        let cell = match column {
            "reopened" => {
                let status = self.talk.as_ref().map(|talk| talk.detail.status);
                Cell::Bool(status == Some("reopened"))
            }
            "is_conv_offline" | "actor_belongs_to_group" | "has_response" | "issue_resolved"
            | "csat_reopen" | "reassigned" | "agent_reopen" | "csat_issue_resolved"
            | "is_offline_conversation" => Cell::Bool(self.chance(column, 2) == 1),
            _ => return None,
        };
        Some(cell)
    }

    #[rustfmt::skip]
    fn words(&self, column: &str) -> Option<Cell> {
        let pick = |choices: &[&str]| {
            word(choices[self.chance(column, choices.len() as u64) as usize])
        };
        let label = LABELS[self.chance("label", LABELS.len() as u64) as usize];
        let cell = match column {
            "reopen_cause" => pick(&["", "AGENT_REOPEN", "USER_MESSAGE", "BOT"]),
            "resolve_type" => pick(&["AGENT_RESOLVE", "AUTO_RESOLVE", "BOTS_RESOLVE"]),
            "labelled_by_type" => pick(&["AUTO_RESOLVE", "AGENT"]),
            "label_category_name" | "resolution_label" => word(label.0),
            "label_sub_category_name" | "resolution_label_subcategory" => word(label.1),
            "csat_response" => pick(SENTENCES),
            "activity_type" if self.event.name == "Agent-Activity" => pick(&["online", "offline"]),
            "activity_type" => pick(&["active", "inactive"]),
            "agent_status" => pick(&["Active on Intelli Assign", "In Break", "Meeting, \"all\""]),
            "first_group_assigned_by" => pick(&["channel_group_mapping", "api"]),
            "first_assigned_by" => pick(&["AGENT", "BOT", "SYSTEM"]),
            "user_source" => pick(&["WEBCHAT", "FRESHBOT_WIDGET"]),
            _ => return None,
        };
        Some(cell)
    }

    fn numbers(&self, column: &str) -> Option<Cell> {
        if let Some(name) = column.strip_suffix("_formatted") {
            let seconds = self.seconds(&format!("{name}_secs"));
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let text = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
            return Some(Cell::Text(text));
        }
        if column.starts_with("count_") || column.ends_with("_mins") {
            return Some(number(self.chance(column, 50)));
        }
        if column.ends_with("_secs") || column.ends_with("_seconds") {
            return Some(number(self.seconds(column)));
        }
        let cell = match column {
            "label_category_id" | "label_sub_category_id" | "csat_id" => {
                let id = self.chance(column, 1_000_000);
                Cell::Text(id.to_string())
            }
            "value" if self.event.source != Source::Rated => number(self.seconds(column)),
            "value" | "csat_rating" => number(self.chance("rating", 6)),
            "reassigns" | "response_count" => number(self.chance(column, 9)),
            "average_csat_score" | "concurrency" => number(format_args!(
                "{:.2}",
                self.chance(column, 500) as f64 / 100.0
            )),
            _ => return None,
        };
        Some(cell)
    }

    fn seconds(&self, column: &str) -> u64 {
        self.chance(column, (DAY / clock::SECOND) as u64)
    }
}
