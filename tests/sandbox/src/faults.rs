//! Answers that go wrong on purpose.

use std::time::Duration;

/// What happens to some of the requests of an endpoint. The count starts with the sandbox, and anew
/// when the faults are changed at run time.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The template ("users", "conversations/{id}/messages", "storage"); `None` is any request.
    pub endpoint: Option<String>,
    /// The child in the path; `None` is any.
    pub id: Option<String>,
    /// The page that is asked for, the first where none is named; `None` is any.
    pub page: Option<usize>,
    /// The first of the matching requests that is hit, from 1.
    pub nth: u64,
    /// So many in a row.
    pub times: u64,
    pub kind: FaultKind,
}

impl Fault {
    /// Hits the `nth` request of `endpoint`, once.
    pub fn new(endpoint: &str, nth: u64, kind: FaultKind) -> Fault {
        Fault {
            endpoint: Some(endpoint.to_owned()),
            ..Fault::any(nth, kind)
        }
    }

    /// Hits the `nth` request of all, once.
    pub fn any(nth: u64, kind: FaultKind) -> Fault {
        Fault {
            endpoint: None,
            id: None,
            page: None,
            nth,
            times: 1,
            kind,
        }
    }

    /// The same, `times` in a row.
    pub fn times(self, times: u64) -> Fault {
        Fault { times, ..self }
    }

    /// The same, for ever.
    pub fn always(self) -> Fault {
        self.times(u64::MAX)
    }

    /// The same, of one child alone.
    pub fn of(self, id: &str) -> Fault {
        Fault {
            id: Some(id.to_owned()),
            ..self
        }
    }

    /// The same, of one page alone.
    pub fn on_page(self, page: usize) -> Fault {
        Fault {
            page: Some(page),
            ..self
        }
    }

    fn matches(&self, endpoint: &str, id: &str, page: usize) -> bool {
        self.endpoint.as_deref().is_none_or(|own| own == endpoint)
            && self.id.as_deref().is_none_or(|own| own == id)
            && self.page.is_none_or(|own| own == page)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// An error in the account's style; 429 with the quirk's `Retry-After` (of one second).
    Status(u16),
    StatusWith(u16, Vec<(String, String)>, String),
    /// The connection closes before any byte.
    Reset,
    /// Half of the announced body, then the connection closes.
    CloseMidBody,
    /// A whole body of the right length whose JSON ends in the middle.
    TruncatedJson,
    /// Silence before the first byte.
    Stall(Duration),
    /// Silence in the middle of the body.
    StallMidBody(Duration),
    /// The body byte by byte, with this pause after each.
    Trickle(Duration),
    /// 200 with an HTML page, as a wrong host answers.
    Html,
    /// 200 that says JSON and is none.
    NotJson,
    /// The answer with all of its lists empty.
    NoRecords,
}

impl FaultKind {
    /// 404 `page not found`, within a list or past its end.
    pub fn page_not_found() -> FaultKind {
        let body = r#"{"code":404,"status":"NOT_FOUND","message":"page not found"}"#;
        FaultKind::StatusWith(404, Vec::new(), body.to_owned())
    }

    /// 200 with this body: `{}`, `null`, `[]`.
    pub fn body(body: &str) -> FaultKind {
        FaultKind::StatusWith(200, Vec::new(), body.to_owned())
    }
}

/// Counts the requests that each fault matches.
#[derive(Debug, Default)]
pub struct FaultCounts(Vec<u64>);

impl FaultCounts {
    /// Counts a request for a page of `endpoint`, or of the child `id` there, and says what hits
    /// it: the first fault that is due.
    pub fn next(
        &mut self,
        faults: &[Fault],
        endpoint: &str,
        id: &str,
        page: usize,
    ) -> Option<FaultKind> {
        self.0.resize(faults.len(), 0);
        let mut due = None;
        for (fault, count) in faults.iter().zip(&mut self.0) {
            if fault.matches(endpoint, id, page) {
                *count += 1;
                let last = fault.nth.saturating_add(fault.times);
                if due.is_none() && (fault.nth..last).contains(count) {
                    due = Some(fault.kind.clone());
                }
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_nth_matching_request_and_the_following() {
        let faults = [Fault::new("users", 2, FaultKind::Reset).times(2)];
        let mut counts = FaultCounts::default();
        let hits: Vec<bool> = ["users", "agents", "users", "users", "users"]
            .iter()
            .map(|endpoint| counts.next(&faults, endpoint, "", 1).is_some())
            .collect();
        assert_eq!(hits, [false, false, true, true, false]);
    }

    #[test]
    fn a_fault_hits_one_child_or_one_page() {
        let faults = [
            Fault::new("users/{id}", 1, FaultKind::Reset)
                .of("a")
                .always(),
            Fault::any(1, FaultKind::NotJson).on_page(2),
        ];
        let mut counts = FaultCounts::default();
        let mut next = |id, page| counts.next(&faults, "users/{id}", id, page);
        assert_eq!(next("a", 1), Some(FaultKind::Reset));
        assert_eq!(next("a", 1), Some(FaultKind::Reset));
        assert_eq!(next("b", 1), None);
        assert_eq!(next("b", 2), Some(FaultKind::NotJson));
        assert_eq!(next("b", 2), None);
    }
}
