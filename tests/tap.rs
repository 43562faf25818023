//! The harness: runs the program, and checks what must hold of any run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use freshchat_sandbox::{Options, Sandbox};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::rules;

/// A run of the program that is yet to start.
pub struct Tap {
    files: TempDir,
    config: Value,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// What it begins with.
    state: Value,
    /// As in [`rules::broken`].
    retries: bool,
}

/// A run that takes longer hangs.
const MOST_TIME: Duration = Duration::from_secs(60);

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; none after a kill.
    pub code: Option<i32>,
    /// The lines of stdout.
    pub messages: Vec<Value>,
}

impl Tap {
    /// A run against an account, of the streams that are selected by default.
    pub fn new(sandbox: &Sandbox) -> Self {
        Self::with_config(sandbox.config())
    }

    pub fn with_config(config: Value) -> Self {
        Self {
            files: tempfile::tempdir().unwrap(),
            config,
            arguments: Vec::new(),
            variables: Vec::new(),
            state: Value::Null,
            retries: false,
        }
    }

    /// Changes a setting; null takes it away.
    pub fn set(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.config[setting] = value.into();
        self
    }

    /// Writes a file and names it in the arguments.
    pub fn file(mut self, flag: &str, content: &str) -> Self {
        let path = self.path(flag.trim_start_matches('-'));
        fs::write(&path, content).unwrap();
        self.arguments
            .extend([flag.to_owned(), path.display().to_string()]);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn catalog(self, catalog: &Value) -> Self {
        self.file("--catalog", &catalog.to_string())
    }

    pub fn state(mut self, state: &Value) -> Self {
        self.state = state.clone();
        self.file("--state", &state.to_string())
    }

    /// Selects these streams and no other.
    pub fn streams(self, names: &[&str]) -> Self {
        self.catalog(&catalog_of(names))
    }

    /// What is missed at first may be read again, and come twice.
    pub fn with_retries(mut self, retries: bool) -> Self {
        self.retries = retries;
        self
    }

    pub fn setting(&self, setting: &str) -> &Value {
        &self.config[setting]
    }

    /// The command, with the config file written.
    pub fn command(&self) -> Command {
        let mut config = self.config.clone();
        config
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        fs::write(self.path("config.json"), config.to_string()).unwrap();
        let mut command = bare_command();
        command.arg("--config").arg(self.path("config.json"));
        command.args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs to the end, whatever it is.
    pub fn run(&self) -> Run {
        let output = self.command().output().unwrap();
        self.ended(output.stdout, output.stderr, output.status.code())
    }

    /// Runs to the end, which must be a success.
    pub fn succeed(&self) -> Run {
        let run = self.run();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(run.messages.last().unwrap()["type"], "STATE");
        run
    }

    /// Runs, and kills the program after so many lines on stdout.
    pub fn kill_after(&self, lines: usize) -> Run {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut read = Vec::new();
        for _ in 0..lines {
            if stdout.read_until(b'\n', &mut read).unwrap() == 0 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.ended(read, Vec::new(), None)
    }

    /// Runs, and kills the program once `ready` says so, which it must; see
    /// [`Tap::run_until`].
    pub fn kill_when(&self, ready: impl Fn(usize) -> bool) -> Run {
        let run = self.run_until(ready);
        assert_eq!(run.code, None, "it ends before: {}", run.stderr);
        run
    }

    /// Runs to the end, or kills the program once `ready` says so, which is
    /// told how many lines came; all that it had written is what a target
    /// would have got. A minute is for ever.
    pub fn run_until(&self, ready: impl Fn(usize) -> bool) -> Run {
        let mut child = self.spawn();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let lines = AtomicUsize::new(0);
        let (mut read, mut log) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let code = std::thread::scope(|scope| {
            scope.spawn(|| {
                while stdout.read_until(b'\n', &mut read).unwrap() > 0 {
                    lines.fetch_add(1, Ordering::SeqCst);
                }
            });
            scope.spawn(|| stderr.read_to_end(&mut log).unwrap());
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    return status.code();
                }
                let hangs = started.elapsed() > MOST_TIME;
                if hangs || ready(lines.load(Ordering::SeqCst)) {
                    child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let hangs = started.elapsed() > MOST_TIME && code.is_none();
        assert!(!hangs, "it hangs: {}", String::from_utf8_lossy(&log));
        let end_of_line = read.iter().rposition(|byte| *byte == b'\n');
        read.truncate(end_of_line.map_or(0, |at| at + 1));
        self.ended(read, log, code)
    }

    fn ended(&self, stdout: Vec<u8>, stderr: Vec<u8>, code: Option<i32>) -> Run {
        Run::new(stdout, stderr, code).checked(&self.state, self.retries)
    }

    /// Starts the program with both outputs piped.
    pub fn spawn(&self) -> Child {
        self.command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program, where no test runs, for which Cargo builds one.
#[allow(dead_code, reason = "an example calls it")]
pub fn set_program(path: PathBuf) {
    PROGRAM.set(path).unwrap();
}

fn program() -> &'static PathBuf {
    let built = option_env!("CARGO_BIN_EXE_tap-freshchat");
    PROGRAM.get_or_init(|| PathBuf::from(built.unwrap()))
}

/// The program without arguments, and without anything of this process'
/// environment that it would read.
pub fn bare_command() -> Command {
    let mut command = Command::new(program());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TAP_FRESHCHAT_")) {
        command.env_remove(name);
    }
    command.env_remove("SINGER_SDK_LOG_CONFIG");
    command.stdin(Stdio::null());
    command
}

/// Runs the program with these arguments alone.
pub fn bare(arguments: &[&str]) -> Run {
    let output = bare_command().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code(),
        messages: Vec::new(),
    }
}

/// What `--discover` prints.
pub fn discovered() -> &'static Value {
    static CATALOG: OnceLock<Value> = OnceLock::new();
    CATALOG.get_or_init(|| serde_json::from_str(&bare(&["--discover"]).stdout).unwrap())
}

/// How many streams are synced without a catalog.
pub fn selected_by_default() -> usize {
    let streams = discovered()["streams"].as_array().unwrap().iter();
    let is_selected =
        |stream: &&Value| stream["metadata"][0]["metadata"]["selected-by-default"] == true;
    streams.filter(is_selected).count()
}

/// A catalog of these streams alone, each selected.
pub fn catalog_of(names: &[&str]) -> Value {
    let mut catalog = discovered().clone();
    let streams = catalog["streams"].as_array_mut().unwrap();
    streams.retain(|stream| names.contains(&stream["tap_stream_id"].as_str().unwrap()));
    assert_eq!(streams.len(), names.len(), "{names:?}");
    for stream in streams {
        // The first node is that of the stream itself.
        stream["metadata"][0]["metadata"]["selected"] = json!(true);
    }
    catalog
}

/// An account of so many users and few of everything else.
pub fn account(users: usize) -> Options {
    let mut options = Options::default();
    options.sizes.users = users;
    options
}

impl Run {
    fn new(stdout: Vec<u8>, stderr: Vec<u8>, code: Option<i32>) -> Self {
        let stdout = String::from_utf8(stdout).unwrap();
        Self {
            messages: stdout.lines().map(parse_line).collect(),
            stderr: String::from_utf8(stderr).unwrap(),
            stdout,
            code,
        }
    }

    /// Checks the rules of any output.
    fn checked(self, state: &Value, retries: bool) -> Self {
        let broken = rules::broken(state, &self.messages, retries);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        self
    }

    /// A run of which only stdout was kept.
    pub fn of_stdout(stdout: String) -> Self {
        Self::new(stdout.into_bytes(), Vec::new(), None).checked(&Value::Null, true)
    }

    /// What a target surely has of a run that was killed: all up to its last
    /// STATE.
    pub fn committed(&self) -> Self {
        let lines: Vec<&str> = self.stdout.split_inclusive('\n').collect();
        let is_state = |line: &&str| line.starts_with("{\"type\":\"STATE\"");
        let last = lines.iter().rposition(is_state);
        Self::of_stdout(lines[..last.map_or(0, |at| at + 1)].concat())
    }

    /// The records of a stream, in order.
    pub fn records(&self, stream: &str) -> Vec<&Value> {
        let of_stream =
            |message: &&Value| message["type"] == "RECORD" && message["stream"] == stream;
        self.messages
            .iter()
            .filter(of_stream)
            .map(|message| &message["record"])
            .collect()
    }

    /// The messages of one type, in order.
    pub fn of_type(&self, name: &str) -> Vec<&Value> {
        self.messages
            .iter()
            .filter(|message| message["type"] == name)
            .collect()
    }

    /// The last state, or an empty one.
    pub fn state(&self) -> Value {
        let states = self.of_type("STATE");
        states
            .last()
            .map_or(json!({}), |message| message["value"].clone())
    }

    /// A stream's bookmark in the last state.
    pub fn bookmark(&self, stream: &str) -> Value {
        self.state()["bookmarks"][stream]["replication_key_value"].clone()
    }

    /// The last line of stderr.
    pub fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// Checks that the run ended with this code and one CRITICAL line, which
    /// holds all of the words.
    pub fn assert_failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let critical: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("CRITICAL"))
            .collect();
        assert_eq!(critical, [self.last_line()], "{}", self.stderr);
        for word in words {
            assert!(
                critical[0].contains(word),
                "no {word:?} in: {}",
                critical[0]
            );
        }
    }
}

fn parse_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// A row of a report, as the sandbox's truth has it, as the stream's schema wants it.
pub fn typed(stream: &str, row: &Value) -> Value {
    let streams = discovered()["streams"].as_array().unwrap();
    let entry = streams.iter().find(|entry| entry["stream"] == stream);
    let properties = entry.unwrap()["schema"]["properties"].as_object().unwrap();
    for (name, _) in row.as_object().unwrap() {
        assert!(properties.contains_key(name), "{stream} lacks {name}");
    }
    let value = |(name, property): (&String, &Value)| {
        // The account's period is the one that was asked for.
        let sent = match name.as_str() {
            "_period_start" => "report_start_time",
            "_period_end" => "report_end_time",
            name => name,
        };
        let text = row.get(sent).and_then(Value::as_str).unwrap_or_default();
        let kind = &property["type"];
        let kind = kind.as_str().or_else(|| kind[0].as_str()).unwrap();
        let value = match (text, kind) {
            ("", _) => Value::Null,
            (text, "string") => json!(text),
            (text, _) => serde_json::from_str(text).unwrap(),
        };
        (name.clone(), value)
    };
    properties.iter().map(value).collect()
}

/// The key of a stream's record, as JSON texts.
pub fn key_of(stream: &str, record: &Value) -> String {
    static KEYS: OnceLock<BTreeMap<String, Vec<String>>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let streams = discovered()["streams"].as_array().unwrap().iter();
        let entry = |entry: &Value| {
            let stream = serde_json::from_value(entry["stream"].clone()).unwrap();
            (
                stream,
                serde_json::from_value(entry["key_properties"].clone()).unwrap(),
            )
        };
        streams.map(entry).collect()
    });
    let values = keys[stream].iter().map(|key| record[key].to_string());
    values.collect::<Vec<String>>().join(" ")
}

/// Records by their key. A record that is there again must be the same or
/// newer, and is the one that counts.
pub fn by_key<'a>(
    stream: &str,
    records: impl IntoIterator<Item = &'a Value>,
) -> BTreeMap<String, &'a Value> {
    let mut all = BTreeMap::new();
    for record in records {
        if let Some(before) = all.insert(key_of(stream, record), record) {
            let problem = rules::older(before, record);
            assert_eq!(problem, None, "{stream}: {record} comes after {before}");
        }
    }
    all
}

/// Checks that the records, of one run or of several, are the stream's truth:
/// each of it by key, the last with every value that the API has, and nothing
/// else. A key may be there again, with the same or a newer record: from
/// another run, or from the same one where [`rules::broken`] allows it, which
/// each run was checked for.
pub fn assert_complete<'a>(
    sandbox: &Sandbox,
    stream: &str,
    records: impl IntoIterator<Item = &'a Value>,
) {
    let truth = sandbox.truth(stream);
    let truth = by_key(stream, &truth);
    let records = by_key(stream, records);
    let names = |all: &BTreeMap<String, &Value>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&records), names(&truth), "{stream}");
    for (key, expected) in truth {
        for (name, value) in expected.as_object().unwrap() {
            let found = &records[&key][name];
            let text = format!("{stream} {key} {name}: {found} for {value}");
            assert!(rules::stands_for(found, value), "{text}");
        }
        assert!(records[&key]["_extra"].is_null(), "{stream} {key}");
    }
}

/// A catalog with this metadata for the stream itself.
pub fn with_stream_metadata(catalog: &Value, stream: &str, metadata: Map<String, Value>) -> Value {
    with_metadata(catalog, stream, &[], metadata)
}

/// A catalog with this metadata added at one breadcrumb of a stream.
pub fn with_metadata(
    catalog: &Value,
    stream: &str,
    breadcrumb: &[&str],
    metadata: Map<String, Value>,
) -> Value {
    let mut catalog = catalog.clone();
    let streams = catalog["streams"].as_array_mut().unwrap();
    let entry = streams
        .iter_mut()
        .find(|entry| entry["stream"] == stream)
        .unwrap();
    let nodes = entry["metadata"].as_array_mut().unwrap();
    let node = nodes
        .iter_mut()
        .find(|node| node["breadcrumb"] == json!(breadcrumb))
        .unwrap();
    node["metadata"].as_object_mut().unwrap().extend(metadata);
    catalog
}

/// Requests to the API, but for those by which runs learn the time.
pub fn calls(sandbox: &Sandbox) -> usize {
    sandbox.total() - sandbox.count("accounts/configuration")
}

/// Waits until something holds; a minute is for ever.
pub fn wait_until(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never does");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reads a child's stdout until a line has the text.
pub fn wait_for_line(child: &mut Child, text: &str) {
    let stdout = BufReader::new(child.stdout.as_mut().unwrap());
    let found = stdout.lines().any(|line| line.unwrap().contains(text));
    assert!(found, "no line with {text:?}");
    std::io::stdout().flush().unwrap();
}
