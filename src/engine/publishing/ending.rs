//! How a change ends before its course is run: it comes to nothing, its caller goes away, or its time is up.

use crate::{
    counters::{CallEnd, EndedCall},
    engine::{
        context::Context,
        effects::Effects,
        interface::{Now, Reach},
        publishing::{
            Publishing,
            changes::Underway,
            next::{Failure, Next},
            publish::Stage,
        },
    },
    error::Error,
    ticket::Ticket,
};

impl Publishing {
    /// A change cannot go on. What is still looked up for it ends first.
    pub(super) fn give_up(&mut self, change: Underway, failure: Failure) -> Next {
        self.changes.insert(change);
        Next::Abandon(failure)
    }

    /// A change comes to nothing. What the node does by itself it tries again: a package that is never
    /// put again expires.
    pub(in crate::engine) fn abandon(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        ticket: Ticket,
        error: Error,
    ) {
        let now = cx.now();
        let Some(mut change) = self.changes.remove(ticket) else { return };
        let publish = &mut change.publish;
        if publish.reply.is_some() {
            return match publish.settle(Err(error)) {
                Ok(receipt) => self.answer_announced(out, change, receipt),
                Err(error) => self.fail_announced(out, change, error),
            };
        }
        out.finish(change.since);
        let name = publish.change.name();
        tracing::debug!(%name, %error, "not put again");
        self.renewing.remove(name);
        match self.own.get(name) {
            Some(own) => {
                if own.lacks_replicas() {
                    self.replicate_later(out, now, reach);
                }
                self.renew_later(cx, out, name);
            }
            None if self.resuming.contains(name) => {
                let is_gone = matches!(error, Error::NotFound { .. }) && reach == Reach::Joined;
                if !is_gone || self.resuming.not_found(name, now.unix, cx.clocks.moves()) {
                    self.replicate_later(out, now, reach);
                }
            }
            None => {}
        }
    }

    /// Answers everybody who waits for a change with an error.
    pub(in crate::engine) fn fail_changes(&mut self, out: &mut Effects, error: &Error) {
        for mut publish in self.changes.drain() {
            publish.answer(out, Err(error.clone()));
        }
    }

    /// The caller of a change has gone away. What is signed stands, and the node sees to it that it is stored.
    pub(in crate::engine) fn cancel(&mut self, out: &mut Effects, ticket: Ticket) -> Next {
        let Some(mut change) = self.changes.remove(ticket) else { return Next::Wait };
        out.finish(change.since);
        change.since.timer = None;
        let publish = &mut change.publish;
        out.count(publish.kind().map(|kind| EndedCall(kind, CallEnd::Cancelled)));
        let is_stored = matches!(publish.stage, Stage::Explaining(_));
        out.cut_explaining(ticket, publish);
        publish.reply = None;
        self.release(out, publish.announcement);
        match &publish.stage {
            Stage::Storing(_) if !is_stored => {
                self.changes.insert(change);
                Next::Wait
            }
            Stage::Confirming(confirming) => {
                let awaited = confirming.all_awaited();
                self.changes.insert(change);
                Next::EndReadBacks(awaited)
            }
            Stage::Recalling(_) | Stage::Storing(_) | Stage::Explaining(_) | Stage::Announcing => {
                Next::Wait
            }
        }
    }

    /// The time of a change's caller is up: it is answered with what has been achieved.
    pub(in crate::engine) fn time_up(
        &mut self,
        out: &mut Effects,
        now: Now,
        ticket: Ticket,
    ) -> Next {
        let Some(mut change) = self.changes.remove(ticket) else { return Next::Wait };
        change.since.timer = None;
        let publish = &mut change.publish;
        self.release(out, publish.announcement);
        match &publish.stage {
            Stage::Confirming(confirming) => {
                let awaited = confirming.all_awaited();
                self.changes.insert(change);
                return Next::EndReadBacks(awaited);
            }
            Stage::Explaining(_) => {
                out.cut_explaining(ticket, publish);
                publish.answer_early(out, &self.outbox);
            }
            Stage::Storing(_) => {
                publish.answer_early(out, &self.outbox);
                self.changes.insert(change);
            }
            Stage::Recalling(_) | Stage::Announcing => {
                let after = now.mono.saturating_sub(change.since.asked);
                publish.answer(out, Err(Error::Timeout { after }));
            }
        }
        Next::Wait
    }
}
