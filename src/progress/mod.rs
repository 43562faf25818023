//! Live lines on a terminal: one for each stream and each report job, and one
//! for what the run waits for.
//!
//! All functions here do nothing while no lines are shown.

mod lines;
mod terminal;

use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::terminal::{Terminal, lock};
use crate::freshchat::clock;
use crate::secret::redact;

/// The time between two redraws.
const TICK: Duration = Duration::from_millis(200);

/// The maximum number of redraws per second.
const RATE: u8 = 20;

/// Shorter waits would only flicker.
const SHOWN_WAIT: Duration = Duration::from_secs(1);

static LIVE: OnceLock<Live> = OnceLock::new();

/// A number that a stream increments while its line shows it.
pub type Counter = Arc<AtomicU64>;

/// The lines, and the thread that draws them.
struct Live {
    board: Mutex<Board>,
    changed: Condvar,
    /// A single bar contains all lines, so that they are drawn together.
    bar: ProgressBar,
    drawing: Mutex<Option<JoinHandle<()>>>,
}

/// The content of the lines.
#[derive(Default)]
struct Board {
    streams: Vec<Line>,
    wait: Option<(Instant, String)>,
    stopped: bool,
}

/// The line of a stream.
struct Line {
    name: &'static str,
    started: Instant,
    records: Counter,
    requests: Counter,
    jobs: Jobs,
}

/// The jobs of a report stream, as shown.
#[derive(Default)]
pub struct Jobs {
    /// A line for each unfinished job.
    pub under_way: Vec<String>,
    /// A line for the windows that were not requested yet.
    pub planned: Option<String>,
}

/// Shows lines from now on, if someone is watching: stderr is a terminal that
/// can redraw, stdout is not a terminal, and neither `NO_COLOR` nor `CI` is
/// set.
pub fn start() {
    let asks_for_plain = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !std::io::stderr().is_terminal()
        || std::io::stdout().is_terminal()
        || std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb")
        || ["NO_COLOR", "CI"].into_iter().any(asks_for_plain)
    {
        return;
    }
    let live = Live {
        board: Mutex::default(),
        changed: Condvar::new(),
        bar: bar(),
        drawing: Mutex::default(),
    };
    let live = LIVE.get_or_init(|| live);
    // Without the thread, there are no lines, but everything else works.
    let drawing = thread::Builder::new().name("progress".into());
    *lock(&live.drawing) = drawing.spawn(|| live.draw()).ok();
}

/// Whether lines are shown.
pub fn is_shown() -> bool {
    LIVE.get().is_some_and(|live| !live.board().stopped)
}

/// Removes the lines permanently.
pub fn stop() {
    if let Some(live) = LIVE.get() {
        live.board().stopped = true;
        live.changed.notify_all();
        // The thread clears the lines, and nothing is drawn after it. The lock
        // is held during the join, so that a second caller waits too.
        let mut drawing = lock(&live.drawing);
        let _ = drawing.take().map(JoinHandle::join);
    }
}

/// Runs `write`, which writes to stderr, with the lines hidden.
pub fn above(write: impl FnOnce()) {
    match LIVE.get() {
        Some(live) => live.bar.suspend(write),
        None => write(),
    }
}

/// Adds a line for a stream.
pub fn follow(stream: &'static str, records: Counter, requests: Counter) {
    with_board(|board| {
        board.streams.push(Line {
            name: stream,
            started: Instant::now(),
            records,
            requests,
            jobs: Jobs::default(),
        });
    });
}

/// Shows these jobs below the stream's line, in place of the earlier ones.
/// `jobs` is called only if lines are shown.
pub fn jobs(stream: &str, jobs: impl FnOnce() -> Jobs) {
    with_board(|board| {
        if let Some(line) = board.streams.iter_mut().find(|line| line.name == stream) {
            line.jobs = jobs();
        }
    });
}

/// Removes the line of a stream.
pub fn end(stream: &str) {
    with_board(|board| board.streams.retain(|line| line.name != stream));
}

/// Shows why requests wait, and until when. Of several waits, the one that ends
/// last is shown.
pub fn waiting(wait: Duration, reason: &str) {
    if wait < SHOWN_WAIT {
        return;
    }
    with_board(|board| {
        let until = Instant::now() + wait;
        if board.wait.as_ref().is_none_or(|(shown, _)| *shown < until) {
            // A server's text must not move the cursor.
            let reason = reason.replace(char::is_control, " ");
            board.wait = Some((until, redact(reason)));
        }
    });
}

/// The local time of day of a future moment, such as `18:05:10`.
pub fn time_of(at: Instant) -> String {
    let left = at.saturating_duration_since(Instant::now());
    let time = clock::local_time_after(left);
    time.format("%H:%M:%S").to_string()
}

/// A bar that shows only its message.
fn bar() -> ProgressBar {
    let terminal = Box::new(Terminal::default());
    let target = ProgressDrawTarget::term_like_with_hz(terminal, RATE);
    let style =
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, target).with_style(style)
}

fn with_board(change: impl FnOnce(&mut Board)) {
    if let Some(live) = LIVE.get() {
        change(&mut live.board());
        live.changed.notify_all();
    }
}

impl Live {
    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    /// Draws until `stop`.
    fn draw(&self) {
        let mut board = self.board();
        while !board.stopped {
            let lines = board.lines(Instant::now(), terminal::room());
            // Drawing may be slow, so the lock is released.
            drop(board);
            self.bar.set_message(lines.join("\n"));
            let waited = self.changed.wait_timeout(self.board(), TICK);
            board = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(board);
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

impl Board {
    /// The lines that fit the given columns and rows.
    fn lines(&mut self, now: Instant, room: (usize, usize)) -> Vec<String> {
        self.wait = self.wait.take().filter(|(until, _)| *until > now);
        let wait = self.wait.as_ref();
        let wait = wait.map(|(until, reason)| (*until, reason.as_str()));
        lines::of(&self.streams, wait, now, room)
    }
}
