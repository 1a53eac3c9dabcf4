//! How a change is read back from the peers that are to hold it.
//!
//! An acknowledgement says that a peer has verified a record and stored it; whether it will serve it is shown only by
//! asking. Each record of the change is looked up as any reader would do, and the peers are counted that served it
//! themselves. What this node holds does not count, nor what others say that somebody holds.

use std::collections::BTreeMap;

use libp2p::PeerId;

use crate::{
    engine::{
        calls::AwaitedBack,
        context::Context,
        effects::Effects,
        interface::Reach,
        publishing::{
            Publishing,
            changes::Underway,
            next::{BackAtEnd, Next},
            publish::{MAX_ROUNDS, Put, Stage, Storing},
        },
    },
    package::{Announcement, Receipt},
    record::RecordKey,
    ticket::Ticket,
};

/// What peers are to serve, and what has come of it.
#[derive(Debug)]
pub(in crate::engine) struct Confirming {
    storing: Storing,
    /// From how many peers each record is wanted.
    wanted: u8,
    read_backs: BTreeMap<RecordKey, ReadBack>,
}

/// One record that is read back.
#[derive(Debug)]
enum ReadBack {
    /// It goes along with a lookup that had begun before, and may have asked peers before they were to hold it.
    Joined(Put),
    /// Its lookup is under way.
    Asked(Put),
    /// So many peers have served it.
    Ended(u32),
}

impl Confirming {
    fn new(mut storing: Storing, wanted: u8) -> Self {
        let put = std::mem::take(&mut storing.put).into_iter();
        let read_backs = put.map(|put| (put.key, ReadBack::Asked(put))).collect();
        Self { storing, wanted, read_backs }
    }

    /// The lookup of a record had begun before.
    fn join(&mut self, key: &RecordKey) {
        let Some(read_back) = self.read_backs.get_mut(key) else { return };
        *read_back = match std::mem::replace(read_back, ReadBack::Ended(0)) {
            ReadBack::Asked(put) => ReadBack::Joined(put),
            as_before => as_before,
        };
    }

    /// Whether a lookup that has ended is to be followed by one of its own, in which everybody is asked again.
    fn asks_again(&mut self, key: &RecordKey) -> bool {
        let Some(read_back) = self.read_backs.get_mut(key) else { return false };
        let (is_joined, as_before) = match std::mem::replace(read_back, ReadBack::Ended(0)) {
            ReadBack::Joined(put) => (true, ReadBack::Asked(put)),
            as_before => (false, as_before),
        };
        *read_back = as_before;
        is_joined
    }

    /// A record has been read back as often as was wanted, or as it could be.
    pub(in crate::engine) fn ended(&mut self, key: &RecordKey, confirmed: u32) {
        if let Some(read_back) = self.read_backs.get_mut(key) {
            *read_back = ReadBack::Ended(confirmed);
        }
    }

    /// A record that is still being asked for, and what copies of it have to attest.
    fn awaited(&self, key: &RecordKey) -> Option<AwaitedBack> {
        match self.read_backs.get(key)? {
            ReadBack::Asked(put) | ReadBack::Joined(put) => {
                Some(AwaitedBack { key: *key, attests: put.attests })
            }
            ReadBack::Ended(_) => None,
        }
    }

    /// All of those that are still being asked for.
    pub(super) fn all_awaited(&self) -> Vec<AwaitedBack> {
        self.read_backs.keys().filter_map(|key| self.awaited(key)).collect()
    }

    fn is_over(&self) -> bool {
        self.read_backs.values().all(|read_back| matches!(read_back, ReadBack::Ended(_)))
    }

    /// Those who acknowledged a record that is being asked for, of the ones that have answered that they have none.
    fn forgetful(&self, key: &RecordKey, without: &[PeerId]) -> Vec<PeerId> {
        match self.read_backs.get(key) {
            Some(ReadBack::Asked(put)) => {
                let acknowledged = put.acknowledged.iter();
                acknowledged.filter(|peer| without.contains(peer)).copied().collect()
            }
            Some(ReadBack::Joined(_) | ReadBack::Ended(_)) | None => Vec::new(),
        }
    }

    /// What the caller is told, once nothing is awaited any more.
    fn receipt(&self, announcement: Announcement) -> Receipt {
        let counts = self.read_backs.values().map(|read_back| match read_back {
            ReadBack::Ended(confirmed) => *confirmed,
            ReadBack::Asked(_) | ReadBack::Joined(_) => 0,
        });
        let confirmed = counts.min().unwrap_or(0);
        Receipt { confirmed, ..self.storing.receipt(announcement, self.wanted) }
    }
}

impl Publishing {
    /// These peers say that they have stored what a change has put under a key.
    pub(in crate::engine) fn acknowledged(
        &mut self,
        ticket: Ticket,
        key: &RecordKey,
        peers: Vec<PeerId>,
    ) {
        let Some(storing) = self.changes.storing(ticket) else { return };
        if let Some(put) = storing.put.iter_mut().find(|put| put.key == *key) {
            put.acknowledged = peers;
        }
    }

    /// Every put of a change has ended: its records are to be read back.
    pub(super) fn confirm(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        mut change: Underway,
    ) -> Next {
        let publish = &mut change.publish;
        let before = std::mem::replace(&mut publish.stage, Stage::BEGINNING);
        let Stage::Storing(mut storing) = before else {
            out.finish(change.since);
            return Next::Wait;
        };
        if publish.reply.is_none() {
            // The node itself only wants to know whether anybody holds another head.
            let head = RecordKey::head(&cx.config.network, &cx.owner, publish.change.name());
            storing.put.retain(|put| put.key == head);
        }
        let confirming = Confirming::new(storing, publish.confirmation);
        let keys = confirming.read_backs.keys().copied().collect();
        publish.stage = Stage::Confirming(Box::new(confirming));
        self.changes.insert(change);
        Next::ReadBack(keys)
    }

    /// The records of a change are being looked up: these go along with lookups that had begun before, which may have asked
    /// peers before they were to hold them.
    pub(in crate::engine) fn read_backs_begun(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        ticket: Ticket,
        joined: &[RecordKey],
    ) -> Next {
        let Some(confirming) = self.changes.confirming(ticket) else { return Next::Wait };
        joined.iter().for_each(|key| confirming.join(key));
        match self.changes.remove(ticket) {
            Some(change) => self.go_on_confirming(cx, out, reach, change),
            None => Next::Wait,
        }
    }

    /// Waits for what is still being read back, or answers. Where another head has shown, there is to be one above both
    /// first.
    pub(super) fn go_on_confirming(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        mut change: Underway,
    ) -> Next {
        let publish = &mut change.publish;
        let Stage::Confirming(confirming) = &publish.stage else {
            out.finish(change.since);
            return Next::Wait;
        };
        if !confirming.is_over() {
            self.changes.insert(change);
            return Next::Wait;
        }
        let has_another = self.elsewhere.is_awaited(publish.change.name());
        if has_another && publish.reply.is_some() && publish.rounds < MAX_ROUNDS {
            let receipt = confirming.receipt(publish.announcement(&self.outbox));
            publish.rounds += 1;
            publish.signed = Some(receipt);
            return self.begin(cx, out, reach, change);
        }
        self.confirmed(cx, out, reach, change)
    }

    /// What has been read back so far is what counts: of the records that were still awaited, so many peers have served
    /// each.
    pub(in crate::engine) fn end_read_backs(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        ticket: Ticket,
        served: &[(RecordKey, u32)],
    ) -> Next {
        let Some(confirming) = self.changes.confirming(ticket) else { return Next::Wait };
        served.iter().for_each(|(key, confirmed)| confirming.ended(key, *confirmed));
        match self.changes.remove(ticket) {
            Some(change) => self.confirmed(cx, out, reach, change),
            None => Next::Wait,
        }
    }

    /// Announces the change and answers with what has been read back.
    fn confirmed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        mut change: Underway,
    ) -> Next {
        let now = cx.now();
        let publish = &mut change.publish;
        let Stage::Confirming(confirming) = &publish.stage else {
            out.finish(change.since);
            return Next::Wait;
        };
        let receipt = confirming.receipt(publish.announcement(&self.outbox));
        let name = publish.change.name().clone();
        if self.is_withheld(&name) {
            if receipt.confirmed > 0 {
                publish.announcement = self.announce_withheld(cx, out, &name);
            } else {
                self.doubt_own(out, now, reach, &name);
            }
        }
        self.answer_announced(out, change, receipt);
        Next::Wait
    }

    /// What a record has to attest that a change awaits back.
    pub(in crate::engine) fn awaited_back(
        &mut self,
        ticket: Ticket,
        key: &RecordKey,
    ) -> Option<AwaitedBack> {
        self.changes.confirming(ticket)?.awaited(key)
    }

    /// Whether so many peers have served a record as its change wants.
    pub(in crate::engine) fn is_read_back(&mut self, ticket: Ticket, served: u32) -> bool {
        let confirming = self.changes.confirming(ticket);
        confirming.is_some_and(|confirming| served >= u32::from(confirming.wanted))
    }

    /// All that there are have been asked for a record of a change. These have answered that they have none.
    pub(in crate::engine) fn back_at_end(
        &mut self,
        ticket: Ticket,
        key: &RecordKey,
        without: &[PeerId],
    ) -> Option<BackAtEnd> {
        let confirming = self.changes.confirming(ticket)?;
        if confirming.asks_again(key) {
            return Some(BackAtEnd::AskAgain);
        }
        let forgetful = confirming.forgetful(key, without);
        Some(BackAtEnd::Over { awaited: confirming.awaited(key)?, forgetful })
    }
}
