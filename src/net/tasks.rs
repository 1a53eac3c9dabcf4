//! Connection tasks: libp2p runs each connection as a future of its own, and somebody has to poll them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{StreamExt, channel::mpsc, stream::FuturesUnordered};

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

    /// Polls the tasks that have something to do. Always registers the waker for what comes next; the set
    /// itself wakes it if a crowd of busy tasks is cut short.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(task)) = self.spawned.poll_next_unpin(cx) {
            self.running.push(task);
        }
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
    }
}
