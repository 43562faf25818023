//! The command line: what the program was asked to do, and its exit code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgGroup, Parser, ValueEnum};
use log::LevelFilter;
use serde_json::Value;

use crate::about::Format;
use crate::config;
use crate::error::{Error, Result};
use crate::files::read_json;
use crate::singer::{self, Catalog, State};
use crate::streams::{self, STREAMS};
use crate::{about, check, logging, progress, select, sync, watch};

/// Singer tap for Freshchat: writes an account's data to stdout as Singer
/// messages. Without another action it syncs.
#[derive(Parser)]
#[command(name = "tap-freshchat", version)]
#[command(group = ArgGroup::new("action").args(["discover", "test", "about"]))]
struct Args {
    /// Config file, or ENV for TAP_FRESHCHAT_* variables; may be repeated, later ones win
    #[arg(short, long, value_name = "FILE|ENV")]
    config: Vec<OsString>,
    /// State of an earlier run
    #[arg(short, long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Catalog with the selected streams; without it, all default streams are synced
    #[arg(long, value_name = "FILE", conflicts_with = "properties")]
    catalog: Option<PathBuf>,
    /// Catalog in its legacy form
    #[arg(short, long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// Print the catalog of all streams; needs no config and no network
    #[arg(short, long)]
    discover: bool,
    /// Try one call of each kind, and print which the token may make
    #[arg(long)]
    test: bool,
    /// Print the settings and capabilities; needs no config and no network
    #[arg(long)]
    about: bool,
    /// How --about prints
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "about")]
    format: Format,
    /// Least important log lines to show
    #[arg(long, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL")]
    log_level: LogLevel,
    /// How log lines are written; by default as text, or as JSON if Meltano asks for it
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<logging::Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Debug => LevelFilter::Debug,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Warning => LevelFilter::Warn,
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Critical => LevelFilter::Off,
        }
    }
}

/// Runs the program: arguments in, exit code out. The last line on stderr
/// before a code other than 0 begins with `CRITICAL`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    watch::begin();
    let result = parse(arguments).and_then(|args| args.map_or(Ok(()), act));
    progress::stop();
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let code = error.exit_code();
    if code != 0 {
        logging::critical(&error.to_string());
    }
    ExitCode::from(code)
}

/// The arguments; none where they only asked for help or the version, which
/// was printed.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Args>> {
    let error = match Args::try_parse_from(arguments) {
        Ok(args) => return Ok(Some(args)),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        singer::print(&error.to_string())?;
        return Ok(None);
    }
    let message = error.to_string();
    let what = message.split("\n\n").next().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Error::Usage(format!(
        "{}; see --help",
        what.trim_start_matches("error: ")
    )))
}

fn act(args: Args) -> Result<()> {
    logging::start(args.log_level.filter(), args.log_format);
    if args.about {
        return Ok(singer::print(&about::describe(args.format))?);
    }
    if args.discover {
        let streams = STREAMS.iter().map(|stream| stream.discover()).collect();
        let catalog =
            serde_json::to_string_pretty(&Catalog { streams }).expect("a catalog is always JSON");
        return Ok(singer::print(&format!("{catalog}\n"))?);
    }
    let config = config::load(&args.config)?;
    logging::hide(&config.settings.api_token);
    if args.test {
        return check::run(&config);
    }
    let catalog = match args.catalog.or(args.properties) {
        Some(path) => Some((read_json::<Catalog>("catalog", &path)?, path)),
        None => None,
    };
    let selected = match &catalog {
        Some((catalog, path)) => select::from_catalog(catalog, path)?,
        None => select::by_default(),
    };
    let state = match &args.state {
        Some(path) => read_state(path)?,
        None => State::default(),
    };
    if !logging::is_json() {
        progress::start();
    }
    sync::run(&config, selected, state)
}

fn read_state(path: &Path) -> Result<State> {
    let value: Value = read_json("state", path)?;
    State::from_value(value, |stream| streams::find(stream).is_some()).map_err(|bad| Error::Shape {
        what: "state",
        path: path.to_owned(),
        field: bad.field,
        problem: bad.problem,
    })
}
