//! Fields that no document names, as an API sends them that has changed.

use serde_json::{Value, json};

use crate::http::Response;

/// Adds them to every other record of an answer, the first one among them.
pub fn add(endpoint: &str, response: &mut Response) {
    let Ok(mut body) = serde_json::from_slice(&response.body) else {
        return;
    };
    for record in records(endpoint, &mut body).into_iter().step_by(2) {
        record["new_object"] = json!({"tier": "gold", "points": [1, 2.35, null], "of": {}});
        record["new_number"] = json!(17.25);
        record["new_text"] = json!("a comma, a \"quote\"\nand a line");
    }
    response.body = body.to_string().into_bytes();
}

/// The objects that an answer is about.
fn records<'a>(endpoint: &str, body: &'a mut Value) -> Vec<&'a mut Value> {
    match (endpoint, body) {
        (endpoint, _) if endpoint.starts_with("reports/") => Vec::new(),
        (_, Value::Array(list)) => list.iter_mut().collect(),
        (
            "accounts/configuration"
            | "business-hours/within-bh"
            | "conversations/{id}"
            | "users/{id}",
            body,
        ) => vec![body],
        (_, Value::Object(body)) => {
            let lists = body.values_mut().filter_map(Value::as_array_mut);
            lists.flatten().filter(|entry| entry.is_object()).collect()
        }
        _ => Vec::new(),
    }
}
