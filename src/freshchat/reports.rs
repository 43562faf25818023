//! Raw reports: jobs that the server works off (API document, "Reports").

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Api;
use super::get::Get;
use crate::error::{ApiError, Error, Result};
use crate::timestamp;

const ENDPOINT: &str = "reports/raw";

/// Words for a job or a link that is done.
const DONE: [&str; 2] = ["COMPLETED", "SUCCESS"];

/// Words for a job that is known to be still under way.
const PENDING: [&str; 2] = ["PENDING", "IN_PROGRESS"];

const FAILED: &str = "FAILED";

/// The `error_code` of an event that the account doesn't know.
const UNKNOWN_EVENT: &str = "5";

/// How far a job has come.
#[derive(Debug, PartialEq)]
pub enum Progress {
    Pending,
    Failed,
    /// The links to its parts, in the order of time; none: the report is empty.
    Done(Vec<String>),
}

/// Asks for a report of an event, from `from` on and before `to`; the job's id.
///
/// It is sent once: where the answer is lost, a job may have been made.
///
/// # Errors
/// Any error of the API.
pub fn request(api: &Api, event: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<String> {
    #[derive(Deserialize)]
    struct Accepted {
        id: Option<String>,
        #[serde(default)]
        error_code: Value,
        #[serde(default)]
        error_message: String,
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
    // The status that comes with `{"success": false, …}` is undocumented.
    let code = match accepted.error_code {
        Value::Null => String::new(),
        Value::String(code) => code,
        code => code.to_string(),
    };
    let unknown = code == UNKNOWN_EVENT;
    accepted.id.ok_or_else(|| {
        let error = Box::new(ApiError {
            endpoint: ENDPOINT,
            request: format!("POST {ENDPOINT}"),
            status: 200,
            code,
            message: accepted.error_message,
            trace: None,
            retry_after: None,
        });
        match unknown {
            true => Error::UnknownEvent(error),
            false => Error::Api(error),
        }
    })
}

/// Looks at a job.
///
/// # Errors
/// Any error of the API; a 404 where it doesn't know the job.
pub fn look(api: &Api, id: &str) -> Result<Progress> {
    let segment: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let get = Get {
        path: format!("{ENDPOINT}/{segment}"),
        ..Get::new("reports/raw/{id}")
    };
    api.get(&get, |body| Ok(progress(serde_json::from_str(&body)?)))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    links: Option<Vec<Part>>,
}

/// One document says `from` and `to`, another `from_date` and `to_date`. All
/// are plain values: an error of the parser would show what it found instead,
/// and a link is the key to its file.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    link: Value,
    #[serde(default, alias = "from_date")]
    from: Value,
    #[serde(default)]
    status: Value,
}

impl Part {
    fn link(&self) -> Option<String> {
        let link = self.link.as_str().or_else(|| self.link["href"].as_str());
        link.map(str::to_owned)
    }
}

/// A job is done when each of its links is; an unknown word counts as pending.
fn progress(answer: Answer) -> Progress {
    let is = |status: &Value, words: &[&str]| {
        let status = status.as_str().unwrap_or_default();
        words.iter().any(|word| status.eq_ignore_ascii_case(word))
    };
    let mut parts = answer.links.unwrap_or_default();
    let failed = |status: &Value| is(status, &[FAILED]);
    if failed(&answer.status) || parts.iter().any(|part| failed(&part.status)) {
        return Progress::Failed;
    }
    // While the job itself is pending, its list of links may still grow.
    let job_done =
        is(&answer.status, &DONE) || (!parts.is_empty() && !is(&answer.status, &PENDING));
    if !job_done || !parts.iter().all(|part| is(&part.status, &DONE)) {
        return Progress::Pending;
    }
    // A sort by time keeps the order of parts whose time can't be read.
    parts.sort_by_key(|part| part.from.as_str().and_then(timestamp::parse));
    let links: Option<Vec<String>> = parts.iter().map(Part::link).collect();
    links.map_or(Progress::Pending, Progress::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Progress {
        progress(serde_json::from_value(json).unwrap())
    }

    fn part(from: &str, status: &str) -> serde_json::Value {
        json!({"link": {"rel": "extraction", "href": format!("https://s/{from}")}, "from": from, "status": status})
    }

    #[test]
    fn a_job_is_done_when_each_link_is() {
        let (early, late) = ("2020-01-01T00:00:00.000Z", "2020-01-02T00:00:00.000Z");
        let done = |links: &[&str]| {
            Progress::Done(
                links
                    .iter()
                    .map(|from| format!("https://s/{from}"))
                    .collect(),
            )
        };
        for (status, links, expected) in [
            (
                "COMPLETED",
                json!([part(late, "COMPLETED"), part(early, "SUCCESS")]),
                done(&[early, late]),
            ),
            ("SUCCESS", json!([]), done(&[])),
            ("COMPLETED", json!(null), done(&[])),
            (
                "COMPLETED",
                json!([part(early, "PENDING")]),
                Progress::Pending,
            ),
            (
                "PENDING",
                json!([part(early, "COMPLETED")]),
                Progress::Pending,
            ),
            ("PENDING", json!([]), Progress::Pending),
            (
                "IN_PROGRESS",
                json!([part(early, "IN_PROGRESS")]),
                Progress::Pending,
            ),
            ("ARCHIVED", json!([]), Progress::Pending),
            ("FAILED", json!([]), Progress::Failed),
            (
                "COMPLETED",
                json!([part(early, "COMPLETED"), part(late, "FAILED")]),
                Progress::Failed,
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
        assert_eq!(
            read(other_names),
            Progress::Done(vec!["https://s/a".into(), "https://s/b".into()])
        );
    }
}
