//! The room alone: it decides, and others say what it cannot know.

use std::sync::Arc;

use futures::{FutureExt, channel::oneshot};

use super::{lookups::Best, waiting::GetRecord, *};
use crate::{
    engine::{
        calls::{Begin, Outcome},
        command::Reply,
        context::Context,
        effects::Effects,
        interface::{Action, Now, QueryEnd, QueryKey, Reach},
        store::SharedStore,
        tests::published_by,
        wheel::Wheel,
    },
    error::{Error, Result},
    freshness::{Found, Freshness},
    identity::Keypair,
    package::Source,
    record::{Record, RecordKey},
    ticket::Ticket,
};

const NOW: Now = Now { mono: Duration::from_secs(100), unix: 2_000_000_000 };

struct Dice;

impl crate::clock::Entropy for Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Room {
    cx: Context,
    out: Effects,
    reading: Reading,
    tickets: u64,
}

impl Room {
    fn new() -> Self {
        let (keypair, config) = (Keypair::generate_ed25519(), Config::new());
        let owner = keypair.public().to_peer_id();
        let store = SharedStore::new(owner, &config, NOW.unix);
        let mut cx = Context::new(keypair.into(), config.clone(), store);
        cx.now = NOW;
        Self {
            reading: Reading::new(owner, &config, Shelf::default()),
            out: Effects::new(Wheel::new(config.sweep_granularity), Box::new(Dice)),
            cx,
            tickets: 0,
        }
    }

    fn get(&mut self, key: RecordKey, freshness: Freshness) -> oneshot::Receiver<Result<Found>> {
        let (reply, answer) = Reply::channel();
        self.tickets += 1;
        let deadline = NOW.mono + Duration::from_secs(30);
        let begin = Begin { ticket: Ticket(self.tickets), asked: NOW.mono, deadline };
        let get = GetRecord { key, freshness, reply };
        self.reading.get_record(&self.cx, &mut self.out, begin, get);
        answer
    }

    /// The lookup that starts next.
    fn lookup(&mut self) -> Option<QueryKey> {
        match self.started()? {
            Action::Get { query, .. } => Some(query),
            other => panic!("{other:?}"),
        }
    }

    /// What the DHT is asked next.
    fn started(&mut self) -> Option<Action> {
        self.reading.admit(&self.cx, &mut self.out, Reach::Joined, false);
        self.out.actions.pop_front()
    }

    fn copy(&mut self, query: QueryKey, record: &Record) -> AfterCopy {
        let from = Some(PeerId::random());
        let copy = self.reading.take_copy(&self.cx, query, from, record.clone(), false);
        self.reading.after_copy(&self.cx, query, &copy.unwrap())
    }

    fn answered(&mut self, query: QueryKey, enough: Enough) -> Vec<Ticket> {
        let (best, subject) = self.reading.best_so_far(&self.cx, query).unwrap();
        let (cx, out) = (&self.cx, &mut self.out);
        let answered = self.reading.take_answered(cx, out, query, best, subject, enough);
        answered.map(|answered| answered.waiting).unwrap_or_default()
    }

    /// The end of a lookup to which so many peers have answered.
    fn end(&mut self, query: QueryKey, answered: u32) -> EndedLookup {
        match self.reading.query_ended(query, QueryEnd::answered_by(answered)) {
            Over::Lookup(lookup) => *lookup,
            other => panic!("{other:?}"),
        }
    }
}

fn head(sequence: u64) -> Record {
    Record::Head(published_by(&Keypair::generate_ed25519(), "tool", sequence).1)
}

#[test]
fn a_first_copy_is_enough_for_who_wants_no_more_and_for_nobody_else() {
    let (mut room, head) = (Room::new(), head(1));
    let _one = room.get(head.key(), Freshness::First);
    let _two = room.get(head.key(), Freshness::Quorum(2));
    let query = room.lookup().unwrap();
    assert_eq!(room.lookup(), None, "both share it");
    assert_eq!(room.copy(query, &head), AfterCopy::Answer(Enough::AsWanted));
    assert_eq!(room.answered(query, Enough::AsWanted), [Ticket(1)]);
    assert_eq!(room.copy(query, &head), AfterCopy::Answer(Enough::AsWanted));
    assert_eq!(room.answered(query, Enough::AsWanted), [Ticket(2)]);
    // Whoever comes with another copy now helps the next reader.
    assert_eq!(room.copy(query, &head), AfterCopy::Remember);
}

#[test]
fn what_a_lookup_does_not_find_is_absent_for_a_while() {
    let (mut room, key) = (Room::new(), head(1).key());
    let mut first = room.get(key, Freshness::First);
    let query = room.lookup().unwrap();
    let ended = room.end(query, 5);
    let (best, subject) = room.reading.best_at_end(&room.cx, &ended);
    assert!(matches!(best, Best::Nothing) && subject.is_none());
    assert!(matches!(
        ended.outcome(&room.cx, &best, Freshness::First),
        Some(Outcome::NotFound { .. })
    ));
    assert!(room.reading.note_end(NOW, &ended, &best).is_none());
    assert!((&mut first).now_or_never().is_none(), "the flow answers it");
    let second = room.get(key, Freshness::First).now_or_never().unwrap().unwrap();
    assert!(matches!(second, Err(Error::NotFound { .. })));
    // Who wants to hear more replicas hears them.
    let _third = room.get(key, Freshness::All);
    assert!(room.lookup().is_some());
}

#[test]
fn a_lookup_that_is_cut_short_has_no_outcome_and_one_that_nobody_answers_has() {
    let (mut room, key) = (Room::new(), head(1).key());
    for (end, is_over) in [
        (QueryEnd::LookupCutShort, false),
        (QueryEnd::Lookup { answered: 0, unheard: 3, without: Vec::new() }, true),
    ] {
        let _get = room.get(key, Freshness::First);
        let query = room.lookup().unwrap();
        let Over::Lookup(ended) = room.reading.query_ended(query, end) else { panic!("a lookup") };
        let outcome = ended.outcome(&room.cx, &Best::Nothing, Freshness::First);
        assert_eq!(matches!(outcome, Some(Outcome::NoPeers)), is_over);
        assert_eq!(outcome.is_none(), !is_over);
    }
}

#[test]
fn what_is_found_answers_the_next_reader_without_a_lookup() {
    let (mut room, head) = (Room::new(), head(1));
    let _get = room.get(head.key(), Freshness::Quorum(2));
    let query = room.lookup().unwrap();
    room.copy(query, &head);
    let ended = room.end(query, 5);
    let (best, _) = room.reading.best_at_end(&room.cx, &ended);
    let found = room.reading.note_end(NOW, &ended, &best).unwrap();
    room.reading.keep(NOW, &found);
    let next = room.get(head.key(), Freshness::First).now_or_never().unwrap().unwrap();
    assert_eq!(next.unwrap().source, Source::Cache);
    assert_eq!(room.lookup(), None);
}

#[test]
fn replicas_that_lack_a_record_are_sent_it_once() {
    let (mut room, old) = (Room::new(), head(1));
    let lacking = vec![PeerId::random()];
    for repairs in [1, 0] {
        room.reading.repair(&room.cx, Arc::new(old.clone()), lacking.clone());
        let started = std::iter::from_fn(|| room.started());
        assert_eq!(started.count(), repairs);
    }
    let newer = Arc::new(head(2));
    room.reading.repair(&room.cx, newer, lacking);
    assert!(room.started().is_some(), "a newer one need not wait");
}
