//! The settings: read from files and the environment, and checked against
//! `schemas/config.json`, which defines them all.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonschema::error::ValidationErrorKind as Kind;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::extract::metrics::{self, Aggregator, GroupBy, Interval, Metric};
use crate::freshchat::{Address, clock};
use crate::secret::{self, Secret};
use crate::streams::ReportSource;
use crate::timestamp;

/// The JSON Schema of the config file.
pub const SCHEMA: &str = include_str!("../schemas/config.json");

/// Given in place of a config file, this means the environment.
const ENVIRONMENT: &str = "ENV";

/// The prefix of the environment variables.
const PREFIX: &str = "TAP_FRESHCHAT_";

/// The default `User-Agent` header.
const USER_AGENT: &str = concat!("tap-freshchat/", env!("CARGO_PKG_VERSION"));

/// Shorter secrets are not searched for in other settings, where they may occur
/// by chance.
const SHORTEST_SECRET: usize = 8;

/// A checked config.
#[derive(Debug, Clone)]
pub struct Config {
    /// The base address, from `api_url` or `domain`.
    pub address: Address,
    /// All other settings.
    pub settings: Settings,
}

/// The setting `conversation_discovery`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationDiscovery {
    Users,
    Reports,
    /// The users at first and then every `reconcile_days`, and the reports in
    /// between.
    Auto,
}

/// The settings, by their names in `schemas/config.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    domain: Option<String>,
    api_url: Option<String>,
    pub api_token: Secret,
    #[serde(deserialize_with = "time")]
    pub start_date: DateTime<Utc>,
    #[serde(default, deserialize_with = "optional_time")]
    pub end_date: Option<DateTime<Utc>>,
    pub page_size: u32,
    pub concurrency: usize,
    #[serde(rename = "request_timeout_seconds", deserialize_with = "seconds")]
    pub request_timeout: Duration,
    pub max_retries: u32,
    #[serde(rename = "retry_base_seconds", deserialize_with = "seconds")]
    pub retry_base: Duration,
    #[serde(rename = "retry_max_seconds", deserialize_with = "seconds")]
    pub retry_max: Duration,
    pub rate_limit_reserve_percent: f64,
    #[serde(rename = "lookback_seconds", deserialize_with = "seconds")]
    pub lookback: Duration,
    #[serde(default, rename = "report_lookback_hours")]
    pub report_lookback: ReportLookback,
    #[serde(
        rename = "report_request_interval_seconds",
        deserialize_with = "seconds"
    )]
    pub report_request_interval: Duration,
    #[serde(rename = "report_poll_interval_seconds", deserialize_with = "seconds")]
    pub report_poll_interval: Duration,
    #[serde(rename = "report_timeout_minutes", deserialize_with = "minutes")]
    pub report_timeout: Duration,
    pub conversation_discovery: ConversationDiscovery,
    #[serde(rename = "reconcile_days", deserialize_with = "days")]
    pub reconcile_after: Duration,
    pub report_jobs_per_event_per_day: u32,
    pub report_max_unpacked_bytes: u64,
    #[serde(default = "metrics::all", deserialize_with = "metric_names")]
    pub metrics: Vec<&'static Metric>,
    pub metrics_interval: Interval,
    #[serde(rename = "metrics_lookback_days", deserialize_with = "days")]
    pub metrics_lookback: Duration,
    pub metrics_group_by: Vec<GroupBy>,
    pub metrics_aggregators: Vec<Aggregator>,
    pub metrics_x_time_minutes: u32,
    pub emit_activate_version_messages: bool,
    #[serde(default = "default_user_agent")]
    pub user_agent: String,
}

/// How far before its bookmark each report is read again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub enum ReportLookback {
    /// For each report, as long as its rows may change.
    #[default]
    ByEvent,
    /// The same for all reports.
    #[serde(deserialize_with = "hours")]
    All(Duration),
    /// In hours, by the event's name in the API. Other reports use their own.
    Named(HashMap<String, f64>),
}

impl ReportLookback {
    /// The lookback of a report.
    pub fn of(&self, source: &ReportSource) -> Duration {
        let own = Duration::from_secs(u64::from(source.settled_after_hours) * 3600);
        match self {
            ReportLookback::ByEvent => own,
            ReportLookback::All(lookback) => *lookback,
            ReportLookback::Named(events) => events
                .get(source.event)
                // The schema limits the hours, so this can't panic.
                .map_or(own, |hours| Duration::from_secs_f64(hours * 3600.0)),
        }
    }
}

/// Reads the sources in order. Later ones win, and the environment always wins
/// over files.
///
/// No message quotes a string value, because it may be a secret in the wrong
/// setting.
///
/// # Errors
/// [`Error::File`], [`Error::Shape`] and [`Error::Setting`], which name the
/// file and the setting.
pub fn load(sources: &[OsString]) -> Result<Config> {
    let schema = schema();
    let mut merged = MergedSettings::default();
    let (environment, files): (Vec<_>, Vec<_>) =
        sources.iter().partition(|source| *source == ENVIRONMENT);
    for file in files {
        merged.read_file(Path::new(file), &schema)?;
    }
    if !environment.is_empty() {
        merged.read_environment(&schema)?;
    }
    merged.check(&schema)
}

/// `schemas/config.json`, parsed.
pub fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is part of the program")
}

fn properties(schema: &Value) -> &Map<String, Value> {
    schema["properties"]
        .as_object()
        .expect("the schema is part of the program")
}

fn is_secret(property: &Value) -> bool {
    property["secret"] == true
}

fn default_user_agent() -> String {
    USER_AGENT.to_owned()
}

/// Whether this tap has a setting of this name.
pub fn is_setting(name: &str) -> bool {
    properties(&schema()).contains_key(name)
}

/// The values read so far, and the origin of each.
#[derive(Default)]
struct MergedSettings {
    values: Map<String, Value>,
    origins: HashMap<String, String>,
    sources: Vec<String>,
    /// Names that are not settings, each with its file.
    unknown: Vec<(String, String)>,
    /// All secrets seen, including those that a later source replaced.
    secrets: Vec<String>,
}

impl MergedSettings {
    fn read_file(&mut self, path: &Path, schema: &Value) -> Result<()> {
        let values: Value = crate::files::read_json("config", path)?;
        let origin = path.display().to_string();
        // Checked here because the parser's message would show the value.
        let Value::Object(values) = values else {
            return Err(Error::Shape {
                what: "config",
                path: path.to_owned(),
                field: String::new(),
                problem: "is not a JSON object".into(),
            });
        };
        for (name, value) in values {
            match properties(schema).get(&name) {
                Some(property) => self.set(name, value, property, origin.clone()),
                None => self.unknown.push((name, origin.clone())),
            }
        }
        self.sources.push(origin);
        Ok(())
    }

    fn read_environment(&mut self, schema: &Value) -> Result<()> {
        for (name, property) in properties(schema) {
            let variable = format!("{PREFIX}{}", name.to_uppercase());
            let text = match std::env::var(&variable) {
                Ok(text) if text.is_empty() => continue,
                Ok(text) => text,
                Err(std::env::VarError::NotPresent) => continue,
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(setting(&variable, name, "is not UTF-8 text"));
                }
            };
            let value = cast(text, property)
                .map_err(|expected| setting(&variable, name, format!("is not {expected}")))?;
            self.set(name.clone(), value, property, variable);
        }
        self.sources.push(ENVIRONMENT.to_owned());
        Ok(())
    }

    fn set(&mut self, name: String, value: Value, property: &Value, origin: String) {
        if let (true, Some(secret)) = (is_secret(property), value.as_str()) {
            self.secrets.push(secret.to_owned());
        }
        self.origins.insert(name.clone(), origin);
        self.values.insert(name, value);
    }

    /// Where a setting came from, or where it was expected.
    fn origin(&self, name: &str) -> String {
        match self.origins.get(name) {
            Some(origin) => origin.clone(),
            None if self.sources.is_empty() => {
                "(none given: use --config FILE or --config ENV)".into()
            }
            None => self.sources.join(", "),
        }
    }

    fn check(mut self, schema: &Value) -> Result<Config> {
        // Templates leave nulls and empty strings for missing values, and
        // Meltano sets an empty variable. Both count as not set.
        self.values
            .retain(|_, value| !value.is_null() && value != "");
        for secret in &self.secrets {
            secret::hide(Secret::new(secret));
        }
        for (name, origin) in &self.unknown {
            log::warn!("config {origin}: `{name}` is not a setting of this tap; it is ignored");
        }
        self.validate(schema)?;
        self.check_secrets(schema)?;
        for (name, property) in properties(schema) {
            if let (false, Some(default)) =
                (self.values.contains_key(name), property.get("default"))
            {
                self.values.insert(name.clone(), default.clone());
            }
        }
        let values = Value::Object(std::mem::take(&mut self.values));
        let settings: Settings = serde_path_to_error::deserialize(values).map_err(|error| {
            let name = error.path().to_string();
            setting(&self.origin(&name), &name, error.into_inner())
        })?;
        let address = self.address(&settings)?;
        self.check_headers(&settings)?;
        self.check_dates(&settings)?;
        Ok(Config { address, settings })
    }

    fn check_dates(&self, settings: &Settings) -> Result<()> {
        let refuse = |name, problem| Err(setting(&self.origin(name), name, problem));
        if settings.start_date > clock::machine() {
            return refuse("start_date", "is in the future");
        }
        if settings
            .end_date
            .is_some_and(|end| end < settings.start_date)
        {
            return refuse("end_date", "is before `start_date`");
        }
        Ok(())
    }

    /// Checks that no other setting contains a secret. Such a setting would
    /// send it elsewhere: as part of a host name, or in a header to the file
    /// storage.
    fn check_secrets(&self, schema: &Value) -> Result<()> {
        let long = |secret: &&String| secret.len() >= SHORTEST_SECRET;
        let secrets: Vec<String> = self
            .secrets
            .iter()
            .filter(long)
            .map(|secret| secret.to_lowercase())
            .collect();
        for (name, property) in properties(schema) {
            let Some(value) = self.values.get(name).filter(|_| !is_secret(property)) else {
                continue;
            };
            let text = value.to_string().to_lowercase();
            if secrets.iter().any(|secret| text.contains(secret)) {
                return Err(setting(
                    &self.origin(name),
                    name,
                    "contains a secret, such as the token, which belongs only in its own setting",
                ));
            }
        }
        Ok(())
    }

    /// Checks that values sent as headers are valid header values.
    fn check_headers(&self, settings: &Settings) -> Result<()> {
        let token = settings.api_token.expose();
        let texts = [
            (
                "api_token",
                token.bytes().all(|byte| byte.is_ascii_graphic()),
            ),
            (
                "user_agent",
                settings
                    .user_agent
                    .bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            ),
        ];
        match texts.iter().find(|(_, fits)| !fits) {
            None => Ok(()),
            Some((name, _)) => Err(setting(
                &self.origin(name),
                name,
                "has a line break or another character that an HTTP header can't hold",
            )),
        }
    }

    fn validate(&self, schema: &Value) -> Result<()> {
        // Dates are checked later, because the schema's `format` allows only
        // RFC 3339, and the tap accepts more.
        let validator = jsonschema::options()
            .should_validate_formats(false)
            .build(schema)
            .expect("the schema is part of the program");
        let values = Value::Object(self.values.clone());
        let Some(error) = validator.iter_errors(&values).next() else {
            return Ok(());
        };
        let path = error.instance_path().to_string();
        let name = path.split('/').nth(1).unwrap_or_default();
        // The message may quote a number, but no other value and no member
        // name: these may be secrets.
        let problem = match (error.kind(), error.instance().as_ref()) {
            (Kind::Required { property }, _) if path.is_empty() => {
                let name = property.as_str().unwrap_or_default();
                return Err(setting(&self.origin(name), name, "is missing"));
            }
            (Kind::AdditionalProperties { .. } | Kind::PropertyNames { .. }, _) => {
                "it has a member with an unknown name".to_owned()
            }
            (_, Value::Number(_)) if !is_secret(&properties(schema)[name]) => error.to_string(),
            _ => error.masked().to_string(),
        };
        Err(setting(
            &self.origin(name),
            name,
            format!("is wrong: {problem}"),
        ))
    }

    fn address(&self, settings: &Settings) -> Result<Address> {
        match (&settings.api_url, &settings.domain) {
            (Some(url), _) => Address::from_url(url)
                .map_err(|problem| setting(&self.origin("api_url"), "api_url", problem)),
            (None, Some(domain)) => Address::from_domain(domain)
                .map_err(|problem| setting(&self.origin("domain"), "domain", problem)),
            (None, None) => Err(setting(&self.origin("domain"), "domain", "is missing")),
        }
    }
}

fn setting(origin: &str, name: &str, problem: impl ToString) -> Error {
    Error::Setting {
        origin: origin.to_owned(),
        setting: name.to_owned(),
        problem: problem.to_string(),
    }
}

/// Converts an environment variable to the setting's type. The error is the
/// name of the expected type.
fn cast(text: String, property: &Value) -> std::result::Result<Value, &'static str> {
    if property["type"].is_array() {
        return match serde_json::from_str(&text) {
            Ok(value @ (Value::Number(_) | Value::Object(_))) => Ok(value),
            _ => Err("a number or a JSON object"),
        };
    }
    match property["type"].as_str().unwrap_or_default() {
        "integer" => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| "a whole number"),
        "number" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err("a number"),
        },
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err("`true` or `false`"),
        },
        "array" => match serde_json::from_str(&text) {
            Ok(Value::Array(items)) => Ok(Value::Array(items)),
            _ => Err("a JSON array"),
        },
        _ => Ok(Value::String(text)),
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    duration(deserializer, 1.0)
}

fn minutes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    duration(deserializer, 60.0)
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    duration(deserializer, 3600.0)
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    duration(deserializer, 86_400.0)
}

fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
    unit: f64,
) -> std::result::Result<Duration, D::Error> {
    let number = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(number * unit).map_err(de::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    timestamp::parse(&text).ok_or_else(|| {
        de::Error::custom(
            "is neither an RFC 3339 timestamp, such as 2026-01-02T03:04:05Z, nor a date",
        )
    })
}

fn optional_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<DateTime<Utc>>, D::Error> {
    time(deserializer).map(Some)
}

fn metric_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<&'static Metric>, D::Error> {
    metrics::named(&Vec::deserialize(deserializer)?).map_err(de::Error::custom)
}
