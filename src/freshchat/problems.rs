//! Describes what is wrong with an answer.

use ureq::http::HeaderMap;
use url::Url;

use crate::error::ApiError;

/// How much of a body an error shows, in characters.
const SHOWN_BODY: usize = 200;

/// How much of the API's message is kept, in characters.
const KEPT_WORDS: usize = 1000;

/// Whether the body is HTML.
pub fn looks_like_html(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// The text of a header, if it is present and valid text.
pub fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The host of a redirect. The rest of the address may contain secrets.
pub fn redirect_target(headers: &HeaderMap) -> String {
    let target = header_text(headers, "location").unwrap_or_default();
    match Url::parse(&target) {
        Ok(url) => url.host_str().unwrap_or_default().to_owned(),
        Err(_) => "another address".to_owned(),
    }
}

/// What is wrong with the structure of an answer, without the wrong value.
pub fn without_values(problem: &serde_json::Error) -> String {
    let problem = problem.to_string();
    match problem.split_once(", expected ") {
        Some((_, expected)) => format!("the answer is not as documented: expected {expected}"),
        None => problem,
    }
}

/// Whether the host name could not be resolved.
pub fn is_unknown_host(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        // Errors of the system's resolver have no kind of their own.
        ureq::Error::Io(error) => error.to_string().contains("lookup address"),
        _ => false,
    }
}

/// Parses an error of the API: `{code, status, message}`, `{success: false,
/// error_code, error_message}`, or text that is not JSON.
pub fn api_error(
    endpoint: &'static str,
    request: String,
    status: u16,
    body: &str,
    trace: Option<String>,
) -> ApiError {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |names: [&str; 2]| {
        names.iter().find_map(|name| match &json[*name] {
            serde_json::Value::String(text) => Some(text.chars().take(KEPT_WORDS).collect()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let code = text(["status", "error_code"]).unwrap_or_default();
    let message = text(["message", "error_message"]).unwrap_or_else(|| {
        let words: Vec<&str> = body.split_whitespace().collect();
        words.join(" ").chars().take(SHOWN_BODY).collect()
    });
    ApiError {
        endpoint,
        request,
        status,
        code,
        message,
        trace,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_error() {
        for (body, code, message) in [
            (
                r#"{"code":404,"status":"AGENT_NOT_FOUND","message":"agent not found"}"#,
                "AGENT_NOT_FOUND",
                "agent not found",
            ),
            (
                r#"{"success":false,"error_code":5,"error_message":"No matching event name"}"#,
                "5",
                "No matching event name",
            ),
            ("Bad\n  Gateway", "", "Bad Gateway"),
        ] {
            let error = api_error("x", "GET /v2/x".into(), 404, body, None);
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                (code, message)
            );
        }
    }
}
