//! The headers by which a client learns of the hourly limit (API document, "Rate Limits").

use std::time::Duration;

use crate::clock::{self, SECOND};
use crate::control::Allowance;
use crate::http::Response;
use crate::options::Options;
use crate::quirks::{DateHeader, ResetHeader, RetryAfter};

/// The form of dates in headers (RFC 9110, 5.6.7).
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// The time of the answer, as the quirk has it.
pub fn add_date(response: &mut Response, options: &Options) {
    let mut now = options.now();
    match options.quirks.date_header {
        DateHeader::Absent => return,
        DateHeader::Present => (),
        DateHeader::Aged(age) => {
            response.add_header("Age", age.as_secs());
            now -= i64::try_from(age.as_millis()).unwrap_or(0);
        }
    }
    response.add_header("Date", clock::date_time(now).format(HTTP_DATE));
}

/// The limit, what is left of it, and the reset as the quirk has it.
pub fn add_limit(response: &mut Response, options: &Options, allowance: Allowance) {
    let quirks = &options.quirks;
    if quirks.bare_429 && response.status == 429 {
        return;
    }
    response.add_header("X-RateLimit-Limit", allowance.limit);
    response.add_header("X-RateLimit-Remaining", allowance.remaining);
    let seconds = whole_seconds(allowance.resets_in);
    match quirks.reset_header {
        ResetHeader::None => (),
        ResetHeader::RateLimitResetSeconds => response.add_header("X-RateLimitReset", seconds),
        ResetHeader::DashedSeconds => response.add_header("X-RateLimit-Reset", seconds),
        ResetHeader::Fixed(value) => response.add_header("X-RateLimit-Reset", value),
        ResetHeader::DashedUnixTime => {
            let time = unix_time_after(options, allowance.resets_in);
            response.add_header("X-RateLimit-Reset", time);
        }
    }
}

/// `Retry-After` in the form of the quirk.
pub fn add_retry_after(response: &mut Response, options: &Options, wait: Duration) {
    match options.quirks.retry_after {
        RetryAfter::None => (),
        RetryAfter::Seconds => response.add_header("Retry-After", whole_seconds(wait)),
        RetryAfter::HttpDate => {
            let date = clock::date_time(unix_time_after(options, wait) * SECOND);
            response.add_header("Retry-After", date.format(HTTP_DATE));
        }
    }
}

/// Rounded up, so that who waits so long waits long enough.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// In seconds, rounded up.
fn unix_time_after(options: &Options, wait: Duration) -> i64 {
    let millis = options.now() + i64::try_from(wait.as_millis()).unwrap_or(0);
    (millis + SECOND - 1) / SECOND
}
