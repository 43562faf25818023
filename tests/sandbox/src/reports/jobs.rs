//! The jobs that were posted, and the links to their files.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::events::Event;
use crate::clock;
use crate::http;
use crate::options::Options;
use crate::quirks::ReportQuirks;
use crate::rng::Rng;

#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub event: &'static Event,
    /// Start and end as asked for, in milliseconds.
    pub window: (i64, i64),
    pub fate: Fate,
    made: Instant,
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    Failed,
    /// Its last link fails.
    PartFailed,
    Endless,
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Failed,
    Done,
}

impl Job {
    pub fn state(&self, quirks: &ReportQuirks) -> State {
        self.state_after(quirks.generation_time)
    }

    fn state_after(&self, generation: Duration) -> State {
        match self.fate {
            Fate::Endless => State::Pending,
            _ if self.made.elapsed() < generation => State::Pending,
            Fate::Failed => State::Failed,
            _ => State::Done,
        }
    }

    /// The state of link `part`: they become ready one after the other, the last with the job.
    pub fn part_state(&self, part: usize, quirks: &ReportQuirks) -> State {
        let parts = quirks.parts.max(1);
        let share = (part + 1) as f64 / parts as f64;
        let state = self.state_after(quirks.generation_time.mul_f64(share));
        match state {
            State::Done if self.fate == Fate::PartFailed && part + 1 == parts => State::Failed,
            _ => state,
        }
    }

    /// The window of one of `parts` equal parts.
    pub fn part(&self, part: usize, parts: usize) -> (i64, i64) {
        let (start, end) = self.window;
        let edge = |number: usize| start + (end - start) * number as i64 / parts as i64;
        (edge(part), edge(part + 1))
    }
}

/// A link that was given out.
#[derive(Clone, Debug)]
pub struct Link {
    pub job: Job,
    pub part: usize,
    /// How many parts the job has.
    pub parts: usize,
    pub expires: Instant,
}

#[derive(Debug, Default)]
pub struct Jobs {
    list: Vec<Job>,
    by_id: HashMap<String, usize>,
    last_post: Option<Instant>,
    links: HashMap<String, Link>,
    lost: u64,
    cut: u64,
    broken: u64,
    bare: u64,
    holes: u64,
    empty: u64,
    relapsed: u64,
    open: u64,
}

impl Jobs {
    /// Notes a POST. The time since the one before, if that is shorter than `interval`; such a
    /// POST does not count.
    pub fn posted(&mut self, interval: Duration) -> Option<Duration> {
        let now = Instant::now();
        let gap = self.last_post.map(|last| now - last);
        if gap.is_some_and(|gap| gap < interval) {
            return gap;
        }
        self.last_post = Some(now);
        None
    }

    /// How many jobs an event had.
    pub fn of_event(&self, event: &Event) -> u32 {
        self.list.iter().filter(|job| job.event == event).count() as u32
    }

    /// Makes a job, and gives its id.
    pub fn make(&mut self, options: &Options, event: &'static Event, window: (i64, i64)) -> String {
        let quirks = &options.quirks.reports;
        let so_far = |fate| self.list.iter().filter(|job| job.fate == fate).count() as u64;
        let fates = [
            (Fate::Failed, quirks.failed_jobs),
            (Fate::PartFailed, quirks.failed_parts),
            (Fate::Endless, quirks.endless_jobs),
            (Fate::Forgotten, quirks.forgotten_jobs),
        ];
        let fate = fates.iter().find(|(fate, most)| so_far(*fate) < *most);
        let number = self.list.len();
        let id = Rng::of(options.seed, "job", number as u64).uuid();
        self.list.push(Job {
            id: id.clone(),
            event,
            window,
            fate: fate.map_or(Fate::Done, |(fate, _)| *fate),
            made: Instant::now(),
        });
        self.by_id.insert(id.clone(), number);
        id
    }

    pub fn find(&self, id: &str) -> Option<&Job> {
        self.by_id.get(id).map(|&place| &self.list[place])
    }

    /// The distinct windows that an event was asked for, in time order.
    pub fn windows(&self, event: &Event) -> Vec<(i64, i64)> {
        let jobs = self.list.iter().filter(|job| job.event == event);
        let mut windows: Vec<(i64, i64)> = jobs.map(|job| job.window).collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    /// Makes a link to a part's file: path and query, all of which has to come back.
    pub fn link(&mut self, job: &Job, part: usize, parts: usize, lifetime: Duration) -> String {
        let mut rng = Rng::of(self.links.len() as u64, "signature", part as u64);
        let (from, _) = job.window;
        let day = clock::date_time(from).format("%Y/%m");
        let path = format!(
            "extraction/{:032x}/{day}/{}-{from}-{part}.zip",
            rng.key(),
            job.id
        );
        let name = http::encode(&format!("attachment; filename={path}"));
        let seconds = lifetime.as_secs();
        let target = format!(
            "/{path}?response-content-disposition={name}&X-Amz-Expires={seconds}\
             &X-Amz-Credential=AKIA%2F20200915%2Faws4_request&X-Amz-Signature={:064x}",
            rng.key()
        );
        let link = Link {
            job: job.clone(),
            part,
            parts,
            expires: Instant::now() + lifetime,
        };
        self.links.insert(target.clone(), link);
        target
    }

    pub fn linked(&self, target: &str) -> Option<&Link> {
        self.links.get(target)
    }

    /// Whether the answer to the POST at hand is one of those that are lost.
    pub fn loses_answer(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.lost, quirks.lost_posts)
    }

    /// Whether the download at hand is cut.
    pub fn cuts_download(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.cut, quirks.cut_downloads)
    }

    /// Whether the answer to the look at hand leaves its links out.
    pub fn hides_links(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.bare, quirks.bare_answers)
    }

    /// Whether the answer to the look at a job has a hole.
    pub fn has_hole(&mut self, job: &Job, quirks: &ReportQuirks) -> bool {
        let (from, to) = job.window;
        let is_long = quirks.hole_over.is_some_and(|length| to - from > length);
        is_long && take(&mut self.holes, quirks.holes)
    }

    /// Whether the answer to the POST at hand has an empty id.
    pub fn hides_id(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.empty, quirks.empty_ids)
    }

    /// Whether a job that was seen to be done is pending at the look at hand.
    pub fn relapses(&mut self, id: &str, quirks: &ReportQuirks) -> bool {
        let was_done = self.links.values().any(|link| link.job.id == id);
        was_done && take(&mut self.relapsed, quirks.relapses)
    }

    /// Whether the file at hand has a quote that never closes.
    pub fn opens_quote(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.open, quirks.open_quotes)
    }

    /// Whether the download at hand has a wrong CRC.
    pub fn breaks_download(&mut self, quirks: &ReportQuirks) -> bool {
        take(&mut self.broken, quirks.bad_crc_downloads)
    }
}

/// Counts up to `most`, and says whether it still counted.
fn take(count: &mut u64, most: u64) -> bool {
    let taken = *count < most;
    *count += u64::from(taken);
    taken
}
