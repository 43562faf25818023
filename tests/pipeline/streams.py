"""The streams, and how each of them is looked at."""

# The streams that are synced where no catalog says otherwise.
DEFAULT_STREAMS = [
    "account",
    "users",
    "user_conversations",
    "conversations",
    "messages",
    "conversation_fields",
    "agents",
    "agent_statuses",
    "groups",
    "channels",
    "roles",
    "outbound_messages",
    "business_hours",
    "metrics_historical",
    "metrics_instant",
    "deletions",
]
# The rest, which a catalog has to select. The runs select all streams.
REPORTS = [
    "report_chat_transcript",
    "report_conversation_created",
    "report_message_sent",
    "report_conversation_resolved",
    "report_conversation_resolution_label",
    "report_csat_score",
    "report_first_response_time",
    "report_response_time",
    "report_resolution_time",
    "report_conversation_agent_assigned",
    "report_conversation_group_assigned",
    "report_agent_activity",
    "report_agent_intelliassign_activity",
    "report_conversation_activity",
    "report_classic",
    "report_agent_performance",
]
STREAMS = DEFAULT_STREAMS + REPORTS
# Streams whose number of records depends on when and how they are asked for.
UNCOUNTED = ["metrics_historical", "metrics_instant", "report_agent_performance"]
# Streams that have records only once something is gone.
EMPTY = ["deletions"]
# Streams that get new rows in each run.
APPENDED = ["metrics_instant"]
# Streams that go by the bookmark minus `lookback_seconds`, and by nothing else: a conversation
# that was fetched is written whatever its time.
WITH_LOOKBACK = ["users", "messages"]
# Streams whose records are compared with the API's answers, and what to ask for.
COMPARED = {
    "users": {"updated_from": "2000-01-01T00:00:00.000Z"},
    "agents": {},
    "groups": {},
    "channels": {},
    "roles": {},
}
# Columns that the tap fills by itself.
ADDED_COLUMNS = {"business_hours": {"checked_at"}}
