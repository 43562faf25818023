//! Lists by page number: they end in each variant of a list's end.

use freshchat_sandbox::{Fault, FaultKind, Options, PastEnd, Sandbox};

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
    for past_end in [PastEnd::Empty, PastEnd::WrongPage, PastEnd::RepeatLast] {
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
                for stream in streams {
                    assert_complete(&sandbox, stream, run.records(stream));
                    assert_eq!(
                        run.records(stream).len(),
                        sandbox.truth(stream).len(),
                        "{stream}"
                    );
                }
                // With an envelope, nothing is asked for past the end.
                let page = |records: usize| records.div_ceil(page_size);
                assert_eq!(sandbox.count("agents"), page(23));
                assert_eq!(sandbox.count("roles"), page(5));
                let extra = usize::from(!envelope);
                assert_eq!(sandbox.count("groups"), page(7) + extra);
                assert_eq!(sandbox.count("channels"), page(6) + extra);
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
    options.sizes.agents = 3;
    let sandbox = Sandbox::start(options);
    sandbox.with_options(|options| {
        let gone = || r#"{"code":400,"status":"WRONG_PAGE","message":"wrong page"}"#.to_owned();
        let fault = |nth| {
            Fault::new(
                "agents",
                nth,
                FaultKind::StatusWith(400, Vec::new(), gone()),
            )
        };
        options.faults = vec![fault(2), fault(4), fault(6)];
    });
    let run = Tap::new(&sandbox)
        .set("page_size", 2)
        .set("emit_activate_version_messages", true)
        .streams(&["agents"])
        .succeed();
    assert!(
        run.stderr.contains("WARNING agents changed"),
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
        assert_eq!(sandbox.count("users"), 230usize.div_ceil(cap));
        assert_eq!(sandbox.count("agents"), 130usize.div_ceil(cap));
    }
}
