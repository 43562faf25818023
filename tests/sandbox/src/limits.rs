//! The headers by which a client learns of the hourly limit (API document, "Rate Limits").

use std::time::Duration;

use crate::clock::{self, SECOND};
use crate::control::Allowance;
use crate::http::Response;
use crate::quirks::{Quirks, ResetHeader, RetryAfter};

/// The limit, what is left of it, and the reset as the quirk has it.
pub fn add_limit(response: &mut Response, quirks: &Quirks, allowance: Allowance) {
    response.add_header("X-RateLimit-Limit", allowance.limit);
    response.add_header("X-RateLimit-Remaining", allowance.remaining);
    let seconds = whole_seconds(allowance.resets_in);
    match quirks.reset_header {
        ResetHeader::None => (),
        ResetHeader::RateLimitResetSeconds => response.add_header("X-RateLimitReset", seconds),
        ResetHeader::DashedSeconds => response.add_header("X-RateLimit-Reset", seconds),
        ResetHeader::DashedUnixTime => {
            let time = unix_time_after(allowance.resets_in);
            response.add_header("X-RateLimit-Reset", time);
        }
    }
}

/// `Retry-After` in the form of the quirk.
pub fn add_retry_after(response: &mut Response, quirks: &Quirks, wait: Duration) {
    match quirks.retry_after {
        RetryAfter::None => (),
        RetryAfter::Seconds => response.add_header("Retry-After", whole_seconds(wait)),
        RetryAfter::HttpDate => {
            let date = clock::date_time(unix_time_after(wait) * SECOND);
            let text = date.format("%a, %d %b %Y %H:%M:%S GMT");
            response.add_header("Retry-After", text);
        }
    }
}

/// Rounded up, so that who waits so long waits long enough.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// In seconds, rounded up.
fn unix_time_after(wait: Duration) -> i64 {
    let millis = clock::now() + i64::try_from(wait.as_millis()).unwrap_or(0);
    (millis + SECOND - 1) / SECOND
}
