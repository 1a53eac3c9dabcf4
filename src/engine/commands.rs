//! How each command begins. Most are answered at once; the others become calls that wait.

use crate::engine::calls::Since;
use crate::engine::publish::Publish;

use super::{
    Engine, Now,
    own::Change,
    publish::Stage,
    read::{Goal, Which},
    reading::waiting::GetRecord,
};
use crate::{
    Error, Freshness, Package,
    command::{Command, Request},
    counters::{CallEnd, CallKind, EndedCall},
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
                if self.discovery.searches.len() >= self.cx.config.limits.waiting_calls =>
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
                if freshness == Freshness::First
                    && let Some(known) = self.reading.shelved(now, &package)
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
                let get = GetRecord { key, freshness, reply };
                self.reading.get_record(&self.cx, &mut self.out, begin, get);
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
        if let Some((since, publish)) = self.publishing.changes.remove(ticket) {
            self.cancel_change(ticket, since, publish);
        } else if !self.cancel_call(ticket) {
            return;
        }
        self.admit();
    }

    /// The caller of a change has gone away.
    fn cancel_change(&mut self, ticket: Ticket, mut since: Since, mut publish: Box<Publish>) {
        self.out.finish(since);
        since.timer = None;
        self.out.count(publish.kind().map(|kind| EndedCall(kind, CallEnd::Cancelled)));
        self.leave_change(ticket, &mut publish);
        let is_stored = matches!(publish.stage, Stage::Explaining(_));
        self.out.cut_explaining(ticket, &mut publish);
        // What is signed stands, and the node sees to it that it is stored.
        publish.reply = None;
        self.publishing.release(&mut self.out, publish.announcement);
        match publish.stage {
            Stage::Storing(_) if !is_stored => {
                self.publishing.changes.insert(ticket, since, publish);
            }
            Stage::Confirming(_) => self.confirmed(self.cx.now(), ticket, since, publish),
            Stage::Recalling(_) | Stage::Storing(_) | Stage::Explaining(_) | Stage::Announcing => {}
        }
    }

    /// The caller's time is up.
    pub(super) fn time_out(&mut self, now: Now, ticket: Ticket) {
        if let Some((since, publish)) = self.publishing.changes.remove(ticket) {
            return self.time_out_change(now, ticket, since, publish);
        }
        self.time_out_call(now, ticket);
    }

    /// The time of a change's caller is up.
    fn time_out_change(
        &mut self,
        now: Now,
        ticket: Ticket,
        mut since: Since,
        mut publish: Box<Publish>,
    ) {
        since.timer = None;
        self.leave_change(ticket, &mut publish);
        self.publishing.release(&mut self.out, publish.announcement);
        let ended = match publish.stage {
            Stage::Confirming(_) => return self.confirmed(now, ticket, since, publish),
            Stage::Explaining(_) => {
                self.out.cut_explaining(ticket, &mut publish);
                publish.answer_early(&self.publishing.outbox)
            }
            Stage::Storing(_) => {
                let ended = publish.answer_early(&self.publishing.outbox);
                self.publishing.changes.insert(ticket, since, publish);
                ended
            }
            Stage::Recalling(_) | Stage::Announcing => {
                let after = now.mono.saturating_sub(since.asked);
                publish.answer(Err(Error::Timeout { after }))
            }
        };
        self.out.count(ended);
    }

    /// The change waits for its lookups no longer.
    fn leave_change(&mut self, ticket: Ticket, publish: &mut Publish) {
        self.end_look_alikes(self.cx.now(), ticket, publish);
        if let Stage::Recalling(recall) = &publish.stage
            && let key =
                recall.wants(&self.cx.config.network, &self.cx.owner, publish.change.name())
        {
            self.reading.leave_lookup(&mut self.out, &key, ticket);
        }
    }

    /// How many calls wait for the network.
    fn waiting_calls(&self) -> usize {
        self.reading.waiting_calls() + self.publishing.changes.len()
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
