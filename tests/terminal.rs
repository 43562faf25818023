//! What a person sees: the program's stderr is a terminal here.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::tap::{Tap, account, discovered, wait_until};

/// A terminal, and what it was sent.
struct Terminal {
    size: (u16, u16),
    /// The programs' end.
    file: File,
    sent: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    fn open((rows, columns): (u16, u16)) -> Self {
        let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let mut options = File::options();
        let file = options.read(true).write(true).open(name.to_str().unwrap());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&sent);
        let reader = thread::spawn(move || {
            let mut controller = File::from(controller);
            let mut bytes = [0; 4096];
            // Linux ends a terminal that nobody holds any more with an error.
            while let Ok(count @ 1..) = controller.read(&mut bytes) {
                all.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Self {
            size: (rows, columns),
            file: file.unwrap(),
            sent,
            reader,
        }
    }

    /// Starts the tap with its stderr here.
    fn spawn(&self, tap: &Tap, variables: &[(&str, &str)]) -> Child {
        let mut command = tap.command();
        command
            .env("TERM", "xterm")
            .env_remove("CI")
            .env_remove("NO_COLOR");
        command.envs(variables.iter().copied());
        command.stdout(File::create(tap.path("stdout")).unwrap());
        let stderr = self.file.try_clone().unwrap();
        command.stderr(stderr).spawn().unwrap()
    }

    fn sent(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
    }

    /// Writes what another program does, such as the target.
    fn write(&self, text: &str) {
        (&self.file).write_all(text.as_bytes()).unwrap();
    }

    /// Writes, and waits until the live lines are drawn after it.
    fn write_and_see(&self, text: &str) {
        let before = self.sent().len();
        self.write(text);
        wait_until(|| {
            let sent = self.sent();
            let text = text.trim_end();
            let after = sent[before..].split_once(text).map(|(_, after)| after);
            after.is_some_and(|after| after.contains("\x1b8"))
        });
    }

    /// Closes it; all that it was sent.
    fn end(self) -> String {
        drop(self.file);
        self.reader.join().unwrap();
        let sent = self.sent.lock().unwrap();
        String::from_utf8_lossy(&sent).into_owned()
    }
}

/// The rows that aren't empty of what a person sees, and before it of what
/// went off the screen.
fn rows((rows, columns): (u16, u16), sent: &str) -> Vec<String> {
    let size = |count| NonZero::new(count).unwrap();
    let mut parser = vt100::Parser::new(size(rows), size(columns), 1000);
    parser.process(sent.as_bytes());
    let screen = parser.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut all = Vec::new();
    for back in (0..=screen.scrollback()).rev() {
        screen.set_scrollback(back);
        let shown = if back > 0 { 1 } else { usize::from(rows) };
        all.extend(screen.rows(0, columns).take(shown));
    }
    all.retain(|row| !row.is_empty());
    all
}

/// Stops the run as Ctrl-C does; the rows but for the last one, which says so.
fn interrupt(terminal: Terminal, mut child: Child) -> Vec<String> {
    terminal.write("^C\n");
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status();
    assert!(sent.unwrap().success());
    let status = child.wait().unwrap();
    let size = terminal.size;
    let mut rows = rows(size, &terminal.end());
    assert_eq!(status.code(), Some(130), "{rows:#?}");
    let critical = rows
        .iter()
        .rposition(|row| row.starts_with("CRITICAL stopped by SIGINT"));
    rows.truncate(critical.unwrap_or_else(|| panic!("{rows:#?}")));
    rows
}

/// An account that doesn't answer for this endpoint.
fn silent_on(endpoint: &str) -> Sandbox {
    let mut options = account(30);
    let silence = FaultKind::Stall(Duration::from_secs(60));
    options.faults = vec![Fault::new(endpoint, 1, silence)];
    Sandbox::start(options)
}

/// Runs to the end, which must be a success; what the terminal was sent.
fn run_on_terminal(tap: &Tap, variables: &[(&str, &str)]) -> String {
    let terminal = Terminal::open((24, 100));
    let status = terminal.spawn(tap, variables).wait().unwrap();
    let screen = terminal.end();
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
    // What is left is the log, but for the ends of its longer lines.
    let left = rows((24, 100), &screen);
    assert!(
        !left
            .iter()
            .any(|row| row.starts_with("users ") || row.starts_with("roles ")),
        "{left:#?}"
    );
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
fn the_words_of_a_server_dont_steer_the_terminal() {
    let mut options = account(5);
    let body = r#"{"code": 503, "message": "back \u001b[2Jsoon"}"#.to_owned();
    let headers = vec![("Retry-After".to_owned(), "2".to_owned())];
    let kind = FaultKind::StatusWith(503, headers, body);
    options.faults = vec![Fault::new("users", 1, kind)];
    let sandbox = Sandbox::start(options);
    let screen = run_on_terminal(&Tap::new(&sandbox).streams(&["users"]), &[]);
    assert!(
        screen.contains(" answered 503: back  [2Jsoon "),
        "{screen:?}"
    );
    assert!(!screen.contains("\u{1b}[2J"), "{screen:?}");
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
    assert!(
        screen.contains("job in progress, next check at "),
        "{screen:?}"
    );
}

#[test]
fn the_lines_of_another_program_stay() {
    let sandbox = silent_on("agents");
    let tap = Tap::new(&sandbox)
        .streams(&["users", "agents"])
        .arg("--log-level=warning");
    let terminal = Terminal::open((12, 80));
    let child = terminal.spawn(&tap, &[]);
    wait_until(|| terminal.sent().contains("agents "));
    let mut expected = Vec::new();
    for line in 0..30 {
        let text = format!("target line {line}");
        match line % 10 {
            // Some at once, ...
            0..=2 => terminal.write(&format!("{text}\n")),
            // ... a half, and one that is longer than a row.
            4 => {
                terminal.write_and_see("target ");
                terminal.write_and_see(&format!("line {line}\n"));
            }
            5 => {
                let rest = "x".repeat(80 - text.len());
                terminal.write_and_see(&format!("{text}{rest}more\n"));
                expected.extend([format!("{text}{rest}"), "more".to_owned()]);
                continue;
            }
            _ => terminal.write_and_see(&format!("{text}\n")),
        }
        expected.push(text);
    }
    // Up to the end of a drawing.
    let sent = terminal.sent();
    let shown = rows(terminal.size, &sent[..sent.rfind("\x1b8").unwrap()]);
    let live = &shown[expected.len()..];
    assert_eq!(shown[..expected.len()], expected);
    assert!(
        live.len() == 1 && live[0].starts_with("agents "),
        "{live:?}"
    );
    // Far more at once than the live lines leave room for.
    for line in 30..60 {
        terminal.write(&format!("target line {line}\n"));
        expected.push(format!("target line {line}"));
    }
    let shown = interrupt(terminal, child);
    let (last, shown) = shown.split_last().unwrap();
    assert_eq!(last, "^C");
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (row, line) in shown.iter().zip(expected) {
        assert!(row.starts_with(&line), "{row:?} for {line:?}");
    }
}

#[test]
fn what_runs_has_a_place_beside_all_reports() {
    let mut catalog = discovered().clone();
    for entry in catalog["streams"].as_array_mut().unwrap() {
        entry["selected"] = true.into();
    }
    for size in [(24, 80), (24, 50), (8, 40)] {
        let sandbox = silent_on("users");
        let tap = Tap::new(&sandbox)
            .catalog(&catalog)
            .set("report_request_interval_seconds", 60)
            .arg("--log-level=warning");
        let terminal = Terminal::open(size);
        let child = terminal.spawn(&tap, &[]);
        wait_until(|| {
            let rows = rows(size, &terminal.sent());
            let first = rows.first().is_some_and(|row| row.starts_with("users "));
            first && rows.last().unwrap().ends_with(" more")
        });
        assert_eq!(interrupt(terminal, child), ["^C"], "{size:?}");
    }
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
