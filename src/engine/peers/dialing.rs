//! Callers who dial a peer. They are answered once it has introduced itself, and not when the connection stands: only
//! then is it known whether the peer can be asked, and the next question goes to it.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::Introduction;
use crate::{
    counters::{CallEnd, CallKind, EndedCall, LetGo},
    engine::{
        calls::Begin,
        command::Reply,
        context::Context,
        deadlines::Deadline,
        effects::Effects,
        interface::{Action, Affiliation, Now},
        peers::Peering,
        wheel,
    },
    error::Error,
    event::{Direction, Event},
    ticket::Ticket,
};

/// How long questions wait for a peer that has connected to introduce itself.
pub(in crate::engine) const INTRODUCTION_TIME: Duration = Duration::from_secs(10);

/// Callers who wait for a peer that they have dialed. Bounded by [`waiting_calls`](crate::Limits::waiting_calls), with
/// the other calls.
#[derive(Debug, Default)]
pub(super) struct Dials {
    callers: BTreeMap<Ticket, Caller>,
    /// Those of them whose peer is connected, and has not introduced itself yet.
    arriving: BTreeMap<PeerId, Vec<Ticket>>,
}

/// Somebody who has dialed a peer.
#[derive(Debug)]
struct Caller {
    peer: PeerId,
    asked: Duration,
    timer: wheel::Key,
    reply: Reply<()>,
}

impl Dials {
    /// Whom a caller has dialed who still waits.
    fn dialed(&self, ticket: Ticket) -> Option<PeerId> {
        Some(self.callers.get(&ticket)?.peer)
    }

    /// The peer is connected: its introduction is waited for.
    fn arrives(&mut self, peer: PeerId, ticket: Ticket) {
        self.arriving.entry(peer).or_default().push(ticket);
    }

    /// Everybody who waits for this peer's introduction.
    fn take_arriving(&mut self, peer: &PeerId) -> Vec<Ticket> {
        self.arriving.remove(peer).unwrap_or_default()
    }

    /// The caller waits no longer.
    fn remove(&mut self, out: &mut Effects, ticket: Ticket) -> Option<Caller> {
        let caller = self.callers.remove(&ticket)?;
        out.wheel.cancel(caller.timer);
        if let Some(waiting) = self.arriving.get_mut(&caller.peer) {
            waiting.retain(|other| *other != ticket);
            if waiting.is_empty() {
                self.arriving.remove(&caller.peer);
            }
        }
        Some(caller)
    }

    fn answer(&mut self, out: &mut Effects, ticket: Ticket, end: Result<(), Error>) {
        if let Some(caller) = self.remove(out, ticket) {
            out.count(EndedCall(CallKind::Dial, caller.reply.send(end)));
        }
    }

    /// Whether callers wait for this peer, which is connected.
    pub(super) fn is_awaited(&self, peer: &PeerId) -> bool {
        self.arriving.contains_key(peer)
    }

    pub(super) fn len(&self) -> usize {
        self.callers.len()
    }
}

impl Peering {
    pub(in crate::engine) fn dial(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        begin: Begin,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Reply<()>,
    ) {
        if peer == cx.local {
            let end = reply.send(Err(Error::invalid("peer", "is this node itself")));
            return out.count(EndedCall(CallKind::Dial, end));
        }
        // Whoever wants it dialed knows better than this node.
        self.pardon(out, &peer);
        if let Some(end) = self.arrival(cx, &peer) {
            self.peers.wanted(&peer);
            let end = reply.send(end);
            return out.count(EndedCall(CallKind::Dial, end));
        }
        let Begin { ticket, asked, deadline } = begin;
        let timer = out.wheel.insert(deadline, Deadline::Dial(ticket));
        self.dials.callers.insert(ticket, Caller { peer, asked, timer, reply });
        if self.peers.is_connected(&peer) {
            self.peers.wanted(&peer);
            self.dials.arrives(peer, ticket);
        } else {
            out.actions.push_back(Action::Dial { ticket, peer, addresses });
        }
    }

    /// A dial has ended: with a connection, or with the reason why there is none.
    pub(in crate::engine) fn dialed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
        failure: Option<String>,
    ) {
        let Some(peer) = self.dials.dialed(ticket) else { return };
        self.peers.wanted(&peer);
        match failure {
            Some(reason) => self.dials.answer(out, ticket, Err(Error::Transport { reason })),
            None => self.answer_dialer(cx, out, &peer, ticket),
        }
    }

    /// The caller's time is up.
    pub(in crate::engine) fn dial_timed_out(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
    ) {
        if let Some(caller) = self.dials.callers.get(&ticket) {
            let after = cx.now().mono.saturating_sub(caller.asked);
            self.dials.answer(out, ticket, Err(Error::Timeout { after }));
        }
    }

    /// A caller has gone away. False if it has not dialed anybody.
    pub(in crate::engine) fn cancel_dial(&mut self, out: &mut Effects, ticket: Ticket) -> bool {
        let caller = self.dials.remove(out, ticket);
        out.count(caller.as_ref().map(|_| EndedCall(CallKind::Dial, CallEnd::Cancelled)));
        caller.is_some()
    }

    /// All callers are told that they wait in vain.
    pub(in crate::engine) fn fail_dials(&mut self, out: &mut Effects, error: &Error) {
        for caller in std::mem::take(&mut self.dials).callers.into_values() {
            out.wheel.cancel(caller.timer);
            out.count(EndedCall(CallKind::Dial, caller.reply.send(Err(error.clone()))));
        }
    }

    /// How many callers wait for a peer that they have dialed.
    pub(in crate::engine) fn callers(&self) -> usize {
        self.dials.len()
    }

    /// Whether nothing is retained on behalf of any of them.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn is_at_rest(&self) -> bool {
        self.dials.callers.is_empty() && self.dials.arriving.is_empty()
    }

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

    /// A peer has said what it is. Of one that belongs elsewhere, nothing is to be had.
    pub(in crate::engine) fn introduced(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        agent: Option<String>,
        affiliation: Affiliation,
    ) {
        let now = cx.now();
        // What is known already is not lost because the peer does not say it again.
        if agent.is_none() && !self.peers.is_unknown(&peer) {
            return;
        }
        let before = self.fault(&peer);
        let deadline = self.peers.introduced(&peer, agent, affiliation);
        out.introduction_over(deadline);
        self.answer_dialers(cx, out, &peer);
        if let Some(reason) = self.fault(&peer) {
            if before.is_none() {
                self.dismiss(out, now, peer);
            }
            let members = self.members();
            for address in self.rejoining.misled(now.mono, &peer, members, &mut *out.entropy) {
                let reason = reason.clone();
                out.events.push_back(Event::BootstrapUnreachable { address, reason });
            }
        }
        self.rejoin_later(cx, out);
    }

    /// Why a connection with this peer is of no use.
    fn fault(&self, peer: &PeerId) -> Option<String> {
        self.peers.introduction(peer).and_then(Introduction::fault)
    }

    /// A peer has said nothing of itself for as long as it is waited for.
    pub(in crate::engine) fn introduction_late(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: &PeerId,
    ) {
        self.peers.stop_waiting_for(peer);
        self.answer_dialers(cx, out, peer);
        self.rejoin_later(cx, out);
    }

    /// The last connection with a peer has ended, before it had introduced itself or after.
    pub(super) fn dialed_in_vain(
        &mut self,
        out: &mut Effects,
        peer: &PeerId,
        reason: Option<&str>,
    ) {
        let reason = reason.unwrap_or("the peer has closed the connection");
        for ticket in self.dials.take_arriving(peer) {
            let reason = reason.to_owned();
            self.dials.answer(out, ticket, Err(Error::Transport { reason }));
        }
    }

    fn answer_dialers(&mut self, cx: &Context, out: &mut Effects, peer: &PeerId) {
        for ticket in self.dials.take_arriving(peer) {
            self.answer_dialer(cx, out, peer, ticket);
        }
    }

    /// Answers a caller whose peer is connected, if it is known yet what with.
    fn answer_dialer(&mut self, cx: &Context, out: &mut Effects, peer: &PeerId, ticket: Ticket) {
        match self.arrival(cx, peer) {
            Some(end) => self.dials.answer(out, ticket, end),
            None => self.dials.arrives(*peer, ticket),
        }
    }
}
