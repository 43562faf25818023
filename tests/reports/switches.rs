//! All 16 streams come out whole, however the account delivers them.

use freshchat_sandbox::{
    BooleanStyle, Container, DateKeys, EmptyStyle, HeaderStyle, Joint, LinkDone, PendingStatus,
    ReportQuirks, Sandbox, TimeStyle,
};
use serde_json::{Value, json};
use std::time::Duration;

use super::{account, all, assert_rows, assert_rows_with, tap};

type Switch = (&'static str, fn(&mut ReportQuirks));

fn assert_complete(switches: &[Switch]) {
    for (name, switch) in switches {
        let mut options = account(3);
        switch(&mut options.quirks.reports);
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox, &all()).succeed();
        // What is summed up over a day may come twice where the day has parts.
        let mut warnings = run
            .stderr
            .lines()
            .filter(|line| line.starts_with("WARNING") && !line.ends_with("add up such rows"));
        assert_eq!(warnings.next(), None, "{name}");
        for stream in all() {
            assert_rows(&sandbox, stream, &[&run]);
        }
        assert_eq!(
            sandbox.truth("report_message_sent").len(),
            run.records("report_message_sent").len(),
            "{name}"
        );
    }
}

#[test]
fn complete_in_every_kind_of_job() {
    assert_complete(&[
        ("as documented", |_| {}),
        ("parts", |quirks| quirks.parts = 3),
        ("growing parts", |quirks| {
            quirks.parts = 3;
            quirks.links_while_pending = true;
            quirks.generation_time = Duration::from_millis(40);
        }),
        ("names", |quirks| {
            quirks.date_keys = DateKeys::Long;
            quirks.link_done = LinkDone::Success;
            quirks.pending_status = PendingStatus::InProgress;
            quirks.interval_joint = Joint::Underscore;
            quirks.generation_time = Duration::from_millis(20);
        }),
        ("zero bytes", |quirks| quirks.empty = EmptyStyle::ZeroByte),
        ("empty zip", |quirks| quirks.empty = EmptyStyle::EmptyZip),
        ("no links", |quirks| quirks.empty = EmptyStyle::NoLinks),
    ]);
}

#[test]
fn complete_in_every_kind_of_file() {
    assert_complete(&[
        ("members", |quirks| quirks.zip_members = 3),
        ("descriptors", |quirks| {
            quirks.container = Container::ZipDescriptors;
            quirks.zip_members = 2;
        }),
        ("plain", |quirks| quirks.container = Container::Csv),
        ("plain and empty", |quirks| {
            quirks.container = Container::Csv;
            quirks.empty = EmptyStyle::EmptyZip;
        }),
        ("a byte order mark and CR LF", |quirks| {
            quirks.bom = true;
            quirks.crlf = true;
            quirks.parts = 2;
        }),
        ("misspelt", |quirks| {
            quirks.misspelt_columns = true;
            quirks.header_style = HeaderStyle::Spaces;
            quirks.times = TimeStyle::Bare;
            quirks.booleans = BooleanStyle::Upper;
        }),
        ("dashes", |quirks| {
            quirks.header_style = HeaderStyle::Dashes;
            quirks.booleans = BooleanStyle::Digits;
        }),
        ("capitals", |quirks| {
            quirks.header_style = HeaderStyle::Upper;
            quirks.bom = true;
            quirks.container = Container::Csv;
        }),
        ("identical rows", |quirks| {
            quirks.duplicate_rows = true;
            quirks.zip_members = 4;
        }),
    ]);
}

#[test]
fn columns_more_and_less_than_the_schema() {
    let mut options = account(3);
    options.quirks.reports.extra_columns = true;
    let sandbox = Sandbox::start(options);
    let streams = ["report_csat_score", "report_agent_activity"];
    let run = tap(&sandbox, &streams).succeed();
    for stream in streams {
        assert_rows_with(&sandbox, stream, &[&run], |at, mut record| {
            let number = format!("extra, {at}");
            record["_extra"] = json!({"Custom Column": number, "x_internal": "1"});
            record
        });
        let warnings = format!("WARNING stream `{stream}`");
        assert_eq!(run.stderr.matches(&warnings).count(), 2, "{}", run.stderr);
    }

    let mut options = account(3);
    options.quirks.reports.missing_column = true;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox, &all()).succeed();
    for stream in all() {
        assert_rows_with(&sandbox, stream, &[&run], |_, mut record| {
            let names = ["channel_name", "agent_name", "channel"];
            if let Some(name) = names.iter().find(|name| record.get(name).is_some()) {
                record[name] = Value::Null;
            }
            record
        });
    }
}

#[test]
fn a_row_that_ends_early_has_nulls() {
    let mut options = account(3);
    options.quirks.reports.short_row = true;
    let sandbox = Sandbox::start(options);
    let stream = "report_csat_score";
    let run = tap(&sandbox, &[stream]).succeed();
    assert_rows_with(&sandbox, stream, &[&run], |at, mut record| {
        if at == 0 {
            record["channel_id"] = Value::Null;
            record["value"] = Value::Null;
        }
        record
    });
    assert!(run.stderr.contains("fewer cells"), "{}", run.stderr);
}
