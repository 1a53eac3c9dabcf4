//! How a call reaches the node, and its answer the caller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;

use super::{Facts, Handle};
use crate::{
    clock::Clock,
    counters::{CallEnd, CallKind, EndedCall},
    engine::command::{Command, Reply, Request},
    error::{Error, Result},
    queue,
    shelf::Shelf,
    ticket::{Cancels, Ticket},
};

/// What the clones of a handle have in common.
pub(super) struct Shared {
    pub(super) commands: queue::Sender<Request>,
    pub(super) cancels: Cancels,
    pub(super) tickets: AtomicU64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shelf: Shelf,
    pub(super) facts: Facts,
}

impl Handle {
    /// Counts a call that is refused before it is sent.
    pub(super) fn unless_refused<T>(&self, kind: CallKind, checked: Result<T>) -> Result<T> {
        checked.inspect_err(|error| self.shared.shelf.count(EndedCall(kind, CallEnd::of(error))))
    }

    pub(super) fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> impl Future<Output = Result<T>> {
        self.ask_within(self.shared.facts.query_timeout, command)
    }

    /// Not an `async fn`, so that what travels is moved once: into the request.
    pub(super) fn ask_within<T>(
        &self,
        timeout: Duration,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> impl Future<Output = Result<T>> {
        let shared = &*self.shared;
        let ticket = Ticket(shared.tickets.fetch_add(1, Ordering::Relaxed));
        let asked = shared.clock.now();
        let deadline = asked.saturating_add(timeout);
        let (reply, answer) = Reply::channel();
        let request = Request { ticket, asked, deadline, command: command(reply) };
        async move {
            shared.send(request).await?;
            let guard = CancelOnDrop { cancels: &shared.cancels, ticket: Some(ticket) };
            let answer = answer.await.unwrap_or(Err(Error::ShuttingDown));
            guard.answered();
            answer
        }
    }
}

impl Shared {
    /// Sends a command to the node, and counts a call that never gets there.
    pub(super) async fn send(&self, request: Request) -> Result<()> {
        let kind = request.command.kind();
        match self.commands.try_send(request) {
            Ok(None) => Ok(()),
            // Boxed, so that a call that finds room, as nearly all do, is not the larger for it.
            Ok(Some(request)) => self.wait_for_room(kind, request).boxed().await,
            Err(error) => {
                self.count(kind, CallEnd::of(&error));
                Err(error)
            }
        }
    }

    /// Sends a command once there is room for it, and counts a call that never gets there.
    async fn wait_for_room(&self, kind: Option<CallKind>, request: Request) -> Result<()> {
        let mut unsent = Unsent { shared: self, kind, end: CallEnd::Cancelled };
        let sent = self.commands.send(request).await;
        match &sent {
            // From here on the node counts it.
            Ok(()) => unsent.kind = None,
            Err(error) => unsent.end = CallEnd::of(error),
        }
        sent
    }

    /// A call has ended before the node has heard of it.
    fn count(&self, kind: Option<CallKind>, end: CallEnd) {
        if let Some(kind) = kind {
            self.shelf.count(EndedCall(kind, end));
        }
    }
}

/// A call that the node has not heard of, and how it ends if that remains so.
struct Unsent<'a> {
    shared: &'a Shared,
    kind: Option<CallKind>,
    end: CallEnd,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.shared.count(self.kind, self.end);
    }
}

/// Tells the node that nobody waits for the answer any longer, unless it came.
struct CancelOnDrop<'a> {
    cancels: &'a Cancels,
    ticket: Option<Ticket>,
}

impl CancelOnDrop<'_> {
    fn answered(mut self) {
        self.ticket = None;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.cancels.push(ticket);
        }
    }
}
