//! Runs the tap without an account: `cargo run --release --example demo`.
//!
//! Starts a simulated account, and runs the real program's discovery and sync
//! against it: Singer messages on stdout, the log on stderr.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use freshchat_sandbox::{Options, Sandbox};

#[path = "shared/build.rs"]
mod build;

fn main() -> io::Result<ExitCode> {
    let tap = build::build()?;
    let sandbox = Sandbox::start(Options::default());
    let files = tempfile::tempdir()?;
    let config = files.path().join("config.json");
    fs::write(&config, sandbox.config().to_string())?;
    let catalog = files.path().join("catalog.json");
    let discovered = run(&tap, &["--discover".as_ref()])
        .stderr(Stdio::inherit())
        .output()?;
    if !discovered.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    fs::write(&catalog, discovered.stdout)?;
    let arguments = [
        "--config".as_ref(),
        config.as_path(),
        "--catalog".as_ref(),
        &catalog,
    ];
    let synced = run(&tap, &arguments).status()?;
    Ok(match synced.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn run(tap: &Path, arguments: &[&Path]) -> Command {
    let mut command = Command::new(tap);
    command.args(arguments);
    command
}
