//! The table of streams, one row each. A new plain stream needs one row here
//! and one file in `schemas/`.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::extract::reports::{Aliases, Cut, Identity, RowTime};
use crate::freshchat::Shape;
use crate::singer::{CatalogEntry, Fields};

/// A row of the table.
pub struct Stream {
    pub name: &'static str,
    /// The JSON Schema, as text.
    schema: &'static str,
    /// The key properties, which are never null or empty.
    pub key: &'static [&'static str],
    /// The replication key of an incremental stream. Without one, every run
    /// reads the whole stream.
    pub replication_key: Option<&'static str>,
    pub source: Source,
}

/// Where a stream's records come from.
pub enum Source {
    /// A list, or a single object, read from one endpoint.
    List(ListSource),
    /// `users`, read in windows of the update time.
    Users,
    /// A stream that is read in the walk over all conversations.
    Walk(WalkStream),
    /// One request for each group.
    BusinessHours,
    /// A raw report.
    Report(ReportSource),
    /// Metrics of completed time slices.
    MetricsHistorical,
    /// Current metrics.
    MetricsInstant,
    /// Records that other streams find deleted. It makes no requests of its
    /// own.
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

/// An endpoint that returns all records of a stream.
pub struct ListSource {
    /// The path below the base address.
    pub path: &'static str,
    pub shape: Shape,
    /// Whether the list is documented as paged.
    pub paged: bool,
    /// Whether other streams make requests for the id of each record.
    pub parents: bool,
}

/// A raw report (API document, "Extract a report").
pub struct ReportSource {
    /// The event's name in the API.
    pub event: &'static str,
    /// Whether some accounts know the event only by its lower-case name.
    pub lower_case: bool,
    /// How the time is cut into jobs.
    pub cut: Cut,
    /// Columns that the API misspells: `(misspelt, property)`.
    pub aliases: Aliases,
    /// What identifies a row permanently.
    pub identity: Identity,
    /// How long rows may change after their time, in hours.
    pub settled_after_hours: u32,
    /// Whether it is one of the reports that together name every changed
    /// conversation.
    pub names_conversations: bool,
}

/// The columns that identify an interaction. The first one that a row has is
/// used.
const INTERACTION: &[&[&str]] = &[&["interaction_id", "interaction_raw_id", "conversation_id"]];

/// Rows of most reports may still appear or change for this long, in hours.
const TWO_DAYS: u32 = 48;

/// Ratings, labels and resolutions may arrive this late, in hours.
const TWO_WEEKS: u32 = 14 * 24;

impl ReportSource {
    /// A report on interactions.
    const fn of_interactions(event: &'static str) -> Self {
        Self::new(event, INTERACTION, RowTime::Column("created_at"))
    }

    /// A report on agents.
    const fn of_agents(event: &'static str) -> Self {
        Self::new(event, &[&["agent_id"]], RowTime::Column("created_at"))
    }

    const fn new(
        event: &'static str,
        of: &'static [&'static [&'static str]],
        time: RowTime,
    ) -> Self {
        Self {
            event,
            lower_case: false,
            cut: Cut::Months,
            aliases: &[],
            identity: Identity { of, time },
            settled_after_hours: TWO_DAYS,
            names_conversations: false,
        }
    }

    const fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    const fn lower_case(mut self) -> Self {
        self.lower_case = true;
        self
    }

    const fn misspelt(mut self, aliases: Aliases) -> Self {
        self.aliases = aliases;
        self
    }

    const fn settles_late(mut self) -> Self {
        self.settled_after_hours = TWO_WEEKS;
        self
    }

    const fn names_conversations(mut self) -> Self {
        self.names_conversations = true;
        self
    }
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

/// A row with the schema `schemas/<name>.json`.
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

/// A raw report. The tap computes the id of its rows.
macro_rules! report {
    ($name:literal, $replication_key:literal, $source:expr) => {
        stream!(
            $name,
            ["_row_id"],
            Some($replication_key),
            Source::Report($source)
        )
    };
    ($name:literal, $source:expr) => {
        report!($name, "created_at", $source)
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

/// A message id is unique only within its interaction. The time is part of the
/// identity too.
const CHAT_TRANSCRIPT: ReportSource = ReportSource::new(
    "Chat-Transcript",
    &[&["conversation_id"], &["message_id"]],
    RowTime::Column("created_time"),
)
.cut(Cut::Days);

const CLASSIC: ReportSource = ReportSource::new(
    "Classic",
    &[&["interaction_id"]],
    RowTime::Column("created_timestamp"),
)
.cut(Cut::Days)
.lower_case()
.settles_late();

/// The API document doesn't say clearly what `report_start_time` is.
const AGENT_PERFORMANCE: ReportSource =
    ReportSource::new("Agent-performance", &[&["agent_id"]], RowTime::Period)
        .cut(Cut::ClosedDays)
        .lower_case();

/// The agents, by which metrics are filtered.
pub const AGENTS: ListSource = ListSource::new("agents", Shape::List("agents"))
    .paged()
    .parents();

/// The groups, which `business_hours` reads and by which metrics are filtered.
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
    report!("report_chat_transcript", "created_time", CHAT_TRANSCRIPT),
    report!("report_conversation_created", ReportSource::of_interactions("Conversation-Created").misspelt(&[("conversation_url", "conv_url")]).names_conversations()),
    report!("report_message_sent", ReportSource::of_interactions("Message-Sent").names_conversations()),
    report!("report_conversation_resolved", ReportSource::of_interactions("Conversation-Resolved").names_conversations()),
    report!("report_conversation_resolution_label", ReportSource::of_interactions("Conversation-Resolution-Label").misspelt(&[("abel_sub_category_name", "label_sub_category_name")]).settles_late()),
    report!("report_csat_score", ReportSource::of_interactions("CSAT-Score").settles_late()),
    report!("report_first_response_time", ReportSource::of_interactions("First-Response-Time")),
    report!("report_response_time", ReportSource::of_interactions("Response-Time")),
    report!("report_resolution_time", ReportSource::of_interactions("Resolution-Time").settles_late()),
    report!("report_conversation_agent_assigned", ReportSource::of_interactions("Conversation-Agent-Assigned").names_conversations()),
    report!("report_conversation_group_assigned", ReportSource::of_interactions("Conversation-Group-Assigned").names_conversations()),
    report!("report_agent_activity", ReportSource::of_agents("Agent-Activity")),
    report!("report_agent_intelliassign_activity", ReportSource::of_agents("Agent-Intelliassign-Activity")),
    report!("report_conversation_activity", ReportSource::of_interactions("Conversation-Activity").settles_late()),
    report!("report_classic", "created_timestamp", CLASSIC),
    report!("report_agent_performance", "_period_end", AGENT_PERFORMANCE),
];

/// Finds a stream by name.
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

    /// Whether this refusal can mean that the account lacks the feature, or the
    /// token the permission.
    pub fn may_lack(&self, refusal: &ApiError) -> bool {
        match (&self.source, refusal.status) {
            // Every account has users.
            (Source::Users, 400) => false,
            (_, status) => matches!(status, 400 | 401 | 403 | 404),
        }
    }

    /// Whether the stream is synced without a catalog. Reports are not, because
    /// each needs a job, and the API accepts one per minute.
    fn is_default(&self) -> bool {
        !matches!(self.source, Source::Report(_))
    }

    /// The stream's catalog entry.
    pub fn discover(&self) -> CatalogEntry {
        CatalogEntry::discovered(
            self.name,
            self.schema(),
            self.key,
            self.replication_key,
            self.is_default(),
        )
    }
}
