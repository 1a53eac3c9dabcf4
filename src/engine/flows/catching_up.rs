//! How the catalogue catches up: peers greet each other, ask each other, and deliver heads; and what is left for the next
//! life comes back in it.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;

use crate::{
    counters::LetGo,
    engine::{
        Engine,
        discovery::{
            answering::{self, Inquiry},
            reconciling::{Delivery, Misconduct},
            restoring::{Earlier, Restored},
        },
        interest::News,
        interface::{Action, AskedId, Now, Unanswered},
        questions::{Purpose, Question},
        store::{Snapshot, rows},
    },
    error::{Error, Result},
    exchange::Response,
    record::{Head, Rejected, Signed},
};

impl Engine {
    /// A peer asks something: it is answered at once.
    pub(in crate::engine) fn asked(&mut self, asked: AskedId, peer: PeerId, request: &[u8]) {
        let response = self.respond(peer, request);
        if let Ok(response) = response.encode() {
            self.out.actions.push_back(Action::Answer { asked, response });
        }
    }

    fn respond(&mut self, peer: PeerId, request: &[u8]) -> Response {
        if self.cx.closed || self.is_blocked(&peer) {
            return answering::declined();
        }
        match self.discovery.inquire(&self.cx, &mut self.out, peer, request) {
            Inquiry::Answered(response) => response,
            Inquiry::Flood => {
                self.peers.drop_peer(&mut self.out, peer, LetGo::Flood);
                answering::declined()
            }
            Inquiry::Hello { theirs, own } => match self.meet(peer, &theirs, None) {
                true => Response::Hello(own),
                false => answering::declined(),
            },
            Inquiry::Goodbye { reason, others } => {
                self.peers.hear_goodbye(&self.cx, &mut self.out, peer, reason, others)
            }
        }
    }

    /// A peer has said what it is, and what time it is. False if it has not said it as it should.
    fn meet(&mut self, peer: PeerId, hello: &[u8], took: Option<Duration>) -> bool {
        match self.discovery.meet(&self.cx, peer, hello, took) {
            Ok(Some(reading)) if self.peers.is_connected(&peer) => {
                self.cx.peer_clocks.hear(&mut self.out, self.cx.now, peer, reading);
            }
            Ok(_) => {}
            Err(rejected) => {
                self.standing.hold_against(peer, &rejected);
                return false;
            }
        }
        true
    }

    /// The answer to a greeting.
    pub(in crate::engine) fn greeted(
        &mut self,
        question: Question,
        answer: Result<Response, Unanswered>,
    ) {
        let peer = question.peer;
        let Some(hello) = self.discovery.hello_in(&peer, answer) else { return };
        let took = self.cx.now().mono.saturating_sub(question.asked);
        let was_known = self.discovery.is_known(&peer);
        if !self.meet(peer, &hello, Some(took / 2)) {
            return;
        }
        self.discovery.measured(&peer, took);
        if question.purpose == Purpose::Greeting || !was_known {
            self.discovery.compare_with(&self.cx, &mut self.out, peer);
        }
    }

    /// The peer has answered the session's question, or will not.
    pub(in crate::engine) fn session_answered(
        &mut self,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) {
        let answered = self.discovery.session_answered(&self.cx, &mut self.out, peer, answer);
        let settled = match answered {
            Ok(Some(delivery)) => self.take_delivery(peer, delivery),
            Ok(None) => Ok(()),
            Err(misconduct) => Err(misconduct),
        };
        if let Err(Misconduct) = settled {
            self.standing.invalid(peer);
        }
    }

    /// What was fetched is verified, and taken in. It is not to the peer's credit: the peer has chosen what there is to
    /// be fetched, and may have made it up under names of its own.
    fn take_delivery(&mut self, peer: PeerId, mut delivery: Delivery) -> Result<(), Misconduct> {
        for bytes in delivery.take_heads() {
            let taken = self.take_head(peer, &bytes);
            self.discovery.note_fetched(self.cx.now(), &mut delivery, &bytes, taken);
        }
        self.discovery.delivered(&self.cx, &mut self.out, delivery)
    }

    /// Verifies a head that a peer has sent because it was asked for something, and takes it in.
    pub(in crate::engine) fn take_head(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
    ) -> Result<Signed<Head>, Rejected> {
        let head = self.cx.store.verify_announcement(bytes, self.cx.now().unix).inspect_err(
            |rejected| {
                if let Rejected::Stale { .. } = rejected {
                    self.hear_older(bytes);
                }
                self.standing.hold_against(peer, rejected);
            },
        )?;
        self.discovery.check_listed(&self.cx, &head)?;
        self.take_news(News::Fetched(peer), &head);
        Ok(head)
    }

    /// Takes in what an earlier node knew. What is configured comes first.
    pub(crate) fn restore(&mut self, now: Now, snapshot: &Snapshot) -> Result<()> {
        if *snapshot.network() != self.cx.config.network {
            let reason = format!("is of the network `{}`", snapshot.network());
            return Err(Error::invalid("snapshot", reason));
        }
        self.set_time(now);
        self.cx.clocks.restored(now);
        self.show_time();
        let published = self.cx.store.restore(snapshot);
        self.reading.restore_pins(snapshot.pins());
        // What this node has published is listed as others' packages are, until it publishes it again.
        let heads = published.values().map(|head| head.bytes());
        self.discovery.restore(heads.chain(snapshot.catalogue()).map(Arc::clone));
        self.publishing.restore(&self.cx, snapshot, published.into_values());
        Ok(())
    }

    /// Verifies some more heads of an earlier life's catalogue, and lists them. Nobody is told of them again.
    pub(in crate::engine) fn restore_listed(&mut self) {
        self.note_uses();
        for Earlier { bytes, row } in self.discovery.take_restoring() {
            let restored = Restored::verify(&self.cx, &bytes);
            if let Some(Restored { head, interest, then }) = &restored {
                let said = self.list_as_of(*then, head, None, *interest);
                self.out.events.extend(said);
                self.discovery.tell(head);
            }
            if let Some(row) = row {
                self.catalogue_row_read(row, restored.as_ref().map(|restored| &restored.head));
            }
        }
        self.discovery.restore_on(&self.cx, &mut self.out);
    }

    /// A row of the catalogue was read, which has this head, or nothing that holds.
    pub(in crate::engine) fn catalogue_row_read(
        &mut self,
        row: Vec<u8>,
        head: Option<&Signed<Head>>,
    ) {
        if !self.discovery.row_read(&row, head) {
            self.out.saving.remove([rows::unlisted(row)]);
        }
    }

    /// What the next life is to know.
    pub(in crate::engine) fn snapshot(&self) -> Snapshot {
        let snapshot = self.cx.store.snapshot(self.reading.pinned());
        snapshot
            .with_published(self.publishing.earlier_heads())
            .with_outbox(self.publishing.unheard())
            .with_catalogue(self.discovery.heads_of_others(&self.cx))
    }
}
