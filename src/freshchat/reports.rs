//! Raw reports: jobs that the server works off (API document, "Reports").

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    /// Its parts, in the order of time; none: the report is empty.
    Done(Vec<Part>),
    /// It is done, and says neither where its parts are nor that it has none.
    Bare,
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The address of the file, which is the key to it, too.
    pub link: String,
    /// The time that it is about, where the API says so.
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
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
            problem: "the answer names no job".into(),
        },
    })
}

/// `{"success": false, …}`; the status that comes with it is undocumented.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: Value,
    #[serde(default)]
    error_message: Value,
}

/// The error that an answer of status 200 holds, if it holds one.
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
    let answer: Answer = api.get(&get, |body| {
        // A list would be taken for the properties in their order.
        let object: Map<String, Value> = serde_json::from_str(&body)?;
        serde_json::from_value(object.into())
    })?;
    let request = format!("GET {}", get.path);
    match refusal(&request, &answer.refusal) {
        Some(error) if answer.status.is_null() => Err(Error::Api(error)),
        _ => Ok(progress(id, answer)),
    }
}

/// A finished job has `links`; the vendor's older specification has one `link`
/// in their place.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    links: Option<Vec<AnswerPart>>,
    #[serde(default)]
    link: Value,
    #[serde(flatten)]
    refusal: Refusal,
}

/// One document says `from` and `to`, another `from_date` and `to_date`. All
/// are plain values: an error of the parser would show what it found instead,
/// and a link is the key to its file.
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
    fn part(&self) -> Option<Part> {
        let time = |value: &Value| value.as_str().and_then(timestamp::parse);
        Some(Part {
            link: address(&self.link)?,
            from: time(&self.from),
            to: time(&self.to),
        })
    }
}

impl Answer {
    /// The parts; none where the answer doesn't speak of any.
    fn take_parts(&mut self, job: &str) -> Option<Vec<AnswerPart>> {
        // A job may also refer to itself, as in the answer to the POST. Its
        // relation doesn't tell the two apart: `extracts` may be either.
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

/// A job is done when each of its links is; a link without a status is as far
/// as the job. An unknown word counts as pending.
fn progress(job: &str, mut answer: Answer) -> Progress {
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
        return Progress::Failed;
    }
    // While the job itself is pending, its list of links may still grow.
    let job_done =
        is(&answer.status, &DONE) || (!parts.is_empty() && !is(&answer.status, &PENDING));
    if !job_done || !statuses.iter().all(|status| is(status, &DONE)) {
        return Progress::Pending;
    }
    if is_bare {
        return Progress::Bare;
    }
    let parts: Option<Vec<Part>> = parts.iter().map(AnswerPart::part).collect();
    let Some(mut parts) = parts else {
        return Progress::Pending;
    };
    // A sort by time keeps the order of parts whose time can't be read.
    parts.sort_by_key(|part| part.from);
    // Rows of a part that is listed twice would stand twice in the target.
    let mut links = HashSet::new();
    parts.retain(|part| links.insert(part.link.clone()));
    Progress::Done(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value) -> Progress {
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
            let part = |from: &&str| Part {
                link: format!("https://s/{from}"),
                from: time(from),
                to: None,
            };
            Progress::Done(links.iter().map(part).collect())
        };
        for (status, links, expected) in [
            (
                "COMPLETED",
                json!([part(late, "COMPLETED"), part(early, "SUCCESS")]),
                done(&[early, late]),
            ),
            ("SUCCESS", json!([]), done(&[])),
            ("COMPLETED", json!(null), Progress::Bare),
            ("PENDING", json!(null), Progress::Pending),
            (
                "COMPLETED",
                json!([{"link": {"href": format!("https://s/{early}")}, "from": early, "status": null}]),
                done(&[early]),
            ),
            (
                "PENDING",
                json!([{"link": {"href": format!("https://s/{early}")}, "from": early}]),
                Progress::Pending,
            ),
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
        let part = |link: &str, from| Part {
            link: link.to_owned(),
            from: time(from),
            to: time(late),
        };
        assert_eq!(
            read(other_names),
            Progress::Done(vec![part("https://s/a", early), part("https://s/b", late)])
        );
    }

    #[test]
    fn a_job_may_have_one_link() {
        let done = Progress::Done(vec![Part {
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
            Progress::Pending
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
                Progress::Bare
            );
        }
        let empty = json!({"status": "COMPLETED", "links": [], "link": itself});
        assert_eq!(read(empty), Progress::Done(Vec::new()));
    }
}
