use std::{sync::Arc, time::Duration};

use futures::channel::oneshot;
use libp2p::{PeerId, identity::Keypair};

use super::*;
use crate::{
    clock::Entropy,
    command::{Command, Reply, Request},
    config::Config,
    engine::{
        Engine,
        interface::{Action, Fact, Published, QueryEnd, QueryKey},
        store::SharedStore,
    },
    error::Result,
    freshness::Freshness,
    package::{Manifest, Receipt},
    record::{Head, Kind, Record, Release, ReleaseEntry, Revision, Signed, Validity},
    shelf::Shelf,
};

const UNIX: u64 = 2_000_000_000;

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(255);
    }
}

/// An owner's engine, whose network is the test.
struct Lab {
    engine: Engine,
    keypair: Keypair,
    mono: Duration,
    tickets: u64,
}

impl Lab {
    fn new(config: Config) -> Self {
        let keypair = Keypair::generate_ed25519();
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, UNIX);
        let mut engine =
            Engine::new(keypair.clone(), config, store, Box::new(NoEntropy), Shelf::default());
        engine.start(Now { mono: Duration::ZERO, unix: UNIX });
        Self { engine, keypair, mono: Duration::ZERO, tickets: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, unix: UNIX + self.mono.as_secs() }
    }

    fn advance(&mut self, by: Duration) {
        self.mono += by;
        let now = self.now();
        self.engine.begin(now);
        self.engine.begin_network(now);
        while self.engine.expire(now, 64) > 0 {}
    }

    fn learn(&mut self, fact: Fact) {
        self.engine.learn(self.now(), fact);
    }

    fn register(&mut self, name: &str) -> oneshot::Receiver<Result<Receipt>> {
        let manifest = Box::new(Manifest::new(name.parse().unwrap(), "2.0.0".parse().unwrap()));
        let (reply, answer) = Reply::channel();
        self.tickets += 1;
        let (ticket, asked) = (Ticket(self.tickets), self.mono);
        let deadline = asked + Duration::from_secs(30);
        let command = Command::Register { manifest, confirmation: 0, reply };
        self.engine.command(self.now(), Request { ticket, asked, deadline, command });
        answer
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.next_action()).collect()
    }

    fn lookups(&mut self) -> Vec<QueryKey> {
        let get = |action| match action {
            Action::Get { query, .. } => Some(query),
            _ => None,
        };
        self.actions().into_iter().filter_map(get).collect()
    }

    /// Ends every lookup with nothing and every put with so many replicas, and tells how many puts there were. Nobody hears
    /// announcements.
    fn serve(&mut self, replicas: u32) -> usize {
        let mut puts = 0;
        loop {
            let actions = self.actions();
            if actions.is_empty() {
                return puts;
            }
            for action in actions {
                let (query, end) = match action {
                    Action::Get { query, .. } => (query, QueryEnd::answered_by(1)),
                    Action::Put { query, .. } => {
                        puts += 1;
                        (query, QueryEnd::Stored { replicas })
                    }
                    Action::Publish { id, .. } => {
                        self.learn(Fact::Published { id, outcome: Published::Unheard });
                        continue;
                    }
                    _ => continue,
                };
                self.learn(Fact::QueryEnded { query, end });
            }
        }
    }

    /// A head that an earlier life of this node has published.
    fn earlier(&self, sequence: u64) -> Signed<Head> {
        let owner = self.keypair.public().to_peer_id();
        let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
        let network = crate::record::NetworkName::default();
        let release = Release::new(network.clone(), owner, manifest.clone());
        let release = Signed::sign(&self.keypair, release).unwrap();
        let head = Head::live(
            network,
            owner,
            Revision::new(0, sequence),
            Validity::starting(UNIX, 3600),
            manifest,
            vec![ReleaseEntry::of(&release)],
            None,
        );
        Signed::sign(&self.keypair, head).unwrap()
    }
}

fn answer<T>(mut receiver: oneshot::Receiver<Result<T>>) -> Option<Result<T>> {
    receiver.try_recv().expect("not dropped")
}

fn copy(query: QueryKey, head: &Signed<Head>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes: head.bytes().to_vec() }
}

#[test]
fn a_change_goes_on_from_the_newest_head_that_peers_hold_whichever_answers_first() {
    let mut lab = Lab::new(Config::new());
    lab.learn(Fact::Routable { peer: PeerId::random() });
    let receipt = lab.register("tool");
    let [query, _claims] = lab.lookups()[..] else { panic!("two lookups") };
    for sequence in [3, 5, 4].map(|more| UNIX + more) {
        let head = lab.earlier(sequence);
        lab.learn(copy(query, &head));
    }
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(3) });
    lab.serve(1);
    assert_eq!(answer(receipt).unwrap().unwrap().sequence, UNIX + 6);
}

#[test]
fn a_package_whose_renewal_came_to_nothing_is_put_again_another_time() {
    let mut lab = Lab::new(Config::new());
    // Alone, so that nobody knows whether there was an earlier life.
    let receipt = lab.register("tool");
    lab.serve(0);
    assert!(answer(receipt).unwrap().is_ok());
    lab.learn(Fact::Routable { peer: PeerId::random() });
    for _ in 0..4 {
        lab.advance(Duration::from_secs(14 * 3600));
        let lookups = lab.lookups();
        assert_eq!(lookups.len(), 1, "the head is asked for before the package is put again");
        for query in lookups {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
        }
        lab.actions();
    }
}

#[test]
fn the_pause_before_the_next_try_does_not_grow_with_the_number_of_packages() {
    let mut lab = Lab::new(Config::new());
    lab.learn(Fact::Routable { peer: PeerId::random() });
    for number in 0..20 {
        drop(lab.register(&format!("tool-{number}")));
    }
    assert!(lab.serve(0) >= 20);
    // The first try comes after 30 s, the second a minute later.
    for pause in [30, 60] {
        lab.advance(Duration::from_secs(pause - 1));
        assert_eq!(lab.serve(0), 0);
        lab.advance(Duration::from_secs(2));
        assert!(lab.serve(0) >= 20);
        lab.mono -= Duration::from_secs(1);
    }
}

#[test]
fn a_peer_that_takes_nothing_and_repeats_its_addresses_does_not_hurry_the_node() {
    let mut lab = Lab::new(Config::new());
    let peer = PeerId::random();
    lab.learn(Fact::Routable { peer });
    drop(lab.register("tool"));
    lab.serve(0);
    for _ in 0..20 {
        lab.learn(Fact::Routable { peer });
        lab.advance(Duration::from_secs(1));
        assert_eq!(lab.serve(0), 0);
    }
    // One that has been away may have changed its mind.
    let (address, direction) = (libp2p::Multiaddr::empty(), crate::event::Direction::Inbound);
    lab.learn(Fact::Connected { peer, address, direction });
    lab.advance(Duration::from_secs(1));
    assert!(lab.serve(1) > 0);
}

#[test]
fn a_package_is_signed_anew_in_time_however_seldom_it_is_to_be_put_again() {
    let config = Config::new().with_republish_interval(Duration::MAX);
    let ttl = config.record_ttl;
    let mut lab = Lab::new(config);
    lab.learn(Fact::Routable { peer: PeerId::random() });
    drop(lab.register("tool"));
    let name: PackageName = "tool".parse().unwrap();
    for _ in 0..100 {
        lab.serve(1);
        lab.advance(ttl / 20);
        let own = &lab.engine.publishing.own()[&name];
        assert!(own.head.validity.expires > lab.now().unix, "expired before it was put again");
    }
}

#[test]
fn a_cached_head_is_not_answered_once_a_newer_one_was_seen() {
    let mut lab = Lab::new(Config::new());
    let (old, new) = (lab.earlier(1), lab.earlier(2));
    lab.engine.remember(&Arc::new(Record::Head(old.clone())));
    assert!(lab.engine.reading.known(&lab.engine.cx, &old.key(), Freshness::First).is_some());
    lab.engine.cx.store.raise_high_water(&new);
    assert!(lab.engine.reading.known(&lab.engine.cx, &old.key(), Freshness::First).is_none());
    assert_eq!(lab.engine.cx.store.high_water(Kind::Head, &new.owner, &new.name), Some(new.rank()));
}

fn replicated(lab: &mut Lab) -> Vec<u32> {
    let events = std::iter::from_fn(|| lab.engine.next_event());
    let replicas = events.filter_map(|event| match event {
        Event::Replicated { replicas, .. } => Some(replicas),
        _ => None,
    });
    replicas.collect()
}

#[test]
fn a_package_that_peers_have_refused_is_put_again_until_somebody_holds_it() {
    let mut lab = Lab::new(Config::new());
    lab.learn(Fact::Routable { peer: PeerId::random() });
    let mut receipt = lab.register("tool");
    // Every peer refuses every record of it.
    assert_eq!(lab.serve(0), 3);
    assert_eq!(receipt.try_recv().unwrap().unwrap().unwrap().replicas, 0);
    let mut rounds = 0;
    for _ in 0..20 {
        lab.advance(Duration::from_secs(30));
        rounds += usize::from(lab.serve(0) > 0);
    }
    assert!((2..8).contains(&rounds), "{rounds} rounds in ten minutes");
    assert!(replicated(&mut lab).is_empty());
    // There is room again.
    let mut puts = 0;
    for _ in 0..120 {
        lab.advance(Duration::from_secs(30));
        puts += lab.serve(2);
    }
    assert!(puts >= 3);
    assert_eq!(replicated(&mut lab), [2], "and it is told once");
}

#[test]
fn a_caller_whose_time_was_up_hears_that_the_package_is_held_after_all() {
    let mut lab = Lab::new(Config::new());
    lab.learn(Fact::Routable { peer: PeerId::random() });
    let mut receipt = lab.register("tool");
    let [recall, _claims] = lab.lookups()[..] else { panic!("two lookups") };
    lab.learn(Fact::QueryEnded { query: recall, end: QueryEnd::answered_by(1) });
    let puts = lab.actions().into_iter().filter_map(|action| match action {
        Action::Put { query, .. } => Some(query),
        _ => None,
    });
    let puts: Vec<QueryKey> = puts.collect();
    lab.advance(Duration::from_secs(31));
    assert_eq!(receipt.try_recv().unwrap().unwrap().unwrap().replicas, 0);
    for query in puts {
        lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 3 } });
    }
    assert_eq!(replicated(&mut lab), [3]);
}
