use std::time::Duration;

use futures::channel::oneshot;
use libp2p::{PeerId, identity::Keypair};

use super::*;
use crate::{
    clock::SystemEntropy,
    command::{Command, Reply, Request},
    config::Config,
    engine::{
        Engine,
        interface::{Action, Fact, Published, QueryEnd, QueryKey},
        store::SharedStore,
    },
    error::Result,
    package::{Manifest, Receipt},
    record::{Head, Record, Release, ReleaseEntry, Revision, Signed, Validity},
    shelf::Shelf,
};

const HOUR: Duration = Duration::from_secs(3600);

fn at(mono: Duration) -> Now {
    Now { mono, unix: 1_800_000_000 + mono.as_secs() }
}

/// An engine without a network: the test plays that.
struct Played {
    engine: Engine,
    keypair: Keypair,
    now: Now,
    tickets: u64,
}

impl Played {
    fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let keypair = Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let mut config = Config::new();
        adjust(&mut config);
        let now = at(Duration::ZERO);
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, now.unix);
        let engine =
            Engine::new(keypair.clone(), config, store, Box::new(SystemEntropy), Shelf::default());
        Self { engine, keypair, now, tickets: 0 }
    }

    fn learn(&mut self, fact: Fact) {
        self.engine.learn(self.now, fact);
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        self.now = at(self.now.mono + time);
        self.engine.begin(self.now);
        self.engine.begin_network(self.now);
        while self.engine.expire(self.now, 64) > 0 {}
    }

    fn register(&mut self, manifest: Manifest) -> oneshot::Receiver<Result<Receipt>> {
        let (reply, answer) = Reply::channel();
        self.tickets += 1;
        let request = Request {
            ticket: Ticket(self.tickets),
            asked: self.now.mono,
            deadline: self.now.mono + HOUR,
            command: Command::Register { manifest: Box::new(manifest), confirmation: 0, reply },
        };
        self.engine.command(self.now, request);
        answer
    }

    /// The lookups that it has begun.
    fn lookups(&mut self) -> Vec<QueryKey> {
        let actions = std::iter::from_fn(|| self.engine.next_action());
        actions
            .filter_map(|action| match action {
                Action::Get { query, .. } => Some(query),
                _ => None,
            })
            .collect()
    }

    /// The heads that it puts, every put being answered by so many peers. Nobody hears announcements.
    fn heads_put(&mut self, replicas: u32) -> Vec<Signed<Head>> {
        let mut heads = Vec::new();
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Put { query, key, bytes } => {
                    if let Ok(Record::Head(head)) = self.engine.cx.store.verify(&key, &bytes) {
                        heads.push(head);
                    }
                    self.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas } });
                }
                Action::Publish { id, .. } => {
                    self.learn(Fact::Published { id, outcome: Published::Unheard });
                }
                _ => {}
            }
        }
        heads
    }

    /// A head of the engine's own package, as an earlier life has signed it.
    fn earlier(&self, sequence: u64, versions: &[&str]) -> Vec<u8> {
        let owner = self.keypair.public().to_peer_id();
        let releases: Vec<Signed<Release>> = versions
            .iter()
            .map(|version| Release::new(Default::default(), owner, manifest("tool", version)))
            .map(|release| Signed::sign(&self.keypair, release).unwrap())
            .collect();
        let head = Head::live(
            Default::default(),
            owner,
            Revision::new(0, sequence),
            Validity::starting(self.now.unix, 3600),
            releases[0].manifest.clone(),
            releases.iter().map(ReleaseEntry::of).collect(),
            None,
        );
        Signed::sign(&self.keypair, head).unwrap().bytes().to_vec()
    }
}

fn manifest(name: &str, version: &str) -> Manifest {
    Manifest::new(name.parse().unwrap(), version.parse().unwrap())
}

fn routable() -> Fact {
    Fact::Routable { peer: PeerId::random() }
}

#[test]
fn a_renewal_that_is_cut_short_is_tried_again_in_the_next_round() {
    let mut played = Played::new(|_| {});
    let _answer = played.register(manifest("tool", "1.0.0"));
    played.heads_put(0);
    played.learn(routable());
    played.pass(Duration::from_secs(1));
    for round in 0..4 {
        let lookups = played.lookups();
        assert_eq!(lookups.len(), 1, "round {round}");
        for query in lookups {
            played.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
        }
        assert!(played.engine.is_at_rest());
        played.pass(14 * HOUR);
    }
}

#[test]
fn what_nobody_stored_is_recalled_before_it_is_put_again() {
    let mut played = Played::new(|_| {});
    played.learn(routable());
    let _answer = played.register(manifest("tool", "1.0.0"));
    let query = played.lookups()[0];
    played.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(1) });
    assert_eq!(played.heads_put(0).len(), 1);

    played.pass(Duration::from_secs(31));
    let query = played.lookups()[0];
    let later = played.now.unix + 7;
    let bytes = played.earlier(later, &["0.9.0"]);
    played.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes });
    played.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(1) });

    let heads = played.heads_put(1);
    assert_eq!(heads[0].revision, Revision::new(0, later + 1));
    assert_eq!(played.engine.publishing.own()["tool"].head, heads[0]);
}

#[test]
fn a_change_goes_on_from_the_newest_copy_whichever_came_first() {
    for order in [[4, 5], [5, 4]] {
        let mut played = Played::new(|_| {});
        played.learn(routable());
        let mut answer = played.register(manifest("tool", "2.0.0"));
        let query = played.lookups()[0];
        let later = played.now.unix;
        for sequence in order {
            let versions = if sequence == 5 { &["1.1.0", "1.0.0"][..] } else { &["1.0.0"] };
            let bytes = played.earlier(later + sequence, versions);
            played.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes });
            assert!(answer.try_recv().unwrap().is_none(), "others may know more");
        }
        played.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(2) });

        let heads = played.heads_put(2);
        assert_eq!(heads[0].revision, Revision::new(0, later + 6));
        let listed = crate::record::ReleaseList::of(&heads[0]).into_releases();
        let versions: Vec<String> = listed.iter().map(|entry| entry.version.to_string()).collect();
        assert_eq!(versions, ["2.0.0", "1.1.0", "1.0.0"]);
        assert_eq!(answer.try_recv().unwrap().unwrap().unwrap().sequence, later + 6);
    }
}

#[test]
fn changes_in_flight_keep_to_the_number_of_own_packages_too() {
    let mut played = Played::new(|config| config.limits.own_packages = 1);
    played.learn(routable());
    let mut first = played.register(manifest("first", "1.0.0"));
    let mut second = played.register(manifest("second", "1.0.0"));
    for query in played.lookups() {
        played.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(1) });
    }
    played.heads_put(1);
    assert!(first.try_recv().unwrap().unwrap().is_ok());
    let error = second.try_recv().unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
    assert_eq!(played.engine.publishing.own().len(), 1);
}
