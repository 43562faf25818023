//! Log lines on stderr: a level, a space, the message, always one line.

use std::io::Write;
use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};

use crate::secret::Secret;

static LOGGER: Logger = Logger;
static TOKEN: OnceLock<Secret> = OnceLock::new();

struct Logger;

/// Starts logging at the given level. Lines of other crates are not shown:
/// they would print headers.
pub fn start(level: LevelFilter) {
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

/// Masks this secret in every later line.
pub fn hide(token: &Secret) {
    TOKEN.get_or_init(|| token.clone());
}

/// Prints the line that ends a run that failed. No level switches it off.
pub fn critical(message: &str) {
    print("CRITICAL", message);
}

fn print(level: &str, message: &str) {
    let message = message.replace(['\n', '\r'], " ");
    let message = match TOKEN.get() {
        Some(token) => token.redact(message),
        None => message,
    };
    // A closed stderr must not end a run that still delivers records.
    let _ = writeln!(std::io::stderr().lock(), "{level} {message}");
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Error => "ERROR",
            log::Level::Warn => "WARNING",
            log::Level::Info => "INFO",
            log::Level::Debug | log::Level::Trace => "DEBUG",
        };
        print(level, &record.args().to_string());
    }

    fn flush(&self) {}
}
