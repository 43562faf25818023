//! A string that is never printed by accident, and the secrets to mask in all
//! output.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;

/// The secrets of this run.
static SECRETS: RwLock<Vec<Secret>> = RwLock::new(Vec::new());

/// Replaces a secret in messages.
const MASK: &str = "***";

/// A secret, such as the API token. `Debug` prints a mask, and there is no
/// `Display`. The text is available only through [`Secret::expose`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Marks a text as secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Masks all occurrences of the secret in a text. An API that echoes the
    /// request in its error message would otherwise leak the token.
    pub fn redact(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) {
            return text;
        }
        text.replace(&self.0, MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Masks this secret in everything that is [redacted](redact) from now on.
pub fn hide(secret: Secret) {
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    secrets.push(secret);
}

/// The text without the secrets.
pub fn redact(text: String) -> String {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets
        .iter()
        .fold(text, |text, secret| secret.redact(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing() {
        let secret = Secret::new("abc");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.redact("Bearer abc.".into()), "Bearer ***.");
    }
}
