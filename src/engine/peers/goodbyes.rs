//! Goodbyes: why this node lets peers go, and why they let this node go.
//!
//! A peer that is let go is told why, and its connections end when it has answered, or a second later. What a peer says
//! when it lets this node go is its word about itself. It is shown, and it decides how soon the peer is dialed again.

use std::{collections::BTreeMap, time::Duration};

use libp2p::PeerId;

use crate::{
    Direction, Error, Farewell,
    counters::LetGo,
    engine::{
        Action, Context, Deadline, Effects, Engine, Now, Peering, QuestionId, peers::Introduction,
        questions::Purpose, wheel::Key,
    },
    exchange::{Other, Response},
};

/// How long a goodbye may take. The connections end then, whether or not the peer has heard it.
pub(crate) const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// The goodbyes of the connections that stand: at most one each way for each peer.
#[derive(Debug, Default)]
pub(in crate::engine) struct Goodbyes {
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

impl Goodbyes {
    /// Whether this peer is being let go.
    pub(in crate::engine) fn is_going(&self, peer: &PeerId) -> bool {
        self.said.contains_key(peer)
    }

    /// Whether this peer has said that it is about to end its connections.
    pub(in crate::engine) fn has_heard(&self, peer: &PeerId) -> bool {
        self.heard.contains_key(peer)
    }

    /// Whether there is no room for a connection between the two: either has said so.
    pub(in crate::engine) fn lacks_room(&self, peer: &PeerId) -> bool {
        let heard = self.heard.get(peer).copied().and_then(Farewell::of_code);
        let said = self.said.get(peer).map(|said| said.farewell);
        [heard, said].contains(&Some(Farewell::NoRoom))
    }

    /// Why the connections with a peer end, in words, where one of the two has said it.
    pub(in crate::engine) fn reason(&self, peer: &PeerId) -> Option<String> {
        if let Some(code) = self.heard.get(peer) {
            let farewell = Farewell::of_code(*code);
            return Some(farewell.map_or("it has said goodbye".to_owned(), |it| it.to_string()));
        }
        let said = self.said.get(peer)?;
        (said.farewell == Farewell::NoRoom).then(|| "this node has no room".to_owned())
    }

    /// How many deadlines are set.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn timers(&self) -> usize {
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

    /// The last connection with a peer has ended.
    pub(in crate::engine) fn forget_goodbyes(&mut self, out: &mut Effects, peer: &PeerId) {
        self.goodbyes.heard.remove(peer);
        if let Some(said) = self.goodbyes.said.remove(peer) {
            out.wheel.cancel(said.timer);
        }
    }

    /// Whether somebody can be asked who is not about to go.
    pub(in crate::engine) fn has_company(&self) -> bool {
        self.peers
            .any_member(|peer| !self.goodbyes.has_heard(peer) && !self.rejoining.is_in_doubt(peer))
    }

    /// Connections with this peer are possible again. How it stands is another matter.
    pub(in crate::engine) fn pardon(&mut self, out: &mut Effects, peer: &PeerId) {
        if let Some(until) = self.blocked.remove(peer) {
            out.wheel.cancel(until);
            out.actions.push_back(Action::Unblock { peer: *peer });
        }
    }
}

impl Effects {
    fn goodbye_timer(&mut self, cx: &Context, peer: PeerId) -> Key {
        let due = cx.mono.saturating_add(GOODBYE_TIME);
        self.wheel.insert(due, Deadline::Goodbye(Box::new(peer)))
    }
}

impl Engine {
    /// Tells a connected peer why it is let go, and then ends its connections. It is not asked anything meanwhile.
    ///
    /// The first goodbye of a connection is the only one, whatever is called after it.
    pub(crate) fn let_go(&mut self, peer: PeerId, farewell: Farewell) {
        if self.peers.goodbyes.is_going(&peer) || !self.peers.peers.is_connected(&peer) {
            return;
        }
        let now = Now { mono: self.cx.mono, unix: self.cx.unix };
        let introduction = self.peers.peers.introduction(&peer);
        let understands = !matches!(introduction, Some(Introduction::Foreign { .. }));
        let question =
            understands.then(|| self.out.questions.open(peer, now.mono, Purpose::Goodbye));
        let timer = self.out.goodbye_timer(&self.cx, peer);
        self.peers.goodbyes.said.insert(peer, Said { farewell, question, timer });
        self.peers.peers.set_aside(&peer);
        self.discovery.neighbour_lost(&self.cx, &mut self.out, now, &peer);
        self.cx.peer_clocks.forget(&peer);
        match question {
            Some(question) => {
                self.out.actions.push_back(Action::Goodbye { question, peer, farewell });
            }
            None => self.part(peer),
        }
        self.rejoin_later(now);
    }

    /// The peer has heard the goodbye, or will not.
    pub(in crate::engine) fn goodbye_ended(&mut self, question: QuestionId, peer: PeerId) {
        if self.peers.goodbyes.said.get(&peer).is_some_and(|said| said.question == Some(question)) {
            self.part(peer);
        }
    }

    /// A goodbye has had its time. A connection that came up while the others were being closed is closed as well.
    pub(in crate::engine) fn goodbye_due(&mut self, peer: PeerId) {
        let timer = self.out.goodbye_timer(&self.cx, peer);
        match self.peers.goodbyes.said.get_mut(&peer) {
            Some(said) => {
                said.timer = timer;
                self.part(peer);
            }
            None => {
                self.out.wheel.cancel(timer);
            }
        }
    }

    /// Ends the connections with a peer.
    fn part(&mut self, peer: PeerId) {
        self.out.actions.push_back(match self.is_blocked(&peer) {
            true => Action::Block { peer },
            false => Action::Disconnect { peer },
        });
    }

    /// A peer says that it is about to end its connections.
    pub(in crate::engine) fn hear_goodbye(
        &mut self,
        now: Now,
        peer: PeerId,
        reason: u8,
        others: Vec<Other>,
    ) -> Response {
        if self.peers.goodbyes.has_heard(&peer) {
            return Response::Noted;
        }
        let Some((address, direction)) = self.peers.peers.connection(&peer) else {
            return Response::Noted;
        };
        let (address, is_dialed) = (address.clone(), direction == Direction::Outbound);
        self.peers.goodbyes.heard.insert(peer, reason);
        let farewell = Farewell::of_code(reason);
        self.out.counters.peers.goodbyes.count(farewell);
        if farewell == Some(Farewell::NoRoom) {
            let is_contact = self.peers.rejoining.turned_away(now.mono, peer);
            // Nobody who comes by himself decides whom this node dials.
            if is_dialed || is_contact {
                self.peers.rejoining.told(others, &address);
            }
        }
        self.rejoin_later(now);
        Response::Noted
    }

    /// Answers everybody with [`Error::ShuttingDown`], begins nothing more, and takes leave of all peers.
    pub(crate) fn shut_down(&mut self) {
        self.cx.closed = true;
        self.publishing.fail_changes(&mut self.out, &Error::ShuttingDown);
        for call in self.calls.drain() {
            let ended = call.operation.fail(Error::ShuttingDown);
            self.out.counters.count(ended);
        }
        self.discovery.fail_searches(&mut self.out, &Error::ShuttingDown);
        self.publishing.close(&mut self.out);
        self.reading.shelf.clear();
        self.out.actions.retain(|action| match action {
            Action::Goodbye { .. }
            | Action::Disconnect { .. }
            | Action::Mute { .. }
            | Action::Block { .. } => true,
            Action::Publish { topic, .. } => *topic == self.cx.config.announcements_topic,
            _ => false,
        });
        for peer in self.peers.peers.ids() {
            self.peers.count_let_go(&mut self.out, &peer, LetGo::GoingAway);
            self.let_go(peer, Farewell::GoingAway);
        }
    }
}
