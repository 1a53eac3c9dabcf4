//! What each fact from the network changes.

use std::sync::Arc;

use libp2p::PeerId;

use super::{Engine, interface::Fact, packages, store::StoreFact};
use crate::{
    engine::{
        discovery::catalogue::Interest,
        interface::{Now, Verdict},
        standing::gossip_budget::Intake,
    },
    event::Event,
    keyspace::REPLICAS,
    package::{PackageId, Source},
    record::{Head, Record, Rejected, Selection, Side, Signed, select},
};

/// How a head came that nobody has looked up by its name.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// It was announced, and this peer has forwarded it.
    Announced(Option<PeerId>),
    /// It was fetched from this peer, which was asked what it has.
    Fetched(PeerId),
}

impl News {
    fn from(self) -> Option<PeerId> {
        match self {
            Self::Announced(from) => from,
            Self::Fetched(from) => Some(from),
        }
    }
}

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
        let now = Now { mono: self.cx.mono, unix: self.cx.unix };
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

    /// Judges a message, and takes in what it says.
    pub(crate) fn hear(&mut self, now: Now, topic: &str, data: &[u8]) -> Verdict {
        self.hear_from(now, None, topic, data)
    }

    /// As [`hear`](Self::hear), of a message that this peer forwarded.
    pub(crate) fn hear_from(
        &mut self,
        now: Now,
        from: Option<PeerId>,
        topic: &str,
        data: &[u8],
    ) -> Verdict {
        if from.is_some_and(|by| self.is_blocked(&by)) {
            return Verdict::Ignore;
        }
        let intake = from.map(|by| (by, self.standing.forwarded(now.mono, by)));
        let verdict = match intake {
            None | Some((_, Intake::Judged)) => self.verdict(now, from, topic, data),
            Some((_, Intake::Dropped)) => Verdict::Ignore,
            Some((by, Intake::Flood)) => {
                self.peers.end_flood(&mut self.out, by);
                Verdict::Ignore
            }
        };
        self.discovery.unlist_revoked(&self.cx);
        self.out.count_heard(verdict);
        verdict
    }

    fn verdict(&mut self, now: Now, from: Option<PeerId>, topic: &str, data: &[u8]) -> Verdict {
        let verdict = if topic == self.cx.config.announcements_topic {
            self.hear_announcement(now, from, data)
        } else if self.publishing.is_subscribed(topic) {
            self.hear_message(now, from, topic, data)
        } else {
            return Verdict::Ignore;
        };
        verdict.unwrap_or_else(|rejected| {
            tracing::debug!(topic, %rejected, "announcement refused");
            // Who forwards what time has overtaken is not at fault; who forwards what never was valid is.
            if rejected.is_excusable() { Verdict::Ignore } else { Verdict::Reject }
        })
    }

    fn hear_announcement(
        &mut self,
        now: Now,
        from: Option<PeerId>,
        data: &[u8],
    ) -> Result<Verdict, Rejected> {
        let verified = self.cx.store.verify_announcement(data, now.unix);
        let head = verified.inspect_err(|rejected| {
            if let Rejected::Stale { .. } = rejected {
                self.hear_older(now, data);
            }
        })?;
        self.discovery.check_listed(&self.cx, &head)?;
        // What is known already is its owner's word, but perhaps not its doing: anybody can say it again.
        let is_new = !self.discovery.is_listed(now, &head.digest());
        if from.is_some() && !self.standing.said(now.mono, head.owner, is_new) {
            return Ok(Verdict::Ignore);
        }
        self.take_news(now, News::Announced(from), &head);
        Ok(Verdict::Accept)
    }

    /// A verified head of any package has come, announced or asked for.
    pub(super) fn take_news(&mut self, now: Now, news: News, head: &Signed<Head>) {
        let from = news.from();
        let key = head.key();
        self.confront_known(now, &key, head);
        self.standing.supersede(head);
        let is_own = head.owner == self.cx.owner && head.signer() == self.cx.local;
        if is_own || self.publishing.publishes(&self.cx, head) {
            // Whatever is signed here, with nobody to ask as well, is above it. Should it come from a publisher who has
            // replaced this one, nothing more is.
            self.cx.store.raise_high_water(head);
            self.hear_own(now, head);
            self.list(now, head, from, Interest::Heard);
            return;
        }
        self.cx.store.raise_high_water(head);
        let known = self.reading.cached_head(now, &key).map(|known| select(known, head));
        let is_news = match known {
            None | Some(Selection::Right) => true,
            Some(Selection::Left | Selection::Same) => false,
            Some(Selection::Equivocation { keep }) => keep == Side::Right,
        };
        if is_news {
            self.discover(now, news, head);
        } else {
            self.list(now, head, from, Interest::Heard);
        }
    }

    /// A head that is newer than what was known of its package.
    fn discover(&mut self, now: Now, news: News, head: &Signed<Head>) {
        self.reading.appeared(head);
        let told = self.discovery.told_rank(now, head);
        let said = self.list_quietly(now, head, news.from(), Interest::Heard);
        self.discovery.tell(head);
        match news {
            News::Announced(_) => {
                self.reading.keep(now, &Arc::new(Record::Head(head.clone())));
            }
            // What is fetched by the thousand would wash out what is being used.
            News::Fetched(_) => self.reading.outdate(head, &head.key()),
        }
        // Where there was no room for what was fetched, it would be news again with each peer that has it.
        let is_listed = self.discovery.is_listed(now, &head.digest());
        let is_worth_telling = is_listed || matches!(news, News::Announced(_));
        // A head that was merely heard anew after the cache had forgotten it is no discovery.
        let is_new = is_worth_telling && told.is_none_or(|told| told < head.rank());
        if head.is_withdrawn() {
            // What this node holds for others is withdrawn with it.
            if let Err(refused) = self.cx.store.withdraw(head) {
                tracing::debug!(%refused, "withdrawal not stored");
            }
            let id = PackageId::owned(head.owner, head.name.clone());
            if is_new {
                self.out.events.push_back(Event::Withdrawn { id });
            }
            return;
        }
        let Some(package) = packages::newest(head, Source::Cache) else { return };
        if is_new {
            self.out.events.push_back(Event::Discovered { package: Box::new(package) });
        }
        self.out.events.extend(said);
    }

    fn hear_message(
        &mut self,
        now: Now,
        from: Option<PeerId>,
        topic: &str,
        data: &[u8],
    ) -> Result<Verdict, Rejected> {
        let message = self.cx.store.verify_message(data, now.unix)?;
        if message.topic != topic {
            // Signed for another topic: somebody has carried it over.
            return Ok(Verdict::Reject);
        }
        if !self.publishing.is_news(message.digest()) {
            // Gossipsub has forgotten it; whoever wants it has it.
            return Ok(Verdict::Ignore);
        }
        if from.is_some() && !self.standing.said(now.mono, message.author, true) {
            return Ok(Verdict::Ignore);
        }
        self.out.events.push_back(Event::Message {
            topic: topic.to_owned(),
            author: message.author,
            data: message.data.clone(),
        });
        Ok(Verdict::Accept)
    }
}
