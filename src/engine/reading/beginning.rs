//! How callers ask for records.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    Reading,
    queries::Waiter,
    read::{Progress, Read},
    waiting::{Call, GetRecord, Operation},
};
use crate::{
    counters::{CallKind, EndedCall},
    engine::{
        calls::{Begin, Since},
        command::Reply,
        context::Context,
        effects::Effects,
        interface::Action,
        store::Refused,
    },
    error::{Error, Result},
    freshness::Found,
    package::{PackageId, PackageName, Source},
    record::{Head, Record, RecordKey, Signed},
    ticket::Ticket,
};

impl Reading {
    /// Whose package is meant, as far as that is known. To its own publisher, the bare name of a package that it
    /// `publishes` means its own.
    pub(in crate::engine) fn whose(
        &self,
        cx: &Context,
        package: &PackageId,
        publishes: bool,
    ) -> Option<PeerId> {
        match package.owner() {
            Some(owner) => Some(*owner),
            None if publishes => Some(cx.owner),
            None => self.pins.owner(package.name()),
        }
    }

    /// Asks the DHT for what a read lacks.
    pub(in crate::engine) fn wait(
        &mut self,
        ticket: Ticket,
        since: Since,
        key: RecordKey,
        read: Read,
    ) {
        self.queries.get(key, Waiter::new(ticket, read.freshness()));
        self.calls.insert(ticket, Call { since, operation: Operation::Read(read) });
    }

    /// Answers a caller who asks for a record by its key, or looks it up.
    pub(in crate::engine) fn get_record(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        begin: Begin,
        get: GetRecord,
    ) {
        let GetRecord { key, freshness, .. } = get;
        let known = self.known(cx, &key, freshness);
        if let Some((record, source)) = known.or_else(|| self.heard(cx, &key, freshness)) {
            return out.count(get.answer(record, source));
        }
        if self.absences.suffices(cx.now(), &key, freshness) {
            return out.count(Operation::GetRecord(get).fail(Error::not_found("record")));
        }
        let since = out.since(&begin);
        self.queries.get(key, Waiter::new(begin.ticket, freshness));
        self.calls.insert(begin.ticket, Call { since, operation: Operation::GetRecord(get) });
    }

    /// Stores a record here that a caller wants to be put. Gives it back if it is to be put to others, too; if not, the
    /// caller has been told why.
    pub(in crate::engine) fn accept_put(
        &self,
        cx: &Context,
        out: &mut Effects,
        record: Record,
        reply: Reply<u32>,
    ) -> Option<(Record, Reply<u32>)> {
        let refused = if self.puts() >= cx.config.limits.waiting_calls {
            Error::busy("waiting_calls")
        } else {
            // It was verified once, but maybe for another network or at another time.
            match cx.store.insert(&record.key(), &record.to_bytes()) {
                // What is held under its key is for the storage to say.
                Ok(_) | Err(Refused::Away) => return Some((record, reply)),
                Err(refused) => {
                    let clock = refused.is_untimely().then(|| cx.clock_at_fault()).flatten();
                    Error::from(refused).because(clock)
                }
            }
        };
        out.count(EndedCall(CallKind::PutRecord, reply.send(Err(refused))));
        None
    }

    /// Puts a record that is stored here to others.
    pub(in crate::engine) fn put_record(
        &mut self,
        out: &mut Effects,
        begin: Begin,
        record: Record,
        reply: Reply<u32>,
    ) {
        self.forget_absence(&record.key());
        let since = out.since(&begin);
        self.queries.put(record, Some(begin.ticket));
        self.calls.insert(begin.ticket, Call { since, operation: Operation::PutRecord { reply } });
    }

    /// A caller waits until the routing table has been filled.
    pub(in crate::engine) fn bootstrap(
        &mut self,
        out: &mut Effects,
        begin: Begin,
        reply: Reply<usize>,
    ) {
        let since = out.since(&begin);
        self.bootstrap_again(begin.ticket, since, reply);
    }

    /// Says once and for all whose package a bare name means, or that nothing is said of it. Tells what was said before.
    pub(in crate::engine) fn pin(
        &mut self,
        cx: &Context,
        name: &PackageName,
        owner: Option<PeerId>,
    ) -> Result<Option<PeerId>> {
        if let Some(owner) = &owner {
            cx.store.want(owner, name);
        }
        self.pins.set(name.clone(), owner)
    }

    /// A call waits for its query no longer.
    pub(in crate::engine) fn leave(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
        operation: &Operation,
    ) {
        if let Operation::Bootstrap { .. } = operation {
            self.queries.leave_bootstrap(ticket);
        } else if let Some(key) = operation.awaits(&cx.config.network) {
            self.leave_lookup(out, &key, ticket);
        }
    }

    /// Whoever has this ticket waits for a lookup no longer. With the last one, it ends.
    pub(in crate::engine) fn leave_lookup(
        &mut self,
        out: &mut Effects,
        key: &RecordKey,
        ticket: Ticket,
    ) {
        if let Some(query) = self.queries.leave(key, ticket) {
            out.actions.push_back(Action::Finish { query });
        }
    }
}

impl Progress {
    /// Goes on with this node's own head of the package, where it has one.
    pub(in crate::engine) fn with_own(self, own: Option<&Signed<Head>>) -> Self {
        match (self, own) {
            (Self::More(read), Some(head)) => read.take_head(head, Source::Own),
            (progress, _) => progress,
        }
    }
}

impl GetRecord {
    /// Answers its caller with a record.
    pub(in crate::engine) fn answer(self, record: Arc<Record>, source: Source) -> EndedCall {
        let record = Arc::unwrap_or_clone(record);
        EndedCall(CallKind::GetRecord, self.reply.send(Ok(Found { record, source })))
    }
}
