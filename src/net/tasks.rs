//! Connection tasks: libp2p runs each connection as a future of its own, and somebody has to poll them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{StreamExt, channel::mpsc, stream::FuturesUnordered};

/// How many connections may begin, and how many may end, in one poll of the set. It is polled for each event of the
/// network, and once more for each that goes on for long.
const CHANGES_PER_POLL: usize = 16;

/// A future that runs one connection.
pub type ConnectionTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs connection tasks on an executor of the application's choice.
pub(crate) type Spawner = Box<dyn Fn(ConnectionTask) + Send + Sync>;

/// The connection tasks that the node polls itself. Empty for ever where the application runs them.
pub(crate) struct ConnectionTasks {
    spawned: mpsc::UnboundedReceiver<ConnectionTask>,
    running: FuturesUnordered<ConnectionTask>,
}

impl fmt::Debug for ConnectionTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionTasks").field("running", &self.running.len()).finish()
    }
}

impl ConnectionTasks {
    /// The set, and the executor to hand to the Swarm. The channel between them is bounded by the limits on
    /// connections, each of which is one task.
    pub(crate) fn new(spawner: Option<Spawner>) -> (Self, Spawner) {
        let (sender, spawned) = mpsc::unbounded();
        let executor = spawner.unwrap_or_else(|| {
            Box::new(move |task| {
                // Fails only when the node is gone, and its connections with it.
                let _ = sender.unbounded_send(task);
            })
        });
        (Self { spawned, running: FuturesUnordered::new() }, executor)
    }

    /// Polls the tasks that have something to do. Always registers the waker for what comes next; where a crowd of busy
    /// tasks, or of ending ones, is cut short it is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        let (begun, run) = (self.begin(cx), self.run(cx));
        if begun.is_ready() || run.is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Takes on what is new. Ready if there may be more.
    fn begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..CHANGES_PER_POLL {
            match ready!(self.spawned.poll_next_unpin(cx)) {
                Some(task) => self.running.push(task),
                // Whoever could send another is gone.
                None => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Runs what is to be run. Each task is polled once, and no more than two that have woken themselves. Ready if more may
    /// end.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..CHANGES_PER_POLL {
            if ready!(self.running.poll_next_unpin(cx)).is_none() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_test::task::new_count_waker;

    use super::*;

    #[test]
    fn a_crowd_that_comes_and_goes_is_taken_in_turns_and_nobody_is_forgotten() {
        let (mut tasks, spawner) = ConnectionTasks::new(None);
        for number in 0..1000 {
            if number % 4 == 0 {
                spawner(Box::pin(pending()));
            } else {
                spawner(Box::pin(ready(())));
            }
        }
        let (waker, woken) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        let mut polls = 0;
        loop {
            let before = woken.get();
            tasks.poll(&mut cx);
            polls += 1;
            if woken.get() == before {
                break;
            }
        }
        assert_eq!(tasks.running.len(), 250);
        assert!(polls >= 1000 / CHANGES_PER_POLL, "{polls} polls");
    }
}
