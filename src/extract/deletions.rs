//! The stream `deletions`: objects that answered 404 or 410 twice in a run, as
//! reported by the streams that requested them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::Run;
use crate::error::{Error, Result};
use crate::freshchat::clock;
use crate::singer::RecordWriter;
use crate::timestamp;

/// The writer of the stream, if it is selected.
#[derive(Default)]
pub struct Deletions(Mutex<Option<RecordWriter>>);

impl Deletions {
    /// Starts writing records.
    pub fn begin(&self, writer: RecordWriter) {
        *self.lock() = Some(writer);
    }

    fn lock(&self) -> MutexGuard<'_, Option<RecordWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run<'_> {
    /// Records a deletion. `entity` is the stream that the object belongs to,
    /// and `status` that of the last answer.
    ///
    /// # Errors
    /// If stdout can't be written to.
    pub fn deleted(&self, entity: &str, id: &str, status: u16) -> Result<()> {
        let mut writer = self.deletions.lock();
        let Some(writer) = writer.as_mut() else {
            return Ok(());
        };
        let now = clock::now();
        let record = json!({
            "entity": entity,
            "id": id,
            "detected_at": timestamp::format(now),
            "status": status,
        });
        let mut lines = Vec::new();
        writer.extracted_at(now);
        let written = writer.write_json(&record.to_string(), &[], &mut lines);
        written.map_err(|error| Error::Unexpected {
            request: "stream `deletions`".into(),
            problem: error.to_string(),
        })?;
        Ok(self.output.records(&lines)?)
    }
}
