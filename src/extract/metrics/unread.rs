//! Slices before the bookmark that could not be read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::slices::Slices;
use crate::singer::Bookmark;

/// The member of the bookmark.
const UNREAD: &str = "unread";

/// A time range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// For each query, by name, the time that the next runs request again, because
/// its answer could not be read or the API refused it. Each query has at most
/// one range, to keep the state small.
#[derive(Debug, Default, PartialEq)]
pub struct Unread(BTreeMap<String, Span>);

impl Unread {
    /// Reads the ranges from a bookmark.
    pub fn of(bookmark: &Bookmark) -> Self {
        Self(bookmark.progress(UNREAD).unwrap_or_default())
    }

    /// Saves the ranges in a bookmark.
    pub fn keep(&self, bookmark: &mut Bookmark) {
        match serde_json::to_value(&self.0) {
            Ok(spans) if !self.0.is_empty() => bookmark.set(UNREAD, spans),
            _ => bookmark.remove(UNREAD),
        }
    }

    pub fn get(&self, query: &str) -> Option<Span> {
        self.0.get(query).copied()
    }

    /// Forgets a query.
    pub fn forget(&mut self, query: &str) {
        self.0.remove(query);
    }

    /// Records slices that could not be read.
    pub fn miss(&mut self, query: &str, slices: Slices) {
        let span = self.0.entry(query.to_owned()).or_insert(Span {
            from: slices.from(),
            to: slices.to(),
        });
        span.from = span.from.min(slices.from());
        span.to = span.to.max(slices.to());
    }

    /// Records slices that were read. They shorten a range only at its start.
    pub fn read(&mut self, query: &str, slices: Slices) {
        let Some(span) = self.0.get_mut(query) else {
            return;
        };
        if slices.from() <= span.from {
            span.from = span.from.max(slices.to());
        }
        if span.from >= span.to {
            self.0.remove(query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slices::Interval;
    use super::*;
    use crate::timestamp;

    fn days(from: &str, to: &str) -> Slices {
        let time = |text: &str| timestamp::parse(text).unwrap();
        Slices::between(time(from), time(to), Interval::Day)
    }

    #[test]
    fn what_is_missed_stays_until_it_is_read() {
        let mut unread = Unread::default();
        unread.miss("a", days("2026-05-03", "2026-05-05"));
        unread.miss("a", days("2026-05-08", "2026-05-09"));
        let span = |unread: &Unread| unread.get("a").map(|span| (span.from, span.to));
        let is = |from: &str, to: &str| {
            let days = days(from, to);
            Some((days.from(), days.to()))
        };
        assert_eq!(span(&unread), is("2026-05-03", "2026-05-09"));
        // If slices in the middle counted, an unread gap would be forgotten.
        unread.read("a", days("2026-05-06", "2026-05-07"));
        unread.read("b", days("2026-05-01", "2026-06-01"));
        assert_eq!(span(&unread), is("2026-05-03", "2026-05-09"));
        unread.read("a", days("2026-05-01", "2026-05-04"));
        assert_eq!(span(&unread), is("2026-05-04", "2026-05-09"));
        let mut bookmark = Bookmark::default();
        unread.keep(&mut bookmark);
        assert_eq!(Unread::of(&bookmark), unread);
        unread.read("a", days("2026-05-04", "2026-05-09"));
        unread.keep(&mut bookmark);
        assert_eq!(bookmark, Bookmark::default());
    }
}
