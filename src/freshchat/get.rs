//! A GET request.

use url::form_urlencoded;

/// A GET request.
pub struct Get {
    /// The endpoint's template, for the metrics.
    pub endpoint: &'static str,
    /// The path below the base address, with encoded segments.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
}

impl Get {
    /// A request to an endpoint without path parameters.
    pub fn new(endpoint: &'static str) -> Self {
        Self {
            endpoint,
            path: endpoint.to_owned(),
            query: Vec::new(),
        }
    }

    /// A request for one object, whose id replaces `{id}` in the path.
    pub fn of(endpoint: &'static str, id: &str) -> Self {
        // Queries and paths differ only in the encoding of a space.
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        Self {
            path: endpoint.replace("{id}", &id.replace('+', "%20")),
            ..Self::new(endpoint)
        }
    }

    /// Adds a query parameter.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_in_its_segment() {
        for (id, path) in [
            ("59b838d2-f0ce", "users/59b838d2-f0ce/conversations"),
            ("a/b c+d?e#f", "users/a%2Fb%20c%2Bd%3Fe%23f/conversations"),
        ] {
            let get = Get::of("users/{id}/conversations", id);
            assert_eq!(
                (get.endpoint, get.path.as_str()),
                ("users/{id}/conversations", path)
            );
        }
    }
}
