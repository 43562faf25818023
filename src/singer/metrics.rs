//! Metrics in the log, in the format of the Singer libraries.

use std::time::Duration;

use serde_json::{Value, json};

/// Logs the duration of an HTTP request. `endpoint` is a template, never an
/// address with ids.
pub fn http_request(endpoint: &str, status: Option<u16>, took: Duration) {
    let succeeded = status.is_some_and(|status| status < 400);
    metric(json!({
        "type": "timer",
        "metric": "http_request_duration",
        "value": (took.as_secs_f64() * 1e6).round() / 1e6,
        "tags": {
            "endpoint": endpoint,
            "http_status_code": status,
            "status": if succeeded { "succeeded" } else { "failed" },
        },
    }));
}

/// Logs the number of records of a stream.
pub fn record_count(stream: &str, records: u64) {
    metric(json!({
        "type": "counter",
        "metric": "record_count",
        "value": records,
        "tags": { "stream": stream },
    }));
}

fn metric(metric: Value) {
    let metric = metric.to_string();
    log::info!(metric = metric.as_str(); "METRIC");
}
