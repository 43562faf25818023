//! Lists by page number: they end in each variant of a list's end.

use freshchat_sandbox::{
    Claim, EnvelopeShape, Envelopes, Fault, FaultKind, Options, PastEnd, Sandbox,
};

use serde_json::{Value, json};

use crate::tap::{Tap, account, assert_complete};

fn options() -> Options {
    let mut options = account(1);
    options.sizes.agents = 23;
    options.sizes.groups = 7;
    options.sizes.channels = 6;
    options.sizes.roles = 5;
    options
}

#[test]
fn every_past_the_end_ends_the_list() {
    for past_end in PastEnd::ALL {
        for envelope in [false, true] {
            for page_size in [1, 2, 3, 50] {
                let mut options = options();
                options.quirks.past_end = past_end;
                options.quirks.lists_envelope = envelope;
                let sandbox = Sandbox::start(options);
                let streams = ["agents", "groups", "channels", "roles"];
                let run = Tap::new(&sandbox)
                    .set("page_size", page_size)
                    .streams(&streams)
                    .succeed();
                // Without an envelope, pages are read until two readings agree.
                let readings = |records: usize, stream: &str| {
                    let has_total = envelope || matches!(stream, "agents" | "roles");
                    1 + usize::from(!has_total && records > page_size)
                };
                for stream in streams {
                    assert_complete(&sandbox, stream, run.records(stream));
                    let times = readings(sandbox.truth(stream).len(), stream);
                    let expected = sandbox.truth(stream).len() * times;
                    assert_eq!(run.records(stream).len(), expected, "{stream}");
                }
                // With an envelope, a page is asked for past the end only if
                // the last one is full.
                let full = |records: usize| usize::from(records.is_multiple_of(page_size));
                let page = |records: usize| records.div_ceil(page_size);
                assert_eq!(sandbox.count("agents"), page(23) + full(23));
                assert_eq!(sandbox.count("roles"), page(5) + full(5));
                let extra = |records: usize| match past_end {
                    _ if envelope => full(records),
                    // Behind a full page, an error is believed the second time.
                    PastEnd::PageNotFound | PastEnd::BadRequest
                        if records.is_multiple_of(page_size) || records < page_size =>
                    {
                        2
                    }
                    _ => 1,
                };
                for (stream, records) in [("groups", 7), ("channels", 6)] {
                    let calls = (page(records) + extra(records)) * readings(records, stream);
                    assert_eq!(sandbox.count(stream), calls, "{stream}");
                }
            }
        }
    }
}

#[test]
fn a_list_that_ignores_the_page_ends() {
    let mut options = options();
    options.quirks.lists_ignore_page = true;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("page_size", 2)
        .streams(&["groups", "channels"])
        .succeed();
    for stream in ["groups", "channels"] {
        assert_complete(&sandbox, stream, run.records(stream));
        assert_eq!(run.records(stream).len(), sandbox.truth(stream).len());
        assert_eq!(sandbox.count(stream), 2);
    }
}

#[test]
fn a_list_that_shrinks_past_a_page_is_read_again() {
    let mut options = options();
    options.sizes.agents = 3;
    let sandbox = Sandbox::start(options);
    sandbox.with_options(|options| {
        let gone = r#"{"code":400,"status":"WRONG_PAGE","message":"wrong page"}"#.to_owned();
        options.faults = vec![Fault::new(
            "agents",
            2,
            FaultKind::StatusWith(400, Vec::new(), gone),
        )];
    });
    let run = Tap::new(&sandbox)
        .set("page_size", 2)
        .streams(&["agents"])
        .succeed();
    assert_complete(&sandbox, "agents", run.records("agents"));
    assert_eq!(sandbox.count("agents"), 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("changed while it was read"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_list_that_never_holds_still_drops_no_rows() {
    let mut options = options();
    options.sizes.agents = 30;
    let sandbox = Sandbox::start(options);
    // Another total on the second page of each reading.
    let page = |total: usize| {
        let pagination = json!({"total_items": total, "total_pages": 2, "items_per_page": 20});
        let agents = json!([{"id": format!("agent-{total}")}]);
        FaultKind::body(&json!({"agents": agents, "pagination": pagination}).to_string())
    };
    let fault = |nth: u64| Fault::new("agents", nth, page(30 + nth as usize)).on_page(2);
    sandbox.with_options(|options| options.faults = (1..=5).map(fault).collect());
    let run = Tap::new(&sandbox)
        .set("page_size", 20)
        .set("emit_activate_version_messages", true)
        .streams(&["agents"])
        .succeed();
    assert!(
        run.stderr.contains("WARNING agents changed in each"),
        "{}",
        run.stderr
    );
    assert_eq!(run.of_type("ACTIVATE_VERSION").len(), 0);
}

#[test]
fn the_echoed_page_size_counts() {
    for cap in [50, 100] {
        let mut options = account(230);
        options.sizes.agents = 130;
        options.quirks.max_items_per_page = cap;
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .set("page_size", 100)
            .streams(&["users", "agents"])
            .succeed();
        for stream in ["users", "agents"] {
            assert_complete(&sandbox, stream, run.records(stream));
            assert_eq!(run.records(stream).len(), sandbox.truth(stream).len());
        }
        // And one for those that were edited since the run's start.
        assert_eq!(sandbox.count("users"), 230usize.div_ceil(cap) + 1);
        assert_eq!(sandbox.count("agents"), 130usize.div_ceil(cap));
    }
}

/// What an API may say of its lists that isn't true; `claims` are of its
/// totals.
pub fn contradictions(claims: &[Claim]) -> Vec<Envelopes> {
    let envelopes = Envelopes::default;
    let mut all = vec![
        Envelopes {
            shape: EnvelopeShape::None,
            ..envelopes()
        },
        Envelopes {
            shape: EnvelopeShape::NextPage,
            ..envelopes()
        },
        Envelopes {
            items_per_page: Claim::Asked,
            ..envelopes()
        },
        Envelopes {
            items_per_page: Claim::Missing,
            ..envelopes()
        },
        Envelopes {
            current_page: Claim::Always(1),
            ..envelopes()
        },
        Envelopes {
            hollow_page: Some(2),
            ..envelopes()
        },
    ];
    for &claim in claims {
        all.push(Envelopes {
            total_items: claim,
            ..envelopes()
        });
        all.push(Envelopes {
            total_pages: claim,
            ..envelopes()
        });
    }
    all
}

#[test]
fn a_list_that_contradicts_itself_is_read_to_its_end() {
    let claims = [
        Claim::Missing,
        Claim::Over(3),
        Claim::Over(60),
        Claim::Under(2),
        Claim::Always(1),
    ];
    for envelopes in contradictions(&claims) {
        for past_end in PastEnd::ALL {
            let mut options = options();
            options.sizes.groups = 8;
            options.quirks.past_end = past_end;
            options.quirks.envelopes = envelopes.clone();
            options.quirks.lists_envelope = true;
            options.quirks.max_items_per_page = 4;
            let sandbox = Sandbox::start(options);
            let streams = ["agents", "groups", "channels", "roles"];
            let run = Tap::new(&sandbox)
                .set("page_size", 10)
                .set("emit_activate_version_messages", true)
                .streams(&streams)
                .run();
            // Such an error may hide records where more are announced.
            if matches!(past_end, PastEnd::PageNotFound | PastEnd::BadRequest)
                && matches!(envelopes.total_items, Claim::Over(_))
            {
                run.assert_failed(1, &["agents"]);
                assert_eq!(run.of_type("ACTIVATE_VERSION").len(), 0);
                continue;
            }
            assert_eq!(
                run.code,
                Some(0),
                "{envelopes:?} {past_end:?}\n{}",
                run.stderr
            );
            let read = |stream: &str| crate::tap::by_key(stream, run.records(stream)).len();
            for stream in streams {
                let what = format!("{envelopes:?} {past_end:?} {stream}\n{}", run.stderr);
                assert_eq!(read(stream), sandbox.truth(stream).len(), "{what}");
                let versions = run.of_type("ACTIVATE_VERSION");
                let sent = versions.iter().any(|message| message["stream"] == stream);
                let warned = run.stderr.contains(&format!("WARNING {stream}: "));
                assert_eq!(sent, !warned, "{what}");
            }
        }
    }
}

#[test]
fn an_error_within_a_list_is_no_end() {
    for kind in [FaultKind::page_not_found(), FaultKind::Status(400)] {
        let sandbox = Sandbox::start(options());
        let tap = || {
            Tap::new(&sandbox)
                .set("page_size", 5)
                .set("emit_activate_version_messages", true)
                .streams(&["agents"])
        };
        sandbox.with_options(|options| {
            options.faults = vec![Fault::new("agents", 1, kind.clone()).on_page(3)];
        });
        let run = tap().succeed();
        assert_complete(&sandbox, "agents", run.records("agents"));
        sandbox.with_options(|options| {
            options.faults = vec![Fault::new("agents", 1, kind.clone()).on_page(3).always()];
        });
        let run = tap().run();
        run.assert_failed(1, &["agents"]);
        assert_eq!(run.of_type("ACTIVATE_VERSION").len(), 0);
    }
}

#[test]
fn business_hours_inherit_the_doubt_of_the_groups() {
    let mut options = options();
    options.quirks.lists_envelope = true;
    options.quirks.envelopes.total_items = Claim::Over(3);
    for streams in [&["groups", "business_hours"][..], &["business_hours"][..]] {
        let sandbox = Sandbox::start(options.clone());
        let run = Tap::new(&sandbox)
            .set("emit_activate_version_messages", true)
            .streams(streams)
            .succeed();
        assert_complete(&sandbox, "business_hours", run.records("business_hours"));
        assert_eq!(run.of_type("ACTIVATE_VERSION").len(), 0, "{}", run.stderr);
    }
}

#[test]
fn a_total_that_counts_too_little_hides_no_records() {
    type Pagination = fn(usize) -> Value;
    // The page, with and without its size, and no more than 40 records.
    let paginations: [Pagination; 3] = [
        |length| json!({"total_items": length, "total_pages": 1, "items_per_page": 20}),
        |length| json!({"total_items": length, "total_pages": 1}),
        |_| json!({"total_items": 40, "total_pages": 2, "items_per_page": 20}),
    ];
    for pagination in paginations {
        let page = |from: usize, to: usize| {
            let agents: Vec<_> = (from..to)
                .map(|at| json!({"id": format!("a{at}")}))
                .collect();
            let body = json!({"agents": agents, "pagination": pagination(to - from)});
            FaultKind::body(&body.to_string())
        };
        let sandbox = Sandbox::start(options());
        sandbox.with_options(|options| {
            let on = |number, kind| Fault::new("agents", 1, kind).on_page(number).always();
            options.faults = vec![on(1, page(0, 20)), on(2, page(20, 40)), on(3, page(40, 47))];
        });
        let run = Tap::new(&sandbox)
            .set("emit_activate_version_messages", true)
            .set("page_size", 20)
            .streams(&["agents"])
            .succeed();
        assert_eq!(
            crate::tap::by_key("agents", run.records("agents")).len(),
            47
        );
        assert_eq!(run.of_type("ACTIVATE_VERSION").len(), 0);
    }
}

#[test]
fn a_list_of_many_pages_needs_no_totals() {
    let mut options = options();
    options.sizes.groups = 70;
    options.quirks.lists_envelope = false;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .set("page_size", 1)
        .streams(&["groups"])
        .succeed();
    assert_complete(&sandbox, "groups", run.records("groups"));
}
