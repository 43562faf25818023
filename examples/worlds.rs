//! Random worlds: `cargo run --release --example worlds -- --count 3000`.
//!
//! Each seed is an account, a reading of each point that the API documentation
//! leaves open, and a chain of runs that must not lose a record; see
//! `tests/worlds`. `--seed 77 --count 1` runs one alone, and prints its story.

#![allow(
    clippy::disallowed_methods,
    reason = "worlds compare with the real time"
)]

use std::panic;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, thread};

use clap::Parser;

#[path = "shared/build.rs"]
mod build;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/rules.rs"]
mod rules;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/tap.rs"]
mod tap;
#[path = "../tests/worlds/mod.rs"]
mod worlds;

#[derive(Parser)]
#[command(about = "Runs the tap in random worlds, and checks that nothing is lost")]
struct Args {
    /// Seed of the first world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of worlds
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// Number of worlds to run at once
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    tap::set_program(build::build()?);
    if args.count == 1 {
        println!("{}", worlds::story(args.seed));
    }
    let next = AtomicU64::new(args.seed);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed - args.seed >= args.count {
                        return;
                    }
                    if panic::catch_unwind(|| worlds::play(seed)).is_err() {
                        eprintln!("world {seed} failed");
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    println!("{} worlds, {} failed: {failed:?}", args.count, failed.len());
    Ok(match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
