//! The bounded queue of commands between handles and node, and the line in front of it when it is full.
//!
//! A caller that waits for room holds nothing that another caller needs: whether or not its future is polled
//! on, the others get their turn. That is why no lock is held while waiting.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering, fence},
    },
    task::{Context, Poll, Waker},
};

use futures::{Stream, channel::mpsc, stream::FusedStream};

use crate::error::{Error, Result};

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
struct Line(Arc<LineInner>);

#[derive(Debug, Default)]
struct LineInner {
    /// How many stand in line, so that the node need not lock a line that is empty, as it nearly always is.
    length: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    callers: BTreeMap<u64, Waker>,
}

impl Line {
    /// Changes the line, and keeps its length.
    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut waiting);
        // A caller stands in line before it looks for room a last time, and the node makes room before it
        // looks at the length: one of the two sees the other.
        self.0.length.store(waiting.callers.len(), Ordering::SeqCst);
        changed
    }

    /// Wakes the first callers in line, outside of the lock.
    fn wake(&self, count: usize) {
        fence(Ordering::SeqCst);
        if self.0.length.load(Ordering::SeqCst) == 0 {
            return;
        }
        let woken: Vec<(u64, Waker)> = self.change(|waiting| {
            std::iter::from_fn(|| waiting.callers.pop_first()).take(count).collect()
        });
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
        self.line.change(|waiting| {
            let number = *self.number.get_or_insert_with(|| {
                waiting.next += 1;
                waiting.next
            });
            waiting.callers.insert(number, waker.clone());
        });
        fence(Ordering::SeqCst);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        if self.line.change(|waiting| waiting.callers.remove(&number)).is_none() {
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
            if let ready @ Poll::Ready(_) = self.try_take(&mut item) {
                return ready;
            }
            place.stand(cx.waker());
            // The node may have made room, and looked at the line, between the two lines above.
            self.try_take(&mut item)
        })
        .await
    }

    /// Puts a command into the queue if there is room, else gives it back.
    pub(crate) fn try_send(&self, item: T) -> Result<Option<T>> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        match sender.try_send(item) {
            Ok(()) => Ok(None),
            Err(full) if full.is_full() => Ok(Some(full.into_inner())),
            Err(_) => Err(Error::ShuttingDown),
        }
    }

    fn try_take(&self, item: &mut Option<T>) -> Poll<Result<()>> {
        if let Some(command) = item.take() {
            *item = self.try_send(command)?;
        }
        if item.is_some() { Poll::Pending } else { Poll::Ready(Ok(())) }
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
