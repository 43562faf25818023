//! Live lines on a terminal: one for each stream and report job under way,
//! and one for what the run waits for.
//!
//! Every function here does nothing while no lines are shown.

mod terminal;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::{Local, TimeDelta};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::terminal::Terminal;
use crate::logging;

/// Time between two drawings.
const TICK: Duration = Duration::from_millis(200);

/// Most drawings in a second, whatever changes.
const RATE: u8 = 20;

/// Shorter waits would only flicker.
const SHOWN_WAIT: Duration = Duration::from_secs(1);

static LIVE: OnceLock<Live> = OnceLock::new();

/// A number that a stream counts up while its line shows it.
pub type Counter = Arc<AtomicU64>;

/// The lines, and the thread that draws them.
struct Live {
    board: Mutex<Board>,
    changed: Condvar,
    /// One bar has all of them, so that they are drawn as one.
    bar: ProgressBar,
    drawing: Mutex<Option<JoinHandle<()>>>,
}

/// What the lines show.
#[derive(Default)]
struct Board {
    streams: Vec<Line>,
    wait: Option<(Instant, String)>,
    stopped: bool,
}

/// One stream.
struct Line {
    name: &'static str,
    started: Instant,
    records: Counter,
    requests: Counter,
    jobs: Vec<String>,
}

/// Shows lines from now on, if a person sees them: stderr is a terminal that
/// can redraw, stdout is none, and no `NO_COLOR` or `CI` asks for plain text.
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
    // Without the thread there are no lines, and nothing else is missing.
    let drawing = thread::Builder::new().name("progress".into());
    *lock(&live.drawing) = drawing.spawn(|| live.draw()).ok();
}

/// Whether lines are shown.
pub fn is_shown() -> bool {
    LIVE.get().is_some_and(|live| !live.board().stopped)
}

/// Takes the lines away for good.
pub fn stop() {
    if let Some(live) = LIVE.get() {
        live.board().stopped = true;
        live.changed.notify_all();
        // The thread clears the lines; nothing is drawn after it. Held over the
        // join, so that a second thread waits for it too.
        let mut drawing = lock(&live.drawing);
        let _ = drawing.take().map(JoinHandle::join);
    }
}

/// Runs something that writes to stderr, with the lines out of its way.
pub fn above(write: impl FnOnce()) {
    match LIVE.get() {
        Some(live) => live.bar.suspend(write),
        None => write(),
    }
}

/// Adds a line for a stream, which begins.
pub fn follow(stream: &'static str, records: Counter, requests: Counter) {
    with_board(|board| {
        board.streams.push(Line {
            name: stream,
            started: Instant::now(),
            records,
            requests,
            jobs: Vec::new(),
        });
    });
}

/// Shows these lines below the stream's own, in place of earlier ones. They
/// are only asked for if they are shown.
pub fn jobs(stream: &str, lines: impl FnOnce() -> Vec<String>) {
    with_board(|board| {
        if let Some(line) = board.streams.iter_mut().find(|line| line.name == stream) {
            line.jobs = lines();
        }
    });
}

/// Takes the line of a stream away, which has ended.
pub fn end(stream: &str) {
    with_board(|board| board.streams.retain(|line| line.name != stream));
}

/// Shows why requests wait, and until when. Of several waits, the one that
/// ends last is shown.
pub fn waiting(wait: Duration, reason: &str) {
    if wait < SHOWN_WAIT {
        return;
    }
    with_board(|board| {
        let until = Instant::now() + wait;
        if board.wait.as_ref().is_none_or(|(shown, _)| *shown < until) {
            let reason = reason.replace(['\n', '\r'], " ");
            board.wait = Some((until, logging::redact(reason)));
        }
    });
}

/// The local time of day of something to come, such as `18:05:10`.
pub fn time_of(at: Instant) -> String {
    let left = at.saturating_duration_since(Instant::now());
    let time = Local::now() + TimeDelta::from_std(left).unwrap_or_default();
    time.format("%H:%M:%S").to_string()
}

/// A bar that shows nothing but its message.
fn bar() -> ProgressBar {
    let terminal = Box::new(Terminal::default());
    let target = ProgressDrawTarget::term_like_with_hz(terminal, RATE);
    let style =
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, target).with_style(style)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            let lines = board.lines(Instant::now());
            // Drawing may take its time on a slow terminal.
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
    /// The text of each line.
    fn lines(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        let width = self.streams.iter().map(|line| line.name.len()).max();
        let width = width.unwrap_or_default();
        for line in &self.streams {
            lines.push(line.text(width, now));
            lines.extend(line.jobs.iter().map(|job| format!("  {job}")));
        }
        self.wait = self.wait.take().filter(|(until, _)| *until > now);
        if let Some((until, reason)) = &self.wait {
            let left = until.saturating_duration_since(now).as_secs();
            let time = time_of(*until);
            lines.push(format!("waiting until {time} ({left} s): {reason}"));
        }
        lines
    }
}

impl Line {
    fn text(&self, width: usize, now: Instant) -> String {
        let count = |counter: &Counter| grouped(counter.load(Ordering::Relaxed));
        let seconds = now.saturating_duration_since(self.started).as_secs();
        format!(
            "{:width$}  {:>13} records  {:>9} requests  {}:{:02}:{:02}",
            self.name,
            count(&self.records),
            count(&self.requests),
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
        )
    }
}

/// A number with its thousands apart: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_counts_time_jobs_and_the_wait() {
        let now = Instant::now();
        let line = |name, records, requests, jobs: &[&str]| Line {
            name,
            started: now,
            records: Arc::new(AtomicU64::new(records)),
            requests: Arc::new(AtomicU64::new(requests)),
            jobs: jobs.iter().map(|job| job.to_string()).collect(),
        };
        let mut board = Board {
            streams: vec![
                line("users", 1_234_567, 89, &[]),
                line("report_classic", 0, 2, &["2 windows are to be asked for"]),
            ],
            wait: Some((now + Duration::from_secs(3700), "429".into())),
            stopped: false,
        };
        let lines = board.lines(now + Duration::from_secs(3661));
        assert_eq!(
            lines[..3],
            [
                "users               1,234,567 records         89 requests  1:01:01",
                "report_classic              0 records          2 requests  1:01:01",
                "  2 windows are to be asked for",
            ]
        );
        assert!(lines[3].starts_with("waiting until ") && lines[3].ends_with(" s): 429"));
        assert_eq!(board.lines(now + Duration::from_secs(3701)).len(), 3);
    }
}
