//! THE TABLE: one row per stream. A new plain stream is one row here and one
//! file under `schemas/`.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::extract::reports::{Aliases, Cut};
use crate::freshchat::Shape;
use crate::singer::{Entry, Fields};

/// One row of the table.
pub struct Stream {
    pub name: &'static str,
    /// The text of its JSON Schema.
    schema: &'static str,
    /// Key properties: never null, never empty.
    pub key: &'static [&'static str],
    /// The property that an incremental stream goes by; none: the whole
    /// stream is read each time.
    pub replication_key: Option<&'static str>,
    pub source: Source,
}

/// Where a stream's records come from.
pub enum Source {
    /// A list, or a single object, read from one endpoint.
    List(ListSource),
    /// `users`, in windows of their update time.
    Users,
    /// One of the streams that are read in one walk over all conversations.
    Walk(WalkStream),
    /// One answer for each group.
    BusinessHours,
    /// A raw report.
    Report(ReportSource),
    /// Metrics of closed slices of time.
    MetricsHistorical,
    /// Metrics of the moment.
    MetricsInstant,
    /// What other streams find gone; it asks for nothing itself.
    Deletions,
}

/// What a stream takes from the walk over all conversations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WalkStream {
    /// The list of each user's conversations.
    Lists,
    /// Each conversation itself.
    Conversations,
    /// The messages of each conversation.
    Messages,
}

/// An endpoint whose answer holds the records.
pub struct ListSource {
    /// The path below the base address.
    pub path: &'static str,
    pub shape: Shape,
    /// Whether the document says that the list comes in pages.
    pub paged: bool,
    /// Whether other streams ask for something of each record's id.
    pub parents: bool,
}

/// A raw report (API document, "Extract a report").
pub struct ReportSource {
    /// The event's name in the API.
    pub event: &'static str,
    /// How its time is cut into jobs.
    pub cut: Cut,
    /// Columns that the API misspells: `(misspelt, property)`.
    pub aliases: Aliases,
    /// Whether it is one of those that together name each conversation that
    /// changed.
    pub names_conversations: bool,
}

impl ListSource {
    const fn new(path: &'static str, shape: Shape) -> Self {
        Self {
            path,
            shape,
            paged: false,
            parents: false,
        }
    }

    const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    const fn parents(mut self) -> Self {
        self.parents = true;
        self
    }
}

/// A row whose schema stands in `schemas/<name>.json`.
macro_rules! stream {
    ($name:literal, $key:expr, $replication_key:expr, $source:expr) => {
        Stream {
            name: $name,
            schema: include_str!(concat!("../schemas/", $name, ".json")),
            key: &$key,
            replication_key: $replication_key,
            source: $source,
        }
    };
}

/// A raw report, whose rows have no key of their own unless one is given.
macro_rules! report {
    (@ $names:literal, $name:literal, $event:literal, $cut:expr, $aliases:expr, $key:expr, $replication_key:literal) => {
        stream!(
            $name,
            $key,
            Some($replication_key),
            Source::Report(ReportSource {
                event: $event,
                cut: $cut,
                aliases: $aliases,
                names_conversations: $names,
            })
        )
    };
    (@ $names:literal, $name:literal, $event:literal, $aliases:expr) => {
        report!(@ $names, $name, $event, Cut::Months, $aliases, ["_row_id"], "created_at")
    };
    (@ $names:literal, $name:literal, $event:literal) => {
        report!(@ $names, $name, $event, &[])
    };
    (names_conversations, $($row:tt)+) => {
        report!(@ true, $($row)+)
    };
    ($($row:tt)+) => {
        report!(@ false, $($row)+)
    };
}

const ACCOUNT: ListSource =
    ListSource::new("accounts/configuration", Shape::Single("configuration"));
const CONVERSATION_FIELDS: ListSource =
    ListSource::new("conversations/fields", Shape::List("fields"));
const AGENT_STATUSES: ListSource = ListSource::new("agents/status", Shape::List("states"));
const CHANNELS: ListSource = ListSource::new("channels", Shape::List("channels")).paged();
const ROLES: ListSource = ListSource::new("roles", Shape::List("roles")).paged();
const OUTBOUND_MESSAGES: ListSource =
    ListSource::new("outbound-messages", Shape::List("outbound_messages"));

/// The agents, whom metrics are filtered by.
pub const AGENTS: ListSource = ListSource::new("agents", Shape::List("agents"))
    .paged()
    .parents();

/// The groups, which `business_hours` reads too and metrics are filtered by.
pub const GROUPS: ListSource = ListSource::new("groups", Shape::List("groups"))
    .paged()
    .parents();

/// All streams, in the order in which they are synced.
#[rustfmt::skip]
pub static STREAMS: [Stream; 32] = [
    stream!("account", ["account_id"], None, Source::List(ACCOUNT)),
    stream!("users", ["id"], Some("updated_time"), Source::Users),
    stream!("user_conversations", ["user_id", "conversation_id"], None, Source::Walk(WalkStream::Lists)),
    stream!("conversations", ["conversation_id"], Some("updated_time"), Source::Walk(WalkStream::Conversations)),
    stream!("messages", ["conversation_id", "id"], Some("created_time"), Source::Walk(WalkStream::Messages)),
    stream!("conversation_fields", ["id"], None, Source::List(CONVERSATION_FIELDS)),
    stream!("agents", ["id"], None, Source::List(AGENTS)),
    stream!("agent_statuses", ["id"], None, Source::List(AGENT_STATUSES)),
    stream!("groups", ["id"], None, Source::List(GROUPS)),
    stream!("channels", ["id"], None, Source::List(CHANNELS)),
    stream!("roles", ["id"], None, Source::List(ROLES)),
    stream!("outbound_messages", ["message_id"], None, Source::List(OUTBOUND_MESSAGES)),
    stream!("business_hours", ["group_id"], None, Source::BusinessHours),
    stream!(
        "metrics_historical",
        ["metric", "aggregator", "interval", "group_by", "group_value", "start"],
        Some("start"),
        Source::MetricsHistorical
    ),
    stream!(
        "metrics_instant",
        ["metric", "group_id", "retrieved_at"],
        Some("retrieved_at"),
        Source::MetricsInstant
    ),
    stream!("deletions", ["entity", "id"], Some("detected_at"), Source::Deletions),
    report!("report_chat_transcript", "Chat-Transcript", Cut::Days, &[], ["message_id"], "created_time"),
    report!(names_conversations, "report_conversation_created", "Conversation-Created", &[("conversation_url", "conv_url")]),
    report!(names_conversations, "report_message_sent", "Message-Sent"),
    report!(names_conversations, "report_conversation_resolved", "Conversation-Resolved"),
    report!(
        "report_conversation_resolution_label",
        "Conversation-Resolution-Label",
        &[("abel_sub_category_name", "label_sub_category_name")]
    ),
    report!("report_csat_score", "CSAT-Score"),
    report!("report_first_response_time", "First-Response-Time"),
    report!("report_response_time", "Response-Time"),
    report!("report_resolution_time", "Resolution-Time"),
    report!(names_conversations, "report_conversation_agent_assigned", "Conversation-Agent-Assigned"),
    report!(names_conversations, "report_conversation_group_assigned", "Conversation-Group-Assigned"),
    report!("report_agent_activity", "Agent-Activity"),
    report!("report_agent_intelliassign_activity", "Agent-Intelliassign-Activity"),
    report!("report_conversation_activity", "Conversation-Activity"),
    report!("report_classic", "Classic", Cut::Days, &[], ["interaction_id"], "created_timestamp"),
    report!(
        "report_agent_performance",
        "Agent-performance",
        Cut::ClosedDays,
        &[],
        ["agent_id", "report_start_time", "report_end_time"],
        "report_end_time"
    ),
];

/// The stream of this name.
pub fn find(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name)
}

impl Stream {
    /// The stream's JSON Schema.
    pub fn schema(&self) -> Map<String, Value> {
        serde_json::from_str(self.schema).expect("the schema is part of the program")
    }

    /// All properties of its records.
    pub fn fields(&self) -> Fields {
        Fields::compile(&Value::Object(self.schema()), &[], &|_| true)
    }

    /// Whether a refusal can mean that the account lacks the feature, or the
    /// token the permission.
    pub fn may_lack(&self, refusal: &ApiError) -> bool {
        match (&self.source, refusal.status) {
            // Every account has users.
            (Source::Users, 400) => false,
            // What is asked for is one group, which may be deleted.
            (Source::BusinessHours, 400 | 404) => refusal.endpoint == GROUPS.path,
            (_, status) => matches!(status, 400 | 401 | 403 | 404),
        }
    }

    /// Whether the stream is synced unless a catalog says otherwise. Reports
    /// are not: each is a job of its own, of which the API takes one a minute.
    fn is_default(&self) -> bool {
        !matches!(self.source, Source::Report(_))
    }

    /// What discovery prints for the stream.
    pub fn discover(&self) -> Entry {
        Entry::discovered(
            self.name,
            self.schema(),
            self.key,
            self.replication_key,
            self.is_default(),
        )
    }
}
