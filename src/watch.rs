//! What can end a run from outside of its course: a signal, the reader of
//! stdout going away, a refused token, a panic. Each has a way of its own to
//! the end, since the run's threads may be waiting for the API for an hour.

use std::io;
use std::panic::{self, PanicHookInfo};
use std::process::exit;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::freshchat::Stop;
use crate::singer::Output;
use crate::{logging, progress};

/// What a signal's number is added to for the exit code, as shells do.
const SIGNALED: i32 = 128;

/// How long the last STATE message may take. Some callers (Meltano's test of a
/// config) stop reading before they stop the tap, and a full pipe takes nothing.
const GRACE: Duration = Duration::from_secs(5);

/// How long the last line on stderr may take, which may be full too.
const LAST_LINE: Duration = Duration::from_millis(500);

/// How long a run that is ended for all threads may take to end by itself. A
/// thread that waits for an answer doesn't hear of the end.
const UNWINDING: Duration = Duration::from_secs(1);

/// The run's output, once there is one.
static OUTPUT: OnceLock<Arc<Output>> = OnceLock::new();

/// The thread that ends the process.
static ENDING: Mutex<Option<ThreadId>> = Mutex::new(None);

/// Watches for signals and panics. On a signal, a last STATE message for the
/// completed work is written, and the process exits with 130 or 143; a second
/// signal exits at once.
pub fn begin() {
    panic::set_hook(Box::new(|panic| end(&describe(panic), 1)));
    if let Err(error) = watch_signals() {
        logging::warning(&format!(
            "signals can't be watched ({error}); they end the run without a last STATE"
        ));
    }
}

/// Watches a run, which writes to `output` and ends by itself soon after
/// `stop` says so.
pub fn start(output: &Arc<Output>, stop: &Arc<Stop>) {
    OUTPUT.get_or_init(|| Arc::clone(output));
    spawn("stdout", watch_stdout);
    let stop = Arc::clone(stop);
    spawn("stop", move || {
        let reason = stop.wait();
        thread::sleep(UNWINDING);
        end(&reason.to_string(), i32::from(reason.exit_code()));
    });
}

fn spawn(name: &str, watch: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.into());
    if let Err(error) = thread.spawn(watch) {
        log::warn!("no thread can be started to watch for the end of the run ({error})");
    }
}

/// Makes this thread the one that ends the process: any other that wants to
/// waits for it.
pub fn claim_end() {
    let me = thread::current().id();
    let owner = *ENDING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(me);
    if owner != me {
        loop {
            thread::park();
        }
    }
}

/// Ends the process from beside the run: with a last STATE message, and a last
/// line on stderr.
fn end(message: &str, code: i32) -> ! {
    claim_end();
    end_after_grace(code);
    if let Some(output) = OUTPUT.get() {
        output.close();
    }
    let (said, heard) = channel();
    let message = message.to_owned();
    let last = thread::Builder::new().name("last line".into());
    let saying = last.spawn(move || {
        progress::stop();
        logging::critical(&message);
        // Nobody waits any more where it took too long.
        let _ = said.send(());
    });
    if saying.is_ok() {
        // Without the line, the exit code says the same.
        let _ = heard.recv_timeout(LAST_LINE);
    }
    exit(code)
}

/// A panic in words for the last line. The log masks secrets in it.
fn describe(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(ToString::to_string);
    format!(
        "the program failed at {}: {}; this is a fault of tap-freshchat, please report it",
        place.as_deref().unwrap_or("an unknown place"),
        text.unwrap_or("no message")
    )
}

fn watch_signals() -> io::Result<()> {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag down and raises it.
        flag::register_conditional_shutdown(signal, SIGNALED + signal, Arc::clone(&seen))?;
        flag::register(signal, Arc::clone(&seen))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watching = thread::Builder::new().name("signals".into());
    watching.spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // A run that is ending by itself may be stuck in its last lines.
            end_after_grace(SIGNALED + signal);
            let name = match signal {
                SIGINT => "SIGINT",
                _ => "SIGTERM",
            };
            let message = format!("stopped by {name}; the last STATE holds what is complete");
            end(&message, SIGNALED + signal);
        }
    })?;
    Ok(())
}

/// Ends the process even if its last message can't be written; those before it
/// stay true.
fn end_after_grace(code: i32) {
    spawn("grace", move || {
        thread::sleep(GRACE);
        exit(code);
    });
}

/// Waits until nobody reads stdout any more, which only a pipe or a socket
/// tells, and ends the run: nothing that it does can reach anyone.
fn watch_stdout() {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    loop {
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) if watched[0].revents().contains(PollFlags::ERR) => {
                progress::stop();
                exit(0)
            }
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Not a test of its own: the process that the test below starts.
    #[test]
    #[ignore = "it ends its process"]
    fn a_process_that_panics() {
        begin();
        let panicking = thread::spawn(|| panic!("two\nlines"));
        let _ = panicking.join();
        exit(0);
    }

    #[test]
    fn a_panic_in_any_thread_ends_the_process() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command
            .args(["--exact", "watch::tests::a_process_that_panics"])
            .args(["--ignored", "--nocapture"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{stderr}");
        assert!(lines[0].starts_with("CRITICAL the program failed at src/watch.rs:"));
        assert!(
            lines[0].contains(": two lines; this is a fault of"),
            "{stderr}"
        );
    }
}
