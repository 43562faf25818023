//! Whether each group is within its business hours, with one request per group.

use serde_json::Value;

use super::StreamRun;
use super::counted::counted;
use super::list::parents;
use super::pool::in_order;
use crate::error::{ApiError, Error, Result};
use crate::freshchat::{Get, Page, Shape};
use crate::streams::GROUPS;
use crate::timestamp;

/// Reads the answer for each group. A group that isn't found is requested once
/// more, and then counts as gone. If no group is found, the account lacks the
/// endpoint.
///
/// # Errors
/// If another group can't be read. The rest were still read.
pub fn extract(stream_run: &mut StreamRun) -> Result<()> {
    let groups = parents(stream_run.run, &stream_run.api, &GROUPS, "id")?;
    stream_run.partial = !groups.certain;
    let (absent, failed) = read(stream_run, groups.ids)?;
    let absent = absent.into_iter().map(|(group, _)| group).collect();
    let (gone, failed_again) = read(stream_run, absent)?;
    if let Some((_, error)) = gone.first()
        && stream_run.writer.written() == 0
        && failed.is_none()
    {
        return Err(Error::Api(error.clone()));
    }
    for (group, error) in &gone {
        stream_run.run.deleted("groups", group, error.status)?;
    }
    if !gone.is_empty() {
        let gone = counted(gone.len() as u64, "group");
        log::warn!("stream `business_hours`: {gone} no longer found (404 or 410)");
    }
    failed.or(failed_again).map_or(Ok(()), Err)
}

/// Groups that were not found, with their answers, and the first other error.
type Unanswered = (Vec<(String, Box<ApiError>)>, Option<Error>);

/// Writes the answers for these groups.
fn read(stream_run: &mut StreamRun, groups: Vec<String>) -> Result<Unanswered> {
    let workers = stream_run.run.settings.concurrency;
    let (api, mut sink) = stream_run.split();
    let mut absent = Vec::new();
    let mut failed = None;
    in_order(
        workers,
        groups,
        |group| {
            let get = Get::new("business-hours/within-bh").with("group_id", &group);
            let answer = api.get(&get, |body| Page::parse(body, Shape::Single("")));
            Ok((group, answer))
        },
        |(group, answer)| match answer {
            Ok(page) => {
                let group = Value::from(group).to_string();
                let checked_at = format!("\"{}\"", timestamp::format(page.read_at));
                sink.page(&page, &[("group_id", &group), ("checked_at", &checked_at)])
            }
            Err(Error::Api(error)) if matches!(error.status, 404 | 410) => {
                absent.push((group, error));
                Ok(())
            }
            Err(error) if error.is_of_request() => {
                failed.get_or_insert(error);
                Ok(())
            }
            Err(error) => Err(error),
        },
    )?;
    Ok((absent, failed))
}
