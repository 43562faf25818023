//! The sandbox over its sockets, with a client of a few lines.

use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::*;

/// What came back; the body as far as it came.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    whole: bool,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One connection to one origin.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(url: &str) -> Client {
        let address = url.trim_start_matches("http://").split('/').next().unwrap();
        Client(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// `None` if the connection closes before any byte.
    fn send(&mut self, method: &str, target: &str, token: &str, body: &str) -> Option<Answer> {
        let authorization = match token {
            "" => String::new(),
            _ => format!("Authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = Vec::new();
        let _ = self.0.by_ref().take(length as u64).read_to_end(&mut body);
        Some(Answer {
            status: head[9..12].parse().unwrap(),
            whole: body.len() == length,
            head,
            body,
        })
    }
}

fn get(sandbox: &Sandbox, target: &str) -> Answer {
    let mut client = Client::new(&sandbox.api_url());
    let target = format!("/v2/{target}");
    client.send("GET", &target, sandbox.token(), "").unwrap()
}

fn sorted(mut records: Vec<Value>) -> Vec<Value> {
    records.sort_by_cached_key(Value::to_string);
    records
}

/// All users of a window, page by page over one connection.
fn walk(sandbox: &Sandbox, window: &str) -> Vec<Value> {
    let mut client = Client::new(&sandbox.api_url());
    let mut users = Vec::new();
    for page in 1.. {
        let target = format!("/v2/users?{window}&items_per_page=7&page={page}");
        let answer = client.send("GET", &target, sandbox.token(), "").unwrap();
        let body = answer.json();
        users.extend(body["users"].as_array().unwrap().clone());
        if body["links"]["next_page"].is_null() {
            return users;
        }
    }
    unreachable!("pages end")
}

#[test]
fn equal_options_give_equal_bytes() {
    let start = |seed| {
        Sandbox::start(Options {
            seed,
            ..Options::default()
        })
    };
    let (one, same, other) = (start(7), start(7), start(8));
    for target in [
        "users?created_from=2000-01-01",
        "agents",
        "outbound-messages",
    ] {
        let body = |sandbox| get(sandbox, target).body;
        assert_eq!(body(&one), body(&same));
        assert_ne!(body(&one), body(&other));
    }
    for stream in ["conversations", "messages", "report_classic"] {
        assert_eq!(one.truth(stream), same.truth(stream));
    }
}

#[test]
fn a_walk_over_all_pages_reads_the_truth() {
    let sandbox = Sandbox::start(Options::default());
    let users = walk(&sandbox, "updated_from=2000-01-01T00:00:00Z");
    assert!(users.is_sorted_by_key(|user| user["updated_time"].to_string()));
    assert_eq!(sorted(users), sorted(sandbox.truth("users")));
    assert_eq!((sandbox.count("users"), sandbox.total()), (15, 15));
    let requests = sandbox.requests();
    assert!(
        requests
            .iter()
            .all(|own| own.connection == requests[0].connection)
    );
    assert_eq!(requests[14].query("page"), Some("15"));
    assert_eq!((requests[14].number, requests[14].status), (15, 200));

    let start = sandbox.config()["start_date"].as_str().unwrap().to_owned();
    let first = || walk(&sandbox, &format!("updated_from={start}")).len();
    assert_eq!(first(), 97, "three users stand at the start itself");
    sandbox.with_options(|options| options.quirks.updated_from = Edge::Inclusive);
    assert_eq!(first(), 100);
}

#[test]
fn edits_leave_a_closed_window_while_it_is_read() {
    let sandbox = Sandbox::start(Options {
        edits: Edits {
            after_each_users_page: 2,
            most: 5,
            delete_users: 1,
            ..Edits::default()
        },
        ..Options::default()
    });
    let until = sandbox.options().today.format("%FT%TZ").to_string();
    let window = format!("updated_from=2000-01-01T00:00:00Z&updated_to={until}");
    let walked = walk(&sandbox, &window).len();
    assert!(walked < 100, "some have slipped to a page already read");
    assert_eq!(walk(&sandbox, &window).len(), 94);
    assert_eq!(walk(&sandbox, &format!("updated_from={until}")).len(), 5);
    assert_eq!(sandbox.truth("users").len(), 99);
}

#[test]
fn messages_come_newest_first_and_link_on_while_there_are_more() {
    let mut options = Options::default();
    options.quirks.message_counts_cycle = true;
    options.edits.arriving_messages = 1;
    let sandbox = Sandbox::start(options);
    let conversations = sandbox.truth("conversations");
    // The fifth conversation has 51 messages.
    let id = conversations[4]["conversation_id"].as_str().unwrap();
    let target = format!("conversations/{id}/messages?items_per_page=99");
    let first = get(&sandbox, &target).json();
    let href = first["link"]["href"].as_str().unwrap();
    assert!(href.ends_with("/messages?1=1&page=2&items_per_page=50"));
    let second = get(&sandbox, &href["/v2/".len()..]).json();
    assert!(second["link"].is_null());
    let count = |page: &Value| page["messages"].as_array().unwrap().len();
    assert_eq!(
        (count(&first), count(&second)),
        (50, 2),
        "one arrived between"
    );
    let times = first["messages"].as_array().unwrap().iter();
    let times: Vec<String> = times.map(|own| own["created_time"].to_string()).collect();
    assert!(times.iter().rev().is_sorted());
}

#[test]
fn faults_hit_the_wire() {
    let fault = |nth, kind| Fault::new("roles", nth, kind);
    let sandbox = Sandbox::start(Options {
        faults: vec![
            fault(1, FaultKind::Reset),
            fault(2, FaultKind::CloseMidBody),
            fault(3, FaultKind::TruncatedJson),
            fault(4, FaultKind::Status(503)),
            fault(5, FaultKind::Stall(Duration::from_secs(3600))),
        ],
        ..Options::default()
    });
    let send = || Client::new(&sandbox.api_url()).send("GET", "/v2/roles", sandbox.token(), "");
    assert!(send().is_none());
    assert!(!send().unwrap().whole);
    let cut = send().unwrap();
    assert!(cut.whole && serde_json::from_slice::<Value>(&cut.body).is_err());
    assert_eq!(send().unwrap().status, 503);
    let mut stalled = Client::new(&sandbox.api_url());
    let token = sandbox.token().to_owned();
    let waiting = std::thread::spawn(move || drop(stalled.send("GET", "/v2/roles", &token, "")));
    while sandbox.count("roles") < 5 {
        std::thread::yield_now();
    }
    let statuses: Vec<u16> = sandbox.requests().iter().map(|own| own.status).collect();
    assert_eq!(statuses, [0, 200, 200, 503, 0]);
    // The end of the sandbox ends the stall.
    drop(sandbox);
    waiting.join().unwrap();
}

#[test]
fn the_hourly_limit_is_spent_with_its_headers() {
    let mut options = Options {
        hourly_limit: Some(2),
        ..Options::default()
    };
    options.quirks.retry_after = RetryAfter::Seconds;
    let sandbox = Sandbox::start(options);
    assert!(
        get(&sandbox, "roles")
            .head
            .contains("X-RateLimit-Remaining: 1")
    );
    assert_eq!(get(&sandbox, "roles").status, 200);
    let spent = get(&sandbox, "roles");
    assert_eq!(spent.status, 429);
    for header in [
        "X-RateLimitReset: 3600",
        "Retry-After: 3600",
        "X-Trace-ID: trace-",
    ] {
        assert!(spent.head.contains(header), "{header} in {}", spent.head);
    }
}

#[test]
fn requests_at_once_are_counted() {
    let sandbox = Sandbox::start(Options {
        latency: Duration::from_millis(50),
        ..Options::default()
    });
    get(&sandbox, "roles");
    assert_eq!(sandbox.max_in_flight(), 1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| get(&sandbox, "roles"));
        }
    });
    assert!((2..=3).contains(&sandbox.max_in_flight()));
}

#[test]
#[should_panic(expected = "users need at least one filter")]
fn a_broken_rule_fails_the_test() {
    let sandbox = Sandbox::start(Options::default());
    assert_eq!(get(&sandbox, "users").status, 400);
}

#[test]
fn a_wrong_token_is_only_refused() {
    let sandbox = Sandbox::start(Options::default());
    sandbox.with_options(|options| options.quirks.token_echo = true);
    let mut client = Client::new(&sandbox.api_url());
    let answer = client.send("GET", "/v2/users", "wrong", "").unwrap();
    assert_eq!(answer.status, 401);
    let body = answer.json();
    assert!(body["message"].as_str().unwrap().contains("Bearer wrong"));
}

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
fn metrics_follow_their_table() {
    let sandbox = Sandbox::start(Options::default());
    let day = "start=2026-01-01T00:00:00Z&end=2026-01-03T00:00:00Z";
    let status = |query: &str| get(&sandbox, &format!("metrics/historical?{query}")).status;
    assert_eq!(status(&format!("metric=nothing&{day}")), 400);
    assert_eq!(status("metric=csat_metrics"), 400);
    let count = "metric=team_performance.responses_sent";
    assert_eq!(status(&format!("{count}&{day}")), 200);
    assert_eq!(status(&format!("{count}&aggregator=avg&{day}")), 400);
    assert_eq!(status(&format!("{count}&group_by=rating&{day}")), 400);
    assert_eq!(status(&format!("metric=team_performance&{day}")), 400);
    assert_eq!(status(&format!("metric=conversation_metrics&{day}")), 400);
    assert_eq!(
        status(&format!("metric=conversation_metrics&x_time=5&{day}")),
        200
    );
    let created = "metric=conversation_metrics.created_interactions";
    assert_eq!(status(&format!("{created}&group_by=group&{day}")), 400);

    let grouped = format!("metrics/historical?{count}&interval=1d&group_by=group&{day}");
    let body = get(&sandbox, &grouped).json();
    let last = &body["data"][3];
    let group = last["groupings"][0]["value"].as_str().unwrap();
    let time = |text: &str| text.parse().unwrap();
    let value = sandbox.metric_value(
        "team_performance.responses_sent",
        "",
        Some(("group", group)),
        time("2026-01-02T00:00:00Z"),
        time("2026-01-03T00:00:00Z"),
    );
    assert_eq!(last["series"][1]["values"][0]["value"], json!(value));
    let instant = "metrics/instant?metric=team_presence.online&summary=true";
    let body = get(&sandbox, instant).json();
    assert_eq!(
        body["data"][0]["values"][0]["count"],
        sandbox.truth("metrics_instant")[0]["count"]
    );
}

#[test]
fn an_empty_account_answers_everything() {
    let mut options = Options::default();
    options.sizes = Sizes {
        users: 0,
        agents: 0,
        agent_statuses: 0,
        groups: 0,
        channels: 0,
        roles: 0,
        outbound_messages: 0,
        conversation_fields: 0,
        ..Sizes::default()
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
