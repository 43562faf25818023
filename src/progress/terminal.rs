//! How the live lines get to a terminal that others write to as well.
//!
//! In a pipeline, the target's log lines go to the same terminal, at times
//! that nobody knows. So the lines hang below the cursor, which each drawing
//! leaves where it found it, and no drawing touches what is before the cursor:
//! what another program writes goes over the lines, stays, and the next
//! drawing puts the lines below it. That holds for half a line too, at the
//! bottom of the screen, and after a resize. Nothing is set in the terminal
//! that a killed run would leave behind, as with a margin for scrolling. The
//! price is that where others write more than [`GAP`] lines at once, the rest
//! of a live line may stand behind theirs; it is faint.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

/// Rows below the cursor's that stay empty, for what others write between two
/// drawings.
const GAP: usize = 3;

/// Of a terminal that doesn't tell its size.
const USUAL: (u16, u16) = (80, 24);

/// A terminal as indicatif sees it. It is told to move up and clear, which
/// would go over the lines of others; it is only asked for the lines here.
#[derive(Debug, Default)]
pub struct Terminal {
    frame: Mutex<Frame>,
}

#[derive(Debug, Default)]
struct Frame {
    lines: Vec<String>,
    shown: bool,
}

/// Columns and rows of the terminal.
fn size() -> (u16, u16) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => USUAL,
    }
}

/// The columns, and the rows for live lines: a third of them is for the log.
pub fn room() -> (usize, usize) {
    let (width, height) = size();
    let rows = usize::from(height) * 2 / 3;
    (width.into(), rows.saturating_sub(GAP))
}

/// Whoever panicked while it held the lock has changed nothing by halves.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What draws the lines, or clears them where there are none: one write, so
/// that no other comes between.
fn drawing(lines: &[String]) -> String {
    let rows = match lines.len() {
        0 => 1,
        count => GAP + count,
    };
    // Scrolls if they don't fit below. A vertical tab keeps the column.
    let mut text = "\x0b".repeat(rows);
    let _ = write!(text, "\x1b[{rows}A\x1b7");
    // From the row below: some terminals move to their history what is cleared
    // from the first one.
    text.push_str("\x1b[K\r\n\x1b[J");
    if !lines.is_empty() {
        // Without wrapping, a line that is too wide for a moment stays one row.
        text.push_str("\x1b[2m\x1b[?7l");
        text.push_str(&"\r\n".repeat(GAP));
        text.push_str(&lines.join("\r\n"));
        text.push_str("\x1b[?7h\x1b[0m");
    }
    text + "\x1b8"
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(line)
    }

    /// A line, or the blanks that would fill its row.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let text = text.trim_end();
        if !text.is_empty() {
            lock(&self.frame).lines.push(text.to_owned());
        }
        Ok(())
    }

    /// The end of a drawing.
    fn flush(&self) -> io::Result<()> {
        let mut frame = lock(&self.frame);
        let lines = std::mem::take(&mut frame.lines);
        let shown = std::mem::replace(&mut frame.shown, !lines.is_empty());
        if lines.is_empty() && !shown {
            return Ok(());
        }
        io::stderr().write_all(drawing(&lines).as_bytes())
    }
}
