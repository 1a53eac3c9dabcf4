//! What each fact from the network changes.

use super::{Engine, interface::Fact, store::StoreFact};
use crate::{engine::interface::Now, keyspace::REPLICAS};

impl Engine {
    /// Takes note of something that happened on the network.
    pub(crate) fn learn(&mut self, now: Now, fact: Fact) {
        self.set_time(now);
        match fact {
            Fact::Listening { address } => {
                self.peers.listening(&self.cx, &mut self.out, address);
            }
            Fact::ListeningEnded { address, reason } => {
                self.peers.listening_ended(&self.cx, &mut self.out, address, reason);
            }
            Fact::Connected { peer, address, direction } => {
                self.connected(now, peer, address, direction);
            }
            Fact::Mesh { peers } => self.mesh_told(now, peers),
            Fact::Seen { mesh, traffic } => {
                self.peers.in_mesh(now, mesh);
                self.out.counters.traffic = *traffic;
            }
            Fact::TurnedAway { lacking } => {
                self.out.counters.peers.turned_away += 1;
                // There may have been no room to make when the last one came.
                self.make_room(lacking);
            }
            Fact::Leaving { peer, addresses } => {
                self.peers.leaving(&self.cx, &mut self.out, now, peer, addresses);
            }
            Fact::Disconnected { peer, reason } => self.disconnected(now, peer, reason),
            Fact::Introduced { peer, agent, affiliation } => {
                let (cx, out) = (&self.cx, &mut self.out);
                self.peers.introduced(cx, out, now, peer, agent, affiliation);
            }
            Fact::Routable { peer } => self.routable(now, peer),
            Fact::Unroutable { peer } => {
                self.peers.unroutable(&self.cx, &mut self.out, now, &peer);
            }
            Fact::Left { peer } => {
                let peers = &self.peers;
                self.reading.left(peer, |key| peers.is_among_closest(key, &peer, REPLICAS));
            }
            Fact::Silent { peer } => self.peers.set_silent(&peer, true),
            Fact::Awake { peer } => self.peers.set_silent(&peer, false),
            Fact::Unreachable { peer } => {
                // Of others, all that is known is what peers say: that they could be found there.
                if self.peers.is_routable(&peer) {
                    self.standing.failed(peer);
                }
            }
            Fact::Dialed { ticket, failure } => {
                self.peers.dialed(&self.cx, &mut self.out, ticket, failure);
            }
            Fact::BootstrapDialed { address, end } => {
                self.peers.bootstrap_dialed(&self.cx, &mut self.out, now, address, end);
            }
            Fact::ToldDialed { peer } => {
                self.peers.told_dialed(&self.cx, &mut self.out, now, &peer);
            }
            Fact::Discovered { peer, addresses } => {
                self.peers.discovered(&self.cx, &mut self.out, now, peer, addresses);
            }
            Fact::DiscoveredDialed { peer } => {
                self.peers.discovered_dialed(&self.cx, &mut self.out, now, &peer);
            }
            Fact::Copy { query, from, bytes } => self.copy(now, query, from, &bytes),
            Fact::Acknowledged { query, peers } => self.acknowledged(query, peers),
            Fact::QueryEnded { query, end } => self.query_ended(now, query, end),
            Fact::Published { id, outcome } => {
                self.publishing.published(&mut self.out, id, outcome);
            }
            Fact::Asked { asked, peer, request } => self.asked(now, asked, peer, &request),
            Fact::Answered { question, response } => {
                self.question_ended(now, question, Ok(response));
            }
            Fact::Unanswered { question, why } => self.question_ended(now, question, Err(why)),
            Fact::Hearer { topic } => {
                self.publishing.heard_on(&self.cx, &mut self.out, now, &topic);
            }
        }
        self.discovery.unlist_revoked(&self.cx);
        self.judge();
        self.admit();
    }

    /// What the record store has taken in from peers meanwhile.
    pub(crate) fn learn_stored(&mut self) {
        let now = self.cx.now();
        while let Some(fact) = self.cx.store.next_fact() {
            match fact {
                StoreFact::Head(head) if self.publishing.publishes(&self.cx, &head) => {
                    self.hear_own(now, &head)
                }
                StoreFact::Head(head) => {
                    self.standing.supersede(&head);
                    self.reading.outdate(&head, &head.key());
                    self.reading.appeared(&head);
                    self.replaced_elsewhere(now, &head);
                }
                StoreFact::Equivocation(proof) => {
                    for head in [proof.kept(), proof.dropped()] {
                        self.hear_own(now, head);
                    }
                    self.expose(proof);
                }
                // What an honest peer may send, too, says nothing of its conduct.
                StoreFact::Refused { excusable: true, .. } => {}
                StoreFact::Refused { peer, excusable: false, times } => {
                    (0..times).for_each(|_| self.standing.invalid(peer));
                }
            }
        }
        self.discovery.unlist_revoked(&self.cx);
        self.judge();
    }
}
