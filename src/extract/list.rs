//! Lists that are read completely: in pages or in a single answer.

use std::borrow::Cow;

use super::overlap::overlap;
use super::pager::{ListReading, Pager};
use super::{Parents, Produced, Run, StreamRun};
use crate::config::Settings;
use crate::error::Result;
use crate::freshchat::{Api, Get, Page};
use crate::streams::ListSource;

/// How often a list is read if it keeps changing meanwhile.
const MOST_READINGS: usize = 5;

/// Reads the list and writes its records.
pub fn extract(stream_run: &mut StreamRun, source: &ListSource) -> Result<()> {
    let key = stream_run.stream.key[0];
    let run = stream_run.run;
    let settings = run.settings;
    let (api, mut sink) = stream_run.split();
    let mut ids = Vec::new();
    let mut certain = true;
    overlap(
        |hand_over| {
            certain = read(api, source, key, settings, &mut |page| {
                if source.parents {
                    ids.extend(page.texts_of(key).map(Cow::into_owned));
                }
                hand_over(Produced::Page(page))
            })?;
            Ok(())
        },
        |step| sink.take(step),
    )?;
    stream_run.partial = !certain;
    if source.parents {
        run.set_parents(source.path, Parents::new(ids, certain));
    }
    Ok(())
}

/// The ids of a list. Requests the list, unless a stream of this run has
/// already read it.
pub fn parents(run: &Run, api: &Api, source: &ListSource, key: &str) -> Result<Parents> {
    if let Some(parents) = run.parents(source.path) {
        return Ok(parents);
    }
    let mut ids = Vec::new();
    let certain = read(api, source, key, run.settings, &mut |page| {
        ids.extend(page.texts_of(key).map(Cow::into_owned));
        Ok(())
    })?;
    let parents = Parents::new(ids, certain);
    run.set_parents(source.path, parents.clone());
    Ok(parents)
}

/// Hands over each page of the list. If the list changes during the reading,
/// records may have moved between pages, so it is read again: a repeated record
/// is harmless, but a missed one is not. Returns false if the list may be
/// incomplete.
fn read(
    api: &Api,
    source: &ListSource,
    key: &str,
    settings: &Settings,
    each: &mut dyn FnMut(Page) -> Result<()>,
) -> Result<bool> {
    let path = source.path;
    let ask = |number| get_page(api, source, number, settings.page_size);
    let pager = Pager {
        path,
        key,
        paged: source.paged,
        ask: &ask,
        page_size: settings.page_size,
        workers: settings.concurrency,
    };
    let mut last: Option<ListReading> = None;
    for _ in 0..MOST_READINGS {
        let reading = pager.read(None, each)?;
        // The same records in the same order mean that the list is stable.
        let agrees = |last: &ListReading| {
            let what = |reading: &ListReading| (reading.total, reading.order);
            !reading.has_changed() && what(last) == what(&reading)
        };
        // Without a total, only a single page shows the list at one moment.
        let is_page = reading.total.is_none() && !reading.has_changed() && reading.pages <= 1;
        let settled = reading.is_proven() || is_page;
        if settled || last.as_ref().is_some_and(agrees) {
            if let Some(doubt) = reading.doubt() {
                let announced = reading.total.map(|total| format!(", {total} announced"));
                log::warn!(
                    "{path}: the API's answers contradict themselves: {doubt} ({} read{}); all \
                     records in them were read",
                    reading.distinct(),
                    announced.unwrap_or_default()
                );
            }
            return Ok(reading.doubt().is_none());
        }
        if reading.total.is_some() || reading.has_changed() {
            log::info!("{path} changed while it was read; reading it again");
        }
        last = Some(reading);
    }
    log::warn!(
        "{path} changed in each of {MOST_READINGS} readings; the next run may find records that \
         this one missed"
    );
    Ok(false)
}

/// A page of a list. A list without documented pages is requested without a
/// page number, unless its first answer announces more.
fn get_page(api: &Api, source: &ListSource, number: u64, page_size: u32) -> Result<Page> {
    let mut get = Get::new(source.path);
    if source.paged || number > 1 {
        get = get.with("page", number).with("items_per_page", page_size);
    }
    api.get(&get, |body| Page::parse(body, source.shape))
}
