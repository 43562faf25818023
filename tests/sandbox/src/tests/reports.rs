//! Reports over the wire, down to their rows.

use std::io::{Cursor, Read};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, get, sorted};
use crate::*;

/// Posts a report, and reads the rows of all of its links as maps.
fn report(sandbox: &Sandbox, event: &str, start: &str, end: &str) -> Vec<Value> {
    let body = json!({"start": start, "end": end, "event": event, "format": "csv"}).to_string();
    let mut client = Client::new(&sandbox.api_url());
    let made = client
        .send("POST", "/v2/reports/raw", sandbox.token(), &body)
        .unwrap();
    assert_eq!(made.status, 202);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let job = get(sandbox, &format!("reports/raw/{id}")).json();
    assert_eq!(job["status"], "COMPLETED");
    let links = job["links"].as_array().unwrap();
    links.iter().flat_map(|link| rows(sandbox, link)).collect()
}

fn rows(sandbox: &Sandbox, link: &Value) -> Vec<Value> {
    let href = link["link"]["href"].as_str().unwrap();
    let target = href.strip_prefix(&sandbox.storage_url()).unwrap();
    let mut client = Client::new(&sandbox.storage_url());
    let file = client.send("GET", target, "", "").unwrap();
    assert_eq!((file.status, file.whole), (200, true));
    let mut archive = zip::ZipArchive::new(Cursor::new(file.body)).unwrap();
    let mut text = String::new();
    archive
        .by_index(0)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        let cells = header.iter().zip(record.iter());
        Value::from_iter(cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))))
    });
    records.collect()
}

#[test]
fn every_report_has_its_rows() {
    let mut options = Options {
        days: 2,
        ..Options::default()
    };
    options.quirks.reports.post_interval = Duration::ZERO;
    options.quirks.reports.parts = 3;
    options.quirks.reports.duplicate_rows = true;
    let sandbox = Sandbox::start(options);
    let end = sandbox.options().today;
    let day = |back: i64| {
        let time = end - chrono::TimeDelta::days(back);
        time.format("%FT%T.000Z").to_string()
    };
    for event in reports::EVENTS.iter().map(|event| event.name) {
        let mut read = report(&sandbox, event, &day(2), &day(1));
        read.extend(report(&sandbox, event, &day(1), &day(0)));
        let stream = format!("report_{}", event.to_lowercase().replace('-', "_"));
        let mut truth = sandbox.truth(&stream);
        for row in &mut truth {
            // The document knows this column of Classic under another name.
            if let Some(value) = row["last_response_timestamp_millis"].as_str() {
                row["lastresponse_timestamp_millis"] = json!(value);
                row.as_object_mut()
                    .unwrap()
                    .remove("last_response_timestamp_millis");
            }
        }
        assert!(read.len() > 20, "{event} has {} rows", read.len());
        assert_eq!(sorted(read), sorted(truth), "{event}");
    }
    assert_eq!(sandbox.truth("report_agent_performance").len(), 24);
}

#[test]
fn what_changed_last_stands_in_one_of_five_reports() {
    let sandbox = Sandbox::start(Options::default());
    let changed = sandbox.truth("conversations")[3]["conversation_id"].clone();
    sandbox.add_message(changed.as_str().unwrap());
    sandbox.add_conversation(5);
    let streams = [
        "conversation_created",
        "message_sent",
        "conversation_resolved",
        "conversation_agent_assigned",
        "conversation_group_assigned",
    ];
    let rows: Vec<Value> = streams
        .iter()
        .flat_map(|stream| sandbox.truth(&format!("report_{stream}")))
        .collect();
    for conversation in sandbox.truth("conversations") {
        let named = rows.iter().any(|row| {
            row["conversation_id"] == conversation["conversation_id"]
                && row["created_at"] == conversation["updated_time"]
        });
        assert!(named, "{conversation}");
    }
}

#[test]
fn links_expire_and_are_made_anew() {
    let mut options = Options::default();
    options.quirks.reports.post_interval = Duration::ZERO;
    options.quirks.reports.link_lifetime = Duration::ZERO;
    let sandbox = Sandbox::start(options);
    let mut body = json!({"start": sandbox.config()["start_date"], "format": "csv",
        "end": sandbox.options().today.format("%FT%TZ").to_string(), "event": "Message-Sent"});
    let mut client = Client::new(&sandbox.api_url());
    let mut post = |body: &Value| {
        let body = body.to_string();
        client
            .send("POST", "/v2/reports/raw", sandbox.token(), &body)
            .unwrap()
    };
    assert_eq!(post(&body).status, 400, "the window is too long");
    assert_eq!(sandbox.violations().len(), 1);
    sandbox.allow_violations();
    let start = sandbox.options().today - chrono::TimeDelta::days(31);
    body["start"] = json!(start.format("%FT%TZ").to_string());
    let made = post(&body).json();
    let target = format!("reports/raw/{}", made["id"].as_str().unwrap());
    let link = |job: Value| job["links"][0]["link"]["href"].as_str().unwrap().to_owned();
    let old = link(get(&sandbox, &target).json());
    let mut storage = Client::new(&sandbox.storage_url());
    let old = old.strip_prefix(&sandbox.storage_url()).unwrap();
    assert_eq!(storage.send("GET", old, "", "").unwrap().status, 403);
    sandbox.with_options(|options| {
        options.quirks.reports.link_lifetime = Duration::from_secs(3600);
    });
    assert!(rows(&sandbox, &get(&sandbox, &target).json()["links"][0]).len() > 1);
    let violations = sandbox.violations().len();
    storage.send("GET", old, sandbox.token(), "").unwrap();
    assert_eq!(sandbox.violations().len(), violations + 1);
}

#[test]
fn jobs_and_downloads_fail_as_often_as_asked() {
    let mut options = Options::default();
    let quirks = &mut options.quirks.reports;
    quirks.post_interval = Duration::ZERO;
    quirks.lost_posts = 1;
    quirks.failed_jobs = 1;
    quirks.failed_parts = 1;
    quirks.endless_jobs = 1;
    quirks.forgotten_jobs = 1;
    quirks.cut_downloads = 1;
    quirks.bad_crc_downloads = 1;
    let sandbox = Sandbox::start(options);
    let end = sandbox.options().today;
    let day = |back: i64| {
        (end - chrono::TimeDelta::days(back))
            .format("%FT%TZ")
            .to_string()
    };
    let body = json!({"start": day(30), "end": day(0), "event": "CSAT-Score", "format": "csv"});
    let post = || {
        let mut client = Client::new(&sandbox.api_url());
        let body = body.to_string();
        let answer = client.send("POST", "/v2/reports/raw", sandbox.token(), &body)?;
        Some(format!(
            "reports/raw/{}",
            answer.json()["id"].as_str().unwrap()
        ))
    };
    assert!(post().is_none(), "lost; that job is the one that fails");
    let look = |target: &str| get(&sandbox, target);
    let part = look(&post().unwrap()).json();
    assert_eq!(
        (&part["status"], &part["links"][0]["status"]),
        (&json!("COMPLETED"), &json!("FAILED"))
    );
    assert_eq!(look(&post().unwrap()).json()["status"], "PENDING");
    assert_eq!(look(&post().unwrap()).status, 404);
    let done = look(&post().unwrap()).json();
    let href = done["links"][0]["link"]["href"].as_str().unwrap();
    let download = || {
        let target = href.strip_prefix(&sandbox.storage_url()).unwrap();
        Client::new(&sandbox.storage_url())
            .send("GET", target, "", "")
            .unwrap()
    };
    assert!(!download().whole);
    assert!(download().whole);
    assert!(!rows(&sandbox, &done["links"][0]).is_empty());
    assert_eq!(sandbox.count("storage"), 3);
}

#[test]
fn an_empty_account_answers_everything() {
    let mut options = Options {
        sizes: Sizes {
            users: 0,
            agents: 0,
            agent_statuses: 0,
            groups: 0,
            channels: 0,
            roles: 0,
            outbound_messages: 0,
            conversation_fields: 0,
            ..Sizes::default()
        },
        ..Options::default()
    };
    options.edits.after_each_users_page = 1;
    options.quirks.reports.post_interval = Duration::ZERO;
    options.quirks.past_end = PastEnd::WrongPage;
    let sandbox = Sandbox::start(options);
    let targets = [
        "users?created_from=2000-01-01",
        "agents",
        "groups",
        "channels",
        "roles",
        "outbound-messages",
        "conversations/fields",
        "agents/status",
        "business-hours/within-bh",
        "metrics/instant?metric=team_presence.online&group_by=group",
    ];
    for target in targets {
        assert_eq!(get(&sandbox, target).status, 200, "{target}");
    }
    let end = sandbox.options().today;
    let start = (end - chrono::TimeDelta::days(1))
        .format("%FT%TZ")
        .to_string();
    for event in reports::EVENTS {
        let end = end.format("%FT%TZ").to_string();
        assert!(report(&sandbox, event.name, &start, &end).is_empty());
    }
}

#[test]
fn a_given_file_is_delivered_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut options = Options::default();
    let files = &mut options.report_files;
    files.insert("Agent-Activity".to_owned(), path.into());
    let sandbox = Sandbox::start(options);
    let end = sandbox.options().today;
    let start = end - chrono::TimeDelta::days(1);
    let body = json!({"start": start.to_rfc3339(), "end": end.to_rfc3339(),
        "event": "Agent-Activity", "format": "csv"});
    let mut client = Client::new(&sandbox.api_url());
    let made = client
        .send(
            "POST",
            "/v2/reports/raw",
            sandbox.token(),
            &body.to_string(),
        )
        .unwrap();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let job = get(&sandbox, &format!("reports/raw/{id}")).json();
    let href = job["links"][0]["link"]["href"].as_str().unwrap();
    let target = href.strip_prefix(&sandbox.storage_url()).unwrap();
    let mut storage = Client::new(&sandbox.storage_url());
    let file = storage.send("GET", target, "", "").unwrap();
    assert_eq!(file.body, std::fs::read(path).unwrap());
}
