//! One small node for every test of the whole engine: the engine, its time and its callers. The test is its network.
//!
//! A [`Lab`] is built by [`Setup`], which says who the node is, what its calendar shows and what it knows from before. Then
//! it does and undergoes things, one line each, so that a scenario reads from top to bottom:
//!
//! ```ignore
//! let mut owner = Lab::untouched(Config::new());
//! owner.joins();
//! let receipt = owner.registers("tool", "1.0.0");
//! owner.stores_with(3);
//! assert_eq!(reader.hears(owner.own_head("tool")), Verdict::Accept);
//! ```

use super::*;
use crate::{
    package::Receipt,
    record::{Record, RecordKey},
};

/// What the calendar shows when a lab starts, unless it is told otherwise.
pub(super) const UNIX: u64 = 2_000_000_000;

/// The monotonic time at which a lab starts.
pub(super) const STARTED: Duration = Duration::from_secs(100);

/// No randomness at all: each byte is this one.
pub(super) struct Steady(pub(super) u8);

impl Entropy for Steady {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// A lab that has not started yet.
pub(super) struct Setup<'a> {
    identity: Identity,
    config: Config,
    /// What the calendar shows.
    unix: u64,
    entropy: Steady,
    before: Option<&'a Snapshot>,
    store: Option<SharedStore>,
    hearers: Hearers,
}

impl<'a> Setup<'a> {
    /// A node with this identity, which knows nothing and nobody.
    pub(super) fn of(identity: impl Into<Identity>) -> Self {
        Self {
            identity: identity.into(),
            config: Config::new(),
            unix: UNIX,
            // In the middle of whatever is drawn.
            entropy: Steady(128),
            before: None,
            store: None,
            hearers: Hearers::nobody(),
        }
    }

    pub(super) fn with_config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Its calendar shows this time, in Unix seconds.
    pub(super) fn at(self, unix: u64) -> Self {
        Self { unix, ..self }
    }

    pub(super) fn with_entropy(self, byte: u8) -> Self {
        Self { entropy: Steady(byte), ..self }
    }

    /// It starts from what another one knew.
    pub(super) fn with_snapshot(self, before: &'a Snapshot) -> Self {
        Self { before: Some(before), ..self }
    }

    /// It holds records in this store, which is of the same identity.
    pub(super) fn with_store(self, store: SharedStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// What becomes of its announcements is for the test to say.
    pub(super) fn with_hearers_as_told(self) -> Self {
        Self { hearers: Hearers::AsTold, ..self }
    }

    pub(super) fn start(self) -> Lab {
        let now = Now { mono: STARTED, unix: self.unix };
        let local = self.identity.keypair.public().to_peer_id();
        let new = || SharedStore::new(local, &self.config, now.unix);
        let store = self.store.unwrap_or_else(new);
        let (entropy, shelf) = (Box::new(self.entropy), Shelf::default());
        let mut engine = Engine::new(self.identity, self.config, store, entropy, shelf.clone());
        if let Some(before) = self.before {
            engine.restore(now, before).unwrap();
        }
        engine.start(now);
        let drift = i64::try_from(now.unix).unwrap() - i64::try_from(UNIX).unwrap();
        Lab { engine, shelf, mono: now.mono, drift, tickets: 0, hearers: self.hearers }
    }
}

/// An engine, the time that it sees, and its callers.
pub(super) struct Lab {
    pub(super) engine: Engine,
    pub(super) shelf: Shelf,
    pub(super) mono: Duration,
    /// By how many seconds the calendar has left the monotonic clock.
    pub(super) drift: i64,
    pub(super) tickets: u64,
    pub(super) hearers: Hearers,
}

/// Who hears of packages. As a node does, a lab says at once what became of an announcement.
pub(super) enum Hearers {
    /// Nobody, as was said of these.
    Nobody(BTreeSet<AnnouncementId>),
    /// That is for the test to say.
    AsTold,
}

impl Hearers {
    pub(super) fn nobody() -> Self {
        Self::Nobody(BTreeSet::new())
    }
}

/// How it begins, and what time it is.
impl Lab {
    /// With one peer in its routing table.
    pub(super) fn new(config: Config) -> Self {
        let mut lab = Self::untouched(config);
        lab.joins();
        lab.actions();
        lab
    }

    /// An engine that knows nobody yet.
    pub(super) fn untouched(config: Config) -> Self {
        Self::of(Keypair::generate_ed25519(), config)
    }

    /// An engine with this key pair, which knows nobody yet.
    pub(super) fn of(keypair: Keypair, config: Config) -> Self {
        Setup::of(keypair).with_config(config).start()
    }

    pub(super) fn now(&self) -> Now {
        let since = self.mono.saturating_sub(STARTED).as_secs();
        Now { mono: self.mono, unix: (UNIX + since).saturating_add_signed(self.drift) }
    }

    /// Time passes, and what was due by then is done.
    pub(super) fn advance(&mut self, by: Duration) {
        self.mono += by;
        let now = self.now();
        self.engine.begin(now);
        self.engine.begin_network(now);
        while self.engine.expire(now, 64) > 0 {}
        self.tell_unheard();
    }

    /// Sets the calendar, or has the machine sleep, which is the same: the monotonic clock stands still.
    pub(super) fn set_calendar(&mut self, by: i64) {
        self.drift += by;
        let now = self.now();
        self.engine.begin(now);
    }
}

/// What its callers do.
impl Lab {
    pub(super) fn ask<T>(
        &mut self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> (Ticket, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = Reply::channel();
        (self.send(command(reply)), answer)
    }

    pub(super) fn send(&mut self, command: Command) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let asked = self.mono;
        let deadline = asked + Duration::from_secs(30);
        self.engine.command(self.now(), Request { ticket, asked, deadline, command });
        self.tell_unheard();
        ticket
    }

    pub(super) fn get(
        &mut self,
        package: &PackageId,
    ) -> (Ticket, oneshot::Receiver<Result<Box<Package>>>) {
        self.get_as(package, Freshness::First)
    }

    pub(super) fn get_as(
        &mut self,
        package: &PackageId,
        freshness: Freshness,
    ) -> (Ticket, oneshot::Receiver<Result<Box<Package>>>) {
        let package = package.clone();
        self.ask(|reply| Command::GetPackage { package, freshness, reply })
    }

    /// Somebody publishes a release here, and does not ask for it to be read back.
    pub(super) fn registers(
        &mut self,
        name: &str,
        version: &str,
    ) -> oneshot::Receiver<Result<Receipt>> {
        let manifest = Box::new(Manifest::new(name.parse().unwrap(), version.parse().unwrap()));
        self.ask(|reply| Command::Register { manifest, confirmation: 0, reply }).1
    }

    /// Somebody publishes a release here, so many peers hold it, and the receipt has come.
    pub(super) fn publishes(&mut self, name: &str, version: &str, replicas: u32) -> Receipt {
        let receipt = self.registers(name, version);
        self.stores_with(replicas);
        answer(receipt).expect("answered").expect("published")
    }

    /// What the node knows, written down and read again.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let (_, snapshot) = self.ask(|reply| Command::Snapshot { reply });
        Snapshot::from_bytes(&answer(snapshot).unwrap().unwrap().to_bytes()).unwrap()
    }

    /// What a caller is answered without the node.
    pub(super) fn on_shelf(&self, id: &PackageId) -> Option<Package> {
        self.shelf.get(id, &Frozen(self.now())).map(|package| Package::clone(&package))
    }

    /// What the application is told since it has last looked.
    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.next_event()).collect()
    }
}

/// What it hears of the network.
impl Lab {
    pub(super) fn learn(&mut self, fact: Fact) {
        let now = self.now();
        self.engine.learn(now, fact);
        self.tell_unheard();
    }

    fn tell_unheard(&mut self) {
        let now = self.now();
        let Hearers::Nobody(said) = &mut self.hearers else { return };
        let topic = &self.engine.cx.config.announcements_topic;
        let heads = self.engine.out.actions.iter().filter_map(|action| match action {
            Action::Publish { id, topic: on, .. } if on == topic => Some(*id),
            _ => None,
        });
        let heads: Vec<AnnouncementId> = heads.filter(|id| said.insert(*id)).collect();
        for id in heads {
            self.engine.learn(now, Fact::Published { id, outcome: Published::Unheard });
        }
    }

    /// It has a peer in its routing table.
    pub(super) fn joins(&mut self) -> PeerId {
        let peer = PeerId::random();
        self.learn(Fact::Routable { peer });
        peer
    }

    /// A peer has dialed this node.
    pub(super) fn visited_by(&mut self, peer: PeerId) {
        let address = "/ip4/198.51.100.7/tcp/4001".parse().unwrap();
        let direction = crate::event::Direction::Inbound;
        self.learn(Fact::Connected { peer, address, direction });
    }

    /// A head is announced, and nobody says by whom it was forwarded.
    pub(super) fn hears(&mut self, head: &Signed<Head>) -> Verdict {
        let topic = self.engine.cx.config.announcements_topic.clone();
        self.engine.hear(self.now(), &topic, head.bytes())
    }

    /// A head is announced that is news to it.
    pub(super) fn hears_news(&mut self, head: &Signed<Head>) {
        assert_eq!(self.hears_from(PeerId::random(), head), Verdict::Accept);
    }

    /// A head is announced, which this peer has forwarded.
    pub(super) fn hears_from(&mut self, peer: PeerId, head: &Signed<Head>) -> Verdict {
        let topic = self.engine.cx.config.announcements_topic.clone();
        self.engine.hear_from(self.now(), Some(peer), &topic, head.bytes())
    }
}

/// What it wants of the network, and what comes of that.
impl Lab {
    /// All that it wants since the last look.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.next_action()).collect()
    }

    /// The lookups that have been started since the last look.
    pub(super) fn lookups(&mut self) -> Vec<QueryKey> {
        self.actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Get { query, .. } => Some(query),
                _ => None,
            })
            .collect()
    }

    /// So many peers have answered a lookup.
    pub(super) fn end(&mut self, query: QueryKey, answered: u32) {
        self.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(answered) });
    }

    /// Peers answer whatever it asks until it asks nothing more: they have nothing that it looks up, and so many of them
    /// hold what it puts. Gives back what it has put.
    pub(super) fn stores_with(&mut self, replicas: u32) -> Vec<(RecordKey, Vec<u8>)> {
        let mut put = Vec::new();
        loop {
            let actions = self.actions();
            if actions.is_empty() {
                return put;
            }
            for action in actions {
                match action {
                    Action::Get { query, .. } => self.end(query, replicas.max(1)),
                    Action::Put { query, key, bytes } => {
                        put.push((key, bytes));
                        self.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas } });
                    }
                    _ => {}
                }
            }
        }
    }

    /// As [`stores_with`](Self::stores_with), and gives back the heads alone.
    pub(super) fn stores_heads_with(&mut self, replicas: u32) -> Vec<Signed<Head>> {
        let (put, unix) = (self.stores_with(replicas), self.now().unix);
        let network = NetworkName::default();
        let head = |(key, bytes): (RecordKey, Vec<u8>)| match Record::verify(
            &network,
            &key,
            &bytes,
            unix,
            (),
        ) {
            Ok(Record::Head(head)) => Some(head),
            _ => None,
        };
        put.into_iter().filter_map(head).collect()
    }

    /// The head of a package that it publishes.
    #[cfg(test)]
    pub(super) fn own_head(&self, name: &str) -> &Signed<Head> {
        let own = self.engine.publishing.own();
        &own.get(&name.parse::<PackageName>().unwrap()).expect("signed").head
    }
}

/// A clock that shows one time.
#[derive(Debug)]
struct Frozen(Now);

impl Clock for Frozen {
    fn now(&self) -> Duration {
        self.0.mono
    }

    fn unix_time(&self) -> Duration {
        Duration::from_secs(self.0.unix)
    }

    fn timer(&self) -> Box<dyn Timer> {
        panic!("nobody waits by it")
    }
}
