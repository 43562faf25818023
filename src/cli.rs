//! The command line: parses the arguments, runs the action and sets the exit
//! code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgGroup, Parser, ValueEnum};
use log::LevelFilter;

use crate::about::AboutFormat;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::files::{self, read_json};
use crate::singer::{self, Catalog, Names, State};
use crate::streams::{self, STREAMS, Stream};
use crate::{about, check, logging, progress, select, sync, watch};

/// Singer tap for Freshchat: writes an account's data to stdout as Singer
/// messages. Syncs unless another action is given.
#[derive(Parser)]
#[command(name = "tap-freshchat", version)]
#[command(group = ArgGroup::new("action").args(["discover", "test", "about"]))]
#[command(group = ArgGroup::new("formatted").args(["test", "about"]))]
struct Args {
    /// Config file, or ENV for TAP_FRESHCHAT_* variables; may be repeated, later files win
    #[arg(short, long, value_name = "FILE|ENV")]
    config: Vec<OsString>,
    /// State of the previous run
    #[arg(short, long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Catalog with the selected streams; without it, the default streams are synced
    #[arg(long, value_name = "FILE", conflicts_with = "properties")]
    catalog: Option<PathBuf>,
    /// Legacy name of --catalog
    #[arg(short, long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// Print the catalog of all streams; needs no config and no network
    #[arg(short, long)]
    discover: bool,
    /// Make one call of each kind, and print what the token may read and how the account answers
    #[arg(long)]
    test: bool,
    /// Print the settings and capabilities; needs no config and no network
    #[arg(long)]
    about: bool,
    /// Output format of --about and --test; markdown is only for --about
    #[arg(long, value_enum, default_value_t = AboutFormat::Text, requires = "formatted")]
    format: AboutFormat,
    /// Lowest level of log lines to show
    #[arg(long, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL")]
    log_level: LogLevel,
    /// Format of log lines; defaults to text, or to JSON if Meltano asks for it
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<logging::LogFormat>,
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

/// Parses the arguments. Returns `None` if they only asked for help or the
/// version, which clap has printed.
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
    if error.kind() == ErrorKind::UnknownArgument && !is_flag(&error) {
        // The argument may be the token, so the message doesn't quote it.
        let problem = "an argument is not a flag, nor the value of one; see --help";
        return Err(Error::Usage(problem.into()));
    }
    let message = error.to_string();
    let what = message.split("\n\n").next().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Error::Usage(format!(
        "{}; see --help",
        what.trim_start_matches("error: ")
    )))
}

/// Whether the unknown argument looks like a flag.
fn is_flag(error: &clap::Error) -> bool {
    let argument = error.get(ContextKind::InvalidArg);
    argument.is_some_and(|argument| argument.to_string().starts_with('-'))
}

fn act(args: Args) -> Result<()> {
    logging::start(args.log_level.filter(), args.log_format);
    if args.about {
        return Ok(singer::print(&about::describe(args.format))?);
    }
    if args.discover {
        let streams = STREAMS.iter().map(Stream::discover).collect();
        let catalog =
            serde_json::to_string_pretty(&Catalog { streams }).expect("a catalog is always JSON");
        return Ok(singer::print(&format!("{catalog}\n"))?);
    }
    if args.test && args.format == AboutFormat::Markdown {
        let problem = "--test prints text or json, not markdown; see --help";
        return Err(Error::Usage(problem.into()));
    }
    let config = config::load(&args.config)?;
    if args.test {
        return check::run(&config, args.format == AboutFormat::Json);
    }
    let catalog = match args.catalog.or(args.properties) {
        Some(path) => Some((read_json::<Catalog>("catalog", &path)?, path)),
        None => None,
    };
    let selected = match &catalog {
        Some((catalog, path)) => select::from_catalog(catalog, path)?,
        None => select::by_default(),
    };
    let state = read_state(args.state.as_deref(), &config)?;
    if !logging::is_json() {
        progress::start();
    }
    sync::run(&config, selected, state)
}

/// Reads the state, or starts an empty one, for this account. On loopback, the
/// account is unknown, because the host is a test server or a proxy.
fn read_state(path: Option<&Path>, config: &Config) -> Result<State> {
    let names = Names {
        is_stream: &|name| streams::find(name).is_some(),
        replication_key: &|name| streams::find(name).and_then(|stream| stream.replication_key),
        is_setting: &config::is_setting,
    };
    let bytes = match path {
        Some(path) => files::read("state", path)?,
        None => Vec::new(),
    };
    let state = State::read(&bytes, &names).and_then(|mut state| {
        if !config.address.is_loopback() {
            state.belongs_to(&config.address.host())?;
        }
        Ok(state)
    });
    state.map_err(|bad| Error::Shape {
        what: "state",
        path: path.unwrap_or(Path::new("")).to_owned(),
        field: bad.field,
        problem: bad.problem,
    })
}
