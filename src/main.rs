//! The `tap-freshchat` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    tap_freshchat::run(std::env::args_os())
}
