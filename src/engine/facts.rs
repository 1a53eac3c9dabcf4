//! What each fact from the network changes.

use super::{Engine, interface::Fact, store::StoreFact};
use crate::{engine::interface::Now, keyspace::REPLICAS};

impl Engine {
    /// Takes note of something that happened on the network.
    pub(crate) fn learn(&mut self, now: Now, fact: Fact) {
        self.set_time(now);
        self.take_note(fact);
        self.discovery.unlist_revoked(&self.cx);
        self.judge();
        self.admit();
    }

    /// All sequences have been read: what has waited for them is judged.
    pub(crate) fn sequences_read(&mut self, now: Now) {
        self.set_time(now);
        self.cx.store.sequences_read();
        self.judge_answers();
        self.discovery.unlist_revoked(&self.cx);
        self.judge();
        self.admit();
    }

    /// Whose business a fact is.
    fn take_note(&mut self, fact: Fact) {
        let (cx, out) = (&self.cx, &mut self.out);
        match fact {
            // Addresses and dials.
            Fact::Listening { address } => self.peers.listening(cx, out, address),
            Fact::ListeningEnded { address, reason } => {
                self.peers.listening_ended(cx, out, address, reason);
            }
            Fact::Dialed { ticket, failure } => self.peers.dialed(cx, out, ticket, failure),
            Fact::BootstrapDialed { address, end } => {
                self.peers.bootstrap_dialed(cx, out, address, end);
            }
            Fact::ToldDialed { peer } => self.peers.told_dialed(cx, out, &peer),
            Fact::Discovered { peer, addresses, by } => {
                self.peers.discovered(cx, out, by, peer, addresses);
            }
            Fact::DiscoveredDialed { peer } => self.peers.discovered_dialed(cx, out, &peer),
            // Connections.
            Fact::Connected { peer, address, direction } => {
                self.connected(peer, address, direction);
            }
            Fact::Moved { peer, address, direction } => {
                self.peers.moved(cx, &peer, address, direction);
            }
            Fact::Disconnected { peer, reason } => self.disconnected(peer, reason),
            Fact::Introduced { peer, agent, affiliation } => {
                self.peers.introduced(cx, out, peer, agent, affiliation);
            }
            Fact::Leaving { peer, addresses } => self.peers.leaving(cx, out, peer, addresses),
            Fact::TurnedAway { lacking } => self.turned_away(lacking),
            Fact::Seen { mesh, traffic } => {
                self.peers.in_mesh(cx.now(), mesh);
                out.counters.traffic = *traffic;
            }
            // The DHT.
            Fact::Routable { peer } => self.routable(peer),
            Fact::Unroutable { peer } => self.peers.unroutable(cx, out, &peer),
            Fact::Known { peers } => self.peers.look_at_table(cx.now(), peers),
            Fact::Left { peer } => {
                let peers = &self.peers;
                self.reading.left(peer, |key| peers.is_among_closest(key, &peer, REPLICAS));
            }
            Fact::Silent { peer } => self.peers.set_silent(&peer, true),
            Fact::Awake { peer } => self.peers.set_silent(&peer, false),
            Fact::Unreachable { peer } => self.unreachable(peer),
            Fact::Copy { query, from, bytes } => self.copy(query, from, &bytes),
            Fact::Acknowledged { query, peers } => self.acknowledged(query, peers),
            Fact::QueryEnded { query, end } => self.query_ended(query, end),
            // Questions between peers.
            Fact::Asked { asked, peer, request } => self.asked(asked, peer, &request),
            Fact::Answered { question, response } => self.question_answered(question, response),
            Fact::Unanswered { question, why } => self.question_ended(question, Err(why)),
            // Gossip.
            Fact::Mesh { peers } => self.mesh_told(peers),
            Fact::Published { id, outcome } => self.publishing.published(out, id, outcome),
            Fact::Hearer { topic } => self.publishing.heard_on(cx, out, &topic),
        }
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
