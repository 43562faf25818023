//! What another process may ask of the sandbox itself, outside the API and without a token:
//! `GET /_sandbox/requests` gives the log of requests, `DELETE` empties it.

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::server::Shared;

/// The answer to a request for the sandbox itself; none to one for the API.
pub fn answer(shared: &Shared, request: &Request) -> Option<Response> {
    if request.path() != "/_sandbox/requests" {
        return None;
    }
    let mut control = shared.control();
    if request.method == "DELETE" {
        control.requests.clear();
    }
    let requests: Vec<Value> = control
        .requests
        .iter()
        .map(|request| {
            json!({
                "method": request.method,
                "endpoint": request.endpoint,
                "path": request.path,
                "query": request.query,
                "status": request.status,
            })
        })
        .collect();
    let body = Value::from(requests).to_string();
    Some(Response::new(200, "application/json", body))
}
