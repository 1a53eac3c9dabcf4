//! What names a call, and how the node hears that its caller has gone away.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::task::AtomicWaker;

/// Names one call for as long as it lives. Never reused within a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// Calls whose callers went away, on the way to the node.
///
/// Bounded by the calls that are under way: each is cancelled at most once.
#[derive(Debug, Clone)]
pub(crate) struct Cancels(Arc<CancelsInner>);

#[derive(Debug)]
struct CancelsInner {
    /// Whether there are any: the node looks at every poll, and mostly in vain.
    any: AtomicBool,
    tickets: Mutex<Vec<Ticket>>,
    node: Arc<AtomicWaker>,
}

impl Cancels {
    /// Cancellations that wake this task, which the node keeps up to date.
    pub(crate) fn new(node: Arc<AtomicWaker>) -> Self {
        let (any, tickets) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(CancelsInner { any, tickets, node }))
    }

    pub(crate) fn push(&self, ticket: Ticket) {
        self.tickets().push(ticket);
        self.0.any.store(true, Ordering::Release);
        self.0.node.wake();
    }

    /// Takes what has been cancelled so far. One that comes after this look wakes the node again.
    pub(crate) fn take(&self) -> Vec<Ticket> {
        if !self.0.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut tickets = self.tickets();
        self.0.any.store(false, Ordering::Release);
        mem::take(&mut *tickets)
    }

    fn tickets(&self) -> MutexGuard<'_, Vec<Ticket>> {
        self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
