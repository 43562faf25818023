//! What the entity streams cost: `cargo bench --bench entities`, and with
//! `-- --million` the memory for a million users too.
//!
//! The time of a whole run of the program over all users of a simulated
//! account is set against that of bare loops in this process, which download
//! the same pages in the same order over one connection and drop them. They
//! take turns, so that whatever else the machine does hits all alike. The
//! account is served from this process; its share of the machine is part of
//! every time, and its memory of none.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use freshchat_sandbox::{Options, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

const TAP: &str = env!("CARGO_BIN_EXE_tap-freshchat");
const USERS: usize = 100_000;
const ROUNDS: usize = 7;
const DISCOVERIES: usize = 20;

/// A server's wait before each answer, for comparison: the figure is for none,
/// but every real server takes longer than this.
const SLOW: Duration = Duration::from_millis(1);
const SLOW_ROUNDS: usize = 3;

/// What the figures may be.
const MOST_RATIO: f64 = 1.3;
const MOST_MEMORY: f64 = 24.0;
const MOST_DISCOVERY: Duration = Duration::from_millis(20);

/// How often a running process is asked for its peak memory, which never
/// falls: only what is added in the last moment can be missed.
const MEMORY_INTERVAL: Duration = Duration::from_millis(2);

fn main() -> io::Result<()> {
    if cfg!(debug_assertions) {
        println!("nothing to learn from a debug build: cargo bench --bench entities");
        return Ok(());
    }
    let account = Account::new(USERS)?;
    compare_speed(&account, Duration::ZERO, ROUNDS)?;
    compare_speed(&account, SLOW, SLOW_ROUNDS)?;
    account
        .sandbox
        .with_options(|options| options.latency = Duration::ZERO);
    show_memory(USERS, account.peak_memory()?);
    drop(account);
    if std::env::args().any(|argument| argument == "--million") {
        let users = 10 * USERS;
        show_memory(users, Account::new(users)?.peak_memory()?);
    }
    let discoveries = (0..DISCOVERIES).map(|_| time_of(Command::new(TAP).arg("--discover")));
    let discovery = Times::new(discoveries.collect::<io::Result<_>>()?);
    println!("--discover: {discovery}; at most {MOST_DISCOVERY:?}");
    Ok(())
}

/// A simulated account, and what the program needs to read its users.
struct Account {
    sandbox: Sandbox,
    files: TempDir,
}

impl Account {
    fn new(users: usize) -> io::Result<Self> {
        let mut options = Options::default();
        options.sizes.users = users;
        options.sizes.conversations_per_user = 0..=0;
        let sandbox = Sandbox::start(options);
        let files = tempfile::tempdir()?;
        fs::write(files.path().join("config"), sandbox.config().to_string())?;
        fs::write(files.path().join("catalog"), users_only()?.to_string())?;
        Ok(Self { sandbox, files })
    }

    fn tap(&self) -> Command {
        let file = |name: &str| self.files.path().join(name);
        let mut command = Command::new(TAP);
        command.arg("--config").arg(file("config"));
        command.arg("--catalog").arg(file("catalog"));
        command
    }

    /// The targets of all requests of one run, in order.
    fn targets(&self) -> io::Result<Vec<String>> {
        self.sandbox.clear_requests();
        time_of(&mut self.tap())?;
        let requests = self.sandbox.requests();
        Ok(requests.iter().map(target).collect())
    }

    /// The peak memory of one run, in MiB.
    fn peak_memory(&self) -> io::Result<f64> {
        let mut child = quiet(&mut self.tap()).spawn()?;
        // Not wait4's `ru_maxrss`: it begins with the memory of the process
        // that started the child, which here holds the whole account.
        let status = Path::new("/proc")
            .join(child.id().to_string())
            .join("status");
        let mut peak = 0.0;
        while child.try_wait()?.is_none() {
            peak = high_water_mark(&fs::read_to_string(&status)?).unwrap_or(peak);
            thread::sleep(MEMORY_INTERVAL);
        }
        Ok(peak)
    }
}

/// The catalog with the users as its only stream.
fn users_only() -> io::Result<Value> {
    let discovered = Command::new(TAP).arg("--discover").output()?;
    let mut catalog: Value = serde_json::from_slice(&discovered.stdout)?;
    let streams = catalog["streams"]
        .as_array_mut()
        .expect("a list of streams");
    streams.retain(|stream| stream["tap_stream_id"] == "users");
    Ok(catalog)
}

/// Path and query as a client has to send them.
fn target(request: &freshchat_sandbox::Request) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&request.query);
    format!("{}?{}", request.path, query.finish())
}

fn high_water_mark(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

/// The time of a whole run, which must succeed, with its output dropped.
fn time_of(command: &mut Command) -> io::Result<Duration> {
    let started = Instant::now();
    let status = quiet(command).status()?;
    let took = started.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    Ok(took)
}

fn compare_speed(account: &Account, latency: Duration, rounds: usize) -> io::Result<()> {
    account
        .sandbox
        .with_options(|options| options.latency = latency);
    let targets = account.targets()?;
    let origin = account.sandbox.api_url().replace("/v2", "");
    let token = account.sandbox.token();
    let (mut socket, mut ureq, mut tap) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..rounds {
        let started = Instant::now();
        bytes = download_by_socket(&origin, token, &targets)?;
        socket.push(started.elapsed());
        let started = Instant::now();
        assert_eq!(download_by_ureq(&origin, token, &targets)?, bytes);
        ureq.push(started.elapsed());
        tap.push(time_of(&mut account.tap())?);
        account.sandbox.clear_requests();
    }
    println!(
        "{USERS} users, {} requests, {bytes} bytes, answers after {latency:?}, {rounds} rounds",
        targets.len()
    );
    let tap = Times::new(tap);
    println!("tap:                    {tap}");
    for (name, times) in [
        ("bare loop on a socket:", socket),
        ("bare loop with ureq:", ureq),
    ] {
        let times = Times::new(times);
        let ratio = tap.median().as_secs_f64() / times.median().as_secs_f64();
        println!("{name:23} {times}; ratio {ratio:.2}, at most {MOST_RATIO}");
    }
    Ok(())
}

/// Downloads the pages with as little work as can be; the bytes of the bodies.
fn download_by_socket(origin: &str, token: &str, targets: &[String]) -> io::Result<u64> {
    let host = origin.trim_start_matches("http://");
    let mut connection = TcpStream::connect(host)?;
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(128 * 1024, connection.try_clone()?);
    let mut line = String::new();
    let mut bytes = 0;
    for target in targets {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        connection.write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a length"),
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        bytes += io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    }
    Ok(bytes)
}

/// Downloads the pages with the program's HTTP library; the bytes of the bodies.
fn download_by_ureq(origin: &str, token: &str, targets: &[String]) -> io::Result<u64> {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .build()
        .new_agent();
    let authorization = format!("Bearer {token}");
    let mut bytes = 0;
    for target in targets {
        let request = agent.get(format!("{origin}{target}"));
        let request = request.header("Authorization", &authorization);
        let mut response = request.call().map_err(ureq::Error::into_io)?;
        bytes += io::copy(&mut response.body_mut().as_reader(), &mut io::sink())?;
    }
    Ok(bytes)
}

fn show_memory(users: usize, peak: f64) {
    println!("peak memory for {users} users: {peak:.1} MiB; at most {MOST_MEMORY}");
}

/// Times of equal runs, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let [first, .., last] = self.0[..] else {
            return write!(f, "no times");
        };
        let median = ms(self.median());
        write!(f, "{median:.1} ms ({:.1} to {:.1})", ms(first), ms(last))
    }
}
