//! The API's endpoints, and what stands before them: faults, the token, limits.

pub mod conversations;
mod lists;
mod new_fields;
pub mod paging;
mod problem;
mod routes;
mod users;

use std::sync::Arc;

use crate::changes;
use crate::clock;
use crate::control::Allowance;
use crate::http::{Delivery, Request, Response};
use crate::options::Options;
use crate::server::{self, Shared};
use crate::{faulty, limits, metrics, reports};

pub use problem::Problem;

/// A request on its way through an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub shared: &'a Shared,
    pub options: &'a Options,
    pub request: &'a Request,
    pub endpoint: &'static str,
    /// As in the log.
    pub number: u64,
    /// The id in the path; empty where there is none.
    pub id: &'a str,
}

impl<'a> Call<'a> {
    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&'a str> {
        let found = self.request.query.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Notes that the client broke a rule, and gives the 400 for it.
    pub fn broken(&self, rule: &str) -> Problem {
        let (method, target) = (&self.request.method, &self.request.target);
        self.shared.violate(format!("{method} {target}: {rule}"));
        Problem::bad_request(rule)
    }

    /// A whole number from 1 on.
    pub fn number(&self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(self.broken(&format!("{name} is {text:?}, not a number from 1"))),
        }
    }

    /// A date-time, in milliseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        match clock::parse(text) {
            Some(time) => Ok(Some(time)),
            None => Err(self.broken(&format!("{name} is {text:?}, not a UTC date-time"))),
        }
    }
}

/// Answers one request to the API, and logs it.
pub fn answer(shared: &Shared, request: &Request, connection: u64) -> Response {
    let route = routes::resolve(&request.segments);
    let (endpoint, id) = route.unwrap_or(("unknown", ""));
    let options = Arc::clone(&shared.world().options);
    let limit = options.hourly_limit;
    let (number, fault, allowance) = {
        let mut control = shared.control();
        let number = control.log(server::log_entry(request, endpoint, connection));
        let page = request.page().unwrap_or(1);
        let fault = control.faults.next(&options.faults, endpoint, id, page);
        let allowance = limit.map(|limit| control.limit.take(limit, options.hour));
        (number, fault, allowance)
    };
    shared.stop.wait(options.latency);
    let call = Call {
        shared,
        options: &options,
        request,
        endpoint,
        number,
        id,
    };
    let mut response = faulty::apply(fault, &options, &shared.stop, || respond(&call, allowance));
    response.add_header("X-Trace-ID", format_args!("trace-{number:016x}"));
    if let Some(allowance) = allowance {
        limits::add_limit(&mut response, &options, allowance);
    }
    limits::add_date(&mut response, &options);
    if response.status == 200 {
        changes::after_answer(&call);
    }
    let sent = response.delivery != Delivery::Nothing;
    let status = if sent { response.status } else { 0 };
    shared.control().set_status(number, status);
    response
}

/// Checks the limit and the token, and asks the endpoint.
fn respond(call: &Call<'_>, allowance: Option<Allowance>) -> Response {
    let quirks = &call.options.quirks;
    if let Some(allowance) = allowance.filter(|allowance| !allowance.granted) {
        let mut response = Problem::of_status(429).response(quirks.error_style);
        limits::add_retry_after(&mut response, call.options, allowance.resets_in);
        return response;
    }
    permitted(call).unwrap_or_else(|mut problem| {
        if quirks.token_echo {
            let header = call.request.header("Authorization").unwrap_or("nothing");
            problem.message.push_str(&format!(" (received: {header})"));
        }
        problem.response(quirks.error_style)
    })
}

fn permitted(call: &Call<'_>) -> Result<Response, Problem> {
    let quirks = &call.options.quirks;
    if call.request.header("Authorization") != Some(&format!("Bearer {}", call.shared.token)) {
        return Err(Problem::of_status(401));
    }
    let mut lacking = quirks.lacking.iter();
    if let Some((_, status)) = lacking.find(|(own, _)| own == call.endpoint) {
        return Err(Problem::of_status(*status));
    }
    if quirks.forbidden.iter().any(|own| own == call.endpoint) {
        return Err(Problem::of_status(403));
    }
    if quirks.redirect.as_deref() == Some(call.endpoint) {
        let (port, target) = (call.shared.storage_port, &call.request.target);
        let location = format!("http://localhost:{port}{target}");
        let mut response = Response::json(302, "");
        response.add_header("Location", location);
        return Ok(response);
    }
    if call.endpoint == "unknown" {
        call.broken("there is no such path");
        return Err(Problem::of_status(404));
    }
    for (name, _) in &call.request.query {
        if !routes::knows(call.endpoint, name) {
            return Err(call.broken(&format!("{name} is no parameter of {}", call.endpoint)));
        }
    }
    let mut response = dispatch(call)?;
    if quirks.new_fields {
        new_fields::add(call.endpoint, &mut response);
    }
    Ok(response)
}

fn dispatch(call: &Call<'_>) -> Result<Response, Problem> {
    match (call.request.method.as_str(), call.endpoint) {
        ("GET", "users") => users::list(call),
        ("GET", "users/{id}") => users::one(call),
        ("GET", "users/{id}/conversations") => users::conversations(call),
        ("GET", "conversations/{id}") => conversations::one(call),
        ("GET", "conversations/{id}/messages") => conversations::messages(call),
        ("GET", "conversations/fields") => lists::conversation_fields(call),
        ("GET", "metrics/historical") => metrics::historical(call),
        ("GET", "metrics/instant") => metrics::instant(call),
        ("GET", "business-hours/within-bh") => lists::within_business_hours(call),
        ("POST", "reports/raw") => reports::post(call),
        ("GET", "reports/raw/{id}") => reports::get(call),
        ("GET", endpoint) if endpoint != "reports/raw" => lists::plain(call),
        (method, endpoint) => {
            call.broken(&format!("{endpoint} is not asked with {method}"));
            Err(Problem::new(405, "METHOD_NOT_ALLOWED", "no such method"))
        }
    }
}
