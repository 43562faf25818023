//! THE TABLE: one row per stream. A new plain stream is one row here and one
//! file under `schemas/`.

use serde_json::{Map, Value};

use crate::freshchat::Shape;
use crate::singer::Entry;

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
    /// One answer for each group.
    BusinessHours,
    /// Metrics of closed slices of time.
    MetricsHistorical,
    /// Metrics of the moment.
    MetricsInstant,
    /// Described, but not extracted by this version.
    NotExtracted,
}

/// An endpoint whose answer holds the records.
pub struct ListSource {
    /// The path below the base address.
    pub path: &'static str,
    pub shape: Shape,
    /// Whether the document says that the list comes in pages.
    pub paged: bool,
    /// Whether a 404 means that the account doesn't have the feature.
    pub optional: bool,
    /// Whether other streams ask for something of each record's id.
    pub parents: bool,
}

impl ListSource {
    const fn new(path: &'static str, shape: Shape) -> Self {
        Self {
            path,
            shape,
            paged: false,
            optional: false,
            parents: false,
        }
    }

    const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
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

/// A raw report.
macro_rules! report {
    ($name:literal) => {
        report!($name, ["_row_id"], "created_at")
    };
    ($name:literal, $key:expr, $replication_key:literal) => {
        stream!($name, $key, Some($replication_key), Source::NotExtracted)
    };
}

const ACCOUNT: ListSource =
    ListSource::new("accounts/configuration", Shape::Single("configuration"));
const CONVERSATION_FIELDS: ListSource =
    ListSource::new("conversations/fields", Shape::List("fields")).optional();
const AGENTS: ListSource = ListSource::new("agents", Shape::List("agents")).paged();
const AGENT_STATUSES: ListSource = ListSource::new("agents/status", Shape::List("states"));
const CHANNELS: ListSource = ListSource::new("channels", Shape::List("channels")).paged();
const ROLES: ListSource = ListSource::new("roles", Shape::List("roles")).paged();
const OUTBOUND_MESSAGES: ListSource =
    ListSource::new("outbound-messages", Shape::List("outbound_messages"));

/// The groups, which `business_hours` reads too.
pub const GROUPS: ListSource = ListSource::new("groups", Shape::List("groups"))
    .paged()
    .parents();

/// All streams, in the order in which they are synced.
#[rustfmt::skip]
pub static STREAMS: [Stream; 31] = [
    stream!("account", ["account_id"], None, Source::List(ACCOUNT)),
    stream!("users", ["id"], Some("updated_time"), Source::Users),
    stream!("user_conversations", ["user_id", "conversation_id"], None, Source::NotExtracted),
    stream!("conversations", ["conversation_id"], Some("updated_time"), Source::NotExtracted),
    stream!("messages", ["conversation_id", "id"], Some("created_time"), Source::NotExtracted),
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
    report!("report_chat_transcript", ["message_id"], "created_time"),
    report!("report_conversation_created"),
    report!("report_message_sent"),
    report!("report_conversation_resolved"),
    report!("report_conversation_resolution_label"),
    report!("report_csat_score"),
    report!("report_first_response_time"),
    report!("report_response_time"),
    report!("report_resolution_time"),
    report!("report_conversation_agent_assigned"),
    report!("report_conversation_group_assigned"),
    report!("report_agent_activity"),
    report!("report_agent_intelliassign_activity"),
    report!("report_conversation_activity"),
    report!("report_classic", ["interaction_id"], "created_timestamp"),
    report!(
        "report_agent_performance",
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

    /// Whether this version extracts the stream.
    pub fn is_extracted(&self) -> bool {
        !matches!(self.source, Source::NotExtracted)
    }

    /// What discovery prints for the stream.
    pub fn discover(&self) -> Entry {
        Entry::discovered(
            self.name,
            self.schema(),
            self.key,
            self.replication_key,
            self.is_extracted(),
        )
    }
}
