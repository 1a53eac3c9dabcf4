//! The life of a change to an own package, as it passes from room to room.
//!
//! ```text
//! change ─▶ begin ─▶ LookUp ─▶ Put ─▶ Settle ─▶ Explain ─▶ ReadBack ─▶ answered
//!             ▲        ▲└┘                                     │
//!             └────────│──────── another head shows ───────────┘
//!                      └─ until all is read that it is built on
//! ```
//!
//! The room of own packages says what [comes next](Next). Here it is carried out, and what has come of it is handed back.

use libp2p::PeerId;

use crate::{
    engine::{
        Engine,
        calls::{AwaitedBack, Begin, Outcome},
        interface::{QueryKey, Unanswered},
        publishing::{
            changes::Underway,
            next::{BackAtEnd, Committed, Failure, Missing, Next, Unacknowledged},
            own::Change,
            publish::Publish,
        },
        reading::EndedLookup,
    },
    exchange::Response,
    package::PackageName,
    record::{Head, Record, RecordKey, Signed},
    ticket::Ticket,
};

impl Engine {
    /// A caller changes an own package.
    pub(in crate::engine) fn change(&mut self, begin: Begin, publish: Publish) {
        let puts = self.reading.puts();
        let accepted = self.publishing.accept(&self.cx, &mut self.out, &begin, puts, publish);
        if let Some(change) = accepted {
            self.begin_change(change);
        }
    }

    /// The node changes an own package by itself.
    fn keep_up(&mut self, change: Change) {
        if let Some(change) = self.publishing.keep_up(&self.cx, &mut self.out, change) {
            self.begin_change(change);
        }
    }

    fn begin_change(&mut self, change: Underway) {
        let (ticket, reach) = (change.ticket, self.peers.reach());
        let next = self.publishing.begin(&self.cx, &mut self.out, reach, change);
        self.go_on(ticket, next);
    }

    /// What a change has waited for has come to this.
    pub(in crate::engine) fn resume_change(&mut self, ticket: Ticket, outcome: Outcome) {
        let reach = self.peers.reach();
        let next = self.publishing.resume(&self.cx, &mut self.out, reach, ticket, outcome);
        self.go_on(ticket, next);
    }

    /// Takes a change as far as it goes without waiting.
    fn go_on(&mut self, ticket: Ticket, mut next: Next) {
        loop {
            next = match next {
                Next::Wait => return,
                Next::LookUp { key, claims } => {
                    return self.reading.look_up_own(key, claims, ticket);
                }
                Next::Put(committed) => return self.put_change(ticket, *committed),
                Next::Settle => self.settle_change(ticket),
                Next::Explain(records) => self.ask_why(ticket, records),
                Next::ReadBack(keys) => self.read_change_back(ticket, keys),
                Next::EndReadBacks(awaited) => self.end_read_backs(ticket, awaited),
                Next::Abandon(failure) => return self.abandon_change(ticket, failure),
            };
        }
    }

    /// Puts what was signed, and has every room know it.
    fn put_change(&mut self, ticket: Ticket, committed: Committed) {
        let Committed { name, published, outdated, records } = committed;
        self.reading.put_own(&outdated, records, ticket);
        if let Some(name) = published {
            let listed = self.discovery.look_alikes_listed(&self.cx, &name);
            self.publishing.hear_listed(ticket, listed);
        }
        let Some(head) = self.publishing.head_in_force(&name) else { return };
        self.reading.shelve_own(&self.cx, &name, head);
        self.discovery.list_own(self.cx.now(), head);
        self.standing.supersede(head);
    }

    /// All puts of a change have ended. What was looked up beside them is as good as it gets.
    fn settle_change(&mut self, ticket: Ticket) -> Next {
        self.end_look_alikes(ticket);
        let reach = self.peers.reach();
        self.publishing.stored(&self.cx, &mut self.out, reach, ticket)
    }

    /// What the lookup of claims for a change has found by now is all that counts of it.
    fn end_look_alikes(&mut self, ticket: Ticket) {
        let Some(key) = self.publishing.claims_lookup(ticket) else { return };
        let found = self.reading.best_by_now(&self.cx, &key);
        self.publishing.claims_found(&self.cx, ticket, found.record());
        self.reading.leave_lookup(&mut self.out, &key, ticket);
    }

    /// Asks those who should hold records of a change, and have not acknowledged them, why not.
    fn ask_why(&mut self, ticket: Ticket, records: Vec<Unacknowledged>) -> Next {
        let explains =
            |peer: &PeerId| self.discovery.explains(peer) && self.peers.is_answering(peer);
        let missing = records.iter().map(|Unacknowledged { key, by }| {
            Missing::of(*key, self.peers.should_hold(key, by), explains)
        });
        let missing = missing.collect();
        self.publishing.ask_why(&self.cx, &mut self.out, ticket, missing)
    }

    /// A peer has said why it does not hold a change, or will not.
    pub(in crate::engine) fn explained(
        &mut self,
        ticket: Ticket,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) {
        if self.publishing.hear_why(ticket, peer, answer) {
            self.end_explaining(ticket);
        }
    }

    /// All have said why, or have had the time to.
    pub(in crate::engine) fn end_explaining(&mut self, ticket: Ticket) {
        let next = self.publishing.end_explaining(&self.cx, &mut self.out, ticket);
        self.go_on(ticket, next);
    }

    /// These peers say that they have stored what a query put.
    pub(in crate::engine) fn acknowledged(&mut self, query: QueryKey, peers: Vec<PeerId>) {
        if let Some((key, ticket)) = self.reading.put_for(query) {
            self.publishing.acknowledged(ticket, &key, peers);
        }
    }

    /// Looks the records of a change up, as any reader would.
    fn read_change_back(&mut self, ticket: Ticket, keys: Vec<RecordKey>) -> Next {
        let joined = self.reading.read_all_back(keys, ticket);
        let reach = self.peers.reach();
        self.publishing.read_backs_begun(&self.cx, &mut self.out, reach, ticket, &joined)
    }

    /// A peer has served a record. Where it is one of this node's own, it may have been read back often enough.
    pub(in crate::engine) fn read_back(&mut self, query: QueryKey, record: &Record) {
        let Some((key, tickets)) = self.reading.read_backs(&self.cx, query, record) else { return };
        for ticket in tickets {
            self.publishing.hear_claims(&self.cx, ticket, record);
            let Some(awaited) = self.publishing.awaited_back(ticket, &key) else { continue };
            let confirmed = self.reading.served(&awaited);
            if self.publishing.is_read_back(ticket, confirmed) {
                self.reading.leave_lookup(&mut self.out, &key, ticket);
                self.resume(ticket, Outcome::ReadBack { key, confirmed });
            }
        }
    }

    /// All that there are have been asked for a record of this node's.
    pub(in crate::engine) fn read_back_ended(&mut self, ticket: Ticket, lookup: &EndedLookup) {
        let key = lookup.key;
        match self.publishing.back_at_end(ticket, &key, &lookup.without) {
            None => {}
            Some(BackAtEnd::AskAgain) => self.reading.read_back(key, ticket),
            Some(BackAtEnd::Over { awaited, forgetful }) => {
                for peer in forgetful {
                    self.standing.failed(peer);
                }
                let confirmed = lookup.served(&awaited.attests);
                self.resume(ticket, Outcome::ReadBack { key, confirmed });
            }
        }
    }

    /// Waits no longer for what is still being read back.
    fn end_read_backs(&mut self, ticket: Ticket, awaited: Vec<AwaitedBack>) -> Next {
        let served = self.reading.stop_reading_back(&mut self.out, &awaited, ticket);
        let reach = self.peers.reach();
        self.publishing.end_read_backs(&self.cx, &mut self.out, reach, ticket, &served)
    }

    /// A change cannot go on.
    fn abandon_change(&mut self, ticket: Ticket, failure: Failure) {
        self.end_look_alikes(ticket);
        let error = match failure {
            Failure::NobodyToAsk => self.peers.nobody(),
            Failure::Other(error) => error,
        };
        let reach = self.peers.reach();
        self.publishing.abandon(&self.cx, &mut self.out, reach, ticket, error);
    }

    /// The caller of a change has gone away.
    pub(in crate::engine) fn cancel_change(&mut self, ticket: Ticket) {
        self.leave_change(ticket);
        let next = self.publishing.cancel(&mut self.out, ticket);
        self.go_on(ticket, next);
    }

    /// The time of a change's caller is up.
    pub(in crate::engine) fn time_out_change(&mut self, ticket: Ticket) {
        let now = self.cx.now();
        self.leave_change(ticket);
        let next = self.publishing.time_up(&mut self.out, now, ticket);
        self.go_on(ticket, next);
    }

    /// A change waits for its lookups no longer.
    fn leave_change(&mut self, ticket: Ticket) {
        self.end_look_alikes(ticket);
        if let Some(key) = self.publishing.recall_lookup(&self.cx, ticket) {
            self.reading.leave_lookup(&mut self.out, &key, ticket);
        }
    }
}

/// What is heard of own packages from elsewhere, and when they are put again.
impl Engine {
    /// A verified head of an own package has come, from wherever.
    pub(in crate::engine) fn hear_own(&mut self, head: &Signed<Head>) {
        let reach = self.peers.reach();
        self.publishing.hear_own(&self.cx, &mut self.out, reach, head);
    }

    /// A head was refused for being older than another that was seen. One of this node's own packages may say what the
    /// newer one does not.
    pub(in crate::engine) fn hear_older(&mut self, bytes: &[u8]) {
        if self.publishing.is_nothing_new(bytes) {
            return;
        }
        let Ok(head) = self.cx.store.verify_older(bytes, self.cx.now().unix) else { return };
        if self.publishing.publishes(&self.cx, &head) {
            self.confront_known(&head.key(), &head);
            self.hear_own(&head);
        }
    }

    /// What was heard of a package is merged.
    pub(in crate::engine) fn merge(&mut self, name: PackageName) {
        let now = self.cx.now();
        let reach = self.peers.reach();
        if let Some(change) = self.publishing.merge_due(&mut self.out, now, reach, name) {
            self.keep_up(change);
        }
    }

    /// Puts an own package again, signed anew where half of its life is over.
    pub(in crate::engine) fn renew(&mut self, name: PackageName) {
        self.keep_up(Change::Renew { name });
    }

    /// Puts own packages again that nobody holds.
    pub(in crate::engine) fn replicate(&mut self) {
        for name in self.publishing.replicate_due(self.peers.reach()) {
            self.renew(name);
        }
    }
}
