//! The only writer of stdout.

use std::io::{self, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::state::{Bookmark, State};

/// How long an ending run waits for a reader that has stopped reading.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// Stdout and the state behind one lock. A STATE line therefore always follows
/// the RECORD lines that it covers, whichever threads write them.
pub struct Output(Mutex<Inner>);

struct Inner {
    /// Line-buffered, so that the reader gets each line even while the run
    /// waits for the API. A page of records is a single write.
    stdout: Stdout,
    state: State,
}

impl Output {
    /// Starts with the state given to the run.
    pub fn new(state: State) -> Self {
        Self(Mutex::new(Inner {
            stdout: io::stdout(),
            state,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The writes below leave only whole lines, even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a SCHEMA message.
    ///
    /// # Errors
    /// If stdout can't be written to, as for all methods here.
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

    /// Writes RECORD lines, each ending with a newline.
    pub fn records(&self, lines: &[u8]) -> io::Result<()> {
        self.lock().stdout.write_all(lines)
    }

    /// Writes an ACTIVATE_VERSION message. It tells the target that rows of
    /// this stream with another version no longer exist in the source.
    pub fn activate_version(&self, stream: &str, version: i64) -> io::Result<()> {
        let message = json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version});
        writeln!(self.lock().stdout, "{message}")
    }

    /// The current bookmark of a stream.
    pub fn bookmark(&self, stream: &str) -> Bookmark {
        self.lock().state.bookmark(stream)
    }

    /// Sets the bookmark of a stream, and writes and flushes a STATE message.
    /// The records up to the bookmark must have been written.
    pub fn checkpoint(&self, stream: &str, bookmark: Bookmark) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.set_bookmark(stream, bookmark);
        inner.write_state()
    }

    /// Sets the bookmarks of several streams at once. See [`Self::checkpoint`].
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

    /// Marks these streams as completely read in their bookmarks, and writes
    /// and flushes a STATE message.
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

    /// Writes and flushes a STATE message with the current state.
    pub fn state(&self) -> io::Result<()> {
        self.lock().write_state()
    }

    /// Writes a last STATE message and blocks all later writes. What the reader
    /// no longer takes is lost with that message, so the next run reads it
    /// again.
    ///
    /// A reader that has stopped reading blocks the lock forever. After some
    /// seconds this gives up, and the earlier STATE messages remain valid.
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

/// Prints something other than messages, such as a catalog or a description.
///
/// # Errors
/// If stdout can't be written to.
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
