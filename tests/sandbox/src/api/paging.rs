//! Pages of a list, and the `pagination` and `links` around them.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::{Value, json};

use super::{Call, Problem};
use crate::http::{self, Response};
use crate::quirks::{EnvelopeShape, PastEnd, SortParameters};

/// Records per page where the client names no number.
const DEFAULT_ITEMS: usize = 20;

/// The part of a list that a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub total: usize,
    pub pages: usize,
    /// The page that is shown, from 1.
    pub current: usize,
    pub items: usize,
    /// The number of records that the client asked for.
    asked: usize,
    pub range: Range<usize>,
}

impl Page {
    /// The page that `call` asks for, of a list of `total`; at most `cap` records. A page or a
    /// number of records below 1 breaks a rule.
    pub fn asked(call: &Call<'_>, total: usize, cap: usize) -> Result<Page, Problem> {
        let page = call.number("page")?.unwrap_or(1);
        let asked = call.number("items_per_page")?.unwrap_or(DEFAULT_ITEMS);
        let shown = Page::of(total, page, asked.min(cap), call.options.quirks.past_end)?;
        Ok(Page { asked, ..shown })
    }

    /// The same of a list that comes with an envelope, which may have a hollow page: it takes the
    /// room of as many records as a page has.
    pub fn enveloped(call: &Call<'_>, total: usize, cap: usize) -> Result<Page, Problem> {
        let hollow = call.options.quirks.envelopes.hollow_page.unwrap_or(0);
        let items = Page::asked(call, usize::MAX, cap)?.items;
        let before = items.saturating_mul(hollow.wrapping_sub(1));
        if before >= total {
            return Page::asked(call, total, cap);
        }
        let mut shown = Page::asked(call, total + items, cap)?;
        shown.range = match shown.current.cmp(&hollow) {
            Ordering::Less => shown.range,
            Ordering::Equal => before..before,
            Ordering::Greater => shown.range.start - items..shown.range.end - items,
        };
        Ok(shown)
    }

    fn of(total: usize, page: usize, items: usize, past_end: PastEnd) -> Result<Page, Problem> {
        let pages = total.div_ceil(items);
        let last = pages.max(1);
        let current = match past_end {
            _ if page <= last => page,
            PastEnd::Empty => page,
            PastEnd::RepeatLast => last,
            PastEnd::WrongPage => {
                let message = format!("page {page} of {pages}");
                return Err(Problem::new(400, "WRONG_PAGE", message));
            }
            PastEnd::PageNotFound => return Err(Problem::new(404, "NOT_FOUND", "page not found")),
            PastEnd::BadRequest => return Err(Problem::of_status(400)),
        };
        let start = (current - 1).saturating_mul(items).min(total);
        Ok(Page {
            total,
            pages,
            current,
            items,
            asked: items,
            range: start..start.saturating_add(items).min(total),
        })
    }

    pub fn has_next(&self) -> bool {
        self.current < self.pages
    }

    /// `pagination` and `links` (API document, "List users by specified criteria"), as far as the
    /// shape has them; the links repeat the query with another page.
    pub fn envelope(&self, call: &Call<'_>, rel: &str, shape: EnvelopeShape) -> Vec<(&str, Value)> {
        let link = |page: usize| {
            let mut href = format!("{}?", call.request.path());
            for (name, value) in &call.request.query {
                if !["page", "items_per_page"].contains(&name.as_str()) {
                    href.push_str(&format!("{}={}&", http::encode(name), http::encode(value)));
                }
            }
            href.push_str(&format!("items_per_page={}&page={page}", self.items));
            json!({"href": href, "rel": rel, "type": "GET"})
        };
        let mut links = json!({});
        if self.has_next() {
            links["next_page"] = link(self.current + 1);
        }
        match shape {
            EnvelopeShape::None => return Vec::new(),
            EnvelopeShape::NextPage => return vec![("links", links)],
            EnvelopeShape::Whole => (),
        }
        links["first_page"] = link(1);
        links["last_page"] = link(self.pages.max(1));
        let said = &call.options.quirks.envelopes;
        let mut pagination = json!({});
        for (name, claim, number) in [
            ("total_items", said.total_items, self.total),
            ("total_pages", said.total_pages, self.pages),
            ("current_page", said.current_page, self.current),
            ("items_per_page", said.items_per_page, self.items),
        ] {
            if let Some(number) = claim.of(number, self.asked) {
                pagination[name] = json!(number);
            }
        }
        vec![("pagination", pagination), ("links", links)]
    }
}

/// The field by which the client has a list sorted, and whether it is turned round.
pub fn sorting<'a>(call: &Call<'a>) -> Result<(Option<&'a str>, bool), Problem> {
    let asked = ["sort_by", "sort_order"].map(|name| call.query(name));
    match call.options.quirks.sort_parameters {
        SortParameters::Refused if asked != [None, None] => {
            Err(Problem::bad_request("the list can't be sorted"))
        }
        SortParameters::Obeyed => Ok((asked[0], asked[1] == Some("desc"))),
        SortParameters::Ignored | SortParameters::Refused => Ok((None, false)),
    }
}

/// A page of a small list under `key`; with or without the envelope.
pub fn list(
    call: &Call<'_>,
    key: &str,
    rel: &str,
    mut records: Vec<Value>,
    envelope: bool,
) -> Result<Response, Problem> {
    let (field, descending) = sorting(call)?;
    if let Some(field) = field {
        records.sort_by_cached_key(|record| record[field].to_string());
    }
    if descending {
        records.reverse();
    }
    let asked = match envelope {
        true => Page::enveloped,
        false => Page::asked,
    };
    let page = asked(call, records.len(), call.options.quirks.max_items_per_page)?;
    let mut body = json!({});
    body[key] = Value::from(records[page.range.clone()].to_vec());
    if envelope {
        for (name, part) in page.envelope(call, rel, call.options.quirks.envelopes.shape) {
            body[name] = part;
        }
    }
    Ok(Response::json(200, body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(total: usize, page: usize, past_end: PastEnd) -> (usize, usize, Range<usize>) {
        let page = Page::of(total, page, 50, past_end).unwrap();
        (page.current, page.pages, page.range)
    }

    #[test]
    fn pages_cover_a_list_once() {
        assert_eq!(page(101, 1, PastEnd::Empty), (1, 3, 0..50));
        assert_eq!(page(101, 3, PastEnd::Empty), (3, 3, 100..101));
        assert_eq!(page(100, 2, PastEnd::WrongPage), (2, 2, 50..100));
        assert_eq!(page(0, 1, PastEnd::WrongPage), (1, 0, 0..0));
    }

    #[test]
    fn a_page_after_the_last_follows_the_quirk() {
        assert_eq!(page(101, 4, PastEnd::Empty), (4, 3, 101..101));
        assert_eq!(page(101, 4, PastEnd::RepeatLast), (3, 3, 100..101));
        assert_eq!(page(101, usize::MAX, PastEnd::Empty).2, 101..101);
        let wrong = Page::of(101, 4, 50, PastEnd::WrongPage).unwrap_err();
        assert_eq!((wrong.status, wrong.name), (400, "WRONG_PAGE"));
        let gone = Page::of(101, 4, 50, PastEnd::PageNotFound).unwrap_err();
        assert_eq!(
            (gone.status, gone.message.as_str()),
            (404, "page not found")
        );
        let bad = Page::of(101, 4, 50, PastEnd::BadRequest).unwrap_err();
        assert!(bad.status == 400 && !bad.message.contains("page"));
    }
}
