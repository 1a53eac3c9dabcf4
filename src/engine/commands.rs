//! How each command begins. Most are answered at once; the others become calls that wait.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;

use super::{
    Action, Engine, Now, Operation,
    calls::{Call, GetRecord},
    flows::listing::Asked,
    own::Change,
    queries::{Replies, Waiter},
    read::{Goal, Progress, Read, Which},
    resuming::Known,
};
use crate::{
    Error, Found, Freshness, Package, PackageId, PackageName, Result, Source,
    command::{Command, Reply, Request},
    counters::{CallEnd, CallKind, EndedCall},
    record::{Record, RecordKey},
    ticket::Ticket,
};

impl Engine {
    /// Begins what a caller asks for.
    pub(crate) fn command(&mut self, now: Now, request: Request) {
        self.set_time(now);
        let Request { ticket, asked, deadline, command } = request;
        if self.cx.closed {
            return self.refuse(command, Error::ShuttingDown);
        }
        if command.is_abandoned() {
            return self.out.count(command.kind().map(|kind| EndedCall(kind, CallEnd::Cancelled)));
        }
        if deadline <= now.mono {
            let after = now.mono.saturating_sub(asked);
            return self.refuse(command, Error::Timeout { after });
        }
        let begin = Begin { now, ticket, asked, deadline };
        match command {
            Command::Search { query, reply } => {
                let end = reply.send(self.discovery.search(&self.cx, now, &query));
                self.out.count(EndedCall(CallKind::Search, end));
            }
            Command::SearchPeers { findings, .. }
                if self.discovery.searches_len() >= self.cx.config.limits.waiting_calls =>
            {
                let end = findings.fail(Error::busy("waiting_calls"));
                self.out.count(EndedCall(CallKind::Search, end));
            }
            Command::SearchPeers { query, findings } => self.search_peers(begin, *query, findings),
            Command::Metadata { reply } => uncounted(reply.send(Ok(self.metadata()))),
            Command::Peers { reply } => uncounted(reply.send(Ok(self.connected_peers(now)))),
            Command::Providers { owner, name, reply } => {
                uncounted(reply.send(Ok(self.providers(now, &owner, &name))));
            }
            Command::Equivocations { reply } => {
                uncounted(reply.send(Ok(self.standing.equivocations.list())));
            }
            Command::Reputation { peer, reply } => {
                uncounted(reply.send(Ok(self.standing.reputations.get(&peer))));
            }
            Command::Pin { name, owner, reply } => uncounted(reply.send(self.pin(name, owner))),
            Command::Snapshot { reply } => {
                uncounted(reply.send(Ok(Box::new(self.snapshot(now)))));
            }
            Command::Subscribe { topic, reply } => {
                uncounted(reply.send(self.publishing.subscribe(&self.cx, &mut self.out, topic)))
            }
            Command::Unsubscribe { topic, reply } => {
                uncounted(reply.send(Ok(self.publishing.unsubscribe(&mut self.out, topic))));
            }
            Command::Announce { topic, data, reply } => {
                self.publishing.announce(&self.cx, &mut self.out, now, topic, data, reply)
            }
            Command::Shutdown { reply } => uncounted(reply.send(Ok(()))),
            waiting if self.waiting_calls() >= self.cx.config.limits.waiting_calls => {
                self.refuse(waiting, Error::busy("waiting_calls"));
            }
            Command::GetPackage { package, freshness, reply } => {
                // It may have been put there while the command was on its way: a crowd that asks for one package is
                // mostly answered from here.
                if freshness == Freshness::First
                    && let Some(known) =
                        self.reading.shelf.get_at(&package, || (now.mono, now.unix))
                {
                    let end = reply.send(Ok(Box::new(Package::clone(&known))));
                    return self.out.count(EndedCall(CallKind::Get, end));
                }
                let (package, which) = Which::of(package);
                self.read(begin, package, which, freshness, Goal::Package(reply));
            }
            Command::Resolve { asked, freshness, reply } => {
                let (package, requirement) = *asked;
                let which = Which::Matching(Box::new(requirement));
                self.read(begin, package, which, freshness, Goal::Package(reply));
            }
            Command::ListVersions { package, freshness, reply } => {
                self.read(begin, package, Which::Newest, freshness, Goal::Versions(reply));
            }
            Command::Register { manifest, confirmation, reply } => {
                self.change(begin, Change::Register(manifest), confirmation, reply);
            }
            Command::Yank { of, reason, confirmation, reply } => {
                let (name, version) = *of;
                self.change(begin, Change::Yank { name, version, reason }, confirmation, reply);
            }
            Command::Unyank { of, confirmation, reply } => {
                let (name, version) = *of;
                self.change(begin, Change::Unyank { name, version }, confirmation, reply);
            }
            Command::Deprecate { name, said: deprecation, confirmation, reply } => {
                self.change(begin, Change::Deprecate { name, deprecation }, confirmation, reply);
            }
            Command::Unregister { name, confirmation, reply } => {
                self.change(begin, Change::Unregister { name }, confirmation, reply);
            }
            Command::GetRecord { key, freshness, reply } => {
                self.get_record(begin, GetRecord { key, freshness, reply });
            }
            Command::PutRecord { record, reply } => self.put_record(begin, *record, reply),
            Command::Bootstrap { reply } => self.bootstrap(begin, reply),
            Command::Dial { peer, addresses, reply } => self.dial(begin, peer, addresses, reply),
        }
        self.admit();
    }

    /// The caller has gone away: frees its place, its deadline and, with the last caller, the lookup.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        if self.discovery.drop_search(&mut self.out, ticket).is_some() {
            return self.out.count(EndedCall(CallKind::Search, CallEnd::Cancelled));
        }
        if self.publishing.is_changing(ticket) {
            self.cancel_change(ticket);
        } else if let Some(mut call) = self.calls.remove(ticket) {
            self.out.finish(call.since);
            self.out.count(EndedCall(call.operation.kind(), CallEnd::Cancelled));
            self.leave(ticket, &mut call.operation);
        } else {
            return;
        }
        self.admit();
    }

    /// The caller's time is up.
    pub(super) fn time_out(&mut self, now: Now, ticket: Ticket) {
        if self.publishing.is_changing(ticket) {
            return self.time_out_change(now, ticket);
        }
        let Some(mut call) = self.calls.remove(ticket) else { return };
        let best = self.awaited(&call.operation).and_then(|key| {
            let nothing = Replies::default();
            let replies = self.queries.heard(&key).unwrap_or(&nothing);
            let subject = match &call.operation {
                Operation::Read(read) => read.subject(),
                _ => None,
            };
            self.cx.readable(self.with_listed(
                now,
                self.reading.best(&self.cx, now, &key, replies),
                subject,
            ))
        });
        self.leave(ticket, &mut call.operation);
        let after = now.mono.saturating_sub(call.since.asked);
        match (call.operation, best) {
            // Better what was found so far than nothing.
            (Operation::GetRecord(get), Some(best)) => {
                let record = Arc::unwrap_or_clone(best);
                let end = get.reply.send(Ok(Found { record, source: Source::Partial }));
                self.out.count(EndedCall(CallKind::GetRecord, end));
            }
            (Operation::Read(mut read), best) => {
                read.make_do();
                let progress = match best {
                    Some(best) => Ok(self.advance(now, read, &best, Source::Partial)),
                    None => self.read_listed(now, read, Asked::TooFew),
                };
                match progress {
                    Ok(progress) => self.make_do(now, progress, after),
                    Err(read) => self.out.count(read.fail(Error::Timeout { after })),
                }
            }
            (operation, _) => self.out.count(operation.fail(Error::Timeout { after })),
        }
    }

    /// A read whose time is up goes on with what is known here, and no further.
    fn make_do(&mut self, now: Now, mut progress: Progress, after: Duration) {
        loop {
            let read = match progress {
                Progress::Answered(ended) => return self.out.count(ended),
                Progress::More(read) => read,
            };
            let Known::Lacks(_, read) = self.read_known(now, read) else { return };
            progress = match self.read_listed(now, read, Asked::TooFew) {
                Ok(progress) => progress,
                Err(read) => return self.out.count(read.fail(Error::Timeout { after })),
            };
        }
    }

    /// The record that a call waits for.
    fn awaited(&self, operation: &Operation) -> Option<RecordKey> {
        let network = &self.cx.config.network;
        match operation {
            Operation::Read(read) => Some(read.wants(network)),
            Operation::GetRecord(get) => Some(get.key),
            Operation::PutRecord { .. } | Operation::Bootstrap { .. } | Operation::Dial { .. } => {
                None
            }
        }
    }

    /// The call waits for its query no longer.
    fn leave(&mut self, ticket: Ticket, operation: &mut Operation) {
        if let Operation::Bootstrap { .. } = operation {
            self.queries.leave_bootstrap(ticket);
        } else if let Operation::Dial { peer, .. } = operation {
            self.peers.dials.leave(peer, ticket);
        } else if let Some(key) = self.awaited(operation)
            && let Some(query) = self.queries.leave(&key, ticket)
        {
            self.out.actions.push_back(Action::Finish { query });
        }
    }

    /// How many calls wait for the network.
    fn waiting_calls(&self) -> usize {
        self.calls.len() + self.publishing.changes_len()
    }

    fn read(
        &mut self,
        begin: Begin,
        package: PackageId,
        which: Which,
        freshness: Freshness,
        goal: Goal,
    ) {
        let owner = match package.owner() {
            Some(owner) => Some(*owner),
            None if self.publishing.is_live(package.name()) => Some(self.cx.owner),
            None => self.reading.pins.owner(package.name()),
        };
        let own = if owner == Some(self.cx.owner) {
            self.publishing.own_head(begin.now, package.name())
        } else {
            None
        };
        let mut progress = Read::begin(package, which, owner, freshness, goal);
        if let Some(head) = own
            && let Progress::More(read) = progress
        {
            progress = read.take_head(head, Source::Own);
        }
        let read = match progress {
            Progress::More(read) => read,
            Progress::Answered(ended) => return self.out.count(ended),
        };
        match self.read_known(begin.now, read) {
            Known::Answered => {}
            // Only what has to wait takes a place among the deadlines.
            Known::Lacks(key, read) => {
                let since = self.out.since(&begin);
                self.wait_read(begin.ticket, since, key, read);
            }
        }
    }

    fn get_record(&mut self, begin: Begin, get: GetRecord) {
        let GetRecord { key, freshness, .. } = get;
        let known = self.reading.known(&self.cx, begin.now, &key, freshness);
        if let Some((record, source)) = known.or_else(|| self.heard(begin.now, &key, freshness)) {
            let record = Arc::unwrap_or_clone(record);
            let end = get.reply.send(Ok(Found { record, source }));
            return self.out.count(EndedCall(CallKind::GetRecord, end));
        }
        if self.reading.is_absent(begin.now, &key, freshness) {
            let end = get.reply.send(Err(Error::not_found("record")));
            return self.out.count(EndedCall(CallKind::GetRecord, end));
        }
        let since = self.out.since(&begin);
        self.queries.get(key, Waiter::new(begin.ticket, freshness));
        let operation = Operation::GetRecord(get);
        self.calls.insert(begin.ticket, Call { since, operation });
    }

    fn put_record(&mut self, begin: Begin, record: Record, reply: Reply<u32>) {
        if self.queries.puts() >= self.cx.config.limits.waiting_calls {
            let end = reply.send(Err(Error::busy("waiting_calls")));
            return self.out.count(EndedCall(CallKind::PutRecord, end));
        }
        // It was verified once, but maybe for another network or at another time.
        if let Err(refused) = self.cx.store.insert(&record.key(), &record.to_bytes()) {
            let clock = refused.is_untimely().then(|| self.cx.clock_at_fault()).flatten();
            let end = reply.send(Err(Error::from(refused).because(clock)));
            return self.out.count(EndedCall(CallKind::PutRecord, end));
        }
        self.learn_stored();
        self.reading.absences.remove(&record.key());
        let since = self.out.since(&begin);
        self.queries.put(record, Some(begin.ticket));
        let operation = Operation::PutRecord { reply };
        self.calls.insert(begin.ticket, Call { since, operation });
    }

    fn bootstrap(&mut self, begin: Begin, reply: Reply<usize>) {
        self.dial_bootstrap_if_alone();
        let since = self.out.since(&begin);
        self.queries.bootstrap(begin.ticket);
        let operation = Operation::Bootstrap { reply };
        self.calls.insert(begin.ticket, Call { since, operation });
    }

    fn pin(&mut self, name: PackageName, owner: Option<PeerId>) -> Result<Option<PeerId>> {
        if let Some(owner) = &owner {
            self.cx.store.want(owner, &name);
        }
        let before = self.reading.pins.set(name.clone(), owner)?;
        self.discovery.repinned(&name, before, owner);
        Ok(before)
    }
}

/// What only asks for the state of the node, or changes its settings, is not counted.
fn uncounted(_: CallEnd) {}

/// What every call begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) now: Now,
    pub(super) ticket: Ticket,
    pub(super) asked: std::time::Duration,
    pub(super) deadline: std::time::Duration,
}
