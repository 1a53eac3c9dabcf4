//! What the registry knows and what it awaits: no sockets, no clock, no polling.
//!
//! Everything enters by a method that takes the time: [`command`](Engine::command),
//! [`cancel`](Engine::cancel), [`learn`](Engine::learn), [`hear`](Engine::hear),
//! [`expire`](Engine::expire). Everything leaves as a value: an [`Action`] for the network, an
//! [`Event`] for whoever polls the node, a reply to a caller.
//!
//! | file | what it knows |
//! |--|--|
//! | `interface.rs` | actions and facts, the words between engine and network |
//! | `calls.rs` | calls that wait for an answer |
//! | `commands.rs` | how each command begins |
//! | `counters.rs` | what has been done so far, and what the node says of itself |
//! | `facts.rs` | what each fact changes |
//! | `lookups.rs`, `resuming.rs` | what answers of the DHT are worth; how the calls that wait go on with them |
//! | `publishing.rs`, `announcing.rs` | how a change to an own package takes its course; when it is announced |
//! | `dialing.rs` | callers who dial, and wait for an introduction |
//! | `goodbyes.rs` | why peers are let go, and why they let this node go |
//! | `recalling.rs` | how it is built on what the network holds |
//! | `explaining.rs`, `confirming.rs` | why peers do not hold it; how it is read back from those who said that they do |
//! | `listening.rs` | what is heard of own packages from elsewhere |
//! | `read.rs`, `publish.rs` | the two machines with several steps |
//! | `queries.rs` | DHT queries: a window of them runs, the others wait in line |
//! | `own.rs` | own packages, and what a change to one signs |
//! | `identity.rs`, `signer.rs` | who this node is, whose packages it publishes, and by what right |
//! | `store.rs` | records held for the network |
//! | `exchange` (beside), `questions.rs`, `answering.rs` | what is asked of connected peers, and what they ask |
//! | `greeting.rs`, `neighbours.rs`, `peer_clocks.rs` | what connected peers say of themselves, and of the time |
//! | `reconcile/`, `reconciling.rs` | how the catalogue catches up with theirs |
//! | `gossip_budget.rs` | how much gossip is believed and relayed |
//! | `nearness.rs` | whom to ask first |
//! | `index/`, `searching.rs` | which words occur where; searches here and among peers |
//! | `catalogue/` | the newest head of every package heard of, and which of them stay |
//! | `listing.rs`, `restoring.rs`, `earlier.rs` | how heads come into the catalogue; what an earlier life knew |
//! | `cache.rs`, `equivocations.rs`, `outbox.rs`, `peers.rs`, `pins.rs`, `recent.rs`, `topics.rs` | one kind of knowledge each |
//! | `rejoining.rs`, `rejoining/` | who has left, and when they are dialed again |
//! | `reputation.rs` | the conduct of peers, and what follows from it |
//! | `dht/` | Kademlia: who is where, who holds what |
//! | `deadlines.rs`, `wheel.rs` | what falls due; every deadline in its order |
//! | `clocks.rs` | a calendar that does not keep step with the monotonic clock |
//! | `pages.rs` | where queries in line and deadlines are kept, by the thousand |

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, identity::Keypair};

use crate::{
    Config, Digest, Entropy, Event, Freshness, PackageName, Source,
    buckets::Buckets,
    counters::Counters,
    record::{ANNOUNCEMENTS, Record, RecordKey},
    shelf::Shelf,
};

mod announcing;
mod answering;
mod cache;
mod calls;
mod catalogue;
mod clocks;
mod commands;
pub(crate) mod compared;
mod confirming;
mod counters;
mod deadlines;
pub(crate) mod dht;
mod dialing;
mod earlier;
mod equivocations;
mod explaining;
mod facts;
pub(crate) mod filled;
mod goodbyes;
mod gossip_budget;
mod greeting;
mod identity;
pub(crate) mod index;
mod interface;
mod keeping;
mod listed;
mod listening;
mod listing;
mod look_alikes;
mod lookups;
mod nearness;
mod neighbours;
mod outbox;
mod own;
mod pages;
mod peer_clocks;
mod peers;
mod pins;
mod publish;
mod publishing;
mod queries;
mod questions;
mod read;
mod recalling;
mod recent;
pub(crate) mod reconcile;
mod reconciling;
mod rejoining;
mod reputation;
mod restoring;
mod resuming;
mod said_since;
mod searching;
#[cfg(test)]
mod seeded;
mod signer;
mod store;
// What is for tests may unwrap, and clippy takes it for that only where nothing else is said.
#[cfg(test)]
mod tests;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod tests;
mod topics;
#[allow(
    rustdoc::private_intra_doc_links,
    reason = "it leads those who read the sources to this module"
)]
pub(crate) mod wheel;

pub use nearness::Provider;
pub use peers::{ConnectedPeer, KeptConnections, KeptFor};
pub use reputation::Reputation;

pub(crate) use goodbyes::GOODBYE_TIME;
pub(crate) use gossip_budget::REMEMBERED_AUTHORS;
pub(crate) use identity::{Authority, Identity};
pub(crate) use interface::{
    Action, Affiliation, AskedId, Fact, Now, QueryEnd, QuestionId, Unanswered, Verdict,
};
pub(crate) use keeping::Lacking;
pub(crate) use outbox::Published;
pub(crate) use queries::QueryKey;
pub(crate) use reconciling::REMEMBERED_IN_VAIN;
pub use store::Snapshot;
pub(crate) use store::{
    Hearing, MAX_OWNERS as REMEMBERED_EPOCHS, MAX_REFUSALS_KEPT as REMEMBERED_REFUSALS, SharedStore,
};
pub(crate) use topics::REMEMBERED_MESSAGES;

use cache::Cache;
use calls::{Calls, Operation};
use catalogue::{Catalogue, Load};
use clocks::Clocks;
use deadlines::{Backoff, Deadline, Retry, SWEEP_INTERVAL};
use dialing::Dials;
use earlier::Earlier;
use equivocations::Equivocations;
use goodbyes::Goodbyes;
use gossip_budget::GossipBudget;
use index::Index;
use neighbours::Neighbours;
use outbox::Outbox;
use own::{
    OwnPackage,
    elsewhere::{Elsewhere, MAX_HEARD},
};
use peer_clocks::PeerClocks;
use peers::{Peers, Reach};
use pins::Pins;
use publish::Renewal;
use queries::{Queries, Repair, Task};
use questions::Questions;
use recent::Recent;
use reconciling::{Listing, Running};
use rejoining::Rejoining;
use reputation::{Blocked, Reputations};
use searching::Searches;
use signer::Signer;
use topics::Topics;
use wheel::Wheel;

/// How long questions wait for a peer that has connected to introduce itself.
const INTRODUCTION_TIME: Duration = Duration::from_secs(10);

/// How long after a first peer has appeared own records are put again: others mostly come with it.
const REPLICATION_DELAY: Duration = Duration::from_millis(250);

/// A head that has not changed is not announced again within this time.
const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(600);

/// Pauses before own records that no connected peer took are put again.
const REPLICATION: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(3600));

/// How many records of others are put again at one sweep, at the most: 16,384 in an hour. With the default limits that is
/// more than a full store's part, where each record has twenty holders and what one of them puts is a round for the others.
/// A server's store that is full of small records comes round in some three hours.
const REPLICATION_BUDGET: usize = 137;

/// Replicas of one record are repaired once in this time, of so many records at the most.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const REMEMBERED_REPAIRS: usize = 4096;

/// Records that are kept beside those in store, cache and catalogue, as they were read: two in each proof of an
/// equivocation and in what the store has to tell of one, those that are to be put to others, the announcements that
/// were verified last, and heads of own packages that are to be taken in.
pub(crate) const RECORDS_ASIDE: usize = 2 * equivocations::MAX_PROOFS
    + 2 * store::MAX_FACTS
    + queries::MAX_REPAIRS
    + REPLICATION_BUDGET
    + ANNOUNCEMENTS
    + MAX_HEARD;

/// Tickets from here on name what the node does by itself.
const FIRST_INTERNAL_TICKET: u64 = 1 << 63;

/// The registry's state machine. See the [module](self) for its parts.
pub(crate) struct Engine {
    keypair: Keypair,
    /// By what right it publishes.
    authority: Authority,
    /// Who this node is.
    local: PeerId,
    /// Whose packages it publishes.
    owner: PeerId,
    config: Config,
    entropy: Box<dyn Entropy>,

    calls: Calls,
    dials: Dials,
    queries: Queries,
    wheel: Wheel<Deadline>,

    own: BTreeMap<PackageName, OwnPackage>,
    renewals: HashMap<PackageName, Renewal>,
    /// Own packages that the node is putting again by itself.
    renewing: BTreeSet<PackageName>,
    /// Own packages of an earlier life, of which this one has not read yet what stands of them.
    resuming: Earlier,
    store: SharedStore,
    cache: Cache,
    absences: Recent<RecordKey>,
    /// Records that replicas were sent a moment ago, because they lacked them. What they say is part of it, so that a
    /// newer one need not wait.
    repairs: Recent<(RecordKey, Digest)>,
    /// Heads that peers have sent in vain.
    vain: Recent<Digest>,
    /// How many more peers may have this node fetch.
    allowances: Buckets<PeerId>,
    gossip_budget: GossipBudget,
    /// What callers may read without asking.
    shelf: Shelf,
    catalogue: Catalogue,
    /// Heads of an earlier life's catalogue that have not been verified yet.
    restoring: VecDeque<Arc<[u8]>>,
    /// What is in the catalogue, by its words.
    index: Index,
    /// Connected peers as those with whom the catalogue is compared, and the session that is under way with one.
    neighbours: Neighbours,
    peer_clocks: PeerClocks,
    session: Option<Running>,
    /// The catalogue as it was compared last.
    listings: Vec<Listing>,
    questions: Questions,
    searches: Searches,
    outbox: Outbox,
    pins: Pins,
    topics: Topics,
    peers: Peers,
    goodbyes: Goodbyes,
    reputations: Reputations,
    blocked: Blocked,
    equivocations: Equivocations,
    elsewhere: Elsewhere,
    addresses: Vec<Multiaddr>,

    replication: Retry,
    rejoining: Rejoining,
    next_ticket: u64,
    /// What this engine counts itself. The rest is counted where it happens.
    counters: Counters,
    /// When it was started, on the monotonic scale.
    started: Duration,
    /// The monotonic time of the current poll.
    mono: Duration,
    /// The calendar time that the store was last told.
    unix: u64,
    clocks: Clocks,
    closed: bool,
    /// Somebody has been answered by what the network told, and not been heard of yet.
    answered: bool,

    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Engine {
    pub(crate) fn new(
        identity: impl Into<Identity>,
        config: Config,
        store: SharedStore,
        entropy: Box<dyn Entropy>,
        shelf: Shelf,
    ) -> Self {
        let limits = config.limits.clone();
        let Identity { keypair, authority } = identity.into();
        let (local, owner) = (keypair.public().to_peer_id(), authority.owner(&keypair));
        store.publishes_for(owner, authority.epoch());
        Self {
            local,
            owner,
            keypair,
            authority,
            entropy,
            calls: Calls::default(),
            dials: Dials::default(),
            queries: Queries::new(limits.running_queries),
            wheel: Wheel::new(config.sweep_granularity),
            own: BTreeMap::new(),
            renewals: HashMap::new(),
            renewing: BTreeSet::new(),
            resuming: Earlier::default(),
            store,
            absences: Recent::new(config.absence_ttl, limits.cache_records),
            repairs: Recent::new(REPAIR_INTERVAL, REMEMBERED_REPAIRS),
            vain: Recent::new(reconciling::VAIN, REMEMBERED_IN_VAIN),
            allowances: reconciling::allowances(&limits),
            gossip_budget: GossipBudget::new(&limits),
            cache: Cache::new(config.cache_ttl, limits.cache_records, owner, shelf.clone()),
            shelf,
            catalogue: Catalogue::new(
                Load { packages: limits.catalogue_packages, bytes: limits.catalogue_bytes },
                config.coverage.clone(),
            ),
            restoring: VecDeque::new(),
            index: Index::new(),
            neighbours: Neighbours::default(),
            peer_clocks: PeerClocks::default(),
            session: None,
            listings: Vec::new(),
            questions: Questions::default(),
            searches: Searches::default(),
            outbox: Outbox::new(limits.queued_announcements),
            pins: Pins::new(config.pins.clone(), config.pin_on_first_use, limits.pins),
            topics: Topics::new(limits.topics),
            peers: Peers::default(),
            goodbyes: Goodbyes::default(),
            reputations: Reputations::new(limits.remembered_peers),
            blocked: Blocked::default(),
            equivocations: Equivocations::default(),
            elsewhere: Elsewhere::default(),
            addresses: Vec::new(),
            replication: Retry { backoff: REPLICATION, timer: None },
            rejoining: Rejoining::new(local, &config, reputation::named),
            next_ticket: FIRST_INTERNAL_TICKET,
            counters: Counters::default(),
            started: Duration::ZERO,
            mono: Duration::ZERO,
            unix: 0,
            clocks: Clocks::default(),
            closed: false,
            answered: false,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            config,
        }
    }

    /// Listens to announcements and dials the bootstrap addresses.
    pub(crate) fn start(&mut self, now: Now) {
        self.set_time(now);
        self.look_at_clocks(now);
        self.started = now.mono;
        self.show_time(now);
        let topic = self.config.announcements_topic.clone();
        self.actions.push_back(Action::Subscribe { topic });
        self.wheel.insert(now.mono.saturating_add(SWEEP_INTERVAL), Deadline::Sweep);
        self.reconcile_later(now);
        self.restore_listed(now);
        self.dial_bootstrap();
    }

    /// Begins a poll: from here on, records are judged by this time.
    pub(crate) fn begin(&mut self, now: Now) {
        self.set_time(now);
        self.look_at_clocks(now);
        if self.unix != now.unix {
            self.show_time(now);
        }
    }

    /// From here on, what has a date is judged by this time.
    fn show_time(&mut self, now: Now) {
        self.unix = now.unix;
        self.store.set_doubted_time(now.unix, self.clocks.certain(now));
        self.catalogue.set_time(now.unix);
    }

    /// Begins a turn of the network: from here on, peers earn their requests to the store by this time.
    pub(crate) fn begin_network(&self, now: Now) {
        self.store.set_clock(now.mono);
    }

    /// The monotonic time, for what is measured and for what fades.
    fn set_time(&mut self, now: Now) {
        self.mono = now.mono;
        self.reputations.set_time(now.mono);
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether somebody has been answered since the last time, who may be waiting for this very task to rest.
    pub(crate) fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    pub(crate) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Hands queries to the DHT while there is room, unless the first peers are about to appear: a
    /// question asked a moment too early would be answered by nobody.
    fn admit(&mut self) {
        if self.closed || self.peers.reach() == Reach::Joining {
            return;
        }
        let is_led_on = self.is_led_on();
        while let Some((query, task)) = self.queries.admit(self.mono, !is_led_on) {
            self.actions.push_back(match task {
                Task::Get(key) => {
                    let breadth = self.queries.breadth(&key);
                    Action::Get { query, key, breadth }
                }
                Task::Put(record) => {
                    Action::Put { query, key: record.key(), bytes: record.to_bytes().to_vec() }
                }
                Task::Repair(repair) => {
                    let Repair { record, peers } = *repair;
                    let (key, bytes) = (record.key(), record.to_bytes().to_vec());
                    Action::Repair { query, key, bytes, peers }
                }
                Task::Bootstrap => Action::Bootstrap { query },
            });
        }
    }

    /// A record that can be had without asking anybody: an own one, or one that was read a short while ago.
    fn known(
        &self,
        now: Now,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Option<(Arc<Record>, Source)> {
        if let Some(record) = self.store.own(key) {
            return Some((Arc::new(record), Source::Own));
        }
        if freshness != Freshness::First {
            return None;
        }
        let record = self.cache.get(key, now)?;
        if record.expires().is_some_and(|expires| expires <= now.unix) {
            return None;
        }
        let record = match &**record {
            // Where a newer head has been seen since, by the store for example, this one is not believed.
            Record::Head(head) if self.store.is_overtaken(head) => return None,
            // Some claims of a set may have expired before the others.
            Record::Claims { set, dropped } => {
                Arc::new(Record::Claims { set: set.merge(set, now.unix), dropped: *dropped })
            }
            Record::Head(_) | Record::Release(_) | Record::Page(_) => Arc::clone(record),
        };
        Some((record, Source::Cache))
    }

    fn signer(&self, now: Now) -> Signer<'_> {
        Signer {
            keypair: &self.keypair,
            authority: &self.authority,
            network: &self.config.network,
            unix: now.unix,
            ttl: self.config.record_ttl.as_secs(),
            floor: self.store.epoch(&self.owner),
            clock: self.clock_at_fault(),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Handles outlive the node, and must not answer for it.
        self.shelf.clear();
    }
}

#[cfg(any(test, fuzzing))]
impl Engine {
    /// Whether nothing is retained on behalf of any caller.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.calls.len() == 0
            && self.dials.is_empty()
            && self.queries.is_empty()
            && self.searches.is_empty()
    }
}
