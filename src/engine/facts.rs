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
                self.connected(peer, address, direction);
            }
            Fact::Mesh { peers } => self.mesh_told(peers),
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
                self.peers.leaving(&self.cx, &mut self.out, peer, addresses);
            }
            Fact::Disconnected { peer, reason } => self.disconnected(peer, reason),
            Fact::Introduced { peer, agent, affiliation } => {
                let (cx, out) = (&self.cx, &mut self.out);
                self.peers.introduced(cx, out, peer, agent, affiliation);
            }
            Fact::Routable { peer } => self.routable(peer),
            Fact::Unroutable { peer } => {
                self.peers.unroutable(&self.cx, &mut self.out, &peer);
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
                self.peers.bootstrap_dialed(&self.cx, &mut self.out, address, end);
            }
            Fact::ToldDialed { peer } => {
                self.peers.told_dialed(&self.cx, &mut self.out, &peer);
            }
            Fact::Copy { query, from, bytes } => self.copy(query, from, &bytes),
            Fact::Acknowledged { query, peers } => self.acknowledged(query, peers),
            Fact::QueryEnded { query, end } => self.query_ended(query, end),
            Fact::Published { id, outcome } => {
                self.publishing.published(&mut self.out, id, outcome);
            }
            Fact::Asked { asked, peer, request } => self.asked(asked, peer, &request),
            Fact::Answered { question, response } => {
                self.question_ended(question, Ok(response));
            }
            Fact::Unanswered { question, why } => self.question_ended(question, Err(why)),
            Fact::Hearer { topic } => {
                self.publishing.heard_on(&self.cx, &mut self.out, &topic);
            }
        }
        self.discovery.unlist_revoked(&self.cx);
        self.judge();
        self.admit();
    }

    /// What the record store has taken in from peers meanwhile.
    pub(crate) fn learn_stored(&mut self) {
        while let Some(fact) = self.cx.store.next_fact() {
            match fact {
                StoreFact::Head(head) if self.publishing.publishes(&self.cx, &head) => {
                    self.hear_own(&head)
                }
                StoreFact::Head(head) => {
                    self.standing.supersede(&head);
                    self.reading.outdate(&head, &head.key());
                    self.reading.appeared(&head);
                    self.replaced_elsewhere(&head);
                }
                StoreFact::Equivocation(proof) => {
                    for head in [proof.kept(), proof.dropped()] {
                        self.hear_own(head);
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
