//! Values by group and by agent.
//!
//! The API document contradicts itself on grouped answers without a
//! `filter_by`: "the number … is retrieved for all groups", but also "If no
//! filter_by value is specified during retrieval, value is null". So if an
//! answer names no group although the account has some, or if the API refuses
//! to answer, it is requested again by their ids. What works for one metric is
//! tried first for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use url::form_urlencoded;

use super::answer::MetricRows;
use super::misses::{Reply, give_up, may_be_the_filter, reply};
use super::table::GroupBy;
use crate::error::{Error, Result};
use crate::extract::Run;
use crate::extract::list::parents;
use crate::extract::pool::in_order;
use crate::freshchat::Api;
use crate::streams::{AGENTS, GROUPS, ListSource};

/// The maximum length of the ids in an address, in bytes. With the rest, an
/// address stays below about 2,000 bytes, which every server and proxy accepts.
const MOST_BYTES: usize = 1_500;

/// After this many refused portions and none accepted, the filter itself is
/// refused. A portion of 64 ids, which don't fit an address, is a single id
/// after six halvings.
const MOST_REFUSED: usize = 6;

/// A question that may be grouped.
pub trait Grouped: Copy + Send + Sync {
    fn group_by(&self) -> GroupBy;

    /// Sends the request, with or without a `filter_by`.
    ///
    /// # Errors
    /// Those that end the stream.
    fn ask(&self, filter: Option<&str>) -> Result<Reply<MetricRows>>;
}

/// How the groups or agents of an account are requested.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// An answer without a filter named some.
    Unfiltered,
    /// Only an answer with a filter named some.
    Filtered,
    /// No filter was accepted.
    Refused,
}

/// The groupings of a stream.
pub struct Groups<'a> {
    run: &'a Run<'a>,
    api: &'a Api<'a>,
    ways: Mutex<HashMap<GroupBy, Way>>,
    /// Held while a list is read, so that each list is read once.
    portions: Mutex<HashMap<GroupBy, Vec<String>>>,
}

/// The result of a question.
enum Asked {
    Done(Reply<MetricRows>),
    /// Nothing was counted, and no group was named. Either no group has a
    /// value, or the question needs a filter.
    Open(MetricRows),
}

impl<'a> Groups<'a> {
    pub fn new(run: &'a Run<'a>, api: &'a Api<'a>) -> Self {
        Self {
            run,
            api,
            ways: Mutex::default(),
            portions: Mutex::default(),
        }
    }

    /// Asks all questions, and hands over the answers. Questions without a
    /// clear answer come last, when the others have shown what works.
    ///
    /// # Errors
    /// Those that end the stream, and those of `take`.
    pub fn ask_all<Q: Grouped>(
        &self,
        workers: usize,
        questions: &[Q],
        mut take: impl FnMut(&Q, Reply<MetricRows>) -> Result<()>,
    ) -> Result<()> {
        let mut open = Vec::new();
        in_order(
            workers,
            questions,
            |question| Ok((question, self.ask(question)?)),
            |(question, asked)| match asked {
                Asked::Done(reply) => take(question, reply),
                Asked::Open(rows) => {
                    open.push((question, rows));
                    Ok(())
                }
            },
        )?;
        in_order(
            workers,
            open,
            |(question, rows)| {
                let reply = match self.way(question.group_by()) {
                    Some(Way::Unfiltered) => Ok(rows),
                    _ => self.ask_filtered(question, rows)?,
                };
                Ok((question, reply))
            },
            |(question, reply)| take(question, reply),
        )
    }

    fn ask(&self, question: &impl Grouped) -> Result<Asked> {
        let group_by = question.group_by();
        if list_of(group_by).is_none() {
            return question.ask(None).map(Asked::Done);
        }
        if self.way(group_by) == Some(Way::Filtered) {
            return self.ask_portions(question, true).map(Asked::Done);
        }
        let rows = match question.ask(None)? {
            Ok(rows) => rows,
            Err(error) if may_be_the_filter(&error) => {
                return self.ask_refused(question, error).map(Asked::Done);
            }
            Err(error) => return Ok(Asked::Done(Err(error))),
        };
        if rows.names_groups {
            self.set_way(group_by, Way::Unfiltered);
        } else if rows.problem.is_none() {
            return match rows.counts_nobody {
                true => self.ask_filtered(question, rows).map(Asked::Done),
                false => Ok(Asked::Open(rows)),
            };
        }
        Ok(Asked::Done(Ok(rows)))
    }

    /// Asks again with a filter after a refusal. Returns the refusal, unless
    /// the new answer names groups or agents.
    fn ask_refused(&self, question: &impl Grouped, refusal: Error) -> Result<Reply<MetricRows>> {
        let group_by = question.group_by();
        if self.way(group_by) == Some(Way::Unfiltered) {
            return Ok(Err(refusal));
        }
        Ok(match self.ask_portions(question, false)? {
            Ok(rows) if rows.names_groups => {
                self.set_way(group_by, Way::Filtered);
                Ok(rows)
            }
            _ => Err(refusal),
        })
    }

    /// Asks again with a filter. If this has values for groups, and no answer
    /// without a filter has named a group, the values without a group belong to
    /// the whole account, and are dropped.
    fn ask_filtered(
        &self,
        question: &impl Grouped,
        mut unfiltered: MetricRows,
    ) -> Result<Reply<MetricRows>> {
        let group_by = question.group_by();
        let filtered = match self.ask_portions(question, true)? {
            Ok(filtered) => filtered,
            Err(error) => return Ok(Err(error)),
        };
        if filtered.counts_groups && self.way(group_by) != Some(Way::Unfiltered) {
            self.set_way(group_by, Way::Filtered);
            return Ok(Ok(filtered));
        }
        unfiltered.add(filtered);
        Ok(Ok(unfiltered))
    }

    /// Requests all groups or agents of the account by their ids. If the API
    /// refuses some ids, or that many at once, `halving` finds out which, and
    /// the next question omits them.
    fn ask_portions(&self, question: &impl Grouped, halving: bool) -> Result<Reply<MetricRows>> {
        let group_by = question.group_by();
        let halving = halving && self.way(group_by) != Some(Way::Refused);
        let portions = match reply(self.portions(group_by))? {
            Ok(portions) => portions,
            Err(error) => return Ok(Err(error)),
        };
        let mut so_far: Option<MetricRows> = None;
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        let mut pending = VecDeque::from(portions);
        while let Some(portion) = pending.pop_front() {
            let error = match question.ask(Some(&portion))? {
                Ok(rows) => {
                    so_far.get_or_insert_with(MetricRows::new).add(rows);
                    accepted.push(portion);
                    continue;
                }
                Err(error) => error,
            };
            if !halving || !may_be_the_filter(&error) {
                return Ok(give_up(so_far, error));
            }
            if so_far.is_none() && refused.len() >= MOST_REFUSED {
                self.set_way(group_by, Way::Refused);
                return Ok(Err(error));
            }
            if let Some([first, second]) = halves(&portion) {
                pending.push_front(second);
                pending.push_front(first);
            }
            refused.push((portion, error));
        }
        if so_far.is_none()
            && let Some((_, error)) = refused.pop()
        {
            return Ok(Err(error));
        }
        // What a refused id has is still missing, so a later run asks again.
        if let Some((_, error)) = refused.iter().find(|(id, _)| halves(id).is_none()) {
            return Ok(give_up(so_far, error.clone()));
        }
        if !refused.is_empty() {
            self.set_portions(group_by, accepted);
        }
        Ok(Ok(so_far.unwrap_or_else(MetricRows::new)))
    }

    fn portions(&self, group_by: GroupBy) -> Result<Vec<String>> {
        let mut known = self.portions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(portions) = known.get(&group_by) {
            return Ok(portions.clone());
        }
        let ids = match list_of(group_by) {
            Some(list) => parents(self.run, self.api, list, "id")?.ids,
            None => Vec::new(),
        };
        let portions = portions(group_by, &ids);
        known.insert(group_by, portions.clone());
        Ok(portions)
    }

    fn set_portions(&self, group_by: GroupBy, portions: Vec<String>) {
        let mut known = self.portions.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(group_by, portions);
    }

    fn way(&self, group_by: GroupBy) -> Option<Way> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.get(&group_by).copied()
    }

    fn set_way(&self, group_by: GroupBy, way: Way) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.insert(group_by, way);
    }
}

/// The list whose ids `filter_by` accepts. Ratings have none.
fn list_of(group_by: GroupBy) -> Option<&'static ListSource> {
    match group_by {
        GroupBy::Group => Some(&GROUPS),
        GroupBy::Agent => Some(&AGENTS),
        GroupBy::None | GroupBy::Rating => None,
    }
}

/// Values of `filter_by`, "in the format group=group_id_1,group=group_id_2",
/// each short enough for an address.
fn portions(group_by: GroupBy, ids: &[String]) -> Vec<String> {
    let mut portions: Vec<String> = Vec::new();
    let mut left = 0;
    for id in ids {
        let filter = format!("{}={id}", group_by.name());
        let length = encoded_length(&format!(",{filter}"));
        match portions.last_mut().filter(|_| length <= left) {
            Some(portion) => {
                portion.push(',');
                portion.push_str(&filter);
                left -= length;
            }
            None => {
                portions.push(filter);
                left = MOST_BYTES.saturating_sub(length);
            }
        }
    }
    portions
}

/// Both halves of a value of `filter_by`. `None` if it has a single id.
fn halves(portion: &str) -> Option<[String; 2]> {
    let ids: Vec<&str> = portion.split(',').collect();
    let (first, second) = ids.split_at(ids.len() / 2);
    (!first.is_empty()).then(|| [first.join(","), second.join(",")])
}

/// The length of a text in an address, in bytes.
fn encoded_length(text: &str) -> usize {
    let parts = form_urlencoded::byte_serialize(text.as_bytes());
    parts.map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_fit_an_address_and_hold_every_id_once() {
        let ids: Vec<String> = (0..100).map(|id| format!("{id:032}+/")).collect();
        let portions = portions(GroupBy::Agent, &ids);
        for portion in &portions {
            assert!(encoded_length(portion) <= MOST_BYTES, "{portion}");
        }
        assert_eq!(portions.len(), 4);
        let all: Vec<String> = ids.iter().map(|id| format!("agent={id}")).collect();
        assert_eq!(portions.join(","), all.join(","));
        assert!(super::portions(GroupBy::Group, &[]).is_empty());
    }
}
