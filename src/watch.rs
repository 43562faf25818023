//! Watches for what ends a run from outside: a signal, a closed stdout, a
//! refused token, a panic. Each can end the process directly, because the
//! threads of the run may be waiting for the API for up to an hour.

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

/// The exit code after a signal is this plus the signal's number, as in shells.
const SIGNALED: i32 = 128;

/// How long the last STATE message may take. Some callers, such as Meltano's
/// config test, stop reading before they stop the tap, and then the pipe is
/// full.
const GRACE: Duration = Duration::from_secs(5);

/// How long the last line on stderr may take. That pipe may be full too.
const LAST_LINE: Duration = Duration::from_millis(500);

/// How long a stopped run may take to end by itself. A thread that waits for an
/// answer doesn't notice the stop.
const UNWINDING: Duration = Duration::from_secs(1);

/// The output of the run, once it exists.
static OUTPUT: OnceLock<Arc<Output>> = OnceLock::new();

/// The thread that ends the process.
static ENDING: Mutex<Option<ThreadId>> = Mutex::new(None);

/// Watches for signals and panics. A signal writes a last STATE message for the
/// completed work, and the process exits with 130 or 143. A second signal exits
/// at once.
pub fn begin() {
    panic::set_hook(Box::new(|panic| end(&describe(panic), 1)));
    if let Err(error) = watch_signals() {
        logging::warning(&format!(
            "can't watch for signals ({error}); a signal will end the run without a last STATE"
        ));
    }
}

/// Watches a run that writes to `output`, and that ends by itself soon after
/// `stop` is set.
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
        log::warn!("can't start a thread to watch for the end of the run ({error})");
    }
}

/// Makes this thread the one that ends the process. Other threads that call
/// this wait forever.
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

/// Ends the process from outside the run, with a last STATE message and a last
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
        // After a timeout, the receiver is gone.
        let _ = said.send(());
    });
    if saying.is_ok() {
        // If the line can't be written, the exit code still tells the result.
        let _ = heard.recv_timeout(LAST_LINE);
    }
    exit(code)
}

/// Describes a panic for the last line. The log masks secrets in it.
fn describe(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(ToString::to_string);
    format!(
        "the program failed at {}: {}; this is a bug in tap-freshchat, please report it",
        place.as_deref().unwrap_or("an unknown place"),
        text.unwrap_or("no message")
    )
}

fn watch_signals() -> io::Result<()> {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: on the first signal, the flag is not yet set, and
        // is then set.
        flag::register_conditional_shutdown(signal, SIGNALED + signal, Arc::clone(&seen))?;
        flag::register(signal, Arc::clone(&seen))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watching = thread::Builder::new().name("signals".into());
    watching.spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // A run that is ending by itself may block while it writes its last
            // lines.
            end_after_grace(SIGNALED + signal);
            let name = match signal {
                SIGINT => "SIGINT",
                _ => "SIGTERM",
            };
            let message =
                format!("stopped by {name}; the last STATE covers everything that is complete");
            end(&message, SIGNALED + signal);
        }
    })?;
    Ok(())
}

/// Ends the process even if its last message can't be written. Earlier messages
/// remain valid.
fn end_after_grace(code: i32) {
    spawn("grace", move || {
        thread::sleep(GRACE);
        exit(code);
    });
}

/// Waits until stdout has no reader, which is detectable only for a pipe or a
/// socket, and then ends the run.
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

    /// Not a test: the test below starts this in a process of its own.
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
            lines[0].contains(": two lines; this is a bug in"),
            "{stderr}"
        );
    }
}
