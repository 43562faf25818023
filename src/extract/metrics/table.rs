//! The documented metrics ("Historical metrics", "Instant metrics"), one row
//! each.
//!
//! The summaries (`csat_metrics`, `conversation_metrics`, `team_performance`)
//! have no rows. They repeat metrics that can be requested individually, except
//! for `team_performance.wait_time`.

use serde::Deserialize;

/// What a metric is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// One value for the whole account.
    None,
    Group,
    Agent,
    Rating,
}

/// How the values of an aggregate metric are combined.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregator {
    Min,
    Max,
    Avg,
    Median,
    P90,
}

/// Whether the API accepts an aggregator.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Accepts {
    /// It must not have one.
    Count,
    /// It must have one.
    Aggregate,
}

/// A historical metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    kind: Accepts,
    group_by: &'static [GroupBy],
    /// The summary that contains the metric, if it can't be requested
    /// individually.
    summary: Option<&'static str>,
    /// Whether the value is that at the time of the call. The API then uses the
    /// last `x_time` minutes, and ignores the requested time.
    pub needs_x_time: bool,
}

/// The five instant metrics.
pub const INSTANT: [&str; 5] = [
    "team_presence.online",
    "team_presence.offline",
    "team_presence.active_on_intelliassign",
    "team_presence.inactive_on_intelliassign",
    "team_presence.total_members",
];

/// All historical metrics.
#[rustfmt::skip]
pub static HISTORICAL: [Metric; 17] = [
    count("csat_metrics.satisfactory_interactions"),
    count("csat_metrics.unsatisfactory_interactions"),
    count("csat_metrics.total_rated_interactions"),
    aggregate("csat_metrics.count_per_rating"),
    count("csat_metrics.rating")
        .grouped(&[GroupBy::None, GroupBy::Group, GroupBy::Agent, GroupBy::Rating]),
    count("conversation_metrics.created_interactions").grouped(&[GroupBy::None]),
    count("conversation_metrics.assigned_interactions"),
    count("conversation_metrics.resolved_interactions"),
    count("conversation_metrics.assigned_x_mins_ago_and_not_replied_to").needs_x_time(),
    count("conversation_metrics.created_x_mins_ago_and_unassigned").needs_x_time(),
    aggregate("conversation_metrics.wait_time"),
    aggregate("team_performance.first_response_time"),
    aggregate("team_performance.response_time"),
    aggregate("team_performance.resolution_time"),
    aggregate("team_performance.wait_time").within("team_performance"),
    count("team_performance.responses_sent"),
    aggregate("team_performance.concurrency_ratio"),
];

const fn count(name: &'static str) -> Metric {
    Metric {
        name,
        kind: Accepts::Count,
        group_by: &[GroupBy::None, GroupBy::Group, GroupBy::Agent],
        summary: None,
        needs_x_time: false,
    }
}

const fn aggregate(name: &'static str) -> Metric {
    Metric {
        kind: Accepts::Aggregate,
        ..count(name)
    }
}

impl Metric {
    const fn grouped(mut self, group_by: &'static [GroupBy]) -> Self {
        self.group_by = group_by;
        self
    }

    const fn needs_x_time(mut self) -> Self {
        self.needs_x_time = true;
        self
    }

    const fn within(mut self, summary: &'static str) -> Self {
        self.summary = Some(summary);
        self
    }

    /// Whether the metric is available only as part of a summary.
    pub fn is_part(&self) -> bool {
        self.summary.is_some()
    }

    /// The name to request.
    pub fn asked_for(&self) -> &'static str {
        self.summary.unwrap_or(self.name)
    }

    /// The groupings to request, out of those in the settings.
    pub fn groupings(&self, wanted: &[GroupBy]) -> impl Iterator<Item = GroupBy> {
        let wanted = |group_by: &GroupBy| wanted.contains(group_by);
        self.group_by.iter().copied().filter(wanted)
    }

    /// The aggregators to request, out of those in the settings. A count is
    /// requested once, without an aggregator.
    pub fn aggregators(&self, wanted: &[Aggregator]) -> Vec<Option<Aggregator>> {
        match self.kind {
            Accepts::Count => vec![None],
            Accepts::Aggregate => wanted.iter().copied().map(Some).collect(),
        }
    }
}

/// The part of a metric's name before the dot.
pub fn family(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// The part of a metric's name after the dot.
fn leaf(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// All metrics, which is the default of the setting `metrics`.
pub fn all() -> Vec<&'static Metric> {
    HISTORICAL.iter().collect()
}

/// The metrics with these names, in the table's order. The name of a family
/// selects all of its metrics.
///
/// # Errors
/// The position of the first unknown name, and the known name closest to it.
/// The text itself isn't quoted, because it may be a secret.
pub fn named(names: &[String]) -> Result<Vec<&'static Metric>, String> {
    let is = |metric: &Metric, name: &str| metric.name == name || family(metric.name) == name;
    let unknown = |name: &&String| !HISTORICAL.iter().any(|metric| is(metric, name));
    if let Some(at) = names.iter().position(|name| unknown(&name)) {
        return Err(format!(
            "has an entry {} that is not a historical metric; the closest one is `{}`",
            at + 1,
            closest(&names[at])
        ));
    }
    let wanted = |metric: &&Metric| names.iter().any(|name| is(metric, name));
    Ok(HISTORICAL.iter().filter(wanted).collect())
}

/// The metric whose name, with or without its family, is closest to the text.
fn closest(text: &str) -> &'static str {
    let likeness = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(text, name);
        whole.max(strsim::normalized_damerau_levenshtein(text, leaf(name)))
    };
    let names = HISTORICAL.iter().map(|metric| metric.name);
    names
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .unwrap_or_default()
}

impl GroupBy {
    /// The name in the API. `none` occurs only in records.
    pub fn name(self) -> &'static str {
        match self {
            GroupBy::None => "none",
            GroupBy::Group => "group",
            GroupBy::Agent => "agent",
            GroupBy::Rating => "rating",
        }
    }

    /// The property of the records with the value of the grouping.
    pub fn column(self) -> Option<&'static str> {
        match self {
            GroupBy::None => None,
            GroupBy::Group => Some("group_id"),
            GroupBy::Agent => Some("agent_id"),
            GroupBy::Rating => Some("rating"),
        }
    }
}

impl Aggregator {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Aggregator::Min => "min",
            Aggregator::Max => "max",
            Aggregator::Avg => "avg",
            Aggregator::Median => "median",
            Aggregator::P90 => "p90",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Result<Vec<&'static str>, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        named(&names).map(|metrics| metrics.iter().map(|metric| metric.name).collect())
    }

    #[test]
    fn finds_metrics_and_families_once() {
        let csat = [
            "csat_metrics.satisfactory_interactions",
            "csat_metrics.unsatisfactory_interactions",
            "csat_metrics.total_rated_interactions",
            "csat_metrics.count_per_rating",
            "csat_metrics.rating",
        ];
        let found = names(&["csat_metrics.rating", "csat_metrics"]);
        assert_eq!(found.unwrap(), csat);
    }

    #[test]
    fn names_the_closest() {
        for (wrong, closest) in [
            ("csat_metrics.ratings", "csat_metrics.rating"),
            ("concurrency_ration", "team_performance.concurrency_ratio"),
            ("team_performance.wait_tiem", "team_performance.wait_time"),
            (
                "conversation_metrics.create_interactions",
                "conversation_metrics.created_interactions",
            ),
        ] {
            let problem = names(&[wrong]).unwrap_err();
            assert!(problem.starts_with("has an entry 1 "), "{problem}");
            assert!(!problem.contains(wrong), "{problem}");
            assert!(problem.ends_with(&format!("`{closest}`")), "{problem}");
        }
    }

    #[test]
    fn the_descriptions_list_every_metric_and_its_unit() {
        let stream = crate::streams::find("metrics_historical").unwrap().schema();
        for (schema, property) in [
            (crate::config::schema(), "metrics"),
            (stream.into(), "value"),
        ] {
            let text = schema["properties"][property]["description"].to_string();
            for metric in &HISTORICAL {
                assert!(text.contains(metric.name), "{property}: {}", metric.name);
            }
        }
    }
}
