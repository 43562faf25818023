//! Lists, faults and limits over the wire.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, get, sorted};
use crate::*;

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
fn a_redirect_leads_to_the_other_origin() {
    let sandbox = Sandbox::start(Options::default());
    sandbox.with_options(|options| options.quirks.redirect = Some("agents".to_owned()));
    let answer = get(&sandbox, "agents?page=2");
    assert_eq!(answer.status, 302);
    let port = sandbox.storage_url().rsplit(':').next().unwrap().to_owned();
    let location = format!("Location: http://localhost:{port}/v2/agents?page=2\r\n");
    assert!(answer.head.contains(&location), "{}", answer.head);
}

#[test]
fn new_fields_stand_in_every_other_record() {
    let mut options = Options::default();
    options.quirks.new_fields = true;
    let sandbox = Sandbox::start(options);
    let user = sandbox.truth("users")[0]["id"].clone();
    let day = "start=2026-01-01T00:00:00Z&end=2026-01-03T00:00:00Z";
    for (target, lists) in [
        ("users?created_from=2000-01-01", "/users"),
        ("agents/status", "/states"),
        ("conversations/fields", ""),
        (
            &format!("metrics/historical?metric=team_performance.responses_sent&{day}"),
            "/data",
        ),
    ] {
        let body = get(&sandbox, target).json();
        let list = body.pointer(lists).unwrap().as_array().unwrap();
        for (place, record) in list.iter().enumerate() {
            let new = record["new_object"]["points"][1] == 2.35;
            assert_eq!(new, place % 2 == 0, "{target} {place}: {record}");
        }
    }
    for target in [
        "accounts/configuration",
        &format!("users/{}", user.as_str().unwrap()),
    ] {
        let body = get(&sandbox, target).json();
        assert_eq!(body["new_number"], 17.25, "{target}");
    }
}
