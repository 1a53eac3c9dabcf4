//! Peers by which this node finds the network again after a restart.
//!
//! A bootstrap peer may be gone by then. So some of those that are in the routing table are kept in the node's storage with
//! their addresses: half of them the ones closest to this node, which change least, and half of them those that were
//! there last. After a restart they are dialed as peers are that have left, beside the bootstrap addresses.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use super::rejoining::MOST_LOST;
use crate::{
    engine::{
        dirty::{Dirty, Portion},
        interface::{KnownPeer, Now},
    },
    keyspace::Key,
    storage::{Change, Row, Table},
};

/// That a peer is still where it was is written again after so many seconds, and of two peers that were seen within so
/// many seconds neither is the later one: who is kept does not change with every message.
const STALE: u64 = 600;

/// The most addresses that are kept of one.
const MOST_ADDRESSES: usize = 8;

/// Where a peer was found, and when last, in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contact {
    addresses: Vec<Multiaddr>,
    seen: u64,
    /// What is written for `seen`. None if the storage has no such row, or one with other addresses.
    written: Option<u64>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct ContactWire {
    peer: Vec<u8>,
    addresses: Vec<Vec<u8>>,
    seen: u64,
}

/// The peers that a next life is to know.
#[derive(Debug)]
pub(super) struct Known {
    local: Key,
    peers: BTreeMap<PeerId, Contact>,
    changed: Dirty<PeerId>,
}

impl Known {
    pub(super) fn new(local: &PeerId) -> Self {
        let local = Key::of_peer(local);
        Self { local, peers: BTreeMap::new(), changed: Dirty::default() }
    }

    /// The routing table is like this. Those of an earlier look stay as long as there is room.
    pub(super) fn look(&mut self, now: Now, table: Vec<KnownPeer>) {
        let before: BTreeSet<PeerId> = self.peers.keys().copied().collect();
        for KnownPeer { peer, mut addresses, seen } in table {
            addresses.truncate(MOST_ADDRESSES);
            let ago = now.mono.saturating_sub(seen).as_secs();
            let seen = now.unix.saturating_sub(ago);
            match self.peers.entry(peer) {
                Entry::Occupied(mut known) => {
                    let contact = known.get_mut();
                    contact.seen = seen;
                    if contact.addresses != addresses {
                        (contact.addresses, contact.written) = (addresses, None);
                    }
                }
                Entry::Vacant(place) => {
                    place.insert(Contact { addresses, seen, written: None });
                }
            }
        }
        self.trim(now.unix, &before);
        self.mark(&before);
    }

    /// What the storage says of a peer. Tells who it is, and where it was.
    fn read((_, value): &Row) -> Option<(PeerId, Contact)> {
        let (wire, rest) = postcard::take_from_bytes::<ContactWire>(value).ok()?;
        let address = |bytes: Vec<u8>| Multiaddr::try_from(bytes).ok();
        let addresses: Vec<_> =
            wire.addresses.into_iter().filter_map(address).take(MOST_ADDRESSES).collect();
        let peer = PeerId::from_bytes(&wire.peer).ok()?;
        let is_sound = rest.is_empty() && !addresses.is_empty();
        is_sound.then_some((peer, Contact { addresses, seen: wire.seen, written: Some(wire.seen) }))
    }

    /// Takes in what the storage has, and tells whom to look for.
    pub(super) fn restore(&mut self, rows: &[Row]) -> Vec<(PeerId, Vec<Multiaddr>)> {
        for row in rows {
            match Self::read(row) {
                Some((peer, contact)) => drop(self.peers.insert(peer, contact)),
                None => tracing::debug!("a peer in the storage cannot be read"),
            }
        }
        let all: BTreeSet<PeerId> = self.peers.keys().copied().collect();
        let last = self.peers.values().map(|contact| contact.seen).max();
        self.trim(last.unwrap_or_default(), &all);
        self.mark(&all);
        let contacts = self.peers.iter();
        contacts.map(|(peer, contact)| (*peer, contact.addresses.clone())).collect()
    }

    /// Keeps half by distance and half by time. Of those seen lately, the ones that were known before stay.
    fn trim(&mut self, now: u64, before: &BTreeSet<PeerId>) {
        if self.peers.len() <= MOST_LOST {
            return;
        }
        let mut peers: Vec<PeerId> = self.peers.keys().copied().collect();
        peers.sort_by_cached_key(|peer| self.local.distance(&Key::of_peer(peer)));
        let mut others = peers.split_off(MOST_LOST / 2);
        others.sort_by_cached_key(|peer| {
            let seen = self.peers.get(peer).map_or(0, |contact| contact.seen);
            (now.saturating_sub(seen) / STALE, !before.contains(peer), Reverse(seen))
        });
        for peer in others.split_off(MOST_LOST - MOST_LOST / 2) {
            self.peers.remove(&peer);
        }
    }

    /// Notes what is to be written now that was not known like this before.
    fn mark(&mut self, before: &BTreeSet<PeerId>) {
        for gone in before.iter().filter(|peer| !self.peers.contains_key(peer)) {
            self.changed.mark(|| *gone);
        }
        for (peer, contact) in &mut self.peers {
            if contact.written.is_none_or(|written| contact.seen.abs_diff(written) > STALE) {
                contact.written = Some(contact.seen);
                self.changed.mark(|| *peer);
            }
        }
    }
}

/// What the node's storage is to have of these.
impl Known {
    pub(super) fn note_changes(&mut self) {
        self.changed.turn_on();
    }

    pub(super) fn unsaved(&self) -> usize {
        self.changed.len()
    }

    pub(super) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        for peer in self.changed.take(Portion::ROWS) {
            let value = self.peers.get(&peer).and_then(|contact| {
                let addresses = contact.addresses.iter().map(Multiaddr::to_vec).collect();
                let wire = ContactWire { peer: peer.to_bytes(), addresses, seen: contact.seen };
                postcard::to_stdvec(&wire).ok()
            });
            changes.push(Change { table: Table::Peers, key: peer.to_bytes(), value });
        }
    }

    pub(super) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now(unix: u64) -> Now {
        Now { mono: Duration::from_secs(unix), unix }
    }

    fn seen(peer: PeerId, at: u64) -> KnownPeer {
        let addresses = vec!["/ip4/192.0.2.1/tcp/1".parse().expect("an address")];
        KnownPeer { peer, addresses, seen: Duration::from_secs(at) }
    }

    fn known() -> Known {
        let mut known = Known::new(&PeerId::random());
        known.note_changes();
        known
    }

    fn rows(known: &mut Known) -> Vec<Row> {
        let mut changes = Vec::new();
        known.take_changes(&mut changes);
        known.settle_changes(true);
        changes.into_iter().filter_map(|change| Some((change.key, change.value?))).collect()
    }

    #[test]
    fn the_next_life_knows_whom_this_one_has_met() {
        let (mut known, peer) = (known(), PeerId::random());
        known.look(now(1000), vec![seen(peer, 990)]);
        let rows = rows(&mut known);
        let mut next = self::known();
        let found = next.restore(&rows);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.len()), (peer, 1));
        assert_eq!(next.unsaved(), 0, "the storage has it already");
    }

    #[test]
    fn a_large_table_leaves_the_closest_and_the_last() {
        let mut known = known();
        let peers: Vec<PeerId> = (0..200).map(|_| PeerId::random()).collect();
        let table = (0..).zip(&peers).map(|(at, peer)| seen(*peer, at)).collect();
        known.look(now(1000), table);
        assert_eq!(known.peers.len(), MOST_LOST);
        let closest = peers.iter().min_by_key(|peer| known.local.distance(&Key::of_peer(peer)));
        assert!(known.peers.contains_key(closest.expect("200")));
        assert!(known.peers.contains_key(&peers[199]), "the one that was there last");
    }

    #[test]
    fn a_table_that_is_larger_than_what_is_kept_is_not_written_each_time() {
        let mut known = known();
        let peers: Vec<PeerId> = (0..200).map(|_| PeerId::random()).collect();
        let mut written = 0;
        for second in 0..600_usize {
            let at = 1000 + second as u64;
            // Each second others of them are heard.
            let table = peers.iter().enumerate().map(|(number, peer)| {
                let is_heard = number % 7 == second % 7;
                seen(*peer, if is_heard { at } else { at - 7 })
            });
            known.look(now(at), table.collect());
            written += known.unsaved();
            rows(&mut known);
        }
        assert!(written <= 2 * MOST_LOST, "{written} rows within ten minutes");
    }

    #[test]
    fn a_peer_that_has_moved_is_written_at_once() {
        let (mut known, peer) = (known(), PeerId::random());
        known.look(now(1000), vec![seen(peer, 1000)]);
        rows(&mut known);
        let mut moved = seen(peer, 1001);
        moved.addresses = vec!["/ip4/192.0.2.2/tcp/2".parse().expect("an address")];
        known.look(now(1001), vec![moved.clone()]);
        let rows = rows(&mut known);
        assert_eq!(self::known().restore(&rows), [(peer, moved.addresses)]);
    }

    #[test]
    fn a_peer_that_stays_where_it_is_is_not_written_each_time() {
        let (mut known, peer) = (known(), PeerId::random());
        let mut written = 0;
        for minute in 0..60 {
            known.look(now(1000 + 60 * minute), vec![seen(peer, 1000 + 60 * minute)]);
            written += rows(&mut known).len();
        }
        assert!(written <= 7, "{written} times within an hour");
    }

    #[test]
    fn junk_is_nobody() {
        let mut known = known();
        for value in [vec![], vec![0xFF; 40], vec![0; 3]] {
            assert!(known.restore(&[(b"junk".to_vec(), value)]).is_empty());
        }
    }
}
