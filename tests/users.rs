//! Users: windows, and edits while they are read.

use chrono::{DateTime, Utc};
use freshchat_sandbox::{
    Claim, Edge, Edits, EnvelopeShape, Fault, FaultKind, PastEnd, Sandbox, SortParameters,
    UsersOrder,
};
use serde_json::{Value, json};

use crate::lists::contradictions;
use crate::tap::{Tap, account, assert_complete, by_key};

fn query<'a>(request: &'a freshchat_sandbox::Request, name: &str) -> &'a str {
    let pair = request.query.iter().find(|(key, _)| key == name);
    &pair.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn long_windows_are_cut_into_checkpoints() {
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
    // One call for each user, and one for each window that was cut.
    let windows = bookmarks.len() - 1;
    assert!(
        sandbox.total() <= 450 + 2 * windows,
        "{} {windows}",
        sandbox.total()
    );
}

#[test]
fn many_users_of_one_instant_are_read_to_the_end() {
    // Windows of one millisecond can't be cut.
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
            let second = tap(&first.state()).succeed();
            let records = first
                .records("users")
                .into_iter()
                .chain(second.records("users"));
            assert_complete(&sandbox, "users", records);
            // Those who were edited came with the first run, too, if not in
            // their last version.
            assert_eq!(by_key("users", first.records("users")).len(), 600);
        }
    }
}

/// A list that repeats its last page in another order each time.
#[test]
fn a_list_that_never_looks_the_same_has_an_end() {
    let mut options = account(44);
    options.quirks.past_end = PastEnd::RepeatLast;
    options.quirks.users_order = UsersOrder::Moving;
    options.quirks.envelopes.shape = EnvelopeShape::None;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("page_size", 10)
        .streams(&["users"])
        .succeed();
    assert_complete(&sandbox, "users", run.records("users"));
    assert!(sandbox.count("users") < 200, "{}", sandbox.count("users"));
}

/// The orders that the API may have, and what it may do of a wish for another.
fn orders() -> Vec<(UsersOrder, bool)> {
    use UsersOrder::{Created, Email, Filtered, Id, Moving, Updated};
    let stable =
        [Filtered, Id, Created, Updated, Email].map(|order| [(order, false), (order, true)]);
    let mut orders: Vec<_> = stable.into_iter().flatten().collect();
    orders.push((Moving, false));
    orders
}

#[test]
fn users_come_whatever_their_order_while_they_change() {
    for (seed, (order, descending)) in orders().into_iter().enumerate() {
        let mut options = account(240);
        options.seed = seed as u64;
        options.quirks.users_order = order;
        options.quirks.users_descending = descending;
        options.quirks.sort_parameters = match seed % 3 {
            0 => SortParameters::Obeyed,
            1 => SortParameters::Ignored,
            _ => SortParameters::Refused,
        };
        options.edits = Edits {
            after_each_users_page: 2,
            most: 80,
            delete_users: 9,
            new_users: 5,
            ..Edits::default()
        };
        let sandbox = Sandbox::start(options);
        let tap = |state: &Value| {
            Tap::new(&sandbox)
                .set("page_size", 10)
                .streams(&["users"])
                .state(state)
        };
        let before = sandbox.truth("users");
        let first = tap(&json!({})).succeed();
        let found = by_key("users", first.records("users"));
        for id in by_key("users", &sandbox.truth("users")).keys() {
            let was_there = by_key("users", &before).contains_key(id);
            assert!(
                !was_there || found.contains_key(id),
                "{order:?} {descending}: {id}"
            );
        }
        let second = tap(&first.state()).succeed();
        let all = first
            .records("users")
            .into_iter()
            .chain(second.records("users"));
        let all = by_key("users", all);
        for (id, user) in by_key("users", &sandbox.truth("users")) {
            let updated = all.get(&id).map(|own| &own["updated_time"]);
            assert_eq!(
                updated,
                Some(&user["updated_time"]),
                "{order:?} {descending}: {id}"
            );
        }
    }
}

#[test]
fn any_stable_order_costs_the_same() {
    for (order, descending) in orders() {
        if order == UsersOrder::Moving {
            continue;
        }
        let mut options = account(500);
        options.quirks.users_order = order;
        options.quirks.users_descending = descending;
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 25)
            .streams(&["users"])
            .succeed();
        assert_complete(&sandbox, "users", run.records("users"));
        assert_eq!(run.records("users").len(), 500);
        // One page for each 25, one after the last, which is full, and one for
        // the time within the lookback.
        assert_eq!(
            sandbox.count("users"),
            500 / 25 + 2,
            "{order:?} {descending}"
        );
        assert_eq!(
            sandbox.total(),
            sandbox.count("users") + 1,
            "and the server's time"
        );
    }
}

#[test]
fn users_come_whatever_their_pages_say() {
    let claims = [
        Claim::Missing,
        Claim::Over(3),
        Claim::Over(500),
        Claim::Under(2),
        Claim::Always(1),
        Claim::Always(230),
    ];
    let all = contradictions(&claims);
    for (number, envelopes) in all.into_iter().enumerate() {
        let mut options = account(90);
        options.sizes.conversations_per_user = 0..=1;
        options.quirks.past_end = PastEnd::ALL[number % PastEnd::ALL.len()];
        options.quirks.users_order = [UsersOrder::Id, UsersOrder::Filtered][number % 2];
        options.quirks.max_items_per_page = 20;
        options.quirks.envelopes = envelopes.clone();
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 50)
            .streams(&["users", "user_conversations"])
            .run();
        let what = format!("{envelopes:?}\n{}", run.stderr);
        // Where more is announced, an error may hide somebody.
        let past_end = PastEnd::ALL[number % PastEnd::ALL.len()];
        let is_error = matches!(past_end, PastEnd::PageNotFound | PastEnd::BadRequest);
        if is_error && matches!(envelopes.total_items, Claim::Over(_)) && run.code == Some(1) {
            continue;
        }
        assert_eq!(run.code, Some(0), "{what}");
        for stream in ["users", "user_conversations"] {
            let read = by_key(stream, run.records(stream)).len();
            assert_eq!(read, sandbox.truth(stream).len(), "{stream} {what}");
        }
        assert!(
            sandbox.count("users") < 500,
            "{} {what}",
            sandbox.count("users")
        );
    }
}

#[test]
fn an_error_within_a_window_is_no_end() {
    for kind in [FaultKind::page_not_found(), FaultKind::Status(400)] {
        let sandbox = Sandbox::start(account(230));
        let tap = |state: &Value| Tap::new(&sandbox).streams(&["users"]).state(state);
        sandbox.with_options(|options| {
            options.faults = vec![Fault::new("users", 1, kind.clone()).on_page(3).always()];
        });
        let first = tap(&json!({})).run();
        first.assert_failed(1, &["users"]);
        assert!(first.bookmark("users").is_null());
        sandbox.with_options(|options| {
            options.faults = vec![Fault::new("users", 1, kind.clone()).on_page(3)];
        });
        let second = tap(&first.state()).succeed();
        assert_complete(&sandbox, "users", second.records("users"));
    }
}

#[test]
fn an_import_of_one_instant_is_read_to_the_end_or_not_at_all() {
    for order in [
        UsersOrder::Id,
        UsersOrder::Updated,
        UsersOrder::Email,
        UsersOrder::Moving,
    ] {
        let mut options = account(200);
        options.sizes.conversations_per_user = 0..=1;
        options.quirks.bulk_import = 150;
        options.quirks.users_order = order;
        options.edits = Edits {
            after_each_users_page: 1,
            most: 12,
            ..Edits::default()
        };
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 10)
            .streams(&["user_conversations"])
            .run();
        let found = by_key("user_conversations", run.records("user_conversations"));
        match run.code {
            Some(0) => assert_eq!(found.len(), sandbox.truth("user_conversations").len()),
            _ => run.assert_failed(1, &["user_conversations"]),
        }
        assert!(
            run.code == Some(0) || order == UsersOrder::Moving,
            "{order:?} {}",
            run.stderr
        );
    }
}

#[test]
fn users_who_are_listed_late_come_with_the_next_run() {
    let mut options = account(60);
    let second = std::time::Duration::from_secs(1);
    options.quirks.list_lag = 3 * second..=9 * second;
    options.edits = Edits {
        after_each_users_page: 3,
        most: 20,
        new_users: 6,
        ..Edits::default()
    };
    let sandbox = Sandbox::start(options);
    let tap = |state: &Value| {
        Tap::new(&sandbox)
            .set("page_size", 7)
            .set("lookback_seconds", 10)
            .streams(&["users"])
            .state(state)
    };
    let first = tap(&json!({})).succeed();
    // Dated back: a later run finds them before its bookmark.
    sandbox.edit_user(3);
    sandbox.add_user();
    let second = tap(&first.state()).succeed();
    let all = first
        .records("users")
        .into_iter()
        .chain(second.records("users"));
    let all = by_key("users", all);
    for (id, user) in by_key("users", &sandbox.truth("users")) {
        let updated = all.get(&id).map(|own| &own["updated_time"]);
        assert_eq!(updated, Some(&user["updated_time"]), "{id}");
    }
}

#[test]
fn the_bookmark_is_the_start_of_the_run() {
    let sandbox = Sandbox::start(account(10));
    // The server tells its time in whole seconds.
    let before = Utc::now() - chrono::Duration::seconds(1);
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
        assert_eq!(sandbox.total(), 1);
        let asked: DateTime<Utc> = query(&sandbox.requests()[0], "updated_from")
            .parse()
            .unwrap();
        let bookmark: DateTime<Utc> = first.bookmark("users").as_str().unwrap().parse().unwrap();
        assert_eq!((bookmark - asked).num_milliseconds(), 900_001);
        let to = sandbox.requests()[0].query("updated_to").map(str::to_owned);
        assert_eq!(to, None, "those edited since the run's start come, too");
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
    let later = (middle + chrono::Duration::days(1)).format("%Y-%m-%dT%H:%M:%S.000Z");
    let later = later.to_string();
    let state = json!({"bookmarks": {"users": {"replication_key_value": later}}});
    assert_eq!(tap(state).succeed().bookmark("users"), later);
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
