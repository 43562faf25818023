//! A bounded pool of workers whose results keep the order of their inputs.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

type Task<I, O> = (I, SyncSender<Result<O>>);

/// Calls `work` for each input on up to `workers` threads, and `consume` here
/// with the results, in the inputs' order. At most twice `workers` results
/// wait for their turn.
///
/// # Errors
/// The first error, in the inputs' order; inputs behind it aren't begun.
pub fn in_order<I: Send, O: Send>(
    workers: usize,
    inputs: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> Result<O> + Sync,
    mut consume: impl FnMut(O) -> Result<()>,
) -> Result<()> {
    let (tasks, queue) = sync_channel::<Task<I, O>>(workers);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let tasks = tasks;
        let mut waiting: VecDeque<Receiver<Result<O>>> = VecDeque::new();
        let mut take = |waiting: &mut VecDeque<Receiver<Result<O>>>| {
            let oldest = waiting.pop_front().ok_or(Error::Stopped)?;
            // A worker that panicked has dropped its end; the scope passes
            // the panic on.
            consume(oldest.recv().map_err(|_| Error::Stopped)??)
        };
        for (started, input) in inputs.into_iter().enumerate() {
            if started < workers {
                scope.spawn(|| serve(&queue, &work));
            }
            if waiting.len() == workers * 2 {
                take(&mut waiting)?;
            }
            let (result, receiver) = sync_channel(1);
            tasks.send((input, result)).map_err(|_| Error::Stopped)?;
            waiting.push_back(receiver);
        }
        while !waiting.is_empty() {
            take(&mut waiting)?;
        }
        Ok(())
    })
}

fn serve<I, O>(queue: &Mutex<Receiver<Task<I, O>>>, work: &(impl Fn(I) -> Result<O> + Sync)) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((input, result)) = task else {
            return;
        };
        // Nobody waits for the result any more after an error.
        let _ = result.send(work(input));
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
}
