//! Reports and metrics in a world: their readings, and what must have come.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use freshchat_sandbox::*;
use serde_json::Value;

use super::readings::Draw;
use crate::rules;
use crate::tap::typed;

/// The reports whose rows don't depend on the windows that are asked for.
pub const REPORTS: [&str; 14] = [
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
];

pub const METRICS: &str = "metrics_historical";

/// The streams of reports and metrics that a world reads, with readings of
/// what is open about them.
pub fn draw(draw: &mut Draw, options: &mut Options) -> Vec<&'static str> {
    let streams = match draw.below(8) {
        0 => vec![draw.one_of(&REPORTS), draw.one_of(&REPORTS)],
        1 => vec![draw.one_of(&REPORTS)],
        2 => vec![METRICS],
        _ => return Vec::new(),
    };
    options.sizes.report_rows = draw.below(60);
    reports(draw, &mut options.quirks.reports);
    metrics(draw, &mut options.quirks.metrics);
    let mut streams = draw.note("reports and metrics", streams);
    streams.dedup();
    streams
}

fn reports(draw: &mut Draw, quirks: &mut ReportQuirks) {
    let millis = Duration::from_millis;
    let times = [millis(5), millis(40)];
    draw.reading("generation_time", &mut quirks.generation_time, &times);
    draw.reading("parts", &mut quirks.parts, &[2, 3, 7]);
    // Not `Overlapping`, whose rows come twice, with a warning.
    let shapes = [LinksShape::NoStatus, LinksShape::Twice];
    let single = [LinksShape::Single, LinksShape::SingleExtracts];
    match quirks.parts {
        1 => draw.reading("links", &mut quirks.links, &[&shapes[..], &single].concat()),
        _ => draw.reading("links", &mut quirks.links, &shapes),
    }
    draw.reading("date_keys", &mut quirks.date_keys, &[DateKeys::Long]);
    draw.reading("link_done", &mut quirks.link_done, &[LinkDone::Success]);
    let expired = [Expired::BadToken, Expired::BadRequest];
    draw.reading("expired", &mut quirks.expired, &expired);
    draw.reading("link_lifetime", &mut quirks.link_lifetime, &[millis(150)]);
    let containers = [Container::ZipDescriptors, Container::Csv];
    draw.reading("container", &mut quirks.container, &containers);
    draw.reading("zip_members", &mut quirks.zip_members, &[2, 3]);
    draw.reading("mac_notes", &mut quirks.mac_notes, &[true]);
    let empty = [
        EmptyStyle::ZeroByte,
        EmptyStyle::EmptyZip,
        EmptyStyle::NoLinks,
    ];
    draw.reading("empty", &mut quirks.empty, &empty);
    // A zip of junk alone is no report.
    if quirks.empty != EmptyStyle::EmptyZip {
        draw.reading("junk_member", &mut quirks.junk_member, &[true]);
    }
    let orders = [RowOrder::Descending, RowOrder::Shuffled];
    draw.reading("row_order", &mut quirks.row_order, &orders);
    let headers = [HeaderStyle::Spaces, HeaderStyle::Dashes, HeaderStyle::Upper];
    draw.reading("header_style", &mut quirks.header_style, &headers);
    draw.reading("duplicate_rows", &mut quirks.duplicate_rows, &[true]);
    faults(draw, quirks);
}

/// What passes: of some a run may fail, and the next one is none the worse.
fn faults(draw: &mut Draw, quirks: &mut ReportQuirks) {
    let places = [
        ("failed_jobs", &mut quirks.failed_jobs),
        ("forgotten_jobs", &mut quirks.forgotten_jobs),
        ("lost_posts", &mut quirks.lost_posts),
        ("cut_downloads", &mut quirks.cut_downloads),
        ("bad_crc_downloads", &mut quirks.bad_crc_downloads),
        ("bare_answers", &mut quirks.bare_answers),
        ("empty_ids", &mut quirks.empty_ids),
        ("relapses", &mut quirks.relapses),
        ("open_quotes", &mut quirks.open_quotes),
    ];
    for (name, place) in places {
        draw.reading(name, place, &[1, 2]);
    }
    // Where links have no status, a job with a failed one is never done.
    if quirks.links != LinksShape::NoStatus {
        draw.reading("failed_parts", &mut quirks.failed_parts, &[1, 2]);
    }
    if quirks.links == LinksShape::List {
        draw.reading("holes", &mut quirks.holes, &[1, 3]);
    }
}

/// Ends the faults.
pub fn mend(quirks: &mut ReportQuirks) {
    quirks.failed_jobs = 0;
    quirks.failed_parts = 0;
    quirks.forgotten_jobs = 0;
    quirks.lost_posts = 0;
    quirks.cut_downloads = 0;
    quirks.bad_crc_downloads = 0;
    quirks.bare_answers = 0;
    quirks.empty_ids = 0;
    quirks.relapses = 0;
    quirks.open_quotes = 0;
    quirks.holes = 0;
}

fn metrics(draw: &mut Draw, quirks: &mut MetricQuirks) {
    let unfiltered = [Unfiltered::Null, Unfiltered::Nothing, Unfiltered::Refused];
    draw.reading("unfiltered", &mut quirks.unfiltered, &unfiltered);
    let nameless = [Nameless::Null, Nameless::Text];
    draw.reading("nameless", &mut quirks.nameless, &nameless);
    let shapes = [ValueShape::CountKey, ValueShape::CountMember];
    draw.reading("value_shape", &mut quirks.value_shape, &shapes);
    draw.reading("timeless_moments", &mut quirks.timeless_moments, &[true]);
    draw.reading("sparse", &mut quirks.sparse, &[true]);
    draw.reading("null_grouping", &mut quirks.null_grouping, &[true]);
    draw.reading("odd_values", &mut quirks.odd_values, &[true]);
    draw.reading(
        "most_intervals",
        &mut quirks.most_intervals,
        &[Some(7), Some(31)],
    );
}

/// The rows of reports, as their schemas want them.
#[derive(Clone, Default)]
pub struct Rows(BTreeMap<&'static str, Vec<Value>>);

impl Rows {
    pub fn of(sandbox: &Sandbox, streams: &[&'static str]) -> Rows {
        let rows = |stream: &&'static str| {
            let truth = sandbox.truth(stream);
            (
                *stream,
                truth.iter().map(|row| typed(stream, row)).collect(),
            )
        };
        let reports = streams.iter().filter(|stream| **stream != METRICS);
        Rows(reports.map(rows).collect())
    }

    /// How often each row stands here, of those from one time to another.
    fn counts(
        &self,
        stream: &str,
        from: DateTime<Utc>,
        to: Option<DateTime<Utc>>,
    ) -> BTreeMap<String, usize> {
        let time = match stream {
            "report_chat_transcript" => "created_time",
            _ => "created_at",
        };
        let is_within = |row: &&Value| {
            rules::time(&row[time]).is_none_or(|time| time >= from && to.is_none_or(|to| time < to))
        };
        count(self.0[stream].iter().filter(is_within).cloned())
    }
}

fn count(rows: impl Iterator<Item = Value>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for mut row in rows {
        row["_row_id"] = Value::Null;
        *counts.entry(row.to_string()).or_default() += 1;
    }
    counts
}

/// Checks that a target has each row of a report that stood in all of these,
/// as often as it stood there.
pub fn assert_has<'a>(
    stream: &str,
    (from, to): (DateTime<Utc>, Option<DateTime<Utc>>),
    truths: [&Rows; 3],
    target: impl Iterator<Item = &'a Value>,
) {
    let found = count(target.cloned());
    let [first, others @ ..] = truths.map(|rows| rows.counts(stream, from, to));
    for (row, count) in first {
        let here = |counts: &BTreeMap<String, usize>| counts.get(&row).copied().unwrap_or(0);
        let expected = others.iter().map(here).fold(count, usize::min);
        let found = here(&found);
        assert!(
            found >= expected,
            "{stream}: a row stands {found} times for {expected}: {row}"
        );
    }
}

/// Checks that a target has a report's rows and no more, if these are the same
/// at the beginning and at the end.
pub fn assert_is<'a>(
    stream: &str,
    from: DateTime<Utc>,
    truths: [&Rows; 2],
    target: impl Iterator<Item = &'a Value>,
) {
    let [at_first, after] = truths.map(|rows| rows.counts(stream, from, None));
    if at_first == after {
        assert_eq!(count(target.cloned()), after, "{stream}");
    }
}
