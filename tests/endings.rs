//! What ends a run before its end: signals, and a token that is refused.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use freshchat_sandbox::{Fault, FaultKind, Sandbox};
use serde_json::Value;

use crate::meltano::wait_until_blocked;
use crate::tap::{Run, Tap, account, bare_command, wait_until};

/// Longer than any test, and than any time within which a run has to end.
const FOR_EVER: Duration = Duration::from_secs(600);

/// The signals, and the exit codes of runs that they end.
const SIGNALS: [(&str, i32); 2] = [("TERM", 143), ("INT", 130)];

fn kill(signal: &str, process: u32) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

/// Two streams, of which the second never comes, because of this fault.
fn stuck(kind: FaultKind) -> Sandbox {
    let mut options = account(60);
    options.faults = vec![Fault::new("agents", 1, kind).times(1000)];
    Sandbox::start(options)
}

fn last_state(stdout: &str) -> Value {
    let message: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(message["type"], "STATE");
    message["value"].clone()
}

#[test]
fn a_signal_ends_with_a_last_state_whatever_a_thread_waits_for() {
    for (signal, code) in SIGNALS {
        for kind in [FaultKind::Stall(FOR_EVER), FaultKind::Status(500)] {
            let sandbox = stuck(kind);
            let tap = Tap::new(&sandbox)
                .set("retry_base_seconds", 600)
                .set("retry_max_seconds", 600)
                .streams(&["users", "agents"]);
            let child = tap.spawn();
            let started = Instant::now();
            wait_until(|| sandbox.count("agents") == 1);
            kill(signal, child.id());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code));
            assert!(started.elapsed() < FOR_EVER);
            let state = last_state(&String::from_utf8(output.stdout).unwrap());
            assert!(state["bookmarks"]["users"]["replication_key_value"].is_string());
            let stderr = String::from_utf8(output.stderr).unwrap();
            let last = format!("CRITICAL stopped by SIG{signal}; ");
            assert!(
                stderr.lines().last().unwrap().starts_with(&last),
                "{stderr}"
            );
        }
    }
}

#[test]
fn a_signal_ends_a_run_whose_stderr_is_full() {
    let sandbox = stuck(FaultKind::Status(500));
    let (stderr, mut filling) = std::io::pipe().unwrap();
    // All that a pipe takes: the run's first line of log waits for ever.
    filling.write_all(&[0; 64 * 1024]).unwrap();
    let tap = Tap::new(&sandbox)
        .set("max_retries", 0)
        .streams(&["users", "agents"])
        .arg("--log-level=error");
    let mut child = tap
        .command()
        .stdout(Stdio::piped())
        .stderr(filling)
        .spawn()
        .unwrap();
    wait_until(|| sandbox.count("agents") == 1);
    kill("TERM", child.id());
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(last_state(&stdout)["bookmarks"]["users"].is_object());
    drop(stderr);
}

#[test]
fn a_signal_before_any_output_ends_with_its_code() {
    for (signal, code) in SIGNALS {
        let files = tempfile::tempdir().unwrap();
        let config = files.path().join("config");
        assert!(
            Command::new("mkfifo")
                .arg(&config)
                .status()
                .unwrap()
                .success()
        );
        let child = bare_command()
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It opens once the program reads it, which then waits for its end.
        let open = OpenOptions::new().write(true).open(&config).unwrap();
        kill(signal, child.id());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.stdout, b"");
        assert!(output.stderr.starts_with(b"CRITICAL stopped by SIG"));
        drop(open);
    }
}

#[test]
fn a_signal_in_the_first_moments_is_no_success() {
    let sandbox = Sandbox::start(account(3));
    let tap = Tap::new(&sandbox).streams(&["users"]);
    for moment in 0..20 {
        let child = tap.spawn();
        let started = Instant::now();
        while started.elapsed() < Duration::from_micros(500 * moment) {
            thread::yield_now();
        }
        kill("TERM", child.id());
        let status = child.wait_with_output().unwrap().status;
        // Before the program's first instruction, the system's own way holds.
        let by_system = status.signal() == Some(15);
        let complete = status.code() == Some(0);
        assert!(
            by_system || complete || status.code() == Some(143),
            "{status}"
        );
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let sandbox = Sandbox::start(account(5000));
    let tap = Tap::new(&sandbox).streams(&["users"]);
    let mut child = tap.spawn();
    // Nobody reads: the last STATE of the first signal can't be written for seconds.
    wait_until_blocked(&child);
    while child.try_wait().unwrap().is_none() {
        kill("TERM", child.id());
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("CRITICAL"), "{stderr}");
}

#[test]
fn a_refused_token_ends_the_run_while_others_wait() {
    // Threads sleep between tries, or wait for an answer.
    for kind in [FaultKind::Status(500), FaultKind::Stall(FOR_EVER)] {
        let mut options = account(60);
        options.quirks.reports.generation_time = FOR_EVER;
        // One place is left for the request that is refused.
        options.faults = vec![Fault::new("conversations/{id}", 1, kind).times(4)];
        let sandbox = Sandbox::start(options);
        let tap = Tap::new(&sandbox)
            .set("retry_base_seconds", 600)
            .set("retry_max_seconds", 600)
            .set("request_timeout_seconds", 600)
            .set("concurrency", 5)
            .streams(&["users", "conversations", "report_csat_score"]);
        let mut child = tap.spawn();
        let stdout = child.stdout.take().unwrap();
        let reading = thread::spawn(move || std::io::read_to_string(stdout).unwrap());
        wait_until(|| sandbox.count("conversations/{id}") >= 4);
        let refused = Instant::now();
        sandbox.with_options(|options| {
            options.faults = vec![Fault::any(1, FaultKind::Status(401)).times(1000)];
        });
        let output = child.wait_with_output().unwrap();
        // Two seconds, and what a busy machine adds.
        assert!(refused.elapsed() < Duration::from_secs(20));
        assert_eq!(output.status.code(), Some(1));
        let run = Run::of_stdout(reading.join().unwrap());
        assert_eq!(run.messages.last().unwrap()["type"], "STATE");
        assert!(run.bookmark("users").is_string());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let critical = stderr.lines().filter(|line| line.starts_with("CRITICAL"));
        let critical: Vec<&str> = critical.collect();
        assert_eq!(critical, [stderr.lines().last().unwrap()], "{stderr}");
        assert!(critical[0].contains("refused the token (401)"), "{stderr}");
        assert!(critical[0].contains("Admin > CONFIGURE > API Tokens"));
    }
}
