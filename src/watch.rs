//! What can end a run from outside: a signal, or the reader of stdout going
//! away. Both have threads of their own, since a run may be waiting for the
//! API for an hour.

use std::io;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::progress;
use crate::singer::Output;

/// The exit code of a run that a second signal ended in the middle of a line.
const INTERRUPTED: i32 = 1;

/// How long the last STATE message may take. Some callers (Meltano's test of a
/// config) stop reading before they stop the tap, and a full pipe takes nothing.
const GRACE: Duration = Duration::from_secs(5);

/// Begins to watch. On a signal, a last STATE message for the completed work
/// is written, and the process exits with 0; a second signal exits at once.
pub fn start(output: &Arc<Output>) {
    if let Err(error) = watch_signals(Arc::clone(output)) {
        log::warn!("signals can't be watched ({error}); they end the run without a last STATE");
    }
    let watcher = thread::Builder::new().name("stdout".into());
    if let Err(error) = watcher.spawn(watch_stdout) {
        log::warn!("stdout can't be watched ({error})");
    }
}

fn watch_signals(output: Arc<Output>) -> io::Result<()> {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag down and raises it.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&seen))?;
        flag::register(signal, Arc::clone(&seen))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                progress::stop();
                log::info!("stopped by a signal; the last STATE holds what is complete");
                end_after_grace();
                output.close();
                exit(0);
            }
        })?;
    Ok(())
}

/// Ends the run even if its last message can't be written; those before it
/// stay true.
fn end_after_grace() {
    let waiting = thread::Builder::new().name("grace".into());
    let waited = waiting.spawn(|| {
        thread::sleep(GRACE);
        exit(0);
    });
    if let Err(error) = waited {
        log::warn!("the last STATE may wait without an end ({error})");
    }
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
