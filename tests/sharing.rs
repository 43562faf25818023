//! Two taps at once, as two workers of an orchestrator, against one limit.

use std::thread;
use std::time::Duration;

use freshchat_sandbox::{Request, Sandbox};

use crate::tap::{Tap, account, assert_complete, wait_until};

/// Calls of an hour.
const LIMIT: usize = 80;

#[test]
fn two_taps_share_one_limit() {
    let mut options = account(300);
    options.sizes.conversations_per_user = 1..=1;
    options.hourly_limit = Some(LIMIT as u32);
    options.hour = Duration::from_secs(1);
    let sandbox = Sandbox::start(options);
    let tap = |stream: &str| {
        Tap::new(&sandbox)
            .set("page_size", 2)
            .set("max_retries", 50)
            .streams(&[stream])
    };
    let (reader, walker) = (tap("users"), tap("user_conversations"));
    let (read, walked) = thread::scope(|scope| {
        let walking = scope.spawn(|| walker.succeed());
        wait_until(|| sandbox.total() > 5);
        (reader.succeed(), walking.join().unwrap())
    });
    for (stream, run) in [("users", read), ("user_conversations", walked)] {
        assert_complete(&sandbox, stream, run.records(stream));
    }

    // Neither starves: while both are at work, each has a good part of the calls.
    let requests = sandbox.requests();
    let is_readers = |request: &Request| request.query("updated_from").is_some();
    let span = |of_reader: bool| {
        let own = |request: &&Request| is_readers(request) == of_reader;
        let numbers = requests.iter().filter(own).map(|request| request.number);
        (numbers.clone().min().unwrap(), numbers.max().unwrap())
    };
    let (reading, walking) = (span(true), span(false));
    let both = reading.0.max(walking.0)..=reading.1.min(walking.1);
    let during = requests.iter().filter(|it| both.contains(&it.number));
    let during: Vec<bool> = during.map(is_readers).collect();
    let longest = during.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(during.len() > 2 * LIMIT, "{} calls", during.len());
    assert!(
        longest < Some(3 * LIMIT),
        "{longest:?} calls of one in a row"
    );
}
