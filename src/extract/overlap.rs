//! Reads and writes at the same time: the next page is requested while this one
//! is written.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::error::{Error, Result};

/// Runs `produce` on its own thread, and `consume` on this one for each item
/// handed over, in order. At most one item waits in between.
///
/// # Errors
/// The consumer's error, or else the producer's.
pub fn overlap<T: Send>(
    produce: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<()> + Send,
    mut consume: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let (sender, receiver) = sync_channel(1);
    thread::scope(|scope| {
        let producer =
            scope.spawn(move || produce(&mut |item| sender.send(item).map_err(|_| Error::Stopped)));
        // This consumes the receiver. After an error, the producer's next
        // hand-over fails and ends it.
        let consumed = receiver.into_iter().try_for_each(&mut consume);
        let produced = producer.join().unwrap_or_else(|panic| resume_unwind(panic));
        consumed.and(produced)
    })
}
