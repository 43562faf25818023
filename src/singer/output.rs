//! The only writer of stdout.

use std::io::{self, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::state::{Bookmark, State};

/// How long a run that is to end waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at whether it does.
const PAUSE: Duration = Duration::from_millis(10);

/// Stdout and the state, behind one lock: a STATE line is written after the
/// RECORD lines that it speaks of, whichever thread they come from.
pub struct Output(Mutex<Inner>);

struct Inner {
    /// Buffered by line: what was written is with the reader, also while the
    /// run waits for the API. A page of records is one write.
    stdout: Stdout,
    state: State,
}

impl Output {
    /// An output that begins with the state that the run was given.
    pub fn new(state: State) -> Self {
        Self(Mutex::new(Inner {
            stdout: io::stdout(),
            state,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The writes below leave whole lines behind even where one panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a SCHEMA message.
    ///
    /// # Errors
    /// Like all of the methods here: stdout can't be written to.
    pub fn schema(
        &self,
        stream: &str,
        schema: &Value,
        keys: &[String],
        replication_key: Option<&str>,
    ) -> io::Result<()> {
        let mut message = json!({
            "type": "SCHEMA",
            "stream": stream,
            "schema": schema,
            "key_properties": keys,
        });
        if let Some(key) = replication_key {
            message["bookmark_properties"] = json!([key]);
        }
        writeln!(self.lock().stdout, "{message}")
    }

    /// Writes RECORD lines, each with its line end.
    pub fn records(&self, lines: &[u8]) -> io::Result<()> {
        self.lock().stdout.write_all(lines)
    }

    /// Writes an ACTIVATE_VERSION message: rows of the stream with another
    /// version are gone from the source.
    pub fn activate_version(&self, stream: &str, version: i64) -> io::Result<()> {
        let message = json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version});
        writeln!(self.lock().stdout, "{message}")
    }

    /// The bookmark of a stream as it stands now.
    pub fn bookmark(&self, stream: &str) -> Bookmark {
        self.lock().state.bookmark(stream)
    }

    /// Sets the bookmark of a stream, whose records up to it were written, and
    /// writes and flushes a STATE message.
    pub fn checkpoint(&self, stream: &str, bookmark: Bookmark) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.set_bookmark(stream, bookmark);
        inner.write_state()
    }

    /// Sets the bookmarks of several streams at once, like [`Self::checkpoint`].
    pub fn checkpoint_all(
        &self,
        bookmarks: impl IntoIterator<Item = (&'static str, Bookmark)>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        for (stream, bookmark) in bookmarks {
            inner.state.set_bookmark(stream, bookmark);
        }
        inner.write_state()
    }

    /// Notes in the bookmarks of these streams that each was read completely,
    /// and writes and flushes a STATE message.
    pub fn complete(
        &self,
        streams: impl IntoIterator<Item = &'static str>,
        at: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        for stream in streams {
            let mut bookmark = inner.state.bookmark(stream);
            bookmark.complete(at);
            inner.state.set_bookmark(stream, bookmark);
        }
        inner.write_state()
    }

    /// Writes and flushes a STATE message with the state as it stands.
    pub fn state(&self) -> io::Result<()> {
        self.lock().write_state()
    }

    /// Writes a last STATE message, and lets nobody write after it. What the
    /// reader doesn't take any more is lost with it, and read again next time.
    ///
    /// A reader that takes nothing holds the lock for good: after some seconds
    /// it is left alone, and the STATE messages before stay true.
    pub fn close(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut inner = match self.0.try_lock() {
                Ok(inner) => inner,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return,
            };
            let _ = inner.write_state();
            std::mem::forget(inner);
            return;
        }
    }
}

/// Prints something that is no message: a catalog, a description.
///
/// # Errors
/// Stdout can't be written to.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

impl Inner {
    fn write_state(&mut self) -> io::Result<()> {
        let state = self.state.to_json();
        writeln!(self.stdout, "{{\"type\":\"STATE\",\"value\":{state}}}")?;
        self.stdout.flush()
    }
}
