//! A bounded worker pool that keeps the results in the order of the inputs.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// How many inputs per worker may be started before the first of them is done.
/// It keeps the other workers busy while one input takes long.
const LOOKAHEAD: usize = 4;

/// How many results of an input may wait for their turn, before its worker has
/// to wait.
const AHEAD: usize = 8;

/// The results of an input, with `None` after the last. A worker that panicked
/// sends no `None`, so it can't be mistaken for one that is done.
type Results<O> = Receiver<Result<Option<O>>>;

/// An input, and the channel for its results.
type Task<I, O> = (I, SyncSender<Result<Option<O>>>);

/// Hands over an item. An error means that the receiver is gone.
pub type HandOver<'a, T> = dyn FnMut(T) -> Result<()> + 'a;

/// Calls `work` on `workers` threads for each input that `produce` hands over,
/// and calls `consume` on this thread with the results. Results arrive in the
/// order of the inputs; those of the current input arrive as soon as they are
/// handed over. `produce` runs on its own thread. At most `workers` times
/// [`LOOKAHEAD`] inputs are started early, with at most [`AHEAD`] results each.
///
/// # Errors
/// The first error of `work` or `consume` in the order of the inputs, or else
/// the producer's. Later inputs aren't started.
pub fn pipe<I: Send, O: Send>(
    workers: usize,
    produce: impl FnOnce(&mut HandOver<I>) -> Result<()> + Send,
    work: impl Fn(I, &mut HandOver<O>) -> Result<()> + Sync,
    mut consume: impl FnMut(O) -> Result<()>,
) -> Result<()> {
    let (tasks, queue) = sync_channel::<Task<I, O>>(workers);
    let (order, turns) = sync_channel::<Results<O>>(workers * LOOKAHEAD);
    let pool = Pool {
        queue: Mutex::new(queue),
        stopped: AtomicBool::new(false),
        work,
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| pool.serve());
        }
        let producer = scope.spawn(move || {
            produce(&mut |input| {
                let (sender, results) = sync_channel(AHEAD);
                order.send(results).map_err(|_| Error::Stopped)?;
                tasks.send((input, sender)).map_err(|_| Error::Stopped)
            })
        });
        // This consumes the turns. After an error, the producer's next
        // hand-over fails and ends it.
        let consumed = turns
            .into_iter()
            .try_for_each(|results| take_all(results, &mut consume));
        pool.stopped.store(true, Ordering::Relaxed);
        let produced = producer.join().unwrap_or_else(|panic| resume_unwind(panic));
        consumed.and(produced)
    })
}

/// Like [`pipe`], for inputs that already exist and have a single result each.
/// The workers take them directly, without a thread that hands them over.
///
/// # Errors
/// The first error, in the order of the inputs. Later inputs aren't started.
pub fn in_order<I: Send, O: Send>(
    workers: usize,
    inputs: impl IntoIterator<Item = I, IntoIter: Send>,
    work: impl Fn(I) -> Result<O> + Sync,
    mut consume: impl FnMut(O) -> Result<()>,
) -> Result<()> {
    let (order, turns) = sync_channel::<Receiver<Result<O>>>(workers * LOOKAHEAD);
    let queue = Mutex::new(Some((inputs.into_iter(), order)));
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (inputs, order) = queue.as_mut()?;
        let (sender, result) = sync_channel(1);
        // After an error, nobody takes the results.
        let input = inputs.next().filter(|_| order.send(result).is_ok());
        if input.is_none() {
            // This ends the turns.
            *queue = None;
        }
        Some((input?, sender))
    };
    let serve = || {
        while let Some((input, sender)) = next() {
            if sender.send(work(input)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(serve);
        }
        // This consumes the turns. After a panic, the scope propagates it.
        turns
            .into_iter()
            .try_for_each(|result| consume(result.recv().map_err(|_| Error::Stopped)??))
    })
}

/// Consumes all results of an input.
fn take_all<O>(results: Results<O>, consume: &mut impl FnMut(O) -> Result<()>) -> Result<()> {
    loop {
        // After a panic, the worker's end of the channel is closed, and the
        // scope propagates the panic.
        match results.recv().map_err(|_| Error::Stopped)?? {
            Some(result) => consume(result)?,
            None => return Ok(()),
        }
    }
}

/// The state shared by the workers.
struct Pool<I, O, W> {
    queue: Mutex<Receiver<Task<I, O>>>,
    /// Set after an error. Queued inputs are then not started.
    stopped: AtomicBool,
    work: W,
}

impl<I, O, W: Fn(I, &mut HandOver<O>) -> Result<()>> Pool<I, O, W> {
    fn serve(&self) {
        loop {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let task = queue.recv();
            drop(queue);
            let Ok((input, results)) = task else {
                return;
            };
            if self.stopped.load(Ordering::Relaxed) {
                continue;
            }
            let mut hand_over = |result| results.send(Ok(Some(result))).map_err(|_| Error::Stopped);
            let done = (self.work)(input, &mut hand_over).map(|()| None);
            // After an error, the receiver is gone.
            let _ = results.send(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order() {
        let mut seen = Vec::new();
        let inputs = 0..100;
        in_order(
            7,
            inputs.clone(),
            |n| Ok(n * 2),
            |n| {
                seen.push(n);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, inputs.map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn ends_at_the_first_error() {
        let mut seen = Vec::new();
        let result = in_order(
            3,
            0..,
            |n| if n < 10 { Ok(n) } else { Err(Error::Stopped) },
            |n| {
                seen.push(n);
                Ok(())
            },
        );
        assert!(result.is_err());
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn many_results_of_one_input_come_in_its_turn() {
        let mut seen = Vec::new();
        let numbers = |many: usize| (0..many).map(move |n| (many, n));
        let inputs = [0, 100, 1, 30, 100];
        pipe(
            2,
            |hand_over| inputs.into_iter().try_for_each(hand_over),
            |many, hand_over| numbers(many).try_for_each(hand_over),
            |result| {
                seen.push(result);
                Ok(())
            },
        )
        .unwrap();
        let expected: Vec<_> = inputs.into_iter().flat_map(numbers).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn one_pipe_feeds_another() {
        let mut sum = 0;
        let outer = pipe(
            3,
            |outer| {
                pipe(
                    3,
                    |inner| (0..200).try_for_each(inner),
                    |n, hand_over| hand_over(n),
                    outer,
                )
            },
            |n, hand_over| hand_over(n),
            |n| {
                sum += n;
                if n < 150 {
                    Ok(())
                } else {
                    Err(Error::StdoutClosed)
                }
            },
        );
        assert!(matches!(outer, Err(Error::StdoutClosed)), "{outer:?}");
        assert_eq!(sum, (0..=150).sum::<i32>());
    }
}
