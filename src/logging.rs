//! Log lines on stderr. Each is a single line: a level, a space and the
//! message, or a JSON object with the fields of the Singer SDK's structured
//! logs, which Meltano reads.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use log::{LevelFilter, Log, Metadata, Record};
use serde_json::{Value, json};

use crate::freshchat::clock;
use crate::progress;
use crate::secret::redact;

static LOGGER: Logger = Logger;
static FORMAT: OnceLock<LogFormat> = OnceLock::new();
/// Whether the last line was printed.
static ENDED: Mutex<bool> = Mutex::new(false);

/// The maximum length of a message in characters. A server's error text can be
/// of any length.
const LONGEST: usize = 1000;

/// The variable with the path of a log configuration. Meltano sets it for taps
/// built with the Singer SDK.
const SDK_CONFIG: &str = "SINGER_SDK_LOG_CONFIG";

/// The formatter in that configuration that asks for JSON.
const SDK_FORMATTER: &str = "singer_sdk.logging.StructuredFormatter";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// `INFO message`
    Text,
    /// One JSON object a line, as Meltano's structured logging reads it
    Json,
}

struct Logger;

/// Starts logging at the given level. Without a format, logs are JSON if
/// Meltano asks for it. Lines of other crates are not shown, because they would
/// print headers.
pub fn start(level: LevelFilter, format: Option<LogFormat>) {
    FORMAT.get_or_init(|| format.unwrap_or_else(format_of_environment));
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

/// Whether lines are written for programs, not for people.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Prints the line that ends a failed run. It is shown at every log level, and
/// no line follows it.
pub fn critical(message: &str) {
    LogLine::new("CRITICAL", message).print();
}

/// Prints a warning before the log level is known.
pub fn warning(message: &str) {
    LogLine::new("WARNING", message).print();
}

/// JSON, if the log configuration in the environment asks for it. A file in
/// another form belongs to some other program, and is ignored.
fn format_of_environment() -> LogFormat {
    let formatters = std::env::var_os(SDK_CONFIG)
        .and_then(|path| std::fs::read(Path::new(&path)).ok())
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .and_then(|config| config.get("formatters")?.as_object().cloned());
    let is_structured = |formatter: &Value| formatter["()"] == SDK_FORMATTER;
    match formatters {
        Some(formatters) if formatters.values().any(is_structured) => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// A line of the log.
#[derive(Default)]
struct LogLine<'a> {
    level: &'static str,
    message: String,
    /// The stream that the line is about.
    stream: Option<Cow<'a, str>>,
    /// A Singer metric, as JSON.
    metric: Option<Cow<'a, str>>,
}

impl<'a> LogLine<'a> {
    fn new(level: &'static str, message: &str) -> Self {
        Self {
            level,
            message: message.to_owned(),
            ..Self::default()
        }
    }

    /// A line with the stream and the metric that the record's keys `stream`
    /// and `metric` name.
    fn of(record: &'a Record) -> Self {
        let level = match record.level() {
            log::Level::Error => "ERROR",
            log::Level::Warn => "WARNING",
            log::Level::Info => "INFO",
            log::Level::Debug | log::Level::Trace => "DEBUG",
        };
        let value = |key: &str| record.key_values().get(key.into())?.to_cow_str();
        Self {
            level,
            message: record.args().to_string(),
            stream: value("stream"),
            metric: value("metric"),
        }
    }

    fn print(&self) {
        // The live lines show the same numbers.
        if self.metric.is_some() && !is_json() && progress::is_shown() {
            return;
        }
        let line = match is_json() {
            true => self.structured().to_string(),
            false => self.text(),
        };
        progress::above(|| {
            let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
            if !*ended {
                *ended = self.level == "CRITICAL";
                // A closed stderr must not end a run that still delivers
                // records.
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
        });
    }

    fn text(&self) -> String {
        let (level, message) = (self.level, self.message());
        match &self.metric {
            Some(metric) => format!("{level} {message}: {metric}"),
            None => format!("{level} {message}"),
        }
    }

    /// The message, which names the stream. A server's text must not control
    /// the terminal or start a new line, and can be of any length.
    fn message(&self) -> String {
        let message = match &self.stream {
            Some(stream) => format!("stream `{stream}`: {}", self.message),
            None => self.message.clone(),
        };
        let mut message = without_keys(&redact(message.replace(char::is_control, " ")));
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        message
    }

    /// The fields of `singer_sdk.logging.StructuredFormatter`.
    fn structured(&self) -> Value {
        let thread = std::thread::current();
        let mut line = json!({
            "level": self.level.to_lowercase(),
            "ts": clock::machine().timestamp_micros() as f64 / 1e6,
            "logger_name": env!("CARGO_PKG_NAME"),
            "app_name": env!("CARGO_PKG_NAME"),
            "pid": std::process::id(),
            "thread_name": thread.name().unwrap_or_default(),
            "message": self.message(),
        });
        let metric = self.metric.as_deref();
        let metric = metric.and_then(|metric| serde_json::from_str::<Value>(metric).ok());
        let tags = metric.as_ref().map(|metric| &metric["tags"]);
        let of_metric = tags.and_then(|tags| tags["stream"].as_str());
        if let Some(stream) = self.stream.as_deref().or(of_metric) {
            line["stream_name"] = stream.into();
        }
        if let Some(metric) = metric {
            line["metric_info"] = metric;
        }
        line
    }
}

/// Removes what may be a key from the addresses in a text: the user name and
/// password before the host, and the query.
fn without_keys(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, address)) = rest.split_once("://") {
        let ends = |c: char| c.is_whitespace() || "\"'`<>)]}".contains(c);
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        let shown = address.split('?').next().unwrap_or_default();
        let host_end = shown.find('/').unwrap_or(shown.len());
        let user_end = shown[..host_end].rfind('@').map_or(0, |at| at + 1);
        clean.push_str(before);
        clean.push_str("://");
        clean.push_str(&shown[user_end..]);
        rest = after;
    }
    clean + rest
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        LogLine::of(record).print();
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_may_be_a_key() {
        for (text, shown) in [
            ("no address: a?b c@d", "no address: a?b c@d"),
            ("https://u:p@host/a?key=1 (x)", "https://host/a (x)"),
            (
                "`http://host?q` and http://a@b",
                "`http://host` and http://b",
            ),
            ("https://host/a@b/c, then", "https://host/a@b/c, then"),
        ] {
            assert_eq!(without_keys(text), shown);
        }
    }
}
