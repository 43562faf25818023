//! The sixteen events and the columns of their reports (API document, "Extract a report").

/// Where the rows of an event come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Each message of each conversation.
    Messages,
    /// The start of each conversation.
    Created,
    Resolved,
    /// The labels of a resolution; one or two.
    Labelled,
    Rated,
    FirstResponse,
    AgentAssigned,
    GroupAssigned,
    /// What agents do, apart from any conversation.
    Agents,
    /// One row per agent for the window that was asked for.
    Performance,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub name: &'static str,
    pub source: Source,
    /// Whether a window is at most 24 hours; else a month.
    pub daily: bool,
    /// The column that the window is about.
    pub time_column: &'static str,
    pub columns: &'static [&'static str],
}

impl Event {
    /// Reads an event's name, whatever its case: the documents differ in it.
    pub fn named(name: &str) -> Option<&'static Event> {
        EVENTS
            .iter()
            .find(|event| event.name.eq_ignore_ascii_case(name))
    }

    /// The event behind `report_chat_transcript` and the like.
    pub fn of_stream(stream: &str) -> Option<&'static Event> {
        Event::named(&stream.strip_prefix("report_")?.replace('_', "-"))
    }
}

const fn event(name: &'static str, source: Source, columns: &'static [&'static str]) -> Event {
    Event {
        name,
        source,
        daily: false,
        time_column: "created_at",
        columns,
    }
}

const fn daily(event: Event, time_column: &'static str) -> Event {
    Event {
        daily: true,
        time_column,
        ..event
    }
}

#[rustfmt::skip]
pub const EVENTS: &[Event] = &[
    daily(event("Chat-Transcript", Source::Messages, &[
        "conversation_id", "conversation_url", "customer_id", "detailed_message_type",
        "interaction_raw_id", "message_id", "message_type", "message_parts", "created_time",
        "actor_id", "actor_type", "actor_sub_entity", "actor_email", "actor_phone",
        "actor_first_name", "actor_last_name", "message_source", "channel_id", "channel_name",
    ]), "created_time"),
    event("Conversation-Created", Source::Created, &[
        "channel_name", "reopened", "actor_type", "group_name", "reopen_cause", "created_at",
        "interaction_id", "conv_url", "interaction_raw_id", "group_id", "conversation_id",
        "is_conv_offline", "channel_id",
    ]),
    event("Message-Sent", Source::Messages, &[
        "channel_name", "actor_sub_type", "reopened", "actor_type", "group_name", "actor_name",
        "created_at", "interaction_id", "interaction_raw_id", "group_id", "conversation_id",
        "actor_id", "channel_id",
    ]),
    event("Conversation-Resolved", Source::Resolved, &[
        "channel_name", "reopened", "actor_type", "resolve_type", "agent_name", "agent_id",
        "group_name", "actor_name", "created_at", "interaction_id", "interaction_raw_id",
        "group_id", "actor_belongs_to_group", "conversation_id", "actor_id", "channel_id",
    ]),
    event("Conversation-Resolution-Label", Source::Labelled, &[
        "channel_name", "reopened", "agent_name", "agent_id", "actor_type",
        "label_sub_category_id", "group_name", "user_name", "actor_name", "label_category_name",
        "created_at", "interaction_id", "interaction_raw_id", "group_id",
        "actor_belongs_to_group", "conversation_id", "label_category_id", "actor_id",
        "label_sub_category_name", "channel_id", "labelled_by_type",
    ]),
    event("CSAT-Score", Source::Rated, &[
        "channel_name", "reopened", "agent_name", "agent_id", "csat_id",
        "csat_submitter_user_name", "csat_submitter_user_id", "group_name", "actor_name",
        "created_at", "has_response", "interaction_id", "interaction_raw_id", "issue_resolved",
        "group_id", "actor_belongs_to_group", "conversation_id", "csat_reopen", "csat_response",
        "actor_id", "channel_id", "value",
    ]),
    event("First-Response-Time", Source::FirstResponse, &[
        "channel_name", "reopened", "agent_name", "agent_id", "group_name", "actor_name",
        "created_at", "interaction_id", "interaction_raw_id",
        "total_first_response_time_in_seconds", "group_id", "actor_belongs_to_group",
        "conversation_id", "value_in_seconds", "actor_id", "channel_id",
    ]),
    event("Response-Time", Source::Resolved, &[
        "channel_name", "actor_sub_type", "reopened", "agent_name", "agent_id", "actor_type",
        "group_name", "actor_name", "created_at", "interaction_id", "interaction_raw_id",
        "group_id", "actor_belongs_to_group", "conversation_id", "value_in_seconds", "actor_id",
        "channel_id",
    ]),
    event("Resolution-Time", Source::Resolved, &[
        "channel_name", "actor_sub_type", "reopened", "agent_name", "agent_id", "actor_type",
        "group_name", "actor_name", "created_at", "interaction_id", "interaction_raw_id",
        "group_id", "actor_belongs_to_group", "conversation_id", "value_in_seconds", "actor_id",
        "channel_id",
    ]),
    event("Conversation-Agent-Assigned", Source::AgentAssigned, &[
        "conversation_id", "interaction_id", "channel_id", "channel_name", "group_id",
        "group_name", "agent_id", "actor_id", "actor_type", "created_at", "reassigned", "value",
    ]),
    event("Conversation-Group-Assigned", Source::GroupAssigned, &[
        "conversation_id", "interaction_id", "channel_id", "channel_name", "group_id",
        "group_name", "actor_id", "actor_type", "created_at", "reassigned", "value", "reopened",
        "agent_name", "agent_id", "actor_name", "interaction_raw_id",
    ]),
    event("Agent-Activity", Source::Agents, &[
        "agent_name", "agent_id", "activity_type", "created_at",
    ]),
    event("Agent-Intelliassign-Activity", Source::Agents, &[
        "agent_name", "agent_id", "activity_type", "agent_status", "agent_status_in_seconds",
        "created_at",
    ]),
    event("Conversation-Activity", Source::Created, &[
        "created_at", "interaction_raw_id", "interaction_id", "conversation_id", "user_id",
        "org_contact_id", "assigned_at", "agent_id", "org_agent_id", "resolved_at", "resolved_by",
        "group_id", "org_group_id", "group_name", "channel_id", "channel_name",
    ]),
    daily(event("Classic", Source::Created, &[
        "agent_reopen", "avg_response_time_secs", "channel", "channel_id", "conversation_alias",
        "conversation_id", "created_timestamp", "created_timestamp_millis", "csat_agent",
        "csat_agent_id", "csat_group", "csat_group_id", "csat_issue_resolved", "csat_rating",
        "csat_response", "csat_timestamp", "csat_timestamp_millis", "first_assigned_group",
        "first_assigned_group_id", "first_group_assigned_by", "first_assigned_timestamp",
        "first_assigned_timestamp_millis", "first_assigned_by", "first_assigned_to",
        "first_assigned_to_id", "first_group_assigned_timestamp",
        "first_group_assigned_timestamp_millis", "first_response_timestamp",
        "first_response_timestamp_millis", "first_response_time_secs",
        "first_response_time_formatted", "first_responded_by", "first_responded_by_id",
        "first_response_assigned_agent", "first_response_assigned_agent_id",
        "first_response_group", "first_response_group_id", "interaction_id",
        "is_offline_conversation", "last_response_timestamp", "last_response_timestamp_millis",
        "last_responded_by", "last_responded_by_id", "last_response_assigned_agent",
        "last_response_assigned_agent_id", "last_response_assigned_group",
        "last_response_assigned_group_id", "label_timestamp", "label_timestamp_millis",
        "label_applied_by", "label_applied_by_id", "reassigns", "resolution_timestamp",
        "resolution_timestamp_millis", "resolution_time_secs", "resolution_time_formatted",
        "resolved_by", "resolved_by_id", "resolution_assigned_agent",
        "resolution_assigned_agent_id", "resolution_assigned_group",
        "resolution_assigned_group_id", "resolution_label", "resolution_label_subcategory",
        "reopened", "response_count", "time_to_first_assign_secs",
        "time_to_first_response_from_create_secs", "time_to_first_response_from_create_formatted",
        "time_to_resolve_from_create_secs", "time_to_resolve_from_create_formatted", "user_id",
        "user_name", "user_email", "user_phone", "user_identifier", "user_source",
    ]), "created_timestamp"),
    daily(event("Agent-performance", Source::Performance, &[
        "agent_id", "agent_email", "agent_name", "average_first_response_time_secs",
        "average_response_time_secs", "average_handle_time_secs", "active_time_mins",
        "average_csat_score", "count_assigned", "count_resolved", "count_unique_resolved",
        "count_transfers_out", "count_messages", "count_responses", "concurrency",
        "engagement_time_secs", "online_time_mins", "report_start_time", "report_end_time",
    ]), "report_end_time"),
];
