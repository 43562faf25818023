//! Draws the live lines on a terminal that other programs also write to.
//!
//! In a pipeline, the target logs to the same terminal at any time. So the
//! lines are drawn below the cursor, each redraw leaves the cursor where it
//! was, and nothing before the cursor is changed. What another program writes
//! overwrites the lines and remains, and the next redraw puts the lines below
//! it. This also works with an incomplete line, at the bottom of the screen,
//! and after a resize. No terminal setting is changed that a killed run would
//! leave behind, such as a scrolling margin. The drawback: if other programs
//! write more than [`GAP`] lines at once, the rest of a live line may remain
//! after their text. It is faint.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

/// How many rows below the cursor stay empty, for what others write between two
/// redraws.
const GAP: usize = 3;

/// The size assumed for a terminal that doesn't report one.
const USUAL: (u16, u16) = (80, 24);

/// A terminal as indicatif sees it. Its calls to move up and clear are ignored,
/// because they would overwrite the lines of others. Only the text of the lines
/// is used.
#[derive(Debug, Default)]
pub struct Terminal {
    frame: Mutex<Frame>,
}

#[derive(Debug, Default)]
struct Frame {
    lines: Vec<String>,
    shown: bool,
}

/// The columns and rows of the terminal.
fn size() -> (u16, u16) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => USUAL,
    }
}

/// The columns and the rows available for live lines. A third of the rows is
/// left to the log.
pub fn room() -> (usize, usize) {
    let (width, height) = size();
    let rows = usize::from(height) * 2 / 3;
    (width.into(), rows.saturating_sub(GAP))
}

/// A panic while the lock is held leaves no partial change.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The output that draws the lines, or clears them if there are none. It is a
/// single write, so that no other write comes in between.
fn drawing(lines: &[String]) -> String {
    let rows = match lines.len() {
        0 => 1,
        count => GAP + count,
    };
    // This scrolls if the lines don't fit below. A vertical tab keeps the
    // column.
    let mut text = "\x0b".repeat(rows);
    let _ = write!(text, "\x1b[{rows}A\x1b7");
    // Clear from the next row, because some terminals move what is cleared from
    // the first row to their history.
    text.push_str("\x1b[K\r\n\x1b[J");
    if !lines.is_empty() {
        // With wrapping off, a line that is briefly too wide stays in one row.
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

    /// Gets a line, or the blanks that would fill its row.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let text = text.trim_end();
        if !text.is_empty() {
            lock(&self.frame).lines.push(text.to_owned());
        }
        Ok(())
    }

    /// Ends a redraw.
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
