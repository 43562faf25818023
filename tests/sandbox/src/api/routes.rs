//! Which endpoint a path belongs to, and which query parameters it knows.

/// An endpoint's template, and the id in the path where the template has `{id}`.
pub fn resolve(segments: &[String]) -> Option<(&'static str, &str)> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let found = match parts.as_slice() {
        ["v2", "accounts", "configuration"] => ("accounts/configuration", ""),
        ["v2", "users"] => ("users", ""),
        ["v2", "users", id] => ("users/{id}", *id),
        ["v2", "users", id, "conversations"] => ("users/{id}/conversations", *id),
        ["v2", "conversations", "fields"] => ("conversations/fields", ""),
        ["v2", "conversations", id] => ("conversations/{id}", *id),
        ["v2", "conversations", id, "messages"] => ("conversations/{id}/messages", *id),
        ["v2", "agents"] => ("agents", ""),
        ["v2", "agents", "status"] => ("agents/status", ""),
        ["v2", "groups"] => ("groups", ""),
        ["v2", "channels"] => ("channels", ""),
        ["v2", "roles"] => ("roles", ""),
        ["v2", "outbound-messages"] => ("outbound-messages", ""),
        ["v2", "business-hours", "within-bh"] => ("business-hours/within-bh", ""),
        ["v2", "metrics", "historical"] => ("metrics/historical", ""),
        ["v2", "metrics", "instant"] => ("metrics/instant", ""),
        ["v2", "reports", "raw"] => ("reports/raw", ""),
        ["v2", "reports", "raw", id] => ("reports/raw/{id}", *id),
        _ => return None,
    };
    Some(found)
}

/// The parameters by which users are found; one of them is mandatory.
pub const USER_FILTERS: &[&str] = &[
    "first_name",
    "last_name",
    "email",
    "reference_id",
    "phone_no",
    "created_from",
    "created_to",
    "updated_from",
    "updated_to",
];

const PAGING: &[&str] = &["page", "items_per_page", "sort_order", "sort_by"];

/// Whether an endpoint knows a query parameter.
pub fn knows(endpoint: &str, parameter: &str) -> bool {
    let (own, paged): (&[&str], bool) = match endpoint {
        "users" => (USER_FILTERS, true),
        "agents" => (&["is_deactivated", "groups", "availability_status"], true),
        "channels" => (&["locale"], true),
        "groups" | "roles" => (&[], true),
        // The server's own link carries `1=1`.
        "conversations/{id}/messages" => (&["from_time", "page", "items_per_page", "1"], false),
        // Not documented; `WholeStrict` refuses them.
        "users/{id}/conversations" => (&["page", "items_per_page", "1"], false),
        "outbound-messages" => (&["request_id"], false),
        "business-hours/within-bh" => (&["group_id"], false),
        "reports/raw/{id}" => (&["status"], false),
        "metrics/instant" => (&["metric", "group_by", "filter_by", "summary"], false),
        "metrics/historical" => (
            &[
                "metric",
                "start",
                "end",
                "interval",
                "aggregator",
                "x_time",
                "group_by",
                "filter_by",
            ],
            false,
        ),
        _ => (&[], false),
    };
    own.contains(&parameter) || (paged && PAGING.contains(&parameter))
}
