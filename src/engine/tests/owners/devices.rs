//! Devices that publish with one key, and the peers that hold what they publish.

use super::super::*;
use crate::engine::interface::QueryEnd;
use crate::{
    event::Event,
    package::Receipt,
    record::{EquivocationProof, Record, RecordKey, ReleaseList},
};

/// The peers that one side of a network consists of. They hold what they are given, by the rules of any store.
pub(super) struct Replicas(Vec<(PeerId, SharedStore)>);

impl Replicas {
    pub(super) fn new(count: usize) -> Self {
        let replica = |peer| (peer, SharedStore::new(peer, &Config::new(), UNIX));
        Self((0..count).map(|_| replica(PeerId::random())).collect())
    }

    /// All of these are one network from now on.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Hands a head to each, and nothing that it links to.
    pub(super) fn take_head(&self, head: &Signed<Head>) {
        assert!(self.put(&head.key(), head.bytes()) > 0);
    }

    /// Stores a record with each. How many have taken it.
    fn put(&self, key: &RecordKey, bytes: &[u8]) -> u32 {
        let stored = self.0.iter().filter(|(_, store)| store.insert(key, bytes).is_ok());
        u32::try_from(stored.count()).unwrap()
    }

    /// Whoever reads the head from everybody goes on with this one.
    pub(super) fn head(&self, key: &Keypair) -> Signed<Head> {
        let at = RecordKey::head(&NetworkName::default(), &key.public().to_peer_id(), &name());
        let held = self.0.iter().filter_map(|(_, store)| match store.held(&at) {
            Some(Record::Head(head)) => Some(head),
            _ => None,
        });
        held.reduce(|left, right| crate::record::kept(&left, &right).clone()).expect("held")
    }

    /// The releases that can be read, each of which is held.
    pub(super) fn versions(&self, key: &Keypair) -> Vec<String> {
        let head = self.head(key);
        let mut list = ReleaseList::of(&head);
        while let Some(at) = list.awaits() {
            let held = self.0.iter().find_map(|(_, store)| store.held(&at));
            let Some(Record::Page(page)) = held else { panic!("a page is nowhere") };
            list.accept(&page).unwrap();
        }
        let releases = list.into_releases();
        let network = NetworkName::default();
        for entry in &releases {
            let at = RecordKey::release(&network, &head.owner, &head.name, &entry.version);
            let is_it = |(_, store): &(_, SharedStore)| {
                let held = store.held(&at);
                held.is_some_and(|held| matches!(held, Record::Release(held) if entry.is_of(&held)))
            };
            assert!(self.0.iter().any(is_it), "{} is nowhere", entry.version);
        }
        releases.iter().map(|entry| entry.version.to_string()).collect()
    }
}

pub(super) fn name() -> PackageName {
    "tool".parse().unwrap()
}

/// A node of some owner's, and the time that it sees.
pub(super) struct Device {
    pub(super) lab: Lab,
    /// The heads that it has announced and nobody has been handed yet.
    announced: Vec<Vec<u8>>,
    /// The revisions that it has put, one after the other.
    pub(super) put: Vec<Revision>,
    /// The keys that it has looked up and not been answered for.
    pub(super) lookups: usize,
    /// How many records it has put.
    pub(super) puts: usize,
    /// How many peers it asks with every lookup that do not answer.
    pub(super) silent: u32,
    /// So many peers have left, which a lookup still asks.
    pub(super) left: u32,
    peers: Vec<PeerId>,
}

impl Device {
    /// It starts at this time, and knows nobody.
    pub(super) fn start(keypair: &Keypair, unix: u64) -> Self {
        Self::start_as(keypair.clone().into(), unix)
    }

    /// As [`start`](Self::start), with an identity that may publish for somebody else.
    pub(super) fn start_as(identity: Identity, unix: u64) -> Self {
        let mut lab = Setup::of(identity).at(unix).with_hearers_as_told().start();
        lab.engine.begin(lab.now());
        let (announced, put, peers) = (Vec::new(), Vec::new(), Vec::new());
        Self { lab, announced, put, lookups: 0, puts: 0, silent: 0, left: 0, peers }
    }

    /// Somebody who reads, with a key of its own.
    pub(super) fn bystander() -> Self {
        Self::start(&Keypair::generate_ed25519(), UNIX)
    }

    /// A peer has appeared.
    pub(super) fn join(&mut self) {
        self.peers.push(self.lab.joins());
    }

    /// Nobody is there any more.
    pub(super) fn leave(&mut self) {
        for peer in std::mem::take(&mut self.peers) {
            self.lab.learn(Fact::Unroutable { peer });
        }
    }

    pub(super) fn command<T>(
        &mut self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> oneshot::Receiver<Result<T>> {
        self.lab.ask(command).1
    }

    pub(super) fn register(
        &mut self,
        version: &str,
        confirmation: u8,
    ) -> oneshot::Receiver<Result<Receipt>> {
        self.register_as(Manifest::new(name(), version.parse().unwrap()), confirmation)
    }

    pub(super) fn register_as(
        &mut self,
        manifest: Manifest,
        confirmation: u8,
    ) -> oneshot::Receiver<Result<Receipt>> {
        let manifest = Box::new(manifest);
        self.command(|reply| Command::Register { manifest, confirmation, reply })
    }

    pub(super) fn yank(&mut self, version: &str) -> oneshot::Receiver<Result<Receipt>> {
        let of = Box::new((name(), version.parse().unwrap()));
        let reason = String::new();
        self.command(|reply| Command::Yank { of, reason, confirmation: 0, reply })
    }

    pub(super) fn unyank(&mut self, version: &str) -> oneshot::Receiver<Result<Receipt>> {
        let of = Box::new((name(), version.parse().unwrap()));
        self.command(|reply| Command::Unyank { of, confirmation: 0, reply })
    }

    /// Withdraws the package, on a network all of whose peers answer.
    pub(super) fn withdraw(&mut self, replicas: &Replicas) {
        let gone =
            self.command(|reply| Command::Unregister { name: name(), confirmation: 0, reply });
        self.exchange(replicas);
        answer(gone).expect("answered").expect("withdrawn");
    }

    /// Publishes a release on a network, all of whose peers answer.
    pub(super) fn publish(&mut self, replicas: &Replicas, version: &str) -> Receipt {
        let receipt = self.register(version, 1);
        self.exchange(replicas);
        answer(receipt).expect("answered").expect("published")
    }

    /// Time passes, and whatever the device does meanwhile it does with these peers.
    pub(super) fn live(&mut self, replicas: &Replicas, seconds: u64) {
        for _ in 0..seconds {
            self.lab.advance(Duration::from_secs(1));
            for (_, store) in &replicas.0 {
                store.set_time(self.lab.now().unix);
            }
            self.exchange(replicas);
        }
    }

    /// Answers whatever it asks of these peers.
    pub(super) fn exchange(&mut self, replicas: &Replicas) {
        self.exchange_while(replicas, |_| true);
    }

    /// Answers whatever it asks of these peers, until it puts something.
    pub(super) fn exchange_until_put(&mut self, replicas: &Replicas) {
        self.exchange_while(replicas, |action| !matches!(action, Action::Put { .. }));
    }

    /// Answers whatever it asks of these peers, until it looks something up under this key.
    pub(super) fn exchange_until_asked(&mut self, replicas: &Replicas, wanted: &RecordKey) {
        let is_it = |action: &Action| matches!(action, Action::Get { key, .. } if key == wanted);
        self.exchange_while(replicas, |action| !is_it(action));
    }

    fn exchange_while(&mut self, replicas: &Replicas, goes_on: impl Fn(&Action) -> bool) {
        while self.lab.engine.out.actions.front().is_some_and(&goes_on) {
            let Some(action) = self.lab.engine.next_action() else { break };
            match action {
                Action::Get { query, key, .. } => self.look_up(replicas, query, &key),
                Action::Put { query, key, bytes } => {
                    self.puts += 1;
                    if let Ok(Record::Head(head)) = self.lab.engine.cx.store.verify(&key, &bytes) {
                        self.put.push(head.revision);
                    }
                    let end = QueryEnd::Stored { replicas: replicas.put(&key, &bytes) };
                    self.lab.learn(Fact::QueryEnded { query, end });
                }
                Action::Repair { query, key, bytes, .. } => {
                    let end = QueryEnd::Stored { replicas: replicas.put(&key, &bytes) };
                    self.lab.learn(Fact::QueryEnded { query, end });
                }
                Action::Publish { id, data, .. } => {
                    self.announced.push(data);
                    let outcome = Published::Sent;
                    self.lab.learn(Fact::Published { id, outcome });
                }
                _ => {}
            }
        }
        self.lab.engine.learn_stored();
    }

    fn look_up(&mut self, replicas: &Replicas, query: QueryKey, key: &RecordKey) {
        self.lookups += 1;
        let mut without = Vec::new();
        for (peer, store) in &replicas.0 {
            match store.bytes(key) {
                Some((bytes, _)) => {
                    let from = Some(*peer);
                    self.lab.learn(Fact::Copy { query, from, bytes });
                }
                None => without.push(*peer),
            }
        }
        let answered = u32::try_from(replicas.0.len()).unwrap();
        for _ in 0..self.left {
            let fact = Fact::Left { peer: PeerId::random() };
            self.lab.learn(fact);
        }
        let end = QueryEnd::Lookup { answered, unheard: self.silent + self.left, without };
        self.lab.learn(Fact::QueryEnded { query, end });
    }

    /// The heads that it has announced since the last time.
    pub(super) fn take_announced(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.announced)
    }

    /// Hears an announcement.
    pub(super) fn hear(&mut self, announced: &[u8]) -> Verdict {
        let now = self.lab.now();
        self.lab.engine.hear_from(now, Some(PeerId::random()), "announcements", announced)
    }

    pub(super) fn hear_all(&mut self, announced: &[Vec<u8>]) {
        for head in announced {
            self.hear(head);
        }
    }

    /// The head that it would serve now.
    pub(super) fn own_head(&self) -> Signed<Head> {
        self.lab.engine.publishing.own().get(&name()).expect("published").head.clone()
    }

    pub(super) fn own_versions(&self) -> Vec<String> {
        let releases = ReleaseList::of(&self.own_head()).into_releases();
        releases.iter().map(|entry| entry.version.to_string()).collect()
    }

    /// The contradictions that its application has been told of since the last time.
    pub(super) fn told(&mut self) -> Vec<EquivocationProof> {
        let events = self.lab.events().into_iter();
        let proof = |event| match event {
            Event::Equivocation { proof, .. } => Some(proof),
            _ => None,
        };
        events.filter_map(proof).collect()
    }

    /// How often its application has been told since the last time that what nobody held is held now.
    pub(super) fn told_held(&mut self) -> usize {
        let events = self.lab.events().into_iter();
        events.filter(|event| matches!(event, Event::Replicated { .. })).count()
    }

    /// The contradictions that stand.
    pub(super) fn standing(&self) -> usize {
        self.lab.engine.standing.equivocations().list().len()
    }
}
