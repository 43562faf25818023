//! What the reports miss, which a walk over the users finds.

use serde_json::value::RawValue;

use super::known::Known;
use crate::error::{Error, Result};
use crate::extract::ids::Ids;
use crate::extract::reports::Engine;
use crate::extract::window::Window;
use crate::freshchat::Page;
use crate::timestamp;

/// The conversations that have something new.
pub struct News {
    /// New is what is of this time.
    window: Window,
    conversations: Ids,
}

impl News {
    /// What is new in this time.
    pub fn of(window: Window) -> Self {
        Self {
            window,
            conversations: Ids::default(),
        }
    }

    /// Notes a conversation if one of these records of it is new by its `time`.
    ///
    /// # Errors
    /// The temporary file of the ids can't be written.
    pub fn note<'p>(
        &mut self,
        conversation: &str,
        page: &'p Page,
        time: fn(Known<'p>) -> Option<&'p RawValue>,
    ) -> Result<()> {
        let Window { from, to } = self.window;
        let is_new = |record| {
            let time = time(Known::of(record)).and_then(|time| timestamp::from_json(time.get()));
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

    /// Logs how many of them the reports don't name. Waits for the reports.
    ///
    /// # Errors
    /// What ends the run, or a temporary file can't be read. Reports that
    /// can't be read cost no record, and are no error.
    pub fn compare(self, engine: &Engine) -> Result<()> {
        let named = match engine.conversations() {
            Ok(named) => named,
            Err(Error::Discovery(error)) => {
                log::warn!(
                    "walk: it is not known what the reports miss, which can't all be read: {error}"
                );
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let count = self.conversations.len().map_err(Error::temporary_file)?;
        let missing = self.conversations.count_missing_in(&named);
        let missing = missing.map_err(Error::temporary_file)?;
        log::info!(
            "walk: of {count} conversations that this run read, with something new since {}, the \
             reports don't name {missing}",
            timestamp::format(self.window.from)
        );
        Ok(())
    }
}
