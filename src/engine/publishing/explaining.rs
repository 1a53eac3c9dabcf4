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
    engine::{
        context::Context,
        deadlines::Deadline,
        effects::Effects,
        interface::Unanswered,
        publishing::{
            Publishing,
            changes::Underway,
            next::{Missing, Next, Unacknowledged, Witness},
            publish::{Publish, Stage, Storing},
        },
        questions::Purpose,
        wheel,
    },
    exchange::{MAX_EXPLAINED, Request, Response},
    keyspace::REPLICAS,
    record::RecordKey,
    refusal::{Refusal, RefusalCount},
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

impl Storing {
    /// The records that fewer have acknowledged than should hold them, as many as a peer may be asked about.
    pub(in crate::engine) fn unacknowledged(&self) -> Vec<Unacknowledged> {
        // Head and claims are put last, and matter most: nobody finds the others without them.
        let put = self.put.iter().rev().take(MAX_EXPLAINED);
        let lacking = put.filter(|put| {
            // Where all have acknowledged it, it is not told who. Where as many have as there are to be, others took the
            // places of those who have not.
            let is_told = !put.acknowledged.is_empty() || put.replicas == 0;
            is_told && put.acknowledged.len() < REPLICAS
        });
        lacking.map(|put| Unacknowledged { key: put.key, by: put.acknowledged.clone() }).collect()
    }
}

/// Who is asked about which records, and who is not worth asking. As many peers as a record has replicas.
#[derive(Debug, Default)]
struct Witnesses {
    asked: BTreeMap<PeerId, Vec<RecordKey>>,
    silent: BTreeSet<PeerId>,
}

impl Witnesses {
    fn of(missing: Vec<Missing>) -> Self {
        let mut witnesses = Self::default();
        for Missing { key, peers } in missing {
            for Witness { peer, explains } in peers {
                witnesses.add(peer, explains, key);
            }
        }
        witnesses
    }

    fn add(&mut self, peer: PeerId, explains: bool, key: RecordKey) {
        let is_known = self.asked.contains_key(&peer) || self.silent.contains(&peer);
        if !is_known && self.asked.len() + self.silent.len() >= REPLICAS {
            return;
        }
        if explains {
            self.asked.entry(peer).or_default().push(key);
        } else {
            self.silent.insert(peer);
        }
    }
}

impl Publishing {
    /// Peers that should hold a change have not acknowledged it: asks them why, and reports at once where nobody is to be
    /// asked.
    pub(in crate::engine) fn ask_why(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
        missing: Vec<Missing>,
    ) -> Next {
        let Some(mut change) = self.changes.remove(ticket) else { return Next::Wait };
        let Witnesses { asked, silent } = Witnesses::of(missing);
        let before = std::mem::replace(&mut change.publish.stage, Stage::BEGINNING);
        let Stage::Storing(mut storing) = before else {
            out.finish(change.since);
            return Next::Wait;
        };
        for peer in silent {
            storing.reasons.add(peer, Refusal::Unknown);
        }
        if asked.is_empty() {
            change.publish.stage = Stage::Storing(storing);
            return self.report(cx, out, change);
        }
        let waiting = asked.keys().copied().collect();
        for (peer, keys) in asked {
            out.ask(cx, peer, Purpose::Explaining(ticket), &Request::Explain { keys });
        }
        let deadline = cx.now().mono.saturating_add(PATIENCE);
        let timer = out.wheel.insert(deadline, Deadline::Explained(ticket));
        change.publish.stage = Stage::Explaining(Box::new(Explaining { storing, waiting, timer }));
        self.changes.insert(change);
        Next::Wait
    }

    /// A peer has said why, or will not. Tells whether it was the last one.
    pub(in crate::engine) fn hear_why(
        &mut self,
        ticket: Ticket,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) -> bool {
        let Some(explaining) = self.changes.explaining(ticket) else { return false };
        if !explaining.waiting.remove(&peer) {
            return false;
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
        explaining.waiting.is_empty()
    }

    /// All have answered, or have had the time to.
    pub(in crate::engine) fn end_explaining(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        ticket: Ticket,
    ) -> Next {
        if self.changes.explaining(ticket).is_none() {
            return Next::Wait;
        }
        let Some(mut change) = self.changes.remove(ticket) else { return Next::Wait };
        out.cut_explaining(ticket, &mut change.publish);
        out.answered = true;
        self.report(cx, out, change)
    }

    /// Announces a change and tells the caller what has come of it; if it is to be read back, once it was.
    pub(super) fn report(&mut self, cx: &Context, out: &mut Effects, mut change: Underway) -> Next {
        let publish = &mut change.publish;
        if publish.reply.is_some() && publish.confirmation > 0 {
            return self.confirm(cx, out, change);
        }
        let Stage::Storing(storing) = &publish.stage else {
            out.finish(change.since);
            return Next::Wait;
        };
        let receipt = storing.receipt(publish.announcement(&self.outbox), 0);
        let name = publish.change.name();
        let is_to_be_announced =
            self.is_withheld(name) && self.own.get(name).is_some_and(|own| !own.lacks_replicas());
        if !is_to_be_announced {
            self.answer_announced(out, change, receipt);
            return Next::Wait;
        }
        out.finish(change.since);
        publish.answer(out, Ok(receipt));
        publish.confirmation = 1;
        change.since.timer = None;
        self.confirm(cx, out, change)
    }
}
