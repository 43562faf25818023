//! Lists that are read whole: by page number, or in one answer.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use super::overlap::overlap;
use super::{Run, Step, StreamRun};
use crate::error::{Error, Result};
use crate::freshchat::{Api, Get, Page};
use crate::streams::ListSource;

/// How often a list is read again that changes while it is read.
const MOST_PASSES: usize = 3;

/// A list of more pages than this repeats itself without end.
const MOST_PAGES: u64 = 100_000;

/// Reads the list and writes its records.
pub fn extract(stream_run: &mut StreamRun, source: &ListSource) -> Result<()> {
    let page_size = stream_run.run.settings.page_size;
    let stream = stream_run.stream;
    let run = stream_run.run;
    let (api, mut sink) = stream_run.split();
    let mut ids = Vec::new();
    let mut stable = true;
    overlap(
        |hand_over| {
            stable = read(api, source, stream.key[0], page_size, &mut |page| {
                if source.parents {
                    ids.extend(page.texts_of(stream.key[0]));
                }
                hand_over(Step::Page(page))
            })?;
            Ok(())
        },
        |step| sink.take(step),
    )?;
    stream_run.partial = !stable;
    if source.parents {
        known(run).insert(source.path, distinct(ids));
    }
    Ok(())
}

/// The ids of a list, read now unless a stream of this run has read it.
pub fn parent_ids(run: &Run, api: &Api, source: &ListSource, key: &str) -> Result<Vec<String>> {
    if let Some(ids) = known(run).get(source.path) {
        return Ok(ids.clone());
    }
    let mut ids = Vec::new();
    read(api, source, key, run.settings.page_size, &mut |page| {
        ids.extend(page.texts_of(key));
        Ok(())
    })?;
    let ids = distinct(ids);
    known(run).insert(source.path, ids.clone());
    Ok(ids)
}

/// The ids of the lists that this run has read.
fn known<'a>(run: &'a Run) -> MutexGuard<'a, HashMap<&'static str, Vec<String>>> {
    run.parents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each id once, in the order of its first place: a list that was read again
/// names most of them twice.
fn distinct(ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect()
}

/// Hands over each page of the list. A list whose length changes between its
/// first and its last page has moved records from one page to another: it is
/// read again, since a record that is repeated does no harm, and one that is
/// missed does. False: it changed in every reading.
fn read(
    api: &Api,
    source: &ListSource,
    key: &str,
    page_size: u32,
    each: &mut dyn FnMut(Page) -> Result<()>,
) -> Result<bool> {
    for _ in 0..MOST_PASSES {
        if read_pages(api, source, key, page_size, each)? {
            return Ok(true);
        }
        log::info!(
            "{} changed while it was read; reading it again",
            source.path
        );
    }
    log::warn!(
        "{} changed in each of {MOST_PASSES} readings; the next run may find records \
         that this one missed",
        source.path
    );
    Ok(false)
}

/// Reads the pages once. False: the list changed meanwhile.
fn read_pages(
    api: &Api,
    source: &ListSource,
    key: &str,
    page_size: u32,
    each: &mut dyn FnMut(Page) -> Result<()>,
) -> Result<bool> {
    let mut first_total = None;
    let mut announced = None;
    let mut last_ids = Vec::new();
    for number in 1..=MOST_PAGES {
        let page = get_page(api, source, number, page_size)?;
        let Some(page) = page.filter(|page| !page.is_empty()) else {
            // A page that was announced and isn't there any more: the list has
            // shrunk, and what stood on it has moved to pages already read.
            return Ok(announced.is_none_or(|pages| number > pages));
        };
        if let Some(pagination) = page.pagination
            && let Some(pages) = pagination.pages()
        {
            let total = pagination.total_items;
            first_total = first_total.or(total);
            announced = Some(pages);
            each(page)?;
            if number >= pages {
                return Ok(total == first_total);
            }
            continue;
        }
        if !source.paged {
            each(page)?;
            return Ok(true);
        }
        // Nothing says how many pages there are, and past the last one some
        // endpoints give the last one again.
        let ids = page.texts_of(key);
        if ids == last_ids {
            return Ok(true);
        }
        last_ids = ids;
        each(page)?;
    }
    Err(Error::Unexpected {
        request: format!("GET {}", source.path),
        problem: format!("the list doesn't end after {MOST_PAGES} pages"),
    })
}

/// A page of a list; none past its end. A list without documented pages is
/// asked for one only if its first answer says that there are more.
fn get_page(api: &Api, source: &ListSource, number: u64, page_size: u32) -> Result<Option<Page>> {
    let mut get = Get::new(source.path);
    if source.paged || number > 1 {
        get = get.with("page", number).with("items_per_page", page_size);
    }
    past_the_end(
        number,
        api.get(&get, |body| Page::parse(body, source.shape)),
    )
}

/// Past the last page some lists answer with an error, `WRONG_PAGE`; it is
/// none on the first page.
pub fn past_the_end(number: u64, page: Result<Page>) -> Result<Option<Page>> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(Error::Api(error))
            if number > 1
                && matches!(error.status, 400 | 404 | 416 | 422)
                && format!("{} {}", error.code, error.message)
                    .to_lowercase()
                    .contains("page") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
