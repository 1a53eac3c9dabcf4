//! Who comes and goes, who is let go for others, and what time peers say it is.

use std::collections::HashSet;

use libp2p::{Multiaddr, PeerId};

use crate::{
    connections::KeptConnections,
    counters::LetGo,
    engine::{
        Engine,
        interface::Lacking,
        peers::keeping::{Regard, Regards},
        questions::Purpose,
    },
    error::Error,
    event::{Direction, Event},
    exchange::Request,
    farewell::Farewell,
};

impl Engine {
    /// The address of a connected peer, as seen from here, and who has dialed.
    pub(crate) fn connection_with(&self, peer: &PeerId) -> Option<(&Multiaddr, Direction)> {
        self.peers.connection(peer)
    }

    /// How many connected peers have said what they are.
    #[cfg(test)]
    pub(crate) fn introduced_peers(&self) -> usize {
        self.peers.introduced_len()
    }

    /// Whether a connected peer has said what it is, or that it does not say so.
    pub(crate) fn is_introduced(&self, peer: &PeerId) -> bool {
        self.peers.is_introduced(peer)
    }

    /// Whether connections with this peer are refused at present.
    pub(crate) fn is_blocked(&self, peer: &PeerId) -> bool {
        self.peers.is_blocked(peer)
    }

    /// The first connection with a peer stands.
    pub(in crate::engine) fn connected(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
    ) {
        self.peers.connected(&self.cx, &mut self.out, peer, address.clone(), direction);
        self.standing.connected(&peer);
        self.discovery.neighbour_connected(peer);
        if direction == Direction::Outbound {
            self.discovery.greet(&self.cx, &mut self.out, peer);
        }
        self.out.events.push_back(Event::Connected { peer, address, direction });
        if self.peers.is_routable(&peer) {
            self.publishing.reached(&mut self.out, self.cx.now());
        }
        self.peers.rejoin_later(&self.cx, &mut self.out);
        if self.cx.closed {
            self.peers.drop_peer(&mut self.out, peer, LetGo::GoingAway);
        }
        self.make_room(Lacking::Nothing);
        self.peers.trim_later(&self.cx, &mut self.out);
    }

    /// The last connection with a peer has ended.
    pub(in crate::engine) fn disconnected(&mut self, peer: PeerId, reason: Option<String>) {
        let reason = self.peers.disconnected(&mut self.out, &peer, reason);
        self.discovery.neighbour_lost(&self.cx, &mut self.out, &peer);
        self.cx.peer_clocks.forget(&peer);
        self.out.events.push_back(Event::Disconnected { peer, reason });
        self.peers.left(&self.cx, &mut self.out, peer);
    }

    /// A peer has entered the routing table.
    pub(in crate::engine) fn routable(&mut self, peer: PeerId) {
        // A peer that merely tells its addresses again is no change: were it one, it could make
        // this node put its packages without a pause.
        if self.peers.routable(&self.cx, &mut self.out, peer) {
            self.publishing.reached(&mut self.out, self.cx.now());
        }
    }

    /// A peer could not be dialed. Of those that are not in the routing table, all that is known is what others say: that
    /// they could be found there.
    pub(in crate::engine) fn unreachable(&mut self, peer: PeerId) {
        if self.peers.is_routable(&peer) {
            self.standing.failed(peer);
        }
    }

    /// Somebody was turned away. There may have been no room to make when the last one came.
    pub(in crate::engine) fn turned_away(&mut self, lacking: Lacking) {
        self.out.counters.peers.turned_away += 1;
        self.make_room(lacking);
    }

    /// Tells a connected peer why it is let go, and then ends its connections. It is not asked anything meanwhile.
    ///
    /// The first goodbye of a connection is the only one, whatever is called after it.
    pub(crate) fn let_go(&mut self, peer: PeerId, farewell: Farewell) {
        let parting = self.peers.begin_goodbye(&self.cx, &mut self.out, peer, farewell);
        let Some(parting) = parting else { return };
        self.discovery.neighbour_lost(&self.cx, &mut self.out, &peer);
        self.cx.peer_clocks.forget(&peer);
        self.peers.say_goodbye(&self.cx, &mut self.out, parting);
    }

    /// Gossip has said who is of use to it.
    pub(in crate::engine) fn mesh_told(&mut self, mesh: HashSet<PeerId>) {
        let regards = self.regards();
        let surplus = self.peers.surplus(&self.cx, &self.out, mesh, &regards);
        for peer in surplus.gone {
            self.let_go_of(peer, LetGo::AboveTarget);
        }
        if surplus.may_go_on {
            self.peers.trim_again(&self.cx, &mut self.out);
        }
    }

    /// Somebody has come, or was turned away: lets the one go that is worth least, where nobody else could come otherwise.
    pub(in crate::engine) fn make_room(&mut self, lacking: Lacking) {
        let needed = self.peers.seek_room(&self.cx, &mut self.out, lacking);
        let Some(lacking) = needed else { return };
        let regards = self.regards();
        let gone = self.peers.for_newcomer(&self.cx, &self.out, lacking, &regards);
        if let Some(peer) = gone {
            self.let_go_of(peer, LetGo::ForNewcomer);
            self.peers.hurry_goodbyes(&self.cx, &mut self.out);
        }
    }

    fn let_go_of(&mut self, peer: PeerId, why: LetGo) {
        tracing::debug!(%peer, ?why, "is let go: other connections are worth more");
        self.peers.count_let_go(&mut self.out, &peer, why);
        self.let_go(peer, Farewell::NoRoom);
    }

    /// What other rooms know of everybody who is connected.
    pub(super) fn regards(&self) -> Regards {
        let session = self.discovery.session_peer();
        let regard = |peer: PeerId| {
            let regard = Regard {
                score: self.standing.score(&peer),
                shares_catalogue: self.discovery.is_of_use(&self.cx, &peer),
                is_compared: session == Some(peer),
            };
            (peer, regard)
        };
        self.peers.ids().into_iter().map(regard).collect()
    }

    /// What the connections are kept for.
    pub(in crate::engine) fn kept_connections(&self) -> KeptConnections {
        self.peers.kept_connections(&self.cx, &self.out, &self.regards())
    }

    /// Dials every bootstrap address behind which nobody is connected.
    pub(in crate::engine) fn dial_bootstrap(&mut self) {
        let ranked = self.standing.ranked_bootstrap(&self.cx);
        self.peers.dial_bootstrap(&mut self.out, ranked);
    }

    /// It is time to dial those again who have left.
    pub(in crate::engine) fn rejoin(&mut self) {
        let ranked = self.standing.ranked_bootstrap(&self.cx);
        self.peers.rejoin(&self.cx, &mut self.out, ranked);
    }

    /// Answers everybody with [`Error::ShuttingDown`], begins nothing more, and takes leave of all peers.
    pub(crate) fn shut_down(&mut self) {
        self.cx.closed = true;
        self.publishing.fail_changes(&mut self.out, &Error::ShuttingDown);
        self.reading.fail_all(&mut self.out, &Error::ShuttingDown);
        self.peers.fail_dials(&mut self.out, &Error::ShuttingDown);
        self.discovery.fail_searches(&mut self.out, &Error::ShuttingDown);
        // What is signed is in force: others hear of it, though its puts end here.
        self.publishing.close(&mut self.out);
        self.reading.close();
        self.out.keep_farewells(&self.cx.config.announcements_topic);
        for peer in self.peers.ids() {
            self.peers.count_let_go(&mut self.out, &peer, LetGo::GoingAway);
            self.let_go(peer, Farewell::GoingAway);
        }
    }

    /// Has peers say again what time it is, where it is long ago or this node's own clock has been set since.
    pub(in crate::engine) fn read_clocks_again(&mut self) {
        let now = self.cx.now();
        for peer in self.cx.peer_clocks.take_due(now) {
            if let Some(hello) = self.discovery.own_hello(&self.cx) {
                self.out.ask(&self.cx, peer, Purpose::ReadingClock, &Request::Hello(hello));
            }
        }
        self.cx.peer_clocks.settle_later(&mut self.out, now);
    }
}
