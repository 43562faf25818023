//! Raw reports: jobs that the server processes (API document, "Reports").

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Api;
use super::get::Get;
use crate::error::{ApiError, Error, Result};
use crate::timestamp;

const ENDPOINT: &str = "reports/raw";

/// The status of a finished job or link.
const DONE: [&str; 2] = ["COMPLETED", "SUCCESS"];

/// The status of a job that is known to be in progress.
const PENDING: [&str; 2] = ["PENDING", "IN_PROGRESS"];

const FAILED: &str = "FAILED";

/// The `error_code` for an event that the account doesn't have.
const UNKNOWN_EVENT: &str = "5";

/// The progress of a job.
#[derive(Debug, PartialEq)]
pub enum JobProgress {
    Pending,
    Failed,
    /// The parts in order of time. If there are none, the report is empty.
    Done(Vec<ReportPart>),
    /// The job is done, but the answer doesn't mention parts, not even an empty
    /// list.
    Bare,
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportPart {
    /// The address of the file, which is also the key to it.
    pub link: String,
    /// The time range of the part, if the API gives one.
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Requests a report of an event, from `from` to before `to`. Returns the id of
/// the job.
///
/// The request is sent once, because a job may exist even if the answer is
/// lost.
///
/// # Errors
/// Any error of the API.
pub fn request(api: &Api, event: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<String> {
    #[derive(Deserialize)]
    struct Accepted {
        id: Option<String>,
        #[serde(flatten)]
        refusal: Refusal,
    }
    let body = json!({
        "start": timestamp::format(from),
        "end": timestamp::format(to),
        "event": event,
        "format": "csv",
    });
    let accepted = match api.post(ENDPOINT, &body, |body| {
        serde_json::from_str::<Accepted>(&body)
    }) {
        Err(Error::Api(error)) if error.code == UNKNOWN_EVENT => {
            return Err(Error::UnknownEvent(error));
        }
        answer => answer?,
    };
    if let Some(id) = accepted.id.filter(|id| !id.is_empty()) {
        return Ok(id);
    }
    let request = format!("POST {ENDPOINT}");
    Err(match refusal(&request, &accepted.refusal) {
        Some(error) if error.code == UNKNOWN_EVENT => Error::UnknownEvent(error),
        Some(error) => Error::Api(error),
        None => Error::Unexpected {
            request,
            problem: "the answer has no job id".into(),
        },
    })
}

/// `{"success": false, …}`. The HTTP status of this answer is undocumented.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: Value,
    #[serde(default)]
    error_message: Value,
}

/// The error in an answer with status 200, if there is one.
fn refusal(request: &str, answer: &Refusal) -> Option<Box<ApiError>> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let (code, message) = (text(&answer.error_code), text(&answer.error_message));
    if code.is_empty() && message.is_empty() {
        return None;
    }
    Some(Box::new(ApiError {
        endpoint: ENDPOINT,
        request: request.to_owned(),
        status: 200,
        code,
        message,
        trace: None,
        retry_after: None,
    }))
}

/// Gets the progress of a job.
///
/// # Errors
/// Any error of the API; a 404 if it doesn't know the job.
pub fn look(api: &Api, id: &str) -> Result<JobProgress> {
    let segment: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let get = Get {
        path: format!("{ENDPOINT}/{segment}"),
        ..Get::new("reports/raw/{id}")
    };
    let answer: JobAnswer = api.get(&get, |body| {
        // serde would also accept a list, as the properties in order.
        let object: Map<String, Value> = serde_json::from_str(&body)?;
        serde_json::from_value(object.into())
    })?;
    let request = format!("GET {}", get.path);
    match refusal(&request, &answer.refusal) {
        Some(error) if answer.status.is_null() => Err(Error::Api(error)),
        _ => Ok(progress(id, answer)),
    }
}

/// A finished job has `links`. In the vendor's older specification, it has a
/// single `link` instead.
#[derive(Deserialize)]
struct JobAnswer {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    links: Option<Vec<AnswerPart>>,
    #[serde(default)]
    link: Value,
    #[serde(flatten)]
    refusal: Refusal,
}

/// One document has `from` and `to`, another `from_date` and `to_date`. All
/// members are untyped, because a parser error would quote the unexpected
/// value, and a link is the key to its file.
#[derive(Deserialize)]
struct AnswerPart {
    #[serde(default)]
    link: Value,
    #[serde(default, alias = "from_date")]
    from: Value,
    #[serde(default, alias = "to_date")]
    to: Value,
    #[serde(default)]
    status: Value,
}

impl AnswerPart {
    fn part(&self) -> Option<ReportPart> {
        let time = |value: &Value| value.as_str().and_then(timestamp::parse);
        Some(ReportPart {
            link: address(&self.link)?,
            from: time(&self.from),
            to: time(&self.to),
        })
    }
}

impl JobAnswer {
    /// The parts, or `None` if the answer doesn't mention any.
    fn take_parts(&mut self, job: &str) -> Option<Vec<AnswerPart>> {
        // A link may also point to the job itself, as in the answer to the
        // POST. The relation doesn't tell, because `extracts` is used for both.
        let itself = format!("{ENDPOINT}/{job}");
        let is_file = |address: String| {
            let path = address.split('?').next().unwrap_or_default();
            address.contains("://") && !path.ends_with(&itself)
        };
        let single = address(&self.link)
            .is_some_and(is_file)
            .then(|| AnswerPart {
                link: self.link.take(),
                from: Value::Null,
                to: Value::Null,
                status: Value::Null,
            });
        match self.links.take() {
            Some(parts) if !parts.is_empty() => Some(parts),
            empty => single.map(|part| vec![part]).or(empty),
        }
    }
}

fn address(link: &Value) -> Option<String> {
    let address = link.as_str().or_else(|| link["href"].as_str());
    address.map(str::to_owned)
}

/// A job is done when all of its links are. A link without a status has that of
/// the job. Unknown statuses count as pending.
fn progress(job: &str, mut answer: JobAnswer) -> JobProgress {
    let is = |status: &Value, words: &[&str]| {
        let status = status.as_str().unwrap_or_default();
        words.iter().any(|word| status.eq_ignore_ascii_case(word))
    };
    let named = answer.take_parts(job);
    let is_bare = named.is_none();
    let parts = named.unwrap_or_default();
    let of_part = |part: &AnswerPart| match part.status.as_str() {
        None | Some("") => answer.status.clone(),
        Some(_) => part.status.clone(),
    };
    let statuses: Vec<Value> = parts.iter().map(of_part).collect();
    let failed = |status: &Value| is(status, &[FAILED]);
    if failed(&answer.status) || statuses.iter().any(failed) {
        return JobProgress::Failed;
    }
    // While the job is pending, more links may be added.
    let job_done =
        is(&answer.status, &DONE) || (!parts.is_empty() && !is(&answer.status, &PENDING));
    if !job_done || !statuses.iter().all(|status| is(status, &DONE)) {
        return JobProgress::Pending;
    }
    if is_bare {
        return JobProgress::Bare;
    }
    let parts: Option<Vec<ReportPart>> = parts.iter().map(AnswerPart::part).collect();
    let Some(mut parts) = parts else {
        return JobProgress::Pending;
    };
    // The sort is stable, so parts without a readable time keep their order.
    parts.sort_by_key(|part| part.from);
    // A part that is listed twice would duplicate its rows in the target.
    let mut links = HashSet::new();
    parts.retain(|part| links.insert(part.link.clone()));
    JobProgress::Done(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value) -> JobProgress {
        progress("j-1", serde_json::from_value(json).unwrap())
    }

    fn part(from: &str, status: &str) -> Value {
        json!({"link": {"rel": "extraction", "href": format!("https://s/{from}")}, "from": from, "status": status})
    }

    #[test]
    fn a_job_is_done_when_each_link_is() {
        let (early, late) = ("2020-01-01T00:00:00.000Z", "2020-01-02T00:00:00.000Z");
        let time = |text: &str| timestamp::parse(text);
        let done = |links: &[&str]| {
            let part = |from: &&str| ReportPart {
                link: format!("https://s/{from}"),
                from: time(from),
                to: None,
            };
            JobProgress::Done(links.iter().map(part).collect())
        };
        for (status, links, expected) in [
            (
                "COMPLETED",
                json!([part(late, "COMPLETED"), part(early, "SUCCESS")]),
                done(&[early, late]),
            ),
            ("SUCCESS", json!([]), done(&[])),
            ("COMPLETED", json!(null), JobProgress::Bare),
            ("PENDING", json!(null), JobProgress::Pending),
            (
                "COMPLETED",
                json!([{"link": {"href": format!("https://s/{early}")}, "from": early, "status": null}]),
                done(&[early]),
            ),
            (
                "PENDING",
                json!([{"link": {"href": format!("https://s/{early}")}, "from": early}]),
                JobProgress::Pending,
            ),
            (
                "COMPLETED",
                json!([part(early, "PENDING")]),
                JobProgress::Pending,
            ),
            (
                "PENDING",
                json!([part(early, "COMPLETED")]),
                JobProgress::Pending,
            ),
            ("PENDING", json!([]), JobProgress::Pending),
            (
                "IN_PROGRESS",
                json!([part(early, "IN_PROGRESS")]),
                JobProgress::Pending,
            ),
            ("ARCHIVED", json!([]), JobProgress::Pending),
            ("FAILED", json!([]), JobProgress::Failed),
            (
                "COMPLETED",
                json!([part(early, "COMPLETED"), part(late, "FAILED")]),
                JobProgress::Failed,
            ),
        ] {
            assert_eq!(
                read(json!({"status": status, "links": links})),
                expected,
                "{status} {links}"
            );
        }
        let other_names = json!({"status": "COMPLETED", "links": [
            {"link": {"href": "https://s/b"}, "from_date": late, "to_date": late, "status": "COMPLETED"},
            {"link": {"href": "https://s/a"}, "from_date": early, "to_date": late, "status": "COMPLETED"},
        ]});
        let part = |link: &str, from| ReportPart {
            link: link.to_owned(),
            from: time(from),
            to: time(late),
        };
        assert_eq!(
            read(other_names),
            JobProgress::Done(vec![part("https://s/a", early), part("https://s/b", late)])
        );
    }

    #[test]
    fn a_job_may_have_one_link() {
        let done = JobProgress::Done(vec![ReportPart {
            link: "https://s/a".into(),
            from: None,
            to: None,
        }]);
        let link = json!({"rel": "extraction", "href": "https://s/a"});
        assert_eq!(read(json!({"status": "COMPLETED", "link": link})), done);
        assert_eq!(
            read(json!({"status": "success", "links": null, "link": "https://s/a"})),
            done
        );
        assert_eq!(
            read(json!({"status": "PENDING", "link": link})),
            JobProgress::Pending
        );
        let same_relation = json!({"rel": "extracts", "href": "https://s/a"});
        assert_eq!(
            read(json!({"status": "COMPLETED", "link": same_relation})),
            done
        );
        let itself = json!({"rel": "extracts", "href": "/reports/raw/j-1"});
        for itself in [
            &itself,
            &json!("https://acme.freshchat.com/v2/reports/raw/j-1?a=b"),
        ] {
            assert_eq!(
                read(json!({"status": "COMPLETED", "link": itself})),
                JobProgress::Bare
            );
        }
        let empty = json!({"status": "COMPLETED", "links": [], "link": itself});
        assert_eq!(read(empty), JobProgress::Done(Vec::new()));
    }
}
