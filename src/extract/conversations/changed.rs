//! Finds conversations through the raw reports, which name every changed
//! conversation.

use super::fetch::{Item, WantedConversation};
use super::progress::Position;
use super::user_lists::Found;
use crate::error::{Error, Result};
use crate::extract::ids::Ids;
use crate::extract::pool::HandOver;
use crate::extract::seen::Seen;
use crate::freshchat::Api;

/// The number of conversations between two checkpoints.
const STRETCH: usize = 100;

/// The conversations that the reports name and that are still to be read.
pub struct Changed {
    ids: Ids,
}

impl Changed {
    /// Those after a given id.
    pub fn behind(mut ids: Ids, place: Option<&str>) -> Self {
        if let Some(id) = place {
            ids.skip_to(id);
        }
        Self { ids }
    }

    /// Logs the expected number of calls, at `calls_each` per conversation.
    ///
    /// # Errors
    /// If the temporary file of the ids can't be read.
    pub fn announce(&self, calls_each: usize, api: &Api) -> Result<()> {
        let count = self.ids.len().map_err(Error::temporary_file)?;
        let calls = count * calls_each;
        log::info!("walk: the reports name {count} conversations, which take {calls} calls");
        if let Some(hourly) = api.calls_per_hour() {
            let hours = calls as f64 / hourly;
            log::info!(
                "walk: at {hourly:.0} calls an hour, as this account's limit allows, they take \
                 {hours:.1} h"
            );
        }
        Ok(())
    }

    /// Hands over those that are not in `seen`, in order.
    pub fn run(self, seen: &mut Seen, hand_over: &mut HandOver<Item<Found>>) -> Result<()> {
        for (at, id) in self.ids.iter().enumerate() {
            let id = id.map_err(Error::temporary_file)?;
            let place = ((at + 1) % STRETCH == 0).then(|| Some(id.clone()));
            if seen.insert(&id) {
                hand_over(Item::Conversation(WantedConversation {
                    id,
                    user: None,
                    itself: true,
                }))?;
            }
            if let Some(place) = place {
                let position = Position::Conversations(place);
                hand_over(Item::Other(Found::Checkpoint(position)))?;
            }
        }
        Ok(())
    }
}
