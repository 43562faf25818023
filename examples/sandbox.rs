//! A simulated Freshchat account to try the tap with:
//! `cargo run --example sandbox -- --users 1000`.
//!
//! It prints a config file for the account, and runs until stopped.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Parser;
use freshchat_sandbox::{Options, Sandbox};
use serde_json::{Map, Value};

#[derive(Parser)]
#[command(about = "A simulated Freshchat account")]
struct Args {
    /// Number of users
    #[arg(long, default_value_t = 1000)]
    users: usize,
    /// Seed of the random data; the same seed and size give the same account
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Port of the API; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Delay of each answer, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency: u64,
    /// Fill in all known fields, including undocumented ones
    #[arg(long)]
    all_fields: bool,
    /// Return report rows as a later extraction would: renamed, reassigned, filled in, grown
    #[arg(long)]
    rewritten_reports: bool,
    /// Also write the config to this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the number of records of each stream to this file
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let mut options = Options {
        seed: args.seed,
        port: args.port,
        latency: Duration::from_millis(args.latency),
        ..Options::default()
    };
    options.sizes.users = args.users;
    if args.all_fields {
        options.quirks.connector_fields = true;
        options.quirks.live_fields = true;
        options.quirks.new_fields = true;
        options.quirks.reports.extra_columns = true;
        // Some message fields appear only in long conversations.
        options.quirks.message_counts_cycle = true;
    }
    options.quirks.reports.rewritten = args.rewritten_reports;
    let sandbox = Sandbox::start(options);
    let config = format!("{:#}\n", sandbox.config());
    if let Some(file) = args.counts {
        fs::write(file, format!("{:#}\n", counts(&sandbox)))?;
    }
    if let Some(file) = args.config {
        fs::write(file, &config)?;
    }
    print!("{config}");
    loop {
        thread::park();
    }
}

/// Number of records of each stream.
fn counts(sandbox: &Sandbox) -> Value {
    let count = |stream: &&str| (stream.to_string(), sandbox.truth(stream).len().into());
    let counts: Map<String, Value> = tap_freshchat::stream_names()
        .iter()
        .filter(|stream| !stream.starts_with("metrics_"))
        .map(count)
        .collect();
    Value::Object(counts)
}
