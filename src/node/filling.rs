//! How the routing table is filled: this node's neighbourhood whole, and a few peers at each distance beyond it.
//!
//! Kademlia's own bootstrap asks twenty peers in each bucket, which in a network of some hundreds are all of them. Far
//! buckets need only somebody: lookups go on from there, and fill them with whom they meet ([Kademlia], section 2.3).
//! So of a bootstrap only its first step is carried out, the lookup of this node's own key, and then a lookup of
//! a few peers for each bucket that has fewer. It costs contact with O(k + log n) peers of n.
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

use std::{collections::BTreeMap, num::NonZeroUsize};

use libp2p::{
    PeerId, Swarm,
    kad::{self, KBucketKey},
};

use super::record_store::KadStore;
use crate::{
    engine::QueryKey,
    net::{Behaviour, REPLICATION_FACTOR},
};

/// Peers that each bucket beyond the neighbourhood is to have.
const ENOUGH: usize = 4;

/// One for each bit of a key.
const BUCKETS: u32 = 256;

/// How many keys are tried to find one that falls into a bucket. The bucket at the edge of the neighbourhood of a million
/// peers is met by one key in 65,536; what is that near is filled by the lookup of this node's own key.
const TRIES: usize = 4_096;

/// The buckets that are being filled, one after the other.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// The lookup that is under way.
    running: Option<kad::QueryId>,
    /// Keys in buckets that are to be filled.
    targets: Vec<PeerId>,
    /// The engine's queries that end when all are.
    awaited: Vec<QueryKey>,
}

impl Filling {
    /// Kademlia's bootstrap has come so far. Where it would go on to the far buckets it is told to leave them.
    pub(super) fn bootstrapped(
        &mut self,
        swarm: &mut Swarm<Behaviour<KadStore>>,
        id: kad::QueryId,
        is_last: bool,
        query: Option<QueryKey>,
    ) -> Vec<QueryKey> {
        let kad = &mut swarm.behaviour_mut().kad;
        if !is_last {
            if let Some(mut rest) = kad.query_mut(&id) {
                rest.finish();
            }
            return Vec::new();
        }
        self.awaited.extend(query);
        if self.running.is_none() {
            self.targets = thin_buckets(swarm);
        }
        self.go_on(swarm)
    }

    /// Whether this lookup fills a bucket.
    pub(super) fn is_running(&self, id: kad::QueryId) -> bool {
        self.running == Some(id)
    }

    /// A bucket has been filled as far as possible. The queries that have ended with it.
    pub(super) fn filled(&mut self, swarm: &mut Swarm<Behaviour<KadStore>>) -> Vec<QueryKey> {
        self.running = None;
        self.go_on(swarm)
    }

    /// Nobody waits for this query any longer. Whether it had been waited for.
    pub(super) fn leave(&mut self, query: QueryKey) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|awaited| *awaited != query);
        self.awaited.len() < before
    }

    fn go_on(&mut self, swarm: &mut Swarm<Behaviour<KadStore>>) -> Vec<QueryKey> {
        if self.running.is_none() {
            let enough = NonZeroUsize::new(ENOUGH).unwrap_or(NonZeroUsize::MIN);
            let kad = &mut swarm.behaviour_mut().kad;
            self.running = self.targets.pop().map(|target| kad.get_n_closest_peers(target, enough));
        }
        if self.running.is_some() { Vec::new() } else { std::mem::take(&mut self.awaited) }
    }
}

/// A key in each bucket beyond the neighbourhood that has too few peers, the nearest first: the last is looked up first.
fn thin_buckets(swarm: &mut Swarm<Behaviour<KadStore>>) -> Vec<PeerId> {
    let local = KBucketKey::from(*swarm.local_peer_id());
    let mut seats: BTreeMap<u32, usize> = BTreeMap::new();
    for bucket in swarm.behaviour_mut().kad.kbuckets() {
        for entry in bucket.iter() {
            if let Some(distance) = local.distance(entry.node.key).ilog2() {
                *seats.entry(distance).or_default() += 1;
            }
        }
    }
    let mut nearer = 0;
    // Where the twenty closest end. In a network without as many, everybody is known.
    let edge = seats.iter().find_map(|(distance, count)| {
        nearer += count;
        (nearer >= REPLICATION_FACTOR.get()).then_some(*distance)
    });
    let Some(edge) = edge else { return Vec::new() };
    let mut keys: BTreeMap<u32, PeerId> = BTreeMap::new();
    let is_thin = |distance: u32| seats.get(&distance).is_none_or(|count| *count < ENOUGH);
    let wanted = (edge + 1..BUCKETS).filter(|distance| is_thin(*distance)).count();
    for _ in 0..TRIES {
        if keys.len() == wanted {
            break;
        }
        let key = PeerId::random();
        if let Some(distance) = local.distance(&KBucketKey::from(key)).ilog2()
            && distance > edge
            && is_thin(distance)
        {
            keys.insert(distance, key);
        }
    }
    keys.into_values().collect()
}
