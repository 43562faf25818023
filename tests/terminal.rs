//! What a person sees: the program's stderr is a terminal here.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use freshchat_sandbox::Sandbox;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::tap::{Tap, account, discovered};

/// Runs to the end, which must be a success; what the terminal was sent.
fn run_on_terminal(tap: &Tap, variables: &[(&str, &str)]) -> String {
    let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&controller, size).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = tap.command();
    command
        .env("TERM", "xterm")
        .env_remove("CI")
        .env_remove("NO_COLOR");
    command.envs(variables.iter().copied());
    command.stdout(File::create(tap.path("stdout")).unwrap());
    let mut child = command.stderr(terminal).spawn().unwrap();
    // The last copy of the terminal's end that is not the child's.
    drop(command);
    let reader = thread::spawn(move || {
        let mut screen = Vec::new();
        // Linux ends a terminal that nobody holds any more with an error.
        let _ = File::from(controller).read_to_end(&mut screen);
        String::from_utf8(screen).unwrap()
    });
    let status = child.wait().unwrap();
    let screen = reader.join().unwrap();
    assert_eq!(status.code(), Some(0), "{screen}");
    screen
}

#[test]
fn a_line_per_stream_shows_what_it_has_done() {
    let mut options = account(30);
    // Lines are drawn five times a second.
    options.latency = Duration::from_secs(1);
    let sandbox = Sandbox::start(options);
    let screen = run_on_terminal(&Tap::new(&sandbox).streams(&["users", "roles"]), &[]);
    assert!(screen.contains('\u{1b}'), "{screen:?}");
    let line = |words: [&str; 4]| {
        let mut lines = screen.split(['\r', '\n']);
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(
        line(["users", " records", " requests", "0:00:0"]),
        "{screen:?}"
    );
    assert!(
        line(["roles", " records", " requests", "0:00:0"]),
        "{screen:?}"
    );
    assert!(!screen.contains("METRIC"), "{screen:?}");
    assert!(
        screen.contains("INFO stream `users`: complete"),
        "{screen:?}"
    );
    assert!(!screen.contains(sandbox.token()));
}

#[test]
fn a_wait_shows_its_reason_and_its_end_and_no_token() {
    let mut options = account(400);
    options.hourly_limit = Some(5);
    options.hour = Duration::from_secs(3);
    options.quirks.token_echo = true;
    let sandbox = Sandbox::start(options);
    let tap = Tap::new(&sandbox)
        .set("rate_limit_reserve_percent", 0)
        .set("max_retries", 50)
        .streams(&["users"]);
    let screen = run_on_terminal(&tap, &[]);
    assert!(screen.contains("waiting until "), "{screen:?}");
    assert!(!screen.contains(sandbox.token()));
}

#[test]
fn a_report_shows_its_job() {
    let mut options = account(20);
    options.quirks.reports.generation_time = Duration::from_millis(700);
    let sandbox = Sandbox::start(options);
    let mut catalog = discovered().clone();
    let streams = catalog["streams"].as_array_mut().unwrap();
    streams.retain(|entry| entry["stream"] == "report_csat_score");
    streams[0]["selected"] = true.into();
    let tap = Tap::new(&sandbox).catalog(&catalog);
    let screen = run_on_terminal(&tap, &[]);
    assert!(screen.contains("report_csat_score "), "{screen:?}");
    assert!(screen.contains(": being made, next look at "), "{screen:?}");
}

#[test]
fn plain_lines_where_they_are_asked_for() {
    let sandbox = Sandbox::start(account(5));
    let tap = Tap::new(&sandbox).streams(&["users"]);
    for variable in [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")] {
        let screen = run_on_terminal(&tap, &[variable]);
        assert!(!screen.contains('\u{1b}'), "{variable:?}: {screen:?}");
        assert!(screen.contains("INFO METRIC: "), "{variable:?}: {screen:?}");
    }
    let json = tap.arg("--log-format=json");
    let screen = run_on_terminal(&json, &[]);
    assert!(
        screen.lines().all(|line| line.starts_with('{')),
        "{screen:?}"
    );
}
