//! The bounded queue of commands between handles and node, and the line in front of it when it is full.
//!
//! A caller that waits for room holds nothing that another caller needs: whether or not its future is polled
//! on, the others get their turn. That is why no lock is held while waiting.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::{Stream, channel::mpsc, stream::FusedStream};

use crate::{Error, Result};

/// A queue for `capacity` commands (at least one).
pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    // A futures channel has one place for each sender beside its buffer. There is exactly one sender here,
    // shared by all handles: a sender for each handle would bound nothing.
    let (sender, receiver) = mpsc::channel(capacity.saturating_sub(1));
    let line = Line::default();
    (Sender { sender: Mutex::new(sender), line: line.clone() }, Receiver { receiver, line })
}

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    sender: Mutex<mpsc::Sender<T>>,
    line: Line,
}

/// The node's end.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    receiver: mpsc::Receiver<T>,
    line: Line,
}

/// Callers that wait for room, first come first served. Bounded by the calls that are under way, each of
/// which is a future that some caller holds.
#[derive(Debug, Clone, Default)]
struct Line(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    callers: BTreeMap<u64, Waker>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the first callers in line, outside of the lock.
    fn wake(&self, count: usize) {
        let woken: Vec<(u64, Waker)> = {
            let mut waiting = self.lock();
            std::iter::from_fn(|| waiting.callers.pop_first()).take(count).collect()
        };
        for (_, caller) in woken {
            caller.wake();
        }
    }
}

/// One caller's place in line, given up on drop.
struct Place<'a> {
    line: &'a Line,
    number: Option<u64>,
}

impl Place<'_> {
    fn stand(&mut self, waker: &Waker) {
        let mut waiting = self.line.lock();
        let number = *self.number.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        waiting.callers.insert(number, waker.clone());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        if self.line.lock().callers.remove(&number).is_none() {
            // It had been woken. If it goes without taking the room that it was woken for, that is the next
            // one's; if it took it, the next one looks in vain and stands in line again.
            self.line.wake(1);
        }
    }
}

impl<T> Sender<T> {
    /// Puts a command into the queue, waiting for room.
    ///
    /// Cancel safe: dropped before it is ready, the command has not been sent.
    pub(crate) async fn send(&self, item: T) -> Result<()> {
        let mut item = Some(item);
        let mut place = Place { line: &self.line, number: None };
        poll_fn(|cx| {
            match self.try_send(&mut item) {
                Poll::Pending => {}
                ready @ Poll::Ready(_) => return ready,
            }
            place.stand(cx.waker());
            // The node may have made room, and looked at the line, between the two lines above.
            self.try_send(&mut item)
        })
        .await
    }

    fn try_send(&self, item: &mut Option<T>) -> Poll<Result<()>> {
        let Some(command) = item.take() else { return Poll::Ready(Ok(())) };
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        match sender.try_send(command) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(full) if full.is_full() => {
                *item = Some(full.into_inner());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(Error::ShuttingDown)),
        }
    }
}

impl<T> Receiver<T> {
    /// Takes no more commands. Those that are in the queue still come out of it.
    pub(crate) fn close(&mut self) {
        self.receiver.close();
        self.line.wake(usize::MAX);
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let next = Pin::new(&mut self.receiver).poll_next(cx);
        match next {
            // One went out, one may come in.
            Poll::Ready(Some(_)) => self.line.wake(1),
            // The queue is empty: whoever still stands in line was passed over in favour of a caller that
            // is not being polled.
            Poll::Pending | Poll::Ready(None) => self.line.wake(usize::MAX),
        }
        next
    }
}

impl<T> FusedStream for Receiver<T> {
    fn is_terminated(&self) -> bool {
        self.receiver.is_terminated()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt, executor::block_on, future::join_all};
    use futures_test::task::new_count_waker;

    #[test]
    fn it_holds_its_capacity_and_no_more() {
        let (sender, mut receiver) = bounded(3);
        for n in 0..3 {
            assert_eq!(sender.send(n).now_or_never(), Some(Ok(())));
        }
        assert_eq!(sender.send(3).now_or_never(), None);
        assert_eq!(receiver.next().now_or_never(), Some(Some(0)));
        assert_eq!(sender.send(4).now_or_never(), Some(Ok(())));
        assert_eq!(sender.send(5).now_or_never(), None);
    }

    #[test]
    fn those_who_wait_are_served_in_order_and_once() {
        let (sender, mut receiver) = bounded(1);
        let sending = join_all((0..100).map(|n| sender.send(n)));
        let receiving = async {
            let mut received = Vec::new();
            while received.len() < 100 {
                received.extend(receiver.next().await);
            }
            received
        };
        let (sent, received) = block_on(futures::future::join(sending, receiving));
        assert!(sent.iter().all(Result::is_ok));
        assert_eq!(received, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_caller_that_is_not_polled_on_keeps_nobody_out() {
        let (sender, mut receiver) = bounded(1);
        assert_eq!(sender.send(0).now_or_never(), Some(Ok(())));
        let mut idle = Box::pin(sender.send(1));
        assert_eq!((&mut idle).now_or_never(), None);
        let (waker, wakes) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        let mut waiting = Box::pin(sender.send(2));
        assert!(waiting.poll_unpin(&mut cx).is_pending());
        // The first in line is woken and does nothing; the second must hear of it all the same.
        assert_eq!(receiver.next().now_or_never(), Some(Some(0)));
        assert_eq!(receiver.next().now_or_never(), None);
        assert!(wakes.get() > 0);
        assert!(waiting.poll_unpin(&mut cx).is_ready());
        assert_eq!(receiver.next().now_or_never(), Some(Some(2)));
    }

    #[test]
    fn a_caller_that_goes_away_passes_its_turn_on() {
        let (sender, mut receiver) = bounded(1);
        assert_eq!(sender.send(0).now_or_never(), Some(Ok(())));
        let (waker, wakes) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        let mut first = Box::pin(sender.send(1));
        assert_eq!((&mut first).now_or_never(), None);
        let mut second = Box::pin(sender.send(2));
        assert!(second.poll_unpin(&mut cx).is_pending());
        assert_eq!(receiver.next().now_or_never(), Some(Some(0)));
        assert_eq!(wakes.get(), 0);
        drop(first);
        assert_eq!(wakes.get(), 1);
        assert!(second.poll_unpin(&mut cx).is_ready());
    }

    #[test]
    fn whoever_waits_hears_of_the_end() {
        let (sender, receiver) = bounded(1);
        assert_eq!(sender.send(0).now_or_never(), Some(Ok(())));
        let (waker, wakes) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        let mut waiting = Box::pin(sender.send(1));
        assert!(waiting.poll_unpin(&mut cx).is_pending());
        drop(receiver);
        assert_eq!(wakes.get(), 1);
        assert_eq!(waiting.poll_unpin(&mut cx), Poll::Ready(Err(Error::ShuttingDown)));
    }

    #[test]
    fn the_receiver_ends_with_the_last_sender() {
        let (sender, mut receiver) = bounded(4);
        assert_eq!(sender.send(7).now_or_never(), Some(Ok(())));
        drop(sender);
        assert_eq!(block_on(receiver.next()), Some(7));
        assert_eq!(block_on(receiver.next()), None);
        assert!(receiver.is_terminated());
    }
}
