//! Measures which conversations the reports miss, by comparison with a walk
//! over the users.

use super::known::Known;
use crate::error::{Error, Result};
use crate::extract::counted::counted;
use crate::extract::ids::Ids;
use crate::extract::reports::Engine;
use crate::extract::window::Window;
use crate::freshchat::Page;
use crate::timestamp;

/// The conversations with new records.
pub struct News {
    /// Records in this window are new.
    window: Window,
    conversations: Ids,
}

impl News {
    /// Starts with no conversations, for this window.
    pub fn of(window: Window) -> Self {
        Self {
            window,
            conversations: Ids::default(),
        }
    }

    /// Adds a conversation if one of these records of it is new, judged by
    /// `time`.
    ///
    /// # Errors
    /// If the temporary file of the ids can't be written.
    pub fn note<'p>(
        &mut self,
        conversation: &str,
        page: &'p Page,
        time: fn(Known<'p>) -> Option<&'p str>,
    ) -> Result<()> {
        let Window { from, to } = self.window;
        let is_new = |record| {
            let time = time(Known::of(record)).and_then(timestamp::from_json);
            time.is_some_and(|time| from <= time && time < to)
        };
        match page.records().any(is_new) {
            true => self
                .conversations
                .insert(conversation)
                .map_err(Error::temporary_file),
            false => Ok(()),
        }
    }

    /// Logs how many of the conversations the reports don't name. Waits for the
    /// reports.
    ///
    /// # Errors
    /// What ends the run, or if a temporary file can't be read. Unreadable
    /// reports are not an error, because no records are lost.
    pub fn compare(self, engine: &Engine) -> Result<()> {
        let named = match engine.conversations() {
            Ok(named) => named,
            Err(Error::Discovery(error)) => {
                log::warn!(
                    "walk: can't tell what the reports miss, because not all of them can be \
                     read: {error}"
                );
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let count = self.conversations.len().map_err(Error::temporary_file)?;
        let missing = self.conversations.count_missing_in(&named);
        let missing = missing.map_err(Error::temporary_file)?;
        log::info!(
            "walk: the reports miss {missing} of {} with something new since {}",
            counted(count as u64, "conversation"),
            timestamp::format(self.window.from)
        );
        Ok(())
    }
}
