//! Whether each group is within its business hours, asked group by group.

use super::StreamRun;
use super::list::parents;
use super::pool::in_order;
use crate::error::{Error, Result};
use crate::freshchat::{Get, Page, Shape};
use crate::streams::GROUPS;
use crate::timestamp;

/// Reads the answer for each group.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let groups = parents(stream_run.run, &stream_run.api, &GROUPS, "id")?;
    stream_run.partial = !groups.certain;
    let workers = stream_run.run.settings.concurrency;
    let (api, mut sink) = stream_run.split();
    let mut gone = 0;
    in_order(
        workers,
        groups.ids,
        |group| {
            let get = Get::new("business-hours/within-bh").with("group_id", &group);
            match api.get(&get, |body| Page::parse(body, Shape::Single(""))) {
                Ok(page) => Ok(Some((group, page))),
                // The group was deleted after the list was read.
                Err(Error::Api(error)) if error.status == 404 => Ok(None),
                Err(error) => Err(error),
            }
        },
        |answer| match answer {
            Some((group, page)) => {
                let group = serde_json::Value::from(group).to_string();
                let checked_at = format!("\"{}\"", timestamp::format(page.read_at));
                sink.page(&page, &[("group_id", &group), ("checked_at", &checked_at)])
            }
            None => {
                gone += 1;
                Ok(())
            }
        },
    )?;
    if gone > 0 {
        log::warn!("stream `business_hours`: {gone} groups were deleted meanwhile (404)");
    }
    Ok(())
}
