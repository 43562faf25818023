//! Serves an account until the standard input ends, for trying things by hand:
//! `cargo run -p freshchat-sandbox --example serve -- [PORT [USERS]]`. Prints a config that fits.

use std::io::Read;

use freshchat_sandbox::{Options, Sandbox, Sizes};

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("PORT and USERS are numbers"))
        .collect();
    let port = numbers.first().copied().unwrap_or(0);
    let users = numbers.get(1).copied().unwrap_or(100);
    let sandbox = Sandbox::start(Options {
        port: u16::try_from(port).expect("a port is at most 65535"),
        sizes: Sizes {
            users,
            ..Sizes::default()
        },
        ..Options::default()
    });
    println!("{:#}", sandbox.config());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for violation in sandbox.violations() {
        eprintln!("broken rule: {violation}");
    }
    sandbox.allow_violations();
}
