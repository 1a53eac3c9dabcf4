//! Why peers have not stored a change: asked of them once all of its puts have ended, for the caller's receipt.
//!
//! Kademlia's wire knows acknowledgements and silence. So those of the peers closest to a record that have not acknowledged it
//! are asked over this crate's own exchange, where a connection stands and they have said that they answer such a
//! question. What they say is for a person to read; nothing is decided by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    Refusal, RefusalCount,
    engine::{
        Deadline, Effects, Engine, Now, Unanswered,
        calls::Since,
        publish::{Publish, Stage, Storing},
        questions::Purpose,
        wheel,
    },
    exchange::{MAX_EXPLAINED, Request, Response},
    keyspace::REPLICAS,
    record::RecordKey,
    ticket::Ticket,
};

/// How long the answers are waited for. A receipt is worth no more to its caller: a peer on the other side of the world
/// needs less, and one that is silent is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why peers have refused a change, as far as they have said so: of each reason, who. Bounded by those who are asked.
#[derive(Debug, Default)]
pub(in crate::engine) struct Reasons(BTreeMap<Refusal, BTreeSet<PeerId>>);

impl Reasons {
    fn add(&mut self, peer: PeerId, reason: Refusal) {
        self.0.entry(reason).or_default().insert(peer);
    }

    /// The lines of a receipt.
    pub(in crate::engine) fn counted(&self) -> Vec<RefusalCount> {
        let count = |peers: &BTreeSet<PeerId>| u32::try_from(peers.len()).unwrap_or(u32::MAX);
        self.0.iter().map(|(reason, peers)| RefusalCount::new(*reason, count(peers))).collect()
    }
}

/// A change that peers have been asked about.
#[derive(Debug)]
pub(in crate::engine) struct Explaining {
    storing: Storing,
    /// Who has not answered yet.
    waiting: BTreeSet<PeerId>,
    timer: wheel::Key,
}

impl Explaining {
    /// Waits for no more answers: those who have not given any have not said why.
    fn end(self) -> Storing {
        let Self { mut storing, waiting, .. } = self;
        for peer in waiting {
            storing.reasons.add(peer, Refusal::Unknown);
        }
        storing
    }
}

impl Effects {
    /// Nobody waits for the answers any longer.
    pub(in crate::engine) fn cut_explaining(&mut self, ticket: Ticket, publish: &mut Publish) {
        if !matches!(publish.stage, Stage::Explaining(_)) {
            return;
        }
        let before = std::mem::replace(&mut publish.stage, Stage::BEGINNING);
        if let Stage::Explaining(explaining) = before {
            self.wheel.cancel(explaining.timer);
            self.questions.drop_all(Purpose::Explaining(ticket));
            publish.stage = Stage::Storing(explaining.end());
        }
    }
}

impl Engine {
    /// Every put of a change has ended. Asks those who should have acknowledged it and have not; gives the change back
    /// where nobody is to be asked.
    pub(in crate::engine) fn ask_why(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) -> Option<Box<Publish>> {
        if publish.reply.is_none() {
            return Some(publish);
        }
        let Stage::Storing(storing) = &mut publish.stage else { return Some(publish) };
        let mut asked = BTreeMap::new();
        for (peer, keys) in self.unacknowledged(storing) {
            // One that has not answered the DHT would be waited for in vain.
            if self.discovery.explains(&peer) && self.peers.peers.is_answering(&peer) {
                asked.insert(peer, keys);
            } else {
                storing.reasons.add(peer, Refusal::Unknown);
            }
        }
        if asked.is_empty() {
            return Some(publish);
        }
        let waiting = asked.keys().copied().collect();
        for (peer, keys) in asked {
            self.out.ask(&self.cx, peer, Purpose::Explaining(ticket), &Request::Explain { keys });
        }
        let deadline = now.mono.saturating_add(PATIENCE);
        let timer = self.out.wheel.insert(deadline, Deadline::Explained(ticket));
        let before = std::mem::replace(&mut publish.stage, Stage::BEGINNING);
        let Stage::Storing(storing) = before else { return Some(publish) };
        publish.stage = Stage::Explaining(Box::new(Explaining { storing, waiting, timer }));
        self.publishing.changes.insert(ticket, since, publish);
        None
    }

    /// The connected peers that should hold some records of a change and have not acknowledged them: of those closest to
    /// each, as far as this node knows. As many as a record has replicas.
    pub(in crate::engine) fn unacknowledged(
        &self,
        storing: &Storing,
    ) -> BTreeMap<PeerId, Vec<RecordKey>> {
        let mut peers: BTreeMap<PeerId, Vec<RecordKey>> = BTreeMap::new();
        // Head and claims are put last, and matter most: nobody finds the others without them.
        for put in storing.put.iter().rev().take(MAX_EXPLAINED) {
            // Where all have acknowledged it, it is not told who. Where as many have as there are to be, others took the
            // places of those who have not.
            let is_told = !put.acknowledged.is_empty() || put.replicas == 0;
            if !is_told || put.acknowledged.len() >= REPLICAS {
                continue;
            }
            for peer in self.peers.peers.closest(&put.key, &put.acknowledged, REPLICAS) {
                let is_wanted = !put.acknowledged.contains(&peer)
                    && self.peers.peers.is_connected(&peer)
                    && !self.peers.goodbyes.is_going(&peer)
                    && !self.is_blocked(&peer);
                if is_wanted && (peers.contains_key(&peer) || peers.len() < REPLICAS) {
                    peers.entry(peer).or_default().push(put.key);
                }
            }
        }
        peers
    }

    /// A peer has said why, or will not.
    pub(in crate::engine) fn explained(
        &mut self,
        ticket: Ticket,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) {
        let Some(explaining) = self.publishing.changes.explaining(ticket) else { return };
        if !explaining.waiting.remove(&peer) {
            return;
        }
        let reasons = &mut explaining.storing.reasons;
        match answer {
            Ok(Response::Refusals { codes }) => {
                for reason in codes.into_iter().filter_map(Refusal::of_code) {
                    reasons.add(peer, reason);
                }
            }
            // It has no time for questions, as it had none for the records.
            Ok(Response::Declined { .. }) => reasons.add(peer, Refusal::Rate),
            Ok(_) | Err(_) => reasons.add(peer, Refusal::Unknown),
        }
        if explaining.waiting.is_empty() {
            self.end_explaining(ticket);
        }
    }

    /// All have answered, or have had the time to.
    pub(in crate::engine) fn end_explaining(&mut self, ticket: Ticket) {
        if self.publishing.changes.explaining(ticket).is_none() {
            return;
        }
        let Some((since, mut publish)) = self.publishing.changes.remove(ticket) else { return };
        self.out.cut_explaining(ticket, &mut publish);
        self.out.answered = true;
        let now = Now { mono: self.cx.mono, unix: self.cx.unix };
        self.report(now, ticket, since, publish);
    }

    /// Announces a change and tells the caller what has come of it; if it is to be read back, once it was.
    pub(in crate::engine) fn report(
        &mut self,
        now: Now,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
    ) {
        if publish.reply.is_some() && publish.confirmation > 0 {
            return self.confirm(now, ticket, since, publish);
        }
        let Stage::Storing(storing) = &publish.stage else { return self.out.finish(since) };
        let receipt = storing.receipt(publish.announcement(&self.publishing.outbox), 0);
        let name = publish.change.name();
        let is_to_be_announced = self.publishing.is_withheld(name)
            && self.publishing.own.get(name).is_some_and(|own| !own.lacks_replicas());
        if !is_to_be_announced {
            return self.answer_announced(ticket, since, publish, receipt);
        }
        self.out.finish(since);
        let ended = publish.answer(Ok(receipt));
        self.out.count(ended);
        publish.confirmation = 1;
        self.confirm(now, ticket, Since { timer: None, ..since }, publish);
    }
}
