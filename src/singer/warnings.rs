//! Warnings about a stream's records.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;

use xxhash_rust::xxh3::xxh3_64;

/// How many names per stream are logged individually.
const LOGGED: u64 = 20;

/// How many names are remembered. The limit protects the memory if the API
/// keeps sending new names.
const REMEMBERED: usize = 10_000;

/// The maximum length of a logged name, in characters.
const SHOWN: usize = 800;

/// The warnings of one stream, each logged once.
pub struct Warnings {
    stream: String,
    /// Hashes of the warnings so far. In the very unlikely case of a collision,
    /// two names share a warning.
    seen: HashSet<u64>,
    names: u64,
    /// Whether the records have `_extra`.
    kept: bool,
    /// Whether some names may not have been counted.
    forgot: bool,
}

impl Warnings {
    /// `kept` is whether the records have `_extra`.
    pub fn new(stream: &str, kept: bool) -> Self {
        Self {
            kept,
            stream: stream.to_owned(),
            seen: HashSet::new(),
            names: 0,
            forgot: false,
        }
    }

    /// Logs a warning, once for each key.
    pub fn once(&mut self, key: &str, message: &str) {
        if self.seen.insert(xxh3_64(key.as_bytes())) {
            log::warn!(stream = self.stream.as_str(); "{message}");
        }
    }

    /// Warns about a name that is not in the schema, or whose values have
    /// another type there.
    pub fn unknown(&mut self, name: &str) {
        let fate = match self.kept {
            true => "it goes to `_extra`",
            false => "it is left out, because `_extra` is not selected",
        };
        self.name(
            name,
            &format_args!("is not in the schema, or has another type there; {fate}"),
        );
    }

    /// Warns about a value that fits neither its property nor `_extra`, because
    /// parts of it may not be selected.
    pub fn left_out(&mut self, name: &str) {
        self.name(
            name,
            &"doesn't have its type in the schema, or occurs twice, and parts of it are not \
              selected; it is left out",
        );
    }

    /// Logs a warning about a name, once. After many names, further ones are
    /// only counted.
    fn name(&mut self, name: &str, problem: &dyn Display) {
        let hash = xxh3_64(name.as_bytes());
        if self.seen.contains(&hash) {
            return;
        }
        if self.seen.len() >= REMEMBERED {
            self.forgot = true;
            return;
        }
        self.seen.insert(hash);
        self.names += 1;
        if self.names <= LOGGED {
            log::warn!(stream = self.stream.as_str(); "`{}` {problem}", shown(name));
        }
    }
}

/// At the end of the stream, logs how many names were not logged.
impl Drop for Warnings {
    fn drop(&mut self) {
        if self.names > LOGGED {
            let least = if self.forgot { "at least " } else { "" };
            let fate = match self.kept {
                true => "they go to `_extra`",
                false => "they are left out, because `_extra` is not selected",
            };
            log::warn!(
                stream = self.stream.as_str();
                "names that are not in the schema, or have another type there: {least}{} more; \
                 {fate}",
                self.names - LOGGED
            );
        }
    }
}

/// The beginning of a long name.
fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(SHOWN) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}
