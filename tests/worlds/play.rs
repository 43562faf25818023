//! Plays a world, run after run.

use std::cell::RefCell;

use chrono::{DateTime, TimeDelta, Utc};
use freshchat_sandbox::{Change, Changes, Envelopes, Fault, Rng, Sandbox, UsersOrder};
use serde_json::{Value, json};

use super::check::{Checked, Delivered, Snapshot};
use super::draw::{End, STREAMS, Step, World};
use super::reports::{self, METRICS};
use crate::rules;
use crate::tap::{Run, Tap, wait_until};

/// Runs that nothing disturbs, until one is complete: the first may have to
/// finish an older one's walk.
const QUIET_RUNS: usize = 3;

/// Plays the world of a seed to its end.
///
/// # Panics
/// If something is lost, or a rule is broken.
pub fn play(seed: u64) {
    let world = World::draw(seed);
    let story = Story(RefCell::new(world.notes.clone()));
    let sandbox = Sandbox::start(world.options.clone());
    let mut player = Player {
        children: choose_children(&world, &sandbox),
        world: &world,
        sandbox: &sandbox,
        rng: Rng::of(seed, "play", 0),
        state: json!({}),
        delivered: Delivered::default(),
        story: &story,
        at_first: Snapshot::of(&sandbox, &world.reports),
        is_settled: false,
    };
    for (number, step) in world.steps.iter().enumerate() {
        player.disturbed_run(number, step);
    }
    player.quiet_runs();
}

/// What was drawn, and what the last run did: printed when the world fails.
struct Story(RefCell<Vec<String>>);

impl Story {
    fn add_run(&self, state: &Value, run: &Run, sandbox: &Sandbox) {
        let mut notes = self.0.borrow_mut();
        let is_old = notes.iter().position(|note| note.starts_with("ran from"));
        notes.truncate(is_old.unwrap_or(usize::MAX));
        notes.push(format!("ran from {state} to {:?}", run.code));
        let is_metric = |line: &&str| line.starts_with("INFO METRIC");
        let lines = run.stderr.lines().filter(|line| !is_metric(line));
        notes.extend(lines.map(|line| format!("  {line}")));
        for request in sandbox.requests() {
            let query: Vec<String> = request
                .query
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            notes.push(format!(
                "  {} {} {}",
                request.status,
                request.path,
                query.join(" ")
            ));
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.borrow().join("\n"));
        }
    }
}

/// A bad child of the account, found.
pub struct BadChild {
    pub fault: Fault,
    pub id: String,
    /// As in `Child`.
    runs: usize,
    pub is_gone: bool,
}

fn choose_children(world: &World, sandbox: &Sandbox) -> Vec<BadChild> {
    let mut chosen = Vec::new();
    for child in &world.children {
        let (stream, key) = match child.endpoint.starts_with("users") {
            true => ("users", "id"),
            false => ("conversations", "conversation_id"),
        };
        let all = sandbox.truth(stream);
        let Some(place) = child.number.checked_rem(all.len() as u64) else {
            continue;
        };
        let id = all[place as usize][key].as_str().unwrap().to_owned();
        let fault = Fault::new(child.endpoint, 1, child.answer.clone());
        chosen.push(BadChild {
            fault: fault.times(child.times).of(&id),
            id,
            runs: child.runs,
            is_gone: child.is_gone(),
        });
    }
    chosen
}

struct Player<'a> {
    world: &'a World,
    sandbox: &'a Sandbox,
    children: Vec<BadChild>,
    rng: Rng,
    /// Where the next run begins.
    state: Value,
    /// What a target has.
    delivered: Delivered,
    story: &'a Story,
    /// What there was at first, and whether the changes since have settled.
    at_first: Snapshot,
    is_settled: bool,
}

impl Player<'_> {
    /// A run that may be killed, among faults and changes.
    fn disturbed_run(&mut self, number: usize, step: &Step) {
        let changes = self.changes();
        for _ in 0..step.changes_before {
            let change = changes[self.rng.index(changes.len())];
            self.sandbox.change_at_random(change, &mut self.rng);
        }
        let active = |child: &&BadChild| number < child.runs;
        let bad: Vec<Fault> = self
            .children
            .iter()
            .filter(active)
            .map(|it| it.fault.clone())
            .collect();
        let may_fail = self.world.unprovable
            || !bad.is_empty()
            || !self.world.reports.is_empty()
            || step.bad_page.is_some()
            || step.changes_during.is_some();
        let mut faults = bad;
        faults.extend(step.bad_page.clone());
        faults.extend(step.faults.clone());
        self.sandbox.with_options(|options| options.faults = faults);
        let changes = step.changes_during.map(|(once_in, most)| Changes {
            of: changes,
            once_in,
            most,
            rng: Rng::of(self.rng.next(), "changes", 0),
        });
        let is_active = |child: &BadChild| number < child.runs;
        self.run(
            (&step.streams, step.discovery),
            step.end,
            changes,
            may_fail,
            &is_active,
        );
    }

    /// What may happen to the account. Where most conversations are deleted,
    /// the tap rightly takes the endpoint for broken.
    fn changes(&self) -> Vec<Change> {
        let usual = [Change::EditUser, Change::AddUser, Change::AddMessage];
        let mut changes = [&Change::ALL[..], &usual].concat();
        if Snapshot::of(self.sandbox, &self.world.reports).deleted_conversations() >= 4 {
            changes.retain(|change| *change != Change::DeleteConversation);
        }
        // No report tells of these.
        if self.world.by_reports {
            let told = |change: &Change| {
                !matches!(change, Change::EditConversation | Change::DeleteMessage)
            };
            changes.retain(told);
        }
        changes
    }

    /// Runs without faults and changes, of which the last must be complete:
    /// where the pages contradict themselves, after they are mended.
    fn quiet_runs(&mut self) {
        self.sandbox.with_options(|options| {
            options.faults = Vec::new();
            reports::mend(&mut options.quirks.reports);
        });
        self.settle();
        let streams = [&STREAMS, &self.world.reports[..]].concat();
        let discovery = match self.world.by_reports {
            true => ("auto", 0),
            false => ("users", 30),
        };
        for _ in 0..QUIET_RUNS {
            let whole = !self.resumes();
            let all = (&streams[..], discovery);
            let code = self.run(all, End::Whole, None, self.world.unprovable, &|_| false);
            if whole && code == Some(0) {
                return self.check_reports();
            }
        }
        self.sandbox.with_options(|options| {
            options.quirks.envelopes = Envelopes::default();
            options.quirks.users_order = UsersOrder::Filtered;
        });
        self.run((&streams, discovery), End::Whole, None, false, &|_| false);
        self.check_reports();
    }

    /// Compares what a target has of reports and metrics with the account, and
    /// with what a run without a state reads.
    fn check_reports(&self) {
        let streams = &self.world.reports;
        let after = Snapshot::of(self.sandbox, streams);
        for stream in streams.iter().filter(|stream| **stream != METRICS) {
            self.delivered
                .check_report(stream, self.start(), &self.at_first, &after);
        }
        if streams.contains(&METRICS) {
            let fresh = self.tap(&[METRICS], &json!({})).succeed();
            self.delivered.check_metrics(&self.state, &fresh);
        }
    }

    /// A run with the settings of the world.
    fn tap(&self, streams: &[&str], state: &Value) -> Tap {
        let tap = Tap::new(self.sandbox).streams(streams).state(state);
        let settings = self.world.settings.iter();
        settings.fold(tap, |tap, (name, value)| tap.set(name, value.clone()))
    }

    /// The start date.
    fn start(&self) -> DateTime<Utc> {
        rules::time(self.tap(&[], &self.state).setting("start_date")).unwrap()
    }

    /// Lets all changes lie in the past for the tap, which goes by the earlier
    /// of this machine's clock and the server's, in whole seconds.
    fn settle(&mut self) {
        let latest = Utc::now() + self.world.options.clock_offset;
        let later = TimeDelta::seconds(5);
        self.sandbox
            .with_options(|options| options.clock_offset += later);
        wait_until(|| Utc::now() > latest);
        self.is_settled = true;
    }

    /// Whether the next run goes on with a walk: what it has walked already
    /// may have changed, and is for the run after it.
    fn resumes(&self) -> bool {
        let bookmarks = self.state["bookmarks"].as_object();
        let mut bookmarks = bookmarks.into_iter().flatten();
        bookmarks.any(|(_, bookmark)| bookmark.get("walk_started_at").is_some())
    }

    /// One run, and all checks of it; its exit code.
    fn run(
        &mut self,
        (streams, (discovery, days)): (&[&str], (&str, u32)),
        end: End,
        changes: Option<Changes>,
        may_fail: bool,
        is_active: &dyn Fn(&BadChild) -> bool,
    ) -> Option<i32> {
        let before = Snapshot::of(self.sandbox, &self.world.reports);
        self.sandbox.clear_requests();
        self.sandbox.change_while_read(changes);
        let tap = self
            .tap(streams, &self.state)
            .set("conversation_discovery", discovery)
            .set("reconcile_days", days)
            .with_retries(may_fail);
        let requests = || self.sandbox.total();
        let run = tap.run_until(|lines| match end {
            End::Whole => false,
            End::KilledAfterLines(most) => lines >= most,
            End::KilledAfterRequests(most) => requests() >= most,
        });
        self.sandbox.change_while_read(None);
        self.story.add_run(&self.state, &run, self.sandbox);
        let after = Snapshot::of(self.sandbox, &self.world.reports);
        check_end(&run, may_fail);
        let committed = match run.code {
            Some(_) => run,
            None => run.committed(),
        };
        let checked = Checked {
            excused: before.excused(&self.children, is_active),
            // A child that was missed stands in the state until it is read.
            missed: before.excused(&self.children, &|_| true),
            start: self.start(),
            state: &self.state,
            settled: match self.is_settled && !self.resumes() {
                true => &before,
                false => &self.at_first,
            },
            lag: TimeDelta::from_std(*self.world.options.quirks.list_lag.end()).unwrap(),
            at_first: &self.at_first,
            resumes: self.resumes(),
            before: before.clone(),
            after,
        };
        self.delivered.check(&checked, &committed, streams);
        if let [first, ..] = self.sandbox.violations().as_slice() {
            panic!("the client broke a rule: {first}");
        }
        if let Some(state) = committed.of_type("STATE").last() {
            self.state = state["value"].clone();
        }
        committed.code
    }
}

/// A run ends as it says: complete, or with a reason. A report may name none
/// but deleted conversations, and then the endpoint is rightly taken for broken.
fn check_end(run: &Run, may_fail: bool) {
    let is_broken = run
        .stderr
        .contains("the endpoint itself seems to be broken");
    match run.code {
        None | Some(0) => {}
        Some(1) if may_fail || is_broken => run.assert_failed(1, &[]),
        code => panic!("it ends with {code:?} without need:\n{}", run.stderr),
    }
}
