//! What a seed stands for.

use std::time::Duration;

use chrono::TimeDelta;
use freshchat_sandbox::*;
use serde_json::{Map, Value, json};

use super::readings::{Draw, is_plain, quirks, unprovable};
use super::reports;

/// The streams that a world reads.
pub const STREAMS: [&str; 14] = [
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
    "deletions",
];

/// A world, drawn and not yet played.
pub struct World {
    pub options: Options,
    pub settings: Map<String, Value>,
    pub steps: Vec<Step>,
    pub children: Vec<Child>,
    /// What it reads of reports and metrics.
    pub reports: Vec<&'static str>,
    /// Whether some runs find the conversations by the reports.
    pub by_reports: bool,
    /// Whether a run may fail although nothing changes: the users can't be
    /// proven to be complete.
    pub unprovable: bool,
    /// What was drawn, a line each.
    pub notes: Vec<String>,
}

/// One run, and what happens before and meanwhile.
#[derive(Debug)]
pub struct Step {
    pub streams: Vec<&'static str>,
    /// The way to the conversations, and `reconcile_days`.
    pub discovery: (&'static str, u32),
    pub end: End,
    /// So many changes before the run.
    pub changes_before: usize,
    /// After one answer in so many, and so many at most.
    pub changes_during: Option<(u64, usize)>,
    /// Faults that pass when tried again.
    pub faults: Vec<Fault>,
    /// An error page within a list, which may be there for the whole run.
    pub bad_page: Option<Fault>,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Whole,
    /// It is killed after so many lines on stdout.
    KilledAfterLines(usize),
    /// It is killed when so many requests have come.
    KilledAfterRequests(usize),
}

/// A child that answers badly in the first runs.
#[derive(Clone, Debug)]
pub struct Child {
    pub endpoint: &'static str,
    /// Its place among the users or conversations of the account.
    pub number: u64,
    pub answer: FaultKind,
    /// So often in each of these runs.
    pub times: u64,
    pub runs: usize,
}

impl Child {
    /// Whether it counts as gone, and is left alone for a day.
    pub fn is_gone(&self) -> bool {
        matches!(self.answer, FaultKind::Status(404 | 410)) && self.times > 1
    }
}

impl World {
    pub fn draw(seed: u64) -> World {
        let mut draw = Draw {
            rng: Rng::of(seed, "world", 0),
            oddness: 0,
            notes: vec![format!("seed {seed}")],
        };
        draw.oddness = draw.one_of(&[8, 25, 60]);
        let mut options = Options {
            seed,
            ..Options::default()
        };
        // Nothing lies in the future of a clock that is behind.
        options.today -= TimeDelta::days(1);
        sizes(&mut draw, &mut options);
        let lookback = draw.setting("lookback_seconds", &[0.0, 0.05, 0.4, 5.0]);
        quirks(
            &mut draw,
            &mut options,
            Duration::from_secs_f64(lookback * 0.9),
        );
        let settings = settings(&mut draw, &options, lookback);
        let mut steps = steps(&mut draw, &options);
        let children = children(&mut draw);
        let by_reports = draw.percent(20);
        if by_reports {
            for step in &mut steps {
                let ways = [("users", 30), ("reports", 30), ("auto", 30), ("auto", 0)];
                step.discovery = draw.setting("discovery", &ways);
            }
        }
        let reports = reports::draw(&mut draw, &mut options);
        for step in &mut steps {
            let read = reports.iter().filter(|_| draw.percent(80));
            step.streams.extend(read);
            // Nothing tells that a plain file was cut, if its length says so too.
            if options.quirks.reports.container == Container::Csv && !reports.is_empty() {
                let is_told = |fault: &Fault| fault.kind != FaultKind::TruncatedJson;
                step.faults.retain(is_told);
            }
        }
        World {
            by_reports,
            reports,
            unprovable: unprovable(&options.quirks),
            options,
            settings,
            steps,
            children,
            notes: draw.notes,
        }
    }
}

/// Few of everything, and in one way or another many of something.
fn sizes(draw: &mut Draw, options: &mut Options) {
    let (name, users, conversations, messages) = draw.one_of(&[
        ("some of everything", 3..=25, 0..=3, 1..=6),
        ("some of everything", 3..=25, 0..=3, 1..=6),
        ("long lists of conversations", 1..=2, 10..=44, 0..=1),
        ("long conversations", 2..=4, 0..=2, 0..=120),
        ("many users", 30..=60, 0..=1, 0..=2),
        ("next to nothing", 0..=2, 0..=1, 0..=1),
    ]);
    options.sizes.users = *users.start() + draw.below(users.end() - users.start() + 1);
    options.sizes.conversations_per_user = conversations;
    options.sizes.messages_per_conversation = messages;
    options.sizes.roles = draw.below(30);
    options.sizes.agents = draw.below(12);
    options.sizes.groups = draw.below(5);
    options.sizes.channels = draw.below(12);
    let count = options.sizes.users;
    draw.note("account", format!("{name}, {count} users"));
    options.days = draw.one_of(&[60, 60, 2]);
}

fn settings(draw: &mut Draw, options: &Options, lookback: f64) -> Map<String, Value> {
    let page_size = draw.setting("page_size", &[2, 3, 7, 10, 50, 100]);
    let concurrency = draw.setting("concurrency", &[1, 2, 4, 8]);
    let activate = draw.setting("emit_activate_version_messages", &[false, true]);
    let mut settings = json!({
        "page_size": page_size,
        "concurrency": concurrency,
        "lookback_seconds": lookback,
        "emit_activate_version_messages": activate,
        "max_retries": 4,
        "retry_base_seconds": 0.002,
        "retry_max_seconds": 0.01,
    });
    if draw.percent(20) {
        let back = TimeDelta::hours(i64::from(options.days) * 12);
        let start = (options.today - back).to_rfc3339();
        settings["start_date"] = json!(draw.note("start_date", start));
    }
    serde_json::from_value(settings).expect("the settings are an object")
}

fn steps(draw: &mut Draw, options: &Options) -> Vec<Step> {
    let count = 1 + draw.below(4);
    let steps: Vec<Step> = (0..count).map(|_| step(draw, options)).collect();
    for step in &steps {
        draw.notes.push(format!("run: {step:?}"));
    }
    steps
}

fn step(draw: &mut Draw, options: &Options) -> Step {
    // As a rule most streams, and those of the walk more often than others.
    let most = draw.one_of(&[100, 85, 30]);
    let mut streams: Vec<&'static str> =
        STREAMS.into_iter().filter(|_| draw.percent(most)).collect();
    if streams.is_empty() {
        streams.push(STREAMS[1 + draw.below(4)]);
    }
    let end = match draw.below(4) {
        0 => End::KilledAfterLines(1 + draw.below(200)),
        1 => End::KilledAfterRequests(1 + draw.below(100)),
        _ => End::Whole,
    };
    let kinds = [
        FaultKind::Reset,
        FaultKind::CloseMidBody,
        FaultKind::TruncatedJson,
        FaultKind::NotJson,
        FaultKind::Status(429),
        FaultKind::Status(500),
        FaultKind::Status(503),
    ];
    let faults = (0..draw.one_of(&[0, 0, 1, 3]))
        .map(|_| Fault::any(1 + draw.rng.below(60), draw.one_of(&kinds)))
        .collect();
    let changing = draw.percent(50);
    Step {
        streams,
        discovery: ("users", 30),
        end,
        changes_before: draw.one_of(&[0, 1, 5]),
        changes_during: changing.then(|| draw.one_of(&[(1, 12), (3, 20), (12, 40)])),
        faults,
        bad_page: bad_page(draw, options),
    }
}

/// Only of lists whose pages say the truth: where nothing says how long a list
/// is, an error page is its end.
fn bad_page(draw: &mut Draw, options: &Options) -> Option<Fault> {
    if !is_plain(&options.quirks.envelopes) || !draw.percent(10) {
        return None;
    }
    let endpoint = draw.one_of(&["users", "agents", "roles"]);
    let kinds = [
        FaultKind::page_not_found(),
        FaultKind::Status(400),
        FaultKind::NoRecords,
    ];
    let fault = Fault::new(endpoint, 1, draw.one_of(&kinds)).on_page(2 + draw.below(2));
    Some(match draw.percent(50) {
        true => fault,
        false => fault.always(),
    })
}

fn children(draw: &mut Draw) -> Vec<Child> {
    let count = match draw.percent(30) {
        true => 1 + draw.below(2),
        false => 0,
    };
    let answers = [
        FaultKind::Status(400),
        FaultKind::Status(403),
        FaultKind::Status(404),
        FaultKind::Status(409),
        FaultKind::Status(410),
        FaultKind::Status(500),
        FaultKind::body("{}"),
        FaultKind::body("null"),
    ];
    let endpoints = [
        "users/{id}/conversations",
        "conversations/{id}",
        "conversations/{id}/messages",
    ];
    let mut child = |_| {
        let child = Child {
            endpoint: draw.one_of(&endpoints),
            number: draw.rng.next(),
            answer: draw.one_of(&answers),
            times: draw.one_of(&[1, 2, u64::MAX]),
            runs: 1 + draw.below(3),
        };
        draw.note("child", child)
    };
    (0..count).map(&mut child).collect()
}
