//! Peers by which this node finds the network again after a restart.
//!
//! A bootstrap peer may be gone by then. So some of those that are in the routing table are kept in the node's storage with
//! their addresses: half of them the ones closest to this node, which change least, and half of them those that were
//! there last. After a restart they are dialed as peers are that have left, beside the bootstrap addresses.
//!
//! Whoever was not seen for days makes room for whoever was, however close it is. A few such peers stay where there are
//! hardly any others. A node that finds nobody forgets nobody: it may have been off for weeks.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
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

/// A row is written again after this time at the earliest, whatever its peer says of where it is.
const PAUSE: Duration = Duration::from_secs(60);

/// A peer that was seen within so many seconds may still be there.
const RECENT: u64 = 3 * 24 * 3600;

/// With fewer recent peers than this, the freshest of the others stay as well.
const FEW: usize = 5;

/// The most addresses that are kept of one.
const MOST_ADDRESSES: usize = 8;

/// Where a peer was found, and when last, in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contact {
    addresses: Vec<Multiaddr>,
    seen: u64,
    /// What is written for `seen`. None if the storage has no such row, or one with other addresses.
    written: Option<u64>,
    /// It is not written before this time, on the monotonic scale.
    next: Duration,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct ContactWire {
    peer: Vec<u8>,
    addresses: Vec<Vec<u8>>,
    seen: u64,
}

impl Contact {
    /// Whether it is there and nowhere else. The order of addresses changes with every introduction.
    fn is_at(&self, addresses: &[Multiaddr]) -> bool {
        self.addresses.len() == addresses.len()
            && addresses.iter().all(|address| self.addresses.contains(address))
    }

    /// A clock that was ahead has written times that are still to come. They count as now.
    fn not_after(&mut self, now: u64) {
        self.seen = self.seen.min(now);
    }
}

/// What a storage has led to.
#[derive(Debug)]
pub(super) struct Restored {
    /// Whom to look for, and where.
    pub(super) contacts: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Rows that are to go.
    pub(super) obsolete: Vec<Change>,
}

fn is_recent(now: u64, seen: u64) -> bool {
    now.saturating_sub(seen) <= RECENT
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
        if table.is_empty() {
            return;
        }
        let before: BTreeSet<PeerId> = self.peers.keys().copied().collect();
        self.peers.values_mut().for_each(|contact| contact.not_after(now.unix));
        for KnownPeer { peer, mut addresses, seen } in table {
            addresses.truncate(MOST_ADDRESSES);
            let ago = now.mono.saturating_sub(seen).as_secs();
            let seen = now.unix.saturating_sub(ago);
            match self.peers.entry(peer) {
                Entry::Occupied(mut known) => {
                    let contact = known.get_mut();
                    contact.seen = seen;
                    if !contact.is_at(&addresses) {
                        (contact.addresses, contact.written) = (addresses, None);
                    }
                }
                Entry::Vacant(place) if is_recent(now.unix, seen) => {
                    place.insert(Contact { addresses, seen, written: None, next: Duration::ZERO });
                }
                // It has made room already.
                Entry::Vacant(_) => {}
            }
        }
        self.trim(now.unix, &before);
        self.mark(now.mono, &before);
    }

    /// What the storage says of a peer. Tells who it is, and where it was.
    fn read((key, value): &Row) -> Option<(PeerId, Contact)> {
        let (wire, rest) = postcard::take_from_bytes::<ContactWire>(value).ok()?;
        let address = |bytes: Vec<u8>| Multiaddr::try_from(bytes).ok();
        let addresses: Vec<_> =
            wire.addresses.into_iter().filter_map(address).take(MOST_ADDRESSES).collect();
        let peer = PeerId::from_bytes(&wire.peer).ok()?;
        let is_sound = rest.is_empty() && !addresses.is_empty() && wire.peer == *key;
        let (seen, written) = (wire.seen, Some(wire.seen));
        is_sound.then_some((peer, Contact { addresses, seen, written, next: Duration::ZERO }))
    }

    /// Takes in what the storage has. Tells whom to look for, and which rows mean nothing.
    pub(super) fn restore(&mut self, now: Now, rows: &[Row]) -> Restored {
        let mut obsolete = Vec::new();
        for row in rows {
            match Self::read(row) {
                Some((peer, mut contact)) => {
                    contact.not_after(now.unix);
                    self.peers.insert(peer, contact);
                }
                None => {
                    let key = row.0.clone();
                    obsolete.push(Change { table: Table::Peers, key, value: None });
                }
            }
        }
        let all: BTreeSet<PeerId> = self.peers.keys().copied().collect();
        if self.peers.len() > MOST_LOST {
            self.trim(now.unix, &all);
        }
        self.mark(now.mono, &all);
        let contacts = self.peers.iter();
        let contacts = contacts.map(|(peer, contact)| (*peer, contact.addresses.clone())).collect();
        Restored { contacts, obsolete }
    }

    /// Of recent peers, keeps half by distance and half by time. Of those seen lately, the ones that were known before stay.
    fn trim(&mut self, now: u64, before: &BTreeSet<PeerId>) {
        let seen = |peer: &PeerId| self.peers.get(peer).map_or(0, |contact| contact.seen);
        let (mut recent, mut others): (Vec<PeerId>, Vec<PeerId>) =
            self.peers.keys().partition(|peer| is_recent(now, seen(peer)));
        let wanted = if recent.is_empty() { MOST_LOST } else { FEW.saturating_sub(recent.len()) };
        if others.len() <= wanted && recent.len() <= MOST_LOST {
            // All stay, whatever their order. To hash them for their distances costs more than all the rest of this.
            return;
        }
        others.sort_by_cached_key(|peer| Reverse(seen(peer)));
        let mut gone = beyond(&mut others, wanted);

        recent.sort_by_cached_key(|peer| self.local.distance(&Key::of_peer(peer)));
        let mut last = beyond(&mut recent, MOST_LOST / 2);
        last.sort_by_cached_key(|peer| {
            let seen = seen(peer);
            (now.saturating_sub(seen) / STALE, !before.contains(peer), Reverse(seen))
        });
        gone.extend(beyond(&mut last, MOST_LOST - MOST_LOST / 2));
        self.peers.retain(|peer, _| !gone.contains(peer));
    }

    /// Notes what is to be written now that was not known like this before.
    fn mark(&mut self, now: Duration, before: &BTreeSet<PeerId>) {
        for gone in before.iter().filter(|peer| !self.peers.contains_key(peer)) {
            self.changed.mark_gone(|| *gone);
        }
        for (peer, contact) in &mut self.peers {
            let is_new =
                contact.written.is_none_or(|written| contact.seen.abs_diff(written) > STALE);
            if is_new && contact.next <= now {
                contact.written = Some(contact.seen);
                contact.next = now.saturating_add(PAUSE);
                if before.contains(peer) {
                    self.changed.mark(|| *peer);
                } else {
                    self.changed.mark_new(|| *peer);
                }
            }
        }
    }
}

/// Takes away all but the first ones.
fn beyond(peers: &mut Vec<PeerId>, most: usize) -> Vec<PeerId> {
    peers.split_off(most.min(peers.len()))
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
        let found = next.restore(now(1000), &rows).contacts;
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
    fn a_peer_that_has_moved_is_written() {
        let (mut known, peer) = (known(), PeerId::random());
        known.look(now(1000), vec![seen(peer, 1000)]);
        rows(&mut known);
        let mut moved = seen(peer, 1060);
        moved.addresses = vec!["/ip4/192.0.2.2/tcp/2".parse().expect("an address")];
        known.look(now(1060), vec![moved.clone()]);
        let rows = rows(&mut known);
        assert_eq!(self::known().restore(now(1060), &rows).contacts, [(peer, moved.addresses)]);
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

    /// Each second it says that it is somewhere else, or names its addresses in another order.
    #[test]
    fn a_peer_that_moves_all_the_time_is_written_once_a_minute() {
        let places = ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1", "/ip4/192.0.2.3/tcp/1"];
        let places = places.map(|place| place.parse::<Multiaddr>().expect("an address"));
        for (count, most) in [(1, 11), (3, 2)] {
            let (mut known, mut peer) = (known(), seen(PeerId::random(), 0));
            let mut written = 0;
            for second in 0..600_usize {
                let at = 1000 + second as u64;
                peer.seen = Duration::from_secs(at);
                peer.addresses =
                    places.iter().cycle().skip(second % 3).take(count).cloned().collect();
                known.look(now(at), vec![peer.clone()]);
                written += rows(&mut known).len();
            }
            assert!((1..=most).contains(&written), "{count} addresses: {written} times");
        }
    }

    #[test]
    fn junk_is_nobody_and_is_removed() {
        let (mut before, peer) = (known(), PeerId::random());
        before.look(now(1000), vec![seen(peer, 1000)]);
        let value = rows(&mut before).remove(0).1;
        let junk = [vec![], vec![0xFF; 40], vec![0; 3], value, [peer.to_bytes(), vec![0]].concat()];
        let mut known = known();
        for value in junk {
            let Restored { contacts, obsolete } =
                known.restore(now(1000), &[(b"junk".into(), value)]);
            assert_eq!(contacts, []);
            let gone = Change { table: Table::Peers, key: b"junk".into(), value: None };
            assert_eq!(obsolete, [gone]);
        }
    }

    const DAY: u64 = 24 * 3600;

    /// These peers, the ones closest to this node first.
    fn by_distance(known: &Known, count: usize) -> Vec<PeerId> {
        let mut peers: Vec<PeerId> = (0..count).map(|_| PeerId::random()).collect();
        peers.sort_by_cached_key(|peer| known.local.distance(&Key::of_peer(peer)));
        peers
    }

    fn look(known: &mut Known, at: u64, peers: &[PeerId]) {
        known.look(now(at), peers.iter().map(|peer| seen(*peer, at)).collect());
    }

    /// Somebody was close once, and is gone.
    #[test]
    fn close_peers_that_have_died_give_way_to_live_ones() {
        let mut known = known();
        let peers = by_distance(&known, 10 + MOST_LOST);
        let (dead, live) = peers.split_at(10);
        look(&mut known, DAY, dead);
        look(&mut known, 2 * DAY, live);
        assert!(dead.iter().all(|peer| known.peers.contains_key(peer)), "they may come back");
        for day in 3..10 {
            look(&mut known, day * DAY, live);
        }
        assert_eq!(known.peers.keys().collect::<BTreeSet<_>>(), live.iter().collect());
        let rows = rows(&mut known);
        assert_eq!(rows.len(), MOST_LOST);
    }

    /// The clock was a year ahead when it was written.
    #[test]
    fn a_peer_that_was_seen_in_the_future_ages_as_others_do() {
        let mut before = known();
        let (peer, others) = (PeerId::random(), by_distance(&before, MOST_LOST - 1));
        look(&mut before, 400 * DAY, &[peer]);
        let rows = rows(&mut before);
        let mut known = known();
        assert_eq!(known.restore(now(10 * DAY), &rows).contacts.len(), 1);
        look(&mut known, 11 * DAY, &others);
        let row = self::rows(&mut known);
        assert!(row.iter().any(|(key, _)| *key == peer.to_bytes()), "it is written as of now");
        look(&mut known, 14 * DAY, &others);
        assert!(!known.peers.contains_key(&peer));
        // The clock goes back in the midst of a life.
        look(&mut known, 400 * DAY, &[peer]);
        look(&mut known, 15 * DAY, &others);
        look(&mut known, 19 * DAY, &others);
        assert!(!known.peers.contains_key(&peer));
    }

    #[test]
    fn a_node_that_was_off_for_weeks_has_somebody_to_dial() {
        let mut before = known();
        let peers = by_distance(&before, MOST_LOST);
        look(&mut before, DAY, &peers);
        let rows = rows(&mut before);
        let mut known = known();
        assert_eq!(known.restore(now(90 * DAY), &rows).contacts.len(), MOST_LOST);
        // As long as nobody is found, everybody is kept.
        look(&mut known, 91 * DAY, &[]);
        assert_eq!((known.peers.len(), known.unsaved()), (MOST_LOST, 0));
        look(&mut known, 91 * DAY, &peers[..1]);
        assert_eq!(known.peers.len(), FEW);
        assert!(known.peers.contains_key(&peers[0]));
    }

    /// It stays in the routing table, and nothing is heard of it.
    #[test]
    fn a_peer_that_has_made_room_is_not_written_again() {
        let mut known = known();
        let peers = by_distance(&known, MOST_LOST);
        let table = |at| {
            let quiet = seen(peers[0], DAY);
            peers[1..].iter().map(|peer| seen(*peer, at)).chain([quiet]).collect::<Vec<_>>()
        };
        known.look(now(DAY), table(DAY));
        known.look(now(6 * DAY), table(6 * DAY));
        rows(&mut known);
        known.look(now(6 * DAY + 1), table(6 * DAY + 1));
        assert_eq!((known.unsaved(), known.peers.len()), (0, MOST_LOST - 1));
    }
}
