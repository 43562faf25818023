//! The documented metrics (API document, "Historical metrics" and "Instant metrics").

/// What a historical metric does with an aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Refuses one.
    Count,
    /// Needs one.
    Aggregate,
    /// Lists its parts; the aggregate ones take the average if there is none.
    MixedSummary,
}

#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// What a summary lists; empty for a single metric.
    pub parts: &'static [&'static str],
    pub needs_x_time: bool,
    /// What `group_by` may be.
    pub groupings: &'static [&'static str],
}

const BOTH: &[&str] = &["group", "agent"];

const fn metric(name: &'static str, kind: Kind, parts: &'static [&'static str]) -> Metric {
    Metric {
        name,
        kind,
        parts,
        needs_x_time: false,
        groupings: BOTH,
    }
}

const fn x_time(metric: Metric) -> Metric {
    Metric {
        needs_x_time: true,
        ..metric
    }
}

const fn grouped(metric: Metric, groupings: &'static [&'static str]) -> Metric {
    Metric {
        groupings,
        ..metric
    }
}

#[rustfmt::skip]
pub const HISTORICAL: &[Metric] = &[
    metric("csat_metrics", Kind::MixedSummary, &[
        "csat_metrics.satisfactory_interactions",
        "csat_metrics.unsatisfactory_interactions",
        "csat_metrics.total_rated_interactions",
        "csat_metrics.count_per_rating",
    ]),
    metric("csat_metrics.satisfactory_interactions", Kind::Count, &[]),
    metric("csat_metrics.unsatisfactory_interactions", Kind::Count, &[]),
    metric("csat_metrics.total_rated_interactions", Kind::Count, &[]),
    metric("csat_metrics.count_per_rating", Kind::Aggregate, &[]),
    grouped(metric("csat_metrics.rating", Kind::Count, &[]), &["group", "agent", "rating"]),
    grouped(metric("conversation_metrics.created_interactions", Kind::Count, &[]), &[]),
    x_time(metric("conversation_metrics", Kind::Count, &[
        "conversation_metrics.assigned_interactions",
        "conversation_metrics.assigned_x_mins_ago_and_not_replied_to",
        "conversation_metrics.created_x_mins_ago_and_unassigned",
    ])),
    metric("conversation_metrics.assigned_interactions", Kind::Count, &[]),
    metric("conversation_metrics.resolved_interactions", Kind::Count, &[]),
    x_time(metric(
        "conversation_metrics.assigned_x_mins_ago_and_not_replied_to", Kind::Count, &[],
    )),
    x_time(metric("conversation_metrics.created_x_mins_ago_and_unassigned", Kind::Count, &[])),
    metric("conversation_metrics.wait_time", Kind::Aggregate, &[]),
    metric("team_performance", Kind::Aggregate, &[
        "team_performance.first_response_time",
        "team_performance.response_time",
        "team_performance.resolution_time",
        "team_performance.wait_time",
    ]),
    metric("team_performance.first_response_time", Kind::Aggregate, &[]),
    metric("team_performance.response_time", Kind::Aggregate, &[]),
    metric("team_performance.resolution_time", Kind::Aggregate, &[]),
    metric("team_performance.responses_sent", Kind::Count, &[]),
    metric("team_performance.concurrency_ratio", Kind::Aggregate, &[]),
];

/// The parts of a summary that are means, wherever they stand.
pub fn is_aggregate(name: &str) -> bool {
    let known = HISTORICAL.iter().find(|metric| metric.name == name);
    known.is_none_or(|metric| metric.kind == Kind::Aggregate)
}

pub const AGGREGATORS: &[&str] = &["min", "max", "avg", "median", "p90"];

pub const INSTANT: &[&str] = &[
    "team_presence.online",
    "team_presence.offline",
    "team_presence.active_on_intelliassign",
    "team_presence.inactive_on_intelliassign",
    "team_presence.total_members",
];
