//! Builds the program itself, which `cargo run --example` doesn't.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = env!("CARGO_PKG_NAME");

/// Builds the program in this example's profile, and returns its path.
pub fn build() -> io::Result<PathBuf> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--bin", NAME]);
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
    Ok(folder.join(format!("{NAME}{}", env::consts::EXE_SUFFIX)))
}
