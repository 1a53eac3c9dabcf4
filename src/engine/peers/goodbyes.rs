//! Goodbyes: why this node lets peers go, and why they let this node go.
//!
//! A peer that is let go is told why, and its connections end when it has answered, or a second later. What a peer says
//! when it lets this node go is its word about itself. It is shown, and it decides how soon the peer is dialed again.

use std::{collections::BTreeMap, time::Duration};

use libp2p::PeerId;

use super::Introduction;
use crate::{
    counters::LetGo,
    engine::{
        context::Context,
        deadlines::Deadline,
        effects::Effects,
        interface::{Action, QuestionId},
        peers::Peering,
        questions::Purpose,
        wheel::Key,
    },
    event::Direction,
    exchange::{Other, Response},
    farewell::Farewell,
};

/// How long a goodbye may take. The connections end then, whether or not the peer has heard it.
pub(crate) const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// The goodbyes of the connections that stand: at most one each way for each peer.
#[derive(Debug, Default)]
pub(super) struct Goodbyes {
    said: BTreeMap<PeerId, Said>,
    /// What peers have said, by its code.
    heard: BTreeMap<PeerId, u8>,
}

/// A peer that this node lets go.
#[derive(Debug)]
struct Said {
    farewell: Farewell,
    /// What it is told with, if it understands.
    question: Option<QuestionId>,
    /// When the connections end, or are ended once more.
    timer: Key,
}

/// A goodbye that is about to be said.
#[derive(Debug)]
#[must_use]
pub(in crate::engine) struct Parting {
    peer: PeerId,
    farewell: Farewell,
    question: Option<QuestionId>,
}

impl Goodbyes {
    /// Whether this peer is being let go.
    pub(super) fn is_going(&self, peer: &PeerId) -> bool {
        self.said.contains_key(peer)
    }

    /// The peer has gone: its deadline, if one is set.
    pub(super) fn forget(&mut self, peer: &PeerId) -> Option<Key> {
        self.heard.remove(peer);
        self.said.remove(peer).map(|said| said.timer)
    }

    /// Whether this peer has said that it is about to end its connections.
    pub(super) fn has_heard(&self, peer: &PeerId) -> bool {
        self.heard.contains_key(peer)
    }

    /// Whether there is no room for a connection between the two: either has said so.
    pub(super) fn lacks_room(&self, peer: &PeerId) -> bool {
        let heard = self.heard.get(peer).copied().and_then(Farewell::of_code);
        let said = self.said.get(peer).map(|said| said.farewell);
        [heard, said].contains(&Some(Farewell::NoRoom))
    }

    /// Why the connections with a peer end, in words, where one of the two has said it.
    pub(super) fn reason(&self, peer: &PeerId) -> Option<String> {
        if let Some(code) = self.heard.get(peer) {
            let farewell = Farewell::of_code(*code);
            return Some(farewell.map_or("it has said goodbye".to_owned(), |it| it.to_string()));
        }
        let said = self.said.get(peer)?;
        (said.farewell == Farewell::NoRoom).then(|| "this node has no room".to_owned())
    }

    /// How many deadlines are set.
    #[cfg(any(test, fuzzing))]
    pub(super) fn timers(&self) -> usize {
        self.said.len()
    }
}

impl Peering {
    /// Ends the connections with a peer that forwards more than any honest one. Its budget is remembered.
    pub(in crate::engine) fn end_flood(&mut self, out: &mut Effects, peer: PeerId) {
        if self.peers.is_connected(&peer) {
            tracing::debug!(%peer, "forwards too much");
            self.drop_peer(out, peer, LetGo::Flood);
        }
    }

    /// A connected peer is let go. What is decided of it later, before it has gone, is no other reason.
    pub(in crate::engine) fn count_let_go(&mut self, out: &mut Effects, peer: &PeerId, why: LetGo) {
        if self.peers.is_first_to_let_go(peer) {
            out.counters.peers.let_go.count(why);
        }
    }

    /// Ends the connections with a peer at once, without a goodbye.
    pub(in crate::engine) fn drop_peer(&mut self, out: &mut Effects, peer: PeerId, why: LetGo) {
        self.count_let_go(out, &peer, why);
        out.actions.push_back(Action::Disconnect { peer });
    }

    /// Whether somebody can be asked who is not about to go.
    pub(in crate::engine) fn has_company(&self) -> bool {
        self.peers
            .any_member(|peer| !self.goodbyes.has_heard(peer) && !self.rejoining.is_in_doubt(peer))
    }

    /// A connected peer is about to be told why it is let go. It is not asked anything meanwhile. `None` if it is not
    /// connected, or was told before: the first goodbye of a connection is the only one, whatever is called after it.
    pub(in crate::engine) fn begin_goodbye(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        farewell: Farewell,
    ) -> Option<Parting> {
        if self.goodbyes.is_going(&peer) || !self.peers.is_connected(&peer) {
            return None;
        }
        let introduction = self.peers.introduction(&peer);
        let understands = !matches!(introduction, Some(Introduction::Foreign { .. }));
        let question =
            understands.then(|| out.questions.open(peer, cx.now().mono, Purpose::Goodbye));
        let timer = out.goodbye_timer(cx, peer);
        self.goodbyes.said.insert(peer, Said { farewell, question, timer });
        self.peers.set_aside(&peer);
        Some(Parting { peer, farewell, question })
    }

    /// Nobody else waits for the peer any more: it is told, and its connections end after that.
    pub(in crate::engine) fn say_goodbye(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        parting: Parting,
    ) {
        let Parting { peer, farewell, question } = parting;
        match question {
            Some(question) => {
                out.actions.push_back(Action::Goodbye { question, peer, farewell });
            }
            None => self.part(out, peer),
        }
        self.rejoin_later(cx, out);
    }

    /// The peer has heard the goodbye, or will not.
    pub(in crate::engine) fn goodbye_ended(
        &mut self,
        out: &mut Effects,
        question: QuestionId,
        peer: PeerId,
    ) {
        if self.goodbyes.said.get(&peer).is_some_and(|said| said.question == Some(question)) {
            self.part(out, peer);
        }
    }

    /// A goodbye has had its time. A connection that came up while the others were being closed is closed as well.
    pub(in crate::engine) fn goodbye_due(&mut self, cx: &Context, out: &mut Effects, peer: PeerId) {
        if let Some(said) = self.goodbyes.said.get_mut(&peer) {
            said.timer = out.goodbye_timer(cx, peer);
            self.part(out, peer);
        }
    }

    /// Ends the connections with a peer.
    fn part(&self, out: &mut Effects, peer: PeerId) {
        out.actions.push_back(match self.is_blocked(&peer) {
            true => Action::Block { peer },
            false => Action::Disconnect { peer },
        });
    }

    /// A peer says that it is about to end its connections.
    pub(in crate::engine) fn hear_goodbye(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        reason: u8,
        others: Vec<Other>,
    ) -> Response {
        if self.goodbyes.has_heard(&peer) {
            return Response::Noted;
        }
        let Some((address, direction)) = self.peers.connection(&peer) else {
            return Response::Noted;
        };
        let (address, is_dialed) = (address.clone(), direction == Direction::Outbound);
        self.goodbyes.heard.insert(peer, reason);
        let farewell = Farewell::of_code(reason);
        out.counters.peers.goodbyes.count(farewell);
        if farewell == Some(Farewell::NoRoom) {
            let is_contact = self.rejoining.turned_away(cx.now().mono, peer);
            // Nobody who comes by himself decides whom this node dials.
            if is_dialed || is_contact {
                self.rejoining.told(others, &address);
            }
        }
        self.rejoin_later(cx, out);
        Response::Noted
    }

    /// The last connection with a peer has ended. Why, if that was said, and if not for the reason that the network
    /// gives.
    pub(in crate::engine) fn disconnected(
        &mut self,
        out: &mut Effects,
        peer: &PeerId,
        reason: Option<String>,
    ) -> Option<String> {
        let introduction = self.peers.disconnected(peer);
        let fault = introduction.as_ref().and_then(Introduction::fault);
        let reason = fault.or_else(|| self.goodbyes.reason(peer)).or(reason);
        out.counters.peers.disconnected += 1;
        out.introduction_over(introduction.and_then(Introduction::deadline));
        self.dialed_in_vain(out, peer, reason.as_deref());
        reason
    }
}

impl Effects {
    fn goodbye_timer(&mut self, cx: &Context, peer: PeerId) -> Key {
        let due = cx.now().mono.saturating_add(GOODBYE_TIME);
        self.wheel.insert(due, Deadline::Goodbye(Box::new(peer)))
    }

    /// Nothing more is begun: what is left to do is to take leave of peers, and to tell others what is signed.
    pub(in crate::engine) fn keep_farewells(&mut self, announcements: &str) {
        self.actions.retain(|action| match action {
            Action::Goodbye { .. }
            | Action::Disconnect { .. }
            | Action::Mute { .. }
            | Action::Block { .. } => true,
            Action::Publish { topic, .. } => topic == announcements,
            _ => false,
        });
    }
}
