//! Users: windows, and edits while they are read.

use chrono::{DateTime, SubsecRound, Utc};
use freshchat_sandbox::{Edge, Edits, PastEnd, Sandbox};
use serde_json::{Value, json};

use crate::tap::{Tap, account, assert_complete, by_key, calls};

fn query<'a>(request: &'a freshchat_sandbox::Request, name: &str) -> &'a str {
    let pair = request.query.iter().find(|(key, _)| key == name);
    &pair.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn long_windows_are_halved_into_checkpoints() {
    let sandbox = Sandbox::start(account(450));
    let run = Tap::new(&sandbox)
        .set("page_size", 1)
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
    let deepest = sandbox
        .requests()
        .iter()
        .filter(|request| request.endpoint == "users")
        .map(|request| query(request, "page").parse().unwrap())
        .max();
    assert!(deepest <= Some(100u64), "{deepest:?}");
    let bookmarks: Vec<&str> = run
        .of_type("STATE")
        .iter()
        .map(|state| {
            state["value"]["bookmarks"]["users"]["replication_key_value"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert!(bookmarks.len() > 5, "{bookmarks:?}");
    assert!(bookmarks.is_sorted(), "{bookmarks:?}");
    // One call for each user, and one for each window that was halved.
    let windows = bookmarks.len() - 1;
    assert!(
        calls(&sandbox) <= 450 + 2 * windows,
        "{} {windows}",
        calls(&sandbox)
    );
}

#[test]
fn many_users_of_one_instant_are_read_to_the_end() {
    // Windows of one millisecond can't be halved.
    let mut options = account(130);
    options.days = 0;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("page_size", 1)
        .set("start_date", "2020-01-01")
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
}

#[test]
fn no_user_is_lost_to_edits() {
    for (seed, past_end) in [
        (1, PastEnd::Empty),
        (2, PastEnd::WrongPage),
        (3, PastEnd::RepeatLast),
    ] {
        for after_each_users_page in [1, 5] {
            let mut options = account(600);
            options.seed = seed;
            options.quirks.past_end = past_end;
            options.edits = Edits {
                after_each_users_page,
                most: 60,
                ..Edits::default()
            };
            let sandbox = Sandbox::start(options);
            let tap = |state: &Value| {
                Tap::new(&sandbox)
                    .set("page_size", 10)
                    .streams(&["users"])
                    .state(state)
            };
            let first = tap(&json!({})).succeed();
            sandbox.next_second();
            let second = tap(&first.state()).succeed();
            let records = first
                .records("users")
                .into_iter()
                .chain(second.records("users"));
            assert_complete(&sandbox, "users", records);
            // Whoever was not edited came with the first run.
            let found = by_key("users", first.records("users"));
            let edited = second.records("users");
            let edited = by_key("users", edited);
            let missing = 600 - found.len();
            assert!(edited.len() >= missing, "{missing} {}", edited.len());
            assert!(
                edited.len() <= 60,
                "only what was edited is read again: {}",
                edited.len()
            );
        }
    }
}

#[test]
fn the_bookmark_is_the_start_of_the_run() {
    let sandbox = Sandbox::start(account(10));
    let before = Utc::now().trunc_subsecs(0);
    let run = Tap::new(&sandbox).streams(&["users"]).succeed();
    let bookmark: DateTime<Utc> = run.bookmark("users").as_str().unwrap().parse().unwrap();
    let ended: DateTime<Utc> = Utc::now();
    assert!(before.timestamp_millis() <= bookmark.timestamp_millis() && bookmark <= ended);
    assert_eq!(
        run.state(),
        json!({"bookmarks": {"users": {
            "replication_key": "updated_time",
            "replication_key_value": run.bookmark("users"),
            "completed_at": run.state()["bookmarks"]["users"]["completed_at"],
        }}})
    );
}

#[test]
fn the_next_run_reads_the_overlap_and_what_changed() {
    for edge in [Edge::Inclusive, Edge::After] {
        let mut options = account(100);
        options.quirks.updated_from = edge;
        let sandbox = Sandbox::start(options);
        let first = Tap::new(&sandbox).streams(&["users"]).succeed();
        let edited = sandbox.edit_user(7);
        let added = sandbox.add_user();
        sandbox.clear_requests();
        let second = Tap::new(&sandbox)
            .streams(&["users"])
            .state(&first.state())
            .succeed();
        let mut ids: Vec<&str> = second
            .records("users")
            .iter()
            .map(|user| user["id"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        let mut expected = [edited.as_str(), added.as_str()];
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!(calls(&sandbox), 1);
        let requests = sandbox.requests();
        let users = requests.iter().find(|request| request.endpoint == "users");
        let asked: DateTime<Utc> = query(users.unwrap(), "updated_from").parse().unwrap();
        let bookmark: DateTime<Utc> = first.bookmark("users").as_str().unwrap().parse().unwrap();
        assert_eq!((bookmark - asked).num_milliseconds(), 900_001);
    }
}

#[test]
fn a_bounded_backfill_ends_at_its_end() {
    let sandbox = Sandbox::start(account(200));
    let middle = sandbox.options().today - chrono::Duration::days(30);
    let tap = |state: Value| {
        Tap::new(&sandbox)
            .set("end_date", middle.to_rfc3339())
            .streams(&["users"])
            .state(&state)
    };
    let run = tap(json!({})).succeed();
    let expected = sandbox.truth("users").into_iter().filter(|user| {
        user["updated_time"]
            .as_str()
            .unwrap()
            .parse::<DateTime<Utc>>()
            .unwrap()
            < middle
    });
    assert_eq!(run.records("users").len(), expected.count());
    let bookmark: DateTime<Utc> = run.bookmark("users").as_str().unwrap().parse().unwrap();
    assert_eq!(bookmark, middle);
    // A bookmark never goes back.
    let later =
        json!({"bookmarks": {"users": {"replication_key_value": "2200-01-01T00:00:00.000Z"}}});
    assert_eq!(
        tap(later).succeed().bookmark("users"),
        "2200-01-01T00:00:00.000Z"
    );
}

#[test]
fn full_table_begins_at_the_start_date() {
    let sandbox = Sandbox::start(account(50));
    let first = Tap::new(&sandbox).streams(&["users"]).succeed();
    let catalog = crate::tap::with_stream_metadata(
        crate::tap::discovered(),
        "users",
        [("replication-method".to_owned(), json!("FULL_TABLE"))]
            .into_iter()
            .collect(),
    );
    let run = Tap::new(&sandbox)
        .catalog(&catalog)
        .state(&first.state())
        .succeed();
    assert_eq!(run.records("users").len(), 50);
}
