//! A large report, from the storage to RECORD lines, against `unzip -p FILE |
//! wc -l` on the same file. It needs `unzip`, which Debian has as a package.
//!
//! `cargo bench --bench reports` takes a million rows of 13 columns;
//! `cargo bench --bench reports -- --rows 10000000 --rounds 1` ten million, and
//! `-- --large` three and ten million, once each.
//!
//! What must hold: at most [`MOST_RATIO`] times the time of `unzip`, download
//! included, and less than [`MOST_MEMORY`] of memory, however long the report.
//! In random order, at most [`MOST_OF_SORTED`] times the time of the sorted
//! rows, in as little memory. Where each row shares its identity with another
//! one, too, as little memory; the time is that of a lookup in a file for each
//! row.
//!
//! And all 16 reports of one window each, beside entity streams: with p between
//! two requests and g to generate a report, in 15 p + g and a tenth more.

#![allow(clippy::disallowed_methods, reason = "a bench has no clock of its own")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use freshchat_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MOST_RATIO: f64 = 1.2;

const MOST_OF_SORTED: f64 = 1.5;

/// In KiB.
const MOST_MEMORY: u64 = 24 * 1024;

const STREAM: &str = "report_message_sent";
const EVENT: &str = "Message-Sent";

/// A prime: its multiples go through all rows in no order.
const STRIDE: u64 = 2_654_435_761;

const HEADER: &str = "channel_name,actor_sub_type,reopened,actor_type,group_name,actor_name,\
                      created_at,interaction_id,interaction_raw_id,group_id,conversation_id,\
                      actor_id,channel_id";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` only wants to know that it builds.
        return Ok(());
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let files = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    match arguments.iter().any(|argument| argument == "--large") {
        true => {
            compare(&files, 3_000_000, 1)?;
            compare(&files, 10_000_000, 1)?;
        }
        false => compare(&files, number("--rows", 1_000_000), number("--rounds", 7))?,
    }
    chain(&files)
}

/// The order of a report's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Sorted,
    Random,
    /// Random, and each row shares its identity with another one.
    Shared,
}

/// Measures a report of so many rows in each order.
fn compare(files: &Path, rows: u64, rounds: u64) -> io::Result<()> {
    let mut sorted = Duration::ZERO;
    for order in [Order::Sorted, Order::Random, Order::Shared] {
        let file = files.join(format!("reports-{rows}-{order:?}.zip"));
        make(&file, rows, order)?;
        let mut options = Options::default();
        options.report_files.insert(EVENT.to_owned(), file.clone());
        let sandbox = Sandbox::start(options);
        let (mut taps, mut unzips, mut memory) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            unzips.push(unzip(&file, rows)?);
            let (took, peak) = tap(&sandbox, files, rows)?;
            taps.push(took);
            memory = memory.max(peak);
        }
        let (tap, unzip) = (median(taps), median(unzips));
        let size = fs::metadata(&file)?.len() as f64 / 1e6;
        println!("{rows} rows, {order:?}, {size:.1} MB zipped");
        println!("tap-freshchat   {:>8.3} s", tap.as_secs_f64());
        println!("unzip | wc      {:>8.3} s", unzip.as_secs_f64());
        let (beside, most) = match order {
            Order::Sorted => (unzip, MOST_RATIO),
            Order::Random => (sorted, MOST_OF_SORTED),
            Order::Shared => (sorted, f64::INFINITY),
        };
        let ratio = tap.as_secs_f64() / beside.as_secs_f64();
        println!(
            "ratio           {ratio:>8.2}    of {most}: {}",
            judge(ratio <= most)
        );
        let fits = judge(memory < MOST_MEMORY);
        println!(
            "peak memory     {:>8.1} MiB of {}: {fits}",
            memory as f64 / 1024.0,
            MOST_MEMORY / 1024
        );
        if order == Order::Sorted {
            sorted = tap;
        }
    }
    Ok(())
}

fn judge(fits: bool) -> &'static str {
    if fits { "fits" } else { "TOO MUCH" }
}

/// All reports of one day, whose time is mostly waiting.
fn chain(files: &Path) -> io::Result<()> {
    let (pace, generation) = (Duration::from_millis(500), Duration::from_secs(5));
    let mut options = Options::default();
    let quirks = &mut options.quirks.reports;
    quirks.post_interval = pace.mul_f64(0.95);
    quirks.generation_time = generation;
    let sandbox = Sandbox::start(options);
    let today = sandbox.options().today;
    let mut config = sandbox.config();
    config["start_date"] = json!((today - TimeDelta::days(1)).to_rfc3339());
    config["end_date"] = json!(today.to_rfc3339());
    config["report_lookback_hours"] = json!(0);
    config["report_request_interval_seconds"] = json!(pace.as_secs_f64());
    config["report_poll_interval_seconds"] = json!(0.2);
    let catalog =
        catalog(|name| name.starts_with("report_") || name == "users" || name == "agents")?;
    let (took, _, _) = run(files, &config, &catalog)?;
    assert_eq!(sandbox.count("reports/raw"), 16);
    let most = (15 * pace + generation).mul_f64(1.1);
    println!(
        "16 reports      {:>8.3} s  of {:.3}: {}",
        took.as_secs_f64(),
        most.as_secs_f64(),
        judge(took <= most)
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Runs the tap over the one report; the time, and the most memory in KiB.
fn tap(sandbox: &Sandbox, files: &Path, rows: u64) -> io::Result<(Duration, u64)> {
    let mut config = sandbox.config();
    let start = Utc::now() - TimeDelta::days(1);
    config["start_date"] = json!(start.to_rfc3339_opts(SecondsFormat::Millis, true));
    let (took, peak, log) = run(files, &config, &catalog(|name| name == STREAM)?)?;
    assert!(log.contains(&format!("\"value\":{rows}")), "{log}");
    Ok((took, peak))
}

/// Runs the tap; the time, the most memory in KiB, and the log.
fn run(files: &Path, config: &Value, catalog: &Value) -> io::Result<(Duration, u64, String)> {
    let (config_file, catalog_file) = (files.join("config.json"), files.join("catalog.json"));
    fs::write(&config_file, config.to_string())?;
    fs::write(&catalog_file, catalog.to_string())?;
    let log = files.join("reports.log");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tap-freshchat"))
        .arg("--config")
        .arg(&config_file)
        .arg("--catalog")
        .arg(&catalog_file)
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()?;
    let peak = wait(&mut child)?;
    let took = started.elapsed();
    let log = fs::read_to_string(log)?;
    assert!(child.wait()?.success(), "{log}");
    Ok((took, peak, log))
}

/// Waits for the end of a process; the most memory that it had.
fn wait(child: &mut Child) -> io::Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = kib.unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(peak)
}

/// The discovered catalog with these streams selected, and no other.
fn catalog(wanted: impl Fn(&str) -> bool) -> io::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_tap-freshchat"))
        .arg("--discover")
        .output()?;
    let mut catalog: Value = serde_json::from_slice(&output.stdout)?;
    let streams = catalog["streams"].as_array_mut().expect("a list");
    streams.retain(|stream| stream["stream"].as_str().is_some_and(&wanted));
    for stream in streams {
        stream["metadata"][0]["metadata"]["selected"] = json!(true);
    }
    Ok(catalog)
}

fn unzip(file: &Path, rows: u64) -> io::Result<Duration> {
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "unzip -p \"$0\" | wc -l"])
        .arg(file)
        .output()?;
    let took = started.elapsed();
    let lines = String::from_utf8_lossy(&output.stdout);
    assert_eq!(lines.trim(), (rows + 1).to_string(), "is unzip installed?");
    Ok(took)
}

/// Makes the zip, unless it is there: rows of which a fifth of the cells is
/// random.
fn make(file: &Path, rows: u64, order: Order) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let part = file.with_extension("part");
    let mut zip = ZipWriter::new(BufWriter::new(File::create(&part)?));
    let large = SimpleFileOptions::default().large_file(true);
    zip.start_file("Message-Sent.csv", large)?;
    let mut out = BufWriter::with_capacity(1 << 20, zip);
    writeln!(out, "{HEADER}")?;
    let first = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
    let mut random = Random(1);
    for row in 0..rows {
        let number = match order {
            Order::Sorted => row,
            Order::Random => row * STRIDE % rows,
            Order::Shared => row * STRIDE % rows / 2,
        };
        let time = first + TimeDelta::milliseconds(number as i64 * 37);
        write_row(&mut out, number, time, &mut random)?;
    }
    let zip = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    zip.finish()?.flush()?;
    fs::rename(part, file)
}

fn write_row(
    out: &mut impl Write,
    number: u64,
    time: DateTime<Utc>,
    random: &mut Random,
) -> io::Result<()> {
    const CHANNELS: [&str; 4] = ["Billing", "Sales", "Support, general", "Returns"];
    const ACTORS: [&str; 4] = ["USER", "AGENT", "SYSTEM", "BOT"];
    let (channel, group, actor) = (random.below(4), random.below(6), random.below(4));
    let agent = random.below(500);
    let interaction = Random(number).below(90_000_000) + 10_000_000;
    let millis = time.timestamp_millis();
    writeln!(
        out,
        "\"{}\",{},{},{},Group {group},Agent Number {agent},{},{interaction}-{millis},\
         {}-{millis},{:08x}-7a6b-4c5d-8e9f-{:012x},{:016x}-{:016x},{:08x}-1a2b-4c3d-9e8f-{:012x},\
         {:08x}-0f1e-4d2c-8b3a-{:012x}",
        CHANNELS[channel as usize],
        if actor == 2 { "intelliAssign" } else { "" },
        random.below(10) == 0,
        ACTORS[actor as usize],
        time.to_rfc3339_opts(SecondsFormat::Millis, true),
        random.below(1_000_000),
        group * 77_777,
        group * 7_777_777,
        random.next(),
        random.next(),
        agent * 55_555,
        random.below(1 << 48),
        channel * 33_333,
        channel * 3_333_333,
    )
}

/// A generator whose numbers are the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
