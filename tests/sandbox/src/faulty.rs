//! What a fault makes of an answer.

use std::time::Duration;

use serde_json::Value;

use crate::api::Problem;
use crate::control::Stop;
use crate::faults::FaultKind;
use crate::http::{Delivery, Response};
use crate::limits;
use crate::options::Options;

/// The answer of `respond`, or what `fault` puts in its place.
pub fn apply(
    fault: Option<FaultKind>,
    options: &Options,
    stop: &Stop,
    respond: impl FnOnce() -> Response,
) -> Response {
    let quirks = &options.quirks;
    let delivered = |delivery, response| Response {
        delivery,
        ..response
    };
    match fault {
        None => respond(),
        Some(FaultKind::Status(429)) => {
            let mut response = Problem::of_status(429).response(quirks.error_style);
            limits::add_retry_after(&mut response, options, Duration::from_secs(1));
            response
        }
        Some(FaultKind::Status(status)) => Problem::of_status(status).response(quirks.error_style),
        Some(FaultKind::StatusWith(status, headers, body)) => {
            let mut response = Response::json(status, body);
            for (name, value) in headers {
                let other = |own: &str| !own.eq_ignore_ascii_case(&name);
                response.headers.retain(|(own, _)| other(own));
                response.headers.push((name, value));
            }
            response
        }
        Some(FaultKind::Reset) => delivered(Delivery::Nothing, Response::json(200, "")),
        Some(FaultKind::CloseMidBody) => delivered(Delivery::Half, respond()),
        Some(FaultKind::StallMidBody(pause)) => delivered(Delivery::Pause(pause), respond()),
        Some(FaultKind::Trickle(pause)) => delivered(Delivery::Trickle(pause), respond()),
        Some(FaultKind::TruncatedJson) => {
            let mut response = respond();
            response.body.truncate(response.body.len() / 2);
            response
        }
        Some(FaultKind::Stall(pause)) => {
            stop.wait(pause);
            respond()
        }
        Some(FaultKind::Html) => {
            let page = "<!DOCTYPE html><html><title>Sign in</title><body>Welcome</body></html>";
            Response::new(200, "text/html;charset=UTF-8", page)
        }
        Some(FaultKind::NoRecords) => without_records(respond()),
        Some(FaultKind::NotJson) => Response::json(200, "upstream: no healthy host"),
    }
}

/// The answer with its lists empty, where it is an object that has some.
fn without_records(mut response: Response) -> Response {
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(&response.body) {
        body.values_mut()
            .filter(|value| value.is_array())
            .for_each(|list| *list = Value::Array(Vec::new()));
        response.body = Value::Object(body).to_string().into_bytes();
    }
    response
}
