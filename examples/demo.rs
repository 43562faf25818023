//! The tap at work, without an account: `cargo run --release --example demo`.
//!
//! Starts a simulated account, runs the real program's discovery and sync
//! against it, and ends: Singer messages on stdout, the log on stderr.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use freshchat_sandbox::{Options, Sandbox};

const TAP: &str = env!("CARGO_PKG_NAME");

fn main() -> io::Result<ExitCode> {
    let tap = build()?;
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

/// Builds the program, which `cargo run --example` leaves out, in the profile
/// of this example; its path.
fn build() -> io::Result<PathBuf> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--bin", TAP]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err(io::Error::other("the program could not be built"));
    }
    let example = env::current_exe()?;
    let folder = example.parent().and_then(Path::parent);
    let folder = folder.ok_or_else(|| io::Error::other("this example has no build folder"))?;
    Ok(folder.join(format!("{TAP}{}", env::consts::EXE_SUFFIX)))
}
