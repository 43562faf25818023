//! What a grouped answer holds without a `filter_by`, which the API document
//! leaves open.

use chrono::TimeDelta;
use freshchat_sandbox::{Nameless, Sandbox, Unfiltered};
use serde_json::json;
use url::form_urlencoded;

use super::{Expected, HISTORICAL, REQUESTS, STREAM, asked, bookmark, tap, team, warnings};
use crate::tap::{Tap, by_key};

/// Queries for slices that are grouped by group or agent.
const GROUPED: usize = 28;

#[test]
fn groups_are_asked_for_by_their_ids_where_an_answer_names_none() {
    for (unfiltered, more) in [
        (Unfiltered::Null, 2),
        (Unfiltered::Nothing, GROUPED),
        // For groups and for agents, once: a refusal may be one of the time.
        (Unfiltered::Refused, 2 * 3),
    ] {
        let mut options = team();
        options.quirks.metrics.unfiltered = unfiltered;
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox).set("concurrency", 1).succeed();
        let from = sandbox.options().today - TimeDelta::days(60);
        Expected::new(&sandbox, from, bookmark(&run)).assert(run.records(STREAM));
        assert_eq!(warnings(&run), [] as [&str; 0]);
        // Once it is known which way works, the other isn't tried again.
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS + more);
    }
}

#[test]
fn many_agents_are_asked_for_in_addresses_of_bounded_length() {
    let mut options = team();
    options.sizes.agents = 120;
    options.quirks.metrics.unfiltered = Unfiltered::Null;
    let sandbox = Sandbox::start(options);
    let run = Tap::new(&sandbox)
        .streams(&["agents", STREAM])
        .set("metrics", json!(["team_performance.responses_sent"]))
        .set("metrics_group_by", json!(["agent"]))
        .succeed();
    let from = sandbox.options().today - TimeDelta::days(60);
    let expected = Expected {
        prefix: "team_performance.responses_sent",
        ..Expected::new(&sandbox, from, bookmark(&run))
    };
    let mut expected = expected.records(None);
    expected.retain(|record| record["group_by"] == "agent");
    let records = run.records(STREAM);
    assert_eq!(records.len(), expected.len());
    assert_eq!(by_key(STREAM, records), by_key(STREAM, &expected));
    // Without a filter, and in portions of 31 agents.
    assert_eq!(sandbox.count(HISTORICAL), 1 + 4);
    for request in asked(&sandbox) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&request.query);
        let length = "https://a-rather-long-account.myfreshworks.com".len()
            + request.path.len()
            + query.finish().len();
        assert!(length < 2_000, "{length}");
    }
    // The list that the run has read serves both streams.
    let pages = sandbox.count("agents");
    sandbox.clear_requests();
    Tap::new(&sandbox).streams(&["agents"]).succeed();
    assert_eq!(sandbox.count("agents"), pages);
}

#[test]
fn a_refused_filter_is_halved_once() {
    // The number of ids in each request, and whether it is answered.
    let (yes, no) = (true, false);
    for (most_filters, refuses_last_agent, expected_requests) in [
        (
            8,
            false,
            vec![
                (31, no),
                (15, no),
                (7, yes),
                (8, yes),
                (16, no),
                (8, yes),
                (8, yes),
            ],
        ),
        (
            0,
            true,
            vec![
                (31, no),
                (15, yes),
                (16, no),
                (8, yes),
                (8, no),
                (4, yes),
                (4, no),
                (2, yes),
                (2, no),
                (1, yes),
                (1, no),
            ],
        ),
    ] {
        let mut options = team();
        options.sizes.agents = 31;
        options.quirks.metrics.unfiltered = Unfiltered::Null;
        options.quirks.metrics.most_filters = most_filters;
        options.quirks.metrics.refuses_last_agent = refuses_last_agent;
        let sandbox = Sandbox::start(options);
        let run = Tap::new(&sandbox)
            .streams(&[STREAM])
            .set("concurrency", 1)
            .set("metrics", json!(["team_performance.responses_sent"]))
            .set("metrics_group_by", json!(["agent"]))
            .run();
        assert_eq!(run.code, Some(i32::from(refuses_last_agent)));
        if refuses_last_agent {
            // The others' values are written, and the run is a failure.
            assert!(!run.records(STREAM).is_empty());
            assert_eq!(warnings(&run).len(), 1);
            continue;
        }
        let from = sandbox.options().today - TimeDelta::days(60);
        let expected = Expected {
            prefix: "team_performance.responses_sent",
            ..Expected::new(&sandbox, from, bookmark(&run))
        };
        let last = sandbox
            .truth("agents")
            .last()
            .map(|agent| agent["id"].clone());
        let mut expected = expected.records(None);
        expected.retain(|record| {
            record["group_by"] == "agent"
                && !(refuses_last_agent && Some(&record["group_value"]) == last.as_ref())
        });
        let records = run.records(STREAM);
        assert_eq!(by_key(STREAM, records), by_key(STREAM, &expected));
        let refused = warnings(&run);
        assert_eq!(
            refused.len(),
            usize::from(refuses_last_agent),
            "{refused:?}"
        );
        let mut requests: Vec<_> = asked(&sandbox)
            .iter()
            .filter_map(|request| {
                let ids = request.query("filter_by")?.split(',').count();
                Some((ids, request.status == 200))
            })
            .collect();
        // A refusal may also be one of the time, so other times are tried.
        requests.dedup_by(|next, last| next == last && !last.1);
        assert_eq!(requests, expected_requests);
    }
}

#[test]
fn what_belongs_to_no_group_is_the_group_none() {
    for nameless in [Nameless::Null, Nameless::Text] {
        let mut options = team();
        options.quirks.metrics.nameless = nameless;
        let sandbox = Sandbox::start(options);
        let run = tap(&sandbox).succeed();
        let from = sandbox.options().today - TimeDelta::days(60);
        let expected = Expected {
            nobody: true,
            ..Expected::new(&sandbox, from, bookmark(&run))
        };
        expected.assert(run.records(STREAM));
        assert_eq!(sandbox.count(HISTORICAL), REQUESTS);
        assert_eq!(warnings(&run), [] as [&str; 0]);
    }
}

#[test]
fn the_second_of_two_nameless_groups_is_odd() {
    let mut options = team();
    options.quirks.metrics.nameless = Nameless::Both;
    let sandbox = Sandbox::start(options);
    let run = tap(&sandbox).run();
    run.assert_failed(1, &[STREAM]);
    let from = sandbox.options().today - TimeDelta::days(60);
    let expected = Expected {
        nobody: true,
        ..Expected::new(&sandbox, from, bookmark(&run))
    };
    expected.assert(run.records(STREAM));
    let warnings = warnings(&run);
    assert_eq!(warnings.len(), GROUPED + 4, "{warnings:?}");
    let named = |warning: &&&str| warning.contains("`csat_metrics.rating count agent` from ");
    assert_eq!(warnings.iter().filter(named).count(), 1);
}
