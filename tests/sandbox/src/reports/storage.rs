//! The other origin: report files behind signed links, as an object store serves them.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use super::{files, job_rows};
use crate::faulty;
use crate::http::{Delivery, Request, Response};
use crate::quirks::{Container, Expired};
use crate::server::{self, Shared};

/// Answers one request to the storage, and logs it. A token here is a violation, and refused.
pub fn answer(shared: &Shared, request: &Request, connection: u64) -> Response {
    let options = Arc::clone(&shared.world().options);
    let (number, fault) = {
        let mut control = shared.control();
        let number = control.log(server::log_entry(request, "storage", connection));
        (
            number,
            control.faults.next(&options.faults, "storage", "", 1),
        )
    };
    shared.stop.wait(options.latency);
    let response = faulty::apply(fault, &options, &shared.stop, || file(shared, request));
    let sent = response.delivery != Delivery::Nothing;
    let status = if sent { response.status } else { 0 };
    shared.control().set_status(number, status);
    response
}

fn file(shared: &Shared, request: &Request) -> Response {
    if request.header("Authorization").is_some() {
        shared.violate(format!(
            "a token was sent to the storage: {}",
            request.path()
        ));
        return error(400, "InvalidArgument", "Only one auth mechanism allowed");
    }
    if request.segments.first().map(String::as_str) != Some("extraction") {
        return error(404, "NoSuchKey", "The specified key does not exist.");
    }
    let world = shared.world();
    let quirks = &world.options.quirks.reports;
    let (link, cut, broken, open) = {
        let mut control = shared.control();
        let link = control.jobs.linked(&request.target).cloned();
        let Some(link) = link.filter(|_| request.method == "GET") else {
            drop(control);
            shared.violate(format!("the storage gave no such link: {}", request.target));
            return error(403, "SignatureDoesNotMatch", "The signature does not match");
        };
        if link.expires <= Instant::now() {
            return match quirks.expired {
                Expired::Forbidden => error(403, "AccessDenied", "Request has expired"),
                Expired::BadToken => error(400, "ExpiredToken", "The provided token has expired."),
                Expired::BadRequest => error(400, "InvalidRequest", "Request has expired"),
            };
        }
        let cut = control.jobs.cuts_download(quirks);
        let broken = !cut && control.jobs.breaks_download(quirks);
        let open = !cut && !broken && control.jobs.opens_quote(quirks);
        (link, cut, broken, open)
    };
    let event = link.job.event;
    let mut bytes = match world.options.report_files.get(event.name) {
        Some(path) => match fs::read(path) {
            Ok(bytes) => bytes,
            Err(problem) => return error(500, "InternalError", &problem.to_string()),
        },
        None => {
            let rows = job_rows(&world, &link.job, Some((link.part, link.parts)));
            let name = format!("{}-{}", link.job.id, link.job.window.0);
            files::render(event, &rows, &name, quirks, open)
        }
    };
    if broken && quirks.container != Container::Csv {
        files::break_crc(&mut bytes);
    }
    let response = Response::new(200, "application/octet-stream", bytes);
    match cut {
        true => Response {
            delivery: Delivery::Half,
            ..response
        },
        false => response,
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Response::new(status, "application/xml", body)
}
