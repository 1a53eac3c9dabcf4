//! How each command begins. Most are answered at once; the others become calls that wait.

use libp2p::PeerId;

use super::{Engine, reading::waiting::GetRecord};
use crate::{
    counters::{CallEnd, CallKind, EndedCall},
    engine::{
        calls::Begin,
        command::{Command, Reply, Request},
        interface::Now,
        publishing::publish::Publish,
        reading::read::{Goal, Which},
        saving::Durable,
    },
    error::Error,
    package::PackageName,
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
        self.answer_or_begin(Begin { ticket, asked, deadline }, command);
        self.admit();
    }

    /// Answers what is about this node at once. What waits for others begins, if not too much waits already.
    fn answer_or_begin(&mut self, begin: Begin, command: Command) {
        let (cx, out) = (&self.cx, &mut self.out);
        match command {
            Command::Search { query, reply } => {
                let end = reply.send(self.discovery.search(cx, &query));
                out.count(EndedCall(CallKind::Search, end));
            }
            Command::SearchPeers { findings, .. }
                if self.discovery.searches_len() >= cx.config.limits.waiting_calls =>
            {
                let end = findings.fail(Error::busy("waiting_calls"));
                out.count(EndedCall(CallKind::Search, end));
            }
            Command::SearchPeers { query, findings } => self.search_peers(begin, *query, findings),
            Command::Metadata { reply } => uncounted(reply.send(Ok(self.metadata()))),
            Command::Peers { reply } => uncounted(reply.send(Ok(self.connected_peers()))),
            Command::Providers { owner, name, reply } => {
                uncounted(reply.send(Ok(self.providers(&owner, &name))));
            }
            Command::Equivocations { reply } => uncounted(reply.send(Ok(self.standing.proofs()))),
            Command::Reputation { peer, reply } => {
                uncounted(reply.send(Ok(self.standing.reputation(&peer))));
            }
            Command::Pin { name, owner, reply } => self.begin_pin(begin, name, owner, reply),
            Command::Snapshot { reply } => uncounted(reply.send(Ok(Box::new(self.snapshot())))),
            Command::Subscribe { topic, reply } => {
                uncounted(reply.send(self.publishing.subscribe(cx, out, topic)));
            }
            Command::Unsubscribe { topic, reply } => {
                uncounted(reply.send(Ok(self.publishing.unsubscribe(out, topic))));
            }
            // Nobody waits for the network here, which says at once what becomes of it, but for the storage.
            Command::Announce { reply, .. }
                if out.saving.callers() >= cx.config.limits.waiting_calls =>
            {
                let end = reply.send(Err(Error::busy("waiting_calls")));
                out.count(EndedCall(CallKind::Announce, end));
            }
            Command::Announce { topic, data, reply } => {
                self.publishing.announce(cx, out, topic, data, reply, begin.deadline);
            }
            Command::Shutdown { reply } => uncounted(reply.send(Ok(()))),
            waiting if self.waiting_calls() >= self.cx.config.limits.waiting_calls => {
                self.refuse(waiting, Error::busy("waiting_calls"));
            }
            waiting => match Publish::asked_by(waiting) {
                Ok(publish) => self.change(begin, publish),
                Err(other) => self.begin_call(begin, other),
            },
        }
    }

    /// Begins what the network is needed for, unless it is known here.
    fn begin_call(&mut self, begin: Begin, command: Command) {
        let (cx, out) = (&self.cx, &mut self.out);
        match command {
            Command::GetPackage { package, freshness, reply } => {
                let Some(reply) = self.reading.shelved(cx, out, &package, freshness, reply) else {
                    return;
                };
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
            Command::GetRecord { key, freshness, reply } => {
                self.reading.get_record(cx, out, begin, GetRecord { key, freshness, reply });
            }
            Command::PutRecord { record, reply } => self.put_record(begin, *record, reply),
            Command::Bootstrap { reply } => self.bootstrap(begin, reply),
            Command::Dial { peer, addresses, reply } => {
                self.peers.dial(cx, out, begin, peer, addresses, reply);
            }
            // All others have been answered at once.
            others => self.refuse(others, Error::busy("waiting_calls")),
        }
    }

    /// The caller has gone away: frees its place, its deadline and, with the last caller, the lookup.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        if self.discovery.drop_search(&mut self.out, ticket).is_some() {
            return self.out.count(EndedCall(CallKind::Search, CallEnd::Cancelled));
        }
        if self.peers.cancel_dial(&mut self.out, ticket) {
            return self.admit();
        }
        if self.publishing.is_changing(ticket) {
            self.cancel_change(ticket);
        } else if !self.reading.cancel(&self.cx, &mut self.out, ticket) {
            return;
        }
        self.admit();
    }

    /// The caller's time is up.
    pub(super) fn time_out(&mut self, ticket: Ticket) {
        if self.publishing.is_changing(ticket) {
            return self.time_out_change(ticket);
        }
        self.time_out_call(ticket);
    }

    /// Says whose package a name means. The caller waits only where there is a storage, until it is written.
    fn begin_pin(
        &mut self,
        begin: Begin,
        name: PackageName,
        owner: Option<PeerId>,
        reply: Reply<Option<PeerId>>,
    ) {
        let answer = if self.out.saving.callers() < self.cx.config.limits.waiting_calls {
            self.pin(name, owner)
        } else {
            Err(Error::busy("waiting_calls"))
        };
        let (latest, commit) = (begin.deadline, self.out.saving.next_commit());
        self.out.answer(Durable { reply, answer, kind: None, latest, commit });
    }

    /// How many calls wait for the network or for the storage.
    fn waiting_calls(&self) -> usize {
        let network = self.reading.waiting_calls() + self.peers.callers();
        network + self.publishing.changes_len() + self.out.saving.callers()
    }
}

/// What only asks for the state of the node, or changes its settings, is not counted.
fn uncounted(_: CallEnd) {}
