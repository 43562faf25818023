//! Raw reports: jobs that are posted, and polled until their links are there (API document,
//! "Extract a report" and "Retrieve a report").

mod events;
mod facts;
mod files;
mod jobs;
mod rewritten;
mod rows;
mod storage;

use std::iter::repeat_n;

use chrono::{Months, NaiveTime};
use serde_json::{Map, Value, json};

use crate::api::{Call, Problem};
use crate::clock::{self, DAY};
use crate::http::{Delivery, Response};
use crate::quirks::{DateKeys, EmptyStyle, Joint, LinkDone, LinksShape, PendingStatus, RowOrder};
use crate::rng::Rng;
use crate::server::World;
use events::{Event, Source};
use jobs::{Fate, Job, State};
use rows::Cell;

pub use events::EVENTS;
pub use jobs::Jobs;
pub use storage::answer as answer_storage;

/// The longest window of most events: "not later than a month from the starting date".
const MONTH: i64 = 31 * DAY;

/// `POST /reports/raw`
pub fn post(call: &Call<'_>) -> Result<Response, Problem> {
    let quirks = &call.options.quirks.reports;
    let soon = call.shared.control().jobs.posted(quirks.post_interval);
    if let Some(gap) = soon {
        call.broken(&format!("a report {gap:?} after the last, not a minute"));
        return Err(too_many("only one report is made per minute"));
    }
    let Ok(body) = serde_json::from_str::<Value>(&call.request.body) else {
        return Err(call.broken("the body is no JSON"));
    };
    if body["format"] != "csv" {
        return Err(call.broken("the format is not csv"));
    }
    let name = body["event"].as_str().unwrap_or_default();
    let missing = quirks.missing_events.iter().any(|own| own == name);
    let Some(event) = Event::named(name).filter(|_| !missing) else {
        let mut problem = Problem::bad_request("No matching event name");
        problem.error_code = Some(5);
        return Err(problem);
    };
    let (start, end) = window(call, event, &body)?;
    let mut control = call.shared.control();
    let made = control.jobs.of_event(event);
    if quirks.daily_budget.is_some_and(|budget| made >= budget) {
        drop(control);
        call.broken(&format!(
            "{made} jobs of {} are the day's budget",
            event.name
        ));
        return Err(too_many("the event's reports of this day are spent"));
    }
    let mut id = control.jobs.make(call.options, event, (start, end));
    if control.jobs.hides_id(quirks) {
        id.clear();
    }
    let lost = control.jobs.loses_answer(quirks);
    let href = format!("/reports/raw/{id}");
    let body = json!({"id": id, "link": {"rel": "extracts", "href": href}});
    let mut response = Response::json(202, body.to_string());
    if lost {
        response.delivery = Delivery::Nothing;
    }
    Ok(response)
}

fn too_many(message: &str) -> Problem {
    Problem::new(429, "TOO_MANY_REQUESTS", message)
}

/// The window of a POST, which has to follow the documented rules.
fn window(call: &Call<'_>, event: &Event, body: &Value) -> Result<(i64, i64), Problem> {
    let time = |name: &str| {
        let time = body[name].as_str().and_then(clock::parse);
        time.ok_or_else(|| call.broken(&format!("{name} is no UTC date-time")))
    };
    let (start, end) = (time("start")?, time("end")?);
    let longest = if event.daily { DAY } else { MONTH };
    let today = clock::date_time(call.options.now()).date_naive();
    let oldest = today.checked_sub_months(Months::new(15)).unwrap_or(today);
    let oldest = oldest.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
    if start >= end {
        return Err(call.broken("the window is empty"));
    }
    if end - start > longest {
        return Err(call.broken("the window is too long"));
    }
    if start < oldest {
        return Err(call.broken("the window begins more than 15 months ago"));
    }
    Ok((start, end))
}

/// `GET /reports/raw/{id}`; each look makes fresh links.
pub fn get(call: &Call<'_>) -> Result<Response, Problem> {
    let quirks = &call.options.quirks.reports;
    let world = call.shared.world();
    let mut control = call.shared.control();
    let found = control.jobs.find(call.id);
    let Some(job) = found.filter(|job| job.fate != Fate::Forgotten).cloned() else {
        return Err(Problem::new(404, "REPORT_NOT_FOUND", "report not found"));
    };
    let mut state = job.state(quirks);
    if control.jobs.relapses(&job.id, quirks) {
        state = State::Pending;
    }
    let hides_links = match state {
        State::Pending => !quirks.links_while_pending,
        State::Failed => true,
        State::Done => {
            quirks.empty == EmptyStyle::NoLinks
                && !call.options.report_files.contains_key(job.event.name)
                && job_rows(&world, &job, None).is_empty()
        }
    };
    let has_hole = state == State::Done && control.jobs.has_hole(&job, quirks);
    let count = if has_hole { 3 } else { quirks.parts.max(1) };
    let parts = if hides_links { 0 } else { count };
    let mut links = Vec::new();
    let times = 1 + usize::from(quirks.links == LinksShape::Overlapping);
    let each = (0..parts).flat_map(|part| repeat_n(part, times));
    for part in each.filter(|part| !has_hole || *part != 1) {
        let (from, to) = job.part(part, parts);
        let status = status(job.part_state(part, quirks), true, call);
        let mut link = json!({"rel": "extraction"});
        if job.part_state(part, quirks) == State::Done {
            let path = control.jobs.link(&job, part, parts, quirks.link_lifetime);
            let origin = format!("http://127.0.0.1:{}", call.shared.storage_port);
            link["href"] = json!(format!("{origin}{path}"));
        }
        let (from_key, to_key) = match quirks.date_keys {
            DateKeys::Short => ("from", "to"),
            DateKeys::Long => ("from_date", "to_date"),
        };
        if call.query("status").is_none_or(|asked| asked == status) {
            let mut item =
                json!({"link": link, from_key: clock::text(from), to_key: clock::text(to)});
            if quirks.links != LinksShape::NoStatus {
                item["status"] = json!(status);
            }
            if quirks.links == LinksShape::Twice {
                links.push(item.clone());
            }
            links.push(item);
        }
    }
    let joint = match quirks.interval_joint {
        Joint::Space => " ",
        Joint::Underscore => "_",
    };
    let (start, end) = job.window;
    let interval = [clock::bare_text(start), clock::bare_text(end)].join(joint);
    let status = status(state, false, call);
    let mut body = json!({"id": job.id, "status": status, "interval": interval});
    let is_bare = state == State::Done && control.jobs.hides_links(quirks);
    match (quirks.links, links.as_slice()) {
        _ if is_bare => {}
        (LinksShape::Single, [single]) => body["link"] = single["link"].clone(),
        (LinksShape::SingleExtracts, [single]) => {
            body["link"] = json!({"rel": "extracts", "href": single["link"]["href"]});
        }
        (_, _) => body["links"] = json!(links),
    }
    Ok(Response::json(200, body.to_string()))
}

fn status(state: State, of_link: bool, call: &Call<'_>) -> &'static str {
    let quirks = &call.options.quirks.reports;
    match state {
        State::Failed => "FAILED",
        State::Done if of_link && quirks.link_done == LinkDone::Success => "SUCCESS",
        State::Done => "COMPLETED",
        State::Pending if quirks.pending_status == PendingStatus::InProgress => "IN_PROGRESS",
        State::Pending => "PENDING",
    }
}

/// The rows of a job, or of one of its parts.
fn job_rows(world: &World, job: &Job, part: Option<(usize, usize)>) -> Vec<Vec<Cell>> {
    let (from, to) = match (part, job.event.source) {
        (None, _) | (Some((0, _)), Source::Performance) => job.window,
        // One row per agent for the whole window, all in the first part.
        (Some(_), Source::Performance) => return Vec::new(),
        (Some((part, parts)), _) => job.part(part, parts),
    };
    let mut rows = rows_of(world, job.event, (from, to), job.window);
    match world.options.quirks.reports.row_order {
        RowOrder::Ascending => {}
        RowOrder::Descending => rows.reverse(),
        RowOrder::Shuffled => {
            let mut rng = Rng::of(world.options.seed, "order", rows.len() as u64);
            for at in (1..rows.len()).rev() {
                rows.swap(at, rng.index(at + 1));
            }
        }
    }
    rows
}

/// The rows of an event for a time, in time order, for a job of a window.
fn rows_of(
    world: &World,
    event: &Event,
    (from, to): (i64, i64),
    window: (i64, i64),
) -> Vec<Vec<Cell>> {
    let quirks = &world.options.quirks.reports;
    let facts = facts::facts(world, event, from, to).into_iter();
    let rows = facts.map(|fact| rows::row(&world.account, event, fact, window));
    match quirks.rewritten {
        true => rows.map(|row| rewritten::row(event, row)).collect(),
        false => rows.collect(),
    }
}

/// Whether there is such a report stream, and if so its rows in time order: each column's name
/// and value as documented, whatever the quirks make of them in the files. Agent-performance has
/// rows for the windows of the jobs made so far.
pub fn truth(world: &World, jobs: &Jobs, stream: &str) -> Option<Vec<Value>> {
    let event = Event::of_stream(stream)?;
    let windows = match event.source {
        Source::Performance => jobs.windows(event),
        _ => vec![(i64::MIN, i64::MAX)],
    };
    let rows = windows
        .into_iter()
        .flat_map(|window| rows_of(world, event, window, window));
    let object = |row: Vec<Cell>| {
        let cells = row.iter().map(|cell| Value::from(cell.text()));
        let names = event.columns.iter().map(|name| (*name).to_owned());
        Value::from(names.zip(cells).collect::<Map<_, _>>())
    };
    Some(rows.map(object).collect())
}
