//! Answers that are errors.

use serde_json::json;

use crate::http::Response;
use crate::quirks::ErrorStyle;

/// An error before it has the account's style.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: u16,
    /// What stands in `status` of the documented form.
    pub name: &'static str,
    pub message: String,
    /// Comes as `{"success": false, …}` with this code, whatever the style.
    pub error_code: Option<u32>,
}

impl Problem {
    pub fn new(status: u16, name: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            name,
            message: message.into(),
            error_code: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Problem {
        Problem::new(400, "INVALID_VALUE", message)
    }

    /// The error of a status alone, as faults make it.
    pub fn of_status(status: u16) -> Problem {
        let (name, message) = match status {
            401 => ("UNAUTHENTICATED", "the token is not valid"),
            403 => ("FORBIDDEN", "the token lacks the permission"),
            404 => ("NOT_FOUND", "not found"),
            408 => ("REQUEST_TIMEOUT", "the request took too long"),
            429 => ("TOO_MANY_REQUESTS", "the hourly limit is spent"),
            500.. => ("INTERNAL_SERVER_ERROR", "an unexpected error"),
            _ => ("BAD_REQUEST", "the request can't be answered"),
        };
        Problem::new(status, name, message)
    }

    pub fn response(self, style: ErrorStyle) -> Response {
        let code = u32::from(self.status);
        let style = match self.error_code {
            Some(_) => ErrorStyle::SuccessFalse,
            None => style,
        };
        let body = match style {
            ErrorStyle::Documented => {
                json!({"code": code, "status": self.name, "message": self.message})
            }
            ErrorStyle::SuccessFalse => json!({
                "success": false,
                "error_code": self.error_code.unwrap_or(code),
                "error_message": self.message,
            }),
            ErrorStyle::PlainText => {
                let text = format!("{}: {}\n", self.name, self.message);
                return Response::new(self.status, "text/plain", text);
            }
        };
        Response::json(self.status, body.to_string())
    }
}
