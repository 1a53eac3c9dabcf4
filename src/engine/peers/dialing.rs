//! Callers who dial a peer. They are answered once it has introduced itself, and not when the connection stands: only
//! then is it known whether the peer can be asked, and the next question goes to it.

use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId};

use crate::{
    Direction, Error, Event,
    command::Reply,
    counters::{CallKind, EndedCall, LetGo},
    engine::{
        Action, Context, Deadline, Effects, Engine, INTRODUCTION_TIME, Now, Peering,
        commands::Begin,
        interface::Affiliation,
        peers::Introduction,
        reading::waiting::{Call, Calls, Operation},
    },
    ticket::Ticket,
};

/// Dials that have led to a connection, and whose callers wait until the peer has introduced itself. Each is a call that
/// waits, so there are no more than [`waiting_calls`](crate::Limits::waiting_calls).
#[derive(Debug, Default)]
pub(in crate::engine) struct Dials(BTreeMap<PeerId, Vec<Ticket>>);

impl Dials {
    fn wait(&mut self, peer: PeerId, ticket: Ticket) {
        self.0.entry(peer).or_default().push(ticket);
    }

    /// The caller waits no longer.
    pub(in crate::engine) fn leave(&mut self, peer: &PeerId, ticket: Ticket) {
        if let Some(waiting) = self.0.get_mut(peer) {
            waiting.retain(|other| *other != ticket);
            if waiting.is_empty() {
                self.0.remove(peer);
            }
        }
    }

    /// Everybody who waits for this peer.
    fn take(&mut self, peer: &PeerId) -> Vec<Ticket> {
        self.0.remove(peer).unwrap_or_default()
    }

    /// Whether callers wait for this peer, which is connected.
    pub(in crate::engine) fn is_awaited(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Peering {
    /// Ends the connection with a peer that belongs elsewhere, if this node has dialed. A visitor is left the time to do
    /// so: were its connection closed first, it might never be told in which network it is.
    fn dismiss(&mut self, out: &mut Effects, now: Now, peer: PeerId) {
        match self.peers.connection(&peer) {
            Some((_, Direction::Outbound)) => self.drop_peer(out, peer, LetGo::OtherNetwork),
            Some((_, Direction::Inbound)) => {
                let deadline = now.mono.saturating_add(INTRODUCTION_TIME);
                let deadline = out.wheel.insert(deadline, Deadline::LetGo(Box::new(peer)));
                self.peers.may_stay_until(&peer, Some(deadline));
            }
            None => {}
        }
    }

    /// A visitor has had its time. One that speaks for no network may know what it is here for.
    pub(in crate::engine) fn end_visit(&mut self, out: &mut Effects, peer: PeerId) {
        self.peers.may_stay_until(&peer, None);
        if let Some(Introduction::Foreign { network: Some(_), .. }) = self.peers.introduction(&peer)
        {
            self.drop_peer(out, peer, LetGo::OtherNetwork);
        }
    }

    /// What whoever dials this peer is answered. `None` if that is not known yet.
    fn arrival(&self, cx: &Context, peer: &PeerId) -> Option<Result<(), Error>> {
        match self.peers.introduction(peer)? {
            // Whoever waits for it is answered when it has gone.
            _ if self.goodbyes.is_going(peer) => None,
            Introduction::Awaited(_) => None,
            Introduction::Made => Some(Ok(())),
            Introduction::Foreign { network: found, .. } => Some(Err(Error::OtherNetwork {
                address: self.peers.connection(peer)?.0.clone(),
                found: found.clone(),
                own: cx.config.network.clone(),
            })),
            Introduction::Late => {
                let reason = "the peer does not introduce itself".to_owned();
                Some(Err(Error::Transport { reason }))
            }
        }
    }
}

impl Calls {
    fn answer_dial(&mut self, out: &mut Effects, ticket: Ticket, end: Result<(), Error>) {
        let Some(call) = self.remove(ticket) else { return };
        out.finish(call.since);
        let ended = match (call.operation, end) {
            (Operation::Dial { reply, .. }, end) => EndedCall(CallKind::Dial, reply.send(end)),
            // Only dials carry this ticket.
            (operation, _) => operation.fail(Error::ShuttingDown),
        };
        out.count(ended);
    }
}

impl Engine {
    pub(in crate::engine) fn dial(
        &mut self,
        begin: Begin,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Reply<()>,
    ) {
        if peer == self.cx.local {
            let end = reply.send(Err(Error::invalid("peer", "is this node itself")));
            return self.out.count(EndedCall(CallKind::Dial, end));
        }
        // Whoever wants it dialed knows better than this node.
        self.peers.pardon(&mut self.out, &peer);
        if let Some(end) = self.peers.arrival(&self.cx, &peer) {
            self.peers.peers.wanted(&peer);
            let end = reply.send(end);
            return self.out.count(EndedCall(CallKind::Dial, end));
        }
        let since = self.out.since(&begin);
        let operation = Operation::Dial { peer, reply };
        self.reading.calls.insert(begin.ticket, Call { since, operation });
        if self.peers.peers.is_connected(&peer) {
            self.peers.peers.wanted(&peer);
            self.peers.dials.wait(peer, begin.ticket);
        } else {
            self.out.actions.push_back(Action::Dial { ticket: begin.ticket, peer, addresses });
        }
    }

    /// A dial has ended: with a connection, or with the reason why there is none.
    pub(in crate::engine) fn dialed(&mut self, ticket: Ticket, failure: Option<String>) {
        let Some(peer) = self.reading.calls.dialed(ticket) else { return };
        self.peers.peers.wanted(&peer);
        match failure {
            Some(reason) => self.reading.calls.answer_dial(
                &mut self.out,
                ticket,
                Err(Error::Transport { reason }),
            ),
            None => match self.peers.arrival(&self.cx, &peer) {
                Some(end) => self.reading.calls.answer_dial(&mut self.out, ticket, end),
                None => self.peers.dials.wait(peer, ticket),
            },
        }
    }

    /// A peer has said what it is. Of one that belongs elsewhere, nothing is to be had.
    pub(in crate::engine) fn introduced(
        &mut self,
        now: Now,
        peer: PeerId,
        agent: Option<String>,
        affiliation: Affiliation,
    ) {
        // What is known already is not lost because the peer does not say it again.
        if agent.is_none() && !self.peers.peers.is_unknown(&peer) {
            return;
        }
        let fault =
            |engine: &Self| engine.peers.peers.introduction(&peer).and_then(Introduction::fault);
        let before = fault(self);
        let deadline = self.peers.peers.introduced(&peer, agent, affiliation);
        self.out.introduction_over(deadline);
        self.answer_dialers(&peer);
        if let Some(reason) = fault(self) {
            if before.is_none() {
                self.peers.dismiss(&mut self.out, now, peer);
            }
            for address in self.peers.rejoining.misled(
                now.mono,
                &peer,
                self.peers.members(),
                &mut *self.out.entropy,
            ) {
                let reason = reason.clone();
                self.out.events.push_back(Event::BootstrapUnreachable { address, reason });
            }
        }
        self.rejoin_later(now);
    }

    /// A peer has said nothing of itself for as long as it is waited for.
    pub(in crate::engine) fn introduction_late(&mut self, now: Now, peer: &PeerId) {
        self.peers.peers.stop_waiting_for(peer);
        self.answer_dialers(peer);
        self.rejoin_later(now);
    }

    /// The last connection with a peer has ended, before it had introduced itself or after.
    pub(in crate::engine) fn dialed_in_vain(&mut self, peer: &PeerId, reason: Option<&str>) {
        let reason = reason.unwrap_or("the peer has closed the connection");
        for ticket in self.peers.dials.take(peer) {
            self.reading.calls.answer_dial(
                &mut self.out,
                ticket,
                Err(Error::Transport { reason: reason.to_owned() }),
            );
        }
    }

    fn answer_dialers(&mut self, peer: &PeerId) {
        for ticket in self.peers.dials.take(peer) {
            match self.peers.arrival(&self.cx, peer) {
                Some(end) => self.reading.calls.answer_dial(&mut self.out, ticket, end),
                None => self.peers.dials.wait(*peer, ticket),
            }
        }
    }
}
